"""IDX files come in as their headers say and their writers meant; the files are written here, byte by byte."""

import gzip
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from casestudy.data import ImageSet
from casestudy.data.idx import on_disk, open_idx
from casestudy.data.idx_sets import load_idx
from casestudy.errors import DataError

EMNIST = (*"0123456789", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *"abdefghnqrt")  # the 47 classes of "balanced", by label
F = ("#####", "#....", "####.", "#....", "#....", "#....", "#....")  # no symmetry: any turn or flip shows


def idx_bytes(array: np.ndarray, code: int, letter: str) -> bytes:
    """Returns an IDX file of the values, packed one by one as `struct` understands `letter`."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + struct.pack(f">{array.size}{letter}", *array.ravel().tolist())


def bytes_of(array) -> bytes:
    return idx_bytes(np.asarray(array), 0x08, "B")


def read_idx(path: Path) -> np.ndarray:
    with open_idx(on_disk(path)) as idx:
        return idx.values()


def glyph(rows=F, ink: int = 255) -> np.ndarray:
    """Returns uint8 (9, 7): the drawing with a margin of one pixel."""
    return np.pad(np.array([[ink * (pixel == "#") for pixel in row] for row in rows], dtype=np.uint8), 1)


def write_set(folder: Path, *, prefix="", test="t10k", packed=True, transposed=False, **changes: bytes) -> Path:
    """Writes six training images and three test images of three classes; `changes` are other bytes by role."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.stack([glyph(ink=40 + 20 * k) for k in range(9)])
    images[7] = images[2]  # published twice, once in each part
    stored = images.transpose(0, 2, 1) if transposed else images
    contents = {
        "train_images": bytes_of(stored[:6]),
        "train_labels": bytes_of([2, 0, 1, 1, 0, 2]),
        "test_images": bytes_of(stored[6:]),
        "test_labels": bytes_of([1, 1, 0]),
        **changes,
    }
    for role, content in contents.items():
        part, kind = role.split("_")
        name = f"{prefix}{test if part == 'test' else part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
        (folder / f"{name}{'.gz' if packed else ''}").write_bytes(
            gzip.compress(content, mtime=0) if packed else content
        )
    return folder


@pytest.fixture
def load(tmp_path):
    def loaded(source: Path, **options) -> ImageSet:
        return load_idx(source, **{"cache_dir": tmp_path / "cache", "class_names": "ABC", **options})

    return loaded


def refusal(call, *args, **options) -> str:
    """Returns the one line with which the call fails."""
    with pytest.raises(DataError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("code", "letter", "dtype", "values"),
    [
        (0x08, "B", np.uint8, [0, 1, 128, 255]),
        (0x09, "b", np.int8, [-128, -1, 0, 127]),
        (0x0B, "h", np.int16, [-32768, -2, 258, 32767]),
        (0x0C, "i", np.int32, [-(2**31), -2, 16909060, 2**31 - 1]),
        (0x0D, "f", np.float32, [-1.5, 0.0, 3.25, 1e30]),
        (0x0E, "d", np.float64, [-1.5, 0.1, 1e-300, 1e300]),
    ],
)
def test_every_type_comes_in_this_machines_byte_order(code, letter, dtype, values, packed, tmp_path):
    content = idx_bytes(np.array(values).reshape(2, 1, 2), code, letter)
    (tmp_path / "values").write_bytes(gzip.compress(content, mtime=0) if packed else content)
    read = read_idx(tmp_path / "values")
    assert read.dtype == dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, np.array(values, dtype).reshape(2, 1, 2))


def test_a_file_of_many_pieces_is_read_whole(tmp_path):
    values = np.random.default_rng(1).integers(0, 256, (3, 1000, 1000), dtype=np.uint8)
    header = bytes([0, 0, 8, 3]) + struct.pack(">III", 3, 1000, 1000)
    (tmp_path / "values.gz").write_bytes(gzip.compress(header + values.tobytes(), 1, mtime=0))
    np.testing.assert_array_equal(read_idx(tmp_path / "values.gz"), values)


