"""What cleaning writes: names for every system, a ledger that reads as it was written, and nothing half done."""

import csv
import errno
import hashlib
import io
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
import unicodedata
import zipfile
from functools import cache
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from casestudy.cleaning import counting, shards
from casestudy.cleaning.archive import FolderReader
from casestudy.cleaning.counting import sum_up
from casestudy.cleaning.errors import ArchiveError, CaseStudyError, ConservationError
from casestudy.cleaning.files import atomic_folder, atomic_path, reserve
from casestudy.cleaning.ledger import Ledger, LedgerRow
from casestudy.cleaning.members import readable
from casestudy.cleaning.rebuild import plan, read_ledger, undo
from casestudy.cleaning.regroup import clean_archive
from casestudy.cleaning.stored_names import UniqueNames, clean_part, clean_path
from casestudy.cleaning.words import printable
from casestudy.cleaning.zips import ZipReader
from casestudy.data import load_images
from casestudy.data.image_set import write_pixels

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


@cache  # the noise is another one each time
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


def test_what_is_said_on_the_way_is_no_command_to_a_terminal(tmp_path):
    """Of a name that reaches a message, and of a path that cannot be read."""
    code = "import logging, sys; from casestudy.cli import commands\n"
    code += "def call(args):\n logging.warning('of %s\\nand more', 'a\\x1b[2Jb'); raise OSError(5, 'no', 'c\\x1bd')\n"
    code += "commands._doctor = call; sys.exit(commands.main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    first, second, last = done.stderr.splitlines()
    assert (first, second, done.returncode) == ("of a\\x1b[2Jb", "and more", 2)
    assert "c\\x1bd" in last and "\x1b" not in last


def test_names_are_cut_with_their_ending_and_stay_apart():
    one, other = clean_part("手" * 100 + "1.jpg"), clean_part("手" * 100 + "2.jpg")
    assert one != other and one.endswith(".jpg") and len(one.encode()) <= 200
    names = UniqueNames()
    assert [names.claim(name) for name in ("_sidecar/x", "_sidecar/x/y", "_sidecar/x/z")] == [
        *("_sidecar/x", "_sidecar/x~2/y", "_sidecar/x~2/z"),
    ]
    assert len(clean_path("a" * 300 + "/" + "b" * 300 + ".txt")) <= 240
    place = UniqueNames().claim(f"{'l' * 69}/{'x' * 136}.png")  # of a label that is a sentence
    assert len(place) == 200 and place.startswith("l" * 69 + "/x") and place.endswith(".png")


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
    with pytest.raises(CaseStudyError, match="No space left"):  # room for the pixels, none for the header before them
        write_pixels(small_disk / "images-1.npy", (1, 512, 512, 1), [np.ones((1, 512, 512, 1), np.uint8)])
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


@pytest.mark.parametrize(
    "fault", [lambda lines: (line.replace("A0", "A1", 1) for line in lines), lambda lines: lines[:-1]]
)
def test_a_ledger_that_does_not_read_as_written_is_no_success(tmp_path, monkeypatch, fault):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr("user_1/A0.png", drawn(1))
    written = Ledger.csv_lines
    monkeypatch.setattr(Ledger, "csv_lines", lambda ledger: fault(list(written(ledger))))
    with pytest.raises(ConservationError, match="does not read as it was written"):
        clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    assert not (tmp_path / "letters.zip").exists()


