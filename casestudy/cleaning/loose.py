"""Photographs as somebody has them: any name, in a file, a folder or an archive, each with the box that lies beside it.

Nothing is unpacked to disk, so a name that climbs out of its archive leads nowhere.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from pathlib import Path

from casestudy.cleaning.archive import open_archive
from casestudy.cleaning.box_files import LARGEST_FILE, TABLES, TREES, BoxFile, read_box_file
from casestudy.cleaning.boxes import merge_boxes
from casestudy.cleaning.errors import ArchiveError, DataError
from casestudy.cleaning.formats import EXTENSIONS, detect_format
from casestudy.cleaning.members import Member, readable
from casestudy.cleaning.pixels import shown_size
from casestudy.cleaning.screening import is_meant_as_image

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels of the picture as it is shown


def loose_photographs(path: Path, *, password: str | None = None) -> Iterator[tuple[str, bytes, Box | None]]:
    """Yields (where it is, bytes, its box if any) of what is meant as a photograph, sound or not.

    A path may lead on into an archive, as "letters.zip/A/user_3__A0.jpg". All is read twice, and little held: the first
    time for box files, in every kind that cleaning knows. They lie in it, or in its folder or the one above.

    Raises:
        DataError: There is nothing at `path`, or no photograph.
        ArchiveError: An archive cannot be read whole.
    """
    home = next((one for one in (path, *path.parents) if one.exists()), path)
    if not home.exists() or (home != path and home.is_dir()):
        raise DataError(f"A photograph is read from where it lies; there is nothing at {path}. Check the path.")
    within = "" if home == path else path.relative_to(home).as_posix()
    single = home.is_file() and not _is_archive(home, password)
    above = f"{readable(_folder(home).name)}/" if single or home.is_dir() else ""  # as box files may have it
    box_files: list[BoxFile] = []
    sizes: dict[str, tuple[int, int]] = {}
    names: dict[str, str] = {}
    for name, member in _members(home, above, single, password):
        if is_meant_as_image(member.name, member.data):
            names[name] = name
            with contextlib.suppress(ValueError):  # what cannot be opened has no size
                sizes[name] = shown_size(member.data)
        elif not name.startswith("_sidecar/"):  # what a letters.zip keeps of them stands in its boxes.csv
            one = read_box_file(name, member.data)
            box_files += [one] if one and one.rows else []  # of a table of another kind nothing is said
    rows = csv.reader(io.StringIO(merge_boxes(box_files, names, sizes)[0]))
    boxes = {name: (float(a), float(b), float(c), float(d)) for name, a, b, c, d in list(rows)[1:]}
    count = 0
    for name, member in _members(home, above, single, password):
        inside = name.removeprefix(above)
        meant = inside == readable(home.name) if single else is_meant_as_image(member.name, member.data)
        if meant and (not within or f"{inside}/".startswith(f"{within}/")):
            count += 1
            place = home.as_posix() if single else f"{home.as_posix()}/{inside}"
            yield readable(place), member.data, boxes.get(name)
    if not count:
        raise DataError(f"Photographs are read from a file, a folder or an archive; {path} holds none. Name another.")


def _is_archive(file: Path, password: str | None) -> bool:
    with file.open("rb") as opened:
        if detect_format(opened.read(64)) or file.suffix.lower() in EXTENSIONS:
            return False
    try:
        open_archive(file, password=password)
    except ArchiveError:  # neither: read as a photograph, which says what is wrong with it
        return False
    return True


def _folder(home: Path) -> Path:
    return home.resolve() if home.is_dir() else home.resolve().parent


def _members(home: Path, above: str, single: bool, password: str | None) -> Iterator[tuple[str, Member]]:
    """Yields all files of a folder or an archive, or a single one, by their paths; and what may hold their boxes."""
    if single:
        yield above + readable(home.name), Member(readable(home.name), home.read_bytes())
    else:
        yield from ((above + one.name, one) for one in open_archive(home, password=password).members())
    if above:
        folder = _folder(home)
        for place, prefix in [(folder.parent, ""), *[(folder, above)] * single]:
            with contextlib.suppress(OSError):
                for one in sorted(place.iterdir()):
                    if one.suffix.lower() in TABLES + TREES and one.is_file() and one.stat().st_size <= LARGEST_FILE:
                        yield prefix + readable(one.name), Member(readable(one.name), one.read_bytes())
