"""Box files as programs write them, drawn here as text, against corners worked out by hand."""

import csv
import io
import json
import logging
import tracemalloc
import zipfile

import pytest
from PIL import Image

from casestudy.cleaning import box_files, box_trees
from casestudy.cleaning.box_files import MOST_ROWS, read_box_file
from casestudy.cleaning.boxes import merge_boxes
from casestudy.cleaning.ledger import Ledger
from casestudy.cleaning.loose import loose_photographs
from casestudy.cleaning.pixels import shown_size
from casestudy.cleaning.regroup import clean_archive

BOX_HEADER = "image,top_left_x,top_left_y,bottom_right_x,bottom_right_y\n"
STORED = {f"user_3/A{k}.jpg": f"A/user_3__A{k}.jpg" for k in range(2)}
SIZES = {"user_3/A0.jpg": (200, 100), "user_3/A1.jpg": (100, 200)}  # width, height
# The hand of A0 reaches from (20, 10) to (90.5, 60), that of A1 from (10, 20) to (60, 120).
RIGHT = {"user_3/A0.jpg": (20, 10, 90.5, 60), "user_3/A1.jpg": (10, 20, 60, 120)}
CORNERS = [("A0.jpg", "20", "10", "90.5", "60"), ("A1.jpg", "10", "20", "60", "120")]
NAMES = ("image", "top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")
VOC = """<?xml version="1.0" encoding="utf-8"?>
<annotation><folder>x</folder><filename>{0}</filename><size><width>{1}</width><height>{2}</height></size>
<object><name>hand</name><bndbox><ymin>{4}</ymin><xmin>{3}</xmin><xmax>{5}</xmax><ymax>{6}</ymax></bndbox></object>
</annotation>"""
COCO = {
    "info": {"description": "drawn", "nested": [[[1]], {"a": None}]},
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 1, "bbox": [20, 10, 70.5, 50], "segmentation": [[1, 2, 3, 4]]},
        {"id": 2, "image_id": 9, "category_id": 2, "bbox": [10, 20, 50, 100]},
    ],
    "images": [
        {"id": 7, "file_name": "A0.jpg", "width": 200, "height": 100},
        {"id": 9, "file_name": "A1.jpg", "width": 100, "height": 200},
    ],
}


def table(names=NAMES, rows=CORNERS, between=",", end="\n", quote=str):
    return end.join(between.join(map(quote, row)) for row in (names, *rows)) + end


def quoted(cell):
    return f'"{cell}"'


def comma(cell):
    return cell if cell.endswith(".jpg") else cell.replace(".", ",")


