"""Tables of pixels, as Sign Language MNIST is published: the same pixels, letters, parts and copies."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest

from casestudy.data import data_for, load_images, split_images
from casestudy.errors import DataError
from casestudy.studies import STUDIES
from casestudy.study import SplitSpec

LABELS = [0, 1, 8, 10, 24, 0]  # A, B, I, K, Y: 9 and 25 are the moving J and Z


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (9, 28, 28), np.uint8)


def table(labels, pixels, header=None):
    header = header or "label," + ",".join(f"pixel{k}" for k in range(1, 785))
    rows = [",".join(map(str, [label, *image.ravel().tolist()])) for label, image in zip(labels, pixels, strict=True)]
    return "\n".join([header, *rows, ""])


@pytest.fixture(scope="module")
def source(tmp_path_factory, pixels):
    """A zip as Kaggle hands it out: each table twice, and a picture of the alphabet."""
    path = tmp_path_factory.mktemp("mnist") / "sign-language-mnist.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (("test", table(LABELS[:3], pixels[6:])), ("train", table(LABELS, pixels[:6]))):
            archive.writestr(f"sign_mnist_{name}.csv", text)
            archive.writestr(f"sign_mnist_{name}/sign_mnist_{name}.csv", text)
        archive.writestr("amer_sign2.png", b"no picture")
    return path


def test_pixels_labels_and_parts_are_those_of_the_tables(source, pixels, tmp_path):
    images = load_images(source, image_size=(28, 28), cache_dir=tmp_path)
    np.testing.assert_array_equal(images.images, np.repeat(pixels[..., None], 3, axis=-1))
    assert [images.class_names[k] for k in images.labels] == [*"ABIKYA", *"ABI"]
    assert images.parts.tolist() == ["train"] * 6 + ["test"] * 3
    assert images.names.tolist()[5:7] == ["train/00005", "test/00000"]
    assert (images.signers, len(set(images.groups))) == (None, 9)
    split = split_images(images, SplitSpec("published", validation=0.0), seed=1)
    assert (split.train.tolist(), split.test.tolist()) == ([0, 1, 2, 3, 4, 5], [6, 7, 8])


def test_a_folder_of_many_other_tables_is_no_matter(source, tmp_path):
    resource = pytest.importorskip("resource")
    with zipfile.ZipFile(source) as archive:
        archive.extractall(tmp_path / "folder")
    for k in range(300):
        (tmp_path / "folder" / f"user_{k}.csv").write_text("image,x,y\n")
    (tmp_path / "folder" / "x.csv").mkdir()
    before, used = resource.getrlimit(resource.RLIMIT_NOFILE), len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(used + 100, before[1]), before[1]))
    try:
        images = load_images(tmp_path / "folder", image_size=(20, 30), cache_dir=tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert len(images) == 9


def test_the_line_that_is_no_row_is_named_by_its_place_in_the_file(pixels, tmp_path):
    text = table(LABELS, pixels[:6]).splitlines()
    text[4:4] = [*[""] * 2500, "1,2,x"]
    (tmp_path / "sign_mnist_train.csv").write_text("\n".join(text))
    with pytest.raises(DataError, match="line 2505 of"):
        load_images(tmp_path / "sign_mnist_train.csv", image_size=(28, 28), cache_dir=tmp_path / "a")


def test_a_folder_a_file_and_a_zip_are_the_same(source, tmp_path):
    with zipfile.ZipFile(source) as archive:
        archive.extractall(tmp_path / "folder")
    one = load_images(source, image_size=(20, 30), cache_dir=tmp_path / "a")
    two = load_images(tmp_path / "folder", image_size=(20, 30), cache_dir=tmp_path / "b")
    assert one.digest == two.digest
    np.testing.assert_array_equal(one.images, two.images)
    alone = load_images(tmp_path / "folder" / "sign_mnist_train.csv", image_size=(20, 30), cache_dir=tmp_path / "c")
    np.testing.assert_array_equal(alone.images, one.images[:6])
    assert alone.parts is None


def test_a_run_sees_what_they_are(source, letters_zip):
    study, path = data_for(STUDIES["asl"], str(source))
    assert (study.data.kind, path) == ("table", source)
    assert dataclasses.replace(study.data, kind="archive") == STUDIES["asl"].data
    assert data_for(STUDIES["asl"], str(letters_zip))[0] == STUDIES["asl"]


def test_digits_are_digits(tmp_path, pixels):
    (tmp_path / "train.csv").write_text(table([0, 9], pixels[:2], "label," + ",".join(f"{k}x1" for k in range(784))))
    assert load_images(tmp_path, image_size=(28, 28), cache_dir=tmp_path / "cache").class_names == ("0", "9")


@pytest.mark.parametrize("fault", ["a cell less", "a word", "300", "1.5", "no rows"])
def test_what_is_no_such_table_is_one_line(fault, tmp_path, pixels):
    text = table(LABELS, pixels[:6])
    lines = text.splitlines()
    cell = {"a word": "x", "300": "300", "1.5": "1.5"}.get(fault)
    lines[3] = lines[3].rpartition(",")[0] + (f",{cell}" if cell else "")
    (tmp_path / "my_train.csv").write_text("\n".join(lines[:1] if fault == "no rows" else lines))
    with pytest.raises(DataError, match=r"my_train\.csv") as caught:
        load_images(tmp_path, image_size=(28, 28), cache_dir=tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_another_csv_is_no_table(tmp_path, encode, draw):
    (tmp_path / "A").mkdir()
    for k in range(2):
        (tmp_path / "A" / f"{k}.png").write_bytes(encode(draw("A", 1, k)))
    (tmp_path / "boxes.csv").write_text("image,top_left_x\nA/0.png,1\n")
    (tmp_path / "labels.csv").write_text("label,pixel1,pixel2\n0,1,2\n")
    assert len(load_images(tmp_path, image_size=(32, 32), cache_dir=tmp_path / "cache")) == 2
