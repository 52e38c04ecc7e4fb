"""Quantised weights: the values are the ones computed by hand, the bytes always the same, and what is wrong is said."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from casestudy.errors import WeightsError
from casestudy.models.quantised import load_quantised, quantise, write_quantised
from casestudy.models.weights import SIGNS_FILE, SIGNS_SHA256

PUBLISHED = Path(__file__).resolve().parents[1] / SIGNS_FILE


def network(filters=4, size=8):
    """Every kind of weight there is: a kernel, a bias, BatchNormalization, a depthwise and a dense kernel."""
    from casestudy.models.backend import keras

    layers = keras.layers
    inputs = keras.Input((size, size, 3))
    x = layers.Conv2D(filters, 3)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, use_bias=False)(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def filled(model, seed=0):
    chance = np.random.default_rng(seed)
    model.set_weights([chance.normal(0, 1 + k, value.shape) for k, value in enumerate(model.get_weights())])
    return model


def beginning(model):
    """The model's first convolution and its BatchNormalization."""
    from casestudy.models.backend import keras

    return keras.Model(model.inputs, model.layers[2].output)


@pytest.fixture(scope="module")
def source():
    return filled(network())


@pytest.fixture
def stored(source, tmp_path):
    return write_quantised(source, tmp_path / "mine.npz")


def test_a_small_kernel_by_hand():
    kernel = np.array(
        # scale 0.5, so halves of it are ties; then zeros; then the sign decides nothing; then tiny beside large
        [[63.5, 0.0, -12.7, 1e-3], [0.25, 0.0, 1.27, -254.0], [0.75, 0.0, 0.0, 1.5], [-1.25, 0.0, 12.6, 3.1]]
    )
    values, scale = quantise(kernel)
    assert values.dtype == np.int8
    assert scale.dtype == np.float32
    np.testing.assert_allclose(scale, [[0.5, 1.0, 0.1, 2.0]], rtol=1e-6)
    assert values.tolist() == [[127, 0, -127, 0], [0, 0, 13, -127], [2, 0, 0, 1], [-2, 0, 126, 2]]


@pytest.mark.parametrize(
    ("shape", "scales"), [((5, 7), (1, 7)), ((3, 3, 4, 6), (1, 1, 1, 6)), ((3, 3, 6, 1), (1, 1, 6, 1))]
)
def test_no_value_moves_by_more_than_half_a_step(shape, scales):
    kernel = np.random.default_rng(1).standard_t(2, shape).astype("float32")
    kernel[..., 0] *= 1e-30  # a channel, or all of a depthwise kernel, of very small numbers
    values, scale = quantise(kernel)
    assert scale.shape == scales
    moved = np.abs(values.astype("float64") * scale - kernel)
    assert (moved <= scale.astype("float64") * 0.50001).all()
    others = tuple(axis for axis, length in enumerate(scales) if length == 1)
    assert (np.abs(values).max(axis=others) == 127).all()
    assert not quantise(np.zeros(shape))[0].any()


def test_what_was_written_is_loaded(source, stored):
    other = filled(network(), seed=1)
    load_quantised(other, stored, sha256=hashlib.sha256(stored.read_bytes()).hexdigest())
    for theirs, ours in zip(source.get_weights(), other.get_weights(), strict=True):
        assert ours.dtype == np.float32
        if theirs.ndim == 1:
            np.testing.assert_array_equal(ours, theirs)
        else:
            np.testing.assert_allclose(ours, theirs, atol=np.abs(theirs).max() / 127 * 0.50001)
            assert not np.array_equal(ours, theirs)
    larger = network(size=12)  # the weights of a convolutional base do not depend on the size of its images
    load_quantised(larger, stored)
    np.testing.assert_array_equal(larger.get_weights()[0], other.get_weights()[0])
    again = write_quantised(other, stored.with_name("again.npz"))
    assert [v.tolist() for v in np.load(again).values()] == [v.tolist() for v in np.load(stored).values()]


