"""Where entries become rows of the ledger."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile

import numpy as np

from casestudy.cleaning.layout import Place
from casestudy.cleaning.ledger import LedgerRow
from casestudy.cleaning.members import Member
from casestudy.cleaning.near import SIDE, first_matches, is_blank
from casestudy.cleaning.screening import Screening
from casestudy.cleaning.stored_names import UniqueNames, clean_part, clean_path, why_renamed

_FOLDERS = {
    **dict.fromkeys(("repairable", "unsupported", "corrupt"), "_quarantine"),
    "archive": "_archives",
    "sidecar": "_sidecar",
    "unrecognised": "_unrecognised",
}


class Desk:
    """Where entries become rows: it knows which names are taken and which pictures were seen."""

    def __init__(self, *, repair: bool = False) -> None:
        self._repair = repair
        self._rows: list[LedgerRow] = []
        self._twins: list[int | None] = []  # the row that this one repeats, exactly or nearly
        self._names = UniqueNames(["boxes.csv", "ledger.csv"])
        self._first: dict[str, int] = {}  # SHA-256 of a kept image, as mended → its row
        self._kept: list[int] = []  # rows of the thumbnails in `_smalls`
        self._smalls = tempfile.TemporaryFile()  # noqa: SIM115 - on disk: of ten million images they are 2.6 GB

    def enter(self, member: Member, screening: Screening | None, place: Place) -> LedgerRow:
        """Returns the row of one entry, complete but for what other rows show; see `finish`."""
        digest = used = member.sha256
        twin = None
        mended = self._repair and screening is not None and screening.status == "repairable" and bool(place.label)
        if screening is not None and mended:
            used = hashlib.sha256(screening.mended).hexdigest()
        if member.lost or member.opened:
            status = "lost" if member.lost else "archive"
        elif screening is None:
            status = "sidecar"
        elif screening.reason is not None and not mended:
            status = screening.status
        elif not place.label:
            status = "unrecognised"
        elif used in self._first:
            status, twin = "duplicate", self._first[used]
        else:
            status = "kept"
            self._first[used] = len(self._rows)
            if not is_blank(screening.thumbnail):  # blank ones would all be copies of one another
                self._smalls.write(screening.thumbnail)
                self._kept.append(len(self._rows))
        kept_as = "repairable" if mended else status
        first = "" if twin is None else self._rows[twin].entry
        found = Screening(member.lost) if member.lost else screening or Screening(None)
        row = LedgerRow(
            entry=member.name,
            status=status,
            stored_as="" if member.lost else self._names.claim(_stored_name(member.name, kept_as, place)),
            signer=place.signer,
            label="" if screening is None else place.label,
            part=place.part,
            format=found.format,
            width=found.width,
            height=found.height,
            bytes=member.size,
            sha256="" if member.lost else digest,
            mended_as=self._names.claim(_stored_name(member.name, status, place)) if mended else "",
            mended_sha256=used if mended else "",
            reason=found.reason or "",
            duplicate_of=first,
            note="; ".join(filter(None, (member.note, "" if screening is None else place.remark, found.note))),
        )
        self._rows.append(row)
        self._twins.append(twin)
        return row

    def finish(self) -> list[LedgerRow]:
        """Returns all rows, with what depends on two of them: near duplicates, and remarks."""
        self._smalls.flush()
        if self._kept:
            smalls = np.memmap(self._smalls, np.uint8, "r", shape=(len(self._kept), SIDE * SIDE))
            for k, twin in zip(self._kept, first_matches(smalls).tolist(), strict=True):
                if twin >= 0:
                    self._twins[k] = first = self._kept[twin]
                    self._rows[k] = dataclasses.replace(self._rows[k], near_duplicate_of=self._rows[first].entry)
        for k, twin in enumerate(self._twins):
            row = self._rows[k]
            notes = [row.note, why_renamed(row.entry, row.stored_as)]
            if twin is not None:
                notes.append("different label" if row.label != self._rows[twin].label else "")
                notes.append("different signer" if row.signer != self._rows[twin].signer else "")
            if note := "; ".join(filter(None, notes)):
                self._rows[k] = dataclasses.replace(row, note=note)
        return self._rows


def _stored_name(entry: str, status: str, place: Place) -> str:
    if status in _FOLDERS:
        return f"{_FOLDERS[status]}/{clean_path(entry)}"
    file_name = entry.replace("\\", "/").rpartition("/")[2]
    return f"{place.label}/" + clean_part(f"{place.folder}__{file_name}" if place.folder else file_name)
