"""Every architecture is the one that its study describes, learns from random numbers, and outlives its program."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest

from casestudy.choices import ARCHITECTURES
from casestudy.data import split_images
from casestudy.errors import DataError, RunError, WeightsError
from casestudy.study import ModelSpec, Phase, SplitSpec, Study

# MobileNetV2 says which of its published sizes it takes for another one.
pytestmark = pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")

SHAPE = (28, 28, 1)
AUGMENTATION = {"rotation": 20 / 360, "shift": 0.1, "zoom": 0.2}
UPSAMPLE = {"upsample": {"filters": 3, "factor": 4}}


def build(name, classes=47, *, shape=SHAPE, dropout=0.0, **settings):
    from casestudy.models.network import build_network

    spec = ModelSpec(name, weights=None, dropout=dropout, **settings)
    return build_network(spec, input_shape=shape, num_classes=classes, weights=None)


def kinds(model):
    return [type(layer).__name__ for layer in model.get_layer("base").layers]


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, *SHAPE)).astype("float32")


@pytest.mark.parametrize(
    ("name", "options", "classes", "count"),
    [
        # By hand: convolutions, then what is left of the image times Dense, then the rest.
        ("plates_cnn", {"batch_norm": True}, 36, 92_672 + 4 * (32 + 64 + 128) + (4 * 4 * 128 + 1) * 36),
        ("plain_cnn", {"units": [128, 64]}, 10, 92_672 + 1153 * 128 + 129 * 64 + 65 * 10),
        ("plain_cnn", {}, 24, 92_672 + 129 * 24),
        ("dense", {"size": [10, 20], "units": [30]}, 24, 201 * 30 + 31 * 24),
        # 3x3 kernels without biases, four numbers a channel for BatchNormalization, and the softmax.
        (
            "compact_cnn",
            {},
            47,
            9 * (32 + 32 * 64 + 2 * 64**2 + 64 * 128 + 2 * 128**2) + 4 * (32 + 192 + 384) + 129 * 47,
        ),
    ],
)
def test_parameters_are_counted(name, options, classes, count):
    assert build(name, classes, options=options).count_params() == count


@pytest.mark.parametrize("classes", [10, 36, 47])
@pytest.mark.parametrize("pooling", ["average", "both"])
def test_ours_is_small(classes, pooling):
    assert build("compact_cnn", classes, options={"pooling": pooling}).count_params() <= 500_000


def test_every_architecture_has_a_name_that_the_command_line_knows():
    from casestudy.models.architectures import MODELS

    assert list(MODELS) == list(ARCHITECTURES)


@pytest.mark.parametrize(
    "name", ["small_cnn", "dense", "plain_cnn", "clothes_cnn", "fashion_cnn", "plates_cnn", "compact_cnn"]
)
def test_grey_pixels_become_probabilities(name, pixels):
    model = build(name, 5)
    found = model.predict_on_batch(pixels)
    assert found.shape == (6, 5)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert np.ptp(found, axis=0).max() > 0  # not the same for every image
    is_map = len(model.get_layer("base").output.shape) == 4
    assert ("pooling" in [layer.name for layer in model.layers]) == is_map


def test_the_scaling_is_the_specs(pixels):
    ends = np.array([0, 51, 255], "float32").reshape(1, 1, 3, 1)
    for scaling, expected in (("-1 to 1", [-1, -0.6, 1]), ("0 to 1", [0, 0.2, 1])):
        layer = build("plain_cnn", scaling=scaling).get_layer("preprocessing")
        np.testing.assert_allclose(np.ravel(layer(ends)), expected, atol=1e-6)
    with pytest.raises(DataError, match=r"-1 to 1, 0 to 1; received '0-255'"):
        build("plain_cnn", scaling="0-255")


def test_upsampling_repeats_no_pixel_twice(pixels):
    """With strides as wide as the kernel every pixel becomes one block of F x F, and none overlap."""
    base = build("mobilenet_v2_0.35", options=UPSAMPLE).get_layer("base")
    layer = base.get_layer("upsample")
    kernel = np.asarray(layer.kernel)  # (4, 4, 3, 1)
    blocks = np.einsum("nhwc,yxfc->nhywxf", pixels, kernel).reshape(6, 112, 112, 3)
    np.testing.assert_allclose(np.asarray(layer(pixels)), blocks, rtol=1e-4, atol=1e-3)
    assert build("mobilenet_v2_0.35", shape=(20, 28, 1), options=UPSAMPLE).input_shape == (None, 20, 28, 1)


def test_batch_normalization_averages_over_as_many_steps_as_it_is_told(pixels):
    from casestudy.models.backend import keras
    from casestudy.training.stages import batch_norms

    own, told = (build("mobilenet_v2_0.35", options={**UPSAMPLE, **more}) for more in ({}, {"momentum": 0.9}))
    assert {layer.momentum for layer in batch_norms(own)} == {0.999}
    assert {layer.momentum for layer in batch_norms(told)} == {0.9}
    first = told.get_layer("base").get_layer("bn_Conv1")
    before = np.asarray(first.moving_mean)
    inside = keras.Model(told.get_layer("base").inputs, first.input)
    told(pixels, training=True)
    expected = 0.9 * before + 0.1 * np.asarray(inside([pixels / 127.5 - 1])).mean((0, 1, 2))
    np.testing.assert_allclose(np.asarray(first.moving_mean), expected, rtol=1e-4, atol=1e-6)


def test_the_dense_baseline_is_penalised_and_knows_one_size():
    model = build("dense", 3, shape=(20, 30, 3), options={"size": [8, 8], "units": [16, 5]})
    first, second = model.get_layer("base").layers[-2:]
    assert first.kernel.shape == (8 * 8 * 3, 16)
    expected = 0.01 * sum((np.asarray(layer.kernel) ** 2).sum() for layer in (first, second))
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_the_studys_layers_are_there():
    plates = build("plates_cnn", 36, options={"batch_norm": True})
    block = ["Conv2D", "BatchNormalization", "LeakyReLU", "MaxPooling2D", "Dropout"]
    assert kinds(plates)[1:] == [*block, *block, *block, "Flatten", "LeakyReLU"]
    layers = plates.get_layer("base").layers
    assert [layer.rate for layer in layers if hasattr(layer, "rate")] == [0.25, 0.25, 0.4]
    assert {layer.negative_slope for layer in layers if "LeakyReLU" in type(layer).__name__} == {0.1}
    assert "BatchNormalization" not in kinds(build("plates_cnn", 36)) + kinds(build("plain_cnn"))


@pytest.mark.parametrize("residual", [True, False])
def test_a_block_that_has_learnt_nothing_passes_on_what_it_got(residual, pixels):
    from casestudy.training.stages import batch_norms

    options = {"widths": [8], "pools": [1], "residual": residual}
    model = build("compact_cnn", options={**options, "blocks": [2]})
    stem = build("compact_cnn", options={**options, "blocks": [0]}).get_layer("base")
    base = model.get_layer("base")
    for mine, theirs in zip(base.variables, stem.variables, strict=False):
        mine.assign(theirs)
    for layer in batch_norms(base)[1:]:
        layer.gamma.assign(np.zeros(8))
    expected = np.asarray(stem(pixels)) if residual else np.zeros((6, 28, 28, 8))
    np.testing.assert_array_equal(np.asarray(base(pixels)), expected)


def test_both_poolings_are_averages_and_maxima(pixels):
    small = {"widths": [8], "pools": [2], "blocks": [1]}
    one, both = (build("compact_cnn", options={**small, "pooling": word}) for word in ("average", "both"))
    both.get_layer("base").set_weights(one.get_layer("base").get_weights())
    heights = np.asarray(one.get_layer("base")(pixels))
    expected = np.concatenate([heights.mean(axis=(1, 2)), heights.max(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(np.asarray(both.get_layer("base")(pixels)), expected, rtol=1e-5, atol=1e-5)


def test_separable_convolutions_are_smaller():
    base = build("compact_cnn", options={"separable": True}).get_layer("base")
    assert [layer for layer in kinds(build("compact_cnn", options={"separable": True})) if "Conv" in layer] == [
        "Conv2D",  # of the pixels
        *["SeparableConv2D"] * 6,
    ]
    separable = sum(9 * a + a * b for a, b in ((32, 64), (64, 64), (64, 64), (64, 128), (128, 128), (128, 128)))
    assert base.count_params() == 288 + separable + 4 * (32 + 192 + 384)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("compact_cnn", {"pooling": "max"}, '"average" or "both"; received \'max\''),
        ("compact_cnn", {"widths": [8, 16]}, "zip"),
        ("plain_cnn", {"nonesuch": 1}, "nonesuch"),
        ("plain_cnn", {"filters": [8] * 6}, r"images of 28x28 .* leaves nothing of them"),
        ("plain_cnn", {"filters": [8] * 5, "units": [8]}, r"leaves nothing of them"),
    ],
)
def test_wrong_options_are_one_line(name, options, reason):
    with pytest.raises(DataError, match=reason) as caught:
        build(name, options=options)
    assert "\n" not in str(caught.value)


def test_what_starts_from_random_numbers_takes_no_weights():
    from casestudy.models.network import build_network

    with pytest.raises(WeightsError, match="compact_cnn starts from random weights; received 'imagenet'"):
        build_network(ModelSpec("compact_cnn"), input_shape=SHAPE, num_classes=3, weights="imagenet")
    spec = ModelSpec("mobilenet_v2", options=UPSAMPLE)
    with pytest.raises(WeightsError, match="follows an upsampling layer"):
        build_network(spec, input_shape=SHAPE, num_classes=3, weights="imagenet")


def test_a_study_with_options_survives_json(small_study):
    model = ModelSpec("compact_cnn", scaling="0 to 1", options={"widths": [8, 16], "pools": [2, 2], "blocks": [0, 1]})
    study = dataclasses.replace(small_study, model=model)
    again = Study.from_json(json.loads(json.dumps(study.to_json())))
    assert again == study
    assert build("compact_cnn", options=again.model.options).count_params() > 0
    earlier = study.to_json()
    del earlier["model"]["scaling"]  # written before there was a choice
    assert Study.from_json(earlier).model.scaling == "-1 to 1"


# Training from random numbers


@pytest.fixture(scope="module")
def splits(make_images):
    return split_images(make_images(signers=4, takes=3), SplitSpec("signer"), seed=1)


def run(splits, spec, phases, **options):
    """Returns the model and its history: built from random numbers, and trained in the phases one by one."""
    from casestudy.models import build_model
    from casestudy.training import train

    model = build_model(spec, splits.images, seed=7, weights=None)
    for phase in phases:
        history = train(model, splits, phase, seed=7, **options)
    return model, history


SPEC = ModelSpec("plates_cnn", dropout=0.3, options={"filters": [4, 4], "dropout": [0.2, 0.2], "batch_norm": True})
EVERYTHING = (Phase("train", "everything", epochs=2, learning_rate=1e-2, batch_size=8),)


def test_everything_is_everything(pixels):
    """A step moves each moving mean a hundredth of the way to the batch's, worked out by hand."""
    from casestudy.training.stages import batch_norms, set_trainable, split_model

    model = build("small_cnn", 3, shape=(32, 32, 1))
    base = model.get_layer("base")
    set_trainable(model, "everything")
    assert len(model.trainable_variables) == 4 * 3 + 2  # kernel, gamma, beta of each block
    assert split_model(model) == (None, model)
    batch = np.random.default_rng(1).integers(0, 256, (9, 32, 32, 1)).astype("float32")
    response = np.asarray(base.layers[1](batch / 127.5 - 1))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(batch, np.arange(9) % 3, batch_size=9, verbose=0)
    first = base.layers[2]
    np.testing.assert_allclose(first.moving_mean, 0.01 * response.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-6)
    assert np.abs(np.asarray(first.gamma) - 1).max() > 0
    set_trainable(model, "all")
    assert len(model.trainable_variables) == 4 + 2
    assert not any(layer.trainable for layer in batch_norms(model))


