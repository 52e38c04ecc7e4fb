"""Per-user folders in, one letters.zip out: nothing lost, every byte accounted for.

    A/user_3__A0.jpg             sound photographs by letter, exact duplicates included
    _unrecognised/user_2/x.jpg   sound photographs whose letter cannot be told
    _quarantine/user_5/B2.jpg    images that cannot be decoded, bytes untouched
    _sidecar/user_3/notes.txt    everything else
    boxes.csv                    the users' hand boxes, merged
    ledger.csv                   one row for every entry of the archive

Members lie in the order of the archive, uncompressed, with one fixed date, so that the same input gives the same bytes
whatever the number of workers, the decoder or the machine.
"""

from __future__ import annotations

import dataclasses
import os
import zipfile
from collections import Counter, deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tqdm.auto import tqdm

from casestudy.cleaning.archive import open_archive
from casestudy.cleaning.box_files import BoxFile, read_box_file
from casestudy.cleaning.boxes import merge_boxes, shown_size
from casestudy.cleaning.counting import Sum, counted_members, space_for, sum_up
from casestudy.cleaning.desk import Desk
from casestudy.cleaning.errors import CaseStudyError, ConservationError, DataError
from casestudy.cleaning.files import atomic_path, file_digest, reserve
from casestudy.cleaning.ledger import USED, Ledger
from casestudy.cleaning.members import Member, Reader
from casestudy.cleaning.naming import read_place
from casestudy.cleaning.pattern import Pattern
from casestudy.cleaning.screening import Screening, is_meant_as_image, screen
from casestudy.cleaning.storing import cannot_write, check_target, require_conserved, store
from casestudy.cleaning.words import counted

_WINDOW_BYTES = 64 << 20  # read ahead of the screening workers; the memory that a cleaning needs beside the ledger


def clean_archive(
    archive: str | Path,
    out_zip: str | Path | None,
    *,
    password: str | None = None,
    pattern: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Ledger:
    """Writes letters.zip from an archive of per-user folders and returns its ledger, one row for every entry.

    The zip appears under its name only when it is complete and has been read back: as many rows as entries, and every
    stored file with the SHA-256 that it had in the archive. A file that has the name already is left alone: with the
    same bytes all is well, with others it is an error.

    Args:
        archive: Anything that `archive.iter_members` reads.
        out_zip: Where to write; None screens everything and writes nothing.
        password: Of an encrypted archive.
        pattern: A regular expression that replaces the rules of `naming`; its groups are explained there.
        workers: Threads that screen; None takes one a processor, up to eight. It changes nothing in the result.
        progress: Shows a bar on standard error if it takes longer than two seconds.

    Raises:
        ArchiveError: The archive cannot be read whole.
        DataError: It holds no sound photograph with a label.
        CaseStudyError: The pattern or the target cannot be used.
        ConservationError: The finished zip is not what was read.
    """
    archive, compiled = Path(archive), Pattern(pattern) if pattern is not None else None
    if out_zip is not None:
        out_zip = Path(out_zip)
        check_target(archive, out_zip)
    reader = open_archive(archive, password=password)
    found = sum_up(archive, password)
    if out_zip is None:
        return _regroup(reader, found, None, compiled, workers, progress)
    needed = space_for(archive, found)
    try:
        with atomic_path(out_zip) as partial:
            reserve(partial, needed)
            with partial.open("r+b") as file:
                with zipfile.ZipFile(file, "w") as target:
                    ledger = _regroup(reader, found, target, compiled, workers, progress)
                file.truncate()
            _require_labelled(archive, ledger)
            require_conserved(partial, ledger, progress)
            if out_zip.exists() and file_digest(out_zip) != file_digest(partial):
                raise CaseStudyError(f"{out_zip} holds something else: name another file with --out, or remove it.")
    except OSError as error:
        raise cannot_write(out_zip, error, needed) from None
    return ledger


def _regroup(
    reader: Reader,
    found: Sum | None,
    target: zipfile.ZipFile | None,
    pattern: Pattern | None,
    workers: int | None,
    progress: bool,
) -> Ledger:
    """Streams the members through the screening into `target`, and adds boxes.csv and ledger.csv.

    Their number is held against that of `found`, which somebody else counted.
    """
    desk = Desk()
    entries: Counter[str] = Counter()
    box_files: list[BoxFile] = []
    sizes: dict[str, tuple[int, int]] = {}
    bar = tqdm(desc="screening", unit=" files", disable=not progress, delay=2)
    # Closed in order, so that on Ctrl-C the threads have ended before the last word is said.
    with bar, closing(_screen(counted_members(reader, found), workers or min(os.cpu_count() or 1, 8))) as screened:
        for member, screening in screened:
            entries[member.name] += 1
            row = desk.enter(member, screening, read_place(member.name, pattern))
            if row.status == "sidecar" and (box_file := read_box_file(member.name, member.data)):
                box_files.append(box_file)
            elif row.status in USED and row.width and row.height:
                sizes.setdefault(row.entry, shown_size(member.data, row.width, row.height))
            if target is not None:
                store(target, row.stored_as, member.data)
            bar.update()
    if not entries:
        raise DataError("The archive holds no files: there is nothing to clean.")
    rows = desk.finish()
    stored = {row.entry: row.stored_as for row in reversed(rows) if row.status in USED}
    boxes, remarks = merge_boxes(box_files, stored, sizes)
    for k, row in enumerate(rows):
        if row.status == "sidecar" and row.entry in remarks:
            rows[k] = dataclasses.replace(row, note=remarks[row.entry])
    if Counter(row.entry for row in rows) != entries:
        raise ConservationError(f"{counted(entries.total(), 'entry')} came in, {counted(len(rows), 'row')} came out.")
    ledger = Ledger(tuple(rows))
    if target is not None:
        store(target, "boxes.csv", boxes.encode())
        store(target, "ledger.csv", ledger.to_csv().encode())
    return ledger


def _screen(members: Iterator[Member], workers: int) -> Generator[tuple[Member, Screening | None], None, None]:
    """Yields members in their order with what screening found (None for no image), few of them in memory at a time."""
    waiting: deque[tuple[Member, Future[Screening | None]]] = deque()
    ahead = 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="screening")
    try:
        for member in members:
            waiting.append((member, pool.submit(_screen_member, member)))
            ahead += member.size
            while waiting and (len(waiting) > 8 * workers or ahead > _WINDOW_BYTES):
                done, future = waiting.popleft()
                ahead -= done.size
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _screen_member(member: Member) -> Screening | None:
    return screen(member.data) if is_meant_as_image(member.name, member.data) else None


def _require_labelled(archive: Path, ledger: Ledger) -> None:
    if ledger.labelled():
        return
    counts = ", ".join(f"{count} {status}" for status, count in ledger.counts().items() if count)
    first = next((row for row in ledger.rows if row.status in ("unrecognised", "corrupt")), ledger.rows[0])
    why = ": ".join(filter(None, (first.entry, first.reason or first.note)))
    raise DataError(
        f"{archive.name} holds no sound photograph whose letter can be told ({counts}; the first: {why}). "
        "Nothing was written."
    )
