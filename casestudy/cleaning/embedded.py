"""Which archive a file is that does not start with one: self-extracting, split, with something before or behind it."""

from __future__ import annotations

import contextlib
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

from casestudy.cleaning.errors import ArchiveError, DecoderError, PasswordError
from casestudy.cleaning.members import Member, Reader
from casestudy.cleaning.sevenzip import KINDS, SIGNATURE, STREAMS, SevenZipReader, list_archive
from casestudy.cleaning.split import find_parts, open_parts
from casestudy.cleaning.zip_index import LOCAL, RAR, Spanned, find_marks, read_at, read_index
from casestudy.cleaning.zips import ZipReader

_FAR = 2 << 20  # rarfile looks no further, and no program that unpacks itself is larger


def find_split(path: Path) -> type[Reader] | None:
    """Returns the reader of an archive that was split into .001, .002, …; None if `path` is none or its parts are RARs.

    Raises:
        ArchiveError: It is a later part, or one is missing.
    """
    parts = find_parts(path)
    if len(parts) == 1 or all(_head(part).startswith(RAR) for part in parts):
        return None
    return ZipReader if _head(path).startswith((LOCAL, b"PK\x07\x08")) else SevenZipReader


def find_embedded(path: Path) -> Callable[..., Reader] | None:
    """Returns the reader of the archive that begins first in a file, or that 7-Zip sees in it; None without one."""
    with open_parts(path) as file:
        begins: dict[type[Reader], int | None] = {ZipReader: _zip_start(file, path)}
        rar = next((at for at in find_marks(file, 0, _FAR, RAR) if _is_rar(file, at)), None)
        begins[SevenZipReader] = next((at for at in find_marks(file, 0, _FAR, SIGNATURE) if _is_7z(file, at)), None)
    if rar is not None:
        from casestudy.cleaning.rar import RarReader  # only now: others need no rarfile

        begins[RarReader] = rar
    there = {at: reader for reader, at in begins.items() if at is not None}
    if there:
        at = min(there)
        # 7-Zip looks behind the start of a file only where its name does not promise an archive.
        unseen = at > 0 and there[at] is not ZipReader and path.suffix.lower() in (".rar", ".7z")
        return partial(_BehindReader, there[at], at) if unseen else there[at]
    try:
        kinds = list_archive(path, None).kinds
    except PasswordError:
        return SevenZipReader
    except (ArchiveError, DecoderError):
        return None
    return SevenZipReader if kinds and kinds[-1] in KINDS + STREAMS else None


class _BehindReader(Reader):
    """An archive behind something else, which is read from a copy without that."""

    def __init__(
        self, kind: type[Reader], start: int, path: Path, password: str | None, *, salvage: bool = False
    ) -> None:
        super().__init__(path, password, salvage=salvage)
        self._kind, self._start = kind, start

    def names(self) -> list[str]:
        with self._opened() as reader:
            return reader.names()

    def members(self) -> Iterator[Member]:
        with self._opened() as reader:
            yield from reader.members()
            what = f"{self._start:,} bytes before the archive belong to no entry"
            self.remarks = [what, *reader.remarks]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Reader]:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, self.path.name)
            try:
                with self.path.open("rb") as source, copy.open("wb") as target:
                    source.seek(self._start)
                    shutil.copyfileobj(source, target, 1 << 20)
            except OSError as error:
                raise ArchiveError(f"Cannot copy {self.path.name} to {folder} ({error.strerror}).") from None
            yield self._kind(copy, self.password, salvage=self.salvage)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _zip_start(file: IO[bytes], path: Path) -> int | None:
    try:
        index = read_index(file, path)
    except Spanned:
        return 0
    except ArchiveError:
        return None
    return min([entry.offset for entry in index.entries] + [index.spans[0][0]])


def _is_rar(file: IO[bytes], at: int) -> bool:
    return read_at(file, at + len(RAR), 2)[:1] == b"\0" or read_at(file, at + len(RAR), 2) == b"\1\0"


def _is_7z(file: IO[bytes], at: int) -> bool:
    start = read_at(file, at, 32)
    return len(start) == 32 and struct.unpack_from("<L", start, 8)[0] == zlib.crc32(start[12:])
