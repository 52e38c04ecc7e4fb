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
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from casestudy.data import Splits
from casestudy.errors import DataError
from casestudy.models import average_with_mirror, keras, tf
from casestudy.study import ModelSpec, Phase
from casestudy.training import checkpoints
from casestudy.training.checkpoints import Progress
from casestudy.training.epochs import compile_for, fit_epoch
from casestudy.training.initial import initial_model
from casestudy.training.schedules import is_over, learning_rate
from casestudy.training.stages import (
    Stage,
    set_trainable,
    split_model,
    stage_for,
)

log = logging.getLogger(__name__)

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
    def batch_norm_change(self) -> float | None:
        """Largest absolute change of any BatchNormalization variable: 0.0 when they stayed frozen, None without any."""
        changes = (kinds.get("BatchNormalization") for kinds in self.largest_change.values())
        return max((change for change in changes if change is not None), default=None)


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
    model = initial_model(spec, splits, weights=weights, seed=seed, precision=precision)
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
        compile_for(stage.model, phase)
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
            logs = fit_epoch(model, stage, splits, phase, rate, entropy=(seed, index, epoch))
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