def test_the_same_weights_give_the_same_bytes(source, stored, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *args: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    twin = network()
    twin.set_weights(source.get_weights())
    assert [layer.name for layer in twin.layers] != [layer.name for layer in source.layers]
    assert write_quantised(twin, stored.with_name("twin.npz")).read_bytes() == stored.read_bytes()
    assert sorted(path.name for path in stored.parent.iterdir()) == ["mine.npz", "twin.npz"]


def test_the_file_is_plain_arrays(source, stored):
    with zipfile.ZipFile(stored) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    with np.load(stored, allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        kinds = [arrays[f"{k:03}"].dtype.name for k in range(len(source.weights))]
    assert about["schema_version"] == 1
    roles = ["kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "kernel", "kernel", "bias"]
    assert about["roles"] == roles
    assert kinds == ["int8" if role == "kernel" else "float32" for role in roles]


def test_a_byte_that_changed_is_found(source, stored):
    pinned = hashlib.sha256(stored.read_bytes()).hexdigest()
    data = bytearray(stored.read_bytes())
    data[len(data) // 2] ^= 1
    stored.write_bytes(data)
    with pytest.raises(WeightsError, match=rf"SHA-256 {pinned[:12]}.*damaged or not the published file.*git"):
        load_quantised(network(), stored, sha256=pinned)
    with pytest.raises(WeightsError, match=r"mine\.npz is none \(BadZipFile"):  # the archive has checksums of its own
        load_quantised(network(), stored)


@pytest.mark.parametrize("content", ["missing", "empty", "text", "array", "pickle", "nothing", "newer", "lacking"])
def test_what_is_no_such_file_is_one_line(content, tmp_path, stored):
    file = tmp_path / "other.npz"
    arrays = dict(np.load(stored))
    if content == "empty":
        file.write_bytes(b"")
    elif content == "text":
        file.write_text("two\nlines")
    elif content == "array":
        with file.open("wb") as opened:
            np.save(opened, np.zeros(3))
    elif content == "pickle":
        np.savez(file, **arrays | {"000": np.array([{"a": 1}], dtype=object)})
    elif content == "nothing":
        np.savez(file, weights=np.zeros(3))
    elif content == "newer":
        np.savez(file, **arrays | {"about": np.array(json.dumps({"schema_version": 2, "roles": []}))})
    elif content == "lacking":
        np.savez(file, **{name: array for name, array in arrays.items() if name != "003"})
    model = filled(network())
    before = model.get_weights()
    with pytest.raises(WeightsError, match=r"other\.npz") as caught:
        load_quantised(model, file)
    assert "\n" not in str(caught.value)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_another_architecture_is_refused(stored):
    model = filled(network(filters=5))
    shorter = beginning(network())
    before = model.get_weights()
    with pytest.raises(WeightsError, match=r"number 0 in .* is kernel \(3, 3, 3, 4\), the model's is kernel .*5\)"):
        load_quantised(model, stored)
    with pytest.raises(WeightsError, match=r"number 6 in .* is kernel .*, the model's is none"):
        load_quantised(shorter, stored)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_numbers_that_are_none_are_not_written(tmp_path):
    model = filled(network())
    values = model.get_weights()
    values[3][0] = np.nan
    model.set_weights(values)
    with pytest.raises(WeightsError, match="finite"):
        write_quantised(model, tmp_path / "mine.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the weights are not published yet")
def test_the_published_weights_are_whole_and_fit():
    data = PUBLISHED.read_bytes()
    assert hashlib.sha256(data).hexdigest() == SIGNS_SHA256
    assert len(data) <= 26e6
    from casestudy.models.network import MODELS

    base = MODELS["resnet50v2"](input_shape=(32, 32, 3), weights=None)
    load_quantised(base, PUBLISHED, sha256=SIGNS_SHA256)
    assert all(np.isfinite(value).all() for value in base.get_weights())
