"""The one decoder, and what repair leaves in a letters.zip."""

import csv
import hashlib
import io
import random
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageOps

import casestudy as cs
from casestudy.cleaning import decode_image, write_unlabelled
from casestudy.cleaning.pixels import _Memory
from casestudy.cleaning.rebuild import undo
from casestudy.cleaning.regroup import clean_archive
from casestudy.cleaning.screening import screen


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(size=(40, 30), mode="RGB", seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def test_sixteen_bits_keep_their_greys():
    levels = np.random.default_rng(0).integers(0, 65536, (30, 40), dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        found = decode_image(encode(Image.fromarray(levels), kind))
        assert found.mode == "RGB"
        assert (np.asarray(found) == (levels // 256)[:, :, None]).all()


def test_sixteen_bit_pictures_are_no_copies_of_one_another(tmp_path):
    for k in range(8):
        grey = np.random.default_rng(k).integers(9000, 65536, (12, 12)).repeat(4, 0).repeat(4, 1).astype(np.uint16)
        (tmp_path / f"user_{k % 2 + 1}").mkdir(exist_ok=True)
        (tmp_path / f"user_{k % 2 + 1}" / f"A{k}.png").write_bytes(encode(Image.fromarray(grey)))
    rows = clean_archive(tmp_path, None, progress=False).rows
    assert [(row.status, row.near_duplicate_of) for row in rows] == [("kept", "")] * 8


@pytest.mark.parametrize(("mode", "black"), [("RGBA", (9, 9, 9, 255)), ("LA", (9, 255))])
def test_what_is_transparent_lies_on_white(mode, black):
    image = Image.new(mode, (4, 2), 0)
    image.paste(black, (0, 0, 2, 2))
    found = np.asarray(decode_image(encode(image)))
    assert found[:, :2].max() == 9 and found[:, 2:].min() == 255


def test_palettes_and_plain_colours_may_be_transparent_too():
    palette = Image.new("P", (4, 1), 0)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    palette.putpixel((1, 0), 1)
    right = [[255] * 3, [200, 10, 10], [255] * 3, [255] * 3]
    assert np.asarray(decode_image(encode(palette, transparency=0)))[0].tolist() == right
    plain = Image.new("RGB", (2, 1))
    plain.putpixel((1, 0), (0, 0, 1))
    assert np.asarray(decode_image(encode(plain, transparency=(0, 0, 0))))[0].tolist() == [[255] * 3, [0, 0, 1]]


@pytest.mark.parametrize(
    "kind", ["RGB PNG", "RGB JPEG", "L JPEG", "CMYK JPEG", "opaque", "1-bit", "BMP", "GIF", "WEBP"]
)
def test_ordinary_pictures_are_what_pillow_makes_of_them(kind):
    file = {
        "RGB PNG": lambda: encode(noise()),
        "opaque": lambda: encode(noise(mode="RGBA")),
        "1-bit": lambda: encode(noise(mode="1")),
        "GIF": lambda: encode(noise(mode="P"), "GIF"),
    }.get(kind, lambda: encode(noise(mode=kind.split()[0] if " " in kind else "RGB"), kind.split()[-1]))()
    with Image.open(io.BytesIO(file)) as image:
        for mode in ("RGB", "L"):
            assert decode_image(file, mode).tobytes() == image.convert(mode).tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_are_turned_as_their_exif_asks(kind):
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        file = encode(noise(), kind, exif=exif)
        with Image.open(io.BytesIO(file)) as image:
            assert decode_image(file).tobytes() == ImageOps.exif_transpose(image).convert("RGB").tobytes()
        assert kind == "TIFF" or (screen(file).width, screen(file).height) == (40, 30)  # Pillow turns a TIFF's at once


@pytest.mark.filterwarnings("ignore")
def test_no_exif_block_is_sound_and_then_stops_a_run():
    """Of 1,000 mutated blocks, all load; Pillow's own `exif_transpose` raises on some."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "maker", 72.0
    exif[0x8769] = {0x9003: "2020:01:01 00:00:00"}
    exif[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    block, file, dice, raised = exif.tobytes(), encode(noise((16, 8)), "JPEG"), random.Random(1), 0
    for _ in range(1000):
        body = bytearray(block)
        for _ in range(dice.randrange(1, 8)):
            body[dice.randrange(6, len(body))] = dice.randrange(256)
        data = file[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + bytes(body) + file[2:]
        assert screen(data).reason is None
        assert sorted(decode_image(data).size) == [8, 16]
        try:
            with Image.open(io.BytesIO(data)) as image:
                ImageOps.exif_transpose(image)
        except Exception:
            raised += 1
    assert raised


def test_exif_that_cannot_be_read_is_noted(monkeypatch):
    def fail(self):
        raise OverflowError

    file = encode(noise(), "JPEG")
    monkeypatch.setattr(Image.Image, "getexif", fail)
    assert screen(file).note == "its EXIF cannot be read: not turned"
    assert decode_image(file).size == (40, 30)


def test_text_that_pillow_refuses_says_nothing_of_the_pixels():
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("long", "x" * (2 << 20), zip=True)  # more than Pillow unpacks
    file = encode(noise(), pnginfo=info)
    with pytest.raises(ValueError, match="too large"), Image.open(io.BytesIO(file)):
        pass
    assert (screen(file).reason, screen(file).note) == (None, "its EXIF or text cannot be read")
    assert decode_image(file).tobytes() == noise().tobytes()


def test_of_several_frames_the_first_is_read_and_it_is_noted():
    frames = [noise(seed=k).quantize(16) for k in range(3)]
    for kind in ("GIF", "WEBP", "TIFF"):
        file = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        with Image.open(io.BytesIO(file)) as image:
            assert decode_image(file).tobytes() == image.convert("RGB").tobytes()
        assert screen(file).note == "several frames or pages: the first is used"


@pytest.mark.parametrize(
    "damaged", [b"", b"text", b"\xff\xd8\xff", encode(noise())[:60], encode(noise(), "JPEG")[:-99]]
)
def test_what_does_not_decode_is_a_value_error_in_our_words(damaged):
    with pytest.raises(ValueError, match=r"^(not an image|damaged: [a-z ]+)$"):
        decode_image(damaged)


def test_large_pictures_wait_for_one_another():
    memory, held, most = _Memory(100), [], []
    free = threading.Semaphore(0)

    def decode(pixels):
        with memory(pixels):
            held.append(pixels)
            most.append(list(held))
            free.acquire()
            held.remove(pixels)

    threads = [threading.Thread(target=decode, args=(pixels,)) for pixels in (60, 300, 50, 40, 300)]
    for thread in threads:
        thread.start()
    for _ in threads:
        free.release()
    for thread in threads:
        thread.join(20)
    assert len(most) == 5
    assert all(sum(together) <= 100 or len(together) == 1 for together in most)


@pytest.fixture
def archive(tmp_path):
    """Six sound photographs, a seventh without its end mark, one that lacks half, a copy without its end mark."""
    folder = tmp_path / "photographs"
    for k in range(6):
        (folder / f"user_{k % 2 + 1}").mkdir(parents=True, exist_ok=True)
        (folder / f"user_{k % 2 + 1}" / f"{'ABC'[k // 2]}0.jpg").write_bytes(encode(noise(seed=k), "JPEG"))
    whole = encode(noise(seed=9), "JPEG")
    (folder / "user_1" / "A1.jpg").write_bytes(whole[:-2])
    (folder / "user_1" / "A2.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "user_2" / "A3.jpg").write_bytes(encode(noise(seed=0), "JPEG")[:-2])
    return folder, whole


def test_without_repair_a_photograph_without_an_end_mark_is_set_aside(archive, tmp_path):
    ledger = clean_archive(archive[0], tmp_path / "letters.zip", progress=False)
    assert ledger.counts()["repairable"] == 2 and ledger.counts()["corrupt"] == 1
    row = next(row for row in ledger.rows if row.entry == "user_1/A1.jpg")
    assert (row.status, row.stored_as) == ("repairable", "_quarantine/user_1/A1.jpg")
    assert (row.reason, row.mended_as, row.mended_sha256) == ("no end mark", "", "")
    assert "--repair" in ledger.summary()


def test_repair_stores_what_can_be_trained_on_and_keeps_the_original(archive, tmp_path):
    folder, whole = archive
    letters = tmp_path / "letters.zip"
    ledger = clean_archive(folder, letters, repair=True, progress=False)
    rows = {row.entry: row for row in ledger.rows}
    row = rows["user_1/A1.jpg"]
    assert (row.status, row.label, row.signer, row.reason) == ("kept", "A", "user_1", "no end mark")
    assert row.stored_as.startswith("_quarantine/") and row.mended_as.startswith("A/")
    assert rows["user_2/A3.jpg"].status == "duplicate" and rows["user_2/A3.jpg"].duplicate_of == "user_1/A0.jpg"
    assert rows["user_1/A2.jpg"].status == "corrupt"
    with zipfile.ZipFile(letters) as written:
        assert written.read(row.mended_as) == whole
        assert written.read(row.stored_as) == whole[:-2]
        assert hashlib.sha256(whole).hexdigest() == row.mended_sha256
        table = {line["entry"]: line for line in csv.DictReader(io.StringIO(written.read("ledger.csv").decode()))}
    assert table["user_1/A1.jpg"]["mended_as"] == row.mended_as
    images = cs.load_images(letters, image_size=(30, 40), crop="none", cache_dir=tmp_path / "cache")
    assert len(images) == 8
    place = images.names.tolist().index(row.mended_as)
    with Image.open(io.BytesIO(whole)) as image:
        assert (images.images[place] == np.asarray(image.convert("RGB"))).all()
    undo(letters, tmp_path / "tree", progress=False)
    assert (tmp_path / "tree" / "user_1" / "A1.jpg").read_bytes() == whole[:-2]


def test_a_mended_copy_that_was_changed_since_is_refused(archive, tmp_path):
    letters = tmp_path / "letters.zip"
    ledger = clean_archive(archive[0], letters, repair=True, progress=False)
    name = next(row.mended_as for row in ledger.rows if row.mended_as)
    letters.write_bytes(letters.read_bytes().replace(archive[1], archive[1][:-3] + b"x\xff\xd9"))
    with pytest.raises(cs.CaseStudyError, match=name):
        cs.load_images(letters, image_size=(8, 8), crop="none", cache_dir=tmp_path / "cache")


def test_a_hidden_test_hands_out_pictures_that_decode(archive, tmp_path):
    labels = write_unlabelled(archive[0], tmp_path / "hidden.zip")
    assert len(labels) == 6
    with zipfile.ZipFile(tmp_path / "hidden.zip") as hidden:
        assert all(decode_image(hidden.read(name)).size == (40, 30) for name in labels)


def test_blank_pictures_are_flagged_and_are_no_near_duplicates(tmp_path):
    (tmp_path / "user_1").mkdir()
    for k in range(3):
        (tmp_path / "user_1" / f"A{k}.png").write_bytes(encode(Image.new("L", (40 + k, 30), 5)))
    ledger = clean_archive(tmp_path, None, progress=False)
    assert [(row.status, row.near_duplicate_of, row.note) for row in ledger.rows] == [
        ("kept", "", "blank: nearly one colour")
    ] * 3
    assert "3 of them perhaps without a picture" in ledger.summary()
