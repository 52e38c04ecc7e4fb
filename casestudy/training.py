"""Trains a model phase by phase; a frozen base is computed once, and a killed run goes on where it stopped.

Two-phase fine-tuning (document step 3; Keras' transfer-learning guide): phase 1 trains the head on a frozen base, phase
2 unfreezes the base, all of it or its top layers, with every BatchNormalization layer kept frozen and a smaller rate.

What decides the next epoch (order of images, random layers, learning rate, stopping) is a function of the seed, the
epoch and the history so far: no hidden state is lost, and resuming gives the weights of a run that was never stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from casestudy import checkpoints
from casestudy.backend import keras, tf
from casestudy.checkpoints import Progress
from casestudy.errors import DataError
from casestudy.models import average_with_mirror, batch_norms, build_model, estimate_batch_norm
from casestudy.schedules import is_over, learning_rate, one_cycle
from casestudy.splits import Splits
from casestudy.stages import PREDICT_BATCH, Stage, compute_features, reseed, set_trainable, split_model, stage_for
from casestudy.study import ModelSpec, Phase

log = logging.getLogger(__name__)

ESTIMATION_IMAGES = 512  # enough for a stable mean and variance of each channel
CHECKPOINT = "checkpoint.arrays"


@dataclass(frozen=True)
class TrainingRun:
    """A trained model and how it came to be.

    Attributes:
        model: Takes pixels in 0-255, gives probabilities; the base and the head in one.
        history: Tidy: phase, epoch (from 1), metric, value. Identical for identical seeds.
        seconds: Wall-clock seconds of each phase, the computing of cached features included.
        images_per_second: Training images seen in each phase, over its seconds.
        largest_change: For each phase the largest absolute change of a variable in each kind of layer: 0.0 for what
            the phase kept frozen.
    """

    model: keras.Model
    history: pd.DataFrame
    seconds: dict[str, float]
    images_per_second: dict[str, float]
    largest_change: dict[str, dict[str, float]]

    @property
    def batch_norm_change(self) -> float:
        """Largest absolute change of any BatchNormalization variable: 0.0 when they stayed frozen, NaN without any."""
        changes = (kinds.get("BatchNormalization", math.nan) for kinds in self.largest_change.values())
        return max(changes, default=math.nan)


@dataclass(frozen=True)
class Machine:
    """What this machine is good for: the image size and precision used where a study leaves them open."""

    device: str
    image_size: tuple[int, int]
    precision: str


def machine() -> Machine:
    """Returns the defaults for the best device here; mixed precision only on GPUs with tensor cores, never on a CPU."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return Machine("CPU", (64, 64), "float32")
    details = tf.config.experimental.get_device_details(gpus[0])
    fast_half = details.get("compute_capability", (0, 0)) >= (7, 0)
    return Machine(details.get("device_name", "GPU"), (224, 224), "mixed_float16" if fast_half else "float32")


def train(
    spec: ModelSpec,
    splits: Splits,
    *,
    phases: tuple[Phase, ...],
    weights: str | None,
    seed: int,
    folder: Path | None = None,
    precision: str = "float32",
    cache: bool = True,
    until: str | None = None,
) -> TrainingRun:
    """Returns the model trained on `splits.train`, each phase ending with its weights of the lowest validation loss.

    Args:
        spec: What to build, with its image size decided.
        splits: Validation chooses the epoch; without one, the last epoch counts. Test is not looked at.
        phases: One after the other, on the same model.
        weights: What `resolve_weights` returned.
        seed: Decides initial weights, order of images, augmentation and dropout.
        folder: Where checkpoints live; a run killed in any epoch goes on from there. None keeps none.
        precision: A Keras dtype policy; see `machine`.
        cache: Use cached features where the base is frozen; False trains the plain way.
        until: The last phase to run; with a `folder`, another call goes on after it. None runs them all.

    Raises:
        DataError: The loss is no longer a number, or a phase asks for layers that are not there.
    """
    model = _initial_model(spec, splits, weights=weights, seed=seed, precision=precision)
    values, changes = _values(model), {}
    with TemporaryDirectory(prefix="casestudy-") as scratch:
        work = Path(folder or scratch)
        work.mkdir(parents=True, exist_ok=True)
        progress = Progress.load(work / CHECKPOINT, _recipe(spec, splits, phases, weights, seed, precision))
        for index, phase in enumerate(phases):
            _run_phase(model, splits, phase, index, progress, work, seed=seed, cache=cache)
            before, values = values, _values(model)
            changes[phase.name] = _largest_changes(before, values)
            if phase.name == until:
                break
    seen = {name: len(splits.train) * len(progress.values(name, "loss")) for name in changes}
    seconds = dict(zip(changes, progress.seconds, strict=False))
    # The same layers without the optimizer, whose state would make a saved model three times as large.
    finished = keras.Model(model.inputs, model.outputs, name=model.name)
    return TrainingRun(
        model=average_with_mirror(finished) if spec.mirror_average else finished,
        history=pd.DataFrame(progress.history, columns=["phase", "epoch", "metric", "value"]),
        seconds=seconds,
        images_per_second={name: seen[name] / max(spent, 1e-9) for name, spent in seconds.items()},
        largest_change=changes,
    )


