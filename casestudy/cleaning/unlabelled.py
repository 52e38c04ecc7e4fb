"""Photographs without their labels: what a hidden test hands out.

Nothing but the pictures themselves may tell a label. So names and order come from a secret that is made for this one
zip and kept nowhere, what cameras and programs write into a file is taken out, and all files are of one kind.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import secrets
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from casestudy.cleaning.bare import bare_jpeg, bare_png
from casestudy.cleaning.boxes import COLUMNS
from casestudy.cleaning.errors import DataError
from casestudy.cleaning.files import atomic_path
from casestudy.cleaning.ledger import Ledger, LedgerRow, to_csv
from casestudy.cleaning.near import SIDE, first_matches
from casestudy.cleaning.regroup import clean_archive
from casestudy.cleaning.screening import screen
from casestudy.cleaning.words import counted

NAMELESS = "unlabelled"  # every photograph's label, in the zip that students get


def write_unlabelled(
    archive: Path, target: Path, *, known: Path | None = None, pattern: str | None = None, layout: str | None = None
) -> dict[str, tuple[str, str]]:
    """Returns the label and the signer of each photograph in the zip written to `target`, where none of them has one.

    The zip is laid out as a letters.zip, hand boxes included. A photograph that is there twice is handed out once, and
    not at all where its copies have two labels. Two calls give two orders: the secret is forgotten.

    Args:
        archive: Labelled photographs that students have never seen.
        target: A new file.
        known: The letters.zip of what students have.
        pattern: As for `clean_archive`.
        layout: As for `clean_archive`.

    Raises:
        DataError: `target` is there already, the archive has no labelled photograph, or students have one of them.
    """
    if target.exists():
        raise DataError(f"A hidden test is never overwritten; {target} is there already. Name another place.")
    with tempfile.TemporaryDirectory() as scratch:
        letters = Path(scratch) / "letters.zip"
        usable = _once(clean_archive(archive, letters, pattern=pattern, layout=layout).labelled())
        with zipfile.ZipFile(letters) as source:
            if known is not None:
                _refuse_known(source, usable, known)
            secret = secrets.token_bytes(32)
            drawn = {hmac.new(secret, row.sha256.encode(), hashlib.sha256).hexdigest()[:20]: row for row in usable}
            alike = all(bare_jpeg(source.read(row.picture)) for row in usable)
            kind, make = ("jpg", bare_jpeg) if alike else ("png", bare_png)
            chosen = {f"{NAMELESS}/{drawn_name}.{kind}": drawn[drawn_name] for drawn_name in sorted(drawn)}
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as partial, zipfile.ZipFile(partial, "w") as hidden:
                rows = []
                for name, row in chosen.items():
                    data = make(source.read(row.picture)) or b""
                    hidden.writestr(zipfile.ZipInfo(name), data)
                    digest = hashlib.sha256(data).hexdigest()
                    rows.append(LedgerRow(name, "kept", name, label=NAMELESS, bytes=len(data), sha256=digest))
                hidden.writestr(zipfile.ZipInfo("ledger.csv"), Ledger(tuple(rows)).to_csv())
                boxes = {box[0]: box[1:] for box in csv.reader(io.StringIO(source.read("boxes.csv").decode()))}
                found = [
                    (name, *map(_number, boxes[row.picture])) for name, row in chosen.items() if row.picture in boxes
                ]
                if found:
                    hidden.writestr(zipfile.ZipInfo("boxes.csv"), to_csv([COLUMNS, *found]))
    return {name: (row.label, row.signer) for name, row in chosen.items()}


def _number(cell: str) -> str:
    return f"{float(cell):g}"  # who drew a box tells by its zeros, too


def _once(rows: Iterable[LedgerRow]) -> list[LedgerRow]:
    """Returns the first row of every content; none where its copies have two labels."""
    labels: dict[str, set[str]] = {}
    first: dict[str, LedgerRow] = {}
    for row in rows:
        labels.setdefault(row.sha256, set()).add(row.label)
        first.setdefault(row.sha256, row)
    return [row for digest, row in first.items() if len(labels[digest]) == 1]


def _refuse_known(hidden: zipfile.ZipFile, rows: list[LedgerRow], known: Path) -> None:
    """Raises a DataError where a photograph is one of `known`: the same bytes, nearly the same, or its mirror image."""
    with zipfile.ZipFile(known) as letters:
        theirs = Ledger.from_csv(letters.read("ledger.csv").decode()).rows
        digests = {row.sha256: row.picture for row in theirs if row.sha256}
        smalls, names = [], []
        for row in theirs:
            if thumbnail := screen(letters.read(row.picture)).thumbnail if row.format else b"":
                smalls += [thumbnail, _mirrored(thumbnail)]
                names += [row.picture] * 2
    smalls += [screen(hidden.read(row.picture)).thumbnail for row in rows]
    found = first_matches(np.frombuffer(b"".join(smalls), np.uint8).reshape(-1, SIDE * SIDE)).tolist()
    seen = {}
    for row, place in zip(rows, found[len(names) :], strict=True):
        twin = digests.get(row.sha256) or (names[place] if 0 <= place < len(names) else None)
        if twin:
            seen[row.entry] = twin
    if seen:
        entry, twin = next(iter(seen.items()))
        raise DataError(
            f"Nobody may have seen the photographs of a hidden test; students have {len(seen):,} of these "
            f"{counted(len(rows), 'photograph')}, such as {entry} (it is {twin}). Take them out."
        )


def _mirrored(thumbnail: bytes) -> bytes:
    side = round(len(thumbnail) ** 0.5)
    return b"".join(thumbnail[k : k + side][::-1] for k in range(0, len(thumbnail), side))
