"""Every drawing of a run by its name, from numbers that others computed."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
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
) -> dict[str, Figure]:
    """Returns learning curves, confusion matrix, accuracies by label and signer, reliability and samples, by name.

    Args:
        evaluation: Of the test part.
        history: Of the training.
        samples: Rows of the predictions.
        pictures: Their photographs; without them there is no drawing of samples.
        compared: The tables of a comparison by the names of their files; {} for one model.
    """
    drawings: dict[str, Figure] = {}
    for metric in ("accuracy", "loss"):
        drawings[f"learning_{metric}"], (ax,) = results.figure()
        results.plot_history(ax, history, metric)
    side = max(5.0, 0.32 * len(evaluation.class_names) + 1.2)
    drawings["confusion"], (ax,) = results.figure(side, side)
    results.plot_confusion(ax, evaluation)
    for name, table in (("label", evaluation.per_label), ("signer", evaluation.per_signer)):
        if len(table):
            drawings[f"per_{name}"], (ax,) = results.figure(*results.size_per_group(table[name]))
            results.plot_per_group(ax, table, name)
    drawings["reliability"], (ax,) = results.figure(4.8, 4.4)
    results.plot_reliability(ax, evaluation.reliability)
    if pictures:
        drawings["samples"] = results.prediction_sheet(pictures, samples["label"], samples["predicted"])
    return drawings | (_draw_comparison(compared) if compared else {})


def _draw_comparison(tables: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    table = tables["comparison.csv"]
    drawings: dict[str, Figure] = {}
    drawings["models"], (ax,) = results.figure(*results.size_per_group(table["name"]))
    comparison.plot_models(ax, table)
    drawings["pareto"], (ax,) = results.figure()
    comparison.plot_pareto(ax, table)
    if "ladder.csv" in tables:
        drawings["ladder"], (ax,) = results.figure(*results.size_per_group(table["name"]))
        comparison.plot_ladder(ax, tables["ladder.csv"])
    if "distorted.csv" in tables:
        grouped = tables["distorted.csv"]
        drawings["distorted"], (ax,) = results.figure(*comparison.size_grouped(grouped))
        comparison.plot_grouped(ax, grouped)
    return drawings
