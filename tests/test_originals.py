"""The published networks are the published ones, layer by layer; a swap that keeps the number of parameters is noticed.

The facts are written here by hand, from the sources that `STUDIES` names beside each figure: repository, commit, cell.
"""

import pytest

from casestudy.study import Hidden, ModelSpec

pytestmark = pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")


def conv(filters, kernel, padding, side, l2=0.0):
    return ("Conv2D", filters, (kernel, kernel), (1, 1), padding, l2, (side, side, filters))


def pool(side, channels, padding="valid"):
    return ("MaxPooling2D", (2, 2), (2, 2), padding, (side, side, channels))


def dense(units, l2=0.0):
    return ("Dense", units, l2, (units,))


def norm(*shape, momentum=0.99):
    return ("BatchNormalization", momentum, 0.001, shape)


def dropout(rate, *shape):
    return ("Dropout", rate, shape)


def flat(count):
    return ("Flatten", (count,))


def average(channels):
    return ("GlobalAveragePooling2D", (channels,))


def leaky(*shape):
    return ("LeakyReLU", 0.1, shape)


RELU, SOFTMAX = ("relu",), ("softmax",)
SCALED = ("Rescaling", 1 / 255, 0.0)  # the sources divide by 255
FASHION = [SCALED, conv(32, 3, "valid", 26), RELU, pool(13, 32), conv(64, 3, "valid", 11), RELU, pool(5, 64)]
TEN = [dense(10), SOFTMAX]


def clothes(l2):
    rows, side = [SCALED], 128
    for filters in (16, 32, 64, 128, 256):
        rows += [conv(filters, 3, "same", side, l2), RELU]
        rows += [norm(side, side, filters)] if l2 else []
        side //= 2
        rows += [pool(side, filters)] if filters < 256 else []
    rows += [average(256), dense(256, l2), RELU]
    return rows + ([norm(256), dropout(0.5, 256)] if l2 else []) + TEN


