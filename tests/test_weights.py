"""Which weights a run starts from: what is at hand, what answers, and what was asked for."""

import re
import socket
import socketserver
import subprocess
import sys
import threading
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
    assert (found.source, found.image_size) == ("signs", (96, 96))
    assert re.match(
        r"signs \(this project's own, .*\): .*Keras' folder.*storage\.googleapis\.com.*does not", found.sentence
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
    assert (found.source, found.image_size) == ("signs", (96, 96))
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
    assert (found.source, found.image_size) == ("signs", (96, 96))
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


@pytest.fixture
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def serve(no_proxy):
    """Starts servers that note the first line of each request and give one answer; None is silence, until the end."""
    over, servers, asked = threading.Event(), [], []

    def start(answer):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                asked.append(self.rfile.readline().decode().strip())
                if answer is None:
                    over.wait(60)
                else:
                    while self.rfile.readline().strip():
                        pass
                    self.wfile.write(answer)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_address[1]}"

    start.asked = asked
    yield start
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("answer", "answers"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", True),  # of the front page, which nobody needs
        (b"220 mail.example\r\n", False),
        (b"", False),
    ],
)
def test_a_host_answers_or_does_not(answer, answers, serve):
    assert host_answers(f"http://{serve(answer)}/", within=20) == answers
    assert serve.asked == ["HEAD / HTTP/1.1"]


def test_a_host_that_is_not_there_does_not_answer(no_proxy):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert not host_answers(f"http://127.0.0.1:{port}/", within=20)


def decided(within, url="https://storage.googleapis.com/"):
    """Returns whether the host answers, as is known by the deadline; the test fails where it is not known in time."""
    found = []
    asking = threading.Thread(target=lambda: found.append(host_answers(url, within)), daemon=True)
    asking.start()
    asking.join(20)  # the waits below last for a minute
    assert found, "not decided"
    return found[0]


def test_a_mute_resolver_is_waited_for_no_longer_than_all_the_rest(no_proxy, monkeypatch, caplog):
    caplog.set_level("INFO")
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: over.wait(60) and [])
    assert not decided(within=0.3)
    over.set()
    assert "asked without HTTPS_PROXY" in caplog.text
    assert "nothing came within 0.3 s" in caplog.text


def test_eight_dead_addresses_share_the_time(no_proxy, monkeypatch):
    """Each is waited for in vain as long as the caller allows; all of them together would take four times as long."""
    over, waited = threading.Event(), []

    class Dead:
        def __init__(self, *args):
            pass

        def settimeout(self, seconds):
            self.timeout = seconds

        def setsockopt(self, *args):
            pass

        def connect(self, address):
            waited.append(self.timeout)
            over.wait(self.timeout)
            raise TimeoutError("timed out")

        def close(self):
            pass

    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{k}", 443)) for k in range(8)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: addresses)
    monkeypatch.setattr(socket, "socket", Dead)
    assert not decided(within=0.8)
    assert len(waited) < 8
    assert set(waited) == {0.4}  # the second address has its chance, too
    over.set()


@pytest.mark.parametrize("silent", ["host", "proxy"])
def test_who_listens_and_says_nothing_does_not_answer(silent, serve, monkeypatch):
    mute = serve(None)
    if silent == "proxy":
        monkeypatch.setenv("HTTPS_PROXY", f"http://{mute}")
        assert not decided(within=0.3)
    else:
        assert not decided(within=0.3, url=f"http://{mute}/")
    assert len(serve.asked) == 1


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_the_host_is_asked_through_the_proxy_and_what_it_refuses_is_said(name, serve, monkeypatch, caplog):
    caplog.set_level("INFO")
    refuses = serve(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    monkeypatch.setenv(name, f"http://someone:secret@{refuses}")
    assert not host_answers(within=20)
    assert serve.asked == ["CONNECT storage.googleapis.com:443 HTTP/1.0"]
    assert "through HTTPS_PROXY" in caplog.text
    assert "407" in caplog.text
    assert "secret" not in caplog.text


def test_a_proxy_that_passes_on_is_as_good_as_the_host(serve, monkeypatch):
    """Of http alone, which needs no certificate: the host itself is not there."""
    monkeypatch.setenv("HTTP_PROXY", "http://" + serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    assert host_answers("http://no-such-host.invalid/", within=20)
    assert serve.asked == ["HEAD http://no-such-host.invalid/ HTTP/1.1"]


def test_no_proxy_is_asked_for_a_host_that_needs_none(serve, monkeypatch):
    host = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    monkeypatch.setenv("HTTP_PROXY", f"http://{serve(b'')}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert host_answers(f"http://{host}/", within=20)
    assert serve.asked == ["HEAD / HTTP/1.1"]


def test_a_proxy_that_is_no_address_is_no_way(no_proxy, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setenv("HTTPS_PROXY", "http://someone:secret@proxy:port")
    assert not host_answers(within=20)
    assert "secret" not in caplog.text


def test_the_sentence_says_the_way_that_was_tried_and_what_is_taken_instead(home, network, checkout, monkeypatch):
    network(False)
    (checkout / SIGNS_FILE).touch()
    monkeypatch.setenv("HTTPS_PROXY", "http://someone:secret@proxy:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    beginning = "signs (this project's own, from rendered hands): "
    asked = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5 is not in Keras' folder, and storage.googleapis.com"
    assert resolved("resnet50v2").sentence == (f"{beginning}{asked}, asked through HTTPS_PROXY, does not answer")
    monkeypatch.setenv("NO_PROXY", ".googleapis.com")
    assert resolved("resnet50v2").sentence == (
        f"{beginning}{asked}, asked without HTTPS_PROXY (set it where a proxy is needed), does not answer"
    )


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
