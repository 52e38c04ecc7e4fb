"""Which weights a run starts from: what is at hand, what answers, and what was asked for."""

import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from casestudy import files
from casestudy.choices import ARCHITECTURES
from casestudy.errors import DataError, WeightsError
from casestudy.files import find_in_checkout
from casestudy.models import weights
from casestudy.models.weights import (
    SIGNS_FILE,
    StartingWeights,
    host_answers,
    imagenet_file,
    resolve_weights,
    signs_file,
)
from casestudy.study import ModelSpec

SIZE = (96, 96)


def resolved(model, asked="auto"):
    return resolve_weights(ModelSpec(model, weights=asked), SIZE)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty checkout to work in, and a package that belongs to none."""
    root = tmp_path / "checkout"
    (root / SIGNS_FILE).parent.mkdir(parents=True)
    monkeypatch.chdir(root)
    monkeypatch.setattr(files, "__file__", str(tmp_path / "site-packages" / "casestudy" / "files.py"))
    return root


@pytest.fixture
def network(monkeypatch):
    """Answers or not, as told, and counts how often it was asked; what Keras would then load is there or is not."""
    asked = []

    def told(answer, loads=True):
        def load(*, input_shape, weights, **options):
            assert (input_shape, weights) == ((*SIZE, 3), "imagenet")
            asked.append(options)
            if not loads:
                raise WeightsError("not to be had")

        monkeypatch.setattr(weights, "host_answers", lambda: asked.append("host") or answer)
        builders = SimpleNamespace(MODELS=dict.fromkeys(ARCHITECTURES, load))
        monkeypatch.setitem(sys.modules, "casestudy.models.architectures", builders)
        return asked

    return told


def test_auto_takes_what_keras_has_and_asks_nobody(home, network):
    asked = network(True)
    imagenet_file("resnet50v2", SIZE).write_bytes(b"x")
    found = resolved("resnet50v2")
    assert (found.source, found.image_size) == ("imagenet", None)
    assert "Keras' folder" in found.sentence
    assert "host" not in asked


@pytest.mark.parametrize(("answers", "expected"), [(True, "imagenet"), (False, None)])
def test_auto_downloads_where_the_host_answers(home, network, answers, expected):
    asked = network(answers)
    found = resolved("mobilenet_v2_0.35")
    assert (found.source, found.image_size) == (expected, None)
    assert asked == (["host", {}] if answers else ["host"])
    assert ("downloaded" if answers else "random initialisation") in found.sentence
    assert "\n" not in found.sentence


def test_auto_takes_signs_where_imagenet_is_out_of_reach(home, network, checkout):
    network(False)
    found = resolved("resnet50v2")
    assert (found.source, found.image_size) == (None, None)
    assert re.match(r"random initialisation: .*does not answer, and DATA.*signs\.npz is not here", found.sentence)
    (checkout / SIGNS_FILE).touch()
    found = resolved("resnet50v2")
    assert (found.source, found.image_size) == ("signs", (64, 64))
    assert re.match(
        r"signs \(this project's own, .*\): .*Keras' folder.*storage\.googleapis\.com does not", found.sentence
    )
    found = resolved("mobilenet_v2")
    assert found.source is None
    assert "own weights are resnet50v2's" in found.sentence
    network(True)
    assert resolved("resnet50v2").source == "imagenet"


@pytest.mark.parametrize("in_folder", [True, False])
def test_auto_takes_something_else_where_imagenet_cannot_be_loaded(home, network, checkout, in_folder, caplog):
    asked = network(True, loads=False)
    if in_folder:
        imagenet_file("resnet50v2", SIZE).write_bytes(b"damaged")
    found = resolved("resnet50v2")
    assert found.source is None
    assert re.match(r"random initialisation: ImageNet's could not be loaded, and DATA.*is not here", found.sentence)
    (checkout / SIGNS_FILE).touch()
    found = resolved("resnet50v2")
    assert (found.source, found.image_size) == ("signs", (64, 64))
    assert re.match(r"signs \(.*\): ImageNet's could not be loaded", found.sentence)
    assert "not to be had" in caplog.text
    assert resolve_weights(ModelSpec("mobilenet_v2", options={"alpha": 0.5}), SIZE).source is None
    assert asked[-1] == {"alpha": 0.5}
    assert resolved("resnet50v2", "imagenet").source == "imagenet"  # whoever asks by name hears of it in building


def test_signs_are_one_models_and_a_checkouts(home, network, checkout):
    asked = network(True)
    with pytest.raises(WeightsError, match=r"at DATA.*none here.*--weights imagenet"):
        resolved("resnet50v2", "signs")
    (checkout / SIGNS_FILE).touch()
    found = resolved("resnet50v2", "signs")
    assert (found.source, found.image_size) == ("signs", (64, 64))
    with pytest.raises(WeightsError, match=r"resnet50v2's; received small_cnn\. Use"):
        resolved("small_cnn", "signs")
    assert not asked


def test_a_checkout_is_found_from_its_folders_and_by_its_package(checkout, monkeypatch, tmp_path):
    assert find_in_checkout(SIGNS_FILE) is None
    (checkout / SIGNS_FILE).touch()
    (checkout / "notebooks").mkdir()
    monkeypatch.chdir(checkout / "notebooks")
    assert signs_file("resnet50v2") == checkout / SIGNS_FILE
    monkeypatch.chdir(tmp_path)
    assert find_in_checkout(SIGNS_FILE) is None
    monkeypatch.setattr(files, "__file__", str(checkout / "casestudy" / "files.py"))
    assert find_in_checkout(SIGNS_FILE) == checkout / SIGNS_FILE


def test_weights_are_chosen_without_tensorflow():
    code = "import sys, casestudy.models.weights; print({'tensorflow', 'keras', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_is_asked_for_is_what_comes(home, network):
    asked = network(True)
    assert resolved("resnet50v2", None) == StartingWeights(None, "random initialisation, as asked")
    with pytest.raises(DataError, match=r"received 'none'\. Write None"):
        resolved("resnet50v2", "none")
    assert resolved("resnet50v2", "imagenet").source == "imagenet"
    file = "/there/my.weights.h5"
    assert resolved("resnet50v2", file) == StartingWeights(file, "the file my.weights.h5", None)
    assert resolved("small_cnn").source is None
    assert not asked


def test_a_host_answers_or_does_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert host_answers("127.0.0.1", port, within=2)
    assert not host_answers("127.0.0.1", port, within=2)
    assert not host_answers("no-such-host.invalid", 443, within=2)


def test_keras_home_is_honoured(home, monkeypatch, tmp_path):
    assert imagenet_file("resnet50v2", SIZE).parent == home / "models"
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path / "someone")
    assert imagenet_file("resnet50v2", SIZE).parent == tmp_path / "someone" / ".keras" / "models"
    assert imagenet_file("small_cnn", SIZE) is None


def test_the_working_folder_comes_before_the_packages_own_checkout(tmp_path, monkeypatch):
    for place in ("here", "package"):
        (tmp_path / place / "casestudy").mkdir(parents=True)
        (tmp_path / place / "rubric.md").write_text(place)
    monkeypatch.setattr(files, "__file__", str(tmp_path / "package" / "casestudy" / "files.py"))
    monkeypatch.chdir(tmp_path / "here" / "casestudy")
    assert find_in_checkout(Path("rubric.md")).read_text() == "here"
    (tmp_path / "here" / "rubric.md").unlink()
    assert find_in_checkout(Path("rubric.md")).read_text() == "package"
