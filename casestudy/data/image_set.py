"""Labelled images of one size, wherever they come from, and the file that their pixels lie in."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Hashable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from casestudy.choices import Drawn
from casestudy.data.localiser import Found
from casestudy.errors import DataError
from casestudy.files import atomic_path, remove_left_behind
from casestudy.rows import Array, create_rows, file_paths, open_rows

log = logging.getLogger(__name__)

CACHE_FORMAT = 1  # raise it when the same input would give other pixels


@dataclass(frozen=True)
class ImageSet:
    """Labelled images of one size."""

    images: Array  # uint8 (N, height, width, C), usually memory-mapped
    labels: np.ndarray  # int64 (N,), indices into `class_names`
    class_names: tuple[str, ...]  # K labels, in alphabetical order unless the data have one of their own
    signers: np.ndarray | None  # str (N,), who is in the photograph, "" where unknown; None where nobody is named
    names: np.ndarray  # str (N,), where each image is stored in its source
    groups: np.ndarray  # int64 (N,), equal for images that are exact or near duplicates of one another
    cropped: bool  # whether hands were cut out
    digest: str  # of the content and of how it was cropped and resized
    parts: np.ndarray | None = None  # str (N,), "train", "validation", "test" or "", where published in parts
    drawn: Drawn | None = None  # by a program; None for photographs and published sets
    hands: tuple[Found, ...] | None = None  # one an image, where they were looked for
    localiser: str | None = None  # SHA-256 of the weights that found them

    def __len__(self) -> int:
        return len(self.labels)

    def truth(self) -> dict[str, np.ndarray]:
        """Returns name, signer ("" where nobody is named) and label of each photograph, as every table has them."""
        signers = self.signers if self.signers is not None else np.full(len(self), "")
        return {"name": self.names, "signer": signers, "label": np.array(self.class_names)[self.labels]}

    @staticmethod
    def published(parts: Iterable[str]) -> np.ndarray | None:
        """Returns the parts that data were published in; None unless they can be trained on one and tested on another.

        Where no part is called "test", the part called "validation" is the test: nothing else was held out.

        >>> ImageSet.published(["train", "validation"]).tolist(), ImageSet.published(["train", ""])
        (['train', 'test'], None)
        """
        found = np.array(list(parts))
        if "test" not in found:
            found = np.where(found == "validation", "test", found)
        return found if {"train", "test"} <= set(found.tolist()) else None


def first_equal(contents: Iterable[Hashable]) -> np.ndarray:
    """Returns int64 (N,): for each content the place of the first one that is equal.

    >>> first_equal([b"A", b"B", b"A"]).tolist()
    [0, 1, 0]
    """
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(content, k) for k, content in enumerate(contents)], dtype=np.int64)


def cached_pixels(
    target: Path, count: int, size: tuple[int, int] | None, channels: int, write: Callable[[], None]
) -> Array:
    """Returns uint8 (count, height, width, channels), mapped from the files that `write` makes.

    They are made where one is missing, damaged, or holds something else; `size` of None is any.
    """
    if target.exists():
        with suppress(ValueError, OSError):
            return open_rows(target, lambda first: (count, *(size or first.shape[1:3]), channels), np.uint8)
        log.warning("%s is damaged, and is made again", target)
    write()
    return open_rows(target, lambda first: (count, *first.shape[1:]), np.uint8)


def write_pixels(target: Path, shape: tuple[int, ...], blocks: Iterable[np.ndarray]) -> None:
    """Writes uint8 `shape`, block by block, to `.npy` files that can be mapped into memory; see `rows`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_left_behind(target.parent, "images-*.npy")  # of other settings, too: they may be what fills the disk
    targets = file_paths(target, shape, np.uint8)
    with ExitStack() as named, tqdm(total=shape[0], desc="decode", unit="img", delay=2) as bar:
        try:
            pixels = create_rows([named.enter_context(atomic_path(path)) for path in targets], shape, np.uint8)
        except OSError as error:
            free = shutil.disk_usage(target.parent).free
            raise DataError(
                f"The pixels need {math.prod(shape) / 1e6:,.0f} MB in {target.parent}; {free / 1e6:,.0f} MB are free "
                f"({error.strerror}). Make room, or take smaller images with --image-size."
            ) from None
        done = 0
        for block in blocks:
            pixels[done : done + len(block)] = block.reshape(-1, *shape[1:])
            done += len(block)
            bar.update(len(block))
        pixels.flush()
        del pixels  # Windows cannot rename a file that is still mapped
