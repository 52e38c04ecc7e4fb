"""The ledger: one row for every entry of an archive, saying what became of it."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import operator
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from casestudy.cleaning.lost import how_whole, lost_lines
from casestudy.cleaning.people import look_alikes
from casestudy.cleaning.words import STATUSES, counted, printable

UNUSED_BOXES = ("boxes not used", "0 boxes")  # how the note on a box file begins of which nothing could be used
NAMESAKES = "signer found in "  # begins the note on an image of a signer whose name lies in several folders
RESPELLED = "signer written "  # begins the note on an image whose path has another spelling of its signer
USED = ("kept", "duplicate")  # what a model can be trained on: duplicates are flagged, not removed


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What became of one entry; the fields are the columns of ledger.csv, empty where there is nothing to say.

    What each status means stands in `STATUSES`; those in `USED` are what a model can be trained on.
    """

    entry: str  # its path in the archive, as stored there
    status: str  # one of `STATUSES`
    stored_as: str  # its path in letters.zip
    signer: str = ""  # who is in it, in one spelling
    label: str = ""  # a letter, upper-case, or a word
    part: str = ""  # such as "train", where the data were published in parts
    format: str = ""  # from the content, such as "JPEG"
    width: int | None = None  # in pixels
    height: int | None = None
    bytes: int = 0
    sha256: str = ""
    mended_as: str = ""  # where a mended copy lies in letters.zip, made only where repair was asked for
    mended_sha256: str = ""
    reason: str = ""  # why it is corrupt, keyword first, such as "truncated: …"
    duplicate_of: str = ""  # the entry of the first labelled image with the same bytes
    near_duplicate_of: str = ""  # that of the first one that this seems re-encoded or resized from
    note: str = ""  # what deserves a look: "different label", "different signer", boxes without a photograph …

    @property
    def picture(self) -> str:
        """Where the picture to train on lies in letters.zip: the mended copy, if there is one."""
        return self.mended_as or self.stored_as


_NEEDS_QUOTES = re.compile(r'[",\r\n]|^\s|\s$')
_REPEATED = ("status", "signer", "label", "part", "format")  # columns of few words, each of which is kept once
_COLUMNS = [field.name for field in dataclasses.fields(LedgerRow)]


