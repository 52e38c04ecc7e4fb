"""Measures starting weights on real photographs: a linear probe and the full fine-tuning, on signers never trained on.

    python -m SCRIPTS.hands.measure_weights --data PHOTOS.rar --mobilenet WEIGHTS.weights.h5 --out runs/weights
    python -m SCRIPTS.hands.measure_weights ... --only signs probe    a part: named ways, kinds and sizes, or all

Hands are cut out by the archive's boxes, or ("looked-for") where the localiser finds them, and every signer is left
out once. A measurement is one way of starting, one kind and one image size; when it ends it takes its own place in the
JSON file, from which those of earlier `signs` go, and the model card's table is written from all of them. A fine-tuning
that was stopped goes on where it was; a probe takes minutes and begins again.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from casestudy.choices import Crop, Precision
from casestudy.cleaning import CommandParser
from casestudy.cleaning.regroup import clean_archive
from casestudy.cluster import add_worker_options
from casestudy.data.images import load_images
from casestudy.data.splits import Splits, leave_one_signer_out, split_images
from casestudy.errors import CaseStudyError, RunError
from casestudy.evaluation.metrics import evaluate_predictions
from casestudy.evaluation.predictions import prediction_table
from casestudy.files import file_digest
from casestudy.models.weights import SIGNS_SHA256, resolve_weights
from casestudy.runs import Wishes, run_study
from casestudy.runs.record import environment
from casestudy.studies import STUDIES
from casestudy.study import ModelSpec, SplitSpec, Study
from casestudy.words import percent
from SCRIPTS.articles.writing import ARTICLES, read_json, replaced, write_json, write_text
from SCRIPTS.release.environment import ROOT

RESULTS, CARD = ARTICLES / "weights.json", ROOT / "DATA" / "weights" / "README.md"
BEGIN, END = "<!-- measured:start -->", "<!-- measured:end -->"
SCHEMA_VERSION = 1
SEED = 7
ALPHAS = [10.0**power for power in range(7)]  # strengths of the ridge to choose from


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to start."""

    model: str
    weights: str | None  # "file" for those of --mobilenet
    words: str  # in the table
    crop: Crop = "boxes"


WAYS = {
    "signs": Way("resnet50v2", "signs", "ResNet50V2, `signs`"),
    "looked-for": Way("resnet50v2", "signs", "ResNet50V2, `signs`; hands looked for", "hand"),
    "none": Way("resnet50v2", None, "ResNet50V2, random"),
    "mobilenet": Way("mobilenet_v2_0.35", "file", "MobileNetV2-0.35, ImageNet"),
}
PLAN = [(way, "probe", size) for way in WAYS for size in ("64", "96")]
PLAN += [(way, "fine-tune", size) for way in WAYS for size in ("64", "96")]


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 2 something is not as it must be."""
    words = list(dict.fromkeys(word for way, kind, size in PLAN for word in (way, kind, size)))
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="archive of photographs by signer, with hand boxes")
    parser.add_argument("--mobilenet", type=Path, help="ImageNet weights of MobileNetV2-0.35 without its top")
    parser.add_argument("--out", type=Path, required=True, help="folder for the cleaned photographs and the runs")
    parser.add_argument("--only", nargs="+", default=[], choices=words, metavar="WORD", help=", ".join(words))
    parser.add_argument("--precision", choices=get_args(Precision), help="of fine-tuning (default: the machine's)")
    add_worker_options(parser)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go (default: in ARTICLES)")
    parser.add_argument("--card", type=Path, default=CARD, help="page with the table (default: in DATA/weights)")
    options = parser.parse_args(arguments)
    plan = chosen(options.only)
    file = options.mobilenet and options.mobilenet.resolve()
    if any(WAYS[way].weights == "file" for way, _, _ in plan) and not (file and file.is_file()):
        parser.error(
            f"mobilenet starts from a weights file; --mobilenet is {file}. Name one, or other ways with --only"
        )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        digest = file_digest(options.data)
        for way, kind, size in plan:
            logging.info("%s %s at %s px", way, kind, size)
            start = WAYS[way]
            weights = str(file) if start.weights == "file" else start.weights
            study = study_of(start.model, weights, int(size), start.crop)
            if kind == "probe":
                values = probed(study, cleaned(options.data, digest, options.out), options.out)
            else:
                values = fine_tuned(study, options.data, options.out, options.precision, options.cluster)
            record(options.json, {"name": options.data.name, "sha256": digest}, f"{way} {kind} {size}", values)
            show(options.json, options.card)
    except (CaseStudyError, OSError) as error:
        print(f"measure_weights: {error}", file=sys.stderr)
        return 2
    return 0


def chosen(words: list[str]) -> list[tuple[str, str, str]]:
    """Returns the measurements that the words name; where a way, kind or size is not named, all of them.

    >>> chosen(["none", "signs", "probe", "64"])
    [('signs', 'probe', '64'), ('none', 'probe', '64')]
    """
    named = [set(axis) & set(words) for axis in zip(*PLAN, strict=True)]
    return [key for key in PLAN if all(not names or value in names for value, names in zip(key, named, strict=True))]


def study_of(model: str, weights: str | None, size: int, crop: Crop = "boxes") -> Study:
    """Returns the project's own recipe, from other weights, on hands cut out, every signer left out once."""
    study = STUDIES["asl"]
    spec = dataclasses.replace(study.model, name=model, weights=weights, image_size=(size, size))
    return dataclasses.replace(study, model=spec, split=SplitSpec("leave-one-signer-out"), crop=crop)


