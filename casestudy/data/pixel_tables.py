"""Tables of pixels in, an `ImageSet` out: CSV files as of Sign Language MNIST, one image a row.

    label,pixel1,…,pixel784          sign_mnist_train.csv, sign_mnist_test.csv

They lie in a folder or a zip, or are named themselves. Labels up to 25 are the letters from A on, if one is above 9.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
import os
import re
import zipfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from casestudy.data.image_set import CACHE_FORMAT, ImageSet, cached_pixels, first_equal, write_pixels
from casestudy.errors import UNREADABLE, DataError

_ROWS = 2000  # read at a time
_PIXEL = re.compile(r"pixel_?\d+|\d+x\d+", re.IGNORECASE)
_PART = re.compile(r"(?<![a-z])(train|valid|val|test)", re.IGNORECASE)


def has_pixel_tables(source: str | os.PathLike[str]) -> bool:
    """Returns whether a CSV file, or the CSV files of a folder or zip, are tables of pixels."""
    with ExitStack() as stack:
        return bool(_tables(Path(source), stack))


def load_pixel_tables(
    source: str | os.PathLike[str], *, image_size: tuple[int, int], cache_dir: str | os.PathLike[str], channels: int
) -> ImageSet:
    """Returns the images of all tables, in their order; `parts` says which each was published in, by its file's name.

    Images are named "train/00000" in the order of the rows; those with the same pixels are one group; signers are not
    known. A DataError says what is no such table.
    """
    with ExitStack() as stack:
        tables = _tables(Path(source), stack)
        if not tables:
            raise DataError(f"A table of pixels begins with label,pixel1; none in {source} does. Name another.")
        found = {name: _read(name, file) for name, file in tables.items()}
    labels = np.concatenate([rows[:, 0] for rows in found.values()])
    pixels = [rows[:, 1:] for rows in found.values()]
    sides = {math.isqrt(values.shape[1]) for values in pixels}
    if len(sides) > 1:
        raise DataError(f"Tables of one set have images of one size; these have {sorted(sides)} a side. Take one set.")
    parts = [part for part, rows in zip(map(_part, found), found.values(), strict=True) for _ in range(len(rows))]
    content = [hashlib.sha256(rows.tobytes()).hexdigest() for rows in found.values()]
    recipe = json.dumps([CACHE_FORMAT, content, list(image_size), channels])
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    target, side = Path(cache_dir) / f"images-{digest[:16]}.npy", sides.pop()
    blocks = (_image(row, side, image_size, channels) for values in pixels for row in values)
    shape = (len(labels), *image_size, channels)
    images = cached_pixels(target, len(labels), image_size, channels, lambda: write_pixels(target, shape, blocks))
    values, places = np.unique(labels, return_inverse=True)
    letters = 9 < values.max() < len(ascii_uppercase)
    count = {part: itertools.count() for part in set(parts)}
    return ImageSet(
        images=images,
        labels=places.astype(np.int64),
        class_names=tuple(ascii_uppercase[value] if letters else str(value) for value in values),
        signers=None,
        names=np.array([f"{part or 'table'}/{next(count[part]):05}" for part in parts]),
        groups=first_equal(row.tobytes() for values in pixels for row in values),
        cropped=False,
        digest=digest,
        parts=ImageSet.published(parts),
    )


def _tables(source: Path, stack: ExitStack) -> dict[str, BinaryIO]:
    """Returns the tables of pixels, open, by their names; of two of one name that which lies higher."""
    files: dict[str, Callable[[], Any]] = {}
    if source.is_dir():
        paths = (path for path in (*source.glob("*.csv"), *source.glob("*/*.csv")) if path.is_file())
        files = {path.relative_to(source).as_posix(): partial(path.open, "rb") for path in paths}
    elif source.suffix.lower() == ".csv" and source.is_file():
        files = {source.name: partial(source.open, "rb")}
    elif source.is_file() and zipfile.is_zipfile(source):
        with suppress(OSError, *UNREADABLE):
            archive = stack.enter_context(zipfile.ZipFile(source))
            inside = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            files = {name: partial(archive.open, name) for name in inside if "ledger.csv" not in inside}
    found: dict[str, BinaryIO] = {}
    for name in sorted(files, key=lambda name: (name.count("/"), _order(name), name)):
        with ExitStack() as this, suppress(OSError, *UNREADABLE):
            file = this.enter_context(files[name]())
            if _is_header(file.readline(1 << 20)):
                found.setdefault(name.rpartition("/")[2], file)
                stack.push(this.pop_all())
    return found


def _order(name: str) -> int:
    part = _PART.search(name.rpartition("/")[2])
    return ("train", "valid", "val", "test").index(part[1].lower()) if part else 9


def _is_header(line: bytes) -> bool:
    label, *pixels = next(csv.reader(io.StringIO(line.decode("utf-8-sig", "replace"))), [""])
    square = len(pixels) > 3 and math.isqrt(len(pixels)) ** 2 == len(pixels)
    return label.strip().lower() == "label" and square and all(_PIXEL.fullmatch(name.strip()) for name in pixels)


def _read(name: str, file: BinaryIO) -> np.ndarray:
    """Returns uint8 (n, 1 + pixels): the rows below the header; a DataError names a line that is no such row."""
    blocks: list[np.ndarray] = []
    first = 2
    while read := [line.strip() for line in itertools.islice(file, _ROWS)]:
        lines = [line for line in read if line]
        if not lines:
            first += len(read)
            continue
        width = lines[0].count(b",") + 1
        for number, line in enumerate(read, first):
            if line and (line.count(b",") != width - 1 or not re.fullmatch(rb"[\d,. ]+", line)):
                raise DataError(f"Rows are numbers, as many in each; line {number} of {name} is none. Mend it.")
        values = np.fromstring(b",".join(lines), dtype=np.float64, sep=",")
        if values.size and (values.min() < 0 or values.max() > 255 or (values % 1).any()):
            raise DataError(f"Labels and pixels are whole numbers from 0 to 255; {name} has others. Take another.")
        blocks.append(values.astype(np.uint8).reshape(-1, width))
        first += len(read)
    if not blocks or len({block.shape[1] for block in blocks}) > 1:
        raise DataError(f"A table has rows of one length below its header; {name} has not. Download it again.")
    return np.concatenate(blocks)


def _part(name: str) -> str:
    part = _PART.search(name)
    return {"train": "train", "test": "test"}.get(part[1].lower(), "validation") if part else ""


def _image(row: np.ndarray, side: int, size: tuple[int, int], channels: int) -> np.ndarray:
    """Returns uint8 (1, height, width, channels)."""
    image = row.reshape(side, side)
    if size != image.shape:
        image = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    return np.repeat(image[None, :, :, None], channels, axis=3)
