"""The data of a run, wherever they come from, and its images, however they are stored."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from casestudy.dataset import ImageSet, load_images
from casestudy.errors import DataError
from casestudy.idx_sets import load_idx
from casestudy.runs import RunFolder
from casestudy.sources import fetch_all, find_data
from casestudy.stand_in import stand_in
from casestudy.study import DataSpec, Study


def data_for(
    study: Study, where: str | None = None, *, quick: bool = False, folder: Path = Path("runs") / ".cache"
) -> tuple[Study, Path]:
    """Returns the study and its data: those named, else the study's downloads, or the embedded sample.

    Args:
        study: A study that brings no data of its own takes the sample.
        where: A path or a web address.
        quick: For want of named data, draw a tiny stand-in instead of downloading; the study returned reads it.
        folder: Where the stand-in goes.

    Raises:
        DataError: The data are not there, or the study names none that can be downloaded.
    """
    if where or study.data == DataSpec():
        return study, find_data(where)
    if quick:
        return stand_in(study, folder / f"stand-in-{study.name}")
    if study.data.downloads:
        return study, fetch_all(study.data.downloads)
    raise DataError(
        f"{study.name} needs its own data, and none are named. Get them from {study.data.home} and name them with "
        f"--data, or look at every step on a drawn stand-in with --quick."
    )


def run_images(run: RunFolder) -> ImageSet:
    """Returns the images of a run as its model sees them, of all parts together.

    Raises:
        RunError: They have not been split yet.
    """
    run.require("splits.csv")
    settings = run.settings
    return read_images(run, Study.from_json(settings["study"]), tuple(settings["machine"]["image_size"]))


def read_images(run: RunFolder, study: Study, image_size: tuple[int, int]) -> ImageSet:
    """Returns the images of a run at (height, width); their pixels are kept in the folder .cache beside the run."""
    data = study.data
    if data.kind == "idx":
        return load_idx(
            run.settings["data"]["path"],
            cache_dir=_cache(run),
            subset=data.subset,
            class_names=data.class_names or None,
            transposed=data.transposed,
            image_size=image_size,
        )
    images = read_photographs(run, run.letters, study, image_size)
    if not data.test_folder or images.signers is None:
        return images
    parts = np.where(images.signers == data.test_folder, "test", "train")
    return dataclasses.replace(images, signers=None, parts=parts)


def read_photographs(run: RunFolder, letters: Path, study: Study, image_size: tuple[int, int]) -> ImageSet:
    """Returns the photographs of a letters.zip as the model of a run sees them, at (height, width)."""
    return load_images(
        letters,
        image_size=image_size,
        cache_dir=_cache(run),
        crop=study.crop,
        margin=study.crop_margin,
        channels=study.data.channels,
    )


def _cache(run: RunFolder) -> Path:
    return run.path.parent / ".cache"
