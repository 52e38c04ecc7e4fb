"""The images of a run, whatever its data are: a letters.zip or IDX files."""

from __future__ import annotations

import dataclasses

import numpy as np

from casestudy.dataset import ImageSet, load_images
from casestudy.idx import load_idx
from casestudy.runs import RunFolder
from casestudy.study import Study


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
    data, cache = study.data, run.path.parent / ".cache"
    if data.kind == "idx":
        return load_idx(
            run.settings["data"]["path"],
            cache_dir=cache,
            subset=data.subset,
            class_names=data.class_names or None,
            transposed=data.transposed,
            image_size=image_size,
        )
    images = load_images(
        run.letters,
        image_size=image_size,
        cache_dir=cache,
        crop=study.crop,
        margin=study.crop_margin,
        channels=data.channels,
    )
    if not data.test_folder or images.signers is None:
        return images
    parts = np.where(images.signers == data.test_folder, "test", "train")
    return dataclasses.replace(images, signers=None, parts=parts)