def test_batch_norm_learns_with_everything_and_with_nothing_else(splits):
    _, changed = run(splits, SPEC, EVERYTHING)
    assert changed.batch_norm_change > 1e-3
    assert changed.largest_change["train"]["Conv2D"] > 0
    _, frozen = run(splits, SPEC, (Phase("train", "all", epochs=1, learning_rate=1e-2),))
    assert frozen.batch_norm_change == 0.0


def test_dropout_in_the_base_works_in_training_only(pixels):
    from casestudy.models.backend import keras
    from casestudy.training.stages import set_trainable

    model = build("plates_cnn", 3)  # without the head's dropout
    set_trainable(model, "everything")
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    labels = np.arange(6) % 3

    def loss():
        return model.fit(pixels, labels, batch_size=6, verbose=0).history["loss"][0]

    assert loss() != loss()
    without = model.evaluate(pixels, labels, verbose=0)
    assert without == model.evaluate(pixels, labels, verbose=0)
    np.testing.assert_array_equal(model.predict(pixels, verbose=0), model.predict(pixels, verbose=0))
    for layer in model.get_layer("base").layers:
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    assert loss() == pytest.approx(without, rel=1e-5)


def test_a_killed_training_of_everything_goes_on(splits, monkeypatch, tmp_path):
    from casestudy.training import phases as training

    real, (model, whole) = training.fit_epoch, run(splits, SPEC, EVERYTHING)

    def killed_in_the_second(*args, entropy, **options):
        logs = real(*args, entropy=entropy, **options)
        if entropy[-1] == 1:
            raise RunError("killed")
        return logs

    with monkeypatch.context() as patch:
        patch.setattr(training, "fit_epoch", killed_in_the_second)
        with pytest.raises(RunError, match="killed"):
            run(splits, SPEC, EVERYTHING, checkpoints=tmp_path)
    again, resumed = run(splits, SPEC, EVERYTHING, checkpoints=tmp_path)
    assert resumed.history.to_dict("records") == whole.history.to_dict("records")
    for mine, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_flat_features_are_cached_like_maps(splits):
    spec = ModelSpec("fashion_cnn", dropout=0.3, options={"filters": [4], "units": [8]})
    phases = (
        Phase("head", "head", epochs=1, learning_rate=1e-2, batch_size=8),
        Phase("tune", "top:1", epochs=1, learning_rate=1e-2, batch_size=8),
    )
    (model, cached), (other, plain) = (run(splits, spec, phases, cache=cache) for cache in (True, False))
    np.testing.assert_allclose(cached.history["value"], plain.history["value"], atol=1e-5)
    for mine, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


