"""Predictions in, the run's figures out: metrics.json, the tables and the plots, all from files of the run folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from casestudy.choices import OWN
from casestudy.evaluation import Contender, Evaluation, compare_models
from casestudy.plots import draw_run
from casestudy.runs.ahead import recipe
from casestudy.runs.crops import SIDES
from casestudy.runs.folder import RunFolder
from casestudy.runs.record import Metrics, Score
from casestudy.runs.trained import CLEAN, DISTORTED, TESTS, TrainedModel, models_of
from casestudy.study import Study

if TYPE_CHECKING:
    from casestudy.data.photographs import Photographs
    from casestudy.plots.results import Cut

CUTS = 20  # hands on the sheet of what was cut out


def write_results(run: RunFolder) -> None:
    """Writes metrics.json, the tables and the plots of the headline, all from the predictions in the folder."""
    wishes, models = run.record.wishes, run.models()
    found: dict[str, Evaluation] = {}
    scores = []
    for test in TESTS:
        for model in models:
            if run.has(table := model.predictions(test)):
                name = model.score(test)
                found[name] = run.evaluation(table)
                scores.append(Score(name, model.protocol, model.training + test.words, table, **found[name].to_json()))
    run.write_json("metrics.json", Metrics(tuple(scores)).to_json())
    run.write_table("scores.csv", score_table(scores))
    run.write_table("timing.csv", timing_table(run))
    compared = comparison_tables(run)
    if compared and (grouped := distortion_table(wishes.study, models, found)) is not None:
        compared["distorted.csv"] = grouped
    for name, table in {**result_tables(found["headline"], seed=wishes.seed), **compared}.items():
        run.write_table(name, table)
    _draw(run, found["headline"], compared)


def comparison_tables(run: RunFolder) -> dict[str, pd.DataFrame]:
    """Returns the tables that compare the models of a run, by their file names; none where it has only one.

    Accuracy and loss on training and validation images are those of the epoch whose weights were kept, as they stood in
    the history: training images were augmented then, and dropout was on. Of folds: all seconds, the mean of the rest.
    """
    study = run.record.wishes.study
    if not study.variants:
        return {}
    return compare_models([contender(run, model) for model in run.compared()], steps=study.ladder)


def distortion_table(study: Study, models: Sequence[TrainedModel], found: dict[str, Evaluation]) -> pd.DataFrame | None:
    """Returns what each model reads of the clean and of the distorted test images; None without the latter.

    Columns: model (its architecture), trained ("plain" or "augmented"), tested ("clean" or "distorted"), accuracy, low,
    high (95 %). `found` holds the evaluations by the names of their scores.
    """
    specs = {variant.name: variant.model for variant in study.variants} | {OWN: study.model}
    rows = []
    for model in sorted((one for one in models if one.name in specs), key=lambda one: one.role == "own"):
        spec = specs[model.name]
        for tested, test in (("clean", CLEAN), ("distorted", DISTORTED)):
            if evaluation := found.get(model.score(test)):
                trained = "augmented" if spec.augmentation else "plain"
                rows.append((spec.name, trained, tested, evaluation.accuracy, *evaluation.interval))
    table = pd.DataFrame(rows, columns=["model", "trained", "tested", "accuracy", "low", "high"])
    return table if (table["tested"] == "distorted").any() else None


def published_table(study: Study, scores: pd.DataFrame, *, comparable: bool = True) -> pd.DataFrame:
    """Returns each model's accuracy as its source published it, as it came out here, and that of the study's own.

    Columns: model; tested ("clean" or "distorted"); published, reproduced, ours (accuracies in [0, 1], NaN where there
    is none); note (how the model deviates from its source). The study's own model is the last of each test.

    Args:
        study: Its variants are the models; one that has not been trained is shown as published.
        scores: As `score_table` returns it; needs name and accuracy.
        comparable: Whether they may stand beside published ones; see `Provenance`. If not, none is shown.
    """
    here = scores.set_index("name")["accuracy"]
    own, *others = models_of(study, study.split.protocol)
    known = {variant.name: variant for variant in study.variants}
    rows = []
    for tested, test in (("clean", CLEAN), ("distorted", DISTORTED))[: 2 if study.distortion else 1]:
        for model in others:
            if variant := known.get(model.id):
                published = variant.published_distorted if test.distorted else variant.published
                published = published if comparable else None
                rows.append((model.name, tested, published, here.get(model.score(test)), None, variant.note))
        rows.append((own.name, tested, None, None, here.get(own.score(test)), ""))
    table = pd.DataFrame(rows, columns=["model", "tested", "published", "reproduced", "ours", "note"])
    return table.astype({"published": "float64", "reproduced": "float64", "ours": "float64"})


def contender(run: RunFolder, model: TrainedModel) -> Contender:
    """Returns a trained model of a run as it is compared with others."""
    homes = run.trainings(model.home)
    trainings = [run.training(home) for home in homes]
    kept = pd.DataFrame([_kept(run, model, home) for home in homes]).mean()
    return Contender(
        name=model.name,
        predictions=run.read_table(model.predictions()),
        parameters=trainings[0].parameters,
        seconds=sum(sum(training.seconds.values()) for training in trainings),
        bytes=(run.path / homes[0] / "model.keras").stat().st_size,
        train_accuracy=kept["accuracy"],
        train_loss=kept["loss"],
        validation_accuracy=kept.get("val_accuracy", math.nan),
        validation_loss=kept.get("val_loss", math.nan),
    )


def _kept(run: RunFolder, model: TrainedModel, home: str) -> pd.Series:
    """Returns the metrics of the epoch whose weights a training ended with."""
    history = run.read_table(f"{home}history.csv")
    last = history[history["phase"] == history["phase"].iloc[-1]].pivot(index="epoch", columns="metric", values="value")
    return last.iloc[recipe(run, model)[1][-1].kept_epoch({name: last[name].tolist() for name in last})]


def score_table(scores: Sequence[Score]) -> pd.DataFrame:
    """Returns the scores of metrics.json as a table, the ends of the interval as low and high."""
    facts = ["name", "protocol", "training", "images", "accuracy", "low", "high", "loss", "calibration_error"]
    rows = [{**vars(score), "low": score.interval[0], "high": score.interval[1]} for score in scores]
    return pd.DataFrame(rows, columns=facts)


def timing_table(run: RunFolder) -> pd.DataFrame:
    """Returns seconds and images a second of each phase, of each fold where there are folds."""
    rows = []
    for home in run.trainings():
        training = run.training(home)
        for phase, seconds in training.seconds.items():
            rows.append((home.rstrip("/"), phase, seconds, training.images_per_second[phase]))
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


def _cuts(run: RunFolder, photographs: Photographs) -> list[Cut]:
    """Returns the least surely found hands that were cut out; none where nobody looked, or photographs are not here."""
    if not run.has("crops.csv"):
        return []
    table = run.read_table("crops.csv")
    cut = table[table["cut"] & table["name"].isin(photographs.names)]
    least = cut.sort_values("confidence", kind="stable").head(CUTS)
    corners = least[SIDES].itertuples(index=False, name=None)
    said = (f"{100 * confidence:.0f} % sure" for confidence in least["confidence"])
    return list(zip(map(photographs.whole, least["name"]), corners, said, strict=True))


def _draw(run: RunFolder, evaluation: Evaluation, compared: dict[str, pd.DataFrame]) -> None:
    samples = evaluation.samples(seed=run.record.wishes.seed)
    with run.photographs() as photographs:
        there = set(samples["name"]) <= photographs.names
        pictures = [photographs.picture(name, 224) for name in samples["name"]] if there else []
        cuts = _cuts(run, photographs)
    drawings = draw_run(evaluation, run.histories()[OWN], samples, pictures, compared, cuts)
    (run.path / "plots").mkdir(exist_ok=True)
    for name, fig in drawings.items():
        fig.savefig(run.path / "plots" / f"{name}.png", metadata={"Software": None})
