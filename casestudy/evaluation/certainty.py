"""How sure a score is: the one place that makes intervals.

The unit that chance picks is the person, for photographs of one person resemble each other. So an interval comes from
how much people differ: Student's t of the mean over people, for shares and losses on the scale that has no ends. It is
never narrower than if images were independent. Two people cannot tell how much people differ: there is no interval, and
both scores are said. Where fewer are known, the unit is the image, and the sentence says so. See article 03.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import bdtr, erfc, expit, logit, stdtr, stdtrit

Kind = Literal["share", "loss", "difference"]
OVER_IMAGES = {"share": "Wilson over images", "loss": "t over images", "difference": "Tango over images"}
FORMS = {"share": (100, ".1f", " %"), "loss": (1, ".2f", ""), "difference": (100, "+.1f", " points")}
Z95, LEVEL = 1.959963984540054, 0.975  # the upper end of a 95 % interval, in standard normal deviations
FEWEST = 3  # people that an interval needs
HALVINGS = 60  # of an interval of length 2: the limit is then known to the last bit


@dataclass(frozen=True)
class Certainty:
    """A mean, and what can be said of it."""

    estimate: float  # mean of all images: a share, a loss in nats, or a difference of two shares; NaN without images
    interval: tuple[float, float]  # 95 % interval; (NaN, NaN) where none is given
    unit: Literal["people", "images"]  # of which others would be met another time
    people: int  # 0 where they are not known
    p: float  # two-sided, of no difference; NaN of anything but a difference, and of two people
    method: str  # in few words, for metrics.json
    sentence: str  # the same for readers, without a full stop


def how_sure(values: Any, people: Any = None, *, kind: Kind = "share") -> Certainty:
    """Returns how sure we are of the mean of `values`, one for each image.

    Args:
        values: (N,) right or not (0 or 1), losses in nats, or right of one model less right of another (-1, 0 or 1).
        people: str (N,), who is on each image, "" where nobody knows. One such image, and nobody counts as known.
        kind: What the values are.
    """
    amounts = np.asarray(values, dtype="float64")
    names, place = np.unique(np.full(len(amounts), "") if people is None else people, return_inverse=True)
    totals, squares, counts = (np.bincount(place, weights) for weights in (amounts, amounts**2, np.ones(len(amounts))))
    total, square, count = totals.sum(), squares.sum(), counts.sum()
    known = len(names) if "" not in names else 0
    unit: Literal["people", "images"] = "people" if known > 1 else "images"
    if known > 1:
        low, high = over_people(totals, squares, counts, kind)
        p = _paired(totals, squares, counts) if known >= FEWEST else math.nan
        method = f"t over {known} people" if known >= FEWEST else f"none: {known} people"
    else:
        low, high = over_images(total, square, count, kind)
        p = mcnemar(round(square + total) // 2, round(square - total) // 2) if kind == "difference" else math.nan
        method = "none: too few images" if math.isnan(low) else OVER_IMAGES[kind]
    first, second = totals / counts if known == 2 else (low, high)
    said = _sentence(first, second, known, kind)
    estimate, p = float(total / count) if count else math.nan, p if kind == "difference" else math.nan
    return Certainty(estimate, (float(low), float(high)), unit, known, p, method, said)


def over_people(totals: np.ndarray, squares: np.ndarray, counts: np.ndarray, kind: Kind) -> tuple:
    """Returns the ends of the interval, float (...), NaN for fewer than three people: where more people's mean lies.

    Each person counts once, however many images there are of them: the next one to come is as likely to be like the
    one with few. Joined with `over_images`, so that it holds the mean of all images, too. `totals`, `squares` and
    `counts`, (..., P), are each person's sum of values, sum of their squares and number of images.
    """
    if (people := totals.shape[-1]) < FEWEST:
        return (np.full(totals.shape[:-1], np.nan),) * 2
    mean, error = _mean_and_error(totals / counts)
    low, high = _ends(mean, stdtrit(people - 1, LEVEL) * error, kind)
    least, most = over_images(totals.sum(axis=-1), squares.sum(axis=-1), counts.sum(axis=-1), kind)
    return np.fmin(low, least), np.fmax(high, most)


def over_images(total: Any, square: Any, count: Any, kind: Kind) -> tuple:
    """Returns the same, float (...), as if images were independent: Wilson's (1927), Tango's (1998) or Student's t."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, count = np.divide(total, count), np.asarray(count, dtype="float64")
        if kind == "share":
            z2 = Z95**2
            centre = (mean + z2 / (2 * count)) / (1 + z2 / count)
            half = Z95 / (1 + z2 / count) * np.sqrt(mean * (1 - mean) / count + z2 / (4 * count**2))
            return np.maximum(centre - half, 0), np.minimum(centre + half, 1)
        if kind == "difference":
            return _tango(np.add(square, total) / 2, np.subtract(square, total) / 2, count)
        error = np.sqrt((square / count - mean**2).clip(0) / (count - 1))
        return _ends(mean, stdtrit(count - 1, LEVEL) * error, kind)


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the two-sided p-value of McNemar's exact test: of so many coins, how unlikely is so uneven a fall?

    >>> round(mcnemar(1, 5), 5)  # 2 · (1 + 6) / 2⁶
    0.21875
    >>> mcnemar(0, 0)  # without disagreement nothing tells them apart
    1.0
    """
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def _paired(totals: np.ndarray, squares: np.ndarray, counts: np.ndarray) -> float:
    """Returns the p-value below 0.05 just where `over_people` leaves out 0: the larger one of its two parts."""
    mean, error = _mean_and_error(totals / counts)
    if mean * totals.sum() <= 0:
        return 1.0  # over people another model is ahead than over images
    by_people = 2 * stdtr(len(totals) - 1, -abs(mean) / error) if error else 0.0
    return float(max(by_people, erfc(abs(totals.sum()) / math.sqrt(2 * squares.sum()))))


def _mean_and_error(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return scores.mean(axis=-1), scores.std(axis=-1, ddof=1) / math.sqrt(scores.shape[-1])


def _ends(mean: np.ndarray, reach: np.ndarray, kind: Kind) -> tuple:
    """Returns mean ± reach: of a share on the logit scale, of a loss on the logarithm's, of a difference as it is."""
    if kind == "difference":
        return np.maximum(mean - reach, -1), np.minimum(mean + reach, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "loss":
            ends = [mean * np.exp(way * reach / mean) for way in (-1, 1)]
        else:
            ends = [expit(logit(mean) + way * reach / (mean * (1 - mean))) for way in (-1, 1)]
    return tuple(np.where(reach == 0, mean, end) for end in ends)  # at an end of the scale nobody differs


def _tango(only_first: np.ndarray, only_second: np.ndarray, count: np.ndarray, z: float = Z95) -> tuple:
    """Returns the ends of what the score test does not reject (1998, Statistics in Medicine 17, 891–908)."""

    def rejected(delta: np.ndarray) -> np.ndarray:
        b = (2 * count - only_first + only_second) * delta - only_first - only_second
        c = only_second * delta * (1 - delta)
        share = (np.sqrt(np.maximum(b * b + 8 * count * c, 0)) - b) / (4 * count)  # only the second right, if delta is
        variance = count * (2 * share + delta * (1 - delta))
        return (only_first - only_second - count * delta) ** 2 > z * z * variance

    def limit(end: float) -> np.ndarray:
        inside = (only_first - only_second) / count
        outside = np.full_like(inside, end)
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = np.where(rejected(middle), [inside, middle], [middle, outside])
        return inside

    return limit(-1.0), limit(1.0)


def _sentence(low: float, high: float, people: int, kind: Kind) -> str:
    scale, form, unit = FORMS[kind]
    first, second = (f"{scale * number:{form}}{unit}" for number in (low, high))
    if people == 2:
        return f"two people are too few for an interval: they have {first} and {second}"
    if math.isnan(low):
        return "too few images for an interval"
    whose = f"from the {people} people tested"
    if people < 2:
        whose = f"which speaks of more images of the same {'person' if people else 'people or things'}"
    return f"95 % interval {first} to {second}, {whose}"
