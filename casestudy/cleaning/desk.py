"""Where entries become rows of the ledger."""

from __future__ import annotations

import dataclasses
import hashlib

from casestudy.cleaning.ledger import LedgerRow
from casestudy.cleaning.members import Member
from casestudy.cleaning.naming import Place, find_owner, find_signers
from casestudy.cleaning.screening import NearDuplicates, Screening
from casestudy.cleaning.stored_names import UniqueNames, clean_part, clean_path, why_renamed

_FOLDERS = {"corrupt": "_quarantine", "sidecar": "_sidecar", "unrecognised": "_unrecognised"}


class Desk:
    """Where entries become rows: it knows which names are taken and which pictures were seen."""

    def __init__(self) -> None:
        self._rows: list[LedgerRow] = []
        self._places: list[Place] = []
        self._twins: list[int | None] = []  # the row that this one repeats, exactly or nearly
        self._names = UniqueNames(["boxes.csv", "ledger.csv"])
        self._first: dict[str, int] = {}  # SHA-256 of a kept image → its row
        self._kept: list[int] = []  # rows in the order in which `_near` counts
        self._near = NearDuplicates()

    def enter(self, member: Member, screening: Screening | None, place: Place) -> LedgerRow:
        """Returns the row of one entry, complete but for what only the whole archive shows; see `finish`."""
        digest = hashlib.sha256(member.data).hexdigest()
        twin = None
        if screening is None:
            status = "sidecar"
        elif screening.reason is not None:
            status = "corrupt"
        elif not place.label:
            status = "unrecognised"
        elif digest in self._first:
            status, twin = "duplicate", self._first[digest]
        else:
            status, near = "kept", self._near.find_or_add(screening.thumbnail)
            twin = None if near is None else self._kept[near]
            self._first[digest] = len(self._rows)
            self._kept.append(len(self._rows))
        first = "" if twin is None else self._rows[twin].entry
        found = screening or Screening(None)
        row = LedgerRow(
            entry=member.name,
            status=status,
            stored_as=self._names.claim(_stored_name(member.name, status, place)),
            label="" if screening is None else place.label,
            format=found.format,
            width=found.width,
            height=found.height,
            bytes=member.size,
            sha256=digest,
            reason=found.reason or "",
            duplicate_of=first if status == "duplicate" else "",
            near_duplicate_of=first if status == "kept" else "",
            note="" if screening is None else place.remark,
        )
        self._rows.append(row)
        self._places.append(place)
        self._twins.append(twin)
        return row

    def finish(self) -> list[LedgerRow]:
        """Returns all rows, with the signers judged over the whole archive and the remarks that depend on them."""
        signers = find_signers(self._places)
        names = []
        for row, place in zip(self._rows, self._places, strict=True):
            by_place = place.signer if place.signer in signers else ""
            names.append(by_place if place.label else find_owner(row.entry, signers))
        rows = []
        for row, signer, twin in zip(self._rows, names, self._twins, strict=True):
            notes = [row.note, why_renamed(row.entry, row.stored_as)]
            if twin is not None:
                notes.append("different label" if row.label != self._rows[twin].label else "")
                notes.append("different signer" if signer != names[twin] else "")
            rows.append(dataclasses.replace(row, signer=signer, note="; ".join(filter(None, notes))))
        return rows


def _stored_name(entry: str, status: str, place: Place) -> str:
    if status in _FOLDERS:
        return f"{_FOLDERS[status]}/{clean_path(entry)}"
    file_name = entry.replace("\\", "/").rpartition("/")[2]
    return f"{place.label}/" + clean_part(f"{place.folder}__{file_name}" if place.folder else file_name)
