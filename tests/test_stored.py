"""What cleaning writes: names for every system, a ledger that reads as it was written, and nothing half done."""

import csv
import errno
import hashlib
import io
import itertools
import os
import random
import signal
import subprocess
import sys
import time
import unicodedata
import zipfile
from pathlib import Path, PureWindowsPath

import pandas as pd
import pytest
from PIL import Image

from casestudy.cleaning.archive import FolderReader
from casestudy.cleaning.errors import ArchiveError, CaseStudyError, ConservationError
from casestudy.cleaning.files import atomic_folder, atomic_path, reserve
from casestudy.cleaning.ledger import Ledger, LedgerRow
from casestudy.cleaning.rebuild import read_ledger, undo
from casestudy.cleaning.regroup import clean_archive
from casestudy.cleaning.stored_names import UniqueNames, clean_part, clean_path
from casestudy.cleaning.words import printable
from casestudy.cleaning.zips import ZipReader
from casestudy.data import load_images

ROOT = Path(__file__).parent.parent
LONG = "手" * 80
ODD = [
    *("user_1/A0.jpg", "./user_1/A1.jpg", "", "user_1/CON/B0.jpg", "user_1/aux.jpg", "nul", "user_1/COM1.txt.gz"),
    *(
        "user_1/Icon\r",
        "user_1/a\nb.txt",
        'user_1/"q",x.txt',
        "user_1/\u2028.txt",
        "\ufeffuser_1/x.txt",
        "user_1/ .txt",
    ),
    *(f"user_1/{LONG}/{LONG}.txt", f"{'d' * 90}/" * 4 + "deep.txt", "user_1/dot.", "user_1/trail ", "a:b.txt", "-"),
    *("user_1/c1", "user_1/C1", "user_1/e\u0301.txt", "user_1/é.txt", "user_1/f", "user_1/f/g.txt", "\x1b[2J.txt"),
]


def drawn(number):
    stream = io.BytesIO()
    Image.effect_noise((20, 20), 30 + number).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def odd(tmp_path):
    """A zip of entries with odd names, written with their bytes as they are."""
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as target:
        for number, name in enumerate(ODD):
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            target.writestr(info, drawn(number) if name.endswith(".jpg") else f"file {number}".encode())
    return tmp_path / "odd.zip"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_odd_names_are_stored_where_every_system_can_have_them(odd, tmp_path):
    ledger = clean_archive(odd, tmp_path / "letters.zip", progress=False)
    assert [row.entry for row in ledger.rows] == ODD
    assert read_ledger(tmp_path / "letters.zip") == ledger
    places = [row.stored_as for row in ledger.rows]
    for place in places:
        parts = place.split("/")
        assert not PureWindowsPath(place).is_reserved() and not PureWindowsPath(place).is_absolute()
        assert all(part and part[-1] not in ". " and len(part.encode()) <= 255 for part in parts)
        assert not set('<>:"|?*\\') & set(place) and all(ord(letter) >= 32 for letter in place)
        assert len(place) <= 240
    folded = [unicodedata.normalize("NFC", place).casefold() for place in places]
    assert len(set(folded)) == len(places)
    folders = {name[:k] for name in folded for k, letter in enumerate(name) if letter == "/"}
    assert not folders & set(folded)
    images = load_images(tmp_path / "letters.zip", image_size=(8, 8), cache_dir=tmp_path / "cache")
    assert len(images) == len(ledger.labelled())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_this_system_cannot_name_is_set_aside_with_a_list(odd, tmp_path):
    ledger = clean_archive(odd, tmp_path / "letters.zip", progress=False)
    set_aside = undo(tmp_path / "letters.zip", tmp_path / "tree", progress=False)
    tree = tmp_path / "tree"
    for row in ledger.rows:
        place = set_aside.get(row.entry, row.entry.removeprefix("./"))
        assert hashlib.sha256((tree / place).read_bytes()).hexdigest() == row.sha256
    assert {"", "user_1/f/g.txt"} <= set(set_aside)
    assert not {"user_1/A0.jpg", "./user_1/A1.jpg", "user_1/Icon\r"} & set(set_aside)
    with (tree / "_set_aside" / "list.csv").open(newline="", encoding="utf-8") as file:
        assert dict(list(csv.reader(file))[1:]) == set_aside


