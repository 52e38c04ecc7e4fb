"""What somebody else counts in an archive or folder: not the reader whose count is held against it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from casestudy.cleaning.errors import CaseStudyError, ConservationError
from casestudy.cleaning.ledger import LedgerRow
from casestudy.cleaning.lost import outermost
from casestudy.cleaning.sevenzip import KINDS, ask, seven_zips
from casestudy.cleaning.words import counted

_COUNTED = re.compile(r"(?:\s(\d+)\s+\d*\s+)?\b(\d+) files(?:, \d+ folders)?$")
_OVERHEAD = 800  # bytes in letters.zip for each file: two headers, its name in three places, a row of the ledger
_GROWTH, _SMALL = 200, 64 << 20  # photographs packed to less than one in so many bytes are none, but for small archives


class Sum(NamedTuple):
    """How many files there are and how many bytes they have together, unpacked, as `by` says."""

    by: str
    files: int
    bytes: int


def sum_up(path: Path, password: str | None) -> Sum | None:
    """Returns what a walk finds in a folder, or 7-Zip lists in an archive: links among its files, folders not.

    None where 7-Zip is missing, reports errors, or counts something else than the entries: compressed TARs, TARs with
    something behind their end. Of several volumes the first is given; versions of files are files.
    """
    if path.is_dir():
        sizes = list(_walk(path))
        return Sum("a second walk", len(sizes), sum(sizes))
    if not seven_zips():
        return None
    try:
        status, said, _ = ask(path, password, "l")
    except (CaseStudyError, OSError):
        return None
    kinds = set(re.findall(r"^Type = (.+)$", said, re.MULTILINE))
    found = [match for line in said.rstrip().split("\n")[-8:] if (match := _COUNTED.search(line))]
    if status or not found or not kinds or not kinds <= set(KINDS[:6]) or ("tar" in kinds and "WARNINGS:" in said):
        return None
    return Sum("7-Zip", int(found[-1][2]), int(found[-1][1] or 0))


def space_for(path: Path, password: str | None) -> int:
    """Returns the bytes that letters.zip will need: for what is listed, or at least what the archive itself has."""
    size, found = 0 if path.is_dir() else path.stat().st_size, sum_up(path, password)
    if found is None or (size and found.bytes > max(_SMALL, _GROWTH * size)):  # a damaged size, or no photographs
        return size
    return found.bytes + _OVERHEAD * found.files


def require_counted(archives: Sequence[Path], password: str | None, rows: Sequence[LedgerRow]) -> None:
    """Raises ConservationError unless others count as many entries as there are rows.

    A folder is walked once more, an archive is listed by 7-Zip. What no other counter reads here is not compared.
    """
    others, ours = [sum_up(archive, password) for archive in archives], len(outermost(rows))
    if all(others) and sum(other.files for other in others if other) != ours:
        counts = " and ".join(f"{other.by} counts {other.files:,}" for other in others if other)
        raise ConservationError(
            f"{counted(ours, 'entry')} of {', '.join(path.name for path in archives)} were read, and {counts}. "
            "Nothing was written: unpack it with another program, and pass the folder."
        )


def _walk(folder: Path) -> Iterator[int]:
    """Yields the size of all that is no folder; links are not followed."""
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for one in found:
                    if one.is_dir(follow_symlinks=False):
                        waiting.append(one.path)
                    else:
                        yield one.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # the reader says which
