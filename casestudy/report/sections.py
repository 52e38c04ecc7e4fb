"""What the report shows, as plain values that a template or a script can read."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from casestudy.evaluation import PREFIX, Evaluation
from casestudy.report.pages import decimals
from casestudy.words import MANY_LABELS, STATUSES, counted, percent

if TYPE_CHECKING:
    from casestudy.runs.record import Score, TrainingRecord

Cells = dict[tuple[int, int], list[dict[str, Any]]]  # (true, predicted): the photographs of a cell of the matrix

ALWAYS_SHOWN = ("kept", "duplicate", "corrupt", "unrecognised", "sidecar")  # other statuses only where there are any
MOST_FILES = 1000  # named under a status; ledger.csv names all
MOST_BEHIND = 2400  # photographs behind the cells of the matrix, all cells together
SHADES = 10  # of a cell, besides white
GUESSES = 3  # probabilities shown with a photograph
# Each plot of a comparison: its table, what it shows, and the words of each row, for those who do not see it.
PLOTTED = {
    "models": ("comparison.csv", "Accuracy of each model", "{name} {percent}"),
    "pareto": ("comparison.csv", "Accuracy by the number of parameters", "{name} {percent} with {parameters:,.0f}"),
    "ladder": ("ladder.csv", "Accuracy after each step", "{name} {percent}"),
    "distorted": (
        "distorted.csv",
        "Accuracy by training and by test",
        "{model} {trained}, on {tested} images {percent}",
    ),
}


def ledger_flow(ledger: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns for each status: what it means, how many entries, and the files with what is known of each.

    Files are grouped by label where they have one; `left_out` says how many are too many to name.
    """
    flow = []
    for status, meaning in STATUSES.items():
        rows = ledger[ledger["status"] == status]
        if rows.empty and status not in ALWAYS_SHOWN:
            continue
        named = rows.head(MOST_FILES)
        flow.append(
            {
                "status": status,
                "meaning": meaning,
                "count": len(rows),
                "near": int((rows["near_duplicate_of"] != "").sum()),
                "groups": named.groupby("label")["entry"].agg(list).to_dict() if status == "kept" else {},
                "files": [] if status == "kept" else [(row["entry"], _remark(row)) for row in named.to_dict("records")],
                "left_out": len(rows) - len(named),
            }
        )
    return flow


def _remark(row: dict[str, Any]) -> str:
    copy = f"same bytes as {row['duplicate_of']}" if row["duplicate_of"] else ""
    return "; ".join(filter(None, (row["reason"], copy, row["note"])))


def shade(share: float) -> int:
    """Returns the shade of a cell from 0 to `SHADES`; it grows with the square root, so that rare mistakes are seen.

    >>> shade(0.0), shade(0.001), shade(0.25), shade(1.0)
    (0, 1, 5, 10)
    """
    return min(SHADES, math.ceil(SHADES * math.sqrt(share) - 1e-9))


