"""Predictions in, the run's figures out: metrics.json, the tables and the plots, all from files of the run folder."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from casestudy.evaluation import Contender, Evaluation, compare_models, evaluate_predictions
from casestudy.plots import draw_run
from casestudy.runs.folder import RunFolder, variant_folder
from casestudy.runs.images import run_photographs
from casestudy.study import Study

HEADLINE = "predictions.csv"
OWN = "ours"  # what a comparison calls the study's own model
TESTS = {"clean": "", "distorted": "-distorted"}  # what follows a model's name in that of its score
LATER = ("samples.csv", "reliability.csv", "scores.csv")  # a run sealed before these were written is whole without


@dataclass(frozen=True)
class Score:
    name: str
    protocol: str
    training: str
    predictions: str


def write_results(run: RunFolder, scores: list[Score]) -> None:
    """Writes metrics.json, the tables and the plots of the headline, all from the predictions in the folder."""
    seed = run.settings["seed"]
    found = {score.name: read_evaluation(run, score.predictions) for score in scores}
    metrics = [{**dataclasses.asdict(score), **found[score.name].to_json()} for score in scores]
    run.write_json("metrics.json", {"scores": metrics})
    run.write_table("scores.csv", score_table(metrics))
    run.write_table("timing.csv", timing_table(run))
    compared = comparison_tables(run)
    if compared and (grouped := distortion_table(run, found)) is not None:
        compared["distorted.csv"] = grouped
    for name, table in {**result_tables(found["headline"], seed=seed), **compared}.items():
        run.write_table(name, table)
    _draw(run, found["headline"], compared)


def comparison_tables(run: RunFolder) -> dict[str, pd.DataFrame]:
    """Returns the tables that compare the models of a run, by their file names; none where it has only one.

    Accuracy and loss on training and validation images are those of the epoch whose weights were kept, as they stood in
    the history: training images were augmented then, and dropout was on.
    """
    study = Study.from_json(run.settings["study"])
    if not study.variants:
        return {}
    contenders = [
        _contender(run, name, home, f"predictions_{name}.csv" if home else HEADLINE)
        for name, home in _homes(study).items()
    ]
    return compare_models(contenders, steps=study.ladder)


def distortion_table(run: RunFolder, found: dict[str, Evaluation]) -> pd.DataFrame | None:
    """Returns what each model reads of the clean and of the distorted test images; None without the latter.

    Columns: model (its architecture), trained ("plain" or "augmented"), tested ("clean" or "distorted"), accuracy, low,
    high (95 %). `found` holds the evaluations by the names of their scores.
    """
    study = Study.from_json(run.settings["study"])
    models = {variant.name: variant.model for variant in study.variants} | {"headline": study.model}
    rows = [
        (
            spec.name,
            "augmented" if spec.augmentation else "plain",
            tested,
            found[name + suffix].accuracy,
            *found[name + suffix].interval,
        )
        for name, spec in models.items()
        for tested, suffix in TESTS.items()
        if name + suffix in found
    ]
    table = pd.DataFrame(rows, columns=["model", "trained", "tested", "accuracy", "low", "high"])
    return table if (table["tested"] == "distorted").any() else None


def published_table(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Returns each model's accuracy as its source published it, as it came out here, and that of the study's own.

    Columns: model; tested ("clean" or "distorted"); published, reproduced, ours (accuracies in [0, 1], NaN where there
    is none); note (how the model deviates from its source). The study's own model is the last of each test.

    Args:
        study: Its variants are the models; one that has not been trained is shown as published.
        scores: As `score_table` returns it; needs name and accuracy.
    """
    here = scores.set_index("name")["accuracy"]
    rows = []
    for tested, suffix in TESTS.items():
        if tested == "distorted" and not study.distortion:
            continue
        for v in study.variants:
            published = v.published if tested == "clean" else v.published_distorted
            rows.append((v.name, tested, published, here.get(v.name + suffix), None, v.note))
        rows.append((OWN, tested, None, None, here.get("headline" + suffix), ""))
    table = pd.DataFrame(rows, columns=["model", "tested", "published", "reproduced", "ours", "note"])
    return table.astype({"published": "float64", "reproduced": "float64", "ours": "float64"})


