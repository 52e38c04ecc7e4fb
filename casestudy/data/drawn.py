"""A tiny drawn data set in the format of a study's own: for a look at every step where the data are not at hand.

Each image is the label's name in one of a few sizes and places, on noise. A score on it says that the machinery works,
and nothing else.
"""

from __future__ import annotations

import gzip
import io
import itertools
import struct
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from casestudy.choices import Drawn
from casestudy.files import atomic_path, write_text
from casestudy.study import Study

TRAIN, TEST = 12, 4  # images of each label
SIDE = 28  # pixels
FOLDERS = {"train": TRAIN, "test": TEST}
# A file that drawn data carry and keep through every cleaning, so that no score of theirs is taken for one of people.
MARKS: dict[str, Drawn] = {"DRAWN.txt": "sample", "STAND-IN.txt": "stand-in"}
STANDS_IN = "A program drew these images, to stand in for the data of a study. Scores on them mean nothing.\n"


def drawn(source: Path) -> Drawn | None:
    """Returns whether a zip or a folder holds drawn images, by the file that says so: the sample's, or a stand-in's."""
    if source.is_dir():
        names = {path.name for path in source.iterdir()}
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            names = {PurePosixPath(name).name for name in archive.namelist()}
    else:
        names = set()
    return next((kind for name, kind in MARKS.items() if name in names), None)


def stand_in(study: Study, folder: Path) -> Path:
    """Returns where in `folder` the stand-in is; the study's data must have `class_names`."""
    folder.mkdir(parents=True, exist_ok=True)
    names, data = study.data.class_names, study.data
    if data.kind == "idx":
        target = folder / "idx"
        write_text(target / "STAND-IN.txt", STANDS_IN)
        for part, count in FOLDERS.items():
            images = np.stack([_draw(name, k, part) for k in range(count) for name in names])
            begins = f"{data.subset}-{part}" if data.subset else part
            _write_idx(target / f"{begins}-images-idx3-ubyte.gz", images.swapaxes(1, 2) if data.transposed else images)
            labels = np.tile(np.arange(len(names), dtype=np.uint8), count)
            _write_idx(target / f"{begins}-labels-idx1-ubyte.gz", labels)
        return target
    target = folder / "letters-in-parts.zip"
    with atomic_path(target) as partial, zipfile.ZipFile(partial, "w") as archive:
        archive.writestr(zipfile.ZipInfo("STAND-IN.txt"), STANDS_IN)
        for part, count in FOLDERS.items():
            for k, name in itertools.product(range(count), names):
                buffer = io.BytesIO()
                Image.fromarray(_draw(name, k, part)).save(buffer, "PNG")
                archive.writestr(zipfile.ZipInfo(f"{part}/{name}/{k}.png"), buffer.getvalue())
    return target


def _draw(name: str, number: int, part: str) -> np.ndarray:
    """Returns uint8 (SIDE, SIDE), white on black; the same arguments draw the same image."""
    chance = np.random.default_rng([*name.encode(), number, *part.encode()])
    image = Image.new("L", (SIDE, SIDE))
    size = int(chance.integers(15, 21)) / max(1, len(name[:2]) - 0.4)
    place = tuple(SIDE / 2 + chance.uniform(-2, 2, 2))
    ImageDraw.Draw(image).text(place, name[:2], fill=255, font=ImageFont.load_default(size), anchor="mm")
    noise = chance.normal(0, 20, (SIDE, SIDE))
    return (np.asarray(image.rotate(chance.uniform(-8, 8))) + noise).clip(0, 255).astype(np.uint8)


def _write_idx(target: Path, values: np.ndarray) -> None:
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    with atomic_path(target) as partial:
        partial.write_bytes(gzip.compress(header + values.tobytes(), mtime=0))