WHOLE = bytes_of(np.arange(24).reshape(4, 3, 2))


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (b"", "begins with nothing"),
        (b"\0\0", "begins with 00 00"),
        (b"<!DOCTYPE html>", "begins with 3c 21 44 4f"),
        (b"\0\1\x08\1\0\0\0\1A", "begins with 00 01 08 01"),
        (b"\0\0\x0a\1\0\0\0\1A", "begins with 00 00 0a 01"),  # a type that there is not
        (b"\0\0\x08\0A", "begins with 00 00 08 00"),  # no dimension
        (WHOLE[:9], "ends too soon"),
        (WHOLE[:-1], "ends too soon"),
        (WHOLE + b"\0", "goes on behind its values"),
        (gzip.compress(WHOLE[:-1], mtime=0), "ends too soon"),
        (gzip.compress(WHOLE + b"\0", mtime=0), "goes on behind its values"),
        (gzip.compress(WHOLE, mtime=0)[:-9], "damaged"),
        (gzip.compress(WHOLE, mtime=0)[:-8] + bytes(8), "damaged"),  # another checksum
        (gzip.compress(WHOLE, mtime=0)[:12] + b"\xff\xff\xff\xff" + gzip.compress(WHOLE, mtime=0)[16:], "damaged"),
        (gzip.compress(WHOLE, mtime=0) + b"more", "damaged"),
        (b"\0\0\x08\3" + b"\xff" * 12 + b"A", "more than 17 bytes can hold"),
    ],
)
def test_what_is_no_whole_idx_file_is_refused(content, finding, tmp_path):
    (tmp_path / "values-ubyte").write_bytes(content)
    message = refusal(read_idx, tmp_path / "values-ubyte")
    assert finding in message
    assert "values-ubyte" in message


@pytest.mark.parametrize(
    ("prefix", "test", "packed"),
    [("", "t10k", True), ("", "t10k", False), ("emnist-balanced-", "test", True), ("emnist-balanced-", "test", False)],
)
def test_a_set_under_its_official_names(prefix, test, packed, tmp_path, load):
    images = load(write_set(tmp_path / "set", prefix=prefix, test=test, packed=packed))
    assert images.images.shape == (9, 9, 7, 1)
    assert images.images.dtype == np.uint8
    assert isinstance(images.images, np.memmap)
    assert not images.images.flags.writeable
    for k in (0, 2, 5, 6, 8):
        np.testing.assert_array_equal(images.images[k, ..., 0], glyph(ink=40 + 20 * k))
    assert images.labels.dtype == np.int64
    assert images.labels.tolist() == [2, 0, 1, 1, 0, 2, 1, 1, 0]
    assert images.class_names == ("A", "B", "C")
    assert images.parts.tolist() == ["train"] * 6 + ["test"] * 3
    assert images.names[[0, 5, 6]].tolist() == ["train/00000", "train/00005", "test/00000"]
    assert images.signers is None
    assert not images.cropped


def test_copies_share_a_group_across_the_parts(tmp_path, load):
    groups = load(write_set(tmp_path / "set")).groups
    assert groups.dtype == np.int64
    assert groups[7] == groups[2]
    assert len(set(groups.tolist())) == 8


def test_unpacked_by_a_browser_under_its_old_name(tmp_path, load):
    folder = write_set(tmp_path / "set")
    for path in folder.iterdir():
        path.write_bytes(gzip.decompress(path.read_bytes()))
    (folder / "train-images-idx3-ubyte.gz").rename(folder / "train-images.idx3-ubyte")
    assert len(load(folder)) == 9


def test_transposed_images_are_put_right_when_told_so(tmp_path, load):
    upright = load(write_set(tmp_path / "upright"))
    folder = write_set(tmp_path / "stored", transposed=True)
    stored = load(folder)
    right = load(folder, transposed=True)
    assert stored.images.shape == (9, 7, 9, 1)
    np.testing.assert_array_equal(right.images, upright.images)
    np.testing.assert_array_equal(right.images[0, 1:-1, 1:-1, 0] > 0, [[pixel == "#" for pixel in row] for row in F])
    assert len({upright.digest, stored.digest, right.digest}) == 3


