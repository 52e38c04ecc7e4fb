"""Which weights a run starts from: what is at hand, what answers, and what was asked for."""

import socket

import pytest

from casestudy import weights
from casestudy.weights import host_answers, imagenet_file, resolve_weights

SIZE = (96, 96)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path


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