@pytest.mark.parametrize("length", [120, 132, 133, 150, 230, 255])
def test_a_long_name_finds_room_under_its_label_and_beside_its_like(length, tmp_path):
    names = [f"user_1/A/{'x' * (length - 5)}{k}.png" for k in range(2)] + [f"user_1/A/{'X' * (length - 5)}0.png"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        for k, name in enumerate(names):
            target.writestr(name, drawn(k))
    ledger = clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    places = [row.stored_as for row in ledger.rows]
    assert len({place.casefold() for place in places}) == 3
    assert all(
        place.lower().startswith("a/user_1__x") and place.endswith(".png") and len(place) <= 205 for place in places
    )
    noted = [bool(row.note) for row in ledger.rows]
    assert noted == [length > 132] * 3  # user_1__ and the name have 140 bytes at the most
    assert undo(tmp_path / "letters.zip", tmp_path / "tree", progress=False) == {}
    assert all((tmp_path / "tree" / name).read_bytes() == drawn(k) for k, name in enumerate(names))


def test_labels_that_no_windows_folder_can_have_are_stored_elsewhere_and_stay_labels(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr("user_1/A/NUL.png", drawn(1))
        target.writestr("user_2/A/x\u2028\u202ey\u200b.png", drawn(2))
    ledger = clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    assert [row.stored_as for row in ledger.rows] == ["A/user_1__NUL.png", "A/user_2__x__y_.png"]
    assert [row.note for row in ledger.rows] == ["", "stored under a name that every system takes"]
    assert UniqueNames().claim("con/x.png") == "con_/x.png"
    joined = UniqueNames()
    assert joined.claim("A/نیم\u200cفاصله") != joined.claim("A/نیمفاصله") == "A/نیمفاصله~2"  # one name for some disks


def test_a_tree_that_undo_made_is_cleaned_and_undone_again(tmp_path):
    """What is called _set_aside there are entries as any other: none is overwritten, none gets another name."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        for k, name in enumerate(("../A0.png", "user_1/A1.png", "_set_aside/list.csv", "_set_aside/._/A0.png")):
            target.writestr(name, drawn(k) if name.endswith("png") else b"my own list")
    ledger = clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    set_aside = undo(tmp_path / "letters.zip", tmp_path / "tree", progress=False)
    assert list(set_aside) == ["../A0.png"]
    for row in ledger.rows:
        there = tmp_path / "tree" / set_aside.get(row.entry, row.entry)
        assert hashlib.sha256(there.read_bytes()).hexdigest() == row.sha256
    files = [path for path in (tmp_path / "tree").rglob("*") if path.is_file()]
    assert len(files) == len(ledger.rows) + 1


def test_each_entry_is_planned_a_place_of_its_own_on_every_system():
    entries = [*ODD, *ODD, "_set_aside/list.csv", "a//b", "a/b", "/etc/passwd", "../../x", "USER_1/a0.JPG"]
    for windows in (False, True):
        places = plan(entries, windows=windows)
        assert len({place.casefold() if windows else place for place in places}) == len(entries)
        folders = {place[:k] for place in places for k, letter in enumerate(place) if letter == "/"}
        assert not folders & set(places)
        assert not any({"", ".", ".."} & set(place.split("/")) for place in places)
    assert plan(["a//b", "./c", "d/./e", "/f"], windows=False) == ["a/b", "c", "d/e", "_set_aside/f"]
    assert plan(["A.jpg", "a.jpg", "nul.jpg"], windows=True) == ["A.jpg", "_set_aside/a.jpg", "_set_aside/nul_.jpg"]


def test_names_that_the_file_system_refuses_are_set_aside(tmp_path, monkeypatch):
    """As where case tells no names apart, or paths are shorter than planned."""
    opened = Path.open

    def picky(path, mode="r", *more, **options):
        if mode in ("xb", "wb"):
            path = path.with_name(path.name.lower())
            if len(path.name) > 30:
                raise OSError(errno.ENAMETOOLONG, "refused", str(path))
        return opened(path, mode, *more, **options)

    long = f"user_1/A/{'y' * 40}.png"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        for k, name in enumerate(("user_1/A1.png", "user_1/a1.png", long)):
            target.writestr(name, drawn(k))
    clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    monkeypatch.setattr(Path, "open", picky)
    set_aside = undo(tmp_path / "letters.zip", tmp_path / "tree", progress=False)
    assert set_aside == {"user_1/a1.png": "_set_aside/user_1/a1.png", long: "_set_aside/entry"}
    for k, place in enumerate(("user_1/a1.png", "_set_aside/user_1/a1.png", "_set_aside/entry")):
        assert (tmp_path / "tree" / place).read_bytes() == drawn(k)


@pytest.mark.parametrize("counts", [1, 3])
def test_somebody_else_counts_the_entries(counts, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        for k in range(2):
            target.writestr(f"user_1/A{k}.png", drawn(k))
    assert sum_up(tmp_path / "a.zip", None) == ("7-Zip", 2, len(drawn(0)) + len(drawn(1)))
    monkeypatch.setattr(counting, "sum_up", lambda path, password: counting.Sum("Somebody", counts, 1))
    with pytest.raises(ConservationError, match=f"2 entries of a.zip were read, and Somebody counts {counts}"):
        clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert len(clean_archive(tmp_path / "a.zip", None, salvage=True, progress=False).rows) == 2  # of 2


def test_each_of_several_archives_and_of_archives_inside_is_counted_by_itself(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as target:
        for k in range(3):
            target.writestr(f"A{k}.png", drawn(k))
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as target:
        target.writestr("user_1.zip", inner.getvalue())
        target.writestr("user_2/A0.png", drawn(7))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as target:
        target.writestr("user_3/A0.png", drawn(8))
    archives = [tmp_path / "outer.zip", tmp_path / "more.zip"]
    ledger = clean_archive(archives, tmp_path / "letters.zip", progress=False)
    assert len(ledger.rows) == 2 + 3 + 1
    assert undo(tmp_path / "letters.zip", tmp_path / "tree", progress=False) == {}
    assert (tmp_path / "tree/outer.zip/user_1.zip").read_bytes() == inner.getvalue()


def test_a_folder_that_changes_while_it_is_read_is_noticed(tmp_path, monkeypatch):
    folder = tmp_path / "photos" / "user_1"
    folder.mkdir(parents=True)
    for k in range(3):
        (folder / f"A{k}.png").write_bytes(drawn(k))
    members = FolderReader.members

    def read_and_add(reader):
        for member in members(reader):
            (folder / "late.png").write_bytes(drawn(9))
            yield member

    assert clean_archive(tmp_path / "photos", None, progress=False).counts()["kept"] == 3
    monkeypatch.setattr(FolderReader, "members", read_and_add)
    with pytest.raises(ConservationError, match=r"3 entries of photos were read, and a second walk counts 4"):
        clean_archive(tmp_path / "photos", tmp_path / "letters.zip", progress=False)


def test_a_picture_that_training_cannot_load_is_no_success(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr("user_1/A0.png", drawn(1))
        target.writestr("user_1/A1.png", drawn(2)[:-30])
    kinds = clean_archive(tmp_path / "a.zip", None, progress=False).counts()
    assert (kinds["kept"], kinds["corrupt"]) == (1, 1)
    sound = shards.screen(drawn(1))
    monkeypatch.setattr(shards, "screen", lambda data: sound)
    with pytest.raises(ConservationError, match=r"A1\.png \(user_1/A1\.png\) was found sound, and cannot be loaded"):
        clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    assert not (tmp_path / "letters.zip").exists()


@pytest.mark.parametrize(
    "giant", ["ledger.csv", "boxes.csv", "A/user_1__A0.png", "A/user_1__A0.png in the ledger, too"]
)
def test_a_letters_zip_that_would_fill_the_memory_is_refused(giant, tmp_path, write_letters, monkeypatch):
    """Of a letters.zip that somebody handed on, a file of which says that it unpacks to 3 GB."""
    row = {"entry": "user_1/A0.png", "stored_as": "A/user_1__A0.png", "label": "A", "signer": "user_1"}
    handed = write_letters(tmp_path / "handed.zip", [{**row, "data": drawn(1)}], {row["stored_as"]: (1, 1, 9, 9)})
    with zipfile.ZipFile(handed) as source:
        contents = {info.filename: source.read(info) for info in source.infolist()}
    name, _, too = giant.partition(" ")
    if too:
        said = contents["ledger.csv"].replace(b",%d," % len(drawn(1)), b",%d," % (3 << 30))
        assert said != contents["ledger.csv"]
        contents["ledger.csv"] = said
    with zipfile.ZipFile(handed, "w") as target:
        for one, data in contents.items():
            target.writestr(one, data)
    data = bytearray(handed.read_bytes())
    index = data.index(name.encode(), data.index(b"PK\x01\x02")) - 46
    data[index + 24 : index + 28] = (3 << 30).to_bytes(4, "little")
    handed.write_bytes(data)
    read = zipfile.ZipFile.read

    def small(archive, one, *more):
        assert archive.getinfo(one).file_size < 1 << 30, "it would have been unpacked"
        return read(archive, one, *more)

    monkeypatch.setattr(zipfile.ZipFile, "read", small)
    if name != "boxes.csv":  # which --undo does not need
        with pytest.raises(CaseStudyError):
            undo(handed, tmp_path / "tree", progress=False)
    with pytest.raises(CaseStudyError, match="bytes, allowed are"):
        load_images(handed, image_size=(8, 8), cache_dir=tmp_path / "cache")
    assert not (tmp_path / "tree").exists()


@pytest.mark.skipif(os.name == "nt", reason="no process numbers of the dead")
def test_the_number_of_a_dead_process_may_be_that_of_a_living_one(tmp_path):
    """As in containers, where numbers begin anew; and a machine that is not heard of any more leaves nothing either."""
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with atomic_path(tmp_path / "letters.zip") as partial:
        partial.write_text("x")
        old = partial.name.replace(f"-{os.getpid()}.", f"-{sleeper.pid}.")
        elsewhere = re.sub(r"\w{6}-\d+", "abcdef-12", partial.name)
    for name, age in ((old, 3600), (elsewhere, 90_000), (elsewhere.replace("12", "13"), 600)):
        (tmp_path / name).write_text("left")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with atomic_path(tmp_path / "letters.zip") as partial:
        partial.write_text("y")
    left = {path.name for path in tmp_path.iterdir()} - {"letters.zip"}
    assert left == {elsewhere.replace("12", "13")} | (set() if sys.platform == "linux" else {old})
    mine = tmp_path / f".tree.{partial.name.split('.')[2]}.tmp"
    (mine / "half").mkdir(parents=True)  # of a dead process with the number of this one
    with atomic_folder(tmp_path / "tree") as folder:
        assert list(folder.iterdir()) == []
    sleeper.communicate(b"\n")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_process_whose_end_nobody_asked_about_is_dead(tmp_path):
    code = "import os, sys; from pathlib import Path; from casestudy.cleaning.files import atomic_path\n"
    code += "with atomic_path(Path(sys.argv[1])) as partial:\n partial.write_text('x'); os._exit(9)\n"
    zombie = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.zip")], cwd=ROOT)
    while Path(f"/proc/{zombie.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.05)
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_path(tmp_path / "a.zip") as partial:
        partial.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    zombie.wait()


def test_a_mapped_file_has_room_for_its_last_byte(tmp_path, monkeypatch):
    reserved = []
    monkeypatch.setattr(os, "posix_fallocate", lambda file, start, size: reserved.append(start + size))
    target = tmp_path / "images-1.npy"
    left = tmp_path / ".images-2.abcdef-1.tmp.npy"  # of another setting, by a machine long gone
    left.write_bytes(b"left")
    os.utime(left, (1, 1))
    write_pixels(target, (1, 64, 64, 1), [np.zeros((1, 64, 64, 1), np.uint8)])
    assert reserved == [target.stat().st_size]
    assert [path.name for path in tmp_path.iterdir()] == ["images-1.npy"]


def test_room_is_reserved_for_what_the_archive_holds_not_for_what_it_packs_it_to(tmp_path, monkeypatch):
    asked = []

    def full(file, start, size):
        asked.append(size)
        raise OSError(errno.ENOSPC, "No space left on device")

    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("user_1/A0.png", drawn(1))
        target.writestr("user_1/A1.bmp", bytes(3_000_000))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CaseStudyError, match=r"it needs some 3\.0 MB, and [\d,.]+ MB are free\. Make room"):
        clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    assert 3_000_000 < asked[0] < 3_010_000
    monkeypatch.setattr(counting, "sum_up", lambda path, password: counting.Sum("7-Zip", 2, 1 << 60))  # a damaged size
    assert counting.space_for(tmp_path / "a.zip", None) == (tmp_path / "a.zip").stat().st_size


def test_what_is_unreadable_in_a_name_is_an_escape():
    assert readable("a\0b\udcff\ud800é") == "a%00b%FF%D800é"


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
