"""Images come in as stored, cropped as asked, decoded once."""

import errno
import io
import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casestudy.cli import main
from casestudy.data import letters, load_images
from casestudy.errors import DataError
from casestudy.study import DataSpec


@pytest.fixture
def gradient():
    """uint8 (48, 64, 3) in which every pixel is another one."""
    y, x = np.mgrid[:48, :64]
    return np.stack([4 * x, 5 * y, x + y], axis=-1).astype(np.uint8)


def test_letters_zip_gives_pixels_labels_signers_and_groups(letters_zip, draw, tmp_path):
    images = load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path)
    assert images.class_names == ("A", "B", "C")
    assert images.images.shape == (45, 32, 32, 3)
    assert images.images.dtype == np.uint8
    assert images.labels.dtype == np.int64
    for k in (0, 8, 20, 44):
        name = images.names[k]  # A/user_1__A0.png
        label, signer, take = name[0], int(name[7]), int(name[-5])
        assert images.class_names[images.labels[k]] == label
        assert images.signers[k] == f"user_{signer}"
        np.testing.assert_array_equal(images.images[k], draw(label, signer, take))
    where = {name: k for k, name in enumerate(images.names)}
    copies = [images.groups[where[f"B/user_{signer}__B0.png"]] for signer in (1, 2, 3)]
    assert len(set(copies)) == 1
    assert len(set(images.groups)) == 45 - 2


def test_quarantine_sidecars_and_unlabelled_are_no_images(letters_zip, tmp_path):
    names = load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path).names
    assert not [name for name in names if name.startswith("_")]


def test_folder_and_zip_of_class_folders_agree(tmp_path, draw, encode):
    folder = tmp_path / "photos"
    for label in "BA":
        (folder / label).mkdir(parents=True)
        for k in range(2):
            (folder / label / f"{k}.png").write_bytes(encode(draw(label, 1, k)))
    for stray in ("_quarantine/bad.png", ".cache/x.png", "A/notes.txt", "top.png"):
        (folder / stray).parent.mkdir(exist_ok=True)
        (folder / stray).write_bytes(b"no picture")
    zipped = shutil.make_archive(str(tmp_path / "photos"), "zip", folder)
    one = load_images(folder, image_size=(32, 32), cache_dir=tmp_path / "cache")
    two = load_images(zipped, image_size=(32, 32), cache_dir=tmp_path / "cache")
    for images in (one, two):
        assert images.names.tolist() == ["A/0.png", "A/1.png", "B/0.png", "B/1.png"]
        assert images.labels.tolist() == [0, 0, 1, 1]
        assert images.signers is None
        np.testing.assert_array_equal(images.images[3], draw("B", 1, 1))


@pytest.mark.parametrize(
    ("box", "margin", "rows", "columns"),
    [
        ((10, 5, 26, 21), 0.0, (5, 21), (10, 26)),
        ((26, 21, 10, 5), 0.0, (5, 21), (10, 26)),  # corners the other way round
        ((10, 5, 26, 21), 0.5, (1, 25), (6, 30)),  # 16 and a half of it is 24, about the centre (18, 13)
        ((10, 9, 26, 17), 0.0, (5, 21), (10, 26)),  # a wide box becomes a square about its centre
        ((-4, 30, 12, 60), 0.0, (18, 48), (0, 30)),  # partly outside: moved in, not distorted
        ((-90, -90, 200, 200), 0.0, (0, 48), (16, 64)),  # larger than the picture: the largest square inside
    ],
)
def test_crop_is_the_square_round_the_box(box, margin, rows, columns, tmp_path, gradient, encode, write_letters):
    photo = {"entry": "u/A0.png", "stored_as": "A/u__A0.png", "signer": "u", "label": "A", "data": encode(gradient)}
    path = write_letters(tmp_path / "letters.zip", [photo], {"A/u__A0.png": box})
    side = rows[1] - rows[0]
    images = load_images(path, image_size=(side, side), cache_dir=tmp_path, crop="boxes", margin=margin)
    np.testing.assert_array_equal(images.images[0], gradient[slice(*rows), slice(*columns)])


