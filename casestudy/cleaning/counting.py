"""How many entries somebody else counts: a listing that shares nothing with the reading it is compared with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from casestudy.cleaning.errors import ConservationError
from casestudy.cleaning.ledger import LedgerRow
from casestudy.cleaning.lost import outermost
from casestudy.cleaning.sevenzip import count_elsewhere
from casestudy.cleaning.words import counted


def require_counted(archives: Sequence[Path], password: str | None, rows: Sequence[LedgerRow]) -> None:
    """Raises ConservationError unless others count as many entries as there are rows.

    A folder is walked once more, an archive is listed by 7-Zip. What no other counter reads here is not compared.
    """
    others = [_count(archive, password) for archive in archives]
    ours = len(outermost(rows))
    if all(other is not None for other in others):
        theirs = sum(other[1] for other in others if other)
        if theirs != ours:
            names = " and ".join(dict.fromkeys(other[0] for other in others if other))
            raise ConservationError(
                f"{counted(ours, 'entry')} of {', '.join(path.name for path in archives)} were read, and {names} "
                f"counts {theirs:,}. Nothing was written: unpack it with another program, and pass the folder."
            )


def _count(archive: Path, password: str | None) -> tuple[str, int] | None:
    if archive.is_dir():
        return "a second walk", _walked(archive)
    return count_elsewhere(archive, password)


def _walked(folder: str | os.PathLike[str]) -> int:
    with os.scandir(folder) as entries:
        return sum(_walked(entry) if entry.is_dir(follow_symlinks=False) else 1 for entry in entries)
