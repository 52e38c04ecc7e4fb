"""One builder function an architecture, and the `MODELS` registry that names them.

A builder makes the base of a network: from scaled pixels (height, width, channels) to a feature map, or to flat
features where the architecture has Dense layers of its own. `models.build_model` puts the rest around it. Whatever
keras.applications does not publish starts from random numbers and is written as one function from tensor to tensor.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from casestudy.errors import WeightsError
from casestudy.files import STALL
from casestudy.models.backend import keras

layers = keras.layers


def _published(
    builder: Callable[..., keras.Model],
    *,
    input_shape: tuple[int, int, int],
    weights: str | None,
    upsample: dict[str, int] | None = None,
    enlarge: Sequence[int] | None = None,
    momentum: float | None = None,
    **options: Any,
) -> keras.Model:
    """Returns a network of keras.applications without its top, with weights of "imagenet", a file, or None.

    Args:
        upsample: {"filters": C, "factor": F} puts a transposed convolution of FxF, strides F, in front, which makes
            (height * F, width * F, C) of the images: these networks halve small ones to nothing.
        enlarge: (height, width) that images are resized to in front, bilinearly; weights still fit.
        momentum: Of every BatchNormalization layer; None keeps the network's own. MobileNetV2's, 0.999, averages over
            about a thousand steps, so a training of fewer would be tested with the statistics of its first ones.
    """
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise WeightsError(
            'Weights are "auto", "imagenet", "signs", "none" or the path of a .weights.h5 or .npz file; there is no '
            f"file {weights}."
        )
    if upsample and weights == "imagenet":
        raise WeightsError("What follows an upsampling layer has no ImageNet weights. Use --weights none.")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL)  # Keras itself would wait for ever behind a silent firewall
    try:
        x = pixels = keras.Input(input_shape)
        if enlarge:
            x = layers.Resizing(*enlarge, name="enlarge")(x)
        if upsample:
            filters, factor = upsample["filters"], upsample["factor"]
            x = layers.Conv2DTranspose(filters, factor, strides=factor, name="upsample")(x)
        if x is not pixels:
            options["input_tensor"], input_shape = x, tuple(x.shape[1:])
        base = builder(include_top=False, weights=weights, input_shape=input_shape, name="base", **options)
    except Exception as error:
        if weights is None:
            raise
        remedy = (
            "Connect once, or copy the file into the folder models/ under KERAS_HOME (default ~/.keras), in place of "
            "a damaged one if it is there, or start with --weights signs (resnet50v2) or --weights none"
            if weights == "imagenet"
            else "Use a file saved from the same architecture without its top"
        )
        rule = f"The weights {weights!r} could not be loaded"
        raise WeightsError(f"{rule} ({first_line(error)}). {remedy}.") from error
    finally:
        socket.setdefaulttimeout(before)
    if momentum is not None:
        for layer in base.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = momentum
    return base


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _random(
    draw: Callable[..., keras.KerasTensor], *, input_shape: tuple[int, int, int], weights: str | None, **options: Any
) -> keras.Model:
    """Returns the base of what `draw` makes of the images, with random weights: a WeightsError refuses others.

    A ValueError says that the images are too small for it.
    """
    if weights is not None:
        raise WeightsError(f"{draw.__name__} starts from random weights; received {weights!r}. Use --weights none.")
    inputs = keras.Input(input_shape)
    nothing = ValueError("its max-pooling leaves nothing of them")
    try:
        base = keras.Model(inputs, draw(inputs, **options), name="base")
    except ValueError as error:
        raise (nothing if "MaxPooling2D" in str(error) else error) from error
    if any(0 in layer.output.shape for layer in base.layers):  # an older Keras goes on, to NaN
        raise nothing
    return base


def small_cnn(x: keras.KerasTensor) -> keras.KerasTensor:
    """Returns four blocks of convolution, BatchNormalization and max-pooling (32 to 256 filters)."""
    for filters in (32, 64, 128, 256):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
    return x


def dense(
    x: keras.KerasTensor, *, size: Sequence[int] = (64, 64), units: Sequence[int] = (128, 64), l2: float = 0.01
) -> keras.KerasTensor:
    """Returns Dense layers with an L2 penalty on all pixels in one row: the baseline that knows of no neighbours.

    The images become `size`, (height, width). The softmax layer has no penalty: it stands outside, and is small.
    """
    x = layers.Flatten()(layers.Resizing(*size)(x))
    for count in units:
        x = layers.Dense(count, activation="relu", kernel_regularizer=keras.regularizers.L2(l2))(x)
    return x


def plain_cnn(
    x: keras.KerasTensor, *, filters: Sequence[int] = (32, 64, 128), units: Sequence[int] = ()
) -> keras.KerasTensor:
    """Returns one 3x3 convolution and one max-pooling for each number of filters, and Dense layers where `units` are.

    Without them the map is left to `build_model`.
    """
    for count in filters:
        x = layers.Conv2D(count, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x) if units else x
    for count in units:
        x = layers.Dense(count, activation="relu")(x)
    return x


def clothes_cnn(x: keras.KerasTensor, *, regularised: bool = False) -> keras.KerasTensor:
    """Returns the two networks of the clothes' source: five convolutions, their averages, one Dense layer.

    With ten classes and colours they have 460,970 parameters, and 463,978 `regularised`: with an L2 penalty of 0.001
    and BatchNormalization after each ReLU. Its dropout, 0.5, is the one before the softmax.
    """
    penalty = {"kernel_regularizer": keras.regularizers.L2(1e-3)} if regularised else {}
    for filters in (16, 32, 64, 128, 256):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", **penalty)(x)
        x = layers.BatchNormalization()(x) if regularised else x
        x = layers.MaxPooling2D()(x) if filters < 256 else x
    x = layers.Dense(256, activation="relu", **penalty)(layers.GlobalAveragePooling2D()(x))
    return layers.BatchNormalization()(x) if regularised else x


def fashion_cnn(
    x: keras.KerasTensor, *, filters: Sequence[int] = (32, 64), dropout: float = 0.0, units: Sequence[int] = ()
) -> keras.KerasTensor:
    """Returns the networks of the Fashion-MNIST study's source: 3x3 convolutions without padding, and Dense layers.

    The first two convolutions are pooled, a third one is not. The dropout stands before the Dense layers.
    """
    for k, count in enumerate(filters):
        x = layers.Conv2D(count, 3, activation="relu")(x)
        x = layers.MaxPooling2D()(x) if k < 2 else x
    x = layers.Dropout(dropout)(x) if dropout else x
    x = layers.Flatten()(x)
    for count in units:
        x = layers.Dense(count, activation="relu")(x)
    return x


def plates_cnn(
    x: keras.KerasTensor,
    *,
    filters: Sequence[int] = (32, 64, 128),
    dropout: Sequence[float] = (0.25, 0.25, 0.4),
    batch_norm: bool = False,
) -> keras.KerasTensor:
    """Returns the licence-plate study's network: leaky convolutions with a dropout after each, in one row.

    The fourth dropout, 0.3, is the one before the softmax; there is no other Dense layer. `batch_norm` normalises each
    convolution, which the source explains and does not do.
    """
    for count, rate in zip(filters, dropout, strict=True):
        x = layers.Conv2D(count, 3, padding="same")(x)
        x = layers.BatchNormalization()(x) if batch_norm else x
        x = layers.LeakyReLU(0.1)(x)
        x = layers.MaxPooling2D(padding="same")(x)  # the last one makes 4x4 of 7x7
        x = layers.Dropout(rate)(x)
    return layers.LeakyReLU(0.1)(layers.Flatten()(x))


def emnist_cnn(x: keras.KerasTensor) -> keras.KerasTensor:
    """Returns the EMNIST study's own network: three wide convolutions without padding, one pooling, 3 Dense layers.

    With one channel and 47 classes it has 11,563,783 parameters. BatchNormalization follows the first two convolutions.
    """
    x = layers.MaxPooling2D()(layers.Conv2D(512, 5, activation="relu")(x))
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(512, 5, activation="relu")(x)  # its pooling is switched off in the source
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(1024, 3, activation="relu")(x)
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(x))
    for _ in range(3):
        x = layers.Dense(188, activation="relu")(x)
    return x


def compact_cnn(
    x: keras.KerasTensor,
    *,
    widths: Sequence[int] = (32, 64, 128),
    pools: Sequence[int] = (2, 1, 2),
    blocks: Sequence[int] = (0, 1, 1),
    separable: bool = False,
    residual: bool = True,
    batch_norm: bool = True,
    pooling: str = "average",
    stride: int = 1,
) -> keras.KerasTensor:
    """Returns a small residual network; as it stands it has fewer than 500,000 parameters for up to 47 classes.

    A stage widens by one convolution to its number of `widths`, pools by its side of `pools` (1 is none), and goes on
    with so many `blocks` of two convolutions.

    Args:
        separable: Depthwise and pointwise convolutions instead of full ones, except on the pixels themselves.
        residual: Whether a block adds to what enters it.
        batch_norm: Whether convolutions are normalised; with a short memory, for trainings of a few epochs.
        pooling: "average" leaves the map to `build_model`; "both" returns averages and maxima of it. Others
            are a ValueError, and so is more or less than one number for each stage.
        stride: Of the convolution on the pixels: 2 halves photographs, whose first map would cost most of the time.
    """
    if pooling not in ("average", "both"):
        raise ValueError(f'pooling is "average" or "both"; received {pooling!r}')

    def unit(x: keras.KerasTensor, width: int, stride: int = 1) -> keras.KerasTensor:
        settings = {"strides": stride, "padding": "same", "use_bias": not batch_norm}
        if separable and x.shape[-1] > 3:
            x = layers.SeparableConv2D(width, 3, **settings)(x)
        else:
            x = layers.Conv2D(width, 3, kernel_initializer="he_normal", **settings)(x)
        if batch_norm:
            x = layers.BatchNormalization(momentum=0.9)(x)
        return layers.ReLU()(x)

    for k, (width, pool, count) in enumerate(zip(widths, pools, blocks, strict=True)):
        x = unit(x, width, stride if k == 0 else 1)
        if pool > 1:
            x = layers.MaxPooling2D(pool)(x)
        for _ in range(count):
            y = unit(unit(x, width), width)
            x = layers.Add()([x, y]) if residual else y
    if pooling == "both":
        return layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    return x


MODELS: dict[str, Callable[..., keras.Model]] = {
    "resnet50v2": partial(_published, keras.applications.ResNet50V2),
    "mobilenet_v2": partial(_published, keras.applications.MobileNetV2),
    "mobilenet_v2_0.35": partial(_published, keras.applications.MobileNetV2, alpha=0.35),
    **{
        builder.__name__: partial(_random, builder)
        for builder in (small_cnn, dense, plain_cnn, clothes_cnn, emnist_cnn, fashion_cnn, plates_cnn, compact_cnn)
    },
}
