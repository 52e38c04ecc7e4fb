"""Per-user folders in, one letters.zip out: nothing lost, every byte accounted for.

    A/user_3__A0.jpg             sound photographs by label, exact duplicates included
    _unrecognised/user_2/x.jpg   sound photographs whose label cannot be told
    _quarantine/user_5/B2.jpg    images that cannot be decoded as they are, bytes untouched
    _archives/user_7.rar         archives that were opened: what they held lies where it belongs
    _sidecar/user_3/notes.txt    everything else
    boxes.csv                    the users' hand boxes, merged
    ledger.csv                   one row for every entry of the archive

Members lie in the order of the archive, uncompressed, with one fixed date, so that the same input gives the same bytes
whatever the number of workers, the decoder or the machine.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain, zip_longest
from pathlib import Path

from casestudy.cleaning.box_files import BoxFile, read_box_file
from casestudy.cleaning.boxes import merge_boxes, shown_size
from casestudy.cleaning.counting import require_counted, space_for
from casestudy.cleaning.desk import Desk
from casestudy.cleaning.errors import CaseStudyError, ConservationError, DataError
from casestudy.cleaning.files import atomic_path, file_digest, reserve
from casestudy.cleaning.ledger import USED, Ledger, LedgerRow
from casestudy.cleaning.members import Member, Reader
from casestudy.cleaning.naming import find_layout
from casestudy.cleaning.pattern import Pattern
from casestudy.cleaning.pixels import quiet
from casestudy.cleaning.progress import watched
from casestudy.cleaning.screening import Screening, is_meant_as_image, screen
from casestudy.cleaning.several import as_paths, open_archives
from casestudy.cleaning.storing import cannot_write, check_target, require_conserved, store
from casestudy.cleaning.words import counted

Screened = tuple[str, int, Screening | None]  # an entry's name and bytes, and what was found of it
Each = Callable[[Callable[[Path], list[Screened]], Sequence[Path]], Iterable[list[Screened]]]
_WINDOW_BYTES = 64 << 20  # read ahead of the screening workers; the memory that a cleaning needs beside the ledger


def clean_archive(
    archive: str | Path | Sequence[str | Path],
    out_zip: str | Path | None,
    *,
    password: str | None = None,
    salvage: bool = False,
    pattern: str | None = None,
    layout: str | None = None,
    repair: bool = False,
    workers: int | None = None,
    progress: bool = True,
    each: Each | None = None,
) -> Ledger:
    """Writes letters.zip from an archive of per-user folders and returns its ledger, one row for every entry.

    The zip appears under its name only when it is complete and has been read back: as many rows as entries, and every
    stored file with the SHA-256 that it had in the archive. A file that has the name already is left alone: with the
    same bytes all is well, with others it is an error.

    Args:
        archive: Anything that `archive.iter_members` reads, or several: entries of a.rar are called "a.rar/…" then.
        out_zip: Where to write; None screens everything and writes nothing.
        password: Of an encrypted archive.
        salvage: Keeps what is sound of a damaged archive; each entry that is not gets a row, with the status "lost".
        pattern: A regular expression that replaces the rules of `naming`; its groups are explained there.
        layout: The same in words, such as "signer/label"; see `named_layouts`.
        repair: Stores a mended copy of each image that lacks nothing but order (an end mark, say) under its label;
            the original lies in _quarantine. Without it, such images are not used.
        workers: Threads that screen; None takes one a processor, up to eight. It changes nothing in the result.
        progress: Shows a bar on standard error if it takes longer than two seconds.
        each: Screens the archives elsewhere: gives what a function returns for each of them, in their order. They are
            read here once more, to be stored.

    Raises:
        ArchiveError: The archive cannot be read whole.
        DataError: It holds no sound photograph with a label.
        CaseStudyError: The pattern, the layout or the target cannot be used, or two readings of the names fit.
        ConservationError: The finished zip is not what was read.
    """
    said = (Pattern(pattern) if pattern is not None else None, layout)
    reader = open_archives(archive, password=password, salvage=salvage)
    how = functools.partial(screen_archive, password=password, salvage=salvage)
    found = None if each is None else each(how, as_paths(archive))
    if out_zip is None:
        ledger = _regroup(reader, None, said, repair, workers, progress, found)
        _require_counted(archive, password, ledger, salvage)
        return ledger
    out_zip = Path(out_zip)
    for path in as_paths(archive):
        check_target(path, out_zip)
    needed = sum(space_for(path, password) for path in as_paths(archive))
    try:
        with atomic_path(out_zip) as partial:
            reserve(partial, needed)
            with partial.open("r+b") as file:
                with zipfile.ZipFile(file, "w") as target:
                    ledger = _regroup(reader, target, said, repair, workers, progress, found)
                del target  # with an index that grows with the archive; what follows reads it from the file
                file.truncate()
            _require_labelled(reader.path, ledger)
            require_conserved(partial, ledger, progress)
            _require_counted(archive, password, ledger, salvage)
            if out_zip.exists() and file_digest(out_zip) != file_digest(partial):
                raise CaseStudyError(f"{out_zip} holds something else: name another file with --out, or remove it.")
    except OSError as error:
        raise cannot_write(out_zip, error, needed) from None
    return ledger


def _regroup(
    reader: Reader,
    target: zipfile.ZipFile | None,
    said: tuple[Pattern | None, str | None],
    repair: bool,
    workers: int | None,
    progress: bool,
    found: Iterable[list[Screened]] | None = None,
) -> Ledger:
    """Streams the members through the screening into `target`, and adds boxes.csv and ledger.csv."""
    names = reader.names()
    layout = find_layout(names, *said, read=lambda names: _contents(reader, names))
    desk = Desk(repair=repair)
    entries: Counter[str] = Counter()
    box_files: list[BoxFile] = []
    turned: dict[int, tuple[int, int]] = {}  # sizes as shown, by row, where they are others than stored
    # Closed in order, so that on Ctrl-C the threads have ended before the last word is said.
    members, threads = reader.members(), workers or min(os.cpu_count() or 1, 8)
    with quiet(), closing(_screen(members, threads) if found is None else _beside(members, found)) as screened:
        for k, (member, screening) in enumerate(watched(screened, "screening", show=progress, total=len(names))):
            entries[member.name] += 1
            row = desk.enter(member, screening, layout.place(member.name))
            if row.status == "sidecar" and (box_file := read_box_file(member.name, member.data)):
                box_files.append(box_file)
            elif row.status in USED and row.width and row.height:
                shown = shown_size(member.data, row.width, row.height)
                turned |= {k: shown} if shown != (row.width, row.height) else {}
            if target is not None and row.stored_as:
                store(target, row.stored_as, [member.data])
                if row.mended_as and screening is not None:
                    store(target, row.mended_as, [screening.mended])
    if not entries:
        raise DataError("The archive holds no files: there is nothing to clean.")
    rows = desk.finish()
    boxes, remarks = _boxes(box_files, rows, turned)
    for k, row in enumerate(rows):
        if row.status == "sidecar" and row.entry in remarks:
            rows[k] = dataclasses.replace(row, note=remarks[row.entry])
    if Counter(row.entry for row in rows) != entries:
        raise ConservationError(f"{counted(entries.total(), 'entry')} came in, {counted(len(rows), 'row')} came out.")
    ledger = Ledger(tuple(rows), tuple(reader.remarks), reader.incomplete)
    if target is not None:
        store(target, "boxes.csv", [boxes.encode()])
        store(target, "ledger.csv", map(str.encode, ledger.csv_lines()))
    return ledger


def _boxes(
    files: list[BoxFile], rows: list[LedgerRow], turned: dict[int, tuple[int, int]]
) -> tuple[str, dict[str, str]]:
    """Returns boxes.csv and the remarks on box files; of entries with one name, the first is meant."""
    if not files:
        return merge_boxes([], {})
    used = [(k, row) for k, row in reversed(list(enumerate(rows))) if row.status in USED]
    sizes = {row.entry: turned.get(k, (row.width, row.height)) for k, row in used if row.width and row.height}
    return merge_boxes(files, {row.entry: row.picture for _, row in used}, sizes)


def _require_counted(
    archive: str | Path | Sequence[str | Path], password: str | None, ledger: Ledger, salvage: bool
) -> None:
    if not salvage:  # then more is listed than others see
        require_counted(as_paths(archive), password, ledger.rows)


def _contents(reader: Reader, names: list[str]) -> dict[str, bytes]:
    """Returns what some entries hold, before all are read in their order."""
    found: dict[str, bytes] = {}
    for member in reader.members():
        if member.name in names:
            found[member.name] = member.data
            if len(found) == len(set(names)):
                break
    return found


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


def screen_archive(archive: Path, *, password: str | None, salvage: bool) -> list[Screened]:
    """Returns name, size and what screening finds of each entry of an archive, in their order; None for no image."""
    reader = open_archives(archive, password=password, salvage=salvage)
    with quiet(), closing(_screen(reader.members(), 1)) as screened:
        return [(member.name, member.size, screening) for member, screening in screened]


def _beside(
    members: Iterator[Member], found: Iterable[list[Screened]]
) -> Generator[tuple[Member, Screening | None], None, None]:
    """Yields members with what was found of them elsewhere; a ConservationError says that it was of others."""
    for member, told in zip_longest(members, chain.from_iterable(found)):
        if member is None or told is None or not member.name.endswith(told[0]) or member.size != told[1]:
            named = member.name if member is not None else told[0]
            raise ConservationError(f"{named} was another file when it was screened: nobody may change the archives.")
        yield member, told[2]


def _screen_member(member: Member) -> Screening | None:
    return screen(member.data) if is_meant_as_image(member.name, member.data) else None


def _require_labelled(archive: Path, ledger: Ledger) -> None:
    if ledger.labelled():
        return
    counts = ", ".join(f"{count} {status}" for status, count in ledger.counts().items() if count)
    first = next((row for row in ledger.rows if row.reason or row.status == "unrecognised"), ledger.rows[0])
    why = ": ".join(filter(None, (first.entry, first.reason or first.note)))
    raise DataError(
        f"{archive.name} holds no sound photograph whose label can be told ({counts}; the first: {why}). "
        "Nothing was written."
    )