SIZED = [("A0.jpg", "20", "10", "70.5", "50"), ("A1.jpg", "10", "20", "50", "100")]
CENTRED = [("A0.jpg", "55.25", "35", "70.5", "50"), ("A1.jpg", "35", "70", "50", "100")]
SHARES = [("A0.jpg", "0.1", "0.4525", "0.1", "0.6"), ("A1.jpg", "0.1", "0.6", "0.1", "0.6")]  # x, x, y, y
ROBOFLOW = [
    ("A0.jpg", "200", "100", "A", "20", "10", "90.5", "60"),
    ("A1.jpg", "100", "200", "A", "10", "20", "60", "120"),
]
DIALECTS = {  # name of the file: what it holds
    "commas": ("user_3/b.csv", table()),
    "semicolons": ("user_3/b.csv", table(between=";")),
    "tabs": ("user_3/b.tsv", table(between="\t")),
    "bars": ("user_3/b.csv", table(between="|")),
    "tabs in a txt": ("user_3/b.txt", table(between="\t")),
    "decimal commas": ("user_3/b.csv", table(between=";", quote=comma)),
    "decimal commas, quoted": ("user_3/b.csv", table(between=";", quote=lambda cell: quoted(comma(cell)))),
    "quotes": ("user_3/b.csv", table(quote=quoted)),
    "a byte order mark": ("user_3/b.csv", "\ufeff" + table()),
    "UTF-16": ("user_3/b.csv", table().encode("utf-16")),
    "UTF-16, the other way round": ("user_3/b.csv", b"\xfe\xff" + table(between=";").encode("utf-16-be")),
    "UTF-16 without a mark": ("user_3/b.csv", table(between="\t").encode("utf-16-le")),
    "Latin-1": ("user_3/b.csv", table((*NAMES, "größe"), [(*row, "groß") for row in CORNERS]).encode("latin-1")),
    "carriage returns": ("user_3/b.csv", table(end="\r")),
    "Windows": ("user_3/b.csv", table(end="\r\n")),
    "sep=": ("user_3/b.csv", "sep=;\r\n" + table(between=";", end="\r\n")),
    "SEP= with a mark": ("user_3/b.csv", "\ufeffSEP=\t\n" + table(between="\t")),
    "shouted": ("user_3/b.csv", table([name.upper().replace("_", " ") for name in NAMES])),
    "xmin": ("user_3/b.csv", table(("filename", "xmin", "ymin", "xmax", "ymax"))),
    "left": ("user_3/b.csv", table(("path", "Left", "Top", "Right", "Bottom"))),
    "prefixes": ("user_3/b.csv", table(("Filename", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2"), between=";")),
    "x0": ("user_3/b.csv", table(("image_name", "x0", "y0", "x1", "y1"))),
    "x, y, w, h": ("user_3/b.csv", table(("file", "x", "y", "w", "h"), SIZED)),
    "x, y, width, height": ("user_3/b.csv", table(("file", "bbox_x", "bbox_y", "bbox_width", "bbox_height"), SIZED)),
    "middle and size": ("user_3/b.csv", table(("image", "x_center", "y_center", "width", "height"), CENTRED)),
    "shares, as Open Images": ("user_3/b.csv", table(("ImageID", "XMin", "XMax", "YMin", "YMax"), SHARES)),
    "without extensions": ("user_3/b.csv", table(rows=[(row[0][:2], *row[1:]) for row in CORNERS])),
    "Roboflow and TensorFlow": (
        "user_3/_annotations.csv",
        table(("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"), ROBOFLOW),
    ),
    "the box's own size": (
        "user_3/b.csv",
        table((*NAMES, "width", "height"), [(*CORNERS[0], "70.5", "50"), (*CORNERS[1], "50", "100")]),
    ),
    "COCO": ("annotations/instances.json", json.dumps(COCO)),
    "COCO in UTF-16, spread out": ("user_3/_annotations.coco.json", json.dumps(COCO, indent=4).encode("utf-16")),
    "CVAT": (
        "annotations.xml",
        '<annotations><image id="0" name="user_3/A0.jpg" width="200" height="100">'
        '<box label="A" xtl="20" ytl="10" xbr="90.5" ybr="60"/></image>'
        '<image id="1" name="user_3/A1.jpg"><box xtl="10" ytl="20" xbr="60" ybr="120"/></image></annotations>',
    ),
    "paths from elsewhere": ("b.csv", table(rows=[("D:\\work\\USER_3\\" + row[0], *row[1:]) for row in CORNERS])),
    "in a folder of its own": ("boxes/deep/b.csv", table()),
}
FOLDERS = {  # dialects of one file a picture
    "YOLO beside the pictures": {
        "user_3/A0.txt": "0 0.27625 0.35 0.3525 0.5\n",
        "user_3/A1.txt": "11 0.35 0.35 0.5 0.5 0.93\n",
        "classes.txt": "hand\nother\n",
    },
    "YOLO in labels": {"labels/A0.txt": "0 0.27625 0.35 0.3525 0.5", "labels/A1.txt": "\r\n1 0.35 0.35 0.5 0.5\r\n"},
    "YOLO polygons": {
        "labels/A0.txt": "0 0.1 0.2 0.4525 0.1 0.3 0.6",
        "labels/A1.txt": "0 0.1 0.6 0.6 0.6 0.6 0.1 0.1 0.1",
    },
    "Pascal VOC": {
        "Annotations/A0.xml": VOC.format("A0.jpg", 200, 100, 20, 10, "90.5", 60),
        "Annotations/A1.xml": VOC.format("another name.jpg", 0, 0, 10, 20, 60, 120),
    },
    "Pascal VOC in UTF-16": {
        "user_3/A0.xml": VOC.replace("utf-8", "utf-16").format("", 200, 100, 20, 10, "90.5", 60).encode("utf-16"),
        "user_3/x.xml": VOC.format("A1.jpg", 100, 200, 10, 20, 60, 120),
    },
}


def encoded(text):
    return text if isinstance(text, bytes) else text.encode()


def merged(files, stored=STORED, sizes=SIZES):
    """Returns the corners by image, and the remarks by file, of files given as texts or bytes."""
    found = [one for name, text in files.items() if (one := read_box_file(name, encoded(text)))]
    text, remarks = merge_boxes(found, stored, sizes)
    rows = list(csv.reader(io.StringIO(text)))
    assert tuple(rows[0]) == NAMES
    entries = {name: entry for entry, name in stored.items()}
    assert len({row[0] for row in rows}) == len(rows)  # one box an image
    return {entries[row[0]]: tuple(map(float, row[1:])) for row in rows[1:]}, remarks


@pytest.mark.parametrize("files", [dict([one]) for one in DIALECTS.values()] + list(FOLDERS.values()),
                         ids=[*DIALECTS, *FOLDERS])  # fmt: skip
def test_a_box_file_of_any_dialect_gives_the_corners_that_it_means(files):
    boxes, remarks = merged(files)
    assert boxes == {entry: pytest.approx(box, abs=0.002) for entry, box in RIGHT.items()}
    assert {remark for remark in remarks.values()} == {"2 boxes" if len(remarks) == 1 else "1 box"}


def test_corners_are_copied_as_they_are_written():
    text = BOX_HEADER + "A0.jpg,020,1e1,90.500,60\n"
    assert merge_boxes([read_box_file("user_3/b.csv", text.encode())], STORED, SIZES)[0].splitlines()[1:] == [
        "A/user_3__A0.jpg,020,1e1,90.500,60"
    ]


UNUSED = {  # files that look like boxes, and what is said of each
    "no header": ("A0.jpg,20,10,90,60\nA1.jpg,1,2,3,4\n", "csv", "it has no header"),
    "no header, blanks": ("A0.jpg 20 10 90 60\n", "txt", "it has no header"),
    "a language unknown here": ("foto;links;oben;rechts;unten\nA0.jpg;20;10;90;60\n", "csv", "(foto,links,oben,"),
    "points of a hand": ("image,x1,y1,x2,y2,x3,y3\nA0.jpg,1,2,3,4,5,6\n", "csv", "it looks like points"),
    "one column for all": ('image_id,bbox\nA0.jpg,"[20, 10, 70, 50]"\n', "csv", "(imageid,bbox)"),
    "VIA": ('filename,region_shape_attributes\nA0.jpg,"{""x"":20}"\n', "csv", "columns are not known"),
    "HaGRID": ('{"a": {"bboxes": [[0.1, 0.1, 0.2, 0.2]], "labels": ["one"]}}', "json", "no annotations with a bbox"),
    "a list": ('[{"image": "A0.jpg", "bbox": [1, 2, 3, 4]}]', "json", "another kind than COCO"),
    "half a COCO": (json.dumps(COCO)[:-40], "json", "another kind than COCO"),
    "deep JSON": ('{"images": ' + "[" * 100_000 + ', "bbox"', "json", "another kind than COCO"),
    "no such XML": ("<a><bndbox><left>1</left></bndbox></a>", "xml", "another kind than Pascal VOC"),
    "damaged XML": (VOC[:-9].format("A0.jpg", 1, 1, 1, 1, 2, 2), "xml", "damaged XML"),
    "a workbook": ("PK\x03\x04", "xlsx", "save it as CSV"),
}


@pytest.mark.parametrize(("text", "kind", "why"), UNUSED.values(), ids=UNUSED)
def test_what_looks_like_boxes_and_is_not_used_is_said_three_times(text, kind, why, tmp_path, caplog):
    name = f"user_3/boxes.{kind}"
    boxes, remarks = merged({name: text})
    assert boxes == {}
    assert remarks[name].startswith("boxes not used: ") and why in remarks[name]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert name in caplog.text and why in caplog.text and caplog.text.count("\n") == 1
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as raw:
        for k in range(2):
            raw.writestr(f"user_3/A{k}.jpg", photograph(20 + k, 10))
        raw.writestr(name, text)
    ledger = clean_archive(tmp_path / "raw.zip", tmp_path / "letters.zip")
    (row,) = [row for row in ledger.rows if row.entry == name]
    assert (row.status, row.note) == ("sidecar", remarks[name])
    assert f"  ! 1 box file not used: no hand is cut out by them\n      {name} ({row.note})" in ledger.summary()
    assert Ledger.from_csv(ledger.to_csv()) == ledger


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.txt", "Photographs of five people, one letter each.\n1 2 3\n"),
        ("pixels.csv", "label,pixel1,pixel2,pixel3,pixel4,pixel5\n3,107,118,127,134,139\n"),
        ("splits.csv", "image,part,fold\nA0.jpg,train,1\n"),
        ("features.csv", "image," + ",".join(f"f{k}" for k in range(64)) + "\nA0.jpg" + ",1" * 64 + "\n"),
        ("data.yaml", "names: [A, B]\nnc: 2\n"),
        ("classes.txt", "A\nB\n"),
        ("package.json", '{"name": "letters", "version": "1.0"}'),
        ("feed.xml", "<rss><item>1 2 3 4</item></rss>"),
        ("negative.txt", "\n"),
        ("readme.md", table()),
        ("blob.csv", bytes(range(256)) * 40),
        ("quote.csv", '"' + "x" * 300_000),
    ],
)
def test_what_does_not_look_like_boxes_is_passed_over(name, text):
    assert read_box_file(name, encoded(text)) is None


def test_a_document_type_is_refused_and_expands_nothing():
    bomb = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 9))
    text = f'<!DOCTYPE a [<!ENTITY e0 "10">{bomb}]>' + VOC.partition("\n")[2].format("A0.jpg", 9, 9, "&e8;", 1, 2, 2)
    for data in (text.encode(), text.encode("utf-16")):
        assert "declares a document type" in read_box_file("user_3/A0.xml", data).problem


