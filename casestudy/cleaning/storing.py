"""The zip that cleaning writes: the same bytes for the same input, and read back before it gets its name."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

from casestudy.cleaning.errors import CaseStudyError, ConservationError
from casestudy.cleaning.ledger import Ledger
from casestudy.cleaning.progress import watched
from casestudy.cleaning.rebuild import read_ledger
from casestudy.cleaning.stored_names import clean_part

_DATE = (1980, 1, 1, 0, 0, 0)


def check_target(archive: Path, out_zip: Path) -> None:
    if out_zip.is_dir():
        raise CaseStudyError(f"{out_zip} is a folder: name a file with --out.")
    if not out_zip.parent.is_dir():
        raise CaseStudyError(f"There is no folder {out_zip.parent}: make it, or name another place with --out.")
    if archive.is_dir() and archive.resolve() in out_zip.resolve().parents:
        raise CaseStudyError(f"{out_zip} lies inside the folder to be cleaned: name another place with --out.")


def size_of(archive: Path) -> int:
    """Returns the bytes that letters.zip will need at least: photographs hardly get smaller when they are packed."""
    files = archive.rglob("*") if archive.is_dir() else [archive]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def store(target: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = 3  # the same on every machine: files of Unix, readable by all
    info.external_attr = 0o100644 << 16
    target.writestr(info, data, zipfile.ZIP_STORED)


def require_conserved(partial: Path, ledger: Ledger, progress: bool) -> None:
    """Raises ConservationError unless the written zip holds every row's bytes, and nothing else, and can be used.

    It is read as those who get it will: the ledger from its file, every name as systems allow it, every byte.
    """
    if read_ledger(partial) != ledger:
        raise ConservationError("The ledger in the zip does not read as it was written. Nothing was written.")
    with zipfile.ZipFile(partial) as written:
        names = Counter(written.namelist())
        stored = {row.stored_as: row.sha256 for row in ledger.rows if row.stored_as}
        stored |= {row.mended_as: row.mended_sha256 for row in ledger.rows if row.mended_as}
        if names != Counter(["boxes.csv", "ledger.csv", *stored]):
            raise ConservationError("The zip's files are not the ledger's rows. Nothing was written.")
        if odd := next((name for name in names if any(clean_part(part) != part for part in name.split("/"))), None):
            raise ConservationError(f"{odd} is no name that every system can have. Nothing was written.")
        for name, right in watched(stored.items(), "checking", show=progress, total=len(stored)):
            digest = ""
            with suppress(zipfile.BadZipFile):
                digest = hashlib.sha256(written.read(name)).hexdigest()
            if digest != right:
                raise ConservationError(f"{name} is not the bytes that were read. Nothing was written.")
