"""Measures what parts of the recipe are worth, to choose those of `--budget`: accuracy on unseen people, and seconds.

    python -m SCRIPTS.hands.measure_budget --data PHOTOS.rar --out runs/budget

The choice is nested: the first person of the archive is not looked at, the next two are read by what the others
trained. Each point is written to the JSON file, and to the table of the article, as soon as it is done; one that was
stopped goes on where it was.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from functools import reduce
from itertools import product
from pathlib import Path

import numpy as np

import casestudy as cs
from casestudy.choices import ImageSize
from casestudy.cleaning import CommandParser
from casestudy.cleaning.regroup import clean_archive
from casestudy.data import Splits, split_folds
from casestudy.files import file_digest
from casestudy.models import inference_model
from casestudy.runs.record import environment
from casestudy.study import SplitSpec
from casestudy.words import duration, percent
from SCRIPTS.articles.writing import ARTICLES, read_json, replaced, write_json, write_text

RESULTS, PAGE = ARTICLES / "budget.json", ARTICLES / "alternatives.md"
BEGIN, END = "<!-- budget -->", "<!-- end of budget -->"
STUDY, SEED, JUDGED = cs.STUDIES["asl"], 7, 2
SIZES, SHARES = (64, 96), (1 / 4, 1 / 2, 1)  # sides in pixels, and parts of the last phase's epochs: the cheapest first


def main(arguments: list[str] | None = None) -> int:
    """Reads the command line."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="archive of photographs by signer, with hand boxes")
    parser.add_argument("--out", type=Path, required=True, help="folder for the cleaned photographs and checkpoints")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go (default: in ARTICLES)")
    parser.add_argument("--page", type=Path, default=PAGE, help="page with the table (default: in ARTICLES)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    letters = options.out / "letters.zip"
    if not letters.exists():
        clean_archive(options.data, letters)
    data = {"name": options.data.name, "sha256": file_digest(options.data)}
    threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)) or os.cpu_count()  # that an operation is divided among
    results = read_json(options.json) if options.json.exists() else {}
    if results.get("data") != data:
        results = {"data": data, "threads": threads, "environment": environment(), "points": []}
    for side, share in product(SIZES, SHARES):
        size, epochs = (side, side), round(share * STUDY.phases[-1].epochs)
        if not any((one["size"], one["epochs"]) == (side, epochs) for one in results["points"]):
            one = measured(letters, options.out, size, epochs)
            results["points"] = sorted([*results["points"], one], key=lambda one: (-one["accuracy"], one["seconds"]))
            write_json(options.json, results)
            page = options.page.read_text(encoding="utf-8")
            write_text(options.page, replaced(page, table(results), BEGIN, END))
        print(f"{side} pixels, {epochs} epochs: done", flush=True)
    return 0


def measured(letters: Path, out: Path, size: ImageSize, epochs: int) -> dict:
    """Returns the seconds that one part of the recipe takes and how it reads the two people."""
    spec = dataclasses.replace(STUDY.model, weights="signs", image_size=size)
    images = cs.load_images(
        letters, image_size=size, cache_dir=out / ".cache", crop="boxes", margin=STUDY.crop_margin, data=STUDY.data
    )
    splits = nested(images)
    model = cs.build_model(spec, images, seed=SEED)
    work = out / f"{size[0]}-{epochs}"
    for phase in (*STUDY.phases[:-1], dataclasses.replace(STUDY.phases[-1], epochs=epochs)):
        training = cs.train(model, splits, phase, seed=SEED, checkpoints=work)
    found = cs.evaluate(inference_model(model), images, splits.test)
    people = found.per_signer.set_index("signer")["accuracy"]
    point = {"size": size[0], "epochs": epochs, "seconds": sum(training.seconds.values())}
    return point | {"accuracy": float(people.mean()), "people": people.to_dict(), "images": len(splits.train)}


def nested(images: cs.ImageSet) -> Splits:
    """Returns the split of which the first person is in no part, and the next two are the test."""
    first, *folds = split_folds(images, SplitSpec("leave-one-signer-out"), seed=SEED)
    test = np.sort(np.concatenate([fold.test for fold in folds[:JUDGED]]))
    train = reduce(np.intersect1d, (fold.train for fold in (first, *folds[:JUDGED])))  # without anybody's copies, too
    return dataclasses.replace(first, protocol="signer", fold="", train=train, test=test)


def table(results: dict) -> str:
    """Returns the points as a table in Markdown, the best first."""
    lines = ["| size | epochs of the second phase | unseen people | time |", "|---|---|---|---|"]
    for one in results["points"]:
        accuracy, time = percent(one["accuracy"]), duration(one["seconds"])
        lines.append(f"| {one['size']} px | {one['epochs']} | {accuracy} | {time} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