def test_without_a_box_the_whole_photograph_is_used(tmp_path, draw, gradient, encode, write_letters, caplog):
    facts = {"signer": "u", "label": "A"}
    photos = [
        {"entry": "u/A0.png", "stored_as": "A/u__A0.png", "data": encode(gradient), **facts},
        {"entry": "u/A1.png", "stored_as": "A/u__A1.png", "data": encode(draw("A", 1, 1, size=16)), **facts},
    ]
    path = write_letters(tmp_path / "letters.zip", photos, {"A/u__A0.png": (0, 0, 16, 16)})
    images = load_images(path, image_size=(16, 16), cache_dir=tmp_path, crop="boxes", margin=0)
    np.testing.assert_array_equal(images.images[0], gradient[:16, :16])
    np.testing.assert_array_equal(images.images[1], draw("A", 1, 1, size=16))
    assert "A/u__A1.png" in caplog.text


def test_cache_is_mapped_and_spares_the_second_decoding(letters_zip, tmp_path, monkeypatch):
    first = load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path)
    assert isinstance(first.images, np.memmap)
    assert not first.images.flags.writeable

    def decode_again(*args):
        raise AssertionError("decoded again")

    monkeypatch.setattr(letters, "_each", decode_again)
    second = load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path)
    np.testing.assert_array_equal(first.images, second.images)
    assert first.digest == second.digest
    with pytest.raises(AssertionError, match="decoded again"):
        load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path, crop="boxes")


@pytest.mark.parametrize("kind", ["letters", "folder", "zip"])
def test_other_content_is_another_cache_file(kind, tmp_path, draw, encode, write_letters):
    found = []
    for round_ in range(2):
        data = encode(draw("A", 1, round_))
        path = tmp_path / f"{kind}{round_}"
        if kind == "letters":
            photo = {"entry": "u/A0.png", "stored_as": "A/u__A0.png", "signer": "u", "label": "A", "data": data}
            write_letters(path, [photo])
        elif kind == "folder":
            (path / "A").mkdir(parents=True)
            (path / "A" / "0.png").write_bytes(data)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("A/0.png", data)
        found.append(load_images(path, image_size=(32, 32), cache_dir=tmp_path / "cache"))
        np.testing.assert_array_equal(found[-1].images[0], draw("A", 1, round_))
    assert found[0].digest != found[1].digest
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2


def test_an_interrupted_decoding_leaves_no_cache(letters_zip, tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt
        yield

    with monkeypatch.context() as patch:
        patch.setattr(letters, "_each", stop)
        with pytest.raises(KeyboardInterrupt):
            load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path).images[0].any()


