"""Networks of Keras 2, such as `car_dropout.h5` of the plates' source, are read; the tests write such files by hand."""

import json

import h5py
import numpy as np
import pytest

from casestudy.errors import DataError

INITIALISER = {"class_name": "GlorotUniform", "config": {"seed": None}}
COMMON = {"trainable": True, "dtype": "float32"}


def conv(name, filters, **more):
    config = {"filters": filters, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same"}
    config |= {"data_format": "channels_last", "dilation_rate": [1, 1], "groups": 1, "activation": "linear"}
    config |= {"use_bias": True, "kernel_initializer": INITIALISER, "bias_initializer": {"class_name": "Zeros"}}
    config["bias_initializer"] |= {"config": {}}
    config |= dict.fromkeys(["kernel_regularizer", "bias_regularizer", "activity_regularizer"])
    config |= dict.fromkeys(["kernel_constraint", "bias_constraint"])
    return {"class_name": "Conv2D", "config": {"name": name, **COMMON, **more, **config}}


def block(number, filters, rate, **more):
    end = f"_{number}" if number else ""
    pooling = {"pool_size": [2, 2], "padding": "same", "strides": [2, 2], "data_format": "channels_last"}
    slope = {"name": f"leaky_re_lu{end}", **COMMON, "alpha": 0.10000000149011612}
    return [
        conv(f"conv2d{end}", filters, **more),
        {"class_name": "LeakyReLU", "config": slope},
        {"class_name": "MaxPooling2D", "config": {"name": f"max_pooling2d{end}", **COMMON, **pooling}},
        {
            "class_name": "Dropout",
            "config": {"name": f"dropout{end}", **COMMON, "rate": rate, "noise_shape": None, "seed": None},
        },
    ]


def architecture():
    shape = {"batch_input_shape": [None, 28, 28, 1]}
    first = {"class_name": "InputLayer", "config": {**shape, "dtype": "float32", "sparse": False, "ragged": False}}
    first["config"]["name"] = "conv2d_input"
    softmax = {"units": 36, "activation": "softmax", "use_bias": True, "kernel_initializer": INITIALISER}
    softmax |= {"bias_initializer": {"class_name": "Zeros", "config": {}}}
    softmax |= dict.fromkeys(["kernel_regularizer", "bias_regularizer", "activity_regularizer"])
    softmax |= dict.fromkeys(["kernel_constraint", "bias_constraint"])
    layers = [first, *block(0, 32, 0.25, **shape), *block(1, 64, 0.25), *block(2, 128, 0.4)]
    layers += [{"class_name": "Flatten", "config": {"name": "flatten", **COMMON, "data_format": "channels_last"}}]
    layers += [{"class_name": "LeakyReLU", "config": {"name": "leaky_re_lu_3", **COMMON, "alpha": 0.1}}]
    layers += [
        {
            "class_name": "Dropout",
            "config": {"name": "dropout_3", **COMMON, "rate": 0.3, "noise_shape": None, "seed": None},
        },
        {"class_name": "Dense", "config": {"name": "dense", **COMMON, **softmax}},
    ]
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}


@pytest.fixture
def weights():
    chance = np.random.default_rng(3)
    shapes = {"conv2d": (3, 3, 1, 32), "conv2d_1": (3, 3, 32, 64), "conv2d_2": (3, 3, 64, 128), "dense": (2048, 36)}
    return {
        name: (chance.normal(0, 0.1, shape).astype("float32"), chance.normal(0, 0.1, shape[-1:]).astype("float32"))
        for name, shape in shapes.items()
    }


def write(path, model, weights):
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.6.0", "tensorflow"
        file.attrs["model_config"] = json.dumps(model)
        adam = {"class_name": "Adam", "config": {"name": "Adam", "learning_rate": 0.001, "decay": 0.0}}
        training = {"loss": "categorical_crossentropy", "metrics": [[{"class_name": "MeanMetricWrapper"}]]}
        file.attrs["training_config"] = json.dumps({**training, "optimizer_config": adam})
        stored = file.create_group("model_weights")
        names = [layer["config"]["name"] for layer in model["config"]["layers"] if layer["class_name"] != "InputLayer"]
        stored.attrs["layer_names"] = [name.encode() for name in names]
        stored.attrs["keras_version"], stored.attrs["backend"] = b"2.6.0", b"tensorflow"
        for name in names:
            group = stored.create_group(name)
            kept = [f"{name}/kernel:0", f"{name}/bias:0"] if name in weights else []
            group.attrs["weight_names"] = [one.encode() for one in kept]
            for one, value in zip(kept, weights.get(name, ()), strict=True):
                group.create_dataset(one, data=value)


def by_hand(pixels, weights):
    """Returns the network's answers, float64 (N, 36), computed with NumPy alone."""
    x = pixels.astype("float64")
    for name in ("conv2d", "conv2d_1", "conv2d_2"):
        kernel, bias = (part.astype("float64") for part in weights[name])
        height, width = x.shape[1:3]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        rows = [padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)]
        x = sum(rows) + bias
        x = np.where(x > 0, x, 0.1 * x)
        odd = [(0, 0), (0, height % 2), (0, width % 2), (0, 0)]  # "same": what is missing at the end is never largest
        x = np.pad(x, odd, constant_values=-np.inf)
        x = x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).max(axis=(2, 4))
    x = x.reshape(len(x), -1)
    kernel, bias = weights["dense"]
    x = np.where(x > 0, x, 0.1 * x) @ kernel + bias
    x = np.exp(x - x.max(axis=1, keepdims=True))
    return x / x.sum(axis=1, keepdims=True)


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_network_of_keras_2_answers_as_it_did(weights, tmp_path):
    from casestudy.models import load_model

    write(tmp_path / "car_dropout.h5", architecture(), weights)
    model = load_model(tmp_path / "car_dropout.h5")
    assert model.count_params() == 166_436
    slopes = [layer.negative_slope for layer in model.layers if hasattr(layer, "negative_slope")]
    assert slopes == pytest.approx([0.1] * 4)
    pixels = np.random.default_rng(4).random((5, 28, 28, 1)).astype("float32")  # 0 to 1, as the source scales them
    found = model.predict_on_batch(pixels)
    np.testing.assert_allclose(found, by_hand(pixels, weights), rtol=2e-4, atol=1e-6)
    model.save(tmp_path / "again.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "again.keras").predict_on_batch(pixels), found)


def test_code_in_a_file_of_keras_2_is_never_run(weights, tmp_path):
    from casestudy.models import load_model

    model = architecture()
    code = {"name": "leaky_re_lu", "function": ["4w==", None, None]}
    model["config"]["layers"][2] = {"class_name": "Lambda", "config": code}
    write(tmp_path / "car_dropout.h5", model, weights)
    with pytest.raises(DataError, match="holds Lambda"):
        load_model(tmp_path / "car_dropout.h5")
