"""The hand boxes of all users as one table, with the image paths mended."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping

from casestudy.cleaning.words import counted

COLUMNS = ("image", "top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")
LARGEST_FILE = 64 << 20  # a larger CSV file is carried along, but not searched for boxes


def is_box_file(name: str, data: bytes) -> bool:
    """Returns whether this is a CSV file with the columns of a box file."""
    if not name.lower().endswith(".csv") or len(data) > LARGEST_FILE:
        return False
    return set(COLUMNS) <= {column.strip().lower() for column in _decode(data[:4096]).split("\n")[0].split(",")}


def merge_boxes(files: Iterable[tuple[str, bytes]], stored: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    r"""Returns boxes.csv, sorted by image, and for each box file a remark on what it held.

    A path such as `user_3\A0.jpg` is looked up from the box file's own folder, then from the folders above it; a prefix
    from the author's own disk (`C:\work\user_3\A0.jpg`) is dropped as long as a folder and a file remain. Numbers are
    copied as written. The remark counts and names rows that fit no sound photograph or whose corners are no numbers.

    Args:
        files: (entry, bytes) of each box file.
        stored: The stored name of each sound labelled image, by entry.
    """
    by_key: dict[str, str] = {}
    for entry, name in stored.items():
        by_key.setdefault(_key(entry), name)
    merged: list[tuple[str, ...]] = []
    remarks = {}
    for entry, data in files:
        found, lost = 0, []
        try:
            for row in csv.DictReader(io.StringIO(_decode(data), newline="")):
                values = {(name or "").strip().lower(): value for name, value in row.items() if name is not None}
                image = values.get("image") or ""
                corners = [(values.get(column) or "").strip() for column in COLUMNS[1:]]
                place = _find(entry, image, by_key) if all(map(_is_number, corners)) else ""
                if place:
                    merged.append((place, *corners))
                    found += 1
                else:
                    lost.append(image)
            remarks[entry] = counted(found, "box")
            if lost:
                named = ", ".join(lost[:3]) + (" …" if len(lost) > 3 else "")
                remarks[entry] += f"; {len(lost)} fit no sound photograph: {named}"
        except csv.Error as error:
            remarks[entry] = f"{counted(found, 'box')}, then unreadable ({error})"
    return to_csv(sorted(merged)), remarks


def to_csv(rows: Iterable[tuple[str, ...]]) -> str:
    """Returns the text of a boxes.csv."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue()


def _find(box_file: str, image: str, by_key: Mapping[str, str]) -> str:
    """Returns the stored name that a path in a box file means, or an empty string."""
    parts = [part for part in _key(image).split("/") if part not in ("", ".")]
    folders = _key(box_file).split("/")[:-1]
    for start in range(max(len(parts) - 1, 1)):
        for depth in range(len(folders), -1, -1):
            if name := by_key.get("/".join(folders[:depth] + parts[start:])):
                return name
    return ""


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", path.replace("\\", "/")).casefold()


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
