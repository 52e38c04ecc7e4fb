"""Where entries become rows of the ledger."""

from __future__ import annotations

import dataclasses
import hashlib

from casestudy.cleaning.layout import Place
from casestudy.cleaning.ledger import LedgerRow
from casestudy.cleaning.members import Member
from casestudy.cleaning.near import NearDuplicates, is_blank
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
        self._kept: list[int] = []  # rows in the order in which `_near` counts
        self._near = NearDuplicates()

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
                near = self._near.find_or_add(screening.thumbnail)
                twin = None if near is None else self._kept[near]
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
            duplicate_of=first if status == "duplicate" else "",
            near_duplicate_of=first if status == "kept" else "",
            note="; ".join(filter(None, (member.note, "" if screening is None else place.remark, found.note))),
        )
        self._rows.append(row)
        self._twins.append(twin)
        return row

    def finish(self) -> list[LedgerRow]:
        """Returns all rows, with the remarks that depend on two of them."""
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
