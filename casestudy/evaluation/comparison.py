"""Several models on the same photographs: who is better, and is the difference more than noise.

Two models are compared where they disagree: on the photographs that only one of them reads rightly. Were both equally
good, a fair coin could have decided each of those. That is McNemar's test (1947, doi:10.1007/BF02295996), which
Dietterich (1998, doi:10.1162/089976698300017197) recommends where each model is trained once. Here it is exact, and
corrected for the number of comparisons (Holm 1979, Scandinavian Journal of Statistics 6, 65–70).

A p-value speaks of these trained models, on more photographs like these; not of another seed of the training. It takes
each photograph for an independent one: where a few signers made all of them, chance plays a larger part than it says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from scipy.special import bdtr

from casestudy.errors import DataError
from casestudy.evaluation.metrics import Z95, wilson_interval
from casestudy.evaluation.predictions import PREFIX, judge

NOISE = 0.05  # a difference whose corrected p-value is not below this is called noise
HALVINGS = 60  # of an interval of length 2: the limit is then known to the last bit


@dataclass(frozen=True)
class Contender:
    """A trained model in a comparison: its predictions, and what is known of it; NaN stands for what is not."""

    name: str  # shown in tables and plots; no two are the same
    predictions: pd.DataFrame  # as `evaluation.predict` returns it; every contender needs the same photographs
    parameters: float = math.nan  # number of weights
    seconds: float = math.nan  # of the training
    bytes: float = math.nan  # of the saved model
    train_accuracy: float = math.nan  # in [0, 1]
    train_loss: float = math.nan  # in nats
    validation_accuracy: float = math.nan
    validation_loss: float = math.nan


def compare_models(contenders: Sequence[Contender], *, steps: bool = False) -> dict[str, pd.DataFrame]:
    """Returns what `compare` (with the column `pareto`) and `paired_tests` find, by the names of their files.

    Args:
        contenders: In the order shown.
        steps: Whether each changes one thing of the one before it; then what `ladder` finds is there, too.

    Raises:
        DataError: The models were not tested on the same photographs, or two have one name.
    """
    table = compare(contenders)
    tables = {"comparison.csv": table.assign(pareto=pareto(table)), "paired_tests.csv": paired_tests(contenders)}
    return {**tables, "ladder.csv": ladder(contenders)} if steps else tables


def compare(contenders: Sequence[Contender]) -> pd.DataFrame:
    """Returns one row a model, in the order given, with its score on the test photographs and its rank.

    Columns: name, parameters, seconds, bytes, train_accuracy, train_loss, validation_accuracy, validation_loss, images,
    accuracy, low, high (95 %, Wilson), loss, rank. See `ranks` for what sharing a rank means.
    """
    right = _right(contenders)
    rows = []
    for contender in contenders:
        known = {name: value for name, value in vars(contender).items() if name != "predictions"}
        hits, images = int(right[contender.name].sum()), len(right)
        low, high = wilson_interval(hits, images)
        loss = float(_judged(contender.predictions)["loss"].mean())
        rows.append({**known, "images": images, "accuracy": hits / images, "low": low, "high": high, "loss": loss})
    return pd.DataFrame(rows).assign(rank=ranks(list(right), paired_tests(contenders)))


def paired_tests(contenders: Sequence[Contender]) -> pd.DataFrame:
    """Returns one row for each pair of models, in the order given: is the first better than the second?

    Columns: first, second; only_first_right, only_second_right (photographs); difference, low, high (accuracy of the
    first less that of the second, in points of a hundred, with the 95 % interval of `difference_interval`); p (exact
    McNemar test, two-sided); p_holm (the same corrected for the number of pairs); beyond_noise (is that below 0.05?).
    """
    right = _right(contenders)
    return _tests(right, list(combinations(right, 2)))


def ladder(contenders: Sequence[Contender]) -> pd.DataFrame:
    """Returns what each step was worth, from models in which each changes one thing of the one before.

    Columns: name, accuracy (in [0, 1]); change, low, high (against the step before, in points of a hundred, with its
    95 % interval), p, p_holm (corrected for the number of steps), NaN in the first row; beyond_noise, False there.
    """
    right = _right(contenders)
    steps = _tests(right, [(new, old) for old, new in pairwise(right)])
    steps = steps.rename(columns={"first": "name", "difference": "change"})
    scores = pd.DataFrame({"name": list(right), "accuracy": right.mean().to_numpy()})
    facts = ["name", "change", "low", "high", "p", "p_holm"]
    clear = scores["name"].isin(steps.loc[steps["beyond_noise"], "name"])
    return scores.merge(steps[facts], how="left", on="name").assign(beyond_noise=clear)


def ranks(names: Sequence[str], tests: pd.DataFrame) -> list[int]:
    """Returns 1 + the number of models that are better by more than noise, for each name.

    A model counts as better when its corrected p-value in `paired_tests` is below 0.05, and also when a chain of such
    differences leads up to it. So rank 1 means that nobody is demonstrably better, and whoever loses to a model by more
    than noise always stands below it. Sharing a rank proves nobody equal: A may beat C by more than noise while B is
    within noise of both. A and B then share rank 1, and C has rank 2.
    """
    better: dict[str, set[str]] = {name: set() for name in names}
    for _ in names:  # no chain is longer
        for row in tests[tests["beyond_noise"]].itertuples():
            winner, loser = (row.first, row.second) if row.difference > 0 else (row.second, row.first)
            better[loser] |= {winner} | better[winner]
    return [1 + len(better[name]) for name in names]


def pareto(table: pd.DataFrame) -> pd.Series:
    """Returns for each row whether no other has both fewer parameters and a higher accuracy.

    One that is equal in one of the two beats a model as well; two that are equal in both do not beat each other. A
    model whose parameters are unknown is never among the best.

    >>> pareto(pd.DataFrame({"parameters": [10, 20, 20, 30], "accuracy": [0.7, 0.9, 0.8, 0.9]})).tolist()
    [True, True, False, False]
    """
    size, score = table["parameters"].to_numpy(dtype="float64"), table["accuracy"].to_numpy(dtype="float64")
    as_good = (size <= size[:, None]) & (score >= score[:, None])  # [k, j]: j is as good as k in both
    beaten = as_good & ((size < size[:, None]) | (score > score[:, None]))
    return pd.Series(~beaten.any(axis=1) & np.isfinite(size), index=table.index, name="pareto")


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the two-sided p-value of McNemar's exact test: of so many coins, how unlikely is so uneven a fall?

    >>> round(mcnemar(1, 5), 5)  # 2 · (1 + 6) / 2⁶
    0.21875
    >>> mcnemar(0, 0)  # without disagreement nothing tells them apart
    1.0
    """
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns p-values corrected for their number (Holm 1979), in the order given: float (N,), at most 1.

    The smallest is multiplied by N, the next by N - 1 and so on, and none becomes smaller than one before it.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype="float64")
    order = np.argsort(values, kind="stable")
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    return corrected


