"""A hidden test gives away nothing, and a model's reading of it comes back under the names that the key knows."""

import csv
import hashlib
import io
import zipfile
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from casestudy.cleaning import write_unlabelled
from casestudy.cli import main
from casestudy.data.images import load_images
from casestudy.errors import DataError
from casestudy.grading import predict_hidden
from casestudy.grading.key import load_key

BOXES = "image,top_left_x,top_left_y,bottom_right_x,bottom_right_y\n"


@pytest.fixture
def archive(tmp_path, draw, encode):
    """Photographs of three people nobody has seen, with a box file and a damaged one."""
    path = tmp_path / "unseen.zip"
    with zipfile.ZipFile(path, "w") as target:
        for user in (11, 12, 13):
            boxes = BOXES
            for label in "ABC":
                for take in range(3):
                    target.writestr(f"user_{user}/{label}{take}.png", encode(draw(label, user, take)))
                    boxes += f"user_{user}/{label}{take}.png,{take},2,30,{28 + take}\n"
            target.writestr(f"user_{user}/user_{user}_loc.csv", boxes)
        target.writestr("user_11/B7.png", b"\x89PNG damaged")
    return path


def test_names_and_order_tell_nothing(archive, tmp_path):
    labels = write_unlabelled(archive, tmp_path / "hidden.zip", seed=5)
    assert sorted(labels.values()) == sorted("ABC" * 9)
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(tmp_path / "hidden.zip") as hidden:
        truth = {hashlib.sha256(source.read(name)).hexdigest(): name for name in source.namelist()}
        text = hidden.read("ledger.csv").decode()
        for name, label in labels.items():
            entry = truth[hashlib.sha256(hidden.read(name)).hexdigest()]
            assert entry.split("/")[1][0] == label
        assert "user_" not in text + hidden.read("boxes.csv").decode()
        boxes = hidden.read("boxes.csv").decode().splitlines()
        assert len(boxes) == 1 + len(labels)
        places = {line.split(",")[0]: float(line.split(",")[1]) for line in boxes[1:]}
        for name, left in places.items():
            assert left == int(truth[hashlib.sha256(hidden.read(name)).hexdigest()].split(".")[0][-1])
    order = [labels[name] for name in sorted(labels)]
    assert order != sorted(order)
    again = write_unlabelled(archive, tmp_path / "again.zip", seed=5)
    assert again == labels
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "hidden.zip").read_bytes()
    assert write_unlabelled(archive, tmp_path / "other.zip", seed=6) != labels
    with pytest.raises(DataError, match="never overwritten"):
        write_unlabelled(archive, tmp_path / "again.zip", seed=5)


def test_an_archive_without_labels_is_no_hidden_test(tmp_path, encode):
    path = tmp_path / "nothing.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("holiday/beach.png", encode(Image.new("RGB", (32, 32), "blue")))
    with pytest.raises(DataError, match="whose label can be told"):
        write_unlabelled(path, tmp_path / "hidden.zip", seed=1)
    assert not (tmp_path / "hidden.zip").exists()


def test_through_the_command_line(archive, run_copy, tmp_path, capsys):
    run = run_copy
    key, hidden = tmp_path / "key.json", tmp_path / "hidden.zip"
    assert main(["key", str(run.path), "--out", str(key), "--hidden", str(archive), "--hand-out", str(hidden)]) == 0
    assert "27 photographs without labels" in capsys.readouterr().out
    labels = load_key(key).hidden
    assert main(["predict", str(run.path), str(hidden)]) == 0
    table = run.read_table("hidden_predictions.csv")
    assert set(table["name"]) == set(labels)
    names = run.facts.class_names
    probabilities = table[[f"p_{name}" for name in names]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)

    from casestudy.models.network import load_model

    images = load_images(hidden, image_size=(32, 32), cache_dir=tmp_path / "pixels", crop="none")
    expected = load_model(run.path / "model.keras").predict(images.images.astype("float32"), verbose=0)
    order = [list(images.names).index(name) for name in table["name"]]
    np.testing.assert_allclose(probabilities, expected[order], atol=1e-5)
    with pytest.raises(DataError, match="never overwritten"):
        predict_hidden(run, hidden)


def test_the_order_is_no_rotation_and_the_ledger_says_nothing_else(archive, tmp_path):
    labels = write_unlabelled(archive, tmp_path / "hidden.zip", seed=5)
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(tmp_path / "hidden.zip") as hidden:
        digests = [hashlib.sha256(source.read(name)).hexdigest() for name in source.namelist()]
        rows = list(csv.DictReader(io.StringIO(hidden.read("ledger.csv").decode())))
        data = {name: hidden.read(name) for name in labels}
    order = [digests.index(row["sha256"]) for row in sorted(rows, key=lambda row: row["stored_as"])]
    steps = {(after - before) % len(digests) for before, after in pairwise(order)}
    assert len(steps) > len(order) / 3  # a rotation has one or two, and so has the order turned round
    for row in rows:
        name = row["stored_as"]
        told = {"entry": name, "stored_as": name, "status": "kept", "label": "unlabelled"}
        told |= {"bytes": str(len(data[name])), "sha256": hashlib.sha256(data[name]).hexdigest()}
        assert {column: cell for column, cell in row.items() if cell} == told
