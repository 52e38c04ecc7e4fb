"""Which weights a run starts from: what is at hand, what answers, and what was asked for."""

import re
import socket
import subprocess
import sys

import pytest

from casestudy import files
from casestudy.errors import WeightsError
from casestudy.files import find_in_checkout
from casestudy.models import weights
from casestudy.models.weights import SIGNS_FILE, host_answers, imagenet_file, resolve_weights, signs_file

SIZE = (96, 96)


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
    """Answers or not, as told, and counts how often it was asked."""
    asked = []

    def told(answer):
        monkeypatch.setattr(weights, "host_answers", lambda: asked.append(1) or answer)
        return asked

    return told


def test_auto_takes_what_keras_has_and_asks_nobody(home, network):
    asked = network(True)
    imagenet_file("resnet50v2", SIZE).write_bytes(b"x")
    chosen, sentence = resolve_weights("resnet50v2", "auto", SIZE)
    assert chosen == "imagenet"
    assert "Keras' folder" in sentence
    assert not asked


@pytest.mark.parametrize(("answers", "expected"), [(True, "imagenet"), (False, None)])
def test_auto_downloads_where_the_host_answers(home, network, answers, expected):
    asked = network(answers)
    chosen, sentence = resolve_weights("mobilenet_v2_0.35", "auto", SIZE)
    assert chosen == expected
    assert asked
    assert ("downloaded" if answers else "random initialisation") in sentence
    assert "\n" not in sentence


def test_auto_takes_signs_where_imagenet_is_out_of_reach(home, network, checkout):
    network(False)
    chosen, sentence = resolve_weights("resnet50v2", "auto", SIZE)
    assert chosen is None
    assert re.match(r"random initialisation: .*does not answer, and DATA.*signs\.npz is not here", sentence)
    (checkout / SIGNS_FILE).touch()
    chosen, sentence = resolve_weights("resnet50v2", "auto", SIZE)
    assert chosen == "signs"
    assert re.match(r"signs \(this project's own, .*\): .*Keras' folder.*storage\.googleapis\.com does not", sentence)
    chosen, sentence = resolve_weights("mobilenet_v2", "auto", SIZE)
    assert chosen is None
    assert "own weights are resnet50v2's" in sentence
    network(True)
    assert resolve_weights("resnet50v2", "auto", SIZE)[0] == "imagenet"


def test_signs_are_one_models_and_a_checkouts(home, network, checkout):
    asked = network(True)
    with pytest.raises(WeightsError, match=r"at DATA.*none here.*--weights imagenet"):
        resolve_weights("resnet50v2", "signs", SIZE)
    (checkout / SIGNS_FILE).touch()
    assert resolve_weights("resnet50v2", "signs", SIZE)[0] == "signs"
    with pytest.raises(WeightsError, match=r"resnet50v2's; received small_cnn\. Use"):
        resolve_weights("small_cnn", "signs", SIZE)
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
    code = "import sys, casestudy.weights; print({'tensorflow', 'keras', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_is_asked_for_is_what_comes(home, network):
    asked = network(True)
    assert resolve_weights("resnet50v2", None, SIZE)[0] is None
    assert resolve_weights("resnet50v2", "none", SIZE)[0] is None
    assert resolve_weights("resnet50v2", "imagenet", SIZE)[0] == "imagenet"
    assert resolve_weights("resnet50v2", "/there/my.weights.h5", SIZE) == (
        "/there/my.weights.h5",
        "the file my.weights.h5",
    )
    assert resolve_weights("small_cnn", "auto", SIZE)[0] is None
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
