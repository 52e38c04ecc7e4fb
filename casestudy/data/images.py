"""The images of any kind of source, as a model sees them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from casestudy.choices import Crop
from casestudy.data.columns import scale_apart
from casestudy.data.drawn import drawn
from casestudy.data.idx_sets import load_idx
from casestudy.data.image_set import ImageSet
from casestudy.data.letters import load_letters
from casestudy.data.pixel_tables import has_pixel_tables, load_pixel_tables
from casestudy.study import DataSpec


def load_images(
    source: str | os.PathLike[str],
    *,
    image_size: tuple[int, int],
    cache_dir: str | os.PathLike[str],
    crop: Crop = "none",
    margin: float = 0.1,
    data: DataSpec | None = None,
) -> ImageSet:
    """Returns the labelled images of a letters.zip, of folders, of IDX files, or of tables of pixels.

    Args:
        source: What `clean_archive` wrote; a folder or zip of images, whose names are read by the same rules
            (`A/….jpg`, `user_3/A0.jpg`), of IDX files, or of tables of pixels.
        image_size: (height, width) of the result in pixels.
        cache_dir: Folder for the decoded pixels; made where missing.
        crop: "boxes" cuts a square round each hand by boxes.csv, "hand" looks for the hand, "none" takes the whole
            photograph; "auto" does the first where there are boxes, else the second.
        margin: How much larger than the box the square is, as a share of its side.
        data: How the images are stored; None for colour photographs in folders.

    Raises:
        DataError: The source is missing, holds no labelled image, has no boxes, or an image cannot be decoded.
        CaseStudyError: Two readings of the names fit.
    """
    data = data or DataSpec()
    options: dict[str, Any] = {"image_size": image_size, "cache_dir": cache_dir}
    if data.kind == "idx":
        names = data.class_names or None
        images = load_idx(source, subset=data.subset, class_names=names, transposed=data.transposed, **options)
        images = scale_apart(images) if data.scaled_apart else images
    elif data.kind == "table" or has_pixel_tables(source):
        images = load_pixel_tables(source, channels=data.channels, **options)
    else:
        read: dict[str, Any] = {"pattern": data.pattern, "layout": data.layout}
        images = load_letters(source, crop=crop, margin=margin, channels=data.channels, **read, **options)
    return dataclasses.replace(images, drawn=drawn(Path(source)))