# Files


def unlike_any_fresh_one(model):
    """Gives every variable but the states of random layers a value that no initialiser would have given it."""
    chance = np.random.default_rng(5)
    for variable in model.variables:
        if variable.name != "seed_generator_state":
            variable.assign(chance.uniform(0.05, 0.1, variable.shape))
    return model


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("compact_cnn", {"pooling": "both", "separable": True}),
        ("plates_cnn", {"batch_norm": True}),
        ("dense", {}),
        ("mobilenet_v2_0.35", UPSAMPLE),
    ],
)
def test_a_file_makes_the_same_network(name, options, pixels, tmp_path):
    from casestudy.models import load_model

    model = unlike_any_fresh_one(build(name, 5, augmentation=AUGMENTATION, scaling="0 to 1", options=options))
    expected = model.predict_on_batch(pixels)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras").predict_on_batch(pixels), expected)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_read_back_from_every_kind_of_file(name, tmp_path):
    """As .keras, as JSON beside H5 weights, as the older single file; averaged with its mirror, which adds to it."""
    from casestudy.models import keras, load_model
    from casestudy.models.network import average_with_mirror

    smaller = {"mobilenet_v2": {"alpha": 0.35}, "dense": {"size": [8, 8], "units": [4]}}.get(name, {})
    model = build(name, 3, shape=(32, 32, 3), augmentation=AUGMENTATION, options=smaller)
    for variable in model.variables:  # those that start from random numbers are unlike any others
        if variable.name == "moving_variance":
            variable.assign(np.random.default_rng(2).uniform(0.5, 1.5, variable.shape))
    model = average_with_mirror(model)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    expected = model.predict_on_batch(pixels)
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    model.save_weights(tmp_path / "model.weights.h5")
    by_json = keras.models.model_from_json(model.to_json())
    by_json.load_weights(tmp_path / "model.weights.h5")
    for again in (load_model(tmp_path / "model.keras"), by_json, load_model(tmp_path / "model.h5")):
        np.testing.assert_array_equal(again.predict_on_batch(pixels), expected)
        for theirs, ours in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(theirs, ours)
    for file in tmp_path.iterdir():  # some have a hundred megabytes
        file.unlink()


