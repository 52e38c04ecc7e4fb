"""letters.zip or folders in, an `ImageSet` out: decoded once, memory-mapped, never unpacked to disk.

The pixels live in a file in the cache folder (of a very large set, in several), named by a hash of what went into it,
and are mapped into memory from there: the whole set is never held in memory, and a second run opens it in milliseconds.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import logging
import os
import zipfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar, cast, get_args

import numpy as np

from casestudy.choices import Crop
from casestudy.cleaning import find_layout, used_pictures
from casestudy.data.cutting import Box
from casestudy.data.image_set import CACHE_FORMAT, ImageSet, cached_pixels, first_equal, write_pixels
from casestudy.data.localiser import SHA256, find_hands
from casestudy.data.seeing import Sight
from casestudy.errors import UNREADABLE, DataError
from casestudy.files import MOST_TABLE, read_member
from casestudy.words import counted, printable

log = logging.getLogger(__name__)

T = TypeVar("T")
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class _Photo:
    name: str
    label: str
    signer: str
    group: int
    box: Box | None
    sha256: str = ""  # that the ledger gives; "" where there is none
    part: str = ""  # that it was published in


@dataclass(frozen=True)
class _Source:
    photos: list[_Photo]
    digest: str
    read: Callable[[str], bytes]
    bytes: str = ""  # what a zip says of the bytes that it holds, where `digest` is that of a ledger


def load_letters(
    source: str | os.PathLike[str],
    *,
    image_size: tuple[int, int],
    cache_dir: str | os.PathLike[str],
    crop: str,
    margin: float,
    channels: int,
    pattern: str | None = None,
    layout: str | None = None,
) -> ImageSet:
    """Returns the labelled images of a letters.zip or of folders, whose names are read as by `clean_archive`."""
    if crop not in get_args(Crop):
        raise DataError(f"crop is {', '.join(get_args(Crop))}; received {crop!r}. Use one of them.")
    path = Path(source)
    with _open(path, pattern, layout) as found:
        photos, hands = found.photos, {}
        if photos and (crop == "hand" or (crop == "auto" and not any(photo.box for photo in photos))):
            recipe = hashlib.sha256(f"{found.digest}{found.bytes}{SHA256}".encode()).hexdigest()
            names = [photo.name for photo in photos]
            kept = Path(cache_dir) / f"hands-{recipe[:16]}.csv"
            hands = find_hands(names, partial(_each, found.photos, found.read), kept, asked=crop == "hand")
            boxes = {name: hand.box for name, hand in hands.items() if hand.sure}
            photos = [replace(photo, box=boxes.get(photo.name)) for photo in photos]
        lacking = [photo.name for photo in photos if photo.box is None]
        if not photos:
            raise DataError(f"No labelled image in {path}. Look into its ledger.csv, or name labels with --pattern.")
        if crop == "boxes" and len(lacking) == len(photos):
            raise DataError(
                f"Cropping needs hand boxes; {path} has no boxes.csv that names its images. Use --crop none."
            )
        cropped = crop != "none" and len(lacking) < len(photos)
        if cropped and lacking and not hands:  # of those the search has told
            first = printable(lacking[0])
            log.warning("%s without a box, used whole, among them %s", counted(len(lacking), "image"), first)
        settings = [CACHE_FORMAT, found.digest, list(image_size), margin if cropped else None]
        settings += [channels] * (channels != 3) + [SHA256] * bool(hands)
        digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        # The bytes that lie there count, too: pixels of a zip that was changed since are not taken for its own.
        target = Path(cache_dir) / f"images-{hashlib.sha256((digest + found.bytes).encode()).hexdigest()[:16]}.npy"

        def write() -> None:
            sight = Sight(image_size, channels, margin if cropped else None)
            blocks = _each(photos, found.read, lambda photo, data: sight.see(data, photo.box)[0][None])
            write_pixels(target, (len(photos), *image_size, channels), blocks)

        pixels = cached_pixels(target, len(photos), image_size, channels, write)
    class_names, labels = np.unique([photo.label for photo in photos], return_inverse=True)
    signers = np.array([photo.signer for photo in photos])
    return ImageSet(
        images=pixels,
        labels=labels,
        class_names=tuple(class_names.tolist()),
        signers=signers if any(signers) else None,
        names=np.array([photo.name for photo in photos]),
        groups=np.array([photo.group for photo in photos], dtype=np.int64),
        cropped=cropped,
        digest=digest,
        hands=tuple(hands[photo.name] for photo in photos) if hands else None,
        localiser=SHA256 if hands else None,
        parts=ImageSet.published(photo.part for photo in photos),
    )


@contextlib.contextmanager
def _open(path: Path, *said: str | None) -> Iterator[_Source]:
    if path.is_dir():
        yield _from_folder(path, *said)
    elif path.is_file() and zipfile.is_zipfile(path):
        with contextlib.ExitStack() as opened:
            try:
                archive = opened.enter_context(zipfile.ZipFile(path))
                whole = "ledger.csv" in archive.namelist()
                found = _from_ledger(archive) if whole else _from_names(archive, *said)
            except (OSError, *UNREADABLE) as error:
                raise DataError(f"A letters.zip must be whole; {path} is not ({error}). Make it again.") from error
            yield found
    else:
        raise DataError(
            f"Images come from a letters.zip or a folder of class folders; {path} is neither. "
            f"Make one first: casestudy clean PHOTOS.rar --out letters.zip"
        )


def _from_ledger(archive: zipfile.ZipFile) -> _Source:
    ledger = read_member(archive, "ledger.csv", MOST_TABLE)
    boxes = read_boxes(archive)
    rows = list(csv.DictReader(io.StringIO(ledger.decode(), newline=""), restval=""))
    photos = [
        _Photo(name, row["label"], row["signer"], group, boxes.get(name), sha256, row.get("part", ""))
        for name, sha256, group, row in used_pictures(rows)
    ]
    there = json.dumps(sorted((info.filename, info.CRC, info.file_size) for info in archive.infolist()))
    # The ledger holds the SHA-256 of every image, so its own hash stands for all their bytes.
    content = ledger + _box_table(archive)
    return _Source(photos, hashlib.sha256(content).hexdigest(), partial(read_member, archive), there)


def read_boxes(archive: zipfile.ZipFile) -> dict[str, Box]:
    """Returns the hand boxes of a letters.zip by the names of its images."""
    corners = ("top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")
    rows = csv.DictReader(io.StringIO(_box_table(archive).decode(), newline=""))
    return {row["image"]: cast("Box", tuple(float(row[corner]) for corner in corners)) for row in rows}


def _box_table(archive: zipfile.ZipFile) -> bytes:
    return read_member(archive, "boxes.csv", MOST_TABLE) if "boxes.csv" in archive.namelist() else b""


def _from_names(archive: zipfile.ZipFile, *said: str | None) -> _Source:
    contents = {info.filename: (info.CRC, info.file_size) for info in archive.infolist() if _is_image(info.filename)}
    others = (name for name in archive.namelist() if Path(name).suffix.lower() not in IMAGE_SUFFIXES)
    return _named(dict(sorted(contents.items())), others, partial(read_member, archive), *said)


def _from_folder(path: Path, *said: str | None) -> _Source:
    def read(name: str) -> bytes:
        return (path / name).read_bytes()

    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    contents = {name: hashlib.sha256(read(name)).hexdigest() for name in names if _is_image(name)}
    others = (name for name in names if Path(name).suffix.lower() not in IMAGE_SUFFIXES)
    return _named(contents, others, read, *said)


def _named(
    contents: Mapping[str, Hashable],
    others: Iterable[str],
    read: Callable[[str], bytes],
    pattern: str | None = None,
    layout: str | None = None,
) -> _Source:
    """Returns the images whose names tell a label, from what tells the content of each; `others` are no images."""
    images = list(contents)
    found = find_layout([*images, *others], pattern, layout, read=lambda names: {name: read(name) for name in names})
    groups = first_equal(contents[name] for name in images).tolist()
    places = {name: found.place(name) for name in images}
    photos = [
        _Photo(name, place.label, place.signer, group, None, part=place.part)
        for (name, place), group in zip(places.items(), groups, strict=True)
        if place.label
    ]
    if 0 < len(photos) < len(images):
        first = next(name for name, place in places.items() if not place.label)
        log.warning("%s without a label, left out, among them %s", counted(len(images) - len(photos), "image"), first)
    listing = json.dumps([(one.name, one.label, one.signer, one.part, contents[one.name]) for one in photos])
    return _Source(photos, hashlib.sha256(listing.encode()).hexdigest(), read)


def _is_image(name: str) -> bool:
    hidden = any(part.startswith((".", "_")) for part in Path(name).parts)
    return not hidden and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _each(photos: Sequence[_Photo], read: Callable[[str], bytes], do: Callable[[_Photo, bytes], T]) -> Iterator[T]:
    """Yields in order what `do` makes of each photograph's bytes, hundreds in flight; a DataError names a bad one."""

    def one(photo: _Photo) -> T:
        try:
            data = read(photo.name)
            if photo.sha256 and hashlib.sha256(data).hexdigest() != photo.sha256:
                raise ValueError("its SHA-256 is not the ledger's")
            return do(photo, data)
        except Exception as error:  # a zip that was damaged since, say; each means the same to the reader
            raise DataError(
                f"Every image must decode; {photo.name} does not ({error}). Sort such files out with: casestudy clean"
            ) from error

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(photos), 256):
            yield from pool.map(one, photos[start : start + 256])