def _initial_model(
    spec: ModelSpec, splits: Splits, *, weights: str | None, seed: int, precision: str = "float32"
) -> keras.Model:
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    images = splits.images
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        shape, count = images.images.shape[1:], len(images.class_names)
        model = build_model(spec, input_shape=shape, num_classes=count, weights=weights)
    finally:
        keras.config.set_dtype_policy(policy)
    base = model.get_layer("base")
    if weights is None and batch_norms(base):
        chosen = np.random.default_rng(seed).permutation(splits.train)[:ESTIMATION_IMAGES]
        parts = np.split(chosen, range(PREDICT_BATCH, len(chosen), PREDICT_BATCH))
        scale = model.get_layer("preprocessing")
        estimate_batch_norm(base, [scale(images.images[part].astype("float32")) for part in parts])
    return model


def frozen_features(spec: ModelSpec, splits: Splits, *, weights: str | None, seed: int, target: Path) -> np.ndarray:
    """Returns float32 (N, F): every image of the set, pooled after the frozen base, without augmentation."""
    model = _initial_model(spec, splits, weights=weights, seed=seed)
    set_trainable(model, "head")
    extractor, _ = split_model(model)
    return compute_features(extractor, splits.images.images, np.arange(len(splits.images)), target)


def train_head(features: np.ndarray, splits: Splits, phase: Phase, *, dropout: float, seed: int) -> np.ndarray:
    """Returns float32 (len(splits.test), K): the probabilities of a head trained alone on cached features.

    The same head, phase and seed under two protocols show what a random split hides, in seconds.
    """
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(features.shape[1:])
    x = keras.layers.Dropout(dropout)(inputs)
    head = keras.Model(inputs, keras.layers.Dense(len(splits.images.class_names), activation="softmax")(x))
    _compile(head, phase)
    stage = Stage(head, [features[splits.train]], features[splits.validation])
    losses: list[float] = []
    best = head.get_weights()
    epoch = 0
    while not is_over(phase, losses, epoch):
        logs = _fit_epoch(head, stage, splits, phase, learning_rate(phase, epoch, losses), entropy=(seed, 0, epoch))
        epoch += 1
        if "val_loss" not in logs or logs["val_loss"] < min(losses, default=math.inf):
            best = head.get_weights()
        losses += [logs["val_loss"]] if "val_loss" in logs else []
    head.set_weights(best)
    return np.asarray(head(features[splits.test]))


def _compile(model: keras.Model, phase: Phase) -> None:
    settings: dict[str, float] = {"learning_rate": phase.learning_rate}
    if phase.weight_decay is not None:
        settings["weight_decay"] = phase.weight_decay
    optimizer = keras.optimizers.get({"class_name": phase.optimizer, "config": settings})
    if phase.weight_decay is not None:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=_smoothed(phase.label_smoothing) if phase.label_smoothing else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA on a CPU bypasses oneDNN
    )
    model.optimizer.build(model.trainable_variables)


