"""Box files of every common kind, read into rows: tables here, YOLO, COCO and Pascal VOC in `box_trees`."""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from casestudy.cleaning.formats import EXTENSIONS
from casestudy.cleaning.words import counted

LARGEST_FILE = 64 << 20  # a larger file is carried along, but not searched for boxes
MOST_ROWS = 300_000  # boxes of one file: what is held of them until all images are known
HEAD = 64 << 10  # so much of a file shows its kind
TABLES, TREES = (".csv", ".tsv", ".tab", ".txt"), (".json", ".xml")
CLOSED = (".xlsx", ".xls", ".ods", ".mat", ".npy", ".npz", ".pkl", ".h5", ".parquet")  # told by their names alone
SHAPES = {  # what a table may call its four numbers, without case, blanks and signs; left, top, right, bottom
    "corners": (
        *("topleftx toplefty bottomrightx bottomrighty", "upperleftx upperlefty lowerrightx lowerrighty"),
        *("xmin ymin xmax ymax", "minx miny maxx maxy", "left top right bottom", "xtl ytl xbr ybr"),
        *("x1 y1 x2 y2", "x0 y0 x1 y1", "startx starty endx endy"),
    ),
    "size": (  # left, top, width, height
        *("x y w h", "x y width height", "left top w h", "left top width height", "xmin ymin w h"),
        *("xmin ymin width height", "topleftx toplefty w h", "topleftx toplefty width height"),
    ),
    "centre": tuple(  # its middle, width, height
        f"{middle} {size}"
        for middle in ("cx cy", "xc yc", "xcenter ycenter", "xcentre ycentre", "centerx centery", "centrex centrey")
        for size in ("w h", "width height")
    ),
}
_IMAGE = (
    *("image", "imagename", "imagefile", "imagefilename", "imagepath", "filename", "file", "filepath", "fname"),
    *("path", "img", "imgname", "imgpath", "picture", "photo", "imageid", "name"),
)
_PREFIXES = ("boundingbox", "bbox", "box", "roi", "hand", "")
_BOXY = {"bbox", "bboxes", "boundingbox", "xmin", "x1", "xc", "cx", "regionshapeattributes", "topleftx", "xcenter"}
_SEPARATORS = ",;\t|"
_REMEDY = "write the columns image,xmin,ymin,xmax,ymax"


class BoxRow(NamedTuple):
    """One box, as it stands in its file."""

    image: str  # the path that the file gives, or a name without its extension; may be empty
    corners: tuple[str, ...]  # left, top, right, bottom, pixels or shares of the picture; () where no numbers
    stated: tuple[int, int] | None = None  # width and height of the picture that it was drawn on
    beside: str = ""  # the box file's own name, where that names the picture; it goes before `image`


@dataclass
class BoxFile:
    """What a file that holds boxes, or looks as if it did, says."""

    entry: str
    rows: list[BoxRow] = field(default_factory=list)
    shares: bool = False  # whether corners are shares of the picture's width and height
    problem: str = ""  # why nothing of it, or nothing from some row on, can be used


def read_box_file(entry: str, data: bytes) -> BoxFile | None:
    """Returns the boxes of a file of an archive, and why it cannot be used if it looks like one; None for others.

    The kind is told from the content. A table's columns are found by their names, in any order; nothing is guessed from
    the numbers, but that a table whose numbers all lie between 0 and 1 gives shares of the picture.
    """
    stem, dot, kind = entry.lower().replace("\\", "/").rpartition("/")[2].rpartition(".")
    kind = dot + kind
    if kind in CLOSED and "box" in stem:
        return BoxFile(entry, problem=f"no {kind} is read here: save it as CSV")
    if kind not in TABLES + TREES or not data.strip():
        return None
    if len(data) > LARGEST_FILE:
        found = read_box_file(entry, data[: min(HEAD, LARGEST_FILE)])
        whole = f"{len(data) >> 20:,} MB, and files over {LARGEST_FILE >> 20} MB are not searched: split it"
        return None if found is None else BoxFile(entry, problem=whole)
    from casestudy.cleaning import box_trees  # only now: it needs what stands here

    encoding = encoding_of(data)
    if kind in (".csv", ".tsv", ".tab"):
        return _read_table(entry, data, encoding)
    text = data.decode(encoding, "replace")
    if kind == ".json":
        return box_trees.read_json(entry, text)
    if kind == ".xml":
        return box_trees.read_xml(entry, text)
    return box_trees.read_yolo(entry, text) or _read_table(entry, data, encoding)


