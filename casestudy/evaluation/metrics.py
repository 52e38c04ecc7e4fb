"""Numbers only: what the predictions say about each label, each signer and the whole.

Everything is computed from one table of predictions, each row the true label beside the probabilities of the same
photograph: whoever has predictions.csv can recompute every figure. Means are sums divided once, not means of means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from casestudy.data import ImageSet
from casestudy.evaluation.certainty import Certainty, how_sure
from casestudy.evaluation.predictions import judge, predict

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Evaluation:
    """What one table of predictions amounts to."""

    class_names: tuple[str, ...]
    accuracy: float  # share of photographs read rightly, in [0, 1]
    loss: float  # mean cross-entropy in nats
    interval: tuple[float, float]  # 95 % interval of the accuracy; NaN where none is given
    loss_interval: tuple[float, float]  # the same of the loss
    interval_method: str  # how the first was made, or why there is none
    sure: Certainty  # all that `how_sure` says of the accuracy
    calibration_error: float  # expected calibration error over ten equal bins of confidence, in [0, 1]
    confusion: np.ndarray  # int64 (K, K), true label down, predicted label across
    per_label: pd.DataFrame  # label, support, accuracy (recall), precision, f1, loss, low, high, most_confused_with
    per_signer: pd.DataFrame  # signer, support, accuracy, loss, low, high; empty where signers are unknown
    most_confused: pd.DataFrame  # label, predicted, count, share, examples (names, the surest errors first)
    predictions: pd.DataFrame  # the table itself

    def to_json(self) -> dict:
        """Returns the headline numbers as plain JSON values, NaN as null."""
        return {
            "images": len(self.predictions),
            "accuracy": none_if_nan(self.accuracy),
            "loss": none_if_nan(self.loss),
            "interval": tuple(map(none_if_nan, self.interval)),
            "loss_interval": tuple(map(none_if_nan, self.loss_interval)),
            "interval_method": self.interval_method,
            "calibration_error": none_if_nan(self.calibration_error),
        }

    @property
    def rates(self) -> np.ndarray:
        """The confusion matrix as float (K, K) shares of each true label; NaN rows for labels without support."""
        support = self.confusion.sum(axis=1, keepdims=True)
        return np.divide(self.confusion, support, out=np.full(self.confusion.shape, np.nan), where=support > 0)

    def top_losses(self, count: int = 15) -> pd.DataFrame:
        """Returns the rows of the predictions that cost most, the worst first."""
        return self.predictions.sort_values(["loss", "name"], ascending=[False, True]).head(count)

    @property
    def mistakes(self) -> pd.DataFrame:
        """The rows of the predictions that were misread, the surest first."""
        return _mistakes(self.predictions)

    def samples(self, count: int = 15, *, seed: int) -> pd.DataFrame:
        """Returns rows of the predictions picked by chance; the same seed picks the same, however they are ordered."""
        table = self.predictions.sort_values("name", ignore_index=True)
        size = min(count, len(table))
        return table.iloc[np.random.default_rng(seed).choice(len(table), size=size, replace=False)]

    def least_probability(self, share: float) -> float:
        """Returns what a label's probability must be at least, so that this share of photographs keeps its true label.

        Split conformal prediction with the probability itself as the score (Sadinle, Lei and Wasserman 2019, JASA 114,
        223-234). It holds for more photographs of the same people. Too few photographs give 0.0, which keeps all.
        """
        probabilities, truth, *_ = judge(self.predictions, self.class_names)
        own = np.sort(probabilities[np.arange(len(truth)), truth])
        below = math.floor((len(own) + 1) * (1 - share) + 1e-9)  # so many may lie lower: 0.1 * 10 is nearly 1
        return float(own[below - 1]) if below else 0.0

    @property
    def reliability(self) -> pd.DataFrame:
        """The bins behind the calibration error."""
        right = self.predictions["label"] == self.predictions["predicted"]
        return reliability(self.predictions["confidence"].to_numpy(), right.to_numpy())


def evaluate(model: keras.Model, images: ImageSet, indices: np.ndarray) -> Evaluation:
    """Returns the evaluation of a model on the images at `indices`; see `predict` and `evaluate_predictions`."""
    return evaluate_predictions(predict(model, images, indices), images.class_names)


def evaluate_predictions(predictions: pd.DataFrame, class_names: tuple[str, ...]) -> Evaluation:
    """Returns every figure of the report, computed from a table as `predict` returns it.

    `predicted` and `loss` are taken from the probabilities again, not believed.

    Args:
        predictions: Needs the columns name, signer, label and p_<label> for every class name.
        class_names: The K labels; one without a row gets NaN, never 0.
    """
    probabilities, truth, guess, losses = judge(predictions, class_names)
    right, confidence = truth == guess, probabilities.max(axis=1)
    confusion = np.zeros((len(class_names), len(class_names)), dtype=np.int64)
    np.add.at(confusion, (truth, guess), 1)
    table = predictions.assign(predicted=np.array(class_names)[guess], confidence=confidence, loss=losses)
    signers = predictions["signer"].fillna("").to_numpy(dtype=str)
    people = signers if all(signers) else np.full(len(signers), "")  # nobody is known where one is not
    sure = how_sure(right, people)
    return Evaluation(
        class_names=class_names,
        accuracy=_ratio(confusion.trace(), confusion.sum()),
        loss=_ratio(losses.sum(), len(losses)),
        interval=sure.interval,
        loss_interval=how_sure(losses, people, kind="loss").interval,
        interval_method=sure.method,
        sure=sure,
        calibration_error=calibration_error(confidence, right),
        confusion=confusion,
        per_label=_per_label(class_names, confusion, table, people, sure.unit),
        per_signer=_per_signer(people, right, losses),
        most_confused=_most_confused(table),
        predictions=table,
    )


def none_if_nan(value: float) -> float | None:
    """Returns the number, or None for NaN, which JSON does not know."""
    return None if math.isnan(value) else value


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Returns for each filled bin of confidence: support, mean confidence, accuracy."""
    place = np.minimum((np.asarray(confidence, dtype="float64") * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": place, "confidence": confidence, "accuracy": np.asarray(right, dtype="float64")})
    grouped = table.groupby("bin")
    return grouped.mean().assign(support=grouped.size()).reset_index()


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Returns the expected calibration error (Naeini et al. 2015; Guo et al. 2017) over ten equal bins.

    >>> round(calibration_error(np.array([0.95, 0.95, 0.55, 0.55]), np.array([1, 1, 1, 0])), 4)
    0.05
    """
    bins = reliability(confidence, right)
    gap = (bins["confidence"] - bins["accuracy"]).abs()
    return _ratio(float((gap * bins["support"]).sum()), int(bins["support"].sum()))


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else math.nan


def _per_signer(people: np.ndarray, right: np.ndarray, losses: np.ndarray) -> pd.DataFrame:
    rows = []
    for signer in np.unique(people[people != ""]):
        own = people == signer
        found = how_sure(right[own], people[own])
        rows.append((str(signer), int(own.sum()), found.estimate, float(losses[own].mean()), *found.interval))
    return pd.DataFrame(rows, columns=["signer", "support", "accuracy", "loss", "low", "high"])


def _per_label(names: tuple, confusion: np.ndarray, table: pd.DataFrame, people: np.ndarray, unit: str) -> pd.DataFrame:
    """Returns a row a label; its interval speaks of the unit that the headline's speaks of, or there is none."""
    rows, truth, losses = [], table["label"].to_numpy(), table["loss"].to_numpy()
    right = truth == table["predicted"].to_numpy()
    for k, name in enumerate(names):
        hits, support, claimed = int(confusion[k, k]), int(confusion[k].sum()), int(confusion[:, k].sum())
        f1 = _ratio(2 * hits, support + claimed) if support else math.nan
        own = truth == name
        loss = _ratio(losses[own].sum(), support)
        errors = np.where(np.arange(len(names)) == k, 0, confusion[k])
        taken_for = names[int(errors.argmax())] if errors.any() else ""
        shares = (_ratio(hits, support), _ratio(hits, claimed), f1)
        found = how_sure(right[own], people[own])
        ends = found.interval if found.unit == unit else (math.nan, math.nan)
        rows.append((name, support, *shares, loss, *ends, taken_for))
    facts = ["label", "support", "accuracy", "precision", "f1", "loss", "low", "high", "most_confused_with"]
    return pd.DataFrame(rows, columns=facts)


def _mistakes(table: pd.DataFrame) -> pd.DataFrame:
    wrong = table[table["label"] != table["predicted"]]
    return wrong.sort_values(["confidence", "name"], ascending=[False, True])


def _most_confused(table: pd.DataFrame, examples: int = 4) -> pd.DataFrame:
    support = table.groupby("label").size()
    rows = []
    for (label, predicted), names in _mistakes(table).groupby(["label", "predicted"])["name"]:
        rows.append((label, predicted, len(names), len(names) / support[label], "; ".join(names.head(examples))))
    found = pd.DataFrame(rows, columns=["label", "predicted", "count", "share", "examples"])
    return found.sort_values(["count", "label", "predicted"], ascending=[False, True, True]).reset_index(drop=True)
