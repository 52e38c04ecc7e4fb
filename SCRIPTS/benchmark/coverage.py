"""Measures how often a 95 % interval holds what it should: people are drawn whose true scores are known.

    python -m SCRIPTS.benchmark.coverage             the table of article 03 (two minutes on one core)

A person's true score comes from a beta distribution (a loss: gamma; a lead of one model over another: normal), their
images from that score. An interval should hold the mean score of all people that there could be. The spread says how
much people differ: the standard deviation of their shares is so many times m (1 - m), m being the mean, so that with
the spread 1 their shares of errors differ by about as much as these are. Each cell is a number of people, of images of
each, a mean and a spread; `WAYS` are the candidates, and the chosen one is the function that the project uses.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri, stdtrit

from casestudy.evaluation.certainty import LEVEL, Z95, over_images, over_people
from SCRIPTS.articles.writing import ARTICLES, write_text

RESULTS = ARTICLES / "coverage.csv"
PEOPLE = (2, 3, 5, 7, 9, 20)
SPREADS = {"none": 0.0, "small": 0.25, "medium": 0.5, "large": 1.0}
MEANS = {"share": (0.6, 0.8, 0.95), "loss": (0.5,), "difference": (0.0, 0.05)}
APART = 0.08  # images that only the first model reads, and as many that only the second does, were none better
PEAKED = 0.3  # shape of one person's losses: most are next to nothing, a few are large
DRAWS, FEW, REPLICATES = 20_000, 2_000, 999  # worlds; worlds of the ways that resample; and their resamples
RARE, GAP = 0.1, 0.4  # "one in ten": so large a part of all people is read so much worse than the others
FACTS = ("kind", "counts", "people", "mean", "spread", "way", "draws", "held", "width")


@dataclass(frozen=True)
class Cell:
    """One setting: what is measured, on whom."""

    kind: str  # share, loss or difference
    counts: str  # equal (240 images of each person), unequal (20 to 400) or label (8 to 10, as one letter has)
    people: int
    mean: float
    spread: str

    def images(self) -> np.ndarray:
        """Returns int (P,): the images of each person."""
        if self.counts == "unequal":
            return np.round(np.geomspace(20, 400, self.people)).astype(int)
        return np.full(self.people, 240) if self.counts == "equal" else 8 + np.arange(self.people) % 3


def cells() -> Iterator[Cell]:
    """Yields every setting of the table."""
    for kind, means in MEANS.items():
        for counts in ("equal", "unequal", "label") if kind == "share" else ("equal", "unequal"):
            for people in PEOPLE:
                for mean in means:
                    yield from (Cell(kind, counts, people, mean, spread) for spread in SPREADS)
    yield from (Cell("share", "equal", people, 0.8, "one in ten") for people in PEOPLE)


def worlds(cell: Cell, draws: int, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the sum of each person's values, that of their squares and the images, float (draws, P)."""
    size, mean, spread = (draws, cell.people), cell.mean, SPREADS.get(cell.spread, 0)
    images = np.broadcast_to(cell.images(), size)
    if cell.kind == "share":
        concentration = 1 / (spread**2 * mean * (1 - mean)) - 1 if spread else math.inf
        scores = chance.beta(mean * concentration, (1 - mean) * concentration, size) if spread else np.full(size, mean)
        if cell.spread == "one in ten":
            scores = mean + RARE * GAP - GAP * (chance.random(size) < RARE)
        right = chance.binomial(images, scores).astype(float)
        return right, right, images.astype(float)
    if cell.kind == "difference":
        leads = np.clip(chance.normal(mean, 0.1 * spread, size), -0.8, 0.8)
        first = chance.binomial(images, np.maximum(leads, 0) + APART)
        second = chance.binomial(images - first, (np.maximum(-leads, 0) + APART) / (1 - np.maximum(leads, 0) - APART))
        return (first - second).astype(float), (first + second).astype(float), images.astype(float)
    scores = chance.gamma(1 / spread**2, mean * spread**2, size) if spread else np.full(size, mean)
    totals, squares = np.zeros(size), np.zeros(size)
    for number in range(images.max()):  # one image of each person at a time
        values = chance.standard_gamma(PEAKED, size) / PEAKED * scores * (number < images)
        totals, squares = totals + values, squares + values**2
    return totals, squares, images.astype(float)


Ends = tuple[np.ndarray, np.ndarray]
Way = Callable[[Cell, np.ndarray, np.ndarray, np.ndarray, np.random.Generator], Ends]


