"""Trains published networks of a study one by one, and adds their rows to its committed result.

    python -m SCRIPTS.articles.record_variants fashion-mnist model-1 model-2 --data FOLDER --work runs/fashion-variants

For trainings of hours: each goes on where it was stopped, and is recorded when it is done. The study's own model stays
as it was recorded; ranks are left out, for they compare the models of one run.
"""

import dataclasses
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import casestudy as cs
from casestudy.audit import current
from casestudy.choices import OWN
from casestudy.cleaning import CommandParser
from casestudy.data import distort
from casestudy.evaluation import evaluate_predictions
from casestudy.models import inference_model
from casestudy.runs.record import Score
from casestudy.training import Machine, remove_checkpoints
from SCRIPTS.articles.record_studies import FOLDER
from SCRIPTS.articles.writing import read_json, write_json


def main(arguments: list[str] | None = None) -> int:
    """Reads the command line; the result of a study with archives needs the letters.zip of a run as --data."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=sorted(cs.STUDIES))
    parser.add_argument("variants", nargs="*", help="their names; all without one")
    parser.add_argument("--data", required=True, help="the folder of the study's data")
    parser.add_argument("--work", required=True, type=Path, help="where trainings are kept until they are recorded")
    parser.add_argument("--precision", help="of the trainings; the machine's own without it")
    args = parser.parse_args(arguments)
    study = cs.STUDIES[args.study]
    images = cs.load_images(
        args.data, image_size=study.model.image_size, cache_dir=args.work / "cache", data=study.data
    )
    precision = args.precision or Machine.here().precision
    for variant in study.choose(",".join(args.variants) or "all").variants:
        work = args.work / variant.name
        if variant.name not in {row["name"] for row in current(read_json(FOLDER / f"{study.name}.json"))["comparison"]}:
            add(study.name, variant, measured(study, variant, images, work, precision))
        remove_checkpoints(work)
        print(f"{variant.name} is recorded", flush=True)
    return 0


def measured(study: cs.Study, variant: cs.Variant, images: cs.ImageSet, work: Path, precision: str) -> dict:
    """Returns the row of a comparison, the scores and the precision of one variant, trained as its study says."""
    spec = dataclasses.replace(study.split, **({} if variant.split is None else vars(variant.split)))
    splits = cs.split_images(images, spec, seed=study.seed)
    model = cs.build_model(variant.model, images, seed=study.seed, precision=precision)
    for phase in variant.phases:
        training = cs.train(model, splits, phase, seed=study.seed, checkpoints=work)
    copies = set(splits.copies()["name"])
    model = inference_model(model)
    tests = [("", images, splits.test)]
    if study.distortion:
        harder = distort(images, splits.test, **study.distortion)
        tests.append(("-distorted", harder, np.arange(len(harder))))
    scores, found = [], None
    for suffix, pictures, chosen in tests:
        one = cs.evaluate(model, pictures, chosen)
        found = found or one
        scores.append(_score(variant.name + suffix, one, splits.protocol))
        rest = one.predictions[~one.predictions["name"].isin(copies)].reset_index(drop=True)
        if copies:
            again = evaluate_predictions(rest, images.class_names)
            scores.append(_score(f"{variant.name}{suffix}-unique", again, splits.protocol))
    last = training.history[training.history["phase"] == variant.phases[-1].name]
    last = last.pivot(index="epoch", columns="metric", values="value")
    kept = last.iloc[variant.phases[-1].kept_epoch({name: last[name].tolist() for name in last})]
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        size = (Path(folder) / "model.keras").stat().st_size
    row = {"name": variant.name, "parameters": model.count_params(), "seconds": sum(training.seconds.values())}
    row |= {"bytes": size, "train_accuracy": kept["accuracy"], "train_loss": kept["loss"]}
    row |= {"validation_accuracy": kept.get("val_accuracy"), "validation_loss": kept.get("val_loss")}
    row |= {"images": len(splits.test), "accuracy": found.accuracy, "low": found.interval[0], "high": found.interval[1]}
    row |= {"loss": found.loss, "rank": None, "pareto": None, "train_images": len(splits.train)}
    row = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
    return {"row": row, "scores": scores, "precision": precision}


def _score(name: str, found: cs.Evaluation, protocol: str) -> dict:
    return Score(name, protocol, name, "predictions.csv", **found.to_json()).to_json()


def add(name: str, variant: cs.Variant, new: dict[str, Any]) -> None:
    """Puts a variant's row and scores into the committed result of its study, in place of earlier ones."""
    result = current(read_json(FOLDER / f"{name}.json"))  # rows of networks that are no longer these go
    now = [one.name for one in cs.STUDIES[name].variants]
    names = {score["name"] for score in new["scores"]}
    others = [one for one in result["comparison"] if one["name"] not in (variant.name, OWN)]
    own = [one for one in result["comparison"] if one["name"] == OWN]
    rows = sorted([*others, new["row"]], key=lambda row: now.index(row["name"]) if row["name"] in now else -1)
    result["comparison"] = [{**row, "rank": None} for row in [*rows, *own]]
    result["scores"] = [one for one in result["scores"] if one["name"] not in names] + new["scores"]
    known = {row["name"] for row in others}
    precisions = {one: said for one, said in result.get("variant_precision", {}).items() if one in known}
    result["variant_precision"] = {**precisions, variant.name: new["precision"]}
    kept = [one for one in result["study"]["variants"] if one["name"] in known]
    result["study"] = {**result["study"], "variants": [*kept, variant.to_json()]}
    write_json(FOLDER / f"{name}.json", result)


if __name__ == "__main__":
    sys.exit(main())