@dataclass(frozen=True)
class Ledger:
    """All rows, in the order of the archive."""

    rows: tuple[LedgerRow, ...]
    remarks: tuple[str, ...] = field(default=(), compare=False)  # on the archive as a whole; not in ledger.csv
    incomplete: bool = field(default=False, compare=False)  # whether there were entries that nothing lists any more

    def counts(self) -> dict[str, int]:
        """Returns how many rows have each status, in the order of `STATUSES`."""
        found = Counter(row.status for row in self.rows)
        return {status: found[status] for status in STATUSES}

    def labelled(self) -> tuple[LedgerRow, ...]:
        """Returns the rows of sound images with a label."""
        return tuple(row for row in self.rows if row.status in USED)

    def summary(self) -> str:
        """Returns what happened, on one screen."""
        labelled = self.labelled()
        labels, signers = _distinct(row.label for row in labelled), _distinct(row.signer for row in labelled)
        noun = "letter" if all(len(label) == 1 and label.isalpha() for label in labels) else "label"
        photographs, kinds = counted(len(labelled), "photograph"), counted(len(labels), noun)
        people = f"of {counted(len(signers), 'signer')}" if signers else "signers"
        entries, rows_out = counted(len(self.rows), "entry"), counted(len(self.rows), "row")
        lines = [f"{entries} in, {rows_out} out: {how_whole(self.rows, self.incomplete)}"]
        lines += [f"  ! {remark}" for remark in map(printable, self.remarks)]
        lines += _first(lost_lines(self.rows), 12)
        lines.append(f"  {photographs} in {kinds}: {_shorten(labels, 40)}")
        lines.append(f"    {people}: {_shorten(signers, 8) or 'none can be told'}")
        if parts := Counter(row.part for row in labelled if row.part):
            lines.append(f"    published in parts: {', '.join(f'{part} {count:,}' for part, count in parts.items())}")
        for signer, spellings in self._noted(RESPELLED).items():
            lines.append(f"    {signer} is also written {', '.join(spellings)}: taken for one signer")
        for signer, homes in self._noted(NAMESAKES).items():
            lines.append(f"    {signer} is found in {homes[0]}: taken for one signer")
        for alike in look_alikes(signers):
            lines.append(f"    {' and '.join(alike)} look alike, and stay apart: one signer each")
        duplicates = [(row, f"= {row.duplicate_of}") for row in self.rows if row.status == "duplicate"]
        near = [(row, f"~ {row.near_duplicate_of}") for row in labelled if row.near_duplicate_of]
        for pairs, what in (
            (duplicates, "the same as another, byte for byte: flagged and kept"),
            (near, "nearly the same as another: re-encoded, resized, or the next frame of a video"),
            ([(row, row.reason) for row in labelled if row.mended_as], "mended, the originals in _quarantine:"),
            ([(row, "is") for row in labelled if "blank: " in row.note], "perhaps without a picture: look at them"),
        ):
            if pairs:
                lines.append(f"    {len(pairs):,} of them {what}")
                lines += _first([f"{row.entry} {twin}" + (f" ({row.note})" if row.note else "") for row, twin in pairs])
        for status, what in (
            ("repairable", "with every pixel, but not as they should be: in _quarantine; --repair mends them"),
            ("unsupported", "of a kind that is not decoded here: in _quarantine"),
            ("corrupt", "not to be decoded: in _quarantine, bytes untouched"),
            ("unrecognised", "sound, but without a label: in _unrecognised"),
            ("archive", "opened, and in _archives: what they hold has rows of its own"),
            ("sidecar", "of another kind: in _sidecar"),
        ):
            if status == "archive" and not self.counts()[status]:
                continue
            rows = [row for row in self.rows if row.status == status]
            if rows or status not in ("repairable", "unsupported"):
                lines.append(f"  {len(rows):,} {what}" if rows else f"  0 {status}")
            lines += _first([f"{row.entry} ({row.reason or row.note})" for row in rows if row.reason or row.note])
        unused = [f"{row.entry} ({row.note})" for row in self.rows if row.note.startswith(UNUSED_BOXES)]
        if unused:
            lines.append(f"  ! {counted(len(unused), 'box file')} not used: no hand is cut out by them")
            lines += _first(unused)
        return "\n".join(lines)

    def _noted(self, begin: str) -> dict[str, list[str]]:
        """Returns what the notes that begin so go on with, for each signer who has any."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            for note in row.note.split("; "):
                if note.startswith(begin):
                    found.setdefault(row.signer, []).append(note.removeprefix(begin))
        return {signer: _distinct(said) for signer, said in found.items()}

    def to_csv(self) -> str:
        """Returns the ledger as CSV text with a header, lines ended by a newline alone."""
        return "".join(self.csv_lines())

    def csv_lines(self) -> Iterator[str]:
        """Yields the lines of that text."""
        return csv_lines(itertools.chain([_COLUMNS], map(operator.attrgetter(*_COLUMNS), self.rows)))

    def to_json(self) -> dict[str, Any]:
        """Returns counts and rows as plain JSON values."""
        return {
            "schema_version": 1,
            "entries": len(self.rows),
            "counts": self.counts(),
            "remarks": list(self.remarks),
            "incomplete": self.incomplete,
            "photographs": len(self.labelled()),
            "labels": _distinct(row.label for row in self.labelled()),
            "signers": _distinct(row.signer for row in self.labelled()),
            "rows": [dataclasses.asdict(row) for row in self.rows],
        }

    @classmethod
    def from_csv(cls, text: str) -> Ledger:
        """Returns the ledger that `to_csv` wrote."""
        return cls(tuple(parse_rows(io.StringIO(text, newline=""))))


def parse_rows(lines: Iterable[str]) -> Iterator[LedgerRow]:
    """Yields the rows of a ledger.csv, one at a time."""
    for row in csv.DictReader(lines, restval=""):
        found: dict[str, Any] = {name: row[name] for name in row if name in _COLUMNS}
        found |= {name: int(found[name]) if found.get(name) else None for name in ("width", "height", "bytes")}
        found |= {name: sys.intern(found[name]) for name in _REPEATED if name in found}
        yield LedgerRow(**{**found, "bytes": found["bytes"] or 0})


def to_csv(rows: Iterable[Iterable[object]]) -> str:
    r"""Returns rows as CSV, None as an empty cell; which cells have quotes differs between versions of Python's writer.

    >>> to_csv([["Icon\r", None, 'a "b", c']])
    '"Icon\r",,"a ""b"", c"\n'
    """
    return "".join(csv_lines(rows))


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yields the lines of that text: a ledger of a hundred thousand rows is long."""
    return (",".join("" if cell is None else _quoted(str(cell)) for cell in row) + "\n" for row in rows)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _NEEDS_QUOTES.search(cell) else cell


class Picture(NamedTuple):
    """A picture to train on: where it lies in letters.zip, what SHA-256 it has there, and its ledger row."""

    name: str
    sha256: str
    group: int  # equal for (chains of) duplicates
    row: Mapping[str, Any]


def used_pictures(rows: Iterable[Mapping[str, Any]]) -> list[Picture]:
    """Returns the pictures that a model can be trained on, in the order of the ledger: mended copies where there are.

    Args:
        rows: Of a ledger, as dictionaries; those without a label are passed over.

    >>> columns = ("entry", "stored_as", "status", "duplicate_of", "near_duplicate_of")
    >>> rows = [("a", "A", "kept", "", ""), ("b", "B", "kept", "", ""), ("x", "X", "corrupt", "", "")]
    >>> rows += [("c", "C", "duplicate", "a", ""), ("d", "D", "kept", "", "c")]
    >>> [(picture.name, picture.group) for picture in used_pictures(dict(zip(columns, row)) for row in rows)]
    [('A', 0), ('B', 1), ('C', 0), ('D', 0)]
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
    return [
        Picture(row["mended_as"], row["mended_sha256"], root(k), row)
        if row.get("mended_as")
        else Picture(row["stored_as"], row.get("sha256", ""), root(k), row)
        for k, row in enumerate(used)
    ]


def _distinct(names: Iterable[str]) -> list[str]:
    return sorted(set(names) - {""})


def _first(lines: list[str], most: int = 4) -> list[str]:
    """Returns the first lines, indented, and how many more there are."""
    more = [f"… and {len(lines) - most:,} more"] if len(lines) > most else []
    return [f"      {printable(line)}" for line in lines[:most] + more]


def _shorten(names: list[str], most: int) -> str:
    return ", ".join(map(printable, names[:most])) + (f" … and {len(names) - most} more" if len(names) > most else "")
