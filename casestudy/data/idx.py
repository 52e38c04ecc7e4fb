"""An IDX file in, its values out: the format in which MNIST, Fashion-MNIST and EMNIST are published.

An IDX file is two zero bytes, a type, the number of dimensions, their lengths as big-endian int32, and the values in C
order (LeCun, Cortes and Burges, the MNIST database of handwritten digits); most are gzipped.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from casestudy.errors import DataError
from casestudy.files import file_digest

DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
PIECE = 1 << 20  # bytes at a time
DEFLATE_LIMIT = 1032  # bytes that one byte of a gzipped file can hold at most


@dataclass(frozen=True)
class IdxFile:
    """A file on the disk or in a zip."""

    path: Path  # a zip counts as a folder
    size: int  # in bytes, as it lies there
    open: Callable[[], IO[bytes]]
    fingerprint: Callable[[], str]  # tells its content from others


def on_disk(path: Path) -> IdxFile:
    """Returns a file that lies on the disk by itself."""
    return IdxFile(path, path.stat().st_size, lambda: path.open("rb"), partial(file_digest, path))


@contextlib.contextmanager
def open_idx(file: IdxFile) -> Iterator[OpenIdx]:
    """Yields the file with its header read, and closes it.

    A DataError says that it is no IDX file, damaged, or holds more or less than its header says.
    """
    with file.open() as stream:
        yield OpenIdx(stream, file)


class OpenIdx:
    """An IDX file whose header was read: `dtype` and `shape` of the values, which follow in `blocks`."""

    def __init__(self, stream: IO[bytes], file: IdxFile) -> None:
        self._stream: IO[bytes] | gzip.GzipFile = stream
        self.name = file.path.name
        gzipped = self._read(2) == b"\x1f\x8b"  # whatever the name says: some browsers unpack and keep the .gz
        stream.seek(0)
        if gzipped:
            self._stream = gzip.GzipFile(fileobj=stream)
        magic = self._read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES or not 0 < magic[3] <= 32:
            raise DataError(
                f"An IDX file begins with 00 00, a type and a number of dimensions; {self.name} begins with "
                f"{magic.hex(' ') or 'nothing'}. Download it again, from a direct link."
            )
        self.dtype = np.dtype(DTYPES[magic[2]])
        self.shape = struct.unpack(f">{magic[3]}I", self._exactly(4 * magic[3]))
        if math.prod(self.shape) * self.dtype.itemsize > DEFLATE_LIMIT * file.size:
            raise self._not_whole(f"says {self.shape}, more than {file.size:,} bytes can hold")

    def values(self) -> np.ndarray:
        """Returns all values."""
        (values,) = self.blocks(max(self.shape[0], 1))
        return values

    def blocks(self, most: int) -> Iterator[np.ndarray]:
        """Yields the values, `most` items of the first dimension at a time, and makes sure that nothing follows."""
        for start in range(0, max(self.shape[0], 1), most):
            block = np.empty((min(most, self.shape[0] - start), *self.shape[1:]), self.dtype)
            flat = block.reshape(-1).view(np.uint8)
            for k in range(0, len(flat), PIECE):  # a large block is never in memory twice
                flat[k : k + PIECE] = np.frombuffer(self._exactly(min(PIECE, len(flat) - k)), np.uint8)
            yield block if block.dtype.isnative else block.byteswap(inplace=True).view(block.dtype.newbyteorder())
        if self._read(1):
            raise self._not_whole("goes on behind its values")

    def _exactly(self, count: int) -> bytes:
        data = self._read(count)
        if len(data) < count:
            raise self._not_whole("ends too soon")
        return data

    def _read(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
            raise self._not_whole(f"is damaged ({error})") from error

    def _not_whole(self, finding: str) -> DataError:
        return DataError(f"An IDX file holds what its header says; {self.name} {finding}. Download it again.")
