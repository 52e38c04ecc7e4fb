"""Photographs in, what a trained model reads in them out: how sure it is, and why where one cannot be read."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from casestudy.cleaning import loose_photographs
from casestudy.data import ImageSet
from casestudy.errors import DataError, RunError
from casestudy.evaluation import PREFIX, predict_probabilities
from casestudy.runs.about import SHARE, About, about_model
from casestudy.runs.folder import RunFolder
from casestudy.words import counted

log = logging.getLogger(__name__)

MODEL = "model.keras"
Place = str | os.PathLike[str]


def read_photographs(
    run_or_model: Place, photographs: Place | Sequence[Place], *, password: str | None = None
) -> pd.DataFrame:
    """Returns one row a photograph: what the model reads in it, cut and resized just as in its training.

    Columns: name (where it lies); cut ("box", "hand found", "whole picture"); label; probability; sure; may_be
    (the labels that are likely enough, "; " between them); why (it cannot be read: then all others are empty);
    p_<label> for each label. The model is `sure` where just one label is likely enough, which its validation people
    decided; see `Evaluation.least_probability`. Without such people it is None, and may_be empty.

    Args:
        run_or_model: A run folder, or a `.keras` file of one: the file alone is enough.
        photographs: Files, folders or archives; a path may lead on into an archive. If the model learnt from hands that
            were cut out, box files beside photographs are used, and where there is none the hand is looked for.
        password: Of encrypted archives.

    Raises:
        DataError: There is nothing at a path, or no photograph; or nothing says what the model's labels are.
        ArchiveError: An archive cannot be read whole.
        RunError: The run has no model, or one for each person left out.
    """
    model, about = reader_of(Path(run_or_model))
    named = [photographs] if isinstance(photographs, str | os.PathLike) else photographs
    rows: list[dict[str, object]] = []
    pixels: list[np.ndarray] = []
    for path in map(Path, named):
        for name, data, box in loose_photographs(path, password=password):
            try:
                seen, cut = about.sight.see(data, box, look=True)
                pixels.append(seen)
                rows.append({"name": name, "cut": cut, "why": ""})
            except ValueError as error:
                rows.append({"name": name, "cut": "", "why": str(error)})
    found = iter(_probabilities(model, about, pixels))
    for row in rows:
        if not row["why"]:
            row |= _reading(about, next(found))
    _warn(about, rows)
    columns = ["name", "cut", "label", "probability", "sure", "may_be", "why", *(PREFIX + one for one in about.labels)]
    return pd.DataFrame(rows, columns=columns)


def _reading(about: About, probabilities: np.ndarray) -> dict[str, object]:
    """Returns the cells of one photograph, from the probability of each label, float32 (K,)."""
    best, sure, may_be = int(probabilities.argmax()), None, ""
    if about.calibration:
        likely = [int(k) for k in (-probabilities).argsort() if probabilities[k] >= about.calibration.least]
        sure, may_be = len(likely) == 1, "; ".join(about.labels[k] for k in likely)
    cells = {PREFIX + label: one for label, one in zip(about.labels, probabilities, strict=True)}
    return {"label": about.labels[best], "probability": probabilities[best], "sure": sure, "may_be": may_be, **cells}


def reader_of(run_or_model: Path) -> tuple[Path, About]:
    """Returns the model file of a run folder, or the file itself, and what reading needs beside it."""
    model = _model_of(run_or_model)
    return model, About.read(model) or _by_run(model)


def _model_of(path: Path) -> Path:
    """Returns the model file of a run folder, or the file itself."""
    if path.is_file():
        return path
    run = RunFolder.open(path, needs=MODEL)
    if not run.has(MODEL):
        first = next(path.glob(f"folds/*/{MODEL}"))
        raise RunError(f"{path} has a model for each person left out, and none of all. Name one of them: {first}")
    return path / MODEL


def _by_run(model: Path) -> About:
    """Returns what the run says of a model that was saved before models said it of themselves."""
    for home in model.resolve().parents[:3]:  # of a fold or a variant, too
        if (home / "run.json").is_file():
            return about_model(RunFolder.open(home))
    raise DataError(
        f"A photograph is read by a model that says what its labels are; {model} does not, and lies in no run folder. "
        f"Put it back there, or train it again."
    )


def _probabilities(model: Path, about: About, pixels: list[np.ndarray]) -> np.ndarray:
    """Returns float32 (N, K) for uint8 pixels (height, width, channels); a DataError where the model is another's."""
    from casestudy.models import load_model  # only now: what cannot be read is said before TensorFlow is loaded

    network = load_model(model)
    shape = (*about.image_size, about.channels)
    if network.input_shape[1:] != shape or network.output_shape[1:] != (len(about.labels),):
        takes = f"{network.input_shape[1:]} to {network.output_shape[1:]}"
        raise DataError(f"{model} says {shape} to {(len(about.labels),)} of a network of {takes}. Train it again.")
    if not pixels:
        return np.empty((0, len(about.labels)), dtype="float32")
    nobody = np.zeros(len(pixels), dtype=np.int64)
    names = nobody.astype(str)
    images = ImageSet(np.stack(pixels), nobody, about.labels, None, names, nobody, about.crop_margin is not None, "")
    return predict_probabilities(network, images, np.arange(len(images)))


def _warn(about: About, rows: Sequence[dict[str, object]]) -> None:
    """Says what a reader of the rows must know."""
    if about.data != "archive":
        log.warning("this model learnt from published pixels: a photograph is read as if it were one of them")
    whole = sum(row["cut"] == "whole picture" for row in rows)
    if whole and about.crop_margin is not None:
        log.warning(
            "No hand was found in %s: this model learnt from hands that were cut out, and reads whole pictures worse. "
            "Cut the hand out as a square, or lay a boxes.csv beside them (image,xmin,ymin,xmax,ymax).",
            counted(whole, "photograph"),
        )
    if not (known := about.calibration):
        log.warning("this model cannot say when it is not sure: no validation people were kept with it")
        return
    people = counted(known.people, "person") if known.people else "people whom nobody named"
    log.info(
        "Sure means that one label alone has %.1f %% or more: the true one had that in %.0f %% or more of %s of %s. "
        "They tell little of other people, and a picture that shows none of the labels may pass as one.",
        *(100 * known.least, 100 * SHARE, counted(known.photographs, "validation photograph"), people),
    )
