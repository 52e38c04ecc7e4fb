"""What a run's training may take: the most of its recipe that so many minutes pay for, measured on this machine."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from casestudy.choices import ImageSize, Precision
from casestudy.data import Splits
from casestudy.runs.folder import RunFolder
from casestudy.study import Phase, Study
from casestudy.words import duration

if TYPE_CHECKING:
    from casestudy.training import Clock

log = logging.getLogger(__name__)

# Of a recipe: the largest side in pixels (None: its own) and the share of the last phase's epochs, the best first as
# ARTICLES/budget.json has them. All of the epochs at 64 pixels read less than half of them at 96, which take less time.
POINTS = ((None, 1.0), (None, 0.5), (64, 0.5), (None, 0.25), (64, 0.25))
BATCHES = 12  # of each phase, to see its pace by: enough to outweigh what the end of an epoch takes


@dataclass(frozen=True)
class Part:
    """A part of a recipe, and how long the training takes with it."""

    image_size: ImageSize
    phases: tuple[Phase, ...]
    seconds: float

    def __str__(self) -> str:
        size, epochs = "x".join(map(str, self.image_size)), " + ".join(str(phase.epochs) for phase in self.phases)
        return f"{size} pixels, epochs {epochs}, about {duration(self.seconds)}"


def keep_within_budget(run: RunFolder, splits: Sequence[Splits]) -> None:
    """Cuts a run's recipe to its budget.

    What is decided stands in run.json as if it had been asked for: the run can be made again on a machine of any speed.
    """
    record = run.record
    wishes, resolved = record.wishes, record.resolved
    assert wishes.budget is not None and resolved is not None
    machine, study = resolved.machine, record.resolved_wishes().study
    paces = paces_of(study, splits[0], seed=wishes.seed, precision=machine.precision)
    again = [splits[0]] * (len(wishes.other_seeds) + (wishes.compare_splits or study.compare_splits))
    fixed = wishes.study.model.image_size is not None
    parts = parts_of(study, [*splits, *again], paces, smaller=not fixed)
    fitting = [part for part in parts if part.seconds <= 60 * wishes.budget]
    chosen = fitting[0] if fitting else min(parts, key=lambda part: part.seconds)
    asked, whole = duration(60 * wishes.budget), f"the whole recipe: {parts[0]}"
    if fitting:
        log.info("budget: %s pay for %s", asked, whole if chosen is parts[0] else f"{chosen}; {whole}")
    else:
        log.warning("budget: %s are too few for any training; the least there is: %s", asked, chosen)
    model = wishes.study.model if fixed else replace(wishes.study.model, image_size=chosen.image_size)
    asked_for = replace(wishes, study=replace(wishes.study, model=model, phases=chosen.phases))
    resolved = replace(resolved, machine=replace(machine, image_size=chosen.image_size))
    run.write_record(replace(record, wishes=asked_for, resolved=resolved))


def parts_of(study: Study, splits: Sequence[Splits], paces: Clock, *, smaller: bool) -> list[Part]:
    """Returns what there is to choose from, by `POINTS`, each with the time of a training on every split.

    A smaller image takes as much less time as its sides are shorter, not as its pixels are fewer: 64 pixels took 0.57
    to 0.73 of 96 (ARTICLES/budget.json). Where the size was asked for, there are the epochs alone to choose from.
    """
    size, last, parts = study.model.image_size, study.phases[-1], []
    assert size is not None  # resolved
    for most, share in POINTS:
        if most is not None and (not smaller or most >= min(size)):
            continue
        fewer = size if most is None else (most, most)
        phases = (*study.phases[:-1], replace(last, epochs=max(round(share * last.epochs), 1)))
        clock = paces.at(math.sqrt(math.prod(fewer) / math.prod(size)))
        for split in splits:
            for phase in phases:
                clock.expect(study.model, phase, split, name=phase.name)
        parts.append(Part(fewer, phases, clock.whole()))
    return parts


def paces_of(study: Study, split: Splits, *, seed: int, precision: Precision) -> Clock:
    """Returns a clock that knows how fast each phase is here, from a few batches of the study's own images."""
    from casestudy.models import build_model
    from casestudy.training import Clock, train

    log.info("budget: each phase shows its pace on a few images first")
    images = BATCHES * max(phase.batch_size for phase in study.phases)
    judged = math.ceil(images / len(split.train) * len(split.validation))
    few = replace(split, train=split.train[:images], validation=split.validation[:judged])
    with Clock() as clock, _without_scores():
        model = build_model(study.model, split.images, seed=seed, precision=precision)
        for phase in study.phases:
            train(model, few, replace(phase, epochs=1), seed=seed)
    return clock


@contextmanager
def _without_scores() -> Iterator[None]:
    """Keeps what `train` says to itself: what few images score is nothing that anybody should read."""
    said = logging.getLogger("casestudy.training")
    level = said.level
    said.setLevel(logging.WARNING)
    try:
        yield
    finally:
        said.setLevel(level)
