"""The hand boxes of all users as one table, with the image paths mended."""

from __future__ import annotations

import logging
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping

from casestudy.cleaning.box_files import BoxFile, BoxRow, plain
from casestudy.cleaning.ledger import UNUSED_BOXES, to_csv
from casestudy.cleaning.words import counted

log = logging.getLogger(__name__)

COLUMNS = ("image", "top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")
_TOLD = 60  # characters of a name that a remark shows
_DEEPEST = 40  # parts of a path that are looked at, from its end
_KEPT = 100  # folders whose images are looked up by the ends of their paths, at a time
_LOST = {  # why a box is not used
    "numbers": "without four numbers",
    "area": "of no area",
    "outside": "outside the picture",
    "size": "drawn on a picture of another size",
}


def merge_boxes(
    files: Iterable[BoxFile], stored: Mapping[str, str], sizes: Mapping[str, tuple[int, int]] | None = None
) -> tuple[str, dict[str, str]]:
    r"""Returns boxes.csv, sorted by image, one box an image, and for each box file a remark on what it held.

    A path such as `user_3\A0.jpg` is looked up from the box file's own folder, then from the folders above it; a prefix
    from the author's own disk (`C:\work\user_3\A0.jpg`) is dropped as long as a folder and a file remain. What is not
    found so is searched below the nearest folder that holds photographs, and must be there once. Corners are copied as
    written, and computed where a file gives shares, a middle or a size. They are those of the picture as it is shown:
    after any turn that its metadata ask for. Of several boxes for one image, the largest is kept. A file of which
    nothing can be used is said in a warning, too.

    Args:
        files: What `read_box_file` found.
        stored: The stored name of each sound labelled image, by entry.
        sizes: Its (width, height) as it is shown, where known.
    """
    places, sizes = _Places(stored), sizes or {}
    best: dict[str, tuple[float, tuple[str, ...]]] = {}
    remarks = {}
    for file in files:
        counts: Counter[str] = Counter()
        lost: list[str] = []
        for row in file.rows:
            entry = places.find(file.entry, row)
            if not entry:
                lost.append(row.image or row.beside)
                continue
            corners, why = _pixels(row, file.shares, sizes.get(entry))
            counts[why] += 1
            if corners:
                counts["boxes"] += 1
                kept = best.setdefault(stored[entry], (area := _area(corners), corners))
                counts["several"] += kept[1] != corners
                if (-area, corners) < (-kept[0], kept[1]):
                    best[stored[entry]] = (area, corners)
        remarks[file.entry] = _remark(file, counts, lost)
    unused = [f"{_shown(entry)} ({remark})" for entry, remark in remarks.items() if remark.startswith(UNUSED_BOXES)]
    if unused:
        more = f"; {len(unused) - 1} more in the ledger" if len(unused) > 1 else ""
        log.warning("Box files not used, so that no hand is cut out by them: %s%s", unused[0], more)
    return to_csv([COLUMNS, *sorted((name, *corners) for name, (_, corners) in best.items())]), remarks


