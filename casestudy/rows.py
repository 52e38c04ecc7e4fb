"""Arrays that lie in `.npy` files and are mapped from there: one file, or several where one would be very large.

A set of a million photographs is larger than most memories. Read in any order, each photograph would wait for the disk.
So its pixels lie in files of at most `FILE_BYTES`, and training reads a few of them at a time: see `reading_order`.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from casestudy.files import reserve
from casestudy.words import counted

A = TypeVar("A", bound=np.ndarray)
FILE_BYTES = 1 << 30  # of the rows in one file: every set of the case study fits in one
TOGETHER = 2  # files whose rows are read in any order; meanwhile their bytes stay in memory


class Rows:
    """An array of which whole rows are read and written, as of a NumPy array: by a number, a slice, or an array.

    Args:
        files: Arrays of one type whose rows follow on from one another; all have equally many, the last at most those.
    """

    def __init__(self, files: Sequence[np.ndarray]) -> None:
        self.files: tuple[Any, ...] = tuple(files)
        self.dtype = self.files[0].dtype
        self.shape = (sum(map(len, self.files)), *self.files[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return chain.from_iterable(self.files)

    def __getitem__(self, rows: Any) -> np.ndarray:
        where, offset = self._places(rows)
        if np.ndim(where) == 0:
            return self.files[int(where)][int(offset)]
        found = np.empty((len(where), *self.shape[1:]), self.dtype)
        for k in np.unique(where):
            here = where == k
            found[here] = self.files[k][offset[here]]
        return found

    def __setitem__(self, rows: slice, values: np.ndarray) -> None:
        where, offset = self._places(rows)
        for k in np.unique(where):
            here = where == k
            self.files[k][offset[here]] = values[here]

    def flush(self) -> None:
        """Writes to the disk what was written to the rows; their files must be mapped."""
        for file in self.files:
            file.flush()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("Rows of several files become one array by copying them; received copy=False.")
        return np.concatenate(self.files, dtype=dtype)

    def _places(self, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the file that each row lies in, and its place there."""
        if isinstance(rows, slice):
            wanted = np.arange(*rows.indices(len(self)))
        else:
            wanted = np.asarray(rows)
            wanted = np.flatnonzero(wanted) if wanted.dtype == bool else wanted
            if wanted.size and not (-len(self) <= wanted.min() <= wanted.max() < len(self)):
                raise IndexError(f"A row is asked for that is not there: {counted(len(self), 'row')} from 0.")
            wanted = np.where(wanted < 0, wanted + len(self), wanted)
        return np.divmod(wanted.astype(np.int64), len(self.files[0]))


class Chosen:
    """Some rows of an array, by their places in it; none is read before it is asked for."""

    def __init__(self, rows: Array, indices: np.ndarray) -> None:
        self.rows, self.indices = rows, indices
        self.shape = (len(indices), *rows.shape[1:])

    def __getitem__(self, places: Any) -> np.ndarray:
        return self.rows[self.indices[places]]


Array = np.ndarray | Rows


def file_shapes(shape: Sequence[int], dtype: Any) -> list[tuple[int, ...]]:
    """Returns the shapes of the files that an array of this shape lies in; one for all that is not larger than a file.

    >>> file_shapes((3_000_000, 28, 28, 1), "uint8")
    [(1369568, 28, 28, 1), (1369568, 28, 28, 1), (260864, 28, 28, 1)]
    """
    count, *row = shape
    most = max(1, FILE_BYTES // max(1, math.prod(row) * np.dtype(dtype).itemsize))
    return [(min(most, count - start), *row) for start in range(0, max(count, 1), most)]


def file_paths(target: Path, shape: Sequence[int], dtype: Any) -> list[Path]:
    """Returns the paths of the files of an array: `target` itself, then with numbers in their names."""
    count = len(file_shapes(shape, dtype))
    return [target, *(target.with_name(f"{target.stem}-{k:05}{target.suffix}") for k in range(1, count))]


def create_rows(paths: Sequence[Path], shape: Sequence[int], dtype: Any) -> np.memmap | Rows:
    """Returns an array in new files, to be written: as many as `file_shapes` says.

    An OSError says before anything is written that the disk has no room for all of it; no file is there then.
    """
    shapes = file_shapes(shape, dtype)
    try:
        if len(shapes) > 1 and math.prod(shape) * np.dtype(dtype).itemsize > shutil.disk_usage(paths[0].parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a single one is reserved whole, below
        files = []
        for path, part in zip(paths, shapes, strict=True):
            files.append(np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=part))
            reserve(path, path.stat().st_size)  # header and all
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return joined(files)


def open_rows(target: Path, shape_of: Callable[[np.ndarray], Sequence[int]], dtype: Any) -> Array:
    """Returns an array from its files; a ValueError or an OSError says that they are not what `create_rows` made.

    `shape_of` returns the shape that the whole must have, and is told the first file.
    """
    mapped = partial(np.lib.format.open_memmap, mode="r")
    first = mapped(target)
    shape = shape_of(first)
    files = [first, *map(mapped, file_paths(target, shape, dtype)[1:])]
    parts = file_shapes(shape, dtype)
    if any((file.dtype, file.shape) != (dtype, part) for file, part in zip(files, parts, strict=True)):
        raise ValueError(f"{target} holds something else")
    return joined(files)


def joined(files: Sequence[A]) -> A | Rows:
    """Returns the array of one file as it is, those of several as one."""
    return files[0] if len(files) == 1 else Rows(files)


def reading_order(indices: np.ndarray, rows: Array, rng: np.random.Generator) -> np.ndarray:
    """Returns int64 (len(indices),): places in `indices` in a drawn order, in which files are read a few at a time.

    All orders are equally likely where the rows lie in one file. Where they lie in several, `TOGETHER` of them are
    drawn, then all that is wanted of these is read in a drawn order, then the next ones are drawn. What was read
    together in one epoch is not in the next.
    """
    order = rng.permutation(len(indices))
    if not isinstance(rows, Rows):
        return order
    turn = rng.permutation(len(rows.files)) // TOGETHER
    return order[np.argsort(turn[indices[order] // len(rows.files[0])], kind="stable")]