def matrix(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Returns a row for each true label: its name, its support, and (count, shade) for each predicted label.

    Of more than `MANY_LABELS` there is none: the page shows a picture instead.
    """
    if len(evaluation.class_names) > MANY_LABELS:
        return []
    most = max(int(evaluation.confusion.max(initial=0)), 1)
    return [
        {"label": name, "support": int(row.sum()), "cells": [(int(count), shade(count / most)) for count in row]}
        for name, row in zip(evaluation.class_names, evaluation.confusion, strict=True)
    ]


def behind(evaluation: Evaluation) -> Cells:
    """Returns the photographs behind each filled cell, the costliest first.

    Where there are too many, each cell keeps the same number of its costliest, so that no cell is empty.
    """
    position = {name: k for k, name in enumerate(evaluation.class_names)}
    table = evaluation.predictions.sort_values(["loss", "name"], ascending=[False, True])
    columns = [PREFIX + name for name in evaluation.class_names]
    most = per_cell(evaluation.confusion)
    cells: Cells = {}
    for (label, predicted), rows in table.groupby(["label", "predicted"], sort=False):
        kept, truth = rows.head(most), position[label]
        cells[truth, position[predicted]] = [
            {"name": name, "signer": signer, "guesses": _guesses(probabilities, truth)}
            for name, signer, probabilities in zip(
                kept["name"], kept["signer"].fillna(""), kept[columns].to_numpy(), strict=True
            )
        ]
    return cells


def per_cell(counts: np.ndarray) -> int:
    """Returns how many photographs each cell may show, so that all cells together show no more than `MOST_BEHIND`.

    >>> per_cell(np.array([10, 20])), per_cell(np.array([5000, 3, 3]))
    (20, 2394)
    """
    choices = range(1, int(counts.max(initial=1)) + 1)
    return max(1, bisect_right(choices, MOST_BEHIND, key=lambda most: np.minimum(counts, most).sum()))


def _guesses(probabilities: np.ndarray, truth: int) -> list[tuple[int, float]]:
    """Returns (label, probability) of the likeliest labels, and of the true one in any case."""
    best = np.argsort(-probabilities, kind="stable")[:GUESSES].tolist()
    return [(k, round(float(probabilities[k]), 4)) for k in dict.fromkeys([*best, truth])]


def by_turns(cells: Cells) -> Iterator[str]:
    """Yields names of photographs by how much the page needs them: one of each cell in turn, mistakes first."""
    for wrong in (True, False):
        lists = [photos for (truth, guess), photos in cells.items() if (truth != guess) == wrong]
        for k in range(max(map(len, lists), default=0)):
            yield from (photos[k]["name"] for photos in lists if k < len(photos))


def compared(scores: Sequence[Score]) -> tuple[Score, Score] | None:
    """Returns the scores on unseen signers and on a random split of one and the same training, where both are known.

    Whole trainings are preferred; otherwise it is the head alone, on as many signers as there are.
    """
    by_name = {score.name: score for score in scores}
    pairs = (("headline", "random"), ("head-everyone", "head-random"), ("head", "head-random"))
    return next(((by_name[a], by_name[b]) for a, b in pairs if a in by_name and b in by_name), None)


def pace(trainings: Sequence[TrainingRecord]) -> list[dict[str, Any]]:
    """Returns seconds and images a second of each phase, all folds together."""
    rows = []
    for phase in trainings[0].seconds:
        seconds = sum(training.seconds[phase] for training in trainings)
        images = sum(training.images_per_second[phase] * training.seconds[phase] for training in trainings)
        rows.append({"phase": phase, "seconds": seconds, "images_per_second": images / max(seconds, 1e-9)})
    return rows


def photographs(evaluation: Evaluation) -> dict[str, str]:
    """Returns for each photograph, by its name, what it shows, for those who do not see it."""
    columns = evaluation.predictions[["name", "label", "signer", "predicted"]].fillna({"signer": ""})
    return {
        name: f"Photograph of {label}{f' by {signer}' if signer else ''}, read as {predicted}"
        for name, label, signer, predicted in columns.itertuples(index=False)
    }


def plot_sentences(evaluation: Evaluation, history: pd.DataFrame, compared: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Returns what each plot shows, by its name, in a sentence with its numbers, for those who do not see it."""
    found: dict[str, str] = {}
    epochs = int(history.groupby("phase", sort=False)["epoch"].max().sum())
    last = history.groupby("metric")["value"].last()
    for metric, words in (("accuracy", percent), ("loss", decimals)):
        parts = {"training": metric, "validation": f"val_{metric}"}
        ends = [f"{words(last[name])} in {part}" for part, name in parts.items() if name in last]
        found[f"learning_{metric}"] = (
            f"{metric.capitalize()} over {counted(epochs, 'epoch')}; at the end {' and '.join(ends)}."
        )
    right, labels = evaluation.confusion.trace(), len(evaluation.class_names)
    shown = counted(len(evaluation.predictions), "photograph")
    found["confusion"] = f"Confusion matrix of {counted(labels, 'label')}: {right:,} of {shown} lie on its diagonal."
    bins = evaluation.reliability[["accuracy", "confidence"]].itertuples(index=False)
    claims = [f"{percent(right)} right where it claims {percent(claim)}" for right, claim in bins]
    found["reliability"] = f"How often the model is right, by how sure it is: {'; '.join(claims)}."
    for name, table in compared.items():
        _, what, facts = PLOTTED[name]
        rows = [facts.format(**row, percent=percent(row["accuracy"])) for row in table.to_dict("records")]
        found[name] = f"{what}: {'; '.join(rows)}."
    return found