def test_every_mode_of_picture_becomes_rgb(tmp_path, draw, encode):
    photo = Image.fromarray(draw("A", 1, 0))
    grey = np.asarray(photo.convert("L"))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter clockwise
    folder = tmp_path / "photos" / "A"
    folder.mkdir(parents=True)
    (folder / "1-grey.png").write_bytes(encode(photo.convert("L")))
    (folder / "2-alpha.png").write_bytes(encode(photo.convert("RGBA")))
    (folder / "3-turned.png").write_bytes(encode(photo, exif=exif))
    (folder / "4-cmyk.jpg").write_bytes(encode(photo.convert("CMYK"), "JPEG", quality=100, subsampling=0))
    (folder / "5-palette.png").write_bytes(encode(photo.quantize(256)))
    (folder / "6.gif").write_bytes(encode(photo.convert("L"), "GIF"))
    images = load_images(tmp_path / "photos", image_size=(32, 32), cache_dir=tmp_path).images
    np.testing.assert_array_equal(images[0], np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(images[1], np.asarray(photo))
    np.testing.assert_array_equal(images[2], np.rot90(np.asarray(photo), -1))
    for k in (3, 4):
        assert np.abs(images[k].astype(int) - np.asarray(photo)).mean() < 12
    np.testing.assert_array_equal(images[5], images[0])


def test_height_comes_before_width(tmp_path, gradient, encode):
    (tmp_path / "photos" / "A").mkdir(parents=True)
    (tmp_path / "photos" / "A" / "0.png").write_bytes(encode(gradient))
    images = load_images(tmp_path / "photos", image_size=(48, 64), cache_dir=tmp_path).images
    np.testing.assert_array_equal(images[0], gradient)


def test_an_image_that_does_not_decode_is_named(tmp_path, draw, encode):
    folder = tmp_path / "photos" / "A"
    folder.mkdir(parents=True)
    (folder / "good.jpg").write_bytes(encode(draw("A", 1, 0), "JPEG"))
    (folder / "bad.jpg").write_bytes(encode(draw("A", 1, 1), "JPEG")[:300])
    with pytest.raises(DataError, match=r"A/bad\.jpg.*casestudy clean") as caught:
        load_images(tmp_path / "photos", image_size=(32, 32), cache_dir=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_cannot_be_loaded_says_why(tmp_path, encode, draw, write_letters):
    def load(source, **options):
        return load_images(source, image_size=(32, 32), cache_dir=tmp_path / "cache", **options)

    with pytest.raises(DataError, match="casestudy clean"):
        load(tmp_path / "nowhere.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="No labelled image"):
        load(tmp_path / "empty")
    photo = {"entry": "A0.png", "stored_as": "A/A0.png", "label": "A", "data": encode(draw("A", 1, 0))}
    path = write_letters(tmp_path / "letters.zip", [photo])
    with pytest.raises(DataError, match="no boxes"):
        load(path, crop="boxes")
    with pytest.raises(DataError, match="'faces'"):
        load(path, crop="faces")
    assert load(path).signers is None


def test_auto_crops_where_there_are_boxes(tmp_path, gradient, encode, write_letters):
    photo = {"entry": "u/A0.png", "stored_as": "A/u__A0.png", "signer": "u", "label": "A", "data": encode(gradient)}
    for boxes in ({"A/u__A0.png": (10, 5, 26, 21)}, {}, None):
        path = write_letters(tmp_path / "letters.zip", [photo], boxes)
        size = (16, 16) if boxes else (48, 64)
        images = load_images(path, image_size=size, cache_dir=tmp_path, crop="auto", margin=0)
        assert images.cropped == bool(boxes)
        np.testing.assert_array_equal(images.images[0], gradient[5:21, 10:26] if boxes else gradient)
        whole = load_images(path, image_size=(48, 64), cache_dir=tmp_path, crop="none")
        assert not whole.cropped
        np.testing.assert_array_equal(whole.images[0], gradient)


def test_how_images_are_stored_is_told_in_a_data_spec(tmp_path, gradient, encode, write_letters):
    facts = {"signer": "anna", "label": "A", "part": "test"}
    photos = [
        {"entry": "0.png", "stored_as": "A/0.png", "data": encode(gradient), **facts},
        {"entry": "1.png", "stored_as": "A/1.png", "data": encode(255 - gradient), **facts, "part": "train"},
    ]
    path = write_letters(tmp_path / "letters.zip", photos)

    def load(**spec):
        return load_images(path, image_size=(48, 64), cache_dir=tmp_path / "cache", data=DataSpec(**spec))

    whole = load()
    assert (whole.signers.tolist(), whole.parts.tolist()) == (["anna", "anna"], ["test", "train"])
    grey = load(channels=1)
    assert grey.images.shape == (2, 48, 64, 1)
    np.testing.assert_array_equal(grey.images[0, :, :, 0], np.asarray(Image.fromarray(gradient).convert("L")))
    assert len({whole.digest, grey.digest}) == 2
    np.testing.assert_array_equal(whole.images[0], gradient)  # the grey ones lie in another cache file


def test_idx_files_are_read_like_every_other_kind(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 10), dtype=np.uint8)
    for part, labels in (("train", [1, 0, 1]), ("test", [0])):
        images = pixels[: len(labels)] if part == "train" else pixels[3:]
        for kind, values in (("images-idx3", images.swapaxes(1, 2)), ("labels-idx1", np.array(labels, np.uint8))):
            header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
            (tmp_path / f"my-{part}-{kind}-ubyte").write_bytes(header + values.tobytes())
    spec = DataSpec(kind="idx", subset="my", class_names=("X", "Y"), transposed=True)
    found = load_images(tmp_path, image_size=(8, 10), cache_dir=tmp_path / "cache", data=spec)
    np.testing.assert_array_equal(found.images[..., 0], pixels)
    assert [found.class_names[k] for k in found.labels] == ["Y", "X", "Y", "X"]
    assert found.parts.tolist() == ["train"] * 3 + ["test"]


def test_other_boxes_margins_sizes_and_colours_are_other_pixels(tmp_path, gradient, encode, write_letters):
    """Each is decoded by itself, though all share a cache."""
    photo = {"entry": "u/A0.png", "stored_as": "A/u__A0.png", "signer": "u", "label": "A", "data": encode(gradient)}

    def load(box, size=(16, 16), margin=0.0, channels=3):
        path = write_letters(tmp_path / "letters.zip", [photo], {"A/u__A0.png": box})
        options = {"image_size": size, "margin": margin, "data": DataSpec(channels=channels)}
        return load_images(path, cache_dir=tmp_path / "cache", crop="boxes", **options)

    first = load((10, 5, 26, 21))
    np.testing.assert_array_equal(first.images[0], gradient[5:21, 10:26])
    moved = load((20, 5, 36, 21))
    np.testing.assert_array_equal(moved.images[0], gradient[5:21, 20:36])
    wider = load((10, 5, 26, 21), (24, 24), 0.5)
    np.testing.assert_array_equal(wider.images[0], gradient[1:25, 6:30])
    narrow = load((10, 5, 26, 21), (24, 24))
    assert not (narrow.images == wider.images).all()
    tall, wide = load((10, 5, 26, 21), (16, 24)), load((10, 5, 26, 21), (24, 16))
    assert (tall.images.shape[1:3], wide.images.shape[1:3]) == ((16, 24), (24, 16))
    grey = load((10, 5, 26, 21), channels=1)
    assert grey.images.shape == (1, 16, 16, 1)
    assert len({one.digest for one in (first, moved, wider, narrow, tall, wide, grey)}) == 7


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_other_names_are_other_data_and_copies_are_one_group(kind, tmp_path, draw, encode):
    """The same bytes under another label, in the same order: nothing that was trained on the first goes on with it."""
    found = []
    for number, labels in enumerate(("AB", "AC")):
        source = tmp_path / f"{kind}{number}"
        for label in labels:
            (source / label).mkdir(parents=True)
            for take in range(2):
                (source / label / f"{take}.png").write_bytes(encode(draw("A", 1, take)))
        path = source if kind == "folder" else shutil.make_archive(str(source), "zip", source)
        found.append(load_images(path, image_size=(32, 32), cache_dir=tmp_path / "cache"))
        assert found[-1].groups.tolist() == [0, 1, 0, 1]
        assert found[-1].class_names == tuple(labels)
    assert found[0].digest != found[1].digest


DAMAGES = {
    "truncated": lambda data: data[:-100],
    "empty": lambda data: b"",
    "another array": lambda data: npy(np.zeros((2, 3), np.uint8)),
    "of another type": lambda data: npy(np.zeros((42, 32, 32, 3), np.float32)),
    "a pickle": lambda data: npy(np.array([{}], dtype=object)),
    "a zip": lambda data: b"PK\x03\x04" + bytes(100),
}


def npy(values) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_pixel_cache_is_made_again(damage, letters_zip, tmp_path, caplog):
    before = np.array(load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path).images)
    (cache,) = tmp_path.glob("*.npy")
    cache.write_bytes(damage(cache.read_bytes()))
    again = load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path)
    np.testing.assert_array_equal(again.images, before)
    assert "is damaged, and is made again" in caplog.text


