"""Whether a training can have left a history behind: its epochs, its rates, and numbers that are counts of images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from casestudy.grading.containers import readable
from casestudy.grading.contents import as_number, inside, is_number, moved_in
from casestudy.study import Phase
from casestudy.training import next_rate
from casestudy.words import counted

METRICS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
COUNTED = {"accuracy": 0, "val_accuracy": 1}  # shares of the images of training and of validation
WHOLE = 5e-7  # of a count, how far from a whole number a share times it may lie: float32 keeps seven digits
FASTEST, SLOWEST = 1e-3, 3600.0  # seconds that an image can take in training


def history_faults(table: pd.DataFrame, phases: Sequence[Phase], images: tuple[int, int]) -> Iterator[str]:
    """Yields what in a history no training leaves behind.

    Args:
        table: phase, epoch, metric, value, every cell a str, in the order of the file.
        phases: What was to be trained.
        images: How many are in training and in validation.
    """
    order = list(dict.fromkeys(table["phase"]))
    if unknown := sorted(set(table["metric"]) - set(METRICS)):
        yield f"a metric called {readable(unknown[0], 30)!r}"
    if order != [phase.name for phase in phases]:
        yield f"the phases {readable(', '.join(order), 80) or 'none'}, not {', '.join(phase.name for phase in phases)}"
        return
    for phase in phases:
        values: dict[str, list[float]] = {}
        for epoch, metric, cell in table.loc[table["phase"] == phase.name, ["epoch", "metric", "value"]].to_numpy():
            values.setdefault(metric, []).append(as_number(cell))
            if str(len(values[metric])) != epoch:
                yield f"epoch {readable(epoch, 20)} of {phase.name} out of its turn"
                return
        yield from _phase_faults(phase, values, images)


def _phase_faults(phase: Phase, values: dict[str, list[float]], images: tuple[int, int]) -> Iterator[str]:
    losses, epochs = values.get("val_loss", []), len(values.get("loss", ()))
    wanted = set(METRICS) if images[1] else {name for name in METRICS if not name.startswith("val_")}
    if set(values) != wanted or any(len(series) != epochs for series in values.values()):
        yield f"{phase.name} lacks a value, or has one too many"
        return
    if not all(math.isfinite(value) for series in values.values() for value in series):
        yield f"a value of {phase.name} is no number"
        return
    if epochs > phase.epochs or next_rate(phase, losses, epochs) is not None:
        yield f"{phase.name} ends after {epochs} of {counted(phase.epochs, 'epoch')}, where it must go on or be over"
    for epoch, rate in enumerate(values["learning_rate"]):
        wanted_rate = next_rate(phase, losses[:epoch], epoch)
        if wanted_rate is None or not math.isclose(rate, wanted_rate, rel_tol=1e-9):
            yield f"the rate {rate:g} in epoch {epoch + 1} of {phase.name}"
            break
    every = [value for name in ("loss", "val_loss") for value in values.get(name, ()) if value]
    if len(every) - len(set(every)) > max(1, len(every) // 4):
        yield f"losses of {phase.name} that are equal to the last digit"
    for name, series in values.items():
        if name != "learning_rate" and any(float(np.float32(value)) != value for value in series):
            yield f"a {name} of {phase.name} with digits that no training gives"
        if name.endswith("loss") and any(value < 0 for value in series):
            yield f"a {name} below zero in {phase.name}"
        if name in COUNTED and (count := images[COUNTED[name]]):
            hits = np.array(series) * count
            if (hits < 0).any() or (hits > count).any() or (abs(hits - hits.round()) > 1e-3 + WHOLE * count).any():
                yield f"a {name} of {phase.name} that no number of its {counted(count, 'image')} gives"


def training_faults(training: dict[str, Any], history: dict[str, dict[str, list[float]]], images: int) -> Iterator[str]:
    """Yields what training.json tells that cannot be, beside a history: seconds, pace, and what moved."""
    seconds, pace = inside(training, "seconds"), inside(training, "images_per_second")
    if list(seconds) != list(history) or list(pace) != list(history):
        yield "seconds and pace of other phases than the history's"
        return
    for phase, metrics in history.items():
        if not is_number(seconds[phase]) or not is_number(pace[phase]) or not seconds[phase] > 0 or not pace[phase] > 0:
            yield f"no time for {readable(phase, 40)}"
            continue
        seen, told = images * len(metrics.get("loss", ())), seconds[phase] * pace[phase]
        if abs(told - seen) > 1e-3 * max(seen, 1):
            yield f"seconds and pace of {readable(phase, 40)} come to {counted(round(told), 'image')}, not {seen}"
        elif not FASTEST * seen / 100 <= seconds[phase] <= SLOWEST * max(seen, 1):
            yield f"{seconds[phase]:g} seconds for {counted(seen, 'image')}"
    for phase, kinds in moved_in(training).items():
        if strange := [kind for kind, change in kinds.items() if float(np.float32(change)) != change]:
            yield f"a change of {readable(strange[0], 40)} in {readable(phase, 40)} with digits that no training gives"
    change = training.get("batch_norm_change")
    if is_number(change) and change != 0 and not any(inside(training, "largest_change", phase) for phase in history):
        yield "a change of BatchNormalization that no phase has"
