"""Where the data of a study comes from: the embedded sample, a path, or an address.

What an address gives is kept in a cache folder, so that the second time needs no network. pooch does the keeping; the
environment variable CASESTUDY_CACHE names another folder than the operating system's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from casestudy.choices import SAMPLE
from casestudy.errors import DataError
from casestudy.files import STALL, file_digest, find_in_checkout
from casestudy.study import DataSpec, Download, Study

log = logging.getLogger(__name__)

CACHE_VARIABLE = "CASESTUDY_CACHE"
DRIVE = "/content/drive"  # where Colab mounts Google Drive
PIECE = 1 << 16  # bytes
BY_HAND = "Try again, or open the address in a browser, download the file and give its path with --data."


def data_for(
    study: Study, where: str | None = None, *, quick: bool = False, folder: Path = Path("runs") / ".cache"
) -> tuple[Study, Path]:
    """Returns the study and its data: those named, else the study's downloads, or the embedded sample.

    Args:
        study: A study that brings no data of its own takes the sample.
        where: A path or a web address.
        quick: Where no data are named, draw a tiny stand-in in `folder`; the study returned reads it.
        folder: Made where missing.

    Raises:
        DataError: The data are not there, or the study names none that can be downloaded.
    """
    if where or dataclasses.replace(study.data, pattern=None, layout=None) == DataSpec():
        from casestudy.data.pixel_tables import has_pixel_tables  # only now: it needs NumPy

        path = find_data(where)
        if study.data.kind == "archive" and has_pixel_tables(path):
            study = dataclasses.replace(study, data=dataclasses.replace(study.data, kind="table"))
        return study, path
    if quick:
        from casestudy.data.drawn import stand_in  # only now: it draws with NumPy and Pillow

        return study, stand_in(study, folder / f"stand-in-{study.name}")
    if study.data.downloads:
        fetched = fetch_all(study.data.downloads)
        return study, fetched / study.data.downloads[0].name if study.data.kind == "archive" else fetched
    raise DataError(
        f"{study.name} needs its own data, and none are named. Get them from {study.data.home} and name them with "
        f"--data, or look at every step on a drawn stand-in with --quick."
    )


def find_sample() -> Path:
    """Returns the embedded sample of this project's checkout; a DataError says that there is none here."""
    if sample := find_in_checkout(SAMPLE):
        return sample
    raise DataError(f"The sample is at {SAMPLE} of a checkout; there is none here. Name your own archive with --data.")


def find_data(
    where: str | os.PathLike[str] | None = None, *, sha256: str | None = None, cache: Path | None = None
) -> Path:
    """Returns where the data is: the sample's path, the path given, or that of the file an address gives.

    Args:
        where: A path (`~` is the home folder), an http(s) address, which is downloaded once, or None for the sample.
        sha256: What an address must give, in hexadecimal; a broken download then goes on where it stopped.
        cache: Folder for downloads; None takes CASESTUDY_CACHE, or the operating system's folder for such files.

    Raises:
        DataError: Nothing is there, it cannot be downloaded or kept, or it is not the file that was pinned.
    """
    text = os.fspath(where) if where is not None else ""
    if not text:
        return find_sample()
    if re.match("https?://", text, re.IGNORECASE):
        return _fetch(text, _cache_folder(cache, text) / _file_name(text), sha256)
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # ~somebody without a home here
        path = path.expanduser()
    if path.exists():
        return path
    remedy = "Check its spelling, or name another with --data."
    if path.as_posix().startswith(DRIVE):
        remedy = "Mount Google Drive first: from google.colab import drive; drive.mount('/content/drive')."
    raise DataError(f"Data is at a path or an http address; there is nothing at {path}. {remedy}")


def fetch_all(downloads: Sequence[Download], *, cache: Path | None = None) -> Path:
    """Returns a folder with these files under their names, downloaded where missing; raises as `find_data`."""
    folder = _cache_folder(cache, json.dumps([(one.name, one.url, one.sha256) for one in downloads]))
    for download in downloads:
        fetch = _fetch if download.of == "file" else _fetch_images
        fetch(download.url, folder / download.name, download.sha256)
    return folder


def _fetch_images(url: str, target: Path, sha256: str) -> None:
    """Downloads a zip unless it is there; its images have the digest."""
    for there in (target.exists(), False):  # one that was altered in the cache is downloaded again
        found = images_digest(_fetch(url, target, None, quiet=True))
        if found == sha256:
            return
        target.unlink()
        if not there:
            break
    raise DataError(
        f"A download must hold the pinned images; what {url} gives does not: their SHA-256 is "
        f"{found or 'none, for it is no zip'}, not {sha256}. {BY_HAND}"
    )