def cleaned(data: Path, digest: str, out: Path) -> Path:
    """Returns the letters.zip of the archive with that digest, made unless it is there."""
    letters = out / f"letters-{digest[:12]}.zip"
    if not letters.exists():
        out.mkdir(parents=True, exist_ok=True)
        clean_archive(data, letters)
    return letters


def probed(study: Study, letters: Path, out: Path) -> dict:
    """Returns how well a linear classifier reads unseen signers from what the frozen base makes of a photograph.

    Nothing about a signer in the test part is known before the test: neither to the ridge, nor to its strength, nor,
    where the base is random, to the statistics of its BatchNormalization.
    """
    started, spec = time.perf_counter(), study.model
    images = load_images(
        letters, image_size=spec.image_size, cache_dir=out / ".cache", crop=study.crop, margin=study.crop_margin
    )
    at_random = split_images(images, SplitSpec("random", validation=0, test=0.2), seed=SEED)
    tables, strengths, features = [], [], None
    for split in [*leave_one_signer_out(images), at_random]:
        if features is None or spec.weights is None:  # a random base takes its statistics from the training part
            features = features_of(spec, split)
        table, strength = probe(features, split)
        logging.info("%s: %s", split.fold or "random", percent((table["label"] == table["predicted"]).mean()))
        tables.append(table)
        strengths.append(strength)
    unseen, mixed = pd.concat(tables[:-1], ignore_index=True), tables[-1]
    return {
        **settings(study, resolve_weights(spec, spec.image_size).sentence),
        "alphas": {"tried": ALPHAS, "taken": strengths},
        "seconds": time.perf_counter() - started,
        "scores": [{"training": "linear probe", **figures(unseen, mixed, images.class_names)}],
    }


def features_of(spec: ModelSpec, split: Splits) -> np.ndarray:
    """Returns float32 (N, F): all images of the set after the frozen base, pooled."""
    from casestudy.training import frozen_features  # TensorFlow is loaded only now

    with tempfile.TemporaryDirectory(prefix="features-") as scratch:
        target = Path(scratch) / "features.npy"
        return np.array(frozen_features(spec, split, seed=SEED, target=target))


def probe(features: np.ndarray, split: Splits) -> tuple[pd.DataFrame, float]:
    """Returns the predictions for `split.test` of a ridge classifier on standardised features, and its strength.

    The strength is the one that reads the signers of the training part best, each of them left out once.
    """
    images, train = split.images, split.train
    ridge = make_pipeline(StandardScaler(), RidgeClassifier())
    search = GridSearchCV(ridge, {"ridgeclassifier__alpha": ALPHAS}, cv=LeaveOneGroupOut())
    search.fit(features[train], images.labels[train], groups=images.signers[train])
    # A ridge has no probabilities; of these only the accuracies are read.
    certain = np.eye(len(images.class_names), dtype="float32")[search.predict(features[split.test])]
    return prediction_table(images, split.test, certain), search.best_params_["ridgeclassifier__alpha"]


