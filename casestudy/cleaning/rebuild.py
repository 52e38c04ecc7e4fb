"""The original tree again from a letters.zip, byte for byte."""

from __future__ import annotations

import errno
import hashlib
import os
import zipfile
from pathlib import Path

from casestudy.cleaning.errors import UNREADABLE, ArchiveError, CaseStudyError, ConservationError
from casestudy.cleaning.files import atomic_folder
from casestudy.cleaning.ledger import Ledger, to_csv
from casestudy.cleaning.lost import to_rebuild
from casestudy.cleaning.progress import watched
from casestudy.cleaning.stored_names import clean_path

SET_ASIDE = "_set_aside"  # the folder of entries that cannot have their own names, and of the list of them


def undo(clean_zip: str | Path, folder: str | Path, *, progress: bool = True) -> dict[str, str]:
    """Rebuilds the original tree from a letters.zip, byte for byte, in a new or empty folder.

    Every file is compared with the SHA-256 in the ledger, and the folder appears only when all are there. Empty folders
    are not brought back: an archive's folders are no entries of the ledger. An archive inside the archive comes back as
    it was, unopened; what was lost does not come back.

    Returns:
        Where an entry lies whose own name cannot be used (it climbs out of the folder, is absolute, repeats, is too
        long or forbidden here), by entry: always inside `folder`, where `_set_aside/list.csv` names them, too.

    Raises:
        ArchiveError: The zip is missing, damaged or has no ledger.
        ConservationError: A file of the zip is not the original's.
        CaseStudyError: The folder is not empty, or cannot be written.
    """
    clean_zip, folder = Path(clean_zip), Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CaseStudyError(f"{folder} is not empty: name a new folder to rebuild the archive in.")
    ledger = read_ledger(clean_zip)
    set_aside: dict[str, str] = {}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(folder) as tree, zipfile.ZipFile(clean_zip) as source:
            rows = to_rebuild(ledger.rows)
            for row in watched(rows, "rebuilding", show=progress, total=len(rows)):
                data = b""
                if source.getinfo(row.stored_as).file_size == row.bytes:  # a larger one would be unpacked for nothing
                    data = source.read(row.stored_as)
                if hashlib.sha256(data).hexdigest() != row.sha256:
                    raise ConservationError(f"{row.stored_as} in {clean_zip.name} is not the original of {row.entry}.")
                placed = _place(tree, row.entry, data)
                if placed.startswith(f"{SET_ASIDE}/"):
                    set_aside[row.entry] = placed
            if set_aside:
                listed = to_csv([("entry", "place"), *set_aside.items()])
                (tree / SET_ASIDE / "list.csv").write_text(listed, encoding="utf-8", newline="")
    except UNREADABLE as error:
        raise ArchiveError(f"{clean_zip.name} is damaged ({error}): make it again.") from None
    except OSError as error:
        raise CaseStudyError(f"Cannot write {folder} ({error.strerror}): name another folder.") from None
    return set_aside


def read_ledger(clean_zip: str | Path) -> Ledger:
    """Returns the ledger inside a letters.zip; an ArchiveError says that the file is missing, damaged or none."""
    try:
        with zipfile.ZipFile(clean_zip) as source:
            return Ledger.from_csv(source.read("ledger.csv").decode())
    except (OSError, *UNREADABLE) as error:
        raise ArchiveError(f"{clean_zip} is no letters.zip ({error}): make it with `casestudy clean`.") from None


def _place(tree: Path, entry: str, data: bytes) -> str:
    """Writes one file under its own name, or under a safe one; returns the path it got, relative to `tree`."""
    # The "./" that `tar cf x.tar .` puts before each name is no folder.
    name, attempt = entry.removeprefix("./"), 0
    while True:
        try:
            if _is_safe(name):
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                with (tree / name).open("xb") as file:
                    file.write(data)
                return name
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            pass  # another entry has the name, as this file system sees it
        except OSError as error:
            if attempt or error.errno not in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOENT):
                raise
        attempt += 1
        name = f"{SET_ASIDE}/{attempt}/{clean_path(entry)}"


def _is_safe(entry: str) -> bool:
    """Returns whether an entry names a place below the folder it is unpacked to, on this system."""
    if {"", ".", ".."} & set(entry.split("/")) or "\0" in entry:
        return False
    return os.name != "nt" or clean_path(entry) == entry  # Windows: no drives, streams, backslashes, devices
