"""What a phase freezes is frozen, and a cut model computes what the whole one does."""

import dataclasses
import types

import numpy as np
import pytest

from casestudy.errors import DataError
from casestudy.study import ModelSpec, Phase, SplitSpec

SHAPE = (32, 32, 3)


def build(name):
    from casestudy.models.network import build_network

    return build_network(ModelSpec(name, dropout=0.3), input_shape=SHAPE, num_classes=3, weights=None)


def trainable_kernels(base):
    return [layer.name for layer in base.layers if layer.trainable and hasattr(layer, "kernel")]


def test_each_wish_freezes_what_it_says(residual):
    from casestudy.training.stages import batch_norms, set_trainable

    model = build(residual)
    base = model.get_layer("base")
    kernels = ["stem", "conv0", "conv1", "conv2"]
    # In any order: what one phase froze, the next one must be able to train.
    for wish, expected in (
        ("head", []),
        ("all", kernels),
        ("top:7", kernels[2:]),  # norm1 is frozen and counted
        ("top:3", kernels[3:]),
        ("top:2", []),
        ("top:9", kernels[2:]),
        ("all", kernels),
        (f"top:{len(base.layers)}", kernels),
        ("top:0", []),
        ("all", kernels),
    ):
        set_trainable(model, wish)
        assert trainable_kernels(base) == expected, wish
        assert len(base.trainable_variables) == 2 * len(expected)
        assert not any(layer.trainable for layer in batch_norms(model))
        assert len(model.get_layer("probabilities").trainable_variables) == 2


@pytest.mark.parametrize("wish", ["", "base", "top", "top:", "top:-1", "top:x", "all:3", "top:17"])
def test_other_wishes_are_refused(wish, residual):
    from casestudy.training.stages import set_trainable

    with pytest.raises(DataError, match=f"received '{wish}'"):
        set_trainable(build(residual), wish)


def test_wherever_it_is_cut_the_halves_make_the_whole(residual):
    from casestudy.training.stages import set_trainable, split_model

    pixels = np.random.default_rng(0).integers(0, 256, (4, *SHAPE)).astype("float32")
    model = build(residual)
    base = model.get_layer("base")
    whole = np.asarray(model(pixels))
    ends = {}
    for count in range(len(base.layers) + 1):
        set_trainable(model, f"top:{count}")
        beginning, end = split_model(model)
        assert len(end.trainable_variables) == len(model.trainable_variables)
        if beginning is None:
            assert end is model
            continue
        assert beginning.trainable_variables == []
        ends[count] = end
        np.testing.assert_allclose(np.asarray(end(beginning(pixels))), whole, atol=1e-6)
    # Only the ends of blocks can be cut, and mere padding is not worth it.
    assert max(ends) == len(base.layers) - 3
    assert {len(end.trainable_variables) for end in ends.values()} == {2, 4, 6, 8}


@pytest.mark.parametrize(("name", "count"), [("mobilenet_v2_0.35", 30), ("resnet50v2", 35)])
def test_published_networks_can_be_cut(name, count):
    from casestudy.training.stages import set_trainable, split_model

    pixels = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")
    model = build(name)
    set_trainable(model, "all")
    assert split_model(model)[0] is None
    set_trainable(model, f"top:{count}")
    for _ in range(2):  # a run that goes on cuts once more
        beginning, end = split_model(model)
    np.testing.assert_allclose(np.asarray(end(beginning(pixels))), np.asarray(model(pixels)), rtol=1e-4, atol=1e-6)
    set_trainable(model, "head")
    beginning, end = split_model(model)
    assert beginning.output.shape == (None, model.get_layer("base").output.shape[-1])
    np.testing.assert_allclose(np.asarray(end(beginning(pixels))), np.asarray(model(pixels)), rtol=1e-4, atol=1e-6)


def test_the_end_is_the_whole_models_own(residual):
    from casestudy.training.stages import set_trainable, split_model

    model = build(residual)
    set_trainable(model, "top:3")
    _, end = split_model(model)
    own = {id(variable) for variable in model.variables}
    assert {id(variable) for variable in end.variables} <= own
    kernel = model.get_layer("base").get_layer("conv2").kernel
    assert any(variable is kernel for variable in end.trainable_variables)


def test_features_are_those_of_the_images_asked_for(residual, make_images, tmp_path, monkeypatch):
    from casestudy.training import stages
    from casestudy.training.stages import compute_features, set_trainable, split_model

    images = make_images().images
    model = build(residual)
    set_trainable(model, "head")
    beginning, _ = split_model(model)
    indices = np.array([40, 3, 17])
    monkeypatch.setattr(stages, "PREDICT_BATCH", 2)
    done = []
    found = compute_features(beginning, images, indices, tmp_path / "features.npy", done=done.append)
    assert done == [2, 1]
    assert isinstance(found, np.memmap)
    np.testing.assert_allclose(found, np.asarray(beginning(images[indices].astype("float32"))), atol=1e-6)


