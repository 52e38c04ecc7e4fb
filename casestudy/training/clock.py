"""How much time is left, in a phase and in all that a run has still to train, by the pace of what it did so far."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace

from tqdm.auto import tqdm

from casestudy.data import Splits
from casestudy.study import ModelSpec, Phase
from casestudy.words import counted, duration

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds without a word while features are computed, where nothing could be said before


@dataclass(frozen=True)
class Task:
    """A phase of one model, in numbers: what of a run was planned and what begins is the same where these are."""

    name: str = field(compare=False)
    kind: str  # phases of the same kind are as fast as each other, image for image
    images: int  # of an epoch's training
    epochs: int  # at the most
    early: bool  # whether it may end sooner
    base: str = field(compare=False)  # the kind of its features
    features: int = field(compare=False)  # images that a frozen base sees before the first epoch


@dataclass
class Pace:
    """What was measured of one kind."""

    start: float = 0.0  # seconds that the first step takes longer than others: it compiles
    seconds: float = 0.0  # of all others
    images: int = 0

    def of(self, images: int) -> float:
        return self.seconds / self.images * images


_CLOCK: ContextVar[Clock] = ContextVar("clock")


class Clock:
    """What is to be trained, and how fast things of its kind were; inside `with`, what is trained is told by it."""

    def __init__(self) -> None:
        self.ahead: list[Task] = []
        self.paces: dict[str, Pace] = {}

    def __enter__(self) -> Clock:
        self._token: Token[Clock] = _CLOCK.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        _CLOCK.reset(self._token)

    @staticmethod
    def current() -> Clock:
        """Returns the run's clock; outside a run one that knows of nothing to come."""
        return _CLOCK.get(None) or Clock()

    def expect(self, spec: ModelSpec, phase: Phase, splits: Splits, *, name: str, features: int | None = None) -> None:
        """Notes a phase to come; its base sees so many images first, None for as many as in `train`."""
        if features is None:
            views = phase.views if spec.augmentation else 1
            frozen = phase.trainable == "head" or phase.trainable.startswith("top:")
            features = (views * len(splits.train) + len(splits.validation)) * frozen
        self.ahead.append(task_of(spec, phase, splits, name, features))

    def begin(self, spec: ModelSpec, phase: Phase, splits: Splits) -> Task:
        """Returns the phase as a task, which lies ahead no longer."""
        task = task_of(spec, phase, splits)
        if task in self.ahead:
            self.ahead.remove(task)
        return task

    def measure(self, kind: str, seconds: float, images: int, start: float = 0.0) -> None:
        """Learns from seconds for so many images, of which `start` seconds were spent on compiling."""
        pace = self.paces.setdefault(kind, Pace())
        pace.start = start or pace.start
        pace.seconds += max(seconds - start, 0.0)
        pace.images += images

    def watch(self, spec: ModelSpec, trainable: str, images: int) -> Callable[[int], None]:
        """Says how long the features of so many images take; returns what is told the size of each batch that is done.

        Where the pace is not known yet, it is said as soon as that shows.
        """
        base, (done, first), began = repr((spec, trainable)), (0, 0), time.perf_counter()
        known = self.paces.get(base)
        after, told = began, known is not None
        before = f"about {duration(known.start + known.of(images))}" if known else "how long is not measured yet"
        log.info("a frozen base sees %s first, once: %s", counted(images, "image"), before)

        def batch(size: int) -> None:
            nonlocal done, first, after, told
            done, now = done + size, time.perf_counter()
            if done == size:
                first, after = size, now
            steady, others = now - after, done - first
            if steady >= PATIENCE and not told:
                told = True
                with tqdm.external_write_mode():  # beside the bar, not in it
                    rest = duration(steady / others * (images - done))
                    log.info("a frozen base has seen %s of %s images; about %s left", f"{done:,}", f"{images:,}", rest)
            if done == images:  # a first batch that is the only one tells nothing of compiling
                start = max(after - began - steady / others * first, 0.0) if others else 0.0
                self.measure(base, now - began, images, start)

        return batch

    def at(self, part: float) -> Clock:
        """Returns a clock with paces that take `part` of the time, and nothing ahead."""
        clock = Clock()
        clock.paces = {kind: replace(pace, seconds=part * pace.seconds) for kind, pace in self.paces.items()}
        return clock

    def whole(self) -> float:
        """Returns how many seconds all that lies ahead takes, as far as it was measured."""
        return sum(self._seconds(task) or 0.0 for task in self.ahead)

    def left(self, task: Task, epochs: int) -> str:
        """Returns what is to be said after an epoch of a task that has so many more: what is left of it, and of all."""
        here = self.paces[task.kind].of(task.images) * epochs
        costs = [(one, self._seconds(one)) for one in self.ahead]
        known = sum(cost for _, cost in costs if cost is not None)
        unknown = list(dict.fromkeys(one.name for one, cost in costs if cost is None))
        said = []
        if here:
            in_phase = " in this phase" if self.ahead else ""
            said.append(f"{'at most' if task.early else 'about'} {duration(here)} left{in_phase}")
        if known:
            early = any(one.early for one, cost in costs if cost is not None) or (task.early and bool(here))
            said.append(f"{'at most' if early else 'about'} {duration(here + known)} {'in all' if here else 'left'}")
        if unknown:
            names = unknown[0] if len(unknown) == 1 else counted(len(unknown), "phase")
            said.append(f"{'without' if known else 'then'} {names}, not measured yet")
        return "; " + ", ".join(said) if said else ""

    def _seconds(self, task: Task) -> float | None:
        """Returns how long all of a task takes, or None where one of its kinds was not measured yet."""
        parts = [(task.kind, task.images * task.epochs), (task.base, task.features)]
        paces = [(self.paces.get(kind), images) for kind, images in parts if images]
        return None if any(pace is None for pace, _ in paces) else sum(p.start + p.of(n) for p, n in paces if p)


def task_of(spec: ModelSpec, phase: Phase, splits: Splits, name: str = "", features: int = 0) -> Task:
    kind, base = repr((spec, replace(phase, epochs=1))), repr((spec, phase.trainable))  # an epoch is as long as others
    early = phase.patience is not None and len(splits.validation) > 0
    return Task(name or phase.name, kind, len(splits.train), phase.epochs, early, base, features)


def compiling(began: float, ends: list[float], steps: int) -> float:
    """Returns how much longer the first step of training, and of validation, took than those after it.

    Args:
        began: When the epoch did, in seconds.
        ends: When each of its steps ended: `steps` of training, then those of validation.

    >>> compiling(0.0, [5.0, 6.0, 7.0, 9.5, 10.0], steps=3)
    6.0
    """
    extra = 0.0
    for before, part in ((began, ends[:steps]), (ends[steps - 1] if ends else 0.0, ends[steps:])):
        if len(part) > 1:
            extra += max(part[0] - before - (part[-1] - part[0]) / (len(part) - 1), 0.0)
    return extra
