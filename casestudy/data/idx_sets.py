"""A published set of IDX files in, an `ImageSet` out; the files lie in a folder, or in zips as they are published."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from casestudy.data.idx import PIECE, IdxFile, on_disk, open_idx
from casestudy.data.image_set import CACHE_FORMAT, ImageSet, cached_pixels, first_equal, write_pixels
from casestudy.errors import UNREADABLE, DataError
from casestudy.words import counted

PARTS = ("train", "test")
# emnist-balanced-train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-balanced-mapping.txt
OFFICIAL_NAME = re.compile(
    r"(?:(?P<set>[^.].*?)-)?"
    r"(?:(?P<part>train|test|t10k)-(?P<kind>images|labels)[-.]idx[13]-ubyte(?:\.gz)?|(?P<mapping>mapping)\.txt)"
)


def load_idx(
    source: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str],
    subset: str = "",
    class_names: Sequence[str] | None = None,
    transposed: bool = False,
    image_size: tuple[int, int] | None = None,
) -> ImageSet:
    """Returns a published set of images; `parts` says which each was published in, "train" or "test".

    The images are uint8 (N, height, width, 1), named "train/00000" in the order of the files; classes keep the order of
    their labels; images with the same pixels are one group; signers are not known.

    The files of both parts lie under their official names in a folder or a zip, at any depth, or in zips in the folder.
    `class_names` of None are read from the set's mapping.txt, `image_size` of None is the published one; the rest is as
    in a `DataSpec`. A DataError says that a file is missing, damaged or not what its name says, or a label is nameless.
    """
    files = _one_set(Path(source), subset)
    names = dict(enumerate(class_names)) if class_names is not None else _read_mapping(files)
    labels = [_read_labels(files[f"{part}-labels"], names) for part in PARTS]
    counts = [len(part) for part in labels]
    fingerprints = {key: file.fingerprint() for key, file in files.items()}
    recipe = json.dumps([CACHE_FORMAT, sorted(fingerprints.items()), list(names.items()), transposed, image_size])
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    target = Path(cache_dir) / f"images-{digest[:16]}.npy"
    images = [files[f"{part}-images"] for part in PARTS]
    decode = partial(_decode, images, counts, transposed, image_size, target)
    pixels = cached_pixels(target, sum(counts), image_size, 1, decode)
    return ImageSet(
        images=pixels,
        labels=np.concatenate(labels),
        class_names=tuple(names.values()),
        signers=None,
        names=np.array([f"{part}/{k:05}" for part, ours in zip(PARTS, labels, strict=True) for k in range(len(ours))]),
        groups=first_equal(hashlib.sha256(image.tobytes()).digest() for image in pixels),
        cropped=False,
        digest=digest,
        parts=np.repeat(PARTS, counts),
    )


def _one_set(source: Path, subset: str) -> dict[str, IdxFile]:
    """Returns the files of a set by what they are: "train-images", …, "test-labels", and "mapping" where it has one."""
    sets: dict[tuple[Path, str], dict[str, IdxFile]] = {}
    for file in _files(source):
        if named := OFFICIAL_NAME.fullmatch(file.path.name):
            part = "train" if named["part"] == "train" else "test"
            role = named["mapping"] or f"{part}-{named['kind']}"
            sets.setdefault((file.path.parent, named["set"] or ""), {})[role] = file
    sets = {key: files for key, files in sets.items() if files.keys() != {"mapping"}}
    wanted = [key for key in sets if not subset or key[1] == subset]
    if len(wanted) != 1:
        found = ", ".join(sorted(str(folder / f"{name}*") for folder, name in sets)) or "none"
        asked = f", and {subset!r} was asked for" if subset else ""
        raise DataError(f"One set of IDX files is read; found {found} in {source}{asked}. Name one set or its folder.")
    files = sets[wanted[0]]
    missing = sorted({f"{part}-{kind}" for part in PARTS for kind in ("images", "labels")} - files.keys())
    if missing:
        lacking = f"{wanted[0][0]} lacks {', '.join(missing)}. Download the rest into the same folder."
        raise DataError(f"A set of IDX files is images and labels, each of train and test; {lacking}")
    return files


def _files(source: Path) -> Iterator[IdxFile]:
    if OFFICIAL_NAME.fullmatch(source.name) and source.is_file():
        yield on_disk(source)
    elif source.is_dir():
        for path in sorted(source.iterdir()):
            yield from _files(path)
    elif source.is_file() and zipfile.is_zipfile(source):
        try:
            with zipfile.ZipFile(source) as archive:
                members = archive.infolist()
        except (OSError, *UNREADABLE) as error:
            raise DataError(f"A zip must be whole; {source} is damaged ({error}). Download it again.") from error
        for member in members:
            path, opener = source / member.filename, partial(_open_member, source, member)
            yield IdxFile(path, member.file_size, opener, partial("{:08x}-{}".format, member.CRC, member.file_size))


def _open_member(archive: Path, member: zipfile.ZipInfo) -> IO[bytes]:
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.open(member)  # which can be read after the archive is closed
    except (OSError, *UNREADABLE) as error:
        raise DataError(f"{member.filename} of {archive} does not come out ({error}). Download it again.") from error


def _read_mapping(files: dict[str, IdxFile]) -> dict[int, str]:
    """Returns the character that each label stands for, in the file's order; its line "10 65" makes label 10 an A."""
    if "mapping" not in files:
        raise DataError("Every label needs a name; this set has no mapping.txt. Pass class_names.")
    try:
        with files["mapping"].open() as stream:
            rows = [line.split() for line in stream.read().decode("ascii").splitlines() if line.strip()]
        return {int(row[0]): chr(int(row[1])) for row in rows}
    except UNREADABLE as error:
        name = files["mapping"].path.name
        raise DataError(f"A mapping has label and character code in each line; {name} has not ({error}).") from error