def fine_tuned(
    study: Study, data: Path, out: Path, precision: Precision | None = None, cluster: str | None = None
) -> dict:
    """Returns what the study's phases make of the weights, and what the first of them does alone."""
    spec = study.model
    # Other weights of the same name are another run.
    home = out / "-".join([spec.name, str(spec.image_size[0]), (weights_sha256(spec) or "random")[:8], study.crop])
    run = run_study(Wishes(study, seed=SEED, precision=precision), data, home, cluster=cluster)
    names = run.facts.class_names
    tables = {score.name: run.read_table(score.predictions) for score in run.scores()}
    return {
        **settings(study, run.resolved.weights),
        "precision": run.resolved.machine.precision,
        "phases": [dataclasses.asdict(phase) for phase in study.phases],
        "seconds": sum(sum(run.training(fold).seconds.values()) for fold in run.trainings()),
        "scores": [
            {"training": "phase 1 alone", **figures(tables["head"], tables.get("head-random"), names)},
            {"training": "all phases", **figures(tables["headline"], None, names)},
        ],
    }


def settings(study: Study, weights: str) -> dict:
    """Returns what a measurement depends on besides the data, without a path of this machine."""
    spec = study.model
    return {
        "model": spec.name,
        "weights": weights,
        "weights_sha256": weights_sha256(spec),
        "image_size": list(spec.image_size),
        "crop": study.crop,
        "crop_margin": study.crop_margin,
        "seed": SEED,
        "environment": environment(),
    }


def weights_sha256(spec: ModelSpec) -> str | None:
    """Returns the SHA-256 of the file that the weights come from; None for random ones."""
    if spec.weights is None:
        return None
    return SIGNS_SHA256 if spec.weights == "signs" else file_digest(Path(spec.weights))


def figures(unseen: pd.DataFrame, mixed: pd.DataFrame | None, class_names: tuple[str, ...]) -> dict:
    """Returns the mean accuracy on unseen signers, that on each, and beside them that of a random split.

    Args:
        unseen: Predictions for every signer, as `evaluation.predict` returns them, each made without that signer.
        mixed: Predictions of a random split; None where there is none.
        class_names: The K labels.
    """
    found = evaluate_predictions(unseen, class_names)
    by_signer = found.per_signer["accuracy"]
    return {
        "mean": float(by_signer.mean()),
        "range": [float(by_signer.min()), float(by_signer.max())],
        "interval": list(found.to_json()["interval"]),
        "interval_method": found.interval_method,
        "per_signer": found.per_signer[["signer", "support", "accuracy"]].to_dict("records"),
        "random_split": None if mixed is None else evaluate_predictions(mixed, class_names).accuracy,
    }


def record(path: Path, data: dict, key: str, values: dict) -> None:
    """Writes a measurement into the JSON file, in its place among the others; only its own earlier one goes."""
    results = {"schema_version": SCHEMA_VERSION, "data": data, "measurements": {}}
    if path.exists():
        results = read_json(path)
    if results["data"]["sha256"] != data["sha256"]:
        raise RunError(f"One table has one data set; {path} is about {results['data']['name']}. Name another --json.")
    kept = {
        name: one
        for name, one in results["measurements"].items()
        if WAYS[name.split()[0]].weights != "signs" or one["weights_sha256"] == SIGNS_SHA256
    }
    done = {**kept, key: values}
    results["measurements"] = {name: done[name] for name in map(" ".join, PLAN) if name in done}
    write_json(path, results)


def show(path: Path, card: Path) -> None:
    """Writes the table of the JSON file into the model card, between its two marks."""
    card.parent.mkdir(parents=True, exist_ok=True)
    text = card.read_text(encoding="utf-8") if card.exists() else f"# The project's own weights\n\n{BEGIN}\n{END}\n"
    write_text(card, replaced(text, table(read_json(path)), BEGIN, END))


def table(results: dict) -> str:
    """Returns the results as a table in Markdown: a row a score, every number from `results`."""
    lines = [
        "| model, starting weights | trained | size | unseen signers | each signer | 95 % interval | random split |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, values in results["measurements"].items():
        phases = [f"{phase['epochs']} epochs at {phase['learning_rate']:g}" for phase in values.get("phases", [])]
        for score in values["scores"]:
            how = {"phase 1 alone": phases[:1], "all phases": phases}.get(score["training"], [])
            cells = [WAYS[key.split()[0]].words, score["training"] + (f": {', then '.join(how)}" if how else "")]
            cells += [f"{values['image_size'][0]} px", percent(score["mean"])]
            cells += [" to ".join(map(percent, score[ends])) for ends in ("range", "interval")]
            lines.append("| " + " | ".join([*cells, percent(score["random_split"])]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
