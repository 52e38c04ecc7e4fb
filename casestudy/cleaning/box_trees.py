"""YOLO's text files, COCO's JSON and Pascal VOC's XML, read into rows of boxes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from casestudy.cleaning import box_files
from casestudy.cleaning.box_files import BoxFile, BoxRow, corners_of, number, settle, size_of
from casestudy.cleaning.words import counted

LARGEST = 1 << 20  # characters of XML or of a YOLO file; one for one picture has a thousand or two
_JSON_WORDS = ('"bbox', '"boundingbox', '"bounding_box', '"xmin"', '"shapes"', '"shape_attributes"', '"coordinates"')
_XML_WORDS = ("<bndbox", "<box", "<bbox", "<xmin")
_BLANKS = (" ", "\n", "\r", "\t")
_CONVERT = "save it as COCO, or as CSV with the columns image,xmin,ymin,xmax,ymax"


def read_yolo(entry: str, text: str) -> BoxFile | None:
    """Returns the boxes of a YOLO label file: a class, then middle, width and height, or a polygon, all in shares."""
    found = BoxFile(entry, shares=True)
    if len(text) > LARGEST:
        return None
    for line in text.splitlines():
        cells = [number(cell) for cell in line.split()]
        if not cells:
            continue
        if len(cells) < 5 or not all(cells) or not cells[0].isdigit():
            return None
        shares = [float(cell) for cell in cells[1:]]
        if max(map(abs, shares)) > 1.5:
            return None
        corners: tuple[str, ...] = ()
        if len(cells) <= 6:  # the sixth is how sure a detector was
            corners = corners_of("centre", tuple(cells[1:5]), repr)
        elif len(shares) % 2 == 0:
            ends = (min(shares[::2]), min(shares[1::2]), max(shares[::2]), max(shares[1::2]))
            corners = tuple(map(repr, ends))
        found.rows.append(BoxRow("", corners, beside=_stem(entry)))
    return found if found.rows else None


def read_json(entry: str, text: str) -> BoxFile | None:
    """Returns the boxes of a COCO file, of which one element at a time is taken apart, however large it is."""
    if not any(word in text for word in _JSON_WORDS):
        return None
    images: dict[Any, BoxRow] = {}
    boxes: list[tuple[Any, tuple[str, ...]]] = []
    try:
        for key, one in _elements(text):
            if max(len(images), len(boxes)) > box_files.MOST_ROWS:
                most = counted(box_files.MOST_ROWS, "box")
                return BoxFile(entry, problem=f"it has too many images or boxes; a file has at most {most}: split it")
            if key == "images":
                images[one["id"]] = BoxRow(str(one["file_name"]), (), size_of(one.get("width"), one.get("height")))
            elif "bbox" in one:
                four = tuple(number(str(value)) for value in one["bbox"])
                boxes.append((one["image_id"], corners_of("size", four, repr) if len(four) == 4 else ()))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return BoxFile(entry, problem=f"it is JSON of another kind than COCO: {_CONVERT}")
    if not boxes:
        return BoxFile(entry, problem=f"it has no annotations with a bbox, as COCO has them: {_CONVERT}")
    nobody = BoxRow("", ())
    rows = [images.get(image, nobody)._replace(corners=corners) for image, corners in boxes]
    return settle(BoxFile(entry, rows), "size")


def read_xml(entry: str, text: str) -> BoxFile | None:
    """Returns the boxes of a Pascal VOC file for one picture, or of CVAT's for many; entities are never expanded."""
    if not any(word in text for word in _XML_WORDS):
        return None
    if len(text) > LARGEST:
        return BoxFile(entry, problem=f"it is longer than {LARGEST >> 20} MB: {_CONVERT}")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return BoxFile(entry, problem=f"it declares a document type, which is not read here: {_CONVERT}")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        return BoxFile(entry, problem=f"it is damaged XML ({error}): {_CONVERT}")
    found = BoxFile(entry)
    if root.tag == "annotation":  # Pascal VOC
        image = (root.findtext("filename") or "").strip()
        size = size_of(root.findtext("size/width"), root.findtext("size/height"))
        for box in root.iter("bndbox"):
            four = tuple(number(box.findtext(name) or "") for name in ("xmin", "ymin", "xmax", "ymax"))
            found.rows.append(BoxRow(image, corners_of("corners", four), size, beside=_stem(entry)))
    for picture in root.iter("image"):  # CVAT
        size = size_of(picture.get("width"), picture.get("height"))
        for box in picture.iter("box"):
            four = tuple(number(box.get(name, "")) for name in ("xtl", "ytl", "xbr", "ybr"))
            found.rows.append(BoxRow(picture.get("name", ""), corners_of("corners", four), size))
    if not found.rows:
        found.problem = f"it is XML of another kind than Pascal VOC and CVAT: {_CONVERT}"
    return found


def _stem(entry: str) -> str:
    return entry.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]


def _elements(text: str) -> Iterator[tuple[str, Any]]:
    """Yields the elements of the arrays `images` and `annotations` of a JSON object; ValueError for other JSON."""
    decode, at = json.JSONDecoder().raw_decode, _expect(text, 0, "{")
    while text[at : at + 1] != "}":
        key, at = decode(text, at)
        at = _expect(text, at, ":")
        if key in ("images", "annotations") and text[at : at + 1] == "[":
            at = _expect(text, at, "[")
            while text[at : at + 1] != "]":
                one, at = decode(text, at)
                yield key, one
                at = _expect(text, at, ",", "]")
            at += 1
        else:
            _, at = decode(text, at)
        at = _expect(text, at, ",", "}")


def _expect(text: str, at: int, sign: str, end: str = "") -> int:
    """Returns the place of what follows a sign, blanks passed over, or of the `end` that may stand there instead."""
    at = _skip(text, at)
    if end and text[at : at + 1] == end:
        return at
    if text[at : at + 1] != sign:
        raise ValueError(f"no {sign} where one must stand")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in _BLANKS:
        at += 1
    return at