def test_a_compiled_network_is_read_without_what_it_was_compiled_with(pixels, tmp_path):
    from casestudy.models import load_model

    model = build("plain_cnn", 3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(pixels, np.arange(6) % 3, verbose=0)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert not again.compiled
    np.testing.assert_array_equal(again.predict_on_batch(pixels), model.predict_on_batch(pixels))


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A network whose Lambda layer, once called, leaves a file behind; Keras' own guard is off."""
    from keras.src.saving.serialization_lib import SafeModeScope

    from casestudy.models.backend import keras

    sprung = tmp_path / "sprung"
    monkeypatch.setenv("SPRUNG", str(sprung))
    inputs = keras.Input(SHAPE)
    outputs = keras.layers.Lambda(lambda x: (open(__import__("os").environ["SPRUNG"], "w").close(), x)[1])(inputs)  # noqa: PTH123
    model = keras.Model(inputs, outputs)
    sprung.unlink()
    with SafeModeScope(False):
        yield model, sprung


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("kind", ["model.keras", "model.h5"])
def test_code_in_a_file_is_never_run(kind, trap, tmp_path):
    from casestudy.models import keras, load_model

    model, sprung = trap
    model.save(tmp_path / kind)
    sprung.unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"Keras' own layers; .* holds Lambda") as caught:
        load_model(tmp_path / kind)
    assert "\n" not in str(caught.value)
    assert not sprung.exists()
    if kind == "model.keras":  # the trap is a trap
        keras.saving.load_model(tmp_path / kind, safe_mode=False)
        assert sprung.exists()


