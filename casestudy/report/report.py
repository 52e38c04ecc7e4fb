"""Run folder in, report.html out: one self-contained page that needs no network."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from casestudy.choices import OWN
from casestudy.files import write_text
from casestudy.report import explorer, sections
from casestudy.report.claim import claims
from casestudy.report.pages import gap as points_apart, interval, page, source
from casestudy.runs import Options, RunFolder
from casestudy.words import counted, percent

if TYPE_CHECKING:
    from casestudy.runs.record import Score

PROTOCOLS = {
    "signer": "unseen signers",
    "leave-one-signer-out": "unseen signers, each left out once",
    "random": "random split",
    "published": "published test part",
}
MOST_CONFUSED = (10, 40)  # confusions in the table: below a matrix of numbers, and below one that is a picture
# What the page shows as pictures; the rest of the plots it draws itself.
PLOTS = ("learning_accuracy", "learning_loss", "reliability", "models", "pareto", "ladder", "distorted")


def write_report(run: RunFolder) -> Path:
    """Returns the path of report.html, written from the files of the run folder alone.

    Raises:
        RunError: The run has no results yet.
    """
    text, target = render(run), run.path / "report.html"
    write_text(target, text)
    return target


def render(run: RunFolder) -> str:
    """Returns the page as HTML; every value from a file is escaped, and no script but the page's own can run."""
    record, study, images = run.record, run.record.wishes.study, run.facts
    scores, evaluation, ledger = run.scores(), run.evaluation(), run.ledger()
    top_losses, samples = evaluation.top_losses(), evaluation.samples(seed=record.wishes.seed)
    matrix = sections.matrix(evaluation)
    most_confused = evaluation.most_confused.head(MOST_CONFUSED[0 if matrix else 1])
    cells = sections.behind(evaluation) if matrix else {}
    beside = explorer.beside(run, evaluation) if matrix else []
    features = explorer.feature_map(run, evaluation) if matrix else None
    behind = [photo["name"] for photos in cells.values() for photo in photos]
    wanted = [*top_losses["name"], *samples["name"], *"; ".join(most_confused["examples"]).split("; ")]
    closely = [name for one in beside for name in (one["name"], *(near for row in one["near"] for near, _ in row))]
    with run.photographs() as photographs:
        pictures = photographs.thumbnails(closely, large=True)
        pictures = photographs.thumbnails([*wanted, *sections.by_turns(cells)]) | pictures
    trainings = [run.training(home) for home in run.trainings()]
    tables = {name: run.read_table(file) for name, (file, *_) in sections.PLOTTED.items() if run.has(file)}
    parts, script = run.read_table("splits.csv"), source("report.js")
    for name in ("matrix.js", "beside.js", "features.js", "explore.js") if matrix else ():
        script += source(name)
    return page(
        "report.html",
        record=record,
        study=study,
        resolved=run.resolved,
        images=images,
        command=Options.again(run),
        protocols=PROTOCOLS,
        headline=scores[0],
        scores=scores,
        comparison=_comparison(run),
        copies=run.read_table("copies.csv").to_dict("records") if run.has("copies.csv") else [],
        compared=sections.compared(scores),
        summary=summary_sentence(scores, evaluation.sure.sentence),
        known=run.provenance(),
        claims=claims(run),
        everyone=Options.again(run, everyone=True),
        guessing=math.log(len(evaluation.class_names)),
        entries=0 if ledger is None else len(ledger),
        flow=[] if ledger is None else sections.ledger_flow(ledger),
        parts=parts["part"].value_counts().to_dict() if "part" in parts else {},  # every fold has its own
        why_left_out=dataclasses.replace(study.split, protocol=images.protocol).why_left_out(),
        trainings=trainings,
        pace=sections.pace(trainings),
        plots=_plots(run, PLOTS if matrix else ("confusion", *PLOTS)),
        sentences=sections.plot_sentences(evaluation, run.histories()[OWN], tables),
        photographs=sections.photographs(evaluation),
        matrix=matrix,
        behind={
            "labels": evaluation.class_names if matrix else (),
            "cells": {f"{truth},{guess}": photos for (truth, guess), photos in cells.items()},
            "pictures": {name: pictures[name] for name in (*behind, *closely) if name in pictures},
            "beside": beside,
            "map": features and {key: features[key] for key in ("names", "ways")},
        },
        features=features,
        left_out=len(evaluation.predictions) - len(behind),
        pictureless=sum(name not in pictures for name in behind),
        evaluation=evaluation,
        signers=signer_sentence(evaluation.per_signer),
        most_confused=most_confused,
        top_losses=top_losses,
        samples=samples,
        pictures=pictures,
        style=source("report.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _plots(run: RunFolder, names: Sequence[str]) -> dict[str, str]:
    files = {name: run.path / "plots" / f"{name}.png" for name in names}
    coded = {name: base64.b64encode(file.read_bytes()).decode() for name, file in files.items() if file.is_file()}
    return {name: f"data:image/png;base64,{data}" for name, data in coded.items()}


def _comparison(run: RunFolder) -> list[dict[str, Any]]:
    """Returns a row for each model compared, with what its source published; none where there is one model only."""
    if not run.has("comparison.csv"):
        return []
    variants = {variant.name: variant for variant in run.record.wishes.study.variants}
    comparable = run.provenance().comparable
    rows = run.read_table("comparison.csv").to_dict("records")
    for row in rows:
        variant = variants.get(row["name"])
        row |= {
            "published": variant.published if variant and comparable else None,
            "note": variant.note if variant else "",
        }
        row |= {"support": row["images"], "weights": run.resolved.variant_weights.get(row["name"], (None, None))[1]}
    return rows


def summary_sentence(scores: Sequence[Score], sure: str) -> str:
    """Returns what the headline means, in words a student can defend; `sure` is its `Certainty.sentence`."""
    headline, luck = next(score for score in scores if score.name == "headline"), _luck(scores)
    text = f"Read rightly: {percent(headline.accuracy)} of {counted(headline.images, 'test photograph')}"
    if headline.protocol == "random":
        return f"{text}. The split is random: photographs of the same people may be in training and test.{luck}"
    if headline.protocol == "published":
        return f"{text}, the test part as it was published; {sure}.{luck}"
    text += f", all of them by signers that training never saw; {sure}.{luck}"
    if everyone := next((score for score in scores if score.name == "head-everyone"), None):
        text += f" The head alone, each signer left out once: {percent(everyone.accuracy)}{_sure(everyone.interval)}."
    if pair := sections.compared(scores):
        honest, flattering = pair
        gap = 100 * ((flattering.accuracy or 0) - (honest.accuracy or 0))
        way = "flattered" if gap >= 0 else "the other way"
        how = "With phase 1 alone" if honest.name != "headline" else "Trained the same way"
        text += (
            f" {how}, a random split would claim {percent(flattering.accuracy)} where unseen signers "
            f"give {percent(honest.accuracy)}: {points_apart(gap)} {way}."
        )
    return text


def _luck(scores: Sequence[Score]) -> str:
    """Returns how far trainings from several seeds lie apart on the one test part; "" where there is one."""
    found = [score.accuracy or 0.0 for score in scores if re.fullmatch(r"headline|seed-\d+", score.name)]
    if len(found) == 1:
        return ""
    spread = points_apart(100 * statistics.stdev(found))
    return (
        f" Trained from {len(found)} seeds on the same split, it reads {percent(statistics.mean(found))} on average, "
        f"from {percent(min(found))} to {percent(max(found))}; the standard deviation is {spread}."
    )


def signer_sentence(per_signer: pd.DataFrame) -> str:
    """Returns which signer the model reads worst, and how far behind the best; empty where no signer is known."""
    if not len(per_signer):
        return ""
    rows = per_signer.sort_values(["accuracy", "signer"])
    worst, best = rows.iloc[0], rows.iloc[-1]
    if len(rows) > 1 and worst["accuracy"] == best["accuracy"]:
        return f"All {len(rows)} signers are read equally well: {percent(best['accuracy'])} of the photographs of each."
    text = f"{worst['signer']} is read worst: {percent(worst['accuracy'])} of {counted(worst['support'], 'photograph')}"
    text += _sure((worst["low"], worst["high"]))
    gap = 100 * (best["accuracy"] - worst["accuracy"])
    return text + (f", {points_apart(gap)} behind {best['signer']}, who is read best." if len(rows) > 1 else ".")


def _sure(ends: Sequence[float | None]) -> str:
    """Returns an interval to stand behind its value, and nothing where it is not known."""
    return "" if (text := interval(ends, " to ")) == "–" else f" (95 % interval {text})"