def test_a_photograph_that_is_not_the_ledgers_is_refused(letters_zip, tmp_path, encode):
    """With its pixels kept from before, too: the bytes that lie in the zip count."""
    load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path)
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(letters_zip) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            black = encode(np.zeros((32, 32, 3), np.uint8))
            new.writestr(name, black if name == "A/user_1__A0.png" else old.read(name))
    with pytest.raises(DataError, match=r"A/user_1__A0\.png does not .*SHA-256 is not the ledger's"):
        load_images(changed, image_size=(32, 32), cache_dir=tmp_path)


def test_a_full_disk_is_said_before_it_is_written_to(letters_zip, tmp_path, monkeypatch):
    def full(file, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"The pixels need 0 MB .*No space left.* Make room"):
        load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path)
    assert not list(tmp_path.glob("*.npy"))


def test_every_ending_of_a_picture_is_loaded(tmp_path):
    for k, kind in enumerate(("jpg", "jpe", "jfif", "JPEG", "png", "tif", "tiff", "webp", "bmp", "gif")):
        place = tmp_path / "photos" / "AB"[k % 2] / f"{k}.{kind}"
        place.parent.mkdir(parents=True, exist_ok=True)
        written = {"jpe": "JPEG", "jfif": "JPEG", "jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper())
        Image.new("RGB", (8, 8), (20 * k, 0, 0)).save(place, written)
    images = load_images(tmp_path / "photos", image_size=(8, 8), cache_dir=tmp_path / "cache")
    assert len(images) == 10


@pytest.mark.parametrize("command", [["run", "--data"], ["new", "mine"]])
def test_a_zip_with_a_broken_directory_is_one_line(command, letters_zip, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = bytearray(letters_zip.read_bytes())
    data[data.rindex(b"PK\x01\x02")] ^= 0xFF
    Path("broken.zip").write_bytes(data)
    assert main([*command, "broken.zip"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "broken.zip is damaged" in line] == said[-1:]