def test_rows_that_fit_nothing_are_named_not_guessed():
    stored = {"set/user_3/A0.jpg": "A/user_3__A0.jpg", "set/user_4/A0.jpg": "A/user_4__A0.jpg"}
    rows = [r"C:\work\User_3\a0.jpg", "A0.jpg", "./user_4/A0.jpg", r"user_99\A0.jpg", "", r"user_3\Z9.jpg"]
    text = BOX_HEADER + "".join(f"{row},1,1,2,2\n" for row in rows) + "A0.jpg,x,1,2,2\nA0.jpg,1\n"
    boxes, remarks = merged({"set/user_3/b.csv": "\ufeff" + text}, stored, {})
    assert set(boxes) == set(stored)
    assert remarks["set/user_3/b.csv"] == (
        r"3 boxes; 3 fit no sound photograph: user_99\A0.jpg, , user_3\Z9.jpg; 2 without four numbers"
    )


def test_boxes_are_looked_up_from_the_nearest_folder_and_for_the_first_of_a_name(monkeypatch):
    stored = {"A0.jpg": "A/A0.jpg", "set/A0.jpg": "A/set__A0.jpg", "set/a0.JPG": "A/set__a0~2.JPG"}
    boxes, _ = merged({"set/b.csv": BOX_HEADER + "A0.jpg,1,2,3,4\n"}, stored, {})
    assert boxes == {"set/A0.jpg": (1, 2, 3, 4)}
    for corner in ("-inf", "inf", "nan", "x", "1_0"):
        boxes, remarks = merged({"b.csv": BOX_HEADER + f"A0.jpg,{corner},2,3,4\n"}, stored, {})
        assert (boxes, remarks["b.csv"]) == ({}, "0 boxes; 1 without four numbers")
    for count, end in ((3, "Z2.jpg"), (4, "Z2.jpg …")):
        rows = "".join(f"Z{k}.jpg,1,2,3,4\n" for k in range(count))
        _, remarks = merged({"b.csv": BOX_HEADER + rows}, stored, {})
        assert remarks["b.csv"] == f"0 boxes; {count} fit no sound photograph: Z0.jpg, Z1.jpg, {end}"
    monkeypatch.setattr(box_files, "LARGEST_FILE", len(BOX_HEADER))
    assert not read_box_file("b.csv", BOX_HEADER.encode()).problem
    assert "are not searched" in read_box_file("b.csv", BOX_HEADER.encode() + b"\n").problem
    assert read_box_file("b.csv", b"word," * 40) is None


