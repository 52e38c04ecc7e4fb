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
import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from casestudy.cleaning.box_files import BoxFile, read_box_file
from casestudy.cleaning.boxes import merge_boxes
from casestudy.cleaning.counting import require_counted, space_for
from casestudy.cleaning.desk import Desk
from casestudy.cleaning.errors import CaseStudyError, ConservationError, DataError
from casestudy.cleaning.files import MOST_TABLE, atomic_path, file_digest, reserve
from casestudy.cleaning.ledger import USED, Ledger, LedgerRow
from casestudy.cleaning.members import Reader
from casestudy.cleaning.naming import find_layout
from casestudy.cleaning.pattern import Pattern
from casestudy.cleaning.pixels import quiet
from casestudy.cleaning.progress import watched
from casestudy.cleaning.several import as_paths, open_archives
from casestudy.cleaning.shards import Each, Shards, screened
from casestudy.cleaning.storing import cannot_write, check_target, require_conserved, store
from casestudy.cleaning.words import counted


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
    beside: tuple[Each, Path] | None = None,
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
        beside: What does a function's tasks elsewhere, and the folder for what they write: each archive is read there,
            as its shard, and the shards are joined here. They are removed in the end; a call that was stopped goes on.

    Raises:
        ArchiveError: The archive cannot be read whole.
        DataError: It holds no sound photograph with a label.
        CaseStudyError: The pattern, the layout or the target cannot be used, or two readings of the names fit.
        ConservationError: The finished zip is not what was read.
    """
    said = (Pattern(pattern) if pattern is not None else None, layout)
    reader = open_archives(archive, password=password, salvage=salvage)
    shards = None if beside is None else Shards(as_paths(archive), beside, password=password, salvage=salvage)
    if out_zip is None:
        ledger = _regroup(reader, None, said, repair, workers, progress, shards)
        _require_counted(archive, password, ledger, salvage)
        if shards:
            shards.remove()
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
                    ledger = _regroup(reader, target, said, repair, workers, progress, shards)
                del target  # with an index that grows with the archive; what follows reads it from the file
                file.truncate()
            _require_labelled(reader.path, ledger)
            require_conserved(partial, ledger, progress)
            _require_counted(archive, password, ledger, salvage)
            if out_zip.exists() and file_digest(out_zip) != file_digest(partial):
                raise CaseStudyError(f"{out_zip} holds something else: name another file with --out, or remove it.")
    except OSError as error:
        raise cannot_write(out_zip, error, needed) from None
    if shards:
        shards.remove()
    return ledger


def _regroup(
    reader: Reader,
    target: zipfile.ZipFile | None,
    said: tuple[Pattern | None, str | None],
    repair: bool,
    workers: int | None,
    progress: bool,
    shards: Shards | None = None,
) -> Ledger:
    """Streams the members through the screening into `target`, and adds boxes.csv and ledger.csv."""
    names = reader.names()
    least = sum(len(name) + 64 for name in names)  # a row has the name and a SHA-256, and more
    if least > MOST_TABLE:
        raise CaseStudyError(
            f"The ledger of one letters.zip has at most {MOST_TABLE:,} bytes; that of {counted(len(names), 'entry')} "
            f"would have more than {least:,}. Clean fewer archives in one call."
        )
    layout = find_layout(names, *said, read=lambda names: _contents(reader, names))
    source = shards.made() if shards else reader  # only now: what names leave open is asked before the work
    desk = Desk(repair=repair)
    entries: Counter[str] = Counter()
    box_files: list[BoxFile] = []
    turned: dict[int, tuple[int, int]] = {}  # sizes as shown, by row, where they are others than stored
    # Closed in order, so that on Ctrl-C the threads have ended before the last word is said.
    threads = workers or min(os.cpu_count() or 1, 8)
    with quiet(), closing(screened(source.members(), threads)) as found:
        for k, (member, screening) in enumerate(watched(found, "screening", show=progress, total=len(names))):
            entries[member.name] += 1
            row = desk.enter(member, screening, layout.place(member.name))
            if row.status == "sidecar" and (box_file := read_box_file(member.name, member.data)):
                box_files.append(box_file)
            elif screening is not None and screening.shown != (row.width, row.height):
                turned[k] = screening.shown
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
    ledger = Ledger(tuple(rows), tuple(source.remarks), source.incomplete)
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