def images_digest(path: Path) -> str:
    """Returns the SHA-256 of the images in a zip, in hexadecimal; "" for what is no zip.

    It is that of lines of `sha256sum`, sorted by names below the folder that all entries share. Hosts that pack a zip
    anew for each download, as GitHub does of a commit, promise the same files and not the same bytes.
    """
    from casestudy.data.letters import IMAGE_SUFFIXES  # only now: it needs NumPy

    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            tops = {name.partition("/")[0] for name in names}
            shared = len(tops.pop()) + 1 if len(tops) == 1 else 0
            lines = sorted(
                (name[shared:], hashlib.sha256(archive.read(name)).hexdigest())
                for name in names
                if Path(name).suffix.lower() in IMAGE_SUFFIXES
            )
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        return ""
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in lines).encode()).hexdigest()


def _cache_folder(cache: Path | None, what: str) -> Path:
    """Returns a folder of its own for what is downloaded, so that files keep their names and never meet."""
    import pooch

    root = Path(cache or os.environ.get(CACHE_VARIABLE) or pooch.os_cache("casestudy")).expanduser()
    return root / hashlib.sha256(what.encode()).hexdigest()[:16]


def _file_name(url: str) -> str:
    """Returns the name of the file that an address seems to give, as every file system takes it.

    >>> _file_name("https://example.org/a/my%20photos.zip?raw=true"), _file_name("https://example.org/..?id=7")
    ('my_photos.zip', 'download')
    """
    name = unquote(re.split("[?#]", url)[0].rpartition("/")[2])
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[-100:] or "download"


def _fetch(url: str, target: Path, sha256: str | None, *, quiet: bool = False) -> Path:
    """Returns `target`, downloaded unless it is there and has the digest, where one is given.

    Without one it says which to pin, unless it is to be `quiet`.
    """
    import pooch
    import requests
    import urllib3

    def download(url: str, output: str, _: object) -> None:
        log.info("downloading %s", url)
        # Only a digest can tell whether the two halves of a broken download belong together.
        part = target.with_name(f"{target.name}.part") if sha256 else Path(output)
        _stream(url, part, target.name)
        part.replace(output)

    pooch.get_logger().setLevel(logging.WARNING)  # it prints, whatever the user asked for
    new = not target.exists()
    try:
        known = f"sha256:{sha256}" if sha256 else None
        pooch.retrieve(url, known, fname=target.name, path=target.parent, downloader=download)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DataError(f"An address must give a file; {url} does not: {_reason(error)}. {BY_HAND}") from error
    except ValueError as error:  # what pooch raises for another digest
        difference = str(error).partition(". ")[0]
        raise DataError(f"A download must be the pinned file; {url} is not: {difference}. {BY_HAND}") from error
    except OSError as error:
        why = f"{target.parent} cannot be written ({error.strerror or error})"
        raise DataError(f"A download needs a folder; {why}. Name another in {CACHE_VARIABLE}.") from error
    if new and not sha256 and not quiet:
        log.info("%s has the SHA-256 %s; pin it to be sure of the same file next time.", target, file_digest(target))
    return target


def _stream(url: str, part: Path, name: str) -> None:
    """Downloads into `part`, behind what it holds already, byte by byte as the server sends them."""
    import requests
    from tqdm.auto import tqdm

    have = part.stat().st_size if part.exists() else 0
    # Encoding would hide the size, and unpack a .gz that a server takes for an encoding.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with requests.get(url, headers=headers, stream=True, timeout=STALL) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            return _stream(url, part, name)
        if not response.ok:
            raise requests.HTTPError(f"the server answers {response.status_code} {response.reason}")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise requests.HTTPError("it is a web page, as for a login or a preview")
        if response.status_code != requests.codes.partial_content:  # the server starts from the beginning
            have = 0
        length = response.headers.get("Content-Length")
        size = have + int(length) if length else None
        response.raw.enforce_content_length = False  # older versions of urllib3 do not; the check is below
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(total=size, initial=have, desc=name, unit="B", unit_scale=True, delay=2) as bar,
        ):
            for piece in response.raw.stream(PIECE, decode_content=False):
                file.write(piece)
                bar.update(len(piece))
    received = part.stat().st_size
    if size not in (received, None):
        raise requests.ConnectionError(f"it broke off after {received:,} of {size:,} bytes")


def _reason(error: BaseException) -> str:
    """Returns why a download failed, in the words of the error at the bottom of those wrapped round it."""
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, TimeoutError):
        return f"nothing came for {STALL:g} seconds"
    return getattr(error, "strerror", None) or str(error)
