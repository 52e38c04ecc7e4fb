"""One builder an architecture, and the `MODELS` registry that names them.

Every model takes raw 0-255 pixels and owns its preprocessing, so `/255` stands nowhere else and a saved model is
complete: augmentation (active in training only) -> scaling -> base -> pooling -> dropout -> softmax.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from casestudy.backend import keras
from casestudy.errors import DataError, WeightsError
from casestudy.quantised import load_quantised
from casestudy.study import ModelSpec
from casestudy.weights import SIGNS_SHA256, signs_file

DOWNLOAD_STALL = 20.0  # seconds without a byte


def build_model(
    spec: ModelSpec, *, input_shape: tuple[int, int, int], num_classes: int, weights: str | None
) -> keras.Model:
    """Returns an uncompiled model from pixels (batch, height, width, 3) in 0-255 to probabilities (batch, num_classes).

    The convolutional base is one layer named "base", called with `training=False` (document step 3; Keras'
    transfer-learning guide gives the reason). Keras 3 hands the `training=True` of `fit` down to it all the same: what
    keeps its BatchNormalization layers at their moving statistics is that `stages.set_trainable` freezes them.

    Args:
        spec: Architecture, dropout and augmentation.
        input_shape: (height, width, 3).
        num_classes: K.
        weights: "imagenet", "signs", None, or the path of a file made without the top: `.weights.h5`, or the `.npz` of
            `write_quantised`. See `resolve_weights`.

    Raises:
        DataError: `spec.name` is no key of `MODELS`, or the images are too small for it.
        WeightsError: The weights cannot be had or do not fit.
    """
    if spec.name not in MODELS:
        raise DataError(f"The model is one of {', '.join(MODELS)}; received {spec.name!r}.")
    stored: Path | None = None
    if weights == "signs":
        stored = signs_file(spec.name)
    elif weights is not None and weights.endswith(".npz"):
        stored = Path(weights)
    try:
        base = MODELS[spec.name](input_shape=input_shape, weights=None if stored else weights, **spec.options)
    except WeightsError:
        raise
    except ValueError as error:
        rule = f"{spec.name} cannot be built for images of {input_shape[0]}x{input_shape[1]} with weights {weights!r}"
        raise DataError(f"{rule}: {str(error).splitlines()[0]}") from error
    if stored:
        load_quantised(base, stored, sha256=SIGNS_SHA256 if weights == "signs" else None)
    pixels = keras.Input(input_shape, name="pixels")
    x = build_augmentation(**spec.augmentation)(pixels) if spec.augmentation else pixels
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing")(x)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    x = keras.layers.Dropout(spec.dropout, name="dropout")(x)
    # Probabilities stay float32 under mixed precision, as Keras' guide asks.
    outputs = keras.layers.Dense(num_classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(pixels, outputs, name=spec.name.replace(".", "_"))


def build_augmentation(
    *,
    rotation: float = 0.0,
    zoom: float = 0.0,
    shift: float = 0.0,
    brightness: float = 0.0,
    contrast: float = 0.0,
    mirror: bool = False,
) -> keras.Sequential:
    """Returns layers that vary pixels while training and pass them through otherwise.

    Args:
        rotation: Largest turn either way, in full circles (0.05 is 18 degrees).
        zoom: Largest relative change of size, either way.
        shift: Largest move in each direction, as a share of the side.
        brightness: Largest change, as a share of 255.
        contrast: Largest relative change of contrast.
        mirror: Flip left and right at random. Off unless asked for: a mirrored sign is a left hand's, and some
            characters are no longer themselves.
    """
    layers = keras.layers
    chosen: list[keras.Layer] = []
    if mirror:
        chosen.append(layers.RandomFlip("horizontal"))
    if rotation:
        chosen.append(layers.RandomRotation(rotation, fill_mode="nearest"))
    if zoom:
        chosen.append(layers.RandomZoom((-zoom, zoom), fill_mode="nearest"))
    if shift:
        chosen.append(layers.RandomTranslation(shift, shift, fill_mode="nearest"))
    if brightness:
        chosen.append(layers.RandomBrightness(brightness, value_range=(0, 255)))
    if contrast:
        chosen.append(layers.RandomContrast(contrast, value_range=(0, 255)))
    return keras.Sequential(chosen, name="augmentation")


def _application(
    builder: Callable[..., keras.Model], *, input_shape: tuple[int, int, int], weights: str | None, **options: Any
) -> keras.Model:
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise WeightsError(
            'Weights are "auto", "imagenet", "signs", "none" or the path of a .weights.h5 or .npz file; there is no '
            f"file {weights}."
        )
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_STALL)  # Keras itself would wait for ever behind a silent firewall
    try:
        return builder(include_top=False, weights=weights, input_shape=input_shape, name="base", **options)
    except Exception as error:
        if weights is None:
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        remedy = (
            "Connect once, or copy the file into the folder models/ under KERAS_HOME (default ~/.keras), in place of "
            "a damaged one if it is there, or start with --weights signs (resnet50v2) or --weights none"
            if weights == "imagenet"
            else "Use a file saved from the same architecture without its top"
        )
        raise WeightsError(f"The weights {weights!r} could not be loaded ({reason}). {remedy}.") from error
    finally:
        socket.setdefaulttimeout(before)


def _small_cnn(*, input_shape: tuple[int, int, int], weights: str | None) -> keras.Model:
    """Returns four blocks of convolution, BatchNormalization and max-pooling (32 to 256 filters)."""
    if weights is not None:
        raise WeightsError(f"small_cnn starts from random weights; received {weights!r}. Use --weights none.")
    inputs = x = keras.Input(input_shape)
    for filters in (32, 64, 128, 256):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.MaxPooling2D()(x)
    return keras.Model(inputs, x, name="base")


MODELS: dict[str, Callable[..., keras.Model]] = {
    "resnet50v2": partial(_application, keras.applications.ResNet50V2),
    "mobilenet_v2": partial(_application, keras.applications.MobileNetV2),
    "mobilenet_v2_0.35": partial(_application, keras.applications.MobileNetV2, alpha=0.35),
    "small_cnn": _small_cnn,
}


def load_model(path: str | Path) -> keras.Model:
    """Returns the network that a run saved, from pixels to probabilities; no code from the file is run.

    Raises:
        DataError: There is no such file, or it holds no network.
    """
    if not Path(path).is_file():
        raise DataError(f"A network is loaded from a .keras file; there is no file {path}. Train one: casestudy run.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, OSError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"A network is loaded from a .keras file; {path} is none ({reason}). Train it again."
        ) from error


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Returns every BatchNormalization layer, those inside the base too."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def estimate_batch_norm(base: keras.Model, batches: list[np.ndarray]) -> None:
    """Sets each moving mean and variance of `base` to its average over the batches, in place.

    Randomly initialised BatchNormalization claims mean 0 and variance 1 for every channel; frozen like that it would
    normalise nothing. `batches` holds float (n, height, width, 3) arrays, scaled as the base expects.
    """
    layers = batch_norms(base)
    momenta = [layer.momentum for layer in layers]
    for k, batch in enumerate(batches):
        for layer in layers:
            layer.momentum = k / (k + 1)  # a running mean: every batch counts the same
        base(batch, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