@pytest.mark.parametrize("seed", range(20))
def test_any_name_survives_the_ledger_for_every_reader(seed, tmp_path):
    chance = random.Random(seed)
    letters = "ab\"',;\t\r\n \u2028\u00a0\ufeffé手\x1b\x00\x85=+-@#\\"
    rows = tuple(
        LedgerRow(
            "x" + "".join(chance.choices(letters, k=chance.randrange(8))), "kept", f"A/{k}.jpg", label="A", bytes=k
        )
        for k in range(200)
    )
    text = Ledger(rows).to_csv()
    assert Ledger.from_csv(text) == Ledger(rows)
    assert [row[0] for row in csv.reader(io.StringIO(text, newline=""))][1:] == [row.entry for row in rows]
    (tmp_path / "ledger.csv").write_bytes(text.encode())
    read = pd.read_csv(tmp_path / "ledger.csv", dtype=str, keep_default_na=False)
    assert read["stored_as"].tolist() == [row.stored_as for row in rows]
    assert [name.partition("\x00")[0] for name in read["entry"]] == [row.entry.partition("\x00")[0] for row in rows]


def test_a_name_says_nothing_to_a_terminal():
    shown = printable("a\x1b[31m\u202e\u2066\u200b\x85\x7fé手")
    assert shown == r"a\x1b[31m\u202e\u2066\u200b\x85\x7fé手"
    assert str(CaseStudyError("one\ntwo\rthree\x1b[2J")) == "one two\\rthree\\x1b[2J"