def plates():
    rows, side = [SCALED], 28
    for filters, rate in ((32, 0.25), (64, 0.25), (128, 0.4)):
        rows += [conv(filters, 3, "same", side), leaky(side, side, filters)]
        side = -(-side // 2)
        rows += [pool(side, filters, "same"), dropout(rate, side, side, filters)]
    return [*rows, flat(2048), leaky(2048), dropout(0.3, 2048), dense(36), SOFTMAX]


EMNIST = [
    *(SCALED, conv(512, 5, "valid", 24), RELU, pool(12, 512), norm(12, 12, 512)),
    *(conv(512, 5, "valid", 8), RELU, norm(8, 8, 512), conv(1024, 3, "valid", 6), RELU),
    *(average(1024), dropout(0.1, 1024), *[dense(188), RELU] * 3, dense(47), SOFTMAX),
]
PUBLISHED = {  # spec, input, layers, parameters, those that train
    "clothes-1": (ModelSpec("clothes_cnn", dropout=0.0), (128, 128, 3), clothes(0.0), 460_970, 460_970),
    "clothes-2": (
        ModelSpec("clothes_cnn", dropout=0.5, options={"regularised": True}),
        (128, 128, 3),
        clothes(0.001),
        463_978,
        462_474,
    ),
    "emnist": (ModelSpec("emnist_cnn", dropout=0.0), (28, 28, 1), EMNIST, 11_563_783, 11_561_735),
    "fashion-1": (ModelSpec("fashion_cnn", dropout=0.0), (28, 28, 1), [*FASHION, flat(1600), *TEN], 34_826, 34_826),
    "fashion-2": (
        ModelSpec("fashion_cnn", dropout=0.0, options={"dropout": 0.5, "units": [32]}),
        (28, 28, 1),
        [*FASHION, dropout(0.5, 5, 5, 64), flat(1600), dense(32), RELU, *TEN],
        70_378,
        70_378,
    ),
    "fashion-3": (
        ModelSpec("fashion_cnn", dropout=0.0, options={"filters": [32, 64, 128], "units": [128]}),
        (28, 28, 1),
        [*FASHION, conv(128, 3, "valid", 3), RELU, flat(1152), dense(128), RELU, *TEN],
        241_546,
        241_546,
    ),
    "plates": (ModelSpec("plates_cnn", dropout=0.3), (28, 28, 1), plates(), 166_436, 166_436),
}


def build(spec, shape, classes):
    import dataclasses

    from casestudy.models.network import build_network

    spec = dataclasses.replace(spec, weights=None, scaling="0 to 1")
    return build_network(spec, input_shape=shape, num_classes=classes, weights=None)


def chain(model):
    """Returns the layers of a network in a row, those of its base in its place."""
    found = []
    for layer in model.layers:
        found += layer.layers if layer.name == "base" else [layer]
    return [layer for layer in found if type(layer).__name__ != "InputLayer" and getattr(layer, "rate", 1) > 0]


def described(layers):
    """Returns what each layer is and does, one row each; an activation is a row of its own, wherever it stands."""
    rows = []
    for layer in layers:
        kind, config, shape = type(layer).__name__, layer.get_config(), tuple(layer.output.shape[1:])
        facts = {
            "Conv2D": ("filters", "kernel_size", "strides", "padding"),
            "Conv2DTranspose": ("filters", "kernel_size", "strides", "padding"),
            "MaxPooling2D": ("pool_size", "strides", "padding"),
            "AveragePooling2D": ("pool_size", "strides", "padding"),
            "Dense": ("units",),
            "BatchNormalization": ("momentum", "epsilon"),
            "Dropout": ("rate",),
            "LeakyReLU": ("negative_slope",),
            "Rescaling": ("scale", "offset"),
        }.get(kind, ())
        row = [kind, *(tuple(v) if isinstance(v := config[name], list) else v for name in facts)]
        if kind in ("Conv2D", "Dense"):
            penalty = config["kernel_regularizer"]
            row.append(round(float(penalty["config"]["l2"]), 9) if penalty else 0.0)
            row += [] if config["use_bias"] else ["no bias"]
            row += [name for name in ("bias_regularizer", "activity_regularizer") if config.get(name)]
            row += ["dilated"] if set(config.get("dilation_rate", [1])) != {1} else []
        rows.append(tuple(row if kind == "Rescaling" else [*row, shape]))
        if (activation := config.get("activation", "linear")) != "linear":
            rows.append((activation,))
    return rows


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_network_is_the_published_one_layer_by_layer(name):
    spec, shape, rows, count, trained = PUBLISHED[name]
    model = build(spec, shape, rows[-2][1])
    assert described(chain(model)) == rows
    assert model.count_params() == count
    assert sum(int(variable.shape.num_elements()) for variable in model.trainable_variables) == trained


@pytest.mark.parametrize(
    ("name", "filters", "factor", "shape", "count"),
    [("resnet50v2", 1, 2, (56, 56, 1), 23_654_836), ("mobilenet_v2", 3, 4, (112, 112, 3), 2_318_242)],
)
def test_the_large_networks_of_emnist_stand_behind_their_stem(name, filters, factor, shape, count):
    from casestudy.models.backend import keras

    spec = ModelSpec(name, dropout=0.0, options={"upsample": {"filters": filters, "factor": factor}})
    model = build(spec, (28, 28, 1), 47)
    scaled, stem, *inside, pooled, last = chain(model)
    sides = (factor, factor)
    assert described([scaled, stem]) == [SCALED, ("Conv2DTranspose", filters, sides, sides, "valid", shape)]
    whole = {"resnet50v2": keras.applications.ResNet50V2, "mobilenet_v2": keras.applications.MobileNetV2}[name]
    original = whole(include_top=False, weights=None, input_shape=shape)
    assert described(inside) == described(original.layers[1:])
    assert described([pooled, last]) == [average(2048 if filters == 1 else 1280), dense(47), SOFTMAX]
    assert model.count_params() == count


def test_the_letters_network_has_the_head_of_its_source():
    from casestudy.training.stages import batch_norms, set_trainable

    options = {"enlarge": [224, 224]}
    model = build(ModelSpec("resnet50v2", dropout=0.5, hidden=Hidden(512, l2=5e-4), options=options), (150, 150, 3), 26)
    base = model.get_layer("base")
    assert base.layers[1].output.shape[1:] == (224, 224, 3)
    assert (base.output.shape[1:], base.count_params(), len(batch_norms(base))) == ((7, 7, 2048), 23_564_800, 49)
    head = [layer for layer in model.layers[model.layers.index(base) + 1 :]]
    rows = [average(2048), norm(2048), dense(512, 5e-4), RELU, norm(512), dropout(0.5, 512), dense(26), SOFTMAX]
    assert described(head) == rows
    assert model.count_params() == 24_637_466
    for trainable, count in (("head", 1_067_546), ("all", 24_541_466), ("everything", 24_586_906)):
        set_trainable(model, trainable)
        assert sum(int(one.shape.num_elements()) for one in model.trainable_variables) == count, trainable


def planted(layers, what, where, change):
    """Returns the same chain with one fault, and weights of its own."""
    from casestudy.models.backend import keras

    made = [type(layer).from_config(layer.get_config()) for layer in layers]
    kinds = [type(layer).__name__ for layer in made]
    at = [k for k, kind in enumerate(kinds) if kind == what][where]
    if isinstance(change, dict):
        made[at] = type(made[at]).from_config({**made[at].get_config(), **change})
    elif isinstance(change, int):  # so many places further
        made.insert(at + change, made.pop(at))
    elif change in ("AveragePooling2D", "GlobalMaxPooling2D"):
        made[at] = getattr(keras.layers, change)(*[2] * (change == "AveragePooling2D"))
    else:
        made.insert(at + 1, getattr(keras.layers, change)())
    model = keras.Sequential([keras.Input(layers[0].output.shape[1:]), *made])
    return model.layers, model.count_params()


L2 = {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.01}, "registered_name": None}