def _smoothed(share: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns the cross-entropy with that share of the truth spread over all labels (Szegedy et al. 2016)."""

    def loss(labels: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        truth = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), probabilities.shape[-1])
        return keras.losses.categorical_crossentropy(truth, probabilities, label_smoothing=share)

    return loss


def _run_phase(
    model: keras.Model,
    splits: Splits,
    phase: Phase,
    index: int,
    progress: Progress,
    work: Path,
    *,
    seed: int,
    cache: bool,
) -> None:
    set_trainable(model, phase.trainable)
    best, checkpoint = work / f"phase-{index + 1}-best.arrays", work / CHECKPOINT
    if progress.phase > index:
        checkpoints.restore(best, (split_model(model)[1] if cache else model).variables)
        return
    with TemporaryDirectory(prefix="features-", dir=work) as scratch:
        started = time.perf_counter()
        stage = stage_for(model, splits, phase, Path(scratch), seed=seed) if cache else Stage(model)
        _compile(stage.model, phase)
        state = stage.model.variables + stage.model.optimizer.variables
        if len(progress.seconds) > index:
            checkpoints.restore(checkpoint, state)
        else:
            progress.seconds.append(0.0)
        spent = progress.seconds[index]
        while True:
            losses, epoch = progress.values(phase.name, "val_loss"), len(progress.values(phase.name, "loss"))
            if is_over(phase, losses, epoch):
                break
            rate = learning_rate(phase, epoch, losses)
            logs = _fit_epoch(model, stage, splits, phase, rate, entropy=(seed, index, epoch))
            if not all(math.isfinite(value) for value in logs.values()):
                raise DataError(
                    f"The loss must stay a number; in epoch {epoch + 1} of phase {phase.name} it became "
                    f"{logs['loss']}. Use a learning rate below {rate:g}."
                )
            progress.history += [
                {"phase": phase.name, "epoch": epoch + 1, "metric": metric, "value": value}
                for metric, value in {**logs, "learning_rate": rate}.items()
            ]
            progress.seconds[index] = spent + time.perf_counter() - started
            if logs.get("val_loss", -math.inf) < min(losses, default=math.inf):  # without validation, the last
                checkpoints.save(best, stage.model.variables)
            checkpoints.save(checkpoint, state, progress)
            left = progress.seconds[index] / (epoch + 1) * (phase.epochs - epoch - 1)
            log.info(
                "%s %d/%d: %s%s",
                phase.name, epoch + 1, phase.epochs,
                ", ".join(f"{name} {value:.3f}" for name, value in logs.items()),
                f"; at most {duration(left)} left" if left else "",
            )  # fmt: skip
        checkpoints.restore(best, stage.model.variables)
        progress.phase = index + 1
        checkpoints.save(checkpoint, [], progress)
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
    if stage.train is None or stage.validation is None:
        training = _dataset(pixels, splits.train[order], labels[splits.train[order]], phase.batch_size)
        held_out = _dataset(pixels, splits.validation, labels[splits.validation], PREDICT_BATCH)
    else:
        view = stage.train[entropy[2] % len(stage.train)]
        training = _dataset(view, order, labels[splits.train[order]], phase.batch_size)
        everyone = np.arange(len(splits.validation))
        held_out = _dataset(stage.validation, everyone, labels[splits.validation], PREDICT_BATCH)
    validation = held_out if len(splits.validation) else None

    def before_step(batch: int, logs: object) -> None:
        if phase.schedule == "one-cycle":
            done = (entropy[2] + batch / len(training)) / phase.epochs
            stage.model.optimizer.learning_rate.assign(one_cycle(phase.learning_rate, done))

    with tqdm(total=len(training), desc=phase.name, unit="step", delay=2, leave=False, disable=None) as bar:
        step = keras.callbacks.LambdaCallback(
            on_train_batch_begin=before_step, on_train_batch_end=lambda batch, logs: bar.update()
        )
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


def _recipe(
    spec: ModelSpec, splits: Splits, phases: tuple[Phase, ...], weights: str | None, seed: int, precision: str
) -> str:
    settings = [dataclasses.asdict(spec), [dataclasses.asdict(phase) for phase in phases], weights, seed, precision]
    digest = hashlib.sha256(json.dumps([settings, splits.images.digest]).encode())
    for part in (splits.train, splits.validation):
        digest.update(part.tobytes() + b"|")
    return digest.hexdigest()


def _values(model: keras.Model) -> list[tuple[str, np.ndarray]]:
    """Returns the kind of layer and the value of every variable that training could change."""
    layers = [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]
    return [
        (type(layer).__name__, keras.ops.convert_to_numpy(variable).copy())
        for layer in layers
        for variable in layer.weights
    ]


def _largest_changes(before: list[tuple[str, np.ndarray]], after: list[tuple[str, np.ndarray]]) -> dict[str, float]:
    """Returns max |after - before| over all variables of each kind of layer."""
    changes: dict[str, float] = {}
    for (kind, old), (_, new) in zip(before, after, strict=True):
        changes[kind] = max(changes.get(kind, 0.0), float(np.abs(new - old).max()))
    return changes


def remove_checkpoints(folder: Path) -> None:
    """Removes what `train` wrote to `folder` to be able to go on, once it is no longer needed."""
    shutil.rmtree(folder)  # whole: a killed run may have left its cached features, a folder, behind