def test_the_clean_command_prints_names_as_escapes(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr("user_1/A0.png", drawn(1))
        target.writestr("user_1/A\x1b[2J.png", b"\x89PNG\r\n\x1a\nbroken")
    for more in ([], ["--json"]):
        call = [sys.executable, str(ROOT / "DATA" / "clean_data.py"), "a.zip", "--out", "l.zip", *more]
        said = subprocess.run(call, cwd=tmp_path, capture_output=True, check=True).stdout
        assert (b"\x1b" not in said and b"x1b" in said) or b"u001b" in said


def test_names_are_cut_with_their_ending_and_stay_apart():
    one, other = clean_part("手" * 100 + "1.jpg"), clean_part("手" * 100 + "2.jpg")
    assert one != other and one.endswith(".jpg") and len(one.encode()) <= 200
    names = UniqueNames()
    assert [names.claim(name) for name in ("_sidecar/x", "_sidecar/x/y", "_sidecar/x/z")] == [
        *("_sidecar/x", "_sidecar/x~2/y", "_sidecar/x~2/z"),
    ]
    assert len(clean_path("a" * 300 + "/" + "b" * 300 + ".txt")) <= 240


def test_what_a_dead_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    call = "import os, sys; from pathlib import Path; from casestudy.cleaning.files import atomic_path\n"
    call += (
        "with atomic_path(Path(sys.argv[1])) as partial:\n partial.write_text('x'); print(partial.name, flush=True)\n"
    )
    target = tmp_path / "letters.zip"
    dead = subprocess.run(
        [sys.executable, "-c", call + " os._exit(9)", str(target)], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    living = subprocess.Popen(
        [sys.executable, "-c", call + " sys.stdin.read()", str(target)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    alive = living.stdout.readline().strip()
    others = [".letters.123456-1.tmp.zip", ".letters.tmp.zip", ".other.zip"]  # of another machine, of somebody else
    for name in others:
        (tmp_path / name).write_text("not ours")
    with atomic_path(target) as partial:
        partial.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"letters.zip", alive, *others}
    assert dead and dead != alive
    living.communicate("")
    assert target.read_text() == "x"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "tree") as partial:
        (partial / "half").write_text("x")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with atomic_folder(tmp_path / "tree") as partial:
        (partial / "whole").write_text("x")
    assert [path.name for path in tmp_path.rglob("*")] == ["tree", "whole"]


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_at_any_moment_the_target_is_absent_or_whole(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        for k in range(150):
            target.writestr(f"user_{k % 3}/{'ABC'[k % 3]}{k}.png", drawn(k))
    call = [sys.executable, str(ROOT / "DATA" / "clean_data.py"), "a.zip", "--out", "letters.zip", "--quiet"]
    started = time.monotonic()
    subprocess.run(call, cwd=tmp_path, check=True)
    takes, whole = time.monotonic() - started, (tmp_path / "letters.zip").read_bytes()
    chance, killed = random.Random(1), 0
    for _ in range(int(os.environ.get("CASESTUDY_KILLS", "5"))):
        (tmp_path / "letters.zip").unlink(missing_ok=True)
        process = subprocess.Popen(call, cwd=tmp_path)
        time.sleep(takes * chance.uniform(0.3, 1.0))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert not (tmp_path / "letters.zip").exists() or (tmp_path / "letters.zip").read_bytes() == whole
    (tmp_path / "letters.zip").unlink(missing_ok=True)
    subprocess.run(call, cwd=tmp_path, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "letters.zip"]
    assert killed


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr("user_1/A0.png", drawn(1))

    def full(file, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CaseStudyError, match=r"Cannot write .*letters\.zip \(No space left on device\)"):
        clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 KB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
def test_a_small_disk_gets_full_in_one_line(small_disk, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        for k in range(40):
            target.writestr(f"user_1/A{k}.bmp", random.Random(k).randbytes(10_000))
        target.writestr("user_1/B0.png", drawn(1))
    with pytest.raises(CaseStudyError, match="No space left"):
        clean_archive(tmp_path / "a.zip", small_disk / "letters.zip", progress=False)
    with zipfile.ZipFile(tmp_path / "small.zip", "w", zipfile.ZIP_DEFLATED) as target:  # says little of what it holds
        target.writestr("user_1/B0.png", drawn(1))
        target.writestr("zeros.txt", bytes(500_000))
    with pytest.raises(CaseStudyError, match="No space left"):
        clean_archive(tmp_path / "small.zip", small_disk / "letters.zip", progress=False)
    clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    with pytest.raises(CaseStudyError, match="No space left"):
        load_images(tmp_path / "letters.zip", image_size=(512, 512), cache_dir=small_disk)
    with pytest.raises(CaseStudyError, match="No space left"):
        undo(tmp_path / "letters.zip", small_disk / "tree", progress=False)
    assert not list(small_disk.iterdir())


def test_reserving_keeps_what_is_there(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    reserve(tmp_path / "a", 10)
    assert (tmp_path / "a").read_bytes().startswith(b"abc")


@pytest.mark.parametrize("fault", ["cut", "not UTF-8", "odd method", "encrypted", "bomb", "no columns"])
def test_a_damaged_letters_zip_is_one_line(fault, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr("user_1/A0.png", drawn(1))
    clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    data = bytearray((tmp_path / "letters.zip").read_bytes())
    central = data.rindex(b"PK\x01\x02")  # of ledger.csv, the last
    first = data.index(b"PK\x01\x02")
    if fault == "cut":
        del data[len(data) // 2 :]
    elif fault == "not UTF-8":
        at = data.index(b"entry,status")
        data[at] = 0xFF
        crc = zipfile.crc32(bytes(data[at : data.index(b"PK\x01\x02")]))
        data[central + 16 : central + 20] = crc.to_bytes(4, "little")
    elif fault == "odd method":
        data[central + 10] = data[first + 10] = 97
    elif fault == "encrypted":
        data[central + 8] |= 1
        data[first + 8] |= 1
    elif fault == "bomb":
        data[first + 24 : first + 28] = (3 << 30).to_bytes(4, "little")
    elif fault == "no columns":
        at = data.index(b"entry,status")
        data[at : at + 5] = b"enter"
        crc = zipfile.crc32(bytes(data[at : data.index(b"PK\x01\x02")]))
        data[central + 16 : central + 20] = crc.to_bytes(4, "little")
    (tmp_path / "letters.zip").write_bytes(data)
    with pytest.raises(CaseStudyError) as told:
        undo(tmp_path / "letters.zip", tmp_path / "tree", progress=False)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "tree").exists()
    if fault == "bomb":  # no more is read than is there
        return
    with pytest.raises(CaseStudyError) as told:
        load_images(tmp_path / "letters.zip", image_size=(8, 8), cache_dir=tmp_path / "cache")
    assert "\n" not in str(told.value)


def test_a_missing_letters_zip_is_said(tmp_path):
    with pytest.raises(ArchiveError, match=r"no letters\.zip"):
        read_ledger(tmp_path / "none.zip")


def test_a_ledger_that_does_not_read_as_written_is_no_success(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr("user_1/A0.png", drawn(1))
    written = Ledger.to_csv
    monkeypatch.setattr(Ledger, "to_csv", lambda ledger: written(ledger).replace("A0.png", "A1.png", 1))
    with pytest.raises(ConservationError, match="does not read as it was written"):
        clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    assert not (tmp_path / "letters.zip").exists()


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_an_entry_that_only_somebody_else_sees_is_no_success(kind, tmp_path, monkeypatch):
    """7-Zip, and a second walk, count what the reading passed over."""
    source = tmp_path / "photos"
    (source / "user_1").mkdir(parents=True)
    for k in range(3):
        (source / "user_1" / f"A{k}.png").write_bytes(drawn(k))
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "photos.zip", "w") as target:
            for path in sorted(source.rglob("*.png")):
                target.write(path, path.relative_to(source))
        source = tmp_path / "photos.zip"
    assert len(clean_archive(source, None, progress=False).rows) == 3
    for reader in (ZipReader, FolderReader):
        names, members = reader.names, reader.members
        monkeypatch.setattr(reader, "names", lambda self, names=names: names(self)[:-1])
        monkeypatch.setattr(reader, "members", lambda self, members=members: itertools.islice(members(self), 2))
    for out in (None, tmp_path / "letters.zip"):
        with pytest.raises(ConservationError, match=r"2 entries of photos.* were read, and .* counts 3"):
            clean_archive(source, out, progress=False)
    assert not (tmp_path / "letters.zip").exists()
