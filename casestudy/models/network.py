"""Whole networks: built around the base of an architecture, written to files and read back.

Every model takes raw 0-255 pixels and owns its preprocessing, so `/255` stands nowhere else and a saved model is
complete: augmentation (active in training only) -> scaling -> base -> pooling -> hidden -> dropout -> softmax, where
augmentation, pooling and hidden are there if they are asked for.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import h5py

from casestudy.choices import Precision, Seed
from casestudy.data import ImageSet
from casestudy.errors import UNREADABLE, DataError
from casestudy.models.architectures import MODELS, first_line
from casestudy.models.backend import keras, tf
from casestudy.models.quantised import load_quantised
from casestudy.models.weights import SIGNS_SHA256, resolve_weights, signs_file
from casestudy.records import Record
from casestudy.study import HIDDEN, Hidden, ModelSpec

SCALINGS = {"-1 to 1": {"scale": 1 / 127.5, "offset": -1.0}, "0 to 1": {"scale": 1 / 255}}
# The layer of each augmentation, in the order in which they are applied.
AUGMENTATIONS: dict[str, Callable[[Any], keras.Layer]] = {
    "mirror": lambda _: keras.layers.RandomFlip("horizontal"),
    "rotation": lambda most: keras.layers.RandomRotation(most, fill_mode="nearest"),
    "zoom": lambda most: keras.layers.RandomZoom((-most, most), fill_mode="nearest"),
    "shift": lambda most: keras.layers.RandomTranslation(most, most, fill_mode="nearest"),
    "brightness": lambda most: keras.layers.RandomBrightness(most, value_range=(0, 255)),
    "contrast": lambda most: keras.layers.RandomContrast(most, value_range=(0, 255)),
}
# What a network may be made of, and what of that would run code or a graph that came with the file.
PARTS = ("keras", "keras.layers", "keras.initializers", "keras.regularizers", "keras.src.models.functional")
MIRROR = ("keras.src.ops.numpy", "Flip")  # what `average_with_mirror` adds
CODE = ("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "function", "__lambda__", "__typespec__")
BROKEN = (*UNREADABLE, OSError, AttributeError)


@dataclass(frozen=True)
class Origin(Record):
    """What a model was built from; its training depends on it."""

    spec: ModelSpec  # its weights are those that were asked for
    weights: str | None  # those that it got; None for random numbers
    seed: Seed  # of the initial weights
    precision: Precision  # a Keras dtype policy


_ORIGINS: WeakKeyDictionary[keras.Model, Origin] = WeakKeyDictionary()


def origin_of(model: keras.Model) -> Origin:
    """Returns what a model was built from; a DataError says that it is none of `build_model`."""
    if model not in _ORIGINS:
        raise DataError(f"A model is trained that build_model made; received another, {model.name!r}. Build it so.")
    return _ORIGINS[model]


def build_model(
    spec: ModelSpec, images: ImageSet, *, seed: int, precision: Precision = "float32", weights: str | None = "auto"
) -> keras.Model:
    """Returns an untrained model for these images, from pixels in 0-255 to a probability for each of their labels.

    Args:
        seed: Decides all weights that do not come from a file.
        precision: A Keras dtype policy; see `training.machine`.
        weights: Starts from these instead of those of `spec`; "auto" leaves it to `spec`.

    Raises:
        DataError: The images are too small for the network.
        WeightsError: The weights cannot be had or do not fit.
    """
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    if weights != "auto":
        spec = dataclasses.replace(spec, weights=None if weights == "none" else weights)
    shape = images.images.shape[1:]
    found = resolve_weights(spec, shape[:2]).source
    keras.utils.set_random_seed(seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = build_network(spec, input_shape=shape, num_classes=len(images.class_names), weights=found)
    finally:
        keras.config.set_dtype_policy(policy)
    _ORIGINS[model] = Origin(spec, found, seed, precision)
    return model


def inference_model(model: keras.Model) -> keras.Model:
    """Returns what is evaluated and saved of a model: without its optimizer, whose state would triple the file.

    One whose `ModelSpec` says so averages an image with its mirror image. A model that was read from a file is
    returned as it is.
    """
    if model not in _ORIGINS:
        return model
    finished = keras.Model(model.inputs, model.outputs, name=model.name)
    return average_with_mirror(finished) if _ORIGINS[model].spec.mirror_average else finished


def build_network(
    spec: ModelSpec, *, input_shape: tuple[int, int, int], num_classes: int, weights: str | None
) -> keras.Model:
    """Returns an uncompiled model from pixels (batch, height, width, C) in 0-255 to probabilities (batch, num_classes).

    The base is one layer named "base", called with `training=False` (document step 3; Keras' transfer-learning guide
    gives the reason). Keras 3 hands the `training=True` of `fit` down to it all the same, so that the base's own
    dropout works in training: what keeps its BatchNormalization layers at their moving statistics is that
    `stages.set_trainable` freezes them. A map that the base gives is averaged ("pooling"); flat features are not.

    `weights` are "imagenet", "signs", None, or the path of a file made without the top: `.weights.h5`, or the `.npz` of
    `write_quantised`; see `resolve_weights`. Most published ones ask for C = 3. A DataError says that the images
    are too small or the network has no such option, a WeightsError that the weights cannot be had or do not fit.
    """
    stored = str(signs_file(spec.name)) if weights == "signs" else weights or ""
    quantised = stored.endswith(".npz")
    try:
        base = MODELS[spec.name](input_shape=input_shape, weights=None if quantised else weights, **spec.options)
    except (ValueError, TypeError) as error:
        rule = f"{spec.name} cannot be built for images of {input_shape[0]}x{input_shape[1]} with weights {weights!r}"
        raise DataError(f"{rule}: {first_line(error)}") from error
    if quantised:
        load_quantised(base, stored, sha256=SIGNS_SHA256 if weights == "signs" else None)
    pixels = keras.Input(input_shape, name="pixels")
    x = build_augmentation(spec.augmentation)(pixels) if spec.augmentation else pixels
    x = keras.layers.Rescaling(**SCALINGS[spec.scaling], name="preprocessing")(x)
    x = base(x, training=False)
    if len(x.shape) == 4:
        x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    x = _hidden(x, spec.hidden) if spec.hidden else x
    x = keras.layers.Dropout(spec.dropout, name="dropout")(x)
    # Probabilities stay float32 under mixed precision, as Keras' guide asks.
    outputs = keras.layers.Dense(num_classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(pixels, outputs, name=spec.name.replace(".", "_"))


def _hidden(x: keras.KerasTensor, hidden: Hidden) -> keras.KerasTensor:
    """Returns features (batch, units) after a head's own Dense layer, normalised before and after it."""
    before, name, after = HIDDEN
    x = keras.layers.BatchNormalization(name=before)(x)
    penalty = keras.regularizers.L2(hidden.l2) if hidden.l2 else None
    x = keras.layers.Dense(hidden.units, activation="relu", kernel_regularizer=penalty, name=name)(x)
    return keras.layers.BatchNormalization(name=after)(x)


