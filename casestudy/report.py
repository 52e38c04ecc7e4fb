"""Run folder in, report.html out: one self-contained page that needs no network."""

from __future__ import annotations

import base64
import io
import math
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image, ImageOps

from casestudy.files import atomic_path
from casestudy.runs import RunFolder

THUMBNAIL = 96  # pixels
PROTOCOLS = {
    "signer": "unseen signers",
    "leave-one-signer-out": "unseen signers, each left out once",
    "random": "random split",
}
STATUSES = {
    "kept": "sound photographs, stored under their label",
    "duplicate": "sound and stored too, but the same bytes as an earlier one",
    "corrupt": "damaged, in quarantine with the reason",
    "sidecar": "boxes, text and strays, carried along",
    "unrecognised": "sound, but the label cannot be told",
}


def write_report(run: RunFolder) -> Path:
    """Returns the path of report.html, written from the files of the run folder alone.

    Raises:
        RunError: The run has no results yet.
    """
    page = render(run)
    target = run.path / "report.html"
    with atomic_path(target) as partial:
        partial.write_text(page, encoding="utf-8")
    return target


def render(run: RunFolder) -> str:
    """Returns the page as HTML; every value from a file is escaped."""
    settings, scores = run.settings, run.read_json("metrics.json")["scores"]
    ledger = run.read_table("ledger.csv")
    trainings = sorted(run.path.glob("folds/*/training.json")) or [run.path / "training.json"]
    plots = {path.stem: _embedded(path.read_bytes(), "png") for path in sorted((run.path / "plots").glob("*.png"))}
    return (
        _environment()
        .get_template("report.html")
        .render(
            settings=settings,
            headline=scores[0],
            scores=scores,
            summary=summary_sentence(scores),
            protocols=PROTOCOLS,
            statuses=STATUSES,
            counts=Counter(ledger["status"]),
            entries=len(ledger),
            troubles=ledger[ledger["status"].isin(["corrupt", "unrecognised", "duplicate"])].to_dict("records"),
            plots=plots,
            per_label=run.read_table("per_label.csv").to_dict("records"),
            per_signer=run.read_table("per_signer.csv").to_dict("records"),
            most_confused=run.read_table("most_confused.csv").head(10).to_dict("records"),
            top_losses=run.read_table("top_losses.csv").to_dict("records"),
            photographs=_photographs(run),
            trainings=[run.read_json(path.relative_to(run.path).as_posix()) for path in trainings],
            created=settings["started"][:10],
            command=reproduce_command(settings),
        )
    )


def summary_sentence(scores: list[dict[str, Any]]) -> str:
    """Returns what the headline means, in a sentence a student can defend."""
    by_name = {score["name"]: score for score in scores}
    headline = by_name["headline"]
    low, high = headline["interval"]
    text = f"{percent(headline['accuracy'])} of {headline['images']} test photographs are read rightly"
    if headline["protocol"] == "random":
        return text + ". The split is random: photographs of the same people may be in training and test."
    text += f", all of them by signers that training never saw (95 % interval {percent(low)} to {percent(high)})."
    if "head-random" in by_name:
        honest, flattering = by_name["head"], by_name["head-random"]
        gap = 100 * (flattering["accuracy"] - honest["accuracy"])
        text += (
            f" With phase 1 alone, a random split would claim {percent(flattering['accuracy'])} where unseen signers "
            f"give {percent(honest['accuracy'])}: {abs(gap):.0f} points {'flattered' if gap >= 0 else 'the other way'}."
        )
    return text


def reproduce_command(settings: dict[str, Any]) -> str:
    """Returns the command that makes this run again."""
    study = settings["study"]
    parts = ["casestudy run", study["name"], "--data", settings["data"]["name"], "--seed", str(settings["seed"])]
    height, width = settings["machine"]["image_size"]
    parts += ["--image-size", str(height) if height == width else f"{height}x{width}"]
    weights = settings.get("initial_weights", study["model"]["weights"])  # what "auto" came to
    parts += ["--model", study["model"]["name"], "--weights", weights or "none"]
    for name in ("epochs", "learning_rate"):
        parts += [f"--{name.replace('_', '-')}", ",".join(f"{phase[name]:g}" for phase in study["phases"])]
    parts += ["--fine-tune", study["phases"][-1]["trainable"]]
    parts += ["--split", study["split"]["protocol"], "--crop", study["crop"]]
    if study["model"]["augmentation"].get("mirror"):
        parts.append("--mirror")
    if settings["compare_splits"]:
        parts.append("--compare-splits")
    if settings["pattern"]:
        parts += ["--pattern", f"'{settings['pattern']}'"]
    return " ".join(parts)


def percent(value: float | None) -> str:
    """Returns a share as people read it; an absent one as a dash.

    >>> percent(0.8512), percent(float("nan"))
    ('85.1 %', '–')
    """
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def number(value: float | None) -> str:
    """Returns a loss with two decimals, an absent one as a dash."""
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("casestudy"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": percent, "number": number}
    return environment


def _photographs(run: RunFolder) -> dict[str, str]:
    """Returns thumbnails of the costliest and the most confused photographs, by name, where letters.zip is at hand."""
    path = run.path / "letters.zip"
    if not path.is_file():
        path = Path(run.settings["data"]["path"])
        if not (path.is_file() and zipfile.is_zipfile(path)):
            return {}
    names = set(run.read_table("top_losses.csv")["name"])
    for examples in run.read_table("most_confused.csv").head(10)["examples"]:
        names.update(examples.split("; "))
    pictures = {}
    with zipfile.ZipFile(path) as archive:
        for name in sorted(names & set(archive.namelist())):
            with Image.open(io.BytesIO(archive.read(name))) as opened:
                image = ImageOps.exif_transpose(opened).convert("RGB")
                image.thumbnail((THUMBNAIL, THUMBNAIL))
                buffer = io.BytesIO()
                image.save(buffer, "JPEG", quality=80)
            pictures[name] = _embedded(buffer.getvalue(), "jpeg")
    return pictures


def _embedded(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
