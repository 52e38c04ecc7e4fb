"""The published networks are trained as their notebooks train them: by hand from the cells that `STUDIES` names."""

import pytest
from test_originals import PUBLISHED

from casestudy.choices import Plateau
from casestudy.studies import STUDIES
from casestudy.study import Hidden

# Settings: optimizer, rate, batch, epochs, and how the training part is divided, by hand from the notebooks.
SETTINGS = {
    "fashion-mnist": {
        "model-1": ("rmsprop", 1e-3, 128, 5, 0.2, "shuffled", 2023, 0.8844),
        "model-2": ("rmsprop", 1e-3, 256, 10, 0.2, "shuffled", 2023, 0.8907),
        "model-3": ("rmsprop", 1e-3, 256, 10, 0.2, "shuffled", 2023, 0.8895),
        "model-4": ("adam", 1e-3, 256, 15, 0.2, "shuffled", 2023, 0.9116),
        "dropout-adam": ("adam", 1e-3, 256, 10, 0.2, "shuffled", 2023, 0.8988),
    },
    "emnist": {
        "custom-cnn": ("adam", 1e-5, 32, 6, 0.2, "last", None, 0.8853),
        "custom-cnn-augmented": ("adam", 1e-5, 32, 6, 0.2, "last", None, 0.8863),
        "resnet50v2": ("adam", 2.5e-5, 32, 6, 0.2, "last", None, 0.8841),
        "resnet50v2-augmented": ("adam", 2.5e-5, 32, 6, 0.2, "last", None, 0.8856),
        "mobilenet-v2": ("adam", 2.5e-5, 32, 6, 0.2, "last", None, 0.8484),
        "mobilenet-v2-augmented": ("adam", 2.5e-5, 32, 6, 0.2, "last", None, 0.8751),
    },
    "licence-plates": {"twenty-eighty": ("adam", 1e-3, 64, 50, 0.8, "shuffled", 13, 0.9034)},
}
NETWORK = {  # of `PUBLISHED`, for each variant
    "fashion-mnist": dict(zip(SETTINGS["fashion-mnist"], (1, 1, 2, 3, 2), strict=True)),
    "emnist": {"custom-cnn": "emnist", "custom-cnn-augmented": "emnist"},
    "licence-plates": {"twenty-eighty": "plates", "eighty-twenty": "plates"},
    "clothes": {"network-1": "clothes-1", "network-2": "clothes-2"},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_published_network_is_trained_as_its_notebook_trains_it(name):
    study = STUDIES[name]
    variants = {variant.name: variant for variant in study.variants if variant.published is not None}
    assert list(variants) == list(SETTINGS[name])
    for wanted, variant in zip(SETTINGS[name].values(), variants.values(), strict=True):
        (phase,), split = variant.phases, variant.split
        found = (phase.optimizer, phase.learning_rate, phase.batch_size, phase.epochs)
        assert (*found, split.validation, split.draw, split.seed, variant.published) == wanted, variant.name
        assert (phase.schedule, phase.patience, phase.keep, phase.trainable) == ("constant", None, "last", "everything")
        assert (variant.model.weights, variant.model.scaling, phase.weight_decay) == (None, "0 to 1", None)
        assert bool(variant.model.augmentation) == variant.name.endswith("-augmented")
        assert variant.cells


def test_the_networks_of_emnist_have_their_figures_and_the_large_ones_their_stem():
    """Demo.ipynb: accuracies on plain and on augmented test images, and the two cells that print them."""
    printed = {
        "custom-cnn": (0.8853, 0.7520, "33, 34"),
        "custom-cnn-augmented": (0.8863, 0.8702, "37, 38"),
        "resnet50v2": (0.8841, 0.7587, "44, 45"),
        "resnet50v2-augmented": (0.8856, 0.8801, "48, 49"),
        "mobilenet-v2": (0.8484, 0.6720, "53, 54"),
        "mobilenet-v2-augmented": (0.8751, 0.8594, "57, 58"),
    }
    stems = {"resnet50v2": {"filters": 1, "factor": 2}, "mobilenet_v2": {"filters": 3, "factor": 4}}
    for variant in STUDIES["emnist"].variants:
        accuracy, distorted, cells = printed.pop(variant.name)
        assert (variant.published, variant.published_distorted) == (accuracy, distorted)
        assert variant.cells == f"Demo.ipynb cells {cells}"
        if variant.model.name in stems:
            assert variant.model.options == {"upsample": stems[variant.model.name]}
            assert (variant.model.dropout, variant.model.hidden) == (0.0, None)
    assert not printed


@pytest.mark.parametrize("name", NETWORK)
def test_a_published_network_is_the_one_that_is_trained(name):
    for one, network in NETWORK[name].items():
        spec = next(variant.model for variant in STUDIES[name].variants if variant.name == one)
        published = PUBLISHED[network if isinstance(network, str) else f"fashion-{network}"][0]
        assert (spec.name, spec.options, spec.dropout) == (published.name, published.options, published.dropout)


def test_the_letters_recipe_is_its_notebooks():
    """Execution counts 5 to 9: 150 pixels made 224, two phases with the same callbacks, seed 42, no augmentation."""
    study = STUDIES["asl-original"]
    model, split = study.model, study.split
    assert (model.name, model.image_size, model.options) == ("resnet50v2", (150, 150), {"enlarge": [224, 224]})
    assert (model.hidden, model.dropout, model.augmentation) == (Hidden(512, l2=5e-4), 0.5, {})
    assert [(one.trainable, one.learning_rate) for one in study.phases] == [("head", 1e-3), ("all", 1e-5)]
    for phase in study.phases:
        assert (phase.optimizer, phase.epochs, phase.batch_size, phase.schedule) == ("adam", 15, 64, "plateau")
        assert phase.plateau == Plateau(factor=0.5, patience=3, lowest=1e-6, least_gain=1e-4)  # the last is Keras' own
        assert (phase.patience, phase.least_gain, phase.keep) == (8, 0.0, "best loss")
        assert (phase.weight_decay, phase.label_smoothing) == (None, 0.0)
    assert study.compare_splits and study.seed == 42 and not study.variants
    # A fifth of all is the test; a fifth of the rest chooses the epoch, as a fifth of all did there.
    assert split.test == 0.2
    assert split.validation / (1 - split.test) == pytest.approx(0.2)


def test_the_networks_of_clothes_are_trained_as_their_notebook_trains_them():
    """Cells 12 and 23: batches of 32, Keras' rate, 128 pixels, seed 111, weights of the last epoch."""
    study = STUDIES["clothes"]
    first, second = (next(one for one in study.variants if one.name == f"network-{k}") for k in (1, 2))
    for variant, epochs, published in ((first, 20, 0.6586), (second, 100, 0.7446)):
        (phase,) = variant.phases
        assert (phase.optimizer, phase.learning_rate, phase.batch_size, phase.epochs) == ("adam", 1e-3, 32, epochs)
        assert (phase.keep, phase.trainable, variant.published) == ("last", "everything", published)
        assert (variant.model.weights, variant.model.scaling, variant.model.augmentation) == (None, "0 to 1", {})
    assert (first.phases[0].schedule, first.phases[0].patience) == ("constant", None)
    (phase,) = second.phases
    assert (phase.schedule, phase.patience, phase.least_gain) == ("plateau", 10, 1e-3)
    assert phase.plateau == Plateau(factor=0.3, patience=5, lowest=1e-5, least_gain=1e-4)
    assert (study.model.image_size, study.seed, study.split.protocol) == ((128, 128), 111, "published")


def test_the_plates_train_on_a_fifth_as_the_notebook_does_and_on_four_as_its_text_says():
    """Cells 13 and 14: train_size = .2, random_state 13; of the source's 1,111 images 222 train."""
    splits = {one.name: one.split for one in STUDIES["licence-plates"].variants if one.split}
    assert {name: (split.validation, split.draw, split.seed) for name, split in splits.items()} == {
        "twenty-eighty": (0.8, "shuffled", 13),
        "eighty-twenty": (0.2, "shuffled", 13),
    }