def test_no_picture_of_another_person_is_taken_for_one_that_is_missing():
    """Below the nearest folder that holds photographs a name must be there once; nothing is searched further away."""
    stored = {"user_3/x/A5.jpg": "A/3.jpg", "user_9/x/A0.jpg": "A/9.jpg", "user_9/y/A0.jpg": "A/9b.jpg"}
    lines = "A5.jpg,1,2,3,4\n"
    assert merged({"user_9/boxes/b.csv": BOX_HEADER + lines}, stored, {})[0] == {}
    assert merged({"user_9/boxes/b.csv": BOX_HEADER + "A0.jpg,1,2,3,4\n"}, stored, {})[0] == {}
    assert merged({"boxes/b.csv": BOX_HEADER + lines}, stored, {})[0] == {"user_3/x/A5.jpg": (1, 2, 3, 4)}
    two = {"images/train/1.jpg": "A/1.jpg", "images/val/1.jpg": "A/2.jpg"}
    sizes = dict.fromkeys(two, (10, 10))
    assert merged({"labels/val/1.txt": "0 0.5 0.5 0.2 0.2"}, two, sizes)[0] == {"images/val/1.jpg": (4, 4, 6, 6)}


def test_boxes_that_cannot_be_are_counted_and_the_others_used():
    rows = [
        ("A0.jpg", "30", "40", "30", "60"),  # no width
        ("A0.jpg", "200", "10", "230", "60"),  # begins at the right edge
        ("A0.jpg", "-9", "10", "0", "60"),  # ends at the left edge
        ("A0.jpg", "nan", "10", "9", "60"),
        ("A0.jpg", "190", "10", "230", "60"),  # reaches over the edge: a hand at the edge does
        ("A1.jpg", "60", "120", "10", "20"),  # both corners swapped
    ]
    boxes, remarks = merged({"user_3/b.csv": table(rows=rows)})
    assert boxes == {"user_3/A0.jpg": (190, 10, 230, 60), "user_3/A1.jpg": (10, 20, 60, 120)}
    assert remarks["user_3/b.csv"] == (
        "2 boxes; 1 without four numbers; 1 of no area; 2 outside the picture; "
        "1 with corners the wrong way round, turned"
    )
    for box, turned in (("9,1,2,3", (2, 1, 9, 3)), ("2,3,9,1", (2, 1, 9, 3))):
        assert merged({"user_3/b.csv": f"{BOX_HEADER}A0.jpg,{box}\n"})[0] == {"user_3/A0.jpg": turned}


