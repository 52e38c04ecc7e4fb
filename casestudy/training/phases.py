"""Trains a model phase by phase; a frozen base is computed once, and a killed training goes on where it stopped.

Two-phase fine-tuning (document step 3; Keras' transfer-learning guide): phase 1 trains the head on a frozen base, phase
2 unfreezes the base, all of it or its top layers, with every BatchNormalization layer kept frozen and a smaller rate.

What decides the next epoch (order of images, random layers, learning rate, stopping) is a function of the seed, the
epoch and the history so far: no hidden state is lost, and resuming gives the weights of a training that was never
stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from casestudy.data import Splits
from casestudy.errors import DataError
from casestudy.models import keras, origin_of
from casestudy.study import HIDDEN, Phase
from casestudy.training import checkpoints as stored
from casestudy.training.clock import Clock, compiling
from casestudy.training.devices import Devices
from casestudy.training.epochs import compile_for, fit_epoch
from casestudy.training.schedules import is_over, learning_rate
from casestudy.training.stages import Stage, estimate_batch_norms, set_trainable, split_model, stage_for

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"  # the folder of them, and the file that holds progress and weights together
CHECKPOINT = "checkpoint.arrays"


@dataclass(frozen=True)
class TrainingRun:
    """How a model came to be: all phases that it was trained in so far."""

    history: pd.DataFrame  # phase, epoch (from 1), metric, value; identical for identical seeds
    seconds: dict[str, float]  # of wall-clock time of each phase, the computing of cached features included
    images_per_second: dict[str, float]  # training images seen in each phase, over its seconds
    largest_change: dict[str, dict[str, float]]  # of each phase and kind of layer, |after - before|; 0.0 where frozen

    @property
    def batch_norm_change(self) -> float | None:
        """Largest absolute change of any BatchNormalization variable: 0.0 when they stayed frozen, None without any."""
        changes = (kinds.get("BatchNormalization") for kinds in self.largest_change.values())
        return max((change for change in changes if change is not None), default=None)


@dataclass
class _Training:
    """What is known of a model that is being trained: it decides what the next phase begins with."""

    splits: str  # their digest
    phases: list[Phase] = field(default_factory=list)
    progress: stored.Progress = field(default_factory=stored.Progress)
    changes: dict[str, dict[str, float]] = field(default_factory=dict)


_TRAININGS: WeakKeyDictionary[keras.Model, _Training] = WeakKeyDictionary()


def train(
    model: keras.Model,
    splits: Splits,
    phase: Phase,
    *,
    seed: int,
    checkpoints: str | os.PathLike[str] | None = None,
    cache: bool = True,
) -> TrainingRun:
    """Trains the model in one more phase, in place, and returns its history so far.

    The phase ends with the weights of its lowest validation loss, or as its `keep` says; without validation, of its
    last epoch. `splits.test` is not looked at.

    Args:
        model: What `build_model` returns, trained in the phases before this one.
        splits: The same for all phases.
        seed: Decides order of images, augmentation and dropout.
        checkpoints: The folder (or run folder) to keep them in. A training killed in any epoch goes on from there when
            the same calls are made again; what is done already takes no time. None keeps none.
        cache: Use cached features where the base is frozen; False trains the plain way.

    Raises:
        DataError: The loss is no longer a number, the phase asks for layers that are not there or has the name of an
            earlier one, or the model is none of `build_model`, or one whose training broke off or had other splits.
        RunError: The checkpoints are those of another training.
    """
    origin = origin_of(model)
    state = _TRAININGS.get(model)
    if state is None:
        state = _Training(splits.digest)
        if origin.weights is None:
            estimate_batch_norms(model, splits, seed=origin.seed)
        _TRAININGS[model] = state
    if state.splits != splits.digest:
        raise DataError("All phases of a training have the same splits; received others. Build a new model for them.")
    if len(state.phases) > len(state.changes):
        raise DataError(f"A training that broke off needs a new model; {state.phases[-1].name!r} did. Build it again.")
    if phase.name in state.changes:
        raise DataError(f"The phases of a training have names of their own; {phase.name!r} is done. Build a new model.")
    before = _values(model)
    state.phases.append(phase)
    with ExitStack() as stack:
        if checkpoints is None:
            work = Path(stack.enter_context(TemporaryDirectory(prefix="casestudy-")))
        else:
            work = Path(checkpoints) / CHECKPOINTS
            work.mkdir(parents=True, exist_ok=True)
            recipe = [origin.to_json(), [one.to_json() for one in state.phases], seed, splits.digest]
            digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
            state.progress = stored.Progress.load(work / CHECKPOINT, len(state.phases) - 1, digest)
        _run_phase(model, splits, state, work, seed=seed, cache=cache)
    state.changes[phase.name] = _largest_changes(before, _values(model))
    return _summary(state, len(splits.train))


def _summary(state: _Training, images: int) -> TrainingRun:
    progress, names = state.progress, list(state.changes)
    seconds = dict(zip(names, progress.seconds, strict=False))
    seen = {name: images * len(progress.values(name, "loss")) for name in names}
    rows = [row for row in progress.history if row["phase"] in names]
    history = pd.DataFrame(rows, columns=["phase", "epoch", "metric", "value"])
    pace = {name: seen[name] / max(spent, 1e-9) for name, spent in seconds.items()}
    return TrainingRun(history, seconds, pace, dict(state.changes))


def _run_phase(model: keras.Model, splits: Splits, state: _Training, work: Path, *, seed: int, cache: bool) -> None:
    phase, index, progress = state.phases[-1], len(state.phases) - 1, state.progress
    clock, devices = Clock.current(), Devices.current()
    task = clock.begin(origin_of(model).spec, phase, splits)
    set_trainable(model, phase.trainable)
    best, checkpoint = work / f"phase-{index + 1}-best.arrays", work / CHECKPOINT
    if progress.phase > index:
        stored.restore(best, (split_model(model)[1] if cache else model).variables)
        return
    with TemporaryDirectory(prefix="features-", dir=work) as scratch:
        started = time.perf_counter()
        stage = stage_for(model, splits, phase, Path(scratch), seed=seed) if cache else Stage(model)
        compile_for(stage.model, phase)
        devices.share(stage.model)
        variables = stage.model.variables + stage.model.optimizer.variables
        if len(progress.seconds) > index:
            stored.restore(checkpoint, variables)
        else:
            progress.seconds.append(0.0)
        devices.give(variables)
        spent, began, first = progress.seconds[index], time.perf_counter(), True
        while True:
            losses, epoch = progress.values(phase.name, "val_loss"), len(progress.values(phase.name, "loss"))
            if is_over(phase, losses, epoch):
                break
            rate = learning_rate(phase, epoch, losses)
            logs = devices.agree(fit_epoch(model, stage, splits, phase, rate, entropy=(seed, index, epoch)))
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
            values = {name: progress.values(phase.name, name) for name in ("loss", "val_loss", "val_accuracy")}
            if phase.kept_epoch(values) == epoch:
                stored.save(best, stage.model.variables)
            stored.save(checkpoint, variables, progress)
            lap, began = began, time.perf_counter()
            start = compiling(lap, stage.ends, math.ceil(task.images / phase.batch_size)) if first else 0.0
            clock.measure(task.kind, began - lap, task.images, start)
            first, over = False, is_over(phase, progress.values(phase.name, "val_loss"), epoch + 1)
            scores = ", ".join(f"{name} {value:.3f}" for name, value in logs.items())
            rest = clock.left(task, 0 if over else phase.epochs - epoch - 1)
            log.info("%s %d/%d: %s%s", phase.name, epoch + 1, phase.epochs, scores, rest)
        stored.restore(best, stage.model.variables)
        progress.phase = index + 1
        stored.save(checkpoint, [], progress)
        del stage  # unmaps the features before their folder goes


def _values(model: keras.Model) -> list[tuple[str, np.ndarray]]:
    """Returns the kind of layer and the value of every variable that training could change."""
    return [
        (type(layer).__name__ + " of the head" * (layer.name in HIDDEN), np.asarray(variable).copy())
        for layer in model._flatten_layers()
        if not isinstance(layer, keras.Model)
        for variable in layer.weights
    ]


def _largest_changes(before: list[tuple[str, np.ndarray]], after: list[tuple[str, np.ndarray]]) -> dict[str, float]:
    """Returns max |after - before| over all variables of each kind of layer."""
    changes: dict[str, float] = {}
    for (kind, old), (_, new) in zip(before, after, strict=True):
        changes[kind] = max(changes.get(kind, 0.0), float(np.abs(new - old).max()))
    return changes


def remove_checkpoints(folder: str | os.PathLike[str]) -> None:
    """Removes what `train` keeps in a folder to be able to go on, once it is no longer needed."""
    work = Path(folder) / CHECKPOINTS
    if work.is_symlink():
        return  # not made by `train`
    for made in (CHECKPOINT, "phase-*-best.arrays", "features-*/*.npy", ".*.tmp.arrays"):  # by a killed run, too
        for path in work.glob(made):
            path.unlink(missing_ok=True)
    for left in (*work.glob("features-*"), work):  # whatever else lies there stays
        with suppress(OSError):
            left.rmdir()
