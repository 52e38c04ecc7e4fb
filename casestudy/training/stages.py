"""Freezes what a phase freezes, and computes the output of the frozen beginning once.

While the beginning of a model is frozen, what it makes of an image never changes. `stage_for` cuts the model there,
computes those features once for each (augmented) image, and leaves the rest to be trained on them: the same optimizer
steps, many times faster. The two halves share their layers with the whole model, which therefore is what gets trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from casestudy.data import Splits
from casestudy.errors import DataError, RunError
from casestudy.models import cut_points, keras, origin_of, tf
from casestudy.rows import Array, Chosen, create_rows, file_paths
from casestudy.study import Phase
from casestudy.training.clock import Clock
from casestudy.training.devices import Devices

PREDICT_BATCH = 64
ESTIMATION_IMAGES = 512  # enough for a stable mean and variance of each channel


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Returns every BatchNormalization layer, those inside the base too."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def set_trainable(model: keras.Model, trainable: str) -> None:
    """Freezes and unfreezes the base as a phase asks: "head", "all", "top:N" or "everything".

    BatchNormalization stays frozen but for "everything", which trains a network from random numbers: it then normalises
    by the batch in training, and its moving statistics follow.

    Raises:
        DataError: `trainable` is none of these, or N is more than the base has layers.
    """
    base = model.get_layer("base")
    word, _, number = trainable.partition(":")
    if word not in ("head", "all", "top", "everything") or (word == "top") != number.isdecimal():
        raise DataError(
            f'A phase trains "head", "all", "everything" or "top:N", N a number of layers; received {trainable!r}.'
        )
    if word == "top" and int(number) > len(base.layers):
        raise DataError(
            f"A phase can train the {len(base.layers)} layers of the base at the most; received {trainable!r}."
        )
    first = len(base.layers) - int(number or len(base.layers))
    base.trainable = word != "head"
    for k, layer in enumerate(base.layers):  # one by one: a base that is trainable already passes nothing on
        layer.trainable = base.trainable and k >= first
    for layer in batch_norms(base):
        layer.trainable = word == "everything"


@dataclass(frozen=True)
class Stage:
    """The part of a model that a phase trains, and its input for every image; None for raw pixels."""

    model: keras.Model  # shares its layers with the whole model
    train: Sequence[Array | Chosen] | None = (
        None  # (N_train, ...), one a view; epoch e uses the view e modulo their number
    )
    validation: Array | Chosen | None = None  # (N_validation, ...)
    ends: list[float] = field(default_factory=list)  # when each step of all epochs ended, those of validation, too


def stage_for(model: keras.Model, splits: Splits, phase: Phase, scratch: Path, *, seed: int) -> Stage:
    """Returns the trainable end of the model with the output of its frozen beginning, computed once.

    Where nothing is frozen the stage is the model itself, fed with pixels.
    """
    extractor, trainable = split_model(model)
    if extractor is None:
        return Stage(model)
    augmentation = next((layer for layer in model.layers if layer.name == "augmentation"), None)
    pixels, views, count = splits.images.images, [], 1 if augmentation is None else phase.views
    total = count * len(splits.train) + len(splits.validation)
    done = Clock.current().watch(origin_of(model).spec, phase.trainable, total)
    for view in range(count):
        reseed(model, seed, view)
        target = scratch / f"view-{view}.npy"
        views.append(compute_features(extractor, pixels, splits.train, target, augmentation, done=done))
    validation = compute_features(extractor, pixels, splits.validation, scratch / "validation.npy", done=done)
    return Stage(trainable, views, validation)


def compute_features(
    extractor: keras.Model,
    images: Array,
    indices: np.ndarray,
    target: Path,
    augment: keras.Model | None = None,
    *,
    done: Callable[[int], None],
) -> Array:
    """Returns float32 (len(indices), ...): what the extractor makes of those images, augmented first where asked.

    `done` is told the size of each batch when it is. The result is mapped from `target`, a new file (see `rows`):
    inside the base, activations are larger than the photographs.
    """
    shape = (len(indices), *extractor.output.shape[1:])
    try:
        features = create_rows(file_paths(target, shape, np.float32), shape, np.float32)
    except OSError as error:
        raise RunError(
            f"What the frozen base makes of the images needs {4 * math.prod(shape) / 1e6:,.0f} MB in {target.parent} "
            f"({error.strerror}): make room, or take smaller images with --image-size."
        ) from None
    run = Devices.current().by_rows(extractor)
    starts = range(0, len(indices), PREDICT_BATCH)
    for start in tqdm(starts, desc="features", unit="batch", delay=2, leave=False, disable=None):
        part = indices[start : start + PREDICT_BATCH]
        pixels = tf.constant(images[part], tf.float32)
        if augment is not None:
            pixels = augment(pixels, training=True)
        features[start : start + len(part)] = run(pixels)
        done(len(part))
    return features


def split_model(model: keras.Model) -> tuple[keras.Model | None, keras.Model]:
    """Returns (frozen beginning, the rest), which share layers with `model`; (None, model) where nothing is frozen.

    The cut lies after the last frozen layer through which everything passes: in a residual network the end of a block.
    """
    base = model.get_layer("base")
    cut = None if base.trainable else base.output
    if base.trainable:
        cuts, worth_it = cut_points(base), False
        for layer in base.layers[:-1]:
            if layer.trainable_variables:
                break
            worth_it = worth_it or bool(layer.variables)  # padding alone is no work to save
            if worth_it and layer in cuts:
                cut = layer.output
    if cut is None:
        return None, model
    after = model.layers[model.layers.index(base) + 1 :]
    pixels = keras.Input(model.input.shape[1:])
    frozen = keras.Model(base.input, cut)
    x = frozen(model.get_layer("preprocessing")(pixels), training=False)
    if cut is base.output and after[0].name == "pooling":
        x = after.pop(0)(x)  # before caching: two thousand numbers an image instead of a hundred thousand
    extractor = keras.Model(pixels, x)
    features = y = keras.Input(x.shape[1:])
    if cut is not base.output:
        y = keras.Model(cut, base.output)(y, training=False)
    for layer in after:
        y = layer(y)
    return extractor, keras.Model(features, y)


def estimate_batch_norms(model: keras.Model, splits: Splits, *, seed: int) -> None:
    """Estimates the BatchNormalization statistics of a base with random weights from training images, in place."""
    base, scale = model.get_layer("base"), model.get_layer("preprocessing")
    if not batch_norms(base):
        return
    chosen = np.random.default_rng(seed).permutation(splits.train)[:ESTIMATION_IMAGES]
    parts = np.split(chosen, range(PREDICT_BATCH, len(chosen), PREDICT_BATCH))
    estimate_batch_norm(base, [scale(splits.images.images[part].astype("float32")) for part in parts])


def estimate_batch_norm(base: keras.Model, batches: list[np.ndarray]) -> None:
    """Sets each moving mean and variance of `base` to its average over the batches, in place.

    Randomly initialised BatchNormalization claims mean 0 and variance 1 for every channel; frozen like that it would
    normalise nothing. `batches` holds float (n, height, width, C) arrays, scaled as the base expects.
    """
    layers = batch_norms(base)
    momenta = [layer.momentum for layer in layers]
    for k, batch in enumerate(batches):
        for layer in layers:
            layer.momentum = k / (k + 1)  # a running mean: every batch counts the same
        base(batch, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def reseed(model: keras.Model, *entropy: int) -> None:
    """Sets every random layer of the model to a state drawn from the numbers given, in place."""
    states = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for k, state in enumerate(states):
        drawn = np.random.SeedSequence([*entropy, k]).generate_state(1)[0] & 0x7FFFFFFF
        state.assign(np.array([drawn, 0], dtype=state.dtype))
