"""Archives and folders as one stream of members: every file once, in index order, one in memory at a time."""

from __future__ import annotations

import contextlib
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from casestudy.cleaning.errors import ArchiveError, CaseStudyError, PasswordError

MAX_MEMBER_BYTES = 1 << 30  # a larger file is no photograph, and would have to be held in memory whole
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, KeyError, OSError, ValueError)


@dataclass(frozen=True)
class Member:
    """One file of an archive."""

    name: str  # its path as stored, with "/"; it may repeat, be absolute or climb out: `clean_path` before any use
    size: int  # in bytes
    data: bytes  # of a symbolic link, which is never followed, the path it points to


def iter_members(path: str | Path, *, password: str | None = None) -> Iterator[Member]:
    """Yields every file of an archive or folder, each checked against the checksum that the archive keeps of it.

    The kind is told from the content: RAR (4 and 5; stored, compressed, solid, in several volumes, encrypted), ZIP, TAR
    (plain, gzip, bzip2, xz), or a folder (sorted by path). Plain TAR and folders keep no checksums. Folders are not
    members; devices and pipes are members without bytes.

    Args:
        path: The archive, the first volume of one, or a folder.
        password: For an encrypted RAR or ZIP.

    Raises:
        ArchiveError: It is missing, empty, truncated, damaged or of another kind. Members yielded before are sound.
        PasswordError: It is encrypted, and the password is missing or wrong.
        DecoderError: It is a compressed RAR and no decoder could read it.
    """
    path = Path(path)
    for name, data in _choose(path)(path, password):
        # Names that are not valid Unicode (old tars, Linux folders) become readable escapes that a CSV can hold.
        name = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        yield Member(name, len(data), data)


def _choose(path: Path) -> Callable[[Path, str | None], Iterator[tuple[str, bytes]]]:
    """Returns the function that reads this kind of archive."""
    try:
        if path.is_dir():
            return _iter_folder
        with path.open("rb") as file:
            head = file.read(8)
    except FileNotFoundError:
        raise ArchiveError(f"There is no archive or folder at {path}: check the path.") from None
    except OSError as error:
        raise ArchiveError(f"Cannot read {path} ({error.strerror}): check its permissions.") from None
    if not head:
        raise ArchiveError(f"{path.name} is an empty file: fetch the archive again.")
    if head.startswith(b"Rar!\x1a\x07"):
        return _iter_rar
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or zipfile.is_zipfile(path):
        return _iter_zip
    with contextlib.suppress(*_DAMAGE), tarfile.open(path):
        return _iter_tar
    if ".tar" in path.suffixes or path.suffix in (".tgz", ".tbz2", ".txz"):
        return _iter_tar  # a damaged one, and reading it says so
    raise ArchiveError(f"{path.name} is no RAR, ZIP or TAR (it starts with {head!r}): unpack it, and pass the folder.")


def _iter_rar(path: Path, password: str | None) -> Iterator[tuple[str, bytes]]:
    from casestudy.cleaning.rar import iter_rar  # only now: ZIP, TAR and folders need no rarfile

    return iter_rar(path, password, largest=MAX_MEMBER_BYTES)


def _iter_zip(path: Path, password: str | None) -> Iterator[tuple[str, bytes]]:
    with _damage_said(path, "ZIP", password), zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if password is None and any(entry.flag_bits & 1 for entry in entries):
            raise PasswordError(f"{path.name} is encrypted: pass its password with --password.")
        for entry in entries:
            _refuse_giant(path, entry.filename, entry.file_size)
            data = archive.read(entry, pwd=password.encode() if password and entry.flag_bits & 1 else None)
            if len(data) != entry.file_size:
                raise ArchiveError(f"{path.name} is damaged: {entry.filename} is cut short. Fetch it again.")
            yield entry.filename.replace("\\", "/"), data


def _iter_tar(path: Path, password: str | None) -> Iterator[tuple[str, bytes]]:
    with _damage_said(path, "TAR"), tarfile.open(path) as archive:
        for entry in archive:
            if entry.isdir():
                continue
            _refuse_giant(path, entry.name, entry.size)
            data = b""
            if entry.issym():
                data = entry.linkname.encode("utf-8", "surrogateescape")
            elif entry.isfile() or entry.islnk():
                with cast("IO[bytes]", archive.extractfile(entry)) as file:
                    data = file.read()
            yield entry.name, data
        # tarfile takes a broken header for the end, so the zero block that ends a TAR is looked for here.
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise ArchiveError(f"{path.name} is truncated or damaged: its end mark is missing. Fetch it again.")
        while archive.fileobj.read(1 << 20):  # so that the checksum at the end of the compressed stream is verified
            pass


def _iter_folder(path: Path, password: str | None) -> Iterator[tuple[str, bytes]]:
    found = []
    try:
        for folder, subfolders, files in os.walk(path, onerror=_raise):
            links = [name for name in subfolders if Path(folder, name).is_symlink()]
            found += [Path(folder, name) for name in files + links]
        for file in sorted(found, key=lambda file: file.relative_to(path).as_posix()):
            status = file.lstat()
            _refuse_giant(path, file.name, status.st_size)
            data = b""
            if stat.S_ISLNK(status.st_mode):
                data = os.fsencode(file.readlink())
            elif stat.S_ISREG(status.st_mode):
                data = file.read_bytes()
            yield file.relative_to(path).as_posix(), data
    except OSError as error:
        raise ArchiveError(f"Cannot read {error.filename} ({error.strerror}): check its permissions.") from None


def _raise(error: OSError) -> None:
    raise error


@contextlib.contextmanager
def _damage_said(path: Path, kind: str, password: str | None = None) -> Iterator[None]:
    """Turns what zipfile and tarfile raise into errors that say what to do."""
    try:
        yield
    except CaseStudyError:
        raise
    except NotImplementedError as error:
        raise ArchiveError(f"{path.name} is a {kind} not read here ({error}): unpack it, pass the folder.") from None
    except (RuntimeError, *_DAMAGE) as error:
        if isinstance(error, RuntimeError) and "password" not in str(error).lower():
            raise
        # One wrong password in 256 passes ZIP's own check, and shows as damage.
        if password is not None and not isinstance(error, OSError):
            raise PasswordError(f"The password does not open {path.name}, or it is damaged ({error}).") from None
        raise ArchiveError(f"{path.name} is a damaged or truncated {kind} ({error}): fetch it again.") from None


def _refuse_giant(path: Path, name: str, size: int) -> None:
    if size > MAX_MEMBER_BYTES:
        raise ArchiveError(f"{path.name}: {name} has {size:,} bytes, allowed are {MAX_MEMBER_BYTES:,}.")
