"""The heat lies where the evidence is: compared with class activation maps and with networks made by hand."""

import numpy as np
import pytest

from casestudy.errors import DataError
from casestudy.models.gradcam import grad_cam
from casestudy.models.network import build_network
from casestudy.study import ModelSpec

AUGMENTED = {"rotation": 0.1, "brightness": 0.3}


def network(name="small_cnn", size=32, classes=3, **options):
    from casestudy.models.backend import keras

    keras.utils.set_random_seed(5)
    spec = ModelSpec(name, weights=None, dropout=0.5, **options)
    return build_network(spec, input_shape=(size, size, 3), num_classes=classes, weights=None)


@pytest.fixture(scope="module")
def photographs():
    return np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), np.uint8)


def test_at_the_last_map_it_is_class_activation_mapping(photographs):
    """Zhou et al. 2016: the map weighted by the label's row of the softmax layer, positive part."""
    from casestudy.models.backend import keras

    model, labels = network(augmentation=AUGMENTED), np.array([0, 1, 2, 0, 1])
    scale, base, head = (model.get_layer(name) for name in ("preprocessing", "base", "probabilities"))
    head.kernel.assign(head.kernel + 0.1)  # so that something speaks for most labels
    maps = keras.ops.convert_to_numpy(base(scale(photographs.astype("float32")), training=False))
    kernel = keras.ops.convert_to_numpy(head.kernel)
    expected = np.maximum(np.einsum("nhwc,nc->nhw", maps, kernel.T[labels]), 0)
    expected /= np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-12)
    assert expected.max(axis=(1, 2)).tolist().count(1) >= 2
    found = grad_cam(model, photographs, labels, cells=2)
    assert found.shape == (5, 2, 2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_heat_lies_in_the_corner_that_decides():
    from casestudy.models.backend import keras

    model = network(size=64)
    head = model.get_layer("probabilities")
    base = model.get_layer("base")
    for layer in base.layers:
        if isinstance(layer, keras.layers.Conv2D):  # each channel passes its own neighbourhood on, brighter is more
            kernel = np.zeros(layer.kernel.shape, "float32")
            kernel[1, 1, 0, 0] = 1
            layer.kernel.assign(kernel)
    weights = np.zeros(head.kernel.shape, "float32")
    weights[0, 1] = 1
    head.kernel.assign(weights)
    dark = np.zeros((1, 64, 64, 3), np.uint8)
    dark[0, :16, 48:] = 255
    heat = grad_cam(model, dark, np.array([1]), cells=8)[0]
    assert heat.shape == (8, 8)
    assert heat[:2, 6:].max() == 1
    assert heat.sum() == heat[:2, 6:].sum()
    assert not grad_cam(model, dark, np.array([2])).any()  # nothing speaks for it


def test_a_saturated_softmax_has_a_map_too(photographs):
    model = network()
    head = model.get_layer("probabilities")
    before = grad_cam(model, photographs, np.zeros(5, int), cells=4)
    head.bias.assign([500.0, 0.0, 0.0])
    assert model.predict_on_batch(photographs.astype("float32"))[:, 0].min() == 1.0
    assert (grad_cam(model, photographs, np.zeros(5, int), cells=4) == before).all()
    assert before.max() == 1


def test_one_by_one_gives_what_the_batch_gives(photographs, monkeypatch):
    from casestudy.models import gradcam

    model, labels = network(), np.array([2, 1, 0, 2, 1])
    whole = grad_cam(model, photographs, labels)
    monkeypatch.setattr(gradcam, "BATCH", 1)
    np.testing.assert_allclose(grad_cam(model, photographs, labels), whole, atol=1e-5)


def test_cells_choose_the_deepest_map_that_is_fine_enough(photographs):
    model = network()
    labels = np.zeros(5, int)
    assert grad_cam(model, photographs, labels, cells=4).shape == (5, 4, 4)
    assert grad_cam(model, photographs, labels).shape == (5, 8, 8)
    assert grad_cam(model, photographs, labels, cells=99).shape == (5, 32, 32)  # the finest there is


def test_in_a_residual_network_it_cuts_between_blocks(residual, photographs):
    model = network(residual, augmentation=AUGMENTED)
    assert grad_cam(model, photographs, np.zeros(5, int), cells=7).shape == (5, 16, 16)


def test_padding_is_no_map(residual, photographs):
    """Its rim lies outside the photograph: enlarged to it, the heat would be in the wrong place."""
    assert network(residual).get_layer("base").get_layer("pad").output.shape[1] == 34
    assert grad_cam(network(residual), photographs, np.zeros(5, int), cells=20).shape == (5, 16, 16)


def test_a_network_without_a_map_is_refused(photographs):
    with pytest.raises(DataError, match=r"convolutional base.*the model dense has none"):
        grad_cam(network("dense"), photographs, np.zeros(5, int))


def test_what_speaks_against_a_label_is_no_heat(photographs):
    """Maps are never negative, so with a negative row of the softmax layer nothing speaks for the label."""
    model = network()
    head = model.get_layer("probabilities")
    head.kernel.assign(-np.abs(np.asarray(head.kernel)))
    assert not grad_cam(model, photographs, np.array([0, 1, 2, 0, 1]), cells=2).any()
    head.kernel.assign(np.abs(np.asarray(head.kernel)))
    assert grad_cam(model, photographs, np.array([0, 1, 2, 0, 1]), cells=2).any()
