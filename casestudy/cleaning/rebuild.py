"""The original tree again from a letters.zip, byte for byte."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from casestudy.cleaning.errors import UNREADABLE, ArchiveError, CaseStudyError, ConservationError
from casestudy.cleaning.files import MOST_TABLE, atomic_folder, open_member
from casestudy.cleaning.ledger import Ledger, LedgerRow, parse_rows, to_csv
from casestudy.cleaning.lost import to_rebuild
from casestudy.cleaning.members import MAX_MEMBER_BYTES
from casestudy.cleaning.progress import watched
from casestudy.cleaning.stored_names import UniqueNames, clean_path

SET_ASIDE = "_set_aside"  # the folder of entries that cannot have their own names, and of the list of them
_OTHER_NAME = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOENT)


def undo(clean_zip: str | Path, folder: str | Path, *, progress: bool = True) -> dict[str, str]:
    """Rebuilds the original tree from a letters.zip, byte for byte, in a new or empty folder.

    Every file is compared with the SHA-256 in the ledger, and the folder appears only when all are there. Empty folders
    are not brought back: an archive's folders are no entries of the ledger. An archive inside the archive comes back as
    it was, unopened; what was lost does not come back.

    Returns:
        Where an entry lies whose own name cannot be used (it climbs out of the folder, is absolute, repeats, is too
        long or forbidden here), by entry: always inside `folder`, where `_set_aside/list.csv` names them, too. Where
        the same name is set aside several times, all are in that list, and the last one here.

    Raises:
        ArchiveError: The zip is missing, damaged or has no ledger.
        ConservationError: A file of the zip is not the original's.
        CaseStudyError: The folder is not empty, or cannot be written.
    """
    clean_zip, folder = Path(clean_zip), Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CaseStudyError(f"{folder} is not empty: name a new folder to rebuild the archive in.")
    rows = to_rebuild(read_ledger(clean_zip).rows)
    if giant := next((row for row in rows if row.bytes > MAX_MEMBER_BYTES), None):
        most = f"{giant.bytes:,} bytes, allowed are {MAX_MEMBER_BYTES:,}"
        raise ArchiveError(f"{clean_zip.name} is damaged, or no letters.zip: {giant.entry} would have {most}.")
    places = plan([row.entry for row in rows])
    names = UniqueNames(places)
    set_aside: list[tuple[str, str]] = []
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if sum(row.bytes for row in rows) > shutil.disk_usage(folder.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with atomic_folder(folder) as tree, zipfile.ZipFile(clean_zip) as source:
            watching = watched(rows, "rebuilding", show=progress, total=len(rows))
            for place, row in zip(places, watching, strict=True):
                data = b""
                if source.getinfo(row.stored_as).file_size == row.bytes:  # a larger one would be unpacked for nothing
                    data = source.read(row.stored_as)
                if hashlib.sha256(data).hexdigest() != row.sha256:
                    raise ConservationError(f"{row.stored_as} in {clean_zip.name} is not the original of {row.entry}.")
                placed = _write(tree, place, row.entry, data, names)
                if placed != _own_name(row.entry):
                    set_aside.append((row.entry, placed))
            if set_aside:
                table = to_csv([("entry", "place"), *set_aside]).encode()
                _write(tree, f"{SET_ASIDE}/list.csv", "list.csv", table, names)
    except UNREADABLE as error:
        raise ArchiveError(f"{clean_zip.name} is damaged ({error or type(error).__name__}): make it again.") from None
    except OSError as error:
        raise CaseStudyError(f"Cannot write {folder} ({error.strerror}): name another folder.") from None
    return dict(set_aside)


def read_ledger(clean_zip: str | Path) -> Ledger:
    """Returns the ledger inside a letters.zip; an ArchiveError says that the file is missing, damaged or none."""
    return Ledger(tuple(read_rows(clean_zip)))


def read_rows(clean_zip: str | Path) -> Iterator[LedgerRow]:
    """Yields the rows of the ledger inside a letters.zip, one at a time; raises as `read_ledger` does."""
    try:
        with zipfile.ZipFile(clean_zip) as source, open_member(source, "ledger.csv", MOST_TABLE) as file:
            yield from parse_rows(io.TextIOWrapper(file, "utf-8", newline=""))
    except (OSError, *UNREADABLE) as error:
        why = str(error) or type(error).__name__
        raise ArchiveError(f"{clean_zip} is no letters.zip ({why}): make it with `casestudy clean`.") from None


def plan(entries: Sequence[str], *, windows: bool = os.name == "nt") -> list[str]:
    """Returns where each entry goes, below the new folder: under its own name, or set aside if it cannot have that.

    Args:
        entries: Their names, in the order in which they are written.
        windows: Whether names must be such as every system can have. Where they are not, it is tried: a system refuses
            what it cannot have.

    >>> plan(["./A0.jpg", "A0.jpg", "../x", "A0.jpg/y"], windows=False)
    ['A0.jpg', '_set_aside/A0.jpg', '_set_aside/._/x', '_set_aside/A0~2.jpg/y']
    """
    files: set[str] = set()
    folders: set[str] = set()
    own = []
    for entry in entries:
        name = _own_name(entry)
        key = name.casefold() if windows else name
        above = {key[:k] for k, letter in enumerate(key) if letter == "/"}
        if not name or (windows and clean_path(name) != name) or key in files or key in folders or above & files:
            own.append("")
            continue
        files.add(key)
        folders |= above
        own.append(name)
    names = UniqueNames(filter(None, own))
    pairs = zip(own, entries, strict=True)
    return [name or names.claim(f"{SET_ASIDE}/{clean_path(entry)}") for name, entry in pairs]


def _own_name(entry: str) -> str:
    """Returns the path of an entry below the folder that it is unpacked to, "" where it leads nowhere or out of it.

    The "./" that `tar cf x.tar .` puts before each name is no folder.
    """
    parts = [part for part in entry.split("/") if part not in ("", ".")]
    return "" if entry.startswith("/") or ".." in parts or "\0" in entry else "/".join(parts)


def _write(tree: Path, place: str, entry: str, data: bytes, names: UniqueNames) -> str:
    """Writes one file where it was planned, or where this system can; returns the path it got, relative to `tree`."""
    for more in (clean_path(entry), "entry", ""):
        try:
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            with (tree / place).open("xb") as file:
                file.write(data)
            break
        except OSError as error:  # two names may be one here, be longer than is known, or forbidden
            if not more or error.errno not in _OTHER_NAME:
                raise
        place = names.claim(f"{SET_ASIDE}/{more}")
    return place
