"""The zip that cleaning writes: the same bytes for the same input, and read back before it gets its name."""

from __future__ import annotations

import errno
import hashlib
import itertools
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from casestudy.cleaning.errors import CaseStudyError, ConservationError
from casestudy.cleaning.ledger import Ledger
from casestudy.cleaning.lost import to_rebuild
from casestudy.cleaning.pixels import decode_image
from casestudy.cleaning.progress import watched
from casestudy.cleaning.rebuild import plan, read_rows
from casestudy.cleaning.stored_names import is_portable

_DATE = (1980, 1, 1, 0, 0, 0)
_SAMPLE = 24  # pictures that are loaded from the finished zip


def check_target(archive: Path, out_zip: Path) -> None:
    if out_zip.is_dir():
        raise CaseStudyError(f"{out_zip} is a folder: name a file with --out.")
    if not out_zip.parent.is_dir():
        raise CaseStudyError(f"There is no folder {out_zip.parent}: make it, or name another place with --out.")
    if archive.exists() and archive.resolve() == out_zip.resolve():
        raise CaseStudyError(f"{out_zip} is the archive itself, which is only read: name another file with --out.")
    if archive.is_dir() and archive.resolve() in out_zip.resolve().parents:
        raise CaseStudyError(f"{out_zip} lies inside the folder to be cleaned: name another place with --out.")


def cannot_write(out_zip: Path, error: OSError, needed: int) -> CaseStudyError:
    """Returns the error for a target that cannot be written; of a full disk, how much room it lacks."""
    why = f"Cannot write {out_zip} ({error.strerror})"
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return CaseStudyError(f"{why}: name another place with --out.")
    free = shutil.disk_usage(out_zip.parent).free
    room = f"it needs some {needed / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free"
    return CaseStudyError(f"{why}: {room}. Make room, or name another place with --out.")


def store(target: zipfile.ZipFile, name: str, pieces: Iterable[bytes]) -> None:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = 3  # the same on every machine: files of Unix, readable by all
    info.external_attr = 0o100644 << 16
    with target.open(info, "w") as file:
        for piece in pieces:
            file.write(piece)


def require_conserved(partial: Path, ledger: Ledger, progress: bool) -> None:
    """Raises ConservationError unless the written zip holds every row's bytes, and nothing else, and can be used.

    It is read as those who get it will: the ledger from its file, every name as systems allow it, every byte, some
    pictures as training loads them; and --undo finds a place for every entry, on any system.
    """
    try:
        same = all(read == row for read, row in itertools.zip_longest(read_rows(partial), ledger.rows))
    except CaseStudyError:
        same = False
    if not same:
        raise ConservationError("The ledger in the zip does not read as it was written. Nothing was written.")
    for windows in (False, True):
        places = plan([row.entry for row in to_rebuild(ledger.rows)], windows=windows)
        if len(set(places)) != len(places) or any(place.startswith(("/", "../")) for place in places):
            raise ConservationError("--undo would not find a place for every entry. Nothing was written.")
    with zipfile.ZipFile(partial) as written:
        names = Counter(written.namelist())
        stored = {row.stored_as: row.sha256 for row in ledger.rows if row.stored_as}
        stored |= {row.mended_as: row.mended_sha256 for row in ledger.rows if row.mended_as}
        if names != Counter(["boxes.csv", "ledger.csv", *stored]):
            raise ConservationError("The zip's files are not the ledger's rows. Nothing was written.")
        if odd := next((name for name in names if not is_portable(name)), None):
            raise ConservationError(f"{odd} is no name that every system can have. Nothing was written.")
        for name, right in watched(stored.items(), "checking", show=progress, total=len(stored)):
            digest = ""
            with suppress(zipfile.BadZipFile):
                digest = hashlib.sha256(written.read(name)).hexdigest()
            if digest != right:
                raise ConservationError(f"{name} is not the bytes that were read. Nothing was written.")
        usable = ledger.labelled()
        for row in usable[:: -(-len(usable) // _SAMPLE) or 1]:
            try:
                decode_image(written.read(row.picture))
            except ValueError as error:
                why = f"{row.picture} ({row.entry}) was found sound, and cannot be loaded ({error})"
                raise ConservationError(f"{why}. Nothing was written; report it, please.") from None