def encoding_of(data: bytes) -> str:
    """Returns how a text is coded: as its mark says, UTF-16 where every other byte is zero, UTF-8 or else Latin-1."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if data[first:40:2].count(0) > 10:
            return encoding
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def number(text: str, comma: bool = False) -> str:
    """Returns a finite number as it is written, with a point for a decimal comma if asked; "" for what is none.

    >>> number(" 10 "), number("10,5", comma=True), number("10,5"), number("nan"), number("1_0")
    ('10', '10.5', '', '', '')
    """
    text = text.strip()
    if comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        return text if math.isfinite(float(text)) and "_" not in text else ""
    except ValueError:
        return ""


def plain(value: float) -> str:
    """Returns a number with no more decimals than it needs, three at the most.

    >>> plain(90.0), plain(10.5), plain(1 / 3), plain(-0.0001)
    ('90', '10.5', '0.333', '0')
    """
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def corners_of(shape: str, four: tuple[str, ...], write: Callable[[float], str] = plain) -> tuple[str, ...]:
    """Returns left, top, right, bottom of numbers that say them as a `SHAPES`; () if one of them is no number."""
    if not all(four):
        return ()
    if shape == "corners":
        return four
    x, y, width, height = map(float, four)
    if shape == "centre":
        x, y = x - width / 2, y - height / 2
    return tuple(map(write, (x, y, x + width, y + height)))


def _read_table(entry: str, data: bytes, encoding: str) -> BoxFile | None:
    """Returns the boxes of a table whose columns have names, whatever separates them."""
    lines = io.TextIOWrapper(io.BytesIO(data), encoding, "replace", newline="")  # nothing is held twice
    head = lines.read(HEAD)
    lines.seek(0)
    separator = max(_SEPARATORS, key=_first_line(head).count)
    if head[:4].lower() == "sep=":  # Excel's way to say it
        separator = next((sign for sign in _SEPARATORS if sign == head[4:5]), separator)
        lines.readline()
    rows = csv.reader(lines, delimiter=separator)
    found, columns = BoxFile(entry), None
    try:
        first = next((row for row in rows if any(row)), [])
        header = ["".join(filter(str.isalnum, name)).lower() for name in first]
        columns = _columns(header)
        if columns is None:
            shown = [first, *(row for _, row in zip(range(8), rows, strict=False))]
            by_blanks = [line.split() for line in head.splitlines()[:8]]
            looks = _looks_boxy(header, shown + by_blanks)
            return BoxFile(entry, problem=_why(header, first + by_blanks[0])) if looks else None
        shape, image, four, stated = columns
        comma = separator != ","
        for row in filter(any, rows):
            if len(found.rows) == MOST_ROWS:
                found.problem = f"then not read any further: a file has at most {counted(MOST_ROWS, 'box')}, split it"
                break
            cells = [row[k].strip() if k < len(row) else "" for k in (image, *four, *stated)]
            numbers = [number(cell, comma) for cell in cells[1:]]
            found.rows.append(BoxRow(cells[0], corners_of(shape, tuple(numbers[:4]), repr), size_of(*numbers[4:])))
    except (csv.Error, OverflowError) as error:
        if columns is None:
            return None
        found.problem = f"then unreadable ({error})"
    if all(map(_is_own_size, found.rows)):  # width and height are the box's
        found.rows = [row._replace(stated=None) for row in found.rows]
    return settle(found, shape)


def settle(found: BoxFile, shape: str) -> BoxFile:
    """Returns a file with its corners told, by all of them, to be pixels or shares; computed pixels are rounded."""
    values = [float(corner) for row in found.rows for corner in row.corners]
    found.shares = bool(values) and min(values) >= -0.01 and max(values) <= 1.01
    if not found.shares and shape != "corners":
        found.rows = [row._replace(corners=tuple(plain(float(c)) for c in row.corners)) for row in found.rows]
    return found


def _columns(header: list[str]) -> tuple[str, int, list[int], list[int]] | None:
    """Returns what a table's numbers are, and the places of the image, the four numbers and the picture's size."""
    place: dict[str, int] = {}
    for prefix in _PREFIXES[::-1]:  # a name without one goes first
        for k, name in enumerate(header):
            if name.startswith(prefix):
                place.setdefault(name[len(prefix) :], k)
    image = next((place[name] for name in _IMAGE if name in header), None)
    if image is None or "x3" in place:  # points of a hand are no corners of a box
        return None
    for shape, families in SHAPES.items():
        for four in map(str.split, families):
            if all(name in place for name in four):
                sizes = (["width", "height"],) if shape == "corners" else ()
                for one in (["imagewidth", "imageheight"], ["imgwidth", "imgheight"], *sizes):
                    if all(name in header for name in one):
                        return shape, image, [place[name] for name in four], [place[name] for name in one]
                return shape, image, [place[name] for name in four], []
    return None


def size_of(width: object = None, height: object = None) -> tuple[int, int] | None:
    """Returns the size of a picture as a file states it; None where it does not, which some tools write as 0."""
    sides = [float(number(str(side)) or 0) for side in (width, height)]
    return (round(sides[0]), round(sides[1])) if min(sides) >= 1 else None


def _is_own_size(row: BoxRow) -> bool:
    """Returns whether the size that a row states is that of its box, to a pixel."""
    if not row.corners or not row.stated:
        return True
    left, top, right, bottom = map(float, row.corners)
    return abs(right - left - row.stated[0]) <= 1 and abs(bottom - top - row.stated[1]) <= 1


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _looks_boxy(header: list[str], rows: list[list[str]]) -> bool:
    """Returns whether a table may hold boxes: by its header, or by an image's name beside four to eight numbers."""
    if _BOXY & set(header) and set(_IMAGE) & set(header):
        return True
    for row in rows:
        numbers = sum(bool(number(cell, comma=True)) for cell in row)
        if 4 <= numbers <= 8 and any(cell.strip().lower().endswith(EXTENSIONS) for cell in row):
            return True
    return False


def _why(header: list[str], cells: list[str]) -> str:
    if "x3" in header:
        return f"it looks like points, not boxes: {_REMEDY}"
    if any(cell.strip().lower().endswith(EXTENSIONS) for cell in cells):
        return f"it has no header that says what its numbers are: {_REMEDY}"
    return f"its columns are not known ({','.join(name[:20] for name in header[:8])}): {_REMEDY}"
