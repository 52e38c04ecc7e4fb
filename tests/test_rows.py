"""Rows of several files read as those of one array, and an epoch reads few files at a time."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from casestudy import rows
from casestudy.data import load_images
from casestudy.data.splits import split_images
from casestudy.rows import TOGETHER, Chosen, Rows, create_rows, file_paths, joined, open_rows, reading_order
from casestudy.study import ModelSpec, Phase, SplitSpec

WHOLE = np.arange(7 * 2 * 3, dtype=np.uint8).reshape(7, 2, 3)
KEYS = {
    "one": 4,
    "the last": -1,
    "a NumPy number": np.int64(6),
    "a slice over files": slice(1, 6),
    "backwards": slice(None, None, -2),
    "in any order, twice": np.array([6, 0, 3, 3, -7]),
    "a list": [5, 2],
    "a mask": np.array([True, False, True, True, False, False, True]),
    "none": np.array([], dtype=np.int64),
    "an empty list": [],
}


@pytest.fixture
def several():
    return Rows([WHOLE[:3], WHOLE[3:6], WHOLE[6:]])


@pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))
def test_rows_are_those_of_one_array(key, several):
    found = several[key]
    np.testing.assert_array_equal(found, WHOLE[key if len(np.atleast_1d(key)) else slice(0)])
    assert found.dtype == np.uint8


def test_several_files_are_an_array_to_numpy(several):
    assert (len(several), several.shape, several.dtype) == (7, (7, 2, 3), np.uint8)
    np.testing.assert_array_equal(np.array(several), WHOLE)
    np.testing.assert_array_equal(np.stack(list(several)), WHOLE)
    with pytest.raises(ValueError, match="copy=False"):
        np.array(several, copy=False)


@pytest.mark.parametrize("key", [7, -8, np.array([0, 7]), [-8]])
def test_a_row_that_is_not_there(key, several):
    with pytest.raises(IndexError, match="not there: 7 rows"):
        several[key]


def test_some_rows_are_read_only_when_they_are_asked_for(several):
    chosen = Chosen(several, np.array([6, 2, 4]))
    assert chosen.shape == (3, 2, 3)
    np.testing.assert_array_equal(chosen[:], WHOLE[[6, 2, 4]])
    np.testing.assert_array_equal(chosen[np.array([2, 0])], WHOLE[[4, 6]])


def test_one_file_is_the_array_itself():
    assert joined([WHOLE]) is WHOLE


def test_rows_are_written_to_their_files_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "FILE_BYTES", 20)  # three rows of six bytes
    paths = file_paths(tmp_path / "images-1.npy", WHOLE.shape, np.uint8)
    assert [path.name for path in paths] == ["images-1.npy", "images-1-00001.npy", "images-1-00002.npy"]
    made = create_rows(paths, WHOLE.shape, np.uint8)
    for start in range(0, 7, 2):
        made[start : start + 2] = WHOLE[start : start + 2]
    del made
    np.testing.assert_array_equal(open_rows(paths[0], lambda first: WHOLE.shape, np.uint8), WHOLE)
    np.testing.assert_array_equal(np.load(paths[1]), WHOLE[3:6])
    for shape in ((8, 2, 3), (7, 3, 2)):
        with pytest.raises((ValueError, OSError)):
            open_rows(paths[0], lambda first, shape=shape: shape, np.uint8)


def test_a_disk_without_room_for_all_gets_none(tmp_path, monkeypatch):
    """Each of the files alone would find room."""
    monkeypatch.setattr(rows, "FILE_BYTES", 20)
    monkeypatch.setattr(rows.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 41}))
    paths = file_paths(tmp_path / "a.npy", WHOLE.shape, np.uint8)
    with pytest.raises(OSError, match="No space left"):
        create_rows(paths, WHOLE.shape, np.uint8)
    monkeypatch.setattr(rows.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 42}))
    create_rows(paths, WHOLE.shape, np.uint8)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_disk_that_gets_full_keeps_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "FILE_BYTES", 20)
    paths = file_paths(tmp_path / "a.npy", WHOLE.shape, np.uint8)

    def full(path, size):
        if path == paths[1]:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows, "reserve", full)
    with pytest.raises(OSError, match="No space left"):
        create_rows(paths, WHOLE.shape, np.uint8)
    assert not list(tmp_path.iterdir())


def epoch(count: int, a_file: int, seed: int = 0) -> np.ndarray:
    """Returns the files in the order in which an epoch over every second of `count` rows reads them."""
    pixels = joined([np.empty((min(a_file, count - start), 1)) for start in range(0, count, a_file)])
    indices = np.arange(0, count, 2)
    order = reading_order(indices, pixels, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(indices)))
    return indices[order] // a_file


def test_one_file_is_read_in_any_order():
    drawn = np.random.default_rng(3).permutation(40)
    np.testing.assert_array_equal(reading_order(np.arange(40), np.empty((40, 1)), np.random.default_rng(3)), drawn)


def test_few_files_are_read_at_a_time():
    count, a_file = 4000, 100
    read = epoch(count, a_file)
    a_turn = TOGETHER * a_file // 2
    turns = [set(read[start : start + a_turn]) for start in range(0, len(read), a_turn)]
    assert all(len(turn) == TOGETHER for turn in turns)
    assert len(set().union(*turns)) == count // a_file
    first = read[:a_turn]
    assert all(len(set(first[start : start + 40])) == TOGETHER for start in range(0, a_turn, 40))  # and mixed
    again = epoch(count, a_file, seed=1)
    assert set(again[:a_turn]) not in turns  # and other ones together in the next epoch


@pytest.fixture
def cached(letters_zip, tmp_path, monkeypatch):
    """Loads the images, with so many bytes of pixels in a file."""

    def loaded(file_bytes: int, folder: str = "cache"):
        monkeypatch.setattr(rows, "FILE_BYTES", file_bytes)
        return load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path / folder)

    return loaded


def test_images_in_several_files_are_those_in_one(cached, tmp_path):
    one, several = cached(1 << 30, "one"), cached(20_000, "several")
    assert isinstance(one.images, np.memmap)
    assert isinstance(several.images, Rows)
    assert len(several.images.files) == len(list((tmp_path / "several").glob("images-*.npy"))) > TOGETHER
    np.testing.assert_array_equal(several.images, one.images)
    assert several.digest == one.digest


def test_files_are_read_again_or_made_again(cached, tmp_path, caplog):
    before = np.array(cached(20_000).images)
    files = sorted((tmp_path / "cache").glob("images-*-*.npy"))
    times = {path: path.stat().st_mtime_ns for path in files}
    cached(20_000)
    assert {path: path.stat().st_mtime_ns for path in files} == times
    assert "made again" not in caplog.text
    for damage in (Path.unlink, lambda path: path.write_bytes(b"x")):
        damage(files[-1])
        np.testing.assert_array_equal(cached(20_000).images, before)
        assert "is damaged, and is made again" in caplog.text
        caplog.clear()


PHASES = (
    Phase("head", "head", epochs=2, learning_rate=1e-2, batch_size=4, views=2),
    Phase("tune", "all", epochs=1, learning_rate=1e-3, batch_size=4),
)


def trained(images) -> tuple[list[float], np.ndarray]:
    """Returns the losses of a training, and what its model makes of the test images."""
    from casestudy.evaluation.predictions import predict
    from casestudy.models import build_model
    from casestudy.training import train

    splits = split_images(images, SplitSpec("signer"), seed=1)
    model = build_model(ModelSpec("small_cnn", augmentation={"mirror": True}), images, seed=7, weights=None)
    for phase in PHASES:
        history = train(model, splits, phase, seed=7).history
    return history["value"].tolist(), predict(model, images, splits.test).filter(like="p_").to_numpy()


def test_a_training_from_several_files(cached, monkeypatch):
    """Where all files are read together it is that from one file, bit by bit; else another, the same each time."""
    one = cached(1 << 30, "one")
    several = dataclasses.replace(one, images=cached(20_000, "several").images)
    wanted, ours = trained(one), trained(several)
    assert ours[0] != wanted[0]
    assert trained(several)[0] == ours[0]
    monkeypatch.setattr(rows, "TOGETHER", len(several.images.files))
    together = trained(several)
    assert together[0] == wanted[0]
    np.testing.assert_array_equal(together[1], wanted[1])


@pytest.mark.parametrize("file_bytes", [1 << 30, 20_000])
def test_pixels_are_on_the_disk_before_they_have_their_name(file_bytes, cached, tmp_path, monkeypatch):
    named, flush = [], np.memmap.flush

    def flushed(array):
        named.append(sorted((tmp_path / "cache").glob("images-*.npy")))
        flush(array)

    monkeypatch.setattr(np.memmap, "flush", flushed)
    files = cached(file_bytes).images
    assert len(named) >= len(getattr(files, "files", [files]))
    assert not any(named)