class _Places:
    """Where the images of an archive lie."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._exact: dict[str, str] = {}  # path → entry, the first of a name
        self._bare: dict[str, str] = {}  # the same without extensions; "" where it is not the only one
        for entry in entries:
            key = _key(entry)
            if key not in self._exact:
                self._exact[key] = entry
                bare = _without_extension(key)
                self._bare[bare] = "" if bare in self._bare else entry
        self._sorted = sorted(self._exact)
        self._below: dict[str, dict[str, str]] = {}

    def find(self, box_file: str, row: BoxRow) -> str:
        """Returns the entry that a row means, or an empty string."""
        folders = _key(box_file).split("/")[:-1]
        given = [name for name in (row.beside, row.image) if name]
        twin = ["images" if folder == "labels" else folder for folder in folders]  # as YOLO lays them out
        if row.beside and (entry := self._bare.get("/".join([*twin, _key(row.beside)]))):
            return entry
        for name in given:
            parts = _parts(name)
            depths = range(len(folders), -1, -1)
            paths = [folders[:depth] + parts[start:] for start in range(max(len(parts) - 1, 1)) for depth in depths]
            for known in (self._exact, self._bare):
                for path in paths:
                    if entry := known.get("/".join(path)):
                        return entry
        for name in given:
            if entry := self._tails(folders).get("/".join(_parts(name)[-2:])):
                return entry
        return ""

    def _tails(self, folders: list[str]) -> dict[str, str]:
        """Returns the images below the nearest folder that has any, by the ends of their paths; "" where two agree."""
        for depth in range(len(folders), -1, -1):
            above = "".join(f"{folder}/" for folder in folders[:depth])
            first, last = bisect_left(self._sorted, above), bisect_right(self._sorted, above + "\U0010ffff")
            if first < last:
                break
        else:
            return {}
        if above not in self._below:
            if len(self._below) > _KEPT:
                self._below.clear()
            found = self._below.setdefault(above, {})
            for key in self._sorted[first:last]:
                folder, _, name = key.rpartition("/")
                two = f"{folder.rpartition('/')[2]}/{name}"
                for tail in {name, two, _without_extension(name), _without_extension(two)}:
                    found[tail] = "" if tail in found else self._exact[key]
        return self._below[above]


def _pixels(row: BoxRow, shares: bool, size: tuple[int, int] | None) -> tuple[tuple[str, ...], str]:
    """Returns left, top, right, bottom in pixels and what is remarkable; () and why where a box cannot be used."""
    if not row.corners:
        return (), "numbers"
    corners, (left, top, right, bottom) = row.corners, map(float, row.corners)
    if shares:
        if size is None:
            return (), "size"
        left, right, top, bottom = left * size[0], right * size[0], top * size[1], bottom * size[1]
        corners = (plain(left), plain(top), plain(right), plain(bottom))
    elif row.stated and size and row.stated != size:
        return (), "size"
    if left == right or top == bottom:
        return (), "area"
    what = ""
    if left > right or top > bottom:
        a, b, c, d = corners
        corners = (*((c, b, a) if left > right else (a, b, c)), d)
        a, b, c, d = corners
        corners = (a, d, c, b) if top > bottom else corners
        left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
        what = "swapped"
    if right <= 0 or bottom <= 0 or (size and (left >= size[0] or top >= size[1])):
        return (), "outside"
    return corners, what


def _area(corners: tuple[str, ...]) -> float:
    left, top, right, bottom = map(float, corners)
    return (right - left) * (bottom - top)


def _remark(file: BoxFile, counts: Counter[str], lost: list[str]) -> str:
    if file.problem and not counts["boxes"]:
        return f"{UNUSED_BOXES[0]}: {file.problem}"
    parts = [counted(counts["boxes"], "box")]
    if lost:
        named = ", ".join(map(_shown, lost[:3])) + (" …" if len(lost) > 3 else "")
        parts.append(f"{len(lost)} fit no sound photograph: {named}")
    parts += [f"{counts[why]} {words}" for why, words in _LOST.items() if counts[why]]
    if counts["swapped"]:
        parts.append(f"{counts['swapped']} with corners the wrong way round, turned")
    if counts["several"]:
        parts.append(f"{counts['several']} beside another box of the same photograph, of which the largest is used")
    return "; ".join(parts + [file.problem] * bool(file.problem))


def _shown(name: str) -> str:
    """Returns a name that a terminal and a ledger can hold: no control character in it, and not endless."""
    name = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in name)
    return name if len(name) <= _TOLD else f"{name[:_TOLD]}…"


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", path.replace("\\", "/")).casefold()


def _parts(path: str) -> list[str]:
    return [part for part in _key(path).split("/") if part not in ("", ".")][-_DEEPEST:]


def _without_extension(key: str) -> str:
    head, slash, name = key.rpartition("/")
    return head + slash + (name.rpartition(".")[0] or name)
