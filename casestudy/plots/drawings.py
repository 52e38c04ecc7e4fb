"""Every drawing of a run by its name, from numbers that others computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from casestudy.evaluation import Evaluation
from casestudy.plots import comparison, results


def draw_run(
    evaluation: Evaluation,
    history: pd.DataFrame,
    samples: pd.DataFrame,
    pictures: Sequence[Image.Image],
    compared: dict[str, pd.DataFrame],
    cuts: Sequence[results.Cut] = (),
) -> dict[str, Figure]:
    """Returns learning curves, confusion matrix, accuracies by label and signer, reliability and samples, by name.

    Args:
        evaluation: Of the test part.
        history: Of the training.
        samples: Rows of the predictions.
        pictures: Their photographs; without them there is no drawing of samples.
        compared: The tables of a comparison by the names of their files; {} for one model.
        cuts: Hands that were looked for.
    """
    drawings: dict[str, Figure] = {}

    def add(name: str, plot: Callable[..., Axes], *values: Any, size: tuple[float, float] = (6.4, 4.0)) -> None:
        drawings[name], (ax,) = results.figure(*size)
        plot(ax, *values)

    for metric in ("accuracy", "loss"):
        add(f"learning_{metric}", results.plot_history, history, metric)
    size = results.size_confusion(evaluation.class_names)
    add("confusion", results.plot_confusion, evaluation, size=size)
    for name, table in (("label", evaluation.per_label), ("signer", evaluation.per_signer)):
        if len(table):
            add(f"per_{name}", results.plot_per_group, table, name, size=results.size_per_group(table[name]))
    add("reliability", results.plot_reliability, evaluation.reliability, size=(4.8, 4.4))
    if pictures:
        drawings["samples"] = results.prediction_sheet(pictures, samples["label"], samples["predicted"])
    if cuts:
        drawings["crops"] = results.box_sheet(cuts)
    if compared:
        table = compared["comparison.csv"]
        size = results.size_per_group(table["name"])
        add("models", comparison.plot_models, table, size=size)
        add("pareto", comparison.plot_pareto, table)
        if "ladder.csv" in compared:
            add("ladder", comparison.plot_ladder, compared["ladder.csv"], size=size)
        if "distorted.csv" in compared:
            grouped = compared["distorted.csv"]
            add("distorted", comparison.plot_grouped, grouped, size=comparison.size_grouped(grouped))
    return drawings