def build_augmentation(ranges: Mapping[str, object]) -> keras.Sequential:
    """Returns layers that vary pixels while training and pass them through otherwise; see `choices.Augmentation`."""
    chosen = [layer(ranges[name]) for name, layer in AUGMENTATIONS.items() if ranges.get(name)]
    return keras.Sequential(chosen, name="augmentation")


def average_with_mirror(model: keras.Model) -> keras.Model:
    """Returns the model that averages what `model` makes of an image and of its mirror image.

    `model` is what `build_model` returns: one layer after another. The layers are the same, so nothing is trained again
    and no parameter is added; a prediction takes twice as long.
    """
    pixels = model.inputs[0]
    x = keras.ops.flip(pixels, axis=2)
    for layer in model.layers[1:]:
        x = layer(x, training=False) if layer.name == "base" else layer(x)
    average = keras.layers.Average(dtype="float32", name="average_with_mirror")([model.outputs[0], x])
    return keras.Model(pixels, average, name=model.name)


def load_model(path: str | Path) -> keras.Model:
    """Returns the network of a `.keras` or an `.h5` file, of Keras 2 too; no code from the file is run.

    Networks of casestudy read pixels of 0-255; another's reads what its author gave it.

    Raises:
        DataError: There is no such file, it holds no network, or one that brings code of its own.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"A network is loaded from a .keras file; there is no file {path}. Train one: casestudy run.")
    try:
        if file.suffix == ".h5":
            with h5py.File(file) as stored:
                config = stored.attrs["model_config"]
        else:
            with zipfile.ZipFile(file) as stored:
                config = stored.read("config.json")
        for part in _objects(json.loads(config)):
            kind, module = part.get("class_name"), part.get("module", "keras")
            if kind in CODE or (module not in PARTS and (module, kind) != MIRROR):
                raise DataError(
                    f"A network is read only if it is made of Keras' own layers; {path} holds {kind} of {module}. "
                    f"Use a file that casestudy wrote."
                )
        with warnings.catch_warnings():
            for said in ("Do not pass an `input_shape`", "Argument `alpha`"):  # Keras 2 wrote so, and it is understood
                warnings.filterwarnings("ignore", said, UserWarning)
            known = {MIRROR[1]: keras.src.ops.numpy.Flip}  # an .h5 file names it without its module
            return keras.saving.load_model(file, known, compile=False, safe_mode=True)
    except BROKEN as error:
        raise DataError(
            f"A network is loaded from a .keras file; {path} is none ({first_line(error)}). Train it again."
        ) from error


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yields every object of a configuration, those in others too; how it was compiled is never read."""
    if isinstance(config, dict):
        if "class_name" in config or "module" in config:
            yield config
        for name, value in config.items():
            if name != "compile_config":
                yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def cut_points(base: keras.Model) -> list[keras.Layer]:
    """Returns the layers through which everything passes, from the input to the output: the base can be cut there.

    In a residual network these are the ends of blocks.
    """
    reach: dict[str, int] = {}  # the last layer of the base that reads each one
    for k, layer in enumerate(base.layers):
        for node in layer._inbound_nodes:  # an earlier cut has left nodes of its own, which begin outside the base
            reach.update({tensor._keras_history.operation.name: k for tensor in node.input_tensors})
    cuts, furthest = [], 0
    for k, layer in enumerate(base.layers):
        if furthest <= k:
            cuts.append(layer)
        furthest = max(furthest, reach.get(layer.name, 0))
    return cuts