def test_of_several_boxes_for_one_picture_the_largest_is_used_in_any_order():
    rows = [("A0.jpg", *box) for box in (("0", "0", "9", "9"), ("1", "1", "50", "40"), ("5", "5", "20", "20"))]
    for order in (rows, rows[::-1], [rows[1], rows[0], rows[2]]):
        boxes, remarks = merged({"user_3/b.csv": table(rows=order)})
        assert boxes == {"user_3/A0.jpg": (1, 1, 50, 40)}
        assert remarks["user_3/b.csv"].startswith("3 boxes; ")
        assert "beside another box of the same photograph, of which the largest is used" in remarks["user_3/b.csv"]
    files = {"user_3/b.csv": table(rows=rows[:1]), "all.csv": table(rows=[("user_3/A0.jpg", "0", "0", "9", "9")])}
    boxes, remarks = merged(files)  # the same box, said twice
    assert (boxes, set(remarks.values())) == ({"user_3/A0.jpg": (0, 0, 9, 9)}, {"1 box"})


def test_a_box_drawn_on_a_picture_of_another_size_is_not_used():
    names = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
    rows = [("A0.jpg", "400", "200", "A", "20", "10", "90", "60"), ("A1.jpg", "100", "200", "A", "1", "2", "3", "4")]
    boxes, remarks = merged({"user_3/b.csv": table(names, rows)})
    assert boxes == {"user_3/A1.jpg": (1, 2, 3, 4)}
    assert remarks["user_3/b.csv"] == "1 box; 1 drawn on a picture of another size"
    boxes, remarks = merged({"user_3/A0.txt": "0 0.5 0.5 0.2 0.2"}, sizes={})
    assert (boxes, remarks["user_3/A0.txt"]) == ({}, "0 boxes; 1 drawn on a picture of another size")


def photograph(width, height, turned=0, colour="#885544", kind="JPEG"):
    data, exif = io.BytesIO(), Image.Exif()
    if turned:
        exif[0x0112] = turned
    Image.new("RGB", (width, height), colour).save(data, kind, exif=exif)
    return data.getvalue()


