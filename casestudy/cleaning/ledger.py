"""The ledger: one row for every entry of an archive, saying what became of it."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

STATUSES = ("kept", "duplicate", "corrupt", "sidecar", "unrecognised")
USED = ("kept", "duplicate")  # what a model can be trained on: duplicates are flagged, not removed


@dataclass(frozen=True)
class LedgerRow:
    """What became of one entry; the fields are the columns of ledger.csv.

    Attributes:
        entry: Its path in the archive, as stored there.
        status: "kept"; "duplicate" (the same bytes as an earlier one, flagged and stored all the same); "corrupt"
            (an image by its name or first bytes, but no sound one); "sidecar" (no image at all, carried along);
            "unrecognised" (a sound image whose label cannot be told).
        stored_as: Its path in letters.zip.
        signer: Whose folder it lies in; empty if that cannot be told.
        label: Upper-case; empty if it cannot be told.
        format: From the content, such as "JPEG".
        width: In pixels.
        height: In pixels.
        bytes: Size of the file.
        sha256: Of the file, in hexadecimal.
        phash: 64-bit difference hash of a sound image.
        reason: Of a corrupt one, keyword first, such as "truncated: …".
        duplicate_of: The entry of the first labelled image with the same bytes.
        near_duplicate_of: The entry of the first labelled image that this one seems re-encoded or resized from.
        note: What deserves a look: "different label", "different signer", boxes without a photograph …
    """

    entry: str
    status: str
    stored_as: str
    signer: str = ""
    label: str = ""
    format: str = ""
    width: int | None = None
    height: int | None = None
    bytes: int = 0
    sha256: str = ""
    phash: str = ""
    reason: str = ""
    duplicate_of: str = ""
    near_duplicate_of: str = ""
    note: str = ""


_COLUMNS = [field.name for field in dataclasses.fields(LedgerRow)]
_NUMBERS = ("width", "height", "bytes")


@dataclass(frozen=True)
class Ledger:
    """All rows, in the order of the archive."""

    rows: tuple[LedgerRow, ...]

    def counts(self) -> dict[str, int]:
        """Returns how many rows have each status, in the order of `STATUSES`."""
        found = Counter(row.status for row in self.rows)
        return {status: found[status] for status in STATUSES}

    def labelled(self) -> tuple[LedgerRow, ...]:
        """Returns the rows of sound images with a label: what a model can be trained on."""
        return tuple(row for row in self.rows if row.status in USED)

    def summary(self) -> str:
        """Returns what happened, on one screen."""
        counts, labelled = self.counts(), self.labelled()
        letters = sorted({row.label for row in labelled})
        signers = sorted({row.signer for row in labelled if row.signer})
        near = [row for row in labelled if row.near_duplicate_of]
        duplicates = [row for row in self.rows if row.status == "duplicate"]
        lines = [f"{len(self.rows):,} entries in, {len(self.rows):,} rows out: nothing lost"]
        lines.append(f"  {len(labelled):,} photographs in {len(letters)} letters: {_shorten(letters, 40)}")
        lines.append(
            f"    of {len(signers)} signers: {_shorten(signers, 8)}" if signers else "    signers: none can be told"
        )
        if duplicates:
            lines.append(f"    {len(duplicates):,} of them exact duplicates of another, flagged and kept")
            lines += _list([f"{row.entry} = {row.duplicate_of}{_bracket(row.note)}" for row in duplicates])
        if near:
            lines.append(
                f"    {len(near):,} of them near duplicates: re-encoded, resized, or the next frame of a video"
            )
            lines += _list([f"{row.entry} ~ {row.near_duplicate_of}{_bracket(row.note)}" for row in near])
        for status, what in (
            ("corrupt", "cannot be decoded: in _quarantine, bytes untouched"),
            ("unrecognised", "sound, but without a label: in _unrecognised"),
            ("sidecar", "other files: in _sidecar"),
        ):
            rows = [row for row in self.rows if row.status == status]
            lines.append(f"  {counts[status]:,} {what}" if rows else f"  0 {status}")
            lines += _list([f"{row.entry} ({row.reason or row.note})" for row in rows if row.reason or row.note])
        return "\n".join(lines)

    def to_csv(self) -> str:
        """Returns the ledger as CSV text with a header, lines ended by a newline alone."""
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: getattr(row, name) for name in _COLUMNS} for row in self.rows)
        return text.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Returns counts and rows as plain JSON values."""
        return {
            "schema_version": 1,
            "entries": len(self.rows),
            "counts": self.counts(),
            "photographs": len(self.labelled()),
            "labels": sorted({row.label for row in self.labelled()}),
            "signers": sorted({row.signer for row in self.labelled() if row.signer}),
            "rows": [dataclasses.asdict(row) for row in self.rows],
        }

    @classmethod
    def from_csv(cls, text: str) -> Ledger:
        """Returns the ledger that `to_csv` wrote."""
        rows = []
        for values in csv.DictReader(io.StringIO(text, newline="")):
            row: dict[str, Any] = {**values}
            for name in _NUMBERS:
                row[name] = int(row[name]) if row[name] else None
            rows.append(LedgerRow(**row))
        return cls(tuple(rows))


def duplicate_groups(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Returns a group number for each labelled photograph, by where it is stored: equal for (chains of) duplicates.

    Args:
        rows: Of a ledger, as dictionaries; those without a label are passed over.

    >>> columns = ("entry", "stored_as", "status", "duplicate_of", "near_duplicate_of")
    >>> rows = [("a", "A", "kept", "", ""), ("b", "B", "kept", "", ""), ("x", "X", "corrupt", "", "")]
    >>> rows += [("c", "C", "duplicate", "a", ""), ("d", "D", "kept", "", "c")]
    >>> duplicate_groups(dict(zip(columns, row)) for row in rows)
    {'A': 0, 'B': 1, 'C': 0, 'D': 0}
    """
    used = [row for row in rows if row["status"] in USED]
    first = {row["entry"]: k for k, row in enumerate(used)}
    parent = list(range(len(used)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for k, row in enumerate(used):
        for other in (row["duplicate_of"], row["near_duplicate_of"]):
            if other in first:
                a, b = root(k), root(first[other])
                parent[max(a, b)] = min(a, b)
    return {row["stored_as"]: root(k) for k, row in enumerate(used)}


def _list(lines: list[str], most: int = 4) -> list[str]:
    """Returns the first lines, indented, and how many more there are."""
    more = [f"      … and {len(lines) - most:,} more"] if len(lines) > most else []
    return [f"      {line}" for line in lines[:most]] + more


def _shorten(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" … and {len(names) - most} more" if len(names) > most else "")


def _bracket(text: str) -> str:
    return f" ({text})" if text else ""