def chosen(cell: Cell, totals: np.ndarray, squares: np.ndarray, counts: np.ndarray, chance) -> Ends:
    """t of people's means, of shares and losses on a scale without ends: what the project uses."""
    return over_people(totals, squares, counts, cell.kind)


def plain_t(cell: Cell, totals: np.ndarray, squares: np.ndarray, counts: np.ndarray, chance) -> Ends:
    """t of people's means, as it is."""
    scores = totals / counts
    reach = stdtrit(cell.people - 1, LEVEL) * scores.std(axis=1, ddof=1) / math.sqrt(cell.people)
    return scores.mean(axis=1) - reach, scores.mean(axis=1) + reach


def pooled(totals: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the mean of all images, float (draws,), each person's distance from it, and their weight in it."""
    mean = totals.sum(axis=1) / counts.sum(axis=1)
    return mean, totals / counts - mean[:, None], counts[0] / counts[0].sum()


def residuals_t(cell: Cell, totals: np.ndarray, squares: np.ndarray, counts: np.ndarray, chance) -> Ends:
    """t of the ratio estimator's residuals (CR1): all images in one, people as clusters."""
    mean, apart, weight = pooled(totals, counts)
    error = np.sqrt(cell.people / (cell.people - 1) * (weight**2 * apart**2).sum(axis=1))
    reach = stdtrit(cell.people - 1, LEVEL) * error
    return mean - reach, mean + reach


def satterthwaite(cell: Cell, totals: np.ndarray, squares: np.ndarray, counts: np.ndarray, chance) -> Ends:
    """The same without bias (CR2), with degrees of freedom after Satterthwaite, as Bell and McCaffrey have them."""
    mean, apart, weight = pooled(totals, counts)
    spread = (weight**2).sum()
    share = weight**2 / (1 - 2 * weight + spread)  # were all people's scores of one variance
    error = np.sqrt((share * apart**2).sum(axis=1))
    shared = np.eye(cell.people) - weight[:, None] - weight + spread
    freedom = spread**2 / (share[:, None] * share * shared**2).sum()
    return mean - stdtrit(freedom, LEVEL) * error, mean + stdtrit(freedom, LEVEL) * error


def beta_binomial(cell: Cell, totals: np.ndarray, squares: np.ndarray, counts: np.ndarray, chance) -> Ends:
    """Beta-binomial by its moments, on the logit scale."""
    mean, apart, _ = pooled(totals, counts)
    images, each, people = counts[0].sum(), counts[0], cell.people
    between = (each * apart**2).sum(axis=1) / (people - 1)
    within = (totals * (1 - totals / each)).sum(axis=1) / (images - people)
    typical = (images - (each**2).sum() / images) / (people - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        alike = np.nan_to_num((between - within) / (between + (typical - 1) * within)).clip(0, 1)
        error = np.sqrt((images + alike * (each * (each - 1)).sum()) / images**2 / (mean * (1 - mean)))
        ends = expit(logit(mean) - Z95 * error), expit(logit(mean) + Z95 * error)
    return tuple(np.where(mean * (1 - mean) > 0, end, mean) for end in ends)


def bootstrap(cell: Cell, totals: np.ndarray, squares: np.ndarray, counts: np.ndarray, chance) -> Ends:
    """Whole people drawn with replacement, percentiles: what the project had before."""
    again = resampled(totals, counts, chance)
    return again[:, round(REPLICATES * 0.025)], again[:, round(REPLICATES * 0.975) - 1]


def resampled(totals: np.ndarray, counts: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Returns the means of all images of people drawn with replacement, float (draws, REPLICATES), in order."""
    people = totals.shape[1]
    times = chance.multinomial(people, np.full(people, 1 / people), REPLICATES).T
    return np.sort(totals @ times / (counts[0] @ times), axis=1)


def bca(cell: Cell, totals: np.ndarray, squares: np.ndarray, counts: np.ndarray, chance) -> Ends:
    """The same, corrected for bias and skewness (BCa)."""
    again, (mean, _, _) = resampled(totals, counts, chance), pooled(totals, counts)
    below = (again < mean[:, None]).mean(axis=1) / 2 + (again <= mean[:, None]).mean(axis=1) / 2
    bias = ndtri(below.clip(1 / REPLICATES, 1 - 1 / REPLICATES))
    without = (totals.sum(axis=1, keepdims=True) - totals) / (counts.sum(axis=1, keepdims=True) - counts)
    apart = without.mean(axis=1, keepdims=True) - without
    with np.errstate(divide="ignore", invalid="ignore"):
        skew = np.nan_to_num((apart**3).sum(axis=1) / (6 * (apart**2).sum(axis=1) ** 1.5))
    ends = []
    for point in (-Z95, Z95):
        level = ndtr(bias + (bias + point) / (1 - skew * (bias + point)))
        place = np.round(level * (REPLICATES - 1)).astype(int)
        ends.append(np.take_along_axis(again, place[:, None], axis=1)[:, 0])
    return ends[0], ends[1]


def wild(cell: Cell, totals: np.ndarray, squares: np.ndarray, counts: np.ndarray, chance) -> Ends:
    """Wild bootstrap of t over people, with Webb's six weights."""
    mean, apart, weight = pooled(totals, counts)
    signs = chance.choice(np.sqrt([0.5, 1, 1.5]), (cell.people, REPLICATES))
    signs *= chance.choice([-1.0, 1.0], signs.shape)
    enlarged, squared = cell.people / (cell.people - 1), weight**2
    moved = (weight * apart) @ signs
    variance = (squared * apart**2) @ signs**2 - 2 * moved * ((squared * apart) @ signs) + moved**2 * squared.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(np.abs(moved) / np.sqrt((enlarged * variance).clip(0)), nan=0.0).clip(max=1e6)
    error = np.sqrt(enlarged * (squared * apart**2).sum(axis=1))
    reach = np.sort(ratio, axis=1)[:, round(REPLICATES * 0.95) - 1] * error
    return mean - reach, mean + reach


# Name in the table: the way, whether it is joined with the interval over images, and the kinds that it knows.
WAYS: dict[str, tuple[Way, bool, tuple[str, ...]]] = {
    "chosen": (chosen, False, ("share", "loss", "difference")),  # joined already
    "bootstrap": (bootstrap, False, ("share", "loss", "difference")),
    "BCa": (bca, True, ("share", "loss")),
    "wild bootstrap": (wild, True, ("share", "loss")),
    "plain t": (plain_t, True, ("share", "loss")),
    "CR1, t": (residuals_t, True, ("share", "loss", "difference")),
    "CR2, Satterthwaite": (satterthwaite, True, ("share", "loss", "difference")),
    "beta-binomial": (beta_binomial, True, ("share",)),
}
SLOW = ("bootstrap", "BCa", "wild bootstrap")


def measure(cell: Cell, draws: int, seed: int, ways: tuple[str, ...] = tuple(WAYS)) -> list[dict]:
    """Returns a row for each way that knows the kind: how often it held the mean, and its median width; `FACTS`."""
    world = worlds(cell, draws, np.random.default_rng(seed))
    least, most = {"share": (0, 1), "loss": (0, math.inf), "difference": (-1, 1)}[cell.kind]
    rows = []
    for name in ways:
        way, joined, kinds = WAYS[name]
        if cell.kind not in kinds:
            continue
        some = tuple(part[:FEW] for part in world) if name in SLOW else world
        low, high = way(cell, *some, np.random.default_rng(seed + 1))
        if joined:
            floor = over_images(*(part.sum(axis=1) for part in some), cell.kind)
            low, high = np.fmin(low, floor[0]), np.fmax(high, floor[1])
        held = ((low <= cell.mean) & (cell.mean <= high)).mean() if not np.isnan(low).any() else math.nan
        width = np.median(np.minimum(high, most) - np.maximum(low, least))
        numbers = {"draws": len(low), "held": round(float(held), 4), "width": round(float(width), 4)}
        rows.append({**vars(cell), "way": name, **numbers})
    return rows


def load() -> list[dict]:
    """Returns the committed rows, numbers as numbers."""
    numbers = {"people": int, "draws": int, "mean": float, "held": float, "width": float}
    with RESULTS.open(encoding="utf-8", newline="") as lines:
        return [{name: numbers.get(name, str)(cell) for name, cell in row.items()} for row in csv.DictReader(lines)]


def main() -> None:
    """Measures every cell and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=DRAWS, help="worlds for each setting (default: %(default)s)")
    options = parser.parse_args()
    text = io.StringIO()
    writer = csv.DictWriter(text, FACTS, lineterminator="\n")
    writer.writeheader()
    for seed, cell in enumerate(cells()):
        draws = options.draws // 4 if cell.kind == "loss" else options.draws  # image by image takes its time
        writer.writerows(measure(cell, draws, seed))
    write_text(RESULTS, text.getvalue())


if __name__ == "__main__":
    main()
