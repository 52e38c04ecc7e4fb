"""The zip that cleaning writes: the same bytes for the same input, and read back before it gets its name."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tqdm.auto import tqdm

from casestudy.cleaning.errors import CaseStudyError, ConservationError
from casestudy.cleaning.ledger import Ledger

_DATE = (1980, 1, 1, 0, 0, 0)


def check_target(archive: Path, out_zip: Path) -> None:
    if out_zip.is_dir():
        raise CaseStudyError(f"{out_zip} is a folder: name a file with --out.")
    if not out_zip.parent.is_dir():
        raise CaseStudyError(f"There is no folder {out_zip.parent}: make it, or name another place with --out.")
    if archive.is_dir() and archive.resolve() in out_zip.resolve().parents:
        raise CaseStudyError(f"{out_zip} lies inside the folder to be cleaned: name another place with --out.")


def store(target: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = 3  # the same on every machine: files of Unix, readable by all
    info.external_attr = 0o100644 << 16
    target.writestr(info, data, zipfile.ZIP_STORED)


def require_conserved(partial: Path, ledger: Ledger, progress: bool) -> None:
    """Raises ConservationError unless the written zip holds every row's bytes, and nothing else."""
    with zipfile.ZipFile(partial) as written:
        names = Counter(written.namelist())
        stored = [row for row in ledger.rows if row.status != "lost"]
        if names != Counter(["boxes.csv", "ledger.csv", *(row.stored_as for row in stored)]):
            raise ConservationError("The zip's files are not the ledger's rows. Nothing was written.")
        for row in tqdm(stored, desc="checking", unit=" files", disable=not progress, delay=2):
            digest = ""
            with suppress(zipfile.BadZipFile):
                digest = hashlib.sha256(written.read(row.stored_as)).hexdigest()
            if digest != row.sha256:
                raise ConservationError(f"{row.stored_as} is not the bytes of {row.entry}. Nothing was written.")