def test_views_are_augmented_validation_is_not(residual, make_images, tmp_path):
    from casestudy.data import split_images
    from casestudy.models import build_model
    from casestudy.training.stages import set_trainable, split_model, stage_for

    images = make_images()
    splits = split_images(images, SplitSpec("signer"), seed=0)
    spec = ModelSpec(residual, augmentation={"shift": 0.3})
    model = build_model(spec, images, seed=0, weights=None)
    set_trainable(model, "head")
    phase = Phase("head", "head", epochs=1, learning_rate=1e-3, views=3)
    stages = []
    for k, seed in enumerate((5, 5, 6)):
        (tmp_path / str(k)).mkdir()
        stages.append(stage_for(model, splits, phase, tmp_path / str(k), seed=seed))
    one, same, other = stages
    beginning, _ = split_model(model)
    plain = np.asarray(beginning(images.images[splits.validation].astype("float32")))
    np.testing.assert_allclose(one.validation, plain, atol=1e-6)
    assert len(one.train) == 3
    for k in range(3):
        np.testing.assert_array_equal(one.train[k], same.train[k])
        assert np.abs(one.train[k] - other.train[k]).max() > 1e-3
        assert np.abs(one.train[k] - one.train[(k + 1) % 3]).max() > 1e-3


def test_batch_norm_is_estimated_from_training_images_alone(make_images):
    """The statistics of the first layer by hand, over batches of 64; what is held out changes none of them."""
    from casestudy.data import split_images
    from casestudy.models import build_model
    from casestudy.training.stages import estimate_batch_norms

    images = make_images(signers=8, takes=5)
    splits = split_images(images, SplitSpec("signer"), seed=0)
    pixels = images.images.copy()
    pixels[splits.validation], pixels[splits.test] = 0, 255
    blinded = dataclasses.replace(splits, images=dataclasses.replace(images, images=pixels))
    models = [build_model(ModelSpec("small_cnn"), images, seed=3, weights=None) for _ in range(2)]
    for model, known in zip(models, (splits, blinded), strict=True):
        estimate_batch_norms(model, known, seed=5)
    one, other = models
    for mine, theirs in zip(one.get_layer("base").variables, other.get_layer("base").variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    convolution, norm = one.get_layer("base").layers[1:3]
    order = np.random.default_rng(5).permutation(splits.train)
    assert len(order) > 64
    responses = [
        np.asarray(convolution(images.images[part].astype("float32") / 127.5 - 1)) for part in (order[:64], order[64:])
    ]
    mean = np.mean([response.mean(axis=(0, 1, 2)) for response in responses], axis=0)
    variance = np.mean([response.var(axis=(0, 1, 2)) for response in responses], axis=0)
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-4, atol=1e-5)


def test_frozen_features_are_the_networks_own_and_not_augmented(make_images, tmp_path):
    from casestudy.data import split_images
    from casestudy.models import build_model, keras
    from casestudy.training import frozen_features
    from casestudy.training.stages import estimate_batch_norms

    images = make_images()
    splits = split_images(images, SplitSpec("signer"), seed=0)
    spec = ModelSpec("small_cnn", weights=None, augmentation={"shift": 0.3, "brightness": 0.5})
    found = frozen_features(spec, splits, seed=4, target=tmp_path / "features.npy")
    model = build_model(spec, images, seed=4)
    estimate_batch_norms(model, splits, seed=4)
    pooled = keras.Model(model.inputs, model.get_layer("pooling").output)
    expected = pooled.predict_on_batch(np.asarray(images.images, "float32"))
    assert found.shape == (len(images), 256)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_reseeding_decides_what_is_random():
    from casestudy.training.stages import reseed

    model = build("small_cnn")
    pixels = np.random.default_rng(0).integers(0, 256, (8, *SHAPE)).astype("float32")

    def drawn(*entropy):
        reseed(model, *entropy)
        return np.asarray(model.get_layer("dropout")(np.ones((8, 256), "float32"), training=True))

    np.testing.assert_array_equal(drawn(1, 0, 2), drawn(1, 0, 2))
    assert (drawn(1, 0, 2) != drawn(1, 0, 3)).any()
    assert (drawn(1, 0, 2) != drawn(2, 0, 2)).any()
    assert np.isfinite(np.asarray(model(pixels))).all()


def test_so_many_images_are_enough_for_statistics(make_images, monkeypatch):
    """The first ones in the order of the seed, and no others."""
    from casestudy.data import split_images
    from casestudy.training import stages

    splits = split_images(make_images(signers=4, takes=3), SplitSpec("signer"), seed=0)
    seen = []
    monkeypatch.setattr(stages, "ESTIMATION_IMAGES", 5)
    monkeypatch.setattr(stages, "estimate_batch_norm", lambda base, batches: seen.extend(batches))
    monkeypatch.setattr(stages, "batch_norms", lambda base: [base])
    model = types.SimpleNamespace(get_layer=lambda name: lambda pixels: pixels)
    stages.estimate_batch_norms(model, splits, seed=3)
    expected = splits.images.images[np.random.default_rng(3).permutation(splits.train)[:5]]
    np.testing.assert_array_equal(np.concatenate(seen), expected)
