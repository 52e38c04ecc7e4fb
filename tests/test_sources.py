"""Data comes from the sample, a path or an address, whole; the addresses are those of a server in this process."""

import contextlib
import dataclasses
import errno
import gzip
import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from casestudy.data import sources
from casestudy.data.sources import SAMPLE, Download, data_for, fetch_all, find_data, find_sample
from casestudy.errors import DataError
from casestudy.studies import STUDIES
from casestudy.study import DataSpec

CONTENT = np.random.default_rng(5).bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """Files by path, how they misbehave, and what was asked of them.

    Attributes:
        files: What each path gives.
        breaks: Paths whose next answer breaks off after so many bytes.
        stalls: Paths whose answer stops, and never ends, after so many bytes.
        headers: More headers for a path.
        ranges: Whether parts of a file can be asked for.
        requests: (path, Range header) of every request.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    breaks: dict[str, int] = field(default_factory=dict)
    stalls: dict[str, int] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    state, done = Server(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers["Range"]
            state.requests.append((self.path, wanted))
            path = unquote(self.path)
            if path not in state.files:
                return self.send_error(404)
            content, start = state.files[path], 0
            if wanted and state.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    return self.send_error(416)
            self.send_response(206 if start else 200)
            length = len(content) - start
            for key, value in {"Content-Length": str(length), **state.headers.get(path, {})}.items():
                self.send_header(key, value)
            self.end_headers()
            whole = state.breaks.pop(path, None) or state.stalls.get(path)
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content[start : whole and start + whole])
            if path in state.stalls:
                done.wait(10)

        def log_message(self, *args):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    yield state
    done.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def photos(server):
    """The address of a sound file."""
    server.files["/photos.zip"] = CONTENT
    return f"{server.url}/photos.zip"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def refusal(*args, **options) -> str:
    """Returns the one line with which the call fails."""
    with pytest.raises(DataError) as caught:
        find_data(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_means_the_sample(monkeypatch, tmp_path):
    for nothing in (None, ""):
        assert find_data(nothing).as_posix().endswith(SAMPLE.as_posix())
    assert find_data().read_bytes().startswith(b"Rar!")
    monkeypatch.setattr(sources, "find_in_checkout", lambda name: None)
    with pytest.raises(DataError, match="Name your own archive with --data"):
        find_sample()


def test_a_path_means_itself(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "my archive.rar").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert find_data(tmp_path / "photos") == tmp_path / "photos"
    assert find_data(str(tmp_path / "photos")) == tmp_path / "photos"
    assert find_data("~/photos/my archive.rar") == tmp_path / "photos" / "my archive.rar"


def test_a_missing_path_is_named(tmp_path):
    message = refusal(tmp_path / "nowhere.rar")
    assert str(tmp_path / "nowhere.rar") in message
    assert "Drive" not in message
    assert "nobody-of-this-name" in refusal("~nobody-of-this-name/photos.rar")


@pytest.mark.skipif(os.path.exists("/content/drive"), reason="Google Drive is mounted")  # noqa: PTH110
def test_a_path_on_a_drive_that_is_not_mounted_says_how_to_mount_it():
    assert "drive.mount('/content/drive')" in refusal("/content/drive/MyDrive/photos.rar")


def test_an_address_is_downloaded_once(server, photos, tmp_path):
    first = find_data(photos, cache=tmp_path)
    assert first.name == "photos.zip"
    assert first.is_relative_to(tmp_path)
    assert first.read_bytes() == CONTENT
    assert find_data(photos, cache=tmp_path) == first
    assert server.requests == [("/photos.zip", None)]
    assert files_in(tmp_path) == ["photos.zip"]


def test_the_cache_is_where_the_environment_says(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("CASESTUDY_CACHE", str(tmp_path / "new" / "cache"))
    assert find_data(photos).is_relative_to(tmp_path / "new" / "cache")
    monkeypatch.delenv("CASESTUDY_CACHE")
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "os" / project)
    assert find_data(photos).is_relative_to(tmp_path / "os" / "casestudy")


def test_same_names_at_two_addresses_never_meet(server, photos, tmp_path):
    server.files["/other/photos.zip"] = CONTENT[:1000]
    one, other = (find_data(url, cache=tmp_path) for url in (photos, f"{server.url}/other/photos.zip"))
    assert one.name == other.name
    assert (len(one.read_bytes()), len(other.read_bytes())) == (300_000, 1000)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/my photos.zip", "my_photos.zip"),
        ("/my%20photos.zip", "my_photos.zip"),
        ("/photos.zip?raw=true&x=a/b.html", "photos.zip"),
        ("/Fotos/Zoë.zip#top", "Zoë.zip"),
        ("/uc?id=1&export=download", "uc"),
        ("/", "download"),
    ],
)
def test_spaces_and_queries_are_no_obstacle(address, name, server, tmp_path):
    server.files[unquote(address).split("#")[0]] = CONTENT
    found = find_data(server.url + address, cache=tmp_path)
    assert found.name == name
    assert found.read_bytes() == CONTENT


def test_the_digest_is_told_so_that_it_can_be_pinned(photos, tmp_path, caplog, capfd):
    with caplog.at_level("INFO"):
        find_data(photos, cache=tmp_path)
    assert DIGEST in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        find_data(photos, cache=tmp_path)
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")  # pooch itself says nothing


def test_a_pinned_file_is_checked(server, photos, tmp_path):
    assert find_data(photos, sha256=DIGEST.upper(), cache=tmp_path).read_bytes() == CONTENT
    server.files["/photos.zip"] = CONTENT[::-1]
    find_data(photos, sha256=DIGEST, cache=tmp_path)
    assert len(server.requests) == 1


def test_another_file_than_the_pinned_one_is_refused(server, photos, tmp_path):
    server.files["/photos.zip"] = CONTENT[::-1]
    message = refusal(photos, sha256=DIGEST, cache=tmp_path)
    assert DIGEST in message
    assert hashlib.sha256(CONTENT[::-1]).hexdigest() in message
    assert "--data" in message
    assert files_in(tmp_path) == []


def test_a_file_that_was_altered_in_the_cache_is_downloaded_again(photos, tmp_path):
    found = find_data(photos, sha256=DIGEST, cache=tmp_path)
    found.write_bytes(CONTENT[:-1])
    assert find_data(photos, sha256=DIGEST, cache=tmp_path).read_bytes() == CONTENT


def test_a_missing_file_is_not_kept(server, tmp_path):
    message = refusal(f"{server.url}/nowhere.zip", cache=tmp_path)
    assert "404 Not Found" in message
    assert f"{server.url}/nowhere.zip" in message
    assert "--data" in message
    assert files_in(tmp_path) == []


def test_a_web_page_is_no_data(server, tmp_path):
    server.files["/view"] = b"<!DOCTYPE html>Sign in"
    server.headers["/view"] = {"Content-Type": "text/html; charset=utf-8"}
    assert "web page" in refusal(f"{server.url}/view", cache=tmp_path)
    assert files_in(tmp_path) == []


def test_nobody_there(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "--data" in refusal(f"http://127.0.0.1:{port}/photos.zip", cache=tmp_path)
    assert os.strerror(errno.ECONNREFUSED) in refusal(f"http://127.0.0.1:{port}/photos.zip", cache=tmp_path)
    assert "--data" in refusal("http://[nonsense/photos.zip", cache=tmp_path)


def test_what_broke_off_is_not_kept(server, photos, tmp_path):
    server.breaks["/photos.zip"] = 100_000
    assert "100,000 of 300,000 bytes" in refusal(photos, cache=tmp_path)
    assert files_in(tmp_path) == []
    assert find_data(photos, cache=tmp_path).read_bytes() == CONTENT
    assert server.requests == [("/photos.zip", None)] * 2


@pytest.mark.parametrize("ranges", [True, False])
def test_a_pinned_file_goes_on_where_it_broke_off(ranges, server, photos, tmp_path):
    server.ranges = ranges
    server.breaks["/photos.zip"] = 100_000
    refusal(photos, sha256=DIGEST, cache=tmp_path)
    assert files_in(tmp_path) == ["photos.zip.part"]
    assert find_data(photos, sha256=DIGEST, cache=tmp_path).read_bytes() == CONTENT
    assert server.requests == [("/photos.zip", None), ("/photos.zip", "bytes=100000-")]
    assert files_in(tmp_path) == ["photos.zip"]


def test_halves_of_two_files_never_make_one(server, photos, tmp_path):
    server.files["/photos.zip"], server.breaks["/photos.zip"] = CONTENT[::-1], 100_000
    refusal(photos, sha256=DIGEST, cache=tmp_path)
    server.files["/photos.zip"] = CONTENT
    assert "pinned" in refusal(photos, sha256=DIGEST, cache=tmp_path)
    assert files_in(tmp_path) == []
    assert find_data(photos, sha256=DIGEST, cache=tmp_path).read_bytes() == CONTENT


def test_a_part_that_has_nothing_behind_it_begins_anew(server, photos, tmp_path):
    server.breaks["/photos.zip"] = 100_000
    refusal(photos, sha256=DIGEST, cache=tmp_path)
    (part,) = tmp_path.rglob("*.part")
    part.write_bytes(CONTENT)  # killed between the last byte and the renaming
    assert find_data(photos, sha256=DIGEST, cache=tmp_path).read_bytes() == CONTENT


def test_a_server_that_stalls_is_given_up(server, photos, tmp_path, monkeypatch):
    assert sources.STALL == 20
    monkeypatch.setattr(sources, "STALL", 0.3)
    server.stalls["/photos.zip"] = 1000
    assert "nothing came for 0.3 seconds" in refusal(photos, cache=tmp_path)
    assert files_in(tmp_path) == []


def test_bytes_are_kept_as_sent(server, tmp_path):
    """Many a server takes a .gz for an encoding of what is in it."""
    server.files["/labels.gz"] = gzip.compress(b"labels" * 100)
    server.headers["/labels.gz"] = {"Content-Encoding": "gzip"}
    assert find_data(f"{server.url}/labels.gz", cache=tmp_path).read_bytes() == server.files["/labels.gz"]


def test_a_cache_that_cannot_be_written_is_named(photos, tmp_path):
    (tmp_path / "file").touch()
    for cache in (tmp_path / "file", tmp_path / "file" / "folder"):
        message = refusal(photos, cache=cache)
        assert str(cache) in message
        assert "CASESTUDY_CACHE" in message


def test_a_full_disk_leaves_nothing_half_written(photos, tmp_path, monkeypatch):
    def full(url, part, name):
        part.write_bytes(CONTENT[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(sources, "_stream", full)
        assert os.strerror(errno.ENOSPC) in refusal(photos, cache=tmp_path)
    assert files_in(tmp_path) == []
    assert find_data(photos, cache=tmp_path).read_bytes() == CONTENT


def test_several_files_lie_in_one_folder_under_their_names(server, tmp_path):
    downloads = []
    for k, name in enumerate(("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")):
        server.files[f"/files/{k}"] = CONTENT[k:]
        digest = hashlib.sha256(CONTENT[k:]).hexdigest()
        downloads.append(Download(name, f"{server.url}/files/{k}", digest))
    server.breaks["/files/1"] = 1000
    with pytest.raises(DataError, match=r"/files/1 .*1,000 of 299,999"):
        fetch_all(downloads, cache=tmp_path)
    folder = fetch_all(downloads, cache=tmp_path)
    assert files_in(folder) == [download.name for download in downloads]
    assert (folder / downloads[1].name).read_bytes() == CONTENT[1:]
    assert [path for path, _ in server.requests] == ["/files/0", "/files/1", "/files/1"]
    assert fetch_all(downloads, cache=tmp_path) == folder
    assert len(server.requests) == 3


PHOTOGRAPHS = {"train/hat/1.jpg": b"one", "train/hat/2.JPG": b"two", "test/t-shirt/1.png": b"three"}


def packed(files, compression=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def images_of(server):
    """A download of the photographs, pinned by what `sha256sum` says of them, packed as a host packs a commit."""
    files = {f"clothes-119/{name}": content for name, content in PHOTOGRAPHS.items()} | {"clothes-119/LICENSE": b"CC0"}
    server.files["/119.zip"] = packed(files)
    lines = [f"{hashlib.sha256(PHOTOGRAPHS[name]).hexdigest()}  {name}\n" for name in sorted(PHOTOGRAPHS)]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return Download("clothing.zip", f"{server.url}/119.zip", digest, of="images")


def test_the_images_are_pinned_where_a_host_packs_them_anew(server, tmp_path):
    download = images_of(server)
    folder = fetch_all([download], cache=tmp_path / "one")
    assert (folder / "clothing.zip").read_bytes() == server.files["/119.zip"]
    again = dict(reversed(PHOTOGRAPHS.items()))
    server.files["/119.zip"] = packed(again, zipfile.ZIP_STORED)  # other bytes, another order, no folder round them
    assert files_in(fetch_all([download], cache=tmp_path / "two")) == ["clothing.zip"]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (PHOTOGRAPHS | {"train/hat/2.JPG": b"tw0"}, "their SHA-256 is "),
        ({name.replace("t-shirt", "hat"): content for name, content in PHOTOGRAPHS.items()}, "their SHA-256 is "),
        (dict(list(PHOTOGRAPHS.items())[:2]), "their SHA-256 is "),
        (PHOTOGRAPHS | {"train/hat/3.jpg": b"four"}, "their SHA-256 is "),
        (None, "is none, for it is no zip"),
    ],
)
def test_other_images_than_the_pinned_ones_are_refused(files, found, server, tmp_path):
    download = images_of(server)
    server.files["/119.zip"] = packed(files) if files else b"a page of a captive network"
    with pytest.raises(DataError, match="pinned images") as caught:
        fetch_all([download], cache=tmp_path)
    assert found in str(caught.value)
    assert download.sha256 in str(caught.value)
    assert "--data" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == []


def test_images_that_were_altered_in_the_cache_are_downloaded_again(server, tmp_path):
    download = images_of(server)
    folder = fetch_all([download], cache=tmp_path)
    (folder / "clothing.zip").write_bytes(packed(PHOTOGRAPHS | {"train/hat/1.jpg": b"0ne"}))
    fetch_all([download], cache=tmp_path)
    assert (folder / "clothing.zip").read_bytes() == server.files["/119.zip"]
    fetch_all([download], cache=tmp_path)
    assert len(server.requests) == 2


def test_a_study_of_an_archive_reads_the_file_that_is_fetched(server, tmp_path, monkeypatch):
    download = images_of(server)
    study = dataclasses.replace(STUDIES["clothes"], data=DataSpec(downloads=(download,), class_names=("hat", "shoes")))
    monkeypatch.setenv("CASESTUDY_CACHE", str(tmp_path))
    found, path = data_for(study)
    assert (found, path.name) == (study, "clothing.zip")
    assert path.read_bytes() == server.files["/119.zip"]
    del server.files["/119.zip"]
    assert data_for(study)[1] == path  # kept
    path.unlink()
    with pytest.raises(DataError, match=r"404 Not Found\. Try again, or open the address in a browser"):
        data_for(study)


def test_importing_is_light():
    heavy = (
        "import sys, casestudy.data.sources; print({'pooch', 'requests', 'numpy', 'pandas', 'tqdm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
