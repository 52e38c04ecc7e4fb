"""Photographs without their labels: what a hidden test hands out."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from casestudy.cleaning.boxes import to_csv
from casestudy.cleaning.errors import DataError
from casestudy.cleaning.files import atomic_path
from casestudy.cleaning.ledger import Ledger, LedgerRow
from casestudy.cleaning.regroup import clean_archive

NAMELESS = "unlabelled"  # every photograph's label, in the zip that students get


def write_unlabelled(
    archive: Path, target: Path, *, seed: int, pattern: str | None = None, layout: str | None = None
) -> dict[str, str]:
    """Returns the label of each photograph in the zip written to `target`, where none of them has one.

    The zip is laid out as a letters.zip, hand boxes included; names and order tell nothing.

    Args:
        archive: Labelled photographs that students have never seen.
        target: A new file.
        seed: Decides the order.
        pattern: As for `clean_archive`.
        layout: As for `clean_archive`.

    Raises:
        DataError: `target` is there already, or the archive has no labelled photograph.
    """
    if target.exists():
        raise DataError(f"A hidden test is never overwritten; {target} is there already. Name another place.")
    with tempfile.TemporaryDirectory() as scratch:
        letters = Path(scratch) / "letters.zip"
        usable = clean_archive(archive, letters, pattern=pattern, layout=layout).labelled()
        order = np.random.default_rng(seed).permutation(len(usable))
        chosen = {f"{NAMELESS}/{k:05d}{Path(usable[j].picture).suffix}": usable[j] for k, j in enumerate(order)}
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            zipfile.ZipFile(letters) as source,
            atomic_path(target) as partial,
            zipfile.ZipFile(partial, "w") as hidden,
        ):
            rows = []
            for name, row in chosen.items():
                hidden.writestr(zipfile.ZipInfo(name), picture := source.read(row.picture))
                digest = row.mended_sha256 or row.sha256
                rows.append(LedgerRow(name, "kept", name, label=NAMELESS, bytes=len(picture), sha256=digest))
            hidden.writestr(zipfile.ZipInfo("ledger.csv"), Ledger(tuple(rows)).to_csv())
            boxes = {box[0]: box[1:] for box in csv.reader(io.StringIO(source.read("boxes.csv").decode()))}
            found = [(name, *boxes[row.picture]) for name, row in chosen.items() if row.picture in boxes]
            if found:
                hidden.writestr(zipfile.ZipInfo("boxes.csv"), to_csv(found))
    return {name: row.label for name, row in chosen.items()}