def difference_interval(only_first: int, only_second: int, images: int, *, z: float = Z95) -> tuple[float, float]:
    """Returns the interval of the difference of two accuracies on the same photographs, in [-1, 1].

    The score interval of Tango (1998, Statistics in Medicine 17, 891–908): every difference that the score test does
    not reject. At a difference of 0 that test is McNemar's (its asymptotic form), so interval and p-value tell one
    story. Unlike the textbook interval it has the right width where the models disagree on no photograph or on one.

    Args:
        only_first: Photographs that only the first model reads rightly.
        only_second: Photographs that only the second does.
        images: All photographs.
        z: The point of the standard normal distribution that belongs to the level.
    """

    def rejected(delta: float) -> bool:
        b = (2 * images - only_first + only_second) * delta - only_first - only_second
        c = only_second * delta * (1 - delta)
        share = (math.sqrt(b * b + 8 * images * c) - b) / (4 * images)  # that only the second is right, were delta true
        variance = images * (2 * share + delta * (1 - delta))
        return (only_first - only_second - images * delta) ** 2 > z * z * variance

    def limit(outside: float) -> float:
        inside = (only_first - only_second) / images
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if rejected(middle) else (middle, outside)
        return inside

    return (limit(-1.0), limit(1.0))


def _right(contenders: Sequence[Contender]) -> pd.DataFrame:
    """Returns bool (photographs, models): is it read rightly? Rows by name and label, one column a model."""
    names = [contender.name for contender in contenders]
    if not names or len(set(names)) < len(names):
        raise DataError(f"A comparison needs models of different names; received {names}. Name each as no other.")
    columns = [_judged(contender.predictions)["right"].rename(contender.name) for contender in contenders]
    first = columns[0]
    for column in columns:
        photographs = column.index.get_level_values("name").nunique()
        if not photographs or photographs < len(column):
            raise DataError(
                f"A table of predictions has one row a photograph, and at least one; that of {column.name!r} has "
                f"{len(column)} rows for {photographs}. Predict each once."
            )
        if not column.index.equals(first.index):
            raise DataError(
                f"Models are compared on the same photographs; the {len(column)} of {column.name!r} have other names "
                f"or labels than the {len(first)} of {first.name!r}. Predict the same test part with both."
            )
    return pd.concat(columns, axis=1)


def _judged(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns right (bool) and loss by name and label of the photograph, both taken from the probabilities."""
    class_names = [column.removeprefix(PREFIX) for column in predictions.columns if column.startswith(PREFIX)]
    _, truth, guess, losses = judge(predictions, class_names)
    found = pd.DataFrame({"right": guess == truth, "loss": losses})
    return found.set_index(pd.MultiIndex.from_frame(predictions[["name", "label"]])).sort_index()


def _tests(right: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    rows = []
    for first, second in pairs:
        won, lost = int((right[first] & ~right[second]).sum()), int((right[second] & ~right[first]).sum())
        shares = ((won - lost) / len(right), *difference_interval(won, lost, len(right)))
        rows.append((first, second, won, lost, *(100 * share for share in shares), mcnemar(won, lost)))
    facts = ["first", "second", "only_first_right", "only_second_right", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=facts)
    corrected = holm(table["p"].to_numpy(dtype="float64"))
    return table.assign(p_holm=corrected, beyond_noise=corrected < NOISE)
