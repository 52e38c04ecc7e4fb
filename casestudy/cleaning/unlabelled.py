"""Photographs without their labels: what a hidden test hands out."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

from casestudy.cleaning.boxes import COLUMNS
from casestudy.cleaning.errors import DataError
from casestudy.cleaning.files import atomic_path
from casestudy.cleaning.ledger import Ledger, LedgerRow
from casestudy.cleaning.regroup import clean_archive

NAMELESS = "unlabelled"  # every photograph's label, in the zip that students get


def write_unlabelled(archive: Path, target: Path, *, seed: int, pattern: str | None = None) -> dict[str, str]:
    """Returns the label of each photograph in the zip written to `target`, where none of them has one.

    The zip is laid out as a letters.zip, hand boxes included; names and order tell nothing.

    Args:
        archive: Labelled photographs that students have never seen.
        target: A new file.
        seed: Decides the order.
        pattern: See `clean_archive`.

    Raises:
        DataError: `target` is there already, or the archive has no labelled photograph.
    """
    if target.exists():
        raise DataError(f"A hidden test is never overwritten; {target} is there already. Name another place.")
    with tempfile.TemporaryDirectory() as scratch:
        letters = Path(scratch) / "letters.zip"
        usable = clean_archive(archive, letters, pattern=pattern).labelled()
        order = np.random.default_rng(seed).permutation(len(usable))
        chosen = [usable[k] for k in order]
        names = [f"{NAMELESS}/{k:05d}{PurePosixPath(row.stored_as).suffix}" for k, row in enumerate(chosen)]
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            zipfile.ZipFile(letters) as source,
            atomic_path(target) as partial,
            zipfile.ZipFile(partial, "w") as hidden,
        ):
            boxes = csv.DictReader(io.StringIO(source.read("boxes.csv").decode()))
            corners = {box["image"]: [box[column] for column in COLUMNS[1:]] for box in boxes}
            rows = []
            for name, row in zip(names, chosen, strict=True):
                hidden.writestr(zipfile.ZipInfo(name), source.read(row.stored_as))
                rows.append(LedgerRow(name, "kept", name, label=NAMELESS, bytes=row.bytes, sha256=row.sha256))
            hidden.writestr(zipfile.ZipInfo("ledger.csv"), Ledger(tuple(rows)).to_csv())
            found = [
                (name, *corners[row.stored_as])
                for name, row in zip(names, chosen, strict=True)
                if row.stored_as in corners
            ]
            if found:
                text = io.StringIO()
                csv.writer(text, lineterminator="\n").writerows([COLUMNS, *found])
                hidden.writestr(zipfile.ZipInfo("boxes.csv"), text.getvalue())
    return {name: row.label for name, row in zip(names, chosen, strict=True)}