@pytest.mark.parametrize(
    ("name", "what", "where", "change", "same_count"),
    [
        ("emnist", "Conv2D", 1, {"padding": "same"}, True),
        ("emnist", "Conv2D", 1, "MaxPooling2D", True),
        ("emnist", "BatchNormalization", 0, -1, True),  # before its pooling
        ("emnist", "Dropout", 0, {"rate": 0.2}, True),
        ("emnist", "Dropout", 0, -1, True),  # before the averages
        ("emnist", "GlobalAveragePooling2D", 0, "GlobalMaxPooling2D", True),
        ("emnist", "Conv2D", 2, {"kernel_size": (5, 5)}, False),
        ("emnist", "Dense", 1, {"units": 187}, False),
        ("fashion-1", "MaxPooling2D", 0, "AveragePooling2D", True),
        ("fashion-2", "Dropout", 0, 2, True),  # behind the Dense layer
        ("fashion-2", "Dense", 0, {"activation": "tanh"}, True),
        ("fashion-3", "Conv2D", 2, "MaxPooling2D", False),
        ("plates", "MaxPooling2D", 0, -1, True),
        ("plates", "MaxPooling2D", 1, {"padding": "valid"}, True),
        ("plates", "LeakyReLU", 3, {"negative_slope": 0.2}, True),
        ("plates", "Dropout", 0, {"rate": 0.3}, True),
        ("clothes-2", "Conv2D", 3, {"kernel_regularizer": L2}, True),
        ("clothes-2", "BatchNormalization", 4, {"momentum": 0.999}, True),
        ("clothes-1", "MaxPooling2D", 1, {"strides": (1, 1)}, True),
        ("clothes-1", "Conv2D", 1, {"strides": (2, 2)}, True),
        ("clothes-1", "Conv2D", 1, {"dilation_rate": (2, 2)}, True),
        ("clothes-2", "Dense", 0, {"bias_regularizer": L2}, True),
    ],
)
def test_a_swap_is_noticed_even_where_the_parameters_are_as_many(name, what, where, change, same_count):
    spec, shape, rows, count, _ = PUBLISHED[name]
    layers, parameters = planted(chain(build(spec, shape, rows[-2][1])), what, where, change)
    assert described(layers) != rows
    assert (parameters == count) == same_count


def test_the_network_that_was_here_before_has_as_many_parameters_as_the_published_one():
    """Same padding, two poolings, BatchNormalization after the third convolution: this is why counts are no proof."""
    from casestudy.models.backend import keras

    kinds = keras.layers
    model = keras.Sequential(
        [
            *(keras.Input((28, 28, 1)), kinds.Rescaling(1 / 255)),
            *(kinds.Conv2D(512, 5, padding="same", activation="relu"), kinds.MaxPooling2D()),
            *(kinds.Conv2D(512, 5, padding="same", activation="relu"), kinds.MaxPooling2D()),
            *(kinds.Conv2D(1024, 3, padding="same", activation="relu"), kinds.BatchNormalization()),
            *(kinds.GlobalAveragePooling2D(), kinds.Dropout(0.1)),
            *(*(kinds.Dense(188, activation="relu") for _ in range(3)), kinds.Dense(47, activation="softmax")),
        ]
    )
    assert model.count_params() == 11_563_783
    assert described(model.layers) != EMNIST