def read_histories(run: RunFolder) -> dict[str, pd.DataFrame]:
    """Returns the history of each model's training, by the names that a comparison has for them, its own last.

    Of a run with folds, its own is that of the first fold.
    """
    homes = _homes(Study.from_json(run.settings["study"])) | {OWN: run.trainings()[0].removesuffix("training.json")}
    return {name: run.read_table(f"{home}history.csv") for name, home in homes.items()}


def _homes(study: Study) -> dict[str, str]:
    """Returns where in the run folder the training of each model lies, the study's own last."""
    return {variant.name: variant_folder(variant.name) for variant in study.variants} | {OWN: ""}


def _contender(run: RunFolder, name: str, home: str, predictions: str) -> Contender:
    training, history = run.read_json(f"{home}training.json"), run.read_table(f"{home}history.csv")
    last = history[history["phase"] == history["phase"].iloc[-1]].pivot(index="epoch", columns="metric", values="value")
    kept = last.loc[last["val_loss"].idxmin() if "val_loss" in last else last.index[-1]]
    return Contender(
        name=name,
        predictions=run.read_table(predictions),
        parameters=training["parameters"],
        seconds=sum(training["seconds"].values()),
        bytes=(run.path / home / "model.keras").stat().st_size,
        train_accuracy=kept["accuracy"],
        train_loss=kept["loss"],
        validation_accuracy=kept.get("val_accuracy", math.nan),
        validation_loss=kept.get("val_loss", math.nan),
    )


def read_evaluation(run: RunFolder, predictions: str = HEADLINE) -> Evaluation:
    """Returns what a run's predictions amount to, computed from their table again."""
    settings = run.settings
    table, class_names = run.read_table(predictions), tuple(settings["class_names"])
    return evaluate_predictions(table, class_names, seed=settings["seed"])


def score_table(scores: list[dict[str, Any]]) -> pd.DataFrame:
    """Returns the scores of metrics.json as a table, the ends of the interval as low and high."""
    facts = ["name", "protocol", "training", "images", "accuracy", "low", "high", "loss", "calibration_error"]
    ends = [dict(zip(("low", "high"), score["interval"], strict=True)) for score in scores]
    return pd.DataFrame([{**score, **pair} for score, pair in zip(scores, ends, strict=True)], columns=facts)


def timing_table(run: RunFolder) -> pd.DataFrame:
    """Returns seconds and images a second of each phase, of each fold where there are folds."""
    rows = []
    for path in run.trainings():
        training = run.read_json(path)
        for phase, seconds in training["seconds"].items():
            rows.append((path.rpartition("/")[0], phase, seconds, training["images_per_second"][phase]))
    return pd.DataFrame(rows, columns=["fold", "phase", "seconds", "images_per_second"])


def result_tables(evaluation: Evaluation, *, seed: int) -> dict[str, pd.DataFrame]:
    """Returns the tables of an evaluation by their file names; the seed chooses the samples."""
    names = list(evaluation.class_names)
    facts = ["name", "signer", "label", "predicted", "confidence", "loss"]
    by_label = pd.DataFrame({"label": names})
    return {
        "per_label.csv": evaluation.per_label,
        "per_signer.csv": evaluation.per_signer,
        "confusion.csv": by_label.join(pd.DataFrame(evaluation.confusion, columns=names)),
        "confusion_rates.csv": by_label.join(pd.DataFrame(evaluation.rates, columns=names)),
        "most_confused.csv": evaluation.most_confused,
        "top_losses.csv": evaluation.top_losses()[facts],
        "samples.csv": evaluation.samples(seed=seed)[facts],
        "reliability.csv": evaluation.reliability,
    }


def _draw(run: RunFolder, evaluation: Evaluation, compared: dict[str, pd.DataFrame]) -> None:
    samples = evaluation.samples(seed=run.settings["seed"])
    with run_photographs(run) as photographs:
        there = set(samples["name"]) <= photographs.names
        pictures = [photographs.picture(name, 224) for name in samples["name"]] if there else []
    drawings = draw_run(evaluation, read_histories(run)[OWN], samples, pictures, compared)
    (run.path / "plots").mkdir(exist_ok=True)
    for name, fig in drawings.items():
        fig.savefig(run.path / "plots" / f"{name}.png", metadata={"Software": None})
