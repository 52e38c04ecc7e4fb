"""What every reader of archives gives: names first, then every file once, in the same order."""

from __future__ import annotations

import contextlib
import lzma
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from casestudy.cleaning.errors import ArchiveError, CaseStudyError, PasswordError

MAX_MEMBER_BYTES = 1 << 30  # a larger file is no photograph, and would have to be held in memory whole
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, KeyError, OSError, ValueError)


@dataclass(frozen=True)
class Member:
    """One file of an archive."""

    name: str  # its path as stored, with "/"; it may repeat, be absolute or climb out: `clean_path` before any use
    data: bytes  # of a symbolic link, which is never followed, the path it points to
    note: str = ""  # what was unusual about the way it is stored
    lost: str = ""  # with salvage: why its bytes cannot be read; there are none then

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)


class Reader(ABC):
    """An archive that can be read: what it lists, and then what it holds."""

    def __init__(self, path: Path, password: str | None, *, salvage: bool = False) -> None:
        self.path = path
        self.password = password
        self.salvage = salvage  # what cannot be read is a member that is lost, and no error
        self.remarks: list[str] = []  # of the archive as a whole, for the summary, once its members have been read

    @abstractmethod
    def names(self) -> list[str]:
        """Returns the name of every file (no folders), as `members` will give it, in its order; no bytes are kept."""

    @abstractmethod
    def members(self) -> Iterator[Member]:
        """Yields every file, each checked against the checksum that the archive keeps of it."""

    def refuse_giant(self, name: str, size: int) -> None:
        """Raises ArchiveError for a file that cannot be held in memory."""
        if size > MAX_MEMBER_BYTES:
            raise ArchiveError(f"{self.path.name}: {name} has {size:,} bytes, allowed are {MAX_MEMBER_BYTES:,}.")


def readable(name: str) -> str:
    """Returns a name in which what is not valid Unicode (old tars, Linux folders) is an escape that a CSV can hold."""
    name = name.replace("\0", "\\x00")  # which ends a text for some readers of CSV
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character of UTF-16
        return name.encode("utf-8", "backslashreplace").decode("utf-8")


@contextlib.contextmanager
def damage_said(path: Path, kind: str, password: str | None = None) -> Iterator[None]:
    """Turns what zipfile and tarfile raise into errors that say what to do."""
    try:
        yield
    except CaseStudyError:
        raise
    except NotImplementedError as error:
        raise ArchiveError(f"{path.name} is a {kind} not read here ({error}): unpack it, pass the folder.") from None
    except (RuntimeError, *DAMAGE) as error:
        if isinstance(error, RuntimeError) and "password" not in str(error).lower():
            raise
        # One wrong password in 256 passes ZIP's own check, and shows as damage.
        if password is not None and not isinstance(error, OSError):
            raise PasswordError(f"The password does not open {path.name}, or it is damaged ({error}).") from None
        raise ArchiveError(f"{path.name} is a damaged or truncated {kind} ({error}): fetch it again.") from None