def _read_labels(file: IdxFile, names: dict[int, str]) -> np.ndarray:
    """Returns int64 (N,): the place of each label among the names."""
    with open_idx(file) as idx:
        if len(idx.shape) != 1 or idx.dtype.kind == "f":
            raise DataError(
                f"Labels are one whole number each; {file.path.name} holds {idx.dtype.name} of the shape {idx.shape}. "
                f"Put the file of the labels in its place."
            )
        values, place = np.unique(idx.values(), return_inverse=True)
    if nameless := sorted(set(values.tolist()) - names.keys()):
        raise DataError(
            f"Every label needs a name; {file.path.name} has the label {nameless[0]}, and names are there for "
            f"{min(names, default=0)} to {max(names, default=0)}. Pass class_names for all of them."
        )
    position = {label: k for k, label in enumerate(names)}
    return np.array([position[value] for value in values.tolist()], dtype=np.int64)[place]


def _decode(
    files: list[IdxFile], counts: list[int], transposed: bool, image_size: tuple[int, int] | None, target: Path
) -> None:
    """Writes uint8 (N, height, width, 1), the images of all files, block by block."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(open_idx(file)) for file in files]
        for idx, count in zip(opened, counts, strict=True):
            if idx.dtype != np.uint8 or len(idx.shape) != 3 or 0 in idx.shape:
                raise DataError(
                    f"Images are bytes in rows and columns; {idx.name} holds {idx.dtype.name} of the shape "
                    f"{idx.shape}. Put the file of the images in its place."
                )
            if idx.shape[0] != count:
                raise DataError(
                    f"Every image has one label; {idx.name} holds {counted(idx.shape[0], 'image')} for "
                    f"{counted(count, 'label')}. Take both files from one set."
                )
        sizes = {idx.shape[1:][:: -1 if transposed else 1] for idx in opened}
        if len(sizes) > 1:
            raise DataError(f"The images of a set have one size; these have {sorted(sizes)}. Take all from one set.")
        size = image_size or sizes.pop()
        blocks = itertools.chain.from_iterable(idx.blocks(max(1, PIECE // math.prod(size))) for idx in opened)
        upright = (_upright(block, transposed, size) for block in blocks)
        write_pixels(target, (sum(counts), *size, 1), upright)


def _upright(block: np.ndarray, transposed: bool, size: tuple[int, int]) -> np.ndarray:
    """Returns uint8 (n, height, width): rows as rows, in the size asked for."""
    block = block.swapaxes(1, 2) if transposed else block
    if block.shape[1:] == size:
        return block
    resized = (Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR) for image in block)
    return np.stack([np.asarray(image) for image in resized])