@pytest.mark.parametrize(
    "foreign",
    [
        {"module": "os", "class_name": "system", "config": "true", "registered_name": "system"},
        {"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"},
        {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "eval"},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/tmp/x"}},
        {"module": "somewhere", "class_name": "Mine", "config": {}, "registered_name": "Mine"},
        {"module": None, "class_name": "Mine", "config": {}, "registered_name": "Custom>Mine"},
        {"class_name": "__lambda__", "config": {"value": "4w=="}},
        {"module": "keras.src.utils.python_utils", "class_name": "func_load", "config": {}},
    ],
    ids=lambda foreign: foreign["class_name"],
)
def test_what_keras_did_not_make_is_refused_wherever_it_hides(foreign, tmp_path):
    from casestudy.models import load_model

    build("plain_cnn", 3).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    base = next(layer for layer in config["config"]["layers"] if layer["name"] == "base")
    base["config"]["layers"][1]["config"]["activation"] = foreign
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name, data in {**members, "config.json": json.dumps(config)}.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match=f"holds {foreign['class_name']} of ") as caught:
        load_model(tmp_path / "model.keras")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_file_that_holds_no_network_is_one_line(name, tmp_path):
    from casestudy.models import load_model

    (tmp_path / name).write_bytes(b"no network" * 9)
    with pytest.raises(DataError, match="is none") as caught:
        load_model(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("harm", ["no weights", "no architecture", "no JSON", "no network", "another's weights"])
def test_a_file_that_makes_no_whole_is_one_line(harm, tmp_path):
    from casestudy.models import load_model

    for name, filters in (("model.keras", [4, 8]), ("another.keras", [8])):
        build("plain_cnn", 3, options={"filters": filters}).save(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "another.keras") as archive:
        weights = archive.read("model.weights.h5")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if harm == "no weights":
        del members["model.weights.h5"]
    elif harm == "no architecture":
        del members["config.json"]
    elif harm == "another's weights":
        members["model.weights.h5"] = weights
    else:
        members["config.json"] = b"{" if harm == "no JSON" else b"[1]"
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match=r"from a \.keras file; .*model\.keras is none") as caught:
        load_model(tmp_path / "model.keras")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("stride", "sides"), [(1, [32, 16, 8]), (2, [16, 8, 4])])
def test_a_stride_is_of_the_pixels_alone(stride, sides):
    options = {"widths": [4, 6, 8], "pools": [2, 2, 1], "blocks": [0, 0, 0], "stride": stride}
    base, plain = (
        build("compact_cnn", 10, shape=(32, 32, 3), options=settings).get_layer("base")
        for settings in (options, {**options, "stride": 1})
    )
    assert [layer.output.shape[1] for layer in base.layers if type(layer).__name__ == "Conv2D"] == sides
    assert base.count_params() == plain.count_params()
