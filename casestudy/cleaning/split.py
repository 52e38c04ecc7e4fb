"""Archives that were split into parts (.001, .002, …), read as the one file that they are."""

from __future__ import annotations

import glob
import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from casestudy.cleaning.errors import ArchiveError

_CHUNK = 1 << 20


class _Parts(io.RawIOBase):
    """The parts of a file that was split (.001, .002, …), as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [path.open("rb") for path in paths]
        self._sizes = [path.stat().st_size for path in paths]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, sum(self._sizes))[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        at = self._at
        for file, size in zip(self._files, self._sizes, strict=True):
            if at < size:
                file.seek(at)
                count = file.readinto(buffer[: size - at])
                self._at += count
                return count
            at -= size
        return 0

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def find_parts(path: Path) -> list[Path]:
    """Returns the files that together are the archive: one, or the parts of a split one of which `path` is the first.

    Raises:
        ArchiveError: It is a later part, or one between the first and the last is missing.
    """
    number = path.suffix[1:]
    if not (len(number) == 3 and number.isdigit()):
        return [path]
    there = {int(other.suffix[1:]) for other in path.parent.glob(f"{glob.escape(path.stem)}.[0-9][0-9][0-9]")}
    if int(number) != 1:
        if 1 in there:
            raise ArchiveError(f"{path.name} is a later part of a split archive: pass {path.stem}.001.")
        return [path]
    missing = min(set(range(1, max(there) + 1)) - there, default=None)
    if missing is not None:
        raise ArchiveError(f"{path.name} is one of several parts, and {path.stem}.{missing:03} is missing: fetch it.")
    return [path.with_suffix(f".{part:03}") for part in sorted(there)]


def open_parts(path: Path) -> IO[bytes]:
    """Returns the archive as one file, open for reading; raises as `find_parts`."""
    parts = find_parts(path)
    return path.open("rb") if len(parts) == 1 else io.BufferedReader(_Parts(parts), _CHUNK)