@pytest.mark.parametrize(
    ("turned", "kind"), [*((k, "JPEG") for k in range(9)), (6, "PNG"), (6, "WEBP"), (8, "TIFF"), (1, "BMP")]
)
def test_shares_are_of_the_picture_as_it_is_shown(turned, kind, tmp_path):
    data, name = photograph(40, 20, turned, kind=kind), f"A0.{kind.lower()}"
    from PIL import ImageOps

    with Image.open(io.BytesIO(data)) as opened:
        width, height = ImageOps.exif_transpose(opened).size
    assert shown_size(data) == (width, height) == ((20, 40) if turned >= 5 else (40, 20))
    corners = [width // 4, height // 4, 3 * width // 4, 3 * height // 4]
    (tmp_path / "user_1").mkdir()
    (tmp_path / "user_1" / name).write_bytes(data)
    (tmp_path / "user_1" / "A0.txt").write_text("0 0.5 0.5 0.5 0.5")
    ((_, _, box),) = loose_photographs(tmp_path / "user_1" / name)
    assert box == tuple(corners)
    clean_archive(tmp_path / "user_1", tmp_path / "letters.zip", pattern="(?P<label>[A-Z])")
    with zipfile.ZipFile(tmp_path / "letters.zip") as letters:
        (line,) = letters.read("boxes.csv").decode().splitlines()[1:]
    assert line.split(",")[1:] == [str(one) for one in corners]


def test_a_mended_picture_is_turned_as_it_is_shown(tmp_path):
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as raw:
        raw.writestr("user_1/A0.jpg", b"\0\0" + photograph(40, 20, 6))
        raw.writestr("user_1/A0.txt", "0 0.5 0.5 0.5 0.5")
    clean_archive(tmp_path / "raw.zip", tmp_path / "letters.zip", repair=True)
    with zipfile.ZipFile(tmp_path / "letters.zip") as letters:
        (line,) = letters.read("boxes.csv").decode().splitlines()[1:]
    assert line.split(",")[1:] == ["5", "10", "15", "30"]


def test_names_from_a_box_file_bring_no_control_character_and_are_not_endless():
    rows = [("\x1b[2J" + "z" * 500 + ".jpg", "1", "2", "3", "4")]
    remark = merged({"user_3/b.csv": table(rows=rows)})[1]["user_3/b.csv"]
    assert remark == "0 boxes; 1 fit no sound photograph: \ufffd[2J" + "z" * 56 + "…"


def test_a_long_box_file_is_read_in_little_memory_and_up_to_a_limit(monkeypatch):
    lines = "".join(f"user_{k % 50}\\A{k}.jpg,10,20,90,100\n" for k in range(60_000))
    data = (BOX_HEADER + lines).encode()
    tracemalloc.start()
    found = read_box_file("b.csv", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.rows) == 60_000 and not found.problem
    assert peak < 20 * len(data)
    monkeypatch.setattr(box_files, "MOST_ROWS", 10)
    found = read_box_file("b.csv", data)
    assert (len(found.rows), MOST_ROWS) == (10, 300_000) and "at most 10 boxes" in found.problem
    many = {"images": COCO["images"], "annotations": 12 * COCO["annotations"]}
    assert "at most 10 boxes" in read_box_file("b.json", json.dumps(many).encode()).problem


def test_boxes_at_the_end_of_a_long_coco_file_are_found():
    images = [{"id": k, "file_name": f"{k}.jpg"} for k in range(60_000)]
    text = json.dumps({"images": images + COCO["images"], "annotations": []})
    text = text[: text.index("[]}")] + json.dumps(COCO["annotations"]).replace("7,", "70007,", 1) + "}"
    assert len(text) > 2 << 20
    found = read_box_file("a.json", text.encode())
    assert [row.corners for row in found.rows] == [("20", "10", "90.5", "60"), ("10", "20", "60", "120")]


def test_a_long_xml_is_not_parsed(monkeypatch):
    text = VOC.format("A0.jpg", 200, 100, 20, 10, 90, 60)
    monkeypatch.setattr(box_trees, "LARGEST", len(text))
    assert not read_box_file("user_3/A0.xml", text.encode()).problem
    assert "it is longer than" in read_box_file("user_3/A0.xml", text.encode() + b"\n").problem
