"""letters.zip or class folders in, an `ImageSet` out: decoded once, memory-mapped, never unpacked to disk.

The pixels live in one `.npy` file in the cache folder, named by a hash of what went into it, and are mapped into memory
from there: the whole set is never held in memory, and a second run opens it in milliseconds.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from casestudy.cleaning import duplicate_groups
from casestudy.data.image_set import ImageSet
from casestudy.errors import DataError

log = logging.getLogger(__name__)

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"}
CACHE_FORMAT = 1  # raise it when the same input would give other pixels


@dataclass(frozen=True)
class _Photo:
    name: str
    label: str
    signer: str = ""
    group: int = -1
    box: Box | None = None


@dataclass(frozen=True)
class _Source:
    photos: list[_Photo]
    digest: str
    read: Callable[[str], bytes] = field(repr=False)
    close: Callable[[], None] = field(default=lambda: None, repr=False)


def load_letters(
    source: str | os.PathLike[str],
    *,
    image_size: tuple[int, int],
    cache_dir: str | os.PathLike[str],
    crop: str = "none",
    margin: float = 0.1,
    channels: int = 3,
) -> ImageSet:
    """Returns the labelled images of a letters.zip, of a zip of class folders or of a folder of class folders.

    Args:
        source: What `clean_archive` wrote, or class folders (`A/….jpg`).
        image_size: (height, width) of the result in pixels.
        cache_dir: Folder for the decoded pixels; made where missing.
        crop: "boxes" cuts a square round each hand by boxes.csv, "none" takes the whole photograph, "auto" cuts where
            there are boxes.
        margin: How much larger than the box the square is, as a share of its side.
        channels: 3 for colours, 1 for greys.

    Raises:
        DataError: The source is missing, holds no labelled image, has no boxes, or an image cannot be decoded.
    """
    path = Path(source)
    if path.is_dir():
        found = _from_folder(path)
    elif path.is_file() and zipfile.is_zipfile(path):
        found = _from_zip(path)
    else:
        raise DataError(
            f"Images come from a letters.zip or a folder of class folders; {path} is neither. "
            f"Make one first: casestudy clean PHOTOS.rar --out letters.zip"
        )
    photos = found.photos
    if not photos:
        raise DataError(f"No labelled image in {path}. Look into its ledger.csv, or name the labels with --pattern.")
    if crop not in ("auto", "boxes", "none"):
        raise DataError(f"crop is auto, boxes or none; received {crop!r}.")
    lacking = [photo.name for photo in photos if photo.box is None]
    if crop == "boxes" and len(lacking) == len(photos):
        raise DataError(f"Cropping needs hand boxes; {path} has no boxes.csv that names its images. Use --crop none.")
    cropped = crop != "none" and len(lacking) < len(photos)
    if cropped and lacking:
        log.warning("%d images have no box and are used whole, among them %s", len(lacking), lacking[0])
    recipe = json.dumps(
        [CACHE_FORMAT, found.digest, list(image_size), margin if cropped else None] + [channels] * (channels != 3)
    )
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    try:
        target = Path(cache_dir) / f"images-{digest[:16]}.npy"
        images = _decode(found, image_size, margin if cropped else None, channels, target)
    finally:
        found.close()
    class_names = tuple(sorted({photo.label for photo in photos}))
    index = {name: k for k, name in enumerate(class_names)}
    signers = np.array([photo.signer for photo in photos])
    return ImageSet(
        images=images,
        labels=np.array([index[photo.label] for photo in photos], dtype=np.int64),
        class_names=class_names,
        signers=signers if any(signers) else None,
        names=np.array([photo.name for photo in photos]),
        groups=np.array([k if p.group < 0 else p.group for k, p in enumerate(photos)], dtype=np.int64),
        cropped=cropped,
        digest=digest,
    )


def _from_zip(path: Path) -> _Source:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"A letters.zip must be whole; {path} is not ({error}). Make it again from the archive."
        ) from error
    members = {info.filename: info for info in archive.infolist()}
    if "ledger.csv" not in members:
        listing = sorted((name, info.CRC, info.file_size) for name, info in members.items() if _is_class_image(name))
        first: dict[tuple[int, int], int] = {}
        for k, (_, crc, size) in enumerate(listing):
            first.setdefault((crc, size), k)
        photos = [_Photo(name, Path(name).parent.name, group=first[crc, size]) for name, crc, size in listing]
        digest = hashlib.sha256(json.dumps(listing).encode()).hexdigest()
        return _Source(photos, digest, archive.read, archive.close)
    ledger_bytes = archive.read("ledger.csv")
    boxes_bytes = archive.read("boxes.csv") if "boxes.csv" in members else b""
    boxes = read_boxes(archive)
    rows = list(csv.DictReader(io.StringIO(ledger_bytes.decode("utf-8"))))
    groups = duplicate_groups(rows)
    photos = [
        _Photo(row["stored_as"], row["label"], row["signer"], groups[row["stored_as"]], boxes.get(row["stored_as"]))
        for row in rows
        if row["stored_as"] in groups
    ]
    # The ledger holds the SHA-256 of every image, so its own hash stands for all their bytes.
    digest = hashlib.sha256(ledger_bytes + boxes_bytes).hexdigest()
    return _Source(photos, digest, archive.read, archive.close)


def read_boxes(archive: zipfile.ZipFile) -> dict[str, Box]:
    """Returns the hand boxes of a letters.zip, (left, top, right, bottom) in pixels, by the names of its images."""
    text = archive.read("boxes.csv").decode("utf-8") if "boxes.csv" in archive.namelist() else ""
    return {
        row["image"]: (
            float(row["top_left_x"]),
            float(row["top_left_y"]),
            float(row["bottom_right_x"]),
            float(row["bottom_right_y"]),
        )
        for row in csv.DictReader(io.StringIO(text))
    }


def _from_folder(path: Path) -> _Source:
    names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    names = [name for name in names if _is_class_image(name)]
    digest, photos = hashlib.sha256(), []
    first: dict[bytes, int] = {}
    for k, name in enumerate(names):
        content = hashlib.sha256((path / name).read_bytes()).digest()
        digest.update(name.encode() + content)
        photos.append(_Photo(name, Path(name).parent.name, group=first.setdefault(content, k)))
    return _Source(photos, digest.hexdigest(), lambda name: (path / name).read_bytes())


def _is_class_image(name: str) -> bool:
    parts = Path(name).parts
    hidden = any(part.startswith((".", "_")) for part in parts)
    return len(parts) > 1 and not hidden and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _decode(
    found: _Source, image_size: tuple[int, int], margin: float | None, channels: int, target: Path
) -> np.ndarray:
    if not target.exists():
        height, width = image_size
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}.tmp")
        shape = (len(found.photos), height, width, channels)
        try:
            pixels = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
            for k, array in enumerate(_decoded(found, image_size, margin, "RGB" if channels == 3 else "L")):
                pixels[k] = array.reshape(shape[1:])
            pixels.flush()
            del pixels  # Windows cannot rename a file that is still mapped
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return np.load(target, mmap_mode="r")


def _decoded(found: _Source, image_size: tuple[int, int], margin: float | None, mode: str) -> Iterator[np.ndarray]:
    """Yields uint8 (height, width, 3), or (height, width) in mode "L", in order, some hundreds in flight at most."""

    def one(photo: _Photo) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(found.read(photo.name))) as opened:
                image = ImageOps.exif_transpose(opened).convert(mode)
        except Exception as error:  # Pillow raises a dozen kinds; each means the same to the reader
            raise DataError(
                f"Every image must decode; {photo.name} does not ({error}). Sort such files out with: casestudy clean"
            ) from error
        region = square_box(photo.box, image.size, margin) if margin is not None and photo.box else None
        return np.asarray(image.resize(image_size[::-1], Image.Resampling.BILINEAR, box=region))

    with ThreadPoolExecutor() as pool, tqdm(total=len(found.photos), desc="decode", unit="img", delay=2) as bar:
        for start in range(0, len(found.photos), 256):
            for array in pool.map(one, found.photos[start : start + 256]):
                bar.update()
                yield array


def square_box(box: Box, size: tuple[int, int], margin: float) -> Box:
    """Returns the square (left, top, right, bottom) round a box, inside the picture and at most as large as it.

    Args:
        box: (left, top, right, bottom) in pixels, corners in any order.
        size: (width, height) of the picture.
        margin: Share of the longer side that is added to it.

    >>> square_box((40, 10, 60, 50), (320, 240), 0.0)
    (30.0, 10.0, 70.0, 50.0)
    >>> square_box((300, 0, 340, 20), (320, 240), 0.5)
    (260.0, 0.0, 320.0, 60.0)
    """
    (left, right), (top, bottom) = sorted((box[0], box[2])), sorted((box[1], box[3]))
    width, height = size
    side = min(max(right - left, bottom - top, 1) * (1 + margin), width, height)
    x = min(max((left + right - side) / 2, 0), width - side)
    y = min(max((top + bottom - side) / 2, 0), height - side)
    return (float(x), float(y), float(x + side), float(y + side))
