"""Predictions in, the run's figures out: metrics.json, the tables and the plots, all from files of the run folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pandas as pd

from casestudy import plots
from casestudy.evaluation import Evaluation, evaluate_predictions, reliability
from casestudy.runs import RunFolder

HEADLINE = "predictions.csv"


@dataclass(frozen=True)
class Score:
    name: str
    protocol: str
    training: str
    predictions: str


def write_results(run: RunFolder, scores: list[Score]) -> None:
    """Writes metrics.json, the tables and the plots of the headline, all from the predictions in the folder."""
    settings = run.settings
    class_names, seed = tuple(settings["class_names"]), settings["seed"]
    found = {
        score.name: evaluate_predictions(run.read_table(score.predictions), class_names, seed=seed) for score in scores
    }
    metrics = [{**dataclasses.asdict(score), **found[score.name].to_json()} for score in scores]
    run.write_json("metrics.json", {"scores": metrics})
    for name, table in result_tables(found["headline"]).items():
        run.write_table(name, table)
    _draw(run, found["headline"])


def result_tables(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """Returns the tables of an evaluation by their file names."""
    names = list(evaluation.class_names)
    by_label = pd.DataFrame({"label": names})
    return {
        "per_label.csv": evaluation.per_class,
        "per_signer.csv": evaluation.per_signer,
        "confusion.csv": by_label.join(pd.DataFrame(evaluation.confusion, columns=names)),
        "confusion_rates.csv": by_label.join(pd.DataFrame(evaluation.rates, columns=names)),
        "most_confused.csv": evaluation.most_confused,
        "top_losses.csv": evaluation.top_losses()[["name", "signer", "label", "predicted", "confidence", "loss"]],
    }


def _draw(run: RunFolder, evaluation: Evaluation) -> None:
    drawings = {}
    histories = sorted(run.path.glob("folds/*/history.csv")) or [run.path / "history.csv"]
    history = run.read_table(histories[0].relative_to(run.path).as_posix())
    for metric in ("accuracy", "loss"):
        fig, (ax,) = plots.figure()
        plots.plot_history(ax, history, metric)
        drawings[f"learning_{metric}"] = fig
    side = max(5.0, 0.32 * len(evaluation.class_names) + 1.2)
    drawings["confusion"], (ax,) = plots.figure(side, side)
    plots.plot_confusion(ax, evaluation.confusion, evaluation.rates, list(evaluation.class_names))
    drawings["per_label"], (ax,) = plots.figure(6.4, 0.24 * len(evaluation.class_names) + 1)
    plots.plot_per_group(ax, evaluation.per_class, "label")
    if len(evaluation.per_signer):
        drawings["per_signer"], (ax,) = plots.figure(6.4, 0.35 * len(evaluation.per_signer) + 1.2)
        plots.plot_per_group(ax, evaluation.per_signer, "signer")
    drawings["reliability"], (ax,) = plots.figure(4.6, 4.4)
    table = evaluation.predictions
    plots.plot_reliability(
        ax, reliability(table["confidence"].to_numpy(), (table["label"] == table["predicted"]).to_numpy())
    )
    (run.path / "plots").mkdir(exist_ok=True)
    for name, fig in drawings.items():
        fig.savefig(run.path / "plots" / f"{name}.png", metadata={"Software": None})