@pytest.mark.parametrize("transposed", [False, True])
def test_other_sizes_are_resampled_height_before_width(transposed, tmp_path, load):
    square = np.zeros((6, 8, 8), dtype=np.uint8)
    square[:, :4] = 200  # bright above, as stored
    folder = write_set(tmp_path / "set", train_images=bytes_of(square), test_images=bytes_of(square[:3]))
    images = load(folder, image_size=(16, 32), transposed=transposed).images
    assert images.shape == (9, 16, 32, 1)
    bright, dark = (images[:, :, :12], images[:, :, 20:]) if transposed else (images[:, :6], images[:, 10:])
    assert (bright == 200).all()
    assert (dark == 0).all()


def test_a_mapping_names_the_labels_in_its_own_order(tmp_path, load):
    labels = {"train_labels": bytes_of([3, 1, 2, 2, 1, 3]), "test_labels": bytes_of([2, 2, 1])}  # from 1, as "letters"
    folder = write_set(tmp_path / "set", prefix="emnist-letters-", test="test", **labels)
    (folder / "emnist-letters-mapping.txt").write_text("1 98 66\n2 97\n\n3 51\n", newline="\r\n")
    images = load(folder, class_names=None)
    assert images.class_names == ("b", "a", "3")
    assert images.labels.tolist() == [2, 0, 1, 1, 0, 2, 1, 1, 0]
    assert load(folder, class_names="wxyz").class_names == tuple("wxyz")


@pytest.mark.parametrize("text", ["A 65\n", "0\n", "0 99999999\n", "0 99999999999999999999\n", "Ä 1\n"])
def test_a_mapping_that_maps_nothing_is_refused(text, tmp_path, load):
    folder = write_set(tmp_path / "set", prefix="emnist-")
    (folder / "emnist-mapping.txt").write_text(text, encoding="utf-8")
    assert "emnist-mapping.txt" in refusal(load, folder, class_names=None)


