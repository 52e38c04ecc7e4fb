"""Trains a model phase by phase; a frozen base is computed once, and a killed run goes on where it stopped.

Two-phase fine-tuning (document step 3; Keras' transfer-learning guide): phase 1 trains the head on a frozen base, phase
2 unfreezes the base, all of it or its top layers, with every BatchNormalization layer kept frozen and a smaller rate.

While part of the base is frozen, its output for an image never changes. `stage_for` cuts the model after the last
frozen layer, computes what comes out there once for each (augmented) image, and trains the rest on that: the same
optimizer steps, many times faster. The layers are shared with the whole model, which therefore is what gets trained.

What decides the next epoch (order of the images, random layers, learning rate, stopping) is a function of the seed, the
epoch and the history so far. So there is no hidden state to lose, and resuming gives the weights of a run never stopped.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from casestudy.backend import keras, tf
from casestudy.errors import DataError
from casestudy.files import atomic_path
from casestudy.models import batch_norms, build_model, estimate_batch_norm
from casestudy.splits import Splits
from casestudy.study import ModelSpec, Phase

log = logging.getLogger(__name__)

PREDICT_BATCH = 64
ESTIMATION_IMAGES = 512  # enough for a stable mean and variance of each channel
PLATEAU_PATIENCE = 2  # epochs without a better validation loss before the rate is halved


@dataclass(frozen=True)
class TrainingRun:
    """A trained model and how it came to be.

    Attributes:
        model: Takes pixels in 0-255, gives probabilities; the base and the head in one.
        history: Tidy: phase, epoch (from 1), metric, value. Identical for identical seeds.
        seconds: Wall-clock seconds of each phase, the computing of cached features included.
        images_per_second: Training images seen in each phase, over its seconds.
        batch_norm_change: Largest absolute change of any BatchNormalization variable over all phases; 0.0 when they
            stayed frozen, NaN for a model that has none.
    """

    model: keras.Model
    history: pd.DataFrame
    seconds: dict[str, float]
    images_per_second: dict[str, float]
    batch_norm_change: float


@dataclass
class _Progress:
    """What a checkpoint holds besides weights."""

    phase: int = 0
    history: list[dict] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # one a phase, the last still growing

    def values(self, phase: Phase, metric: str) -> list[float]:
        return [row["value"] for row in self.history if row["phase"] == phase.name and row["metric"] == metric]


def train(
    spec: ModelSpec,
    splits: Splits,
    *,
    phases: tuple[Phase, ...],
    weights: str | None,
    seed: int,
    folder: Path | None = None,
    cache: bool = True,
) -> TrainingRun:
    """Returns the model trained on `splits.train`, each phase ending with its weights of the lowest validation loss.

    Args:
        spec: What to build, with its image size decided.
        splits: Validation chooses the epoch; without one, the last epoch counts. Test is not looked at.
        phases: One after the other, on the same model.
        weights: What `resolve_weights` returned.
        seed: Decides initial weights, order of images, augmentation and dropout.
        folder: Where checkpoints live; a run killed in any epoch goes on from there. None keeps none.
        cache: Use cached features where the base is frozen; False trains the plain way.

    Raises:
        DataError: The loss is no longer a number, or a phase asks for layers that are not there.
    """
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    images = splits.images
    model = build_model(spec, input_shape=images.images.shape[1:], num_classes=len(images.class_names), weights=weights)
    if weights is None and batch_norms(model.get_layer("base")):
        chosen = np.random.default_rng(seed).permutation(splits.train)[:ESTIMATION_IMAGES]
        scale = model.get_layer("preprocessing")
        parts = [
            images.images[np.sort(part)].astype("float32") for part in np.split(chosen, range(64, len(chosen), 64))
        ]
        estimate_batch_norm(model.get_layer("base"), [scale(part) for part in parts])
    before = _batch_norm_values(model)
    with TemporaryDirectory(prefix="casestudy-") as scratch:
        work = Path(folder or scratch)
        work.mkdir(parents=True, exist_ok=True)
        progress = _Progress()
        if (work / "progress.json").exists():
            progress = _Progress(**json.loads((work / "progress.json").read_text()))
        for index, phase in enumerate(phases):
            _run_phase(model, splits, phase, index, len(phases), progress, work, seed=seed, cache=cache)
    seen = {phase.name: len(splits.train) * len(progress.values(phase, "loss")) for phase in phases}
    seconds = {phase.name: spent for phase, spent in zip(phases, progress.seconds, strict=True)}
    return TrainingRun(
        model=model,
        history=pd.DataFrame(progress.history, columns=["phase", "epoch", "metric", "value"]),
        seconds=seconds,
        images_per_second={name: seen[name] / max(spent, 1e-9) for name, spent in seconds.items()},
        batch_norm_change=_largest_change(before, _batch_norm_values(model)),
    )


def set_trainable(model: keras.Model, trainable: str) -> None:
    """Freezes and unfreezes the base as a phase asks: "head", "all" or "top:N"; BatchNormalization always stays frozen.

    Raises:
        DataError: `trainable` is none of these.
    """
    base = model.get_layer("base")
    word, _, number = trainable.partition(":")
    if word not in ("head", "all", "top") or (word == "top") != number.isdecimal():
        raise DataError(f'A phase trains "head", "all" or "top:N", N a number of layers; received {trainable!r}.')
    base.trainable = word != "head"
    if word == "top":
        for layer in base.layers[: len(base.layers) - int(number)]:
            layer.trainable = False
    if word != "head":
        for layer in batch_norms(base):
            layer.trainable = False


def learning_rate(phase: Phase, epoch: int, validation_losses: list[float]) -> float:
    """Returns the rate of an epoch (from 0), given the validation losses of those before it.

    >>> cosine = Phase("2", "all", epochs=4, learning_rate=0.1, schedule="cosine")
    >>> [round(learning_rate(cosine, epoch, []), 4) for epoch in range(4)]
    [0.1, 0.0854, 0.05, 0.0146]
    >>> plateau = Phase("2", "all", epochs=9, learning_rate=0.1, schedule="plateau")
    >>> learning_rate(plateau, 4, [1.0, 0.5, 0.6, 0.7])
    0.05
    """
    if phase.schedule == "cosine":
        return phase.learning_rate * (1 + math.cos(math.pi * epoch / phase.epochs)) / 2
    if phase.schedule == "constant":
        return phase.learning_rate
    rate, best, waited = phase.learning_rate, math.inf, 0
    for loss in validation_losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == PLATEAU_PATIENCE:
            rate, waited = rate / 2, 0
    return rate


def is_over(phase: Phase, validation_losses: list[float], epochs_done: int) -> bool:
    """Returns whether the phase has used its epochs, or waited `patience` epochs in vain for a better loss.

    >>> is_over(Phase("1", "head", epochs=9, learning_rate=1e-3, patience=2), [0.9, 0.5, 0.6, 0.5], 4)
    True
    """
    if epochs_done >= phase.epochs:
        return True
    if phase.patience is None or not validation_losses:
        return False
    return len(validation_losses) - 1 - int(np.argmin(validation_losses)) >= phase.patience


@dataclass(frozen=True)
class Stage:
    """The part of a model that a phase trains, and its input for every image.

    Attributes:
        model: Shares its layers with the whole model.
        train: Arrays (N_train, ...), one a view; epoch e uses the view e modulo their number. None for raw pixels.
        validation: Array (N_validation, ...) or None for raw pixels.
    """

    model: keras.Model
    train: list[np.ndarray] | None = None
    validation: np.ndarray | None = None


def stage_for(model: keras.Model, splits: Splits, phase: Phase, scratch: Path, *, seed: int) -> Stage:
    """Returns the trainable end of the model with the output of its frozen beginning, computed once.

    Where nothing is frozen the stage is the model itself, fed with pixels.
    """
    extractor, trainable = split_model(model)
    if extractor is None:
        return Stage(model)
    augmentation = model.get_layer("augmentation") if "augmentation" in [layer.name for layer in model.layers] else None
    views = phase.views if augmentation is not None else 1

    def compute(indices: np.ndarray, name: str, view: int | None) -> np.ndarray:
        shape = (len(indices), *extractor.output.shape[1:])
        # On disk, mapped: activations inside the base can be larger than the photographs they come from.
        target = np.lib.format.open_memmap(scratch / f"{name}.npy", mode="w+", dtype=np.float32, shape=shape)
        if view is not None:
            reseed(model, seed, view)
        starts = range(0, len(indices), PREDICT_BATCH)
        for start in tqdm(starts, desc=f"features {name}", unit="batch", delay=2, leave=False, disable=None):
            part = indices[start : start + PREDICT_BATCH]
            pixels = splits.images.images[part].astype("float32")
            if view is not None:
                pixels = augmentation(pixels, training=True)
            target[start : start + len(part)] = extractor(pixels)
        return target

    train_views = [
        compute(splits.train, f"view-{view}", view if augmentation is not None else None) for view in range(views)
    ]
    return Stage(trainable, train_views, compute(splits.validation, "validation", None))


def split_model(model: keras.Model) -> tuple[keras.Model | None, keras.Model]:
    """Returns (frozen beginning, the rest), which share layers with `model`; (None, model) where nothing is frozen.

    The cut lies after the last frozen layer through which everything passes: in a residual network the end of a block.
    """
    base = model.get_layer("base")
    cut = None
    if not base.trainable:
        cut = base.output
    else:
        layers = base.layers
        position = {layer.name: k for k, layer in enumerate(layers)}
        reach = [0] * len(layers)  # the last layer that reads each one
        for k, layer in enumerate(layers[1:], start=1):
            for tensor in _inputs_of(layer):
                source = position[tensor._keras_history.operation.name]
                reach[source] = max(reach[source], k)
        furthest = 0
        for k, layer in enumerate(layers[:-1]):
            if layer.trainable_variables:
                break
            if k and furthest <= k:
                cut = layer.output
            furthest = max(furthest, reach[k])
    if cut is None:
        return None, model
    after = ["pooling", "dropout", "probabilities"]
    pixels = keras.Input(model.input.shape[1:])
    frozen = keras.Model(base.input, cut)
    x = frozen(model.get_layer("preprocessing")(pixels), training=False)
    if cut is base.output:  # pool before caching: two thousand numbers an image instead of a hundred thousand
        x = model.get_layer(after.pop(0))(x)
    extractor = keras.Model(pixels, x)
    features = y = keras.Input(x.shape[1:])
    if cut is not base.output:
        y = keras.Model(cut, base.output)(y, training=False)
    for name in after:
        y = model.get_layer(name)(y)
    return extractor, keras.Model(features, y)


def _inputs_of(layer: keras.Layer) -> list:
    return [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]


def reseed(model: keras.Model, *entropy: int) -> None:
    """Sets every random layer of the model to a state drawn from the numbers given, in place."""
    states = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for k, state in enumerate(states):
        drawn = np.random.SeedSequence([*entropy, k]).generate_state(1)[0] & 0x7FFFFFFF
        state.assign(np.array([drawn, 0], dtype=state.dtype))


def _run_phase(
    model: keras.Model,
    splits: Splits,
    phase: Phase,
    index: int,
    count: int,
    progress: _Progress,
    work: Path,
    *,
    seed: int,
    cache: bool,
) -> None:
    set_trainable(model, phase.trainable)
    best_file, checkpoint = work / f"phase-{index + 1}-best.npz", work / "checkpoint.npz"
    with TemporaryDirectory(prefix="features-", dir=work) as scratch:
        started = time.perf_counter()
        finished = progress.phase > index
        stage = Stage(split_model(model)[1] if cache else model)
        if not finished:
            stage = stage_for(model, splits, phase, Path(scratch), seed=seed) if cache else Stage(model)
            stage.model.compile(
                optimizer=keras.optimizers.get(
                    {"class_name": phase.optimizer, "config": {"learning_rate": phase.learning_rate}}
                ),
                loss="sparse_categorical_crossentropy",
                metrics=["accuracy"],
                jit_compile=False,  # XLA on a CPU bypasses oneDNN
            )
            stage.model.optimizer.build(stage.model.trainable_variables)
            if len(progress.seconds) <= index:
                progress.seconds.append(0.0)
            elif checkpoint.exists():
                _restore(stage.model.variables + stage.model.optimizer.variables, checkpoint)
        spent = progress.seconds[index]
        while not finished:
            losses, epoch = progress.values(phase, "val_loss"), len(progress.values(phase, "loss"))
            if is_over(phase, losses, epoch):
                break
            rate = learning_rate(phase, epoch, losses)
            logs = _fit_epoch(model, stage, splits, phase, rate, entropy=(seed, index, epoch))
            progress.history += [
                {"phase": phase.name, "epoch": epoch + 1, "metric": metric, "value": value}
                for metric, value in {**logs, "learning_rate": rate}.items()
            ]
            if not math.isfinite(logs["loss"]):
                raise DataError(
                    f"The loss must stay a number; in epoch {epoch + 1} of phase {phase.name} it became {logs['loss']}. "
                    f"Use a learning rate below {rate:g}."
                )
            progress.seconds[index] = spent + time.perf_counter() - started
            if not losses or logs.get("val_loss", -math.inf) < min(losses):
                _save(stage.model.variables, best_file)
            _save(stage.model.variables + stage.model.optimizer.variables, checkpoint)
            _save_progress(progress, work)
            left = progress.seconds[index] / (epoch + 1) * (phase.epochs - epoch - 1)
            log.info(
                "phase %d/%d %s, epoch %d/%d: %s; at most %s left in this phase",
                index + 1, count, phase.name, epoch + 1, phase.epochs,
                ", ".join(f"{name} {value:.3f}" for name, value in logs.items()), duration(left),
            )  # fmt: skip
        _restore(stage.model.variables, best_file)
        if not finished:
            progress.phase = index + 1
            _save_progress(progress, work)
            checkpoint.unlink(missing_ok=True)
        del stage  # unmaps the features before their folder goes


def duration(seconds: float) -> str:
    """Returns seconds as people say them.

    >>> duration(42.4), duration(190)
    ('42 s', '3 min 10 s')
    """
    seconds = round(seconds)
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60} s"


def _fit_epoch(
    model: keras.Model, stage: Stage, splits: Splits, phase: Phase, rate: float, *, entropy: tuple[int, int, int]
) -> dict[str, float]:
    order = np.random.default_rng(entropy).permutation(len(splits.train))
    reseed(model, *entropy)
    stage.model.optimizer.learning_rate.assign(rate)
    labels, pixels = splits.images.labels, splits.images.images
    if stage.train is None:
        training = _dataset(pixels, splits.train[order], labels[splits.train[order]], phase.batch_size)
        held_out = _dataset(pixels, splits.validation, labels[splits.validation], PREDICT_BATCH)
    else:
        view = stage.train[entropy[2] % len(stage.train)]
        training = _dataset(view, order, labels[splits.train[order]], phase.batch_size)
        everyone = np.arange(len(splits.validation))
        held_out = _dataset(stage.validation, everyone, labels[splits.validation], PREDICT_BATCH)
    validation = held_out if len(splits.validation) else None
    with tqdm(total=len(training), desc=phase.name, unit="step", delay=2, leave=False, disable=None) as bar:
        step = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: bar.update())
        fitted = stage.model.fit(
            training, validation_data=validation, epochs=1, verbose=0, shuffle=False, callbacks=[step]
        )
    return {name: float(values[0]) for name, values in fitted.history.items()}


def _dataset(source: np.ndarray, indices: np.ndarray, labels: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Returns batches in the order of `indices`, read while the step before them runs."""

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(indices), batch_size):
            part = slice(start, start + batch_size)
            yield source[indices[part]].astype("float32"), labels[part]

    signature = (
        tf.TensorSpec((None, *source.shape[1:]), tf.float32),
        tf.TensorSpec((None,), tf.int64),
    )
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False  # its tuning thread stalls the end of `fit` for seconds on small machines
    return (
        data.apply(tf.data.experimental.assert_cardinality(math.ceil(len(indices) / batch_size)))
        .prefetch(2)
        .with_options(options)
    )


def _save(variables: list, path: Path) -> None:
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez(file, **{str(k): np.asarray(variable) for k, variable in enumerate(variables)})


def _restore(variables: list, path: Path) -> None:
    with np.load(path) as stored:
        for k, variable in enumerate(variables):
            variable.assign(stored[str(k)])


def _save_progress(progress: _Progress, work: Path) -> None:
    with atomic_path(work / "progress.json") as partial:
        partial.write_text(json.dumps(vars(progress)))


def _batch_norm_values(model: keras.Model) -> list[np.ndarray]:
    return [np.array(variable) for layer in batch_norms(model) for variable in layer.variables]


def _largest_change(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    """Returns max |after - before| over all arrays, NaN where there are none."""
    return max((float(np.abs(b - a).max()) for a, b in zip(before, after, strict=True)), default=math.nan)
