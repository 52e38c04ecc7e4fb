"""Archives and folders as one stream of members: every file once, in index order, one in memory at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from casestudy.cleaning.embedded import find_embedded, find_split
from casestudy.cleaning.errors import ArchiveError
from casestudy.cleaning.members import Member, Reader, readable
from casestudy.cleaning.nested import NestedReader
from casestudy.cleaning.paths import TARS
from casestudy.cleaning.sevenzip import SIGNATURE, SevenZipReader
from casestudy.cleaning.tars import TarReader, is_tar
from casestudy.cleaning.zips import ZipReader


def iter_members(path: str | Path, *, password: str | None = None, salvage: bool = False) -> Iterator[Member]:
    """Yields every file of an archive or folder, each checked against the checksum that the archive keeps of it.

    The kind is told from the content: RAR (4 and 5; stored, compressed, solid, in several volumes, encrypted), ZIP, TAR
    (plain, gzip, bzip2, xz), 7z and what else 7-Zip reads, each self-extracting and split too (.001, …), or a folder
    (sorted by path). Plain TAR and folders keep no checksums. Folders are not members; devices and pipes are members
    without bytes. A member that is an archive itself is followed by what it holds, "user_1.rar/A0.jpg".

    Args:
        path: The archive, the first volume of one, or a folder.
        password: For an encrypted RAR, ZIP or 7z.
        salvage: What cannot be read is a member that is lost, and no error.

    Raises:
        ArchiveError: It is missing, empty, truncated, damaged or of another kind. Members yielded before are sound.
        PasswordError: It is encrypted, and the password is missing or wrong.
        DecoderError: It is a compressed RAR and no decoder could read it.
    """
    yield from open_archive(path, password=password, salvage=salvage).members()


def open_archive(path: str | Path, *, password: str | None = None, salvage: bool = False) -> Reader:
    """Returns the reader for this kind of archive, told from its content; raises as `iter_members`."""
    reader = _choose(Path(path), password)
    reader.salvage = salvage
    return NestedReader(reader, _choose)


def _choose(path: Path, password: str | None) -> Reader:
    try:
        if path.is_dir():
            return FolderReader(path, password)
        with path.open("rb") as file:
            head = file.read(8)
    except FileNotFoundError:
        raise ArchiveError(f"There is no archive or folder at {path}: check the path.") from None
    except OSError as error:
        raise ArchiveError(f"Cannot read {path} ({error.strerror}): check its permissions.") from None
    if not head:
        raise ArchiveError(f"{path.name} is an empty file: fetch the archive again.")
    split = find_split(path)
    if split is not None:
        return split(path, password)
    if head.startswith(b"Rar!\x1a\x07"):
        from casestudy.cleaning.rar import RarReader  # only now: ZIP, TAR and folders need no rarfile

        return RarReader(path, password)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ZipReader(path, password)
    if head.startswith(SIGNATURE):
        return SevenZipReader(path, password)
    if is_tar(path) or ".tar" in path.suffixes or path.suffix in TARS:
        return TarReader(path, password)  # a damaged one, and reading it says so
    embedded = find_embedded(path)
    if embedded is not None:
        return embedded(path, password)
    raise ArchiveError(
        f"{path.name} is no RAR, ZIP or TAR, nor a 7z (it starts with {head!r}): unpack it, and pass the folder."
    )


class FolderReader(Reader):
    """A folder, sorted by path."""

    def names(self) -> list[str]:
        return [readable(file.relative_to(self.path).as_posix()) for file in self._files()]

    def members(self) -> Iterator[Member]:
        try:
            for file in self._files():
                status = file.lstat()
                self.refuse_giant(file.name, status.st_size)
                data = b""
                if stat.S_ISLNK(status.st_mode):
                    data = os.fsencode(file.readlink())
                elif stat.S_ISREG(status.st_mode):
                    data = file.read_bytes()
                yield Member(readable(file.relative_to(self.path).as_posix()), data)
        except OSError as error:
            raise ArchiveError(f"Cannot read {error.filename} ({error.strerror}): check its permissions.") from None

    def on_disk(self, name: str) -> Path | None:
        place = self.path / name
        return place if place.is_file() and not place.is_symlink() else None

    def _files(self) -> list[Path]:
        found = []
        try:
            for folder, subfolders, files in os.walk(self.path, onerror=_raise):
                links = [name for name in subfolders if Path(folder, name).is_symlink()]
                found += [Path(folder, name) for name in files + links]
        except OSError as error:
            raise ArchiveError(f"Cannot read {error.filename} ({error.strerror}): check its permissions.") from None
        return sorted(found, key=lambda file: file.relative_to(self.path).as_posix())


def _raise(error: OSError) -> None:
    raise error