def test_labels_need_names(tmp_path, load):
    folder = write_set(tmp_path / "set")
    assert "class_names" in refusal(load, folder, class_names=None)
    message = refusal(load, folder, class_names="AB")
    assert "train-labels-idx1-ubyte.gz" in message
    assert "label 2" in message


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"train_labels": bytes_of(np.zeros((6, 2, 2), int))}, r"Labels are .* \(6, 2, 2\)"),
        ({"train_labels": idx_bytes(np.zeros(6), 0x0D, "f")}, "Labels are .* float32"),
        ({"test_images": bytes_of([1, 1, 0])}, r"Images are .* \(3,\)"),
        ({"test_images": idx_bytes(np.zeros((3, 9, 7)), 0x0D, "f")}, "Images are .* float32"),
        ({"test_images": bytes_of(np.zeros((3, 0, 7), int))}, r"Images are .* \(3, 0, 7\)"),
        ({"test_images": bytes_of(np.zeros((4, 9, 7), int))}, "4 images for 3 labels"),
        ({"test_images": bytes_of(np.zeros((3, 7, 9), int))}, r"\(7, 9\), \(9, 7\)"),
        ({"train_images": bytes_of(np.zeros((6, 9, 7), int))[:-1]}, "train-images-idx3-ubyte.gz ends too soon"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(changes, finding, tmp_path, load):
    folder = write_set(tmp_path / "set", **changes)
    with pytest.raises(DataError, match=finding):
        load(folder)
    assert not list(tmp_path.rglob("*.npy"))
    assert not list(tmp_path.rglob("*.tmp*"))


def test_a_missing_file_of_a_set_is_named(tmp_path, load):
    folder = write_set(tmp_path / "set")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "lacks test-labels" in refusal(load, folder)
    assert "none" in refusal(load, tmp_path / "nowhere")


def test_one_of_several_sets_is_asked_for(tmp_path, load):
    folder = write_set(tmp_path / "all", prefix="emnist-balanced-", test="test")
    write_set(folder, prefix="emnist-letters-", test="test", test_labels=bytes_of([2, 2, 2]))
    assert load(folder, subset="emnist-balanced").labels[-3:].tolist() == [1, 1, 0]
    assert load(folder, subset="emnist-letters").labels[-3:].tolist() == [2, 2, 2]
    for options in ({}, {"subset": "emnist-digits"}):
        message = refusal(load, folder, **options)
        assert "emnist-balanced*" in message
        assert "emnist-letters*" in message


def test_sets_of_the_same_names_are_never_mixed(tmp_path, load):
    write_set(tmp_path / "all" / "fashion")
    write_set(tmp_path / "all" / "mnist")
    assert "fashion" in refusal(load, tmp_path / "all")
    assert len(load(tmp_path / "all" / "mnist")) == 9


@pytest.mark.parametrize("packed", [False, True])
def test_a_zip_holds_a_set_as_a_folder_does(packed, tmp_path, load):
    folder = write_set(tmp_path / "emnist" / "gzip", prefix="emnist-balanced-", test="test", packed=packed)
    (folder / "emnist-balanced-mapping.txt").write_text("0 65\n1 66\n2 67\n")
    (folder / "readme.txt").write_text("nothing to see")
    (folder / "._emnist-balanced-test-images-idx3-ubyte.gz").write_bytes(b"what a Mac leaves behind")
    expected = load(folder)
    (tmp_path / "downloaded").mkdir()
    zipped = shutil.make_archive(str(tmp_path / "downloaded" / "gzip"), "zip", folder.parent)
    for source in (zipped, tmp_path / "downloaded", folder.parent):
        images = load(source, class_names=None)
        np.testing.assert_array_equal(images.images, expected.images)
        np.testing.assert_array_equal(images.labels, expected.labels)
        assert images.class_names == ("A", "B", "C")
        assert len(images.parts) == 9


@pytest.mark.parametrize("damage", ["values", "header", "directory"])
def test_a_damaged_zip_is_named(damage, tmp_path, load):
    path = tmp_path / "set.zip"
    folder = write_set(tmp_path / "set", packed=False)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    content = bytearray(path.read_bytes())
    where = {"values": content.index(bytes_of([1, 1, 0])) + 9, "header": 0, "directory": content.index(b"PK\1\2")}
    content[where[damage]] ^= 255
    path.write_bytes(content)
    assert "Download it again" in refusal(load, path)


def test_the_second_time_opens_what_the_first_one_wrote(tmp_path, load, monkeypatch):
    folder = write_set(tmp_path / "set")
    first = load(folder)
    (cached,) = (tmp_path / "cache").iterdir()
    written = cached.stat().st_mtime_ns
    second = load(folder)
    assert cached.stat().st_mtime_ns == written
    assert first.digest == second.digest
    write_set(folder, train_labels=bytes_of([0, 0, 1, 1, 0, 2]))
    assert load(folder).digest != first.digest


def real(realdata: Path, name: str) -> Path:
    if not (realdata / name).is_dir():
        pytest.skip(f"{realdata} has no {name}")
    return realdata / name


@pytest.mark.realdata
def test_real_fashion_mnist(realdata, load):
    names = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    images = load(real(realdata, "fashion-mnist"), class_names=names)
    assert images.images.shape == (70_000, 28, 28, 1)
    assert np.bincount(images.labels[images.parts == "train"]).tolist() == [6000] * 10
    assert np.bincount(images.labels[images.parts == "test"]).tolist() == [1000] * 10
    trousers, sneakers = (images.images[images.labels == names.index(name)].mean(axis=(0, 3)) for name in names[1:8:6])
    assert spread(trousers)[0] > spread(trousers)[1]
    assert spread(sneakers)[0] < spread(sneakers)[1]


def spread(picture: np.ndarray) -> tuple[float, float]:
    """Returns how far the ink of a picture reaches up and down, and to the sides: standard deviations in pixels."""
    found = []
    for ink in (picture.sum(axis=1), picture.sum(axis=0)):
        place = np.arange(len(ink))
        middle = np.average(place, weights=ink)
        found.append(float(np.average((place - middle) ** 2, weights=ink) ** 0.5))
    return found[0], found[1]


@pytest.mark.realdata
def test_real_emnist_stands_upright(realdata, load):
    images = load(real(realdata, "emnist-balanced"), class_names=EMNIST, transposed=True)
    assert images.images.shape == (43_099, 28, 28, 1)
    assert np.bincount(images.labels[images.parts == "train"]).tolist() == [767] * 47
    assert np.bincount(images.labels[images.parts == "test"]).tolist() == [150] * 47

    def looks_right(turn) -> bool:
        one, foot, bar, seven = (
            turn(images.images[images.labels == EMNIST.index(character)].mean(axis=(0, 3))) for character in "1LT7"
        )
        return (
            spread(one)[0] > 1.5 * spread(one)[1]  # taller than wide
            and foot[18:].sum() > 1.2 * foot[:10].sum()  # L has its foot below
            and bar[:10].sum() > 1.2 * bar[18:].sum()  # T has its bar above
            and spread(bar[:10])[1] > spread(bar[18:])[1]  # and one stem below it
            and np.average(np.arange(28), weights=seven[8:14].sum(axis=0))
            > 14  # what hangs from a 7 hangs on its right
        )

    assert looks_right(lambda picture: picture)
    for turn in (np.transpose, np.rot90, np.fliplr, np.flipud, lambda picture: np.rot90(picture, -1)):
        assert not looks_right(turn)


def test_other_readings_of_the_same_files_are_other_pixels(load, tmp_path):
    folder = write_set(tmp_path / "set")
    square = (
        bytes_of(np.stack([glyph()[:7] + k for k in range(6)])),
        bytes_of(np.stack([glyph()[:7] + k for k in range(3)])),
    )
    folder = write_set(tmp_path / "square", train_images=square[0], test_images=square[1])
    one, turned = load(folder), load(folder, transposed=True)
    np.testing.assert_array_equal(turned.images, one.images.swapaxes(1, 2))
    assert (one.images != turned.images).any()
    assert one.digest != turned.digest


def test_zips_of_files_of_one_size_are_told_apart(load, tmp_path):
    found = []
    for name, values in (("one", 0), ("two", 1)):
        images = np.full((6, 4, 4), values, np.uint8)
        folder = write_set(
            tmp_path / name, packed=False, train_images=bytes_of(images), test_images=bytes_of(images[:3])
        )
        found.append(load(shutil.make_archive(str(tmp_path / name), "zip", folder)))
    assert [one.images.max() for one in found] == [0, 1]
    assert found[0].digest != found[1].digest


def test_a_set_with_more_images_than_labels_is_refused(load, tmp_path):
    folder = write_set(tmp_path / "set", train_labels=bytes_of([2, 0, 1, 1, 0]))
    assert "6 images for 5 labels" in refusal(load, folder)
    folder = write_set(tmp_path / "other", train_labels=bytes_of([2, 0, 1, 1, 0, 1, 1]))
    assert "6 images for 7 labels" in refusal(load, folder)


def test_a_stand_in_is_read_upright_with_fewer_test_images(tmp_path):
    from casestudy.data.drawn import TEST, TRAIN, _draw, stand_in
    from casestudy.studies import STUDIES

    study = STUDIES["emnist"]
    assert study.data.transposed and TEST < TRAIN
    folder = stand_in(study, tmp_path)
    how = {"subset": study.data.subset, "class_names": study.data.class_names, "transposed": True}
    found = load_idx(folder, cache_dir=tmp_path / "cache", **how)
    names = study.data.class_names
    assert [(found.parts == part).sum() for part in ("train", "test")] == [TRAIN * len(names), TEST * len(names)]
    for k in (0, len(names) + 3):
        name = names[found.labels[k]]
        np.testing.assert_array_equal(found.images[k, :, :, 0], _draw(name, k // len(names), "train"))
