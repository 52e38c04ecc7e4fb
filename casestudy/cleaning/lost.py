"""What a ledger says of entries that are lost, and of those that lie in others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from casestudy.cleaning.words import counted

if TYPE_CHECKING:
    from casestudy.cleaning.ledger import LedgerRow


def to_rebuild(rows: Sequence[LedgerRow]) -> list[LedgerRow]:
    """Returns the rows that make the original tree again: not what is lost, nor what lies in an archive of it."""
    return [row for row in outermost(rows) if row.status != "lost"]


def outermost(rows: Sequence[LedgerRow]) -> list[LedgerRow]:
    """Returns the rows of what the archive itself lists: those in archives inside it follow these, and are left out."""
    found, archive = [], ""
    for row in rows:
        if archive and row.entry.startswith(f"{archive}/"):
            continue
        archive = row.entry if row.status == "archive" else ""
        found.append(row)
    return found


def how_whole(rows: Sequence[LedgerRow], incomplete: bool) -> str:
    """Returns whether anything is lost, in a few words."""
    lost = sum(row.status == "lost" for row in rows)
    more = "and what nothing lists any more is lost, too" if incomplete else ""
    if not lost:
        return more.removesuffix(", too") or "nothing lost"
    return f"{counted(lost, 'entry')} lost" + (f", {more}" if more else "")


def lost_lines(rows: Sequence[LedgerRow]) -> list[str]:
    """Returns what is lost, by person and letter; of what has no letter, its path and the reason."""
    by_signer: defaultdict[str, Counter[str]] = defaultdict(Counter)
    others = []
    for row in (row for row in rows if row.status == "lost"):
        if row.label:
            by_signer[row.signer][row.label] += 1
        else:
            others.append(f"lost: {row.entry} ({row.reason})")
    told = []
    for signer, labels in by_signer.items():
        times = [label if count == 1 else f"{label} ({count:,} times)" for label, count in sorted(labels.items())]
        told.append(f"lost of {signer or 'nobody known'}: {', '.join(times)}")
    return told + others
