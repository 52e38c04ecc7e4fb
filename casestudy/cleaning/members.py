"""What every reader of archives gives: names first, then every file once, in the same order."""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from casestudy.cleaning.errors import ArchiveError

MAX_MEMBER_BYTES = 1 << 30  # a larger file is no photograph, and would have to be held in memory whole
SALVAGE = "Fetch it again, or keep what is sound with `casestudy clean --salvage`."
DAMAGE = (  # what the standard library raises of a damaged file, somewhere
    *(zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, struct.error, EOFError, OSError),
    *(LookupError, ValueError, OverflowError, MemoryError, NotImplementedError),
)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    name: str  # its path as stored, with "/"; it may repeat, be absolute or climb out: `clean_path` before any use
    data: bytes  # of a symbolic link, which is never followed, the path it points to
    note: str = ""  # what was unusual about the way it is stored
    lost: str = ""  # with salvage: why its bytes cannot be read; there are none then
    opened: bool = False  # an archive whose own entries come next

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)

    @property
    def sha256(self) -> str:
        """Of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


class Reader(ABC):
    """An archive that can be read: what it lists, and then what it holds."""

    def __init__(self, path: Path, password: str | None, *, salvage: bool = False) -> None:
        self.path = path
        self.password = password
        self.salvage = salvage  # what cannot be read is a member that is lost, and no error
        self.remarks: list[str] = []  # of the archive as a whole, for the summary, once its members have been read
        self.incomplete = False  # with salvage: whether there were entries that nothing lists any more

    @abstractmethod
    def names(self) -> list[str]:
        """Returns the name of every file (no folders), as `members` will give it, in its order; no bytes are kept."""

    @abstractmethod
    def members(self) -> Iterator[Member]:
        """Yields every file, each checked against the checksum that the archive keeps of it."""

    def on_disk(self, name: str) -> Path | None:
        """Returns where an entry lies as a file of its own, if it does."""
        return None

    def refuse_giant(self, name: str, size: int) -> None:
        """Raises ArchiveError for a file that cannot be held in memory."""
        if size > MAX_MEMBER_BYTES:
            raise ArchiveError(f"{self.path.name}: {name} has {size:,} bytes, allowed are {MAX_MEMBER_BYTES:,}.")


def readable(name: str) -> str:
    r"""Returns a name in which bytes that are no Unicode (old tars, Linux folders) are written as in a web address.

    So is NUL, which ends a text for some readers of CSV.

    >>> readable("user_\udcff/A0.jpg"), readable("Zoë"), readable("half \ud83d")
    ('user_%FF/A0.jpg', 'Zoë', 'half %D83D')
    """
    return re.sub("[\0\ud800-\udfff]", lambda odd: "%" + f"{ord(odd[0]):02X}".removeprefix("DC"), name)


@contextlib.contextmanager
def damage_said(path: Path, kind: str) -> Iterator[None]:
    """Turns what the standard library raises into an error that says what to do."""
    try:
        yield
    except DAMAGE as error:
        raise damaged(path, f"as {kind} it cannot be read ({error or type(error).__name__})") from None


def damaged(path: Path, what: str) -> ArchiveError:
    """Returns the error for an archive that cannot be read whole."""
    return ArchiveError(f"{path.name} is damaged or truncated: {what}. {SALVAGE}")
