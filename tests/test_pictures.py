"""Photographs come back cut and turned as the model saw them, and never more of them than a page may hold."""

import base64
import io
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageFile

from casestudy.data import photographs as pictures
from casestudy.data.photographs import Photographs, decode_picture
from casestudy.runs import RunFolder


@pytest.fixture
def zipped(encode):
    """Makes an open zip of pictures by name."""

    def made(photos):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, picture in photos.items():
                archive.writestr(name, encode(picture))
        return zipfile.ZipFile(buffer)

    return made


def decoded(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_a_hand_is_cut_out_where_the_model_saw_it_cut(zipped):
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[20:40, 70:90] = 255
    archive = zipped({"a.png": pixels})
    boxes = {"a.png": (70.0, 20.0, 90.0, 40.0)}
    cut = Photographs(archive, boxes, margin=0.0).picture("a.png", 64)
    assert cut.size == (20, 20)
    assert np.asarray(cut).min() == 255
    assert Photographs(archive, boxes, margin=None).picture("a.png", 50).size == (50, 30)
    assert Photographs(archive, {}, margin=0.0).picture("a.png", 200).size == (100, 60)  # never larger than it is


def test_a_run_without_its_zip_has_none(run_copy, finished_run):
    with finished_run.photographs() as photographs:
        assert set(finished_run.read_table("predictions.csv")["name"]) <= photographs.names
        assert photographs.margin is None  # this run took them whole
    with RunFolder.open(run_copy.path).photographs() as photographs:
        assert photographs.names == set()
        assert photographs.thumbnails(["A/user_1__A0.png"]) == {}


def test_a_cropped_run_has_boxes_and_margin(run_copy):
    run_copy.write_json("run.json", run_copy.read_json("run.json") | {"cropped": True})
    with run_copy.photographs() as photographs:
        assert photographs.margin == 0.1
        assert photographs.picture("A/user_1__A0.png", 96).size == (26, 26)  # 24 pixels and a tenth


def test_thumbnails_get_smaller_the_more_there_are(zipped, monkeypatch):
    monkeypatch.setattr(pictures, "SIZES", ((2, 96), (4, 48)))
    names = [f"{k}.png" for k in range(6)]
    photographs = Photographs(zipped({name: np.full((200, 100, 3), 9, np.uint8) for name in names}))
    assert decoded(photographs.thumbnails(names[:2])["0.png"]).size == (48, 96)
    many = photographs.thumbnails([*names, "missing.png", "0.png"])
    assert list(many) == names[:4]
    assert decoded(many["0.png"]).size == (24, 48)


def test_thumbnails_stop_before_the_page_grows_too_large(zipped, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    photographs = Photographs(zipped({f"{k}.png": noise for k in range(5)}))
    one = len(photographs.thumbnails(["0.png"])["0.png"])
    monkeypatch.setattr(pictures, "MOST_BYTES", 3 * one)
    assert list(photographs.thumbnails([f"{k}.png" for k in range(5)])) == ["0.png", "1.png", "2.png"]


def test_of_a_damaged_photograph_it_shows_what_decodes(encode):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = encode(pixels, "JPEG", quality=95)
    half, intact = (np.asarray(decode_picture(data, 64)) for data in (whole[: len(whole) * 2 // 3], whole))
    assert (half[:16] == intact[:16]).all()
    assert not (half[48:] == intact[48:]).all()
    for nothing in (b"", b"<html>", whole[:10]):
        blank = np.asarray(decode_picture(nothing, 48))
        assert blank.shape == (48, 48, 3)
        assert blank.std() == 0
    assert not ImageFile.LOAD_TRUNCATED_IMAGES  # as strict as before, for everybody else


def test_a_decompression_bomb_is_not_opened(encode, monkeypatch):
    monkeypatch.setattr("casestudy.cleaning.pixels.MAX_PIXELS", 99)
    assert np.asarray(decode_picture(encode(np.zeros((10, 10, 3), np.uint8)), 8)).min() > 200


def test_limits_that_are_just_reached_hold(zipped, encode, monkeypatch):
    pixels = np.full((10, 10, 3), 9, np.uint8)
    for limit, seen in ((100, True), (99, False)):
        monkeypatch.setattr("casestudy.cleaning.pixels.MAX_PIXELS", limit)
        assert (np.asarray(decode_picture(encode(pixels), 8)).max() < 20) == seen
    monkeypatch.setattr("casestudy.cleaning.pixels.MAX_PIXELS", 50_000_000)
    monkeypatch.setattr(pictures, "SIZES", ((2, 96), (4, 48)))
    names = [f"{k}.png" for k in range(3)]
    photographs = Photographs(zipped({name: np.full((200, 100, 3), 9, np.uint8) for name in names}))
    assert decoded(photographs.thumbnails(names[:2])["0.png"]).size == (48, 96)
    assert decoded(photographs.thumbnails(names)["0.png"]).size == (24, 48)


def test_a_photograph_is_shown_as_its_camera_was_held(encode):
    exif = Image.Exif()
    exif[0x0112] = 6  # show it a quarter clockwise
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20] = 255  # the left half, which comes up
    shown = np.asarray(decode_picture(encode(Image.fromarray(pixels), exif=exif), 40))
    assert shown.shape == (40, 20, 3)
    assert shown[:20].min() == 255 and shown[20:].max() == 0
