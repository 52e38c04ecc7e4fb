"""Whether a score on strangers is lower than luck allows: with few people, luck allows much.

The people of a test part and those of a hidden test are few and differ, so an honest score falls or rises by many
points from one to the other. How much is told by drawing: people whose accuracies spread as much as `SPREAD` says, and
their photographs. A score is too low only where fewer than one honest student in a hundred falls so far; that is held
by simulation in tests/test_hidden.py, for people who differ as much, and less.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit, logit

# Standard deviation of people's accuracies on the logit scale. Measured on real photographs with this project's models:
# 0.24 and 0.34 (the head alone, everybody left out once), and up to 0.5 in other experiments with the same people.
SPREAD = 0.7
LEVEL = 0.993  # so that 1 % is kept where accuracies are rounded and draws are counted
DRAWS = 20_000

Counts = tuple[tuple[int, int], ...]  # of each person: photographs, and how many of them were read rightly


@dataclass(frozen=True)
class Luck:
    """How far an honest score can fall, as a share, and whether this one fell farther."""

    allowed: float
    too_low: bool


def people_of(right: Any, people: Iterable[str]) -> Counts:
    """Returns each person's photographs and hits; where one photograph is nobody's, all are one person's.

    >>> people_of([1, 0, 1], ["a", "a", "b"]), people_of([1, 0], ["a", ""])
    (((2, 1), (1, 1)), ((2, 1),))
    """
    names = np.array(list(people), dtype=str)
    _, place = np.unique(names if (names != "").all() else np.full(len(names), ""), return_inverse=True)
    hits = np.bincount(place, np.asarray(right, dtype=float))
    return tuple(zip(np.bincount(place).tolist(), hits.astype(int).tolist(), strict=True))


def too_low(claimed: Counts, hidden: Counts) -> Luck:
    """Returns whether `hidden` is lower than luck makes it, with people's mean accuracies compared."""
    first, second = (float(np.mean([hits / count for count, hits in group])) for group in (claimed, hidden))
    both = (first * len(claimed) + second * len(hidden)) / (len(claimed) + len(hidden))
    sizes = tuple(tuple(count for count, _ in group) for group in (claimed, hidden))
    allowed = _fall(round(min(max(both, 0.01), 0.99), 2), *sizes)
    return Luck(allowed, first - second > allowed)


@lru_cache(maxsize=4096)
def _fall(accuracy: float, claimed: tuple[int, ...], hidden: tuple[int, ...]) -> float:
    """Returns how far the mean of the second people falls below that of the first, but for one draw in a hundred."""
    chance = np.random.default_rng(0)  # nothing is kept secret by it, and the same submission gets the same grade
    centre = _centre(accuracy)
    means = []
    for sizes in (claimed, hidden):
        skill = expit(centre + SPREAD * chance.standard_normal((DRAWS, len(sizes))))
        means.append((chance.binomial(sizes, skill) / sizes).mean(axis=1))
    return float(np.quantile(means[0] - means[1], LEVEL))


def _centre(accuracy: float) -> float:
    """Returns the logit round which people must spread for their mean accuracy to be this one."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    low, high = logit(accuracy) - 3, logit(accuracy) + 3
    for _ in range(50):
        middle = (low + high) / 2
        below = np.dot(weights, expit(middle + SPREAD * nodes)) / weights.sum() < accuracy
        low, high = (middle, high) if below else (low, middle)
    return float(low)
