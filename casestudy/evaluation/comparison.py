"""Several models on the same photographs: who is better, and is the difference more than noise.

Where three people or more are known, each says how far one of two models is ahead on their photographs, and the test is
Student's paired t test; two people give no p-value. Elsewhere it is McNemar's exact test of photographs (1947,
doi:10.1007/BF02295996), recommended by Dietterich (1998, doi:10.1162/089976698300017197) for models trained once.
P-values are corrected for their number (Holm 1979, Scandinavian Journal of Statistics 6, 65–70).

A p-value speaks of these trained models, on more people (or photographs) like these; not of another seed of training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from casestudy.errors import DataError
from casestudy.evaluation.certainty import how_sure
from casestudy.evaluation.predictions import PREFIX, judge

NOISE = 0.05  # a difference whose corrected p-value is not below this is called noise


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
    accuracy, low, high (as `how_sure` has them), loss, rank. See `ranks` for what sharing a rank means.
    """
    right = _right(contenders)
    rows = []
    for contender in contenders:
        known = {name: value for name, value in vars(contender).items() if name != "predictions"}
        found = how_sure(right[contender.name], _people(right))
        loss = float(_judged(contender.predictions)["loss"].mean())
        sure = dict(zip(("accuracy", "low", "high"), (found.estimate, *found.interval), strict=True))
        rows.append({**known, "images": len(right), **sure, "loss": loss})
    return pd.DataFrame(rows).assign(rank=ranks(list(right), paired_tests(contenders)))


def paired_tests(contenders: Sequence[Contender]) -> pd.DataFrame:
    """Returns one row for each pair of models, in the order given: is the first better than the second?

    Columns: first, second; only_first_right, only_second_right (photographs); difference, low, high (accuracy of the
    first less that of the second, in points of a hundred, with its 95 % interval); p (two-sided; all three as
    `how_sure` has them); p_holm (p corrected for the number of pairs); beyond_noise (is that below 0.05?).
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


def _right(contenders: Sequence[Contender]) -> pd.DataFrame:
    """Returns bool (photographs, models): is it read rightly? Rows by name, label and signer, one column a model."""
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
                f"Models are compared on the same photographs; the {len(column)} of {column.name!r} have other "
                f"names, labels or signers than the {len(first)} of {first.name!r}. Predict one test part with both."
            )
    return pd.concat(columns, axis=1)


def _judged(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns right (bool) and loss by name, label and signer of the photograph, taken from the probabilities."""
    class_names = [column.removeprefix(PREFIX) for column in predictions.columns if column.startswith(PREFIX)]
    _, truth, guess, losses = judge(predictions, class_names)
    found = pd.DataFrame({"right": guess == truth, "loss": losses})
    photographs = predictions[["name", "label"]].assign(signer=predictions["signer"].fillna("").astype(str))
    return found.set_index(pd.MultiIndex.from_frame(photographs)).sort_index()


def _people(right: pd.DataFrame) -> np.ndarray:
    return right.index.get_level_values("signer").to_numpy(dtype=str)


def _tests(right: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    rows = []
    for first, second in pairs:
        ahead = right[first].astype(int) - right[second].astype(int)  # 1, 0 or -1 for each photograph
        found = how_sure(ahead, _people(right), kind="difference")
        shares = (found.estimate, *found.interval)
        won, lost = int((ahead > 0).sum()), int((ahead < 0).sum())
        rows.append((first, second, won, lost, *(100 * share for share in shares), found.p))
    facts = ["first", "second", "only_first_right", "only_second_right", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=facts)
    corrected = holm(table["p"].to_numpy(dtype="float64"))
    return table.assign(p_holm=corrected, beyond_noise=corrected < NOISE)
