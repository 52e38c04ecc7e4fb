"""Archives and zips with bytes changed by chance: one clear line, or every entry accounted for; never a traceback.

CASESTUDY_FUZZ=20000 python SCRIPTS/test.py tests/test_fuzz.py      # so many in all; 480 without
"""

import hashlib
import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from casestudy.cleaning.ledger import Ledger
from casestudy.cleaning.rebuild import undo
from casestudy.cleaning.regroup import clean_archive
from casestudy.data import load_images
from casestudy.errors import CaseStudyError

DATA = Path(__file__).parent / "data"
EACH = int(os.environ.get("CASESTUDY_FUZZ", "480")) // 12


def picture(number):
    stream = io.BytesIO()
    Image.effect_noise((24, 24), 40 + number).save(stream, "PNG" if number % 3 else "JPEG")
    return stream.getvalue()


FILES = {f"user_{k % 3}/{'ABC'[k % 4 % 3]}{k}.{'png' if k % 3 else 'jpg'}": picture(k) for k in range(9)}
FILES["user_1/ü notes.txt"] = b"a note\n" * 20


def as_zip(method):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as target:
        for name, data in FILES.items():
            target.writestr(name, data)
    return stream.getvalue()


def as_tar(mode):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as target:
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return stream.getvalue()


KINDS = {
    "stored.zip": lambda: as_zip(zipfile.ZIP_STORED),
    "deflated.zip": lambda: as_zip(zipfile.ZIP_DEFLATED),
    "plain.tar": lambda: as_tar("w:"),
    "gzip.tar.gz": lambda: as_tar("w:gz"),
    "xz.tar.xz": lambda: as_tar("w:xz"),
    **{f"{name}.rar": (DATA / f"{name}.rar").read_bytes for name in ("solid_rar5", "plain_rar4", "stored_rar5")},
}
KEEPS_CHECKSUMS = [kind for kind in KINDS if kind != "plain.tar"]


def changed(data, chance):
    """The bytes with some of them flipped, cut off, cut out, put in or written twice."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        start = chance.randrange(len(data) + 1)
        start = chance.choice((start, max(len(data) - chance.randrange(1, 200), 0)))  # indexes lie at the end
        length = chance.choice((1, 2, 4, 16, 200))
        match chance.randrange(6):
            case 0 | 1 | 2:
                for k in range(start, min(start + chance.choice((1, 1, 2)), len(data))):
                    data[k] ^= 1 << chance.randrange(8)
            case 3:
                data[start : chance.choice((start + length, len(data)))] = b""
            case 4:
                data[start:start] = chance.randbytes(length)
            case 5:
                data[start:start] = data[start : start + length]
    return bytes(data) or b"\0"


def in_one_line(error):
    text = str(error)
    assert text.strip() and "\n" not in text and "\r" not in text, text
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text), repr(text)


@pytest.mark.parametrize("salvage", [False, True], ids=["", "salvage"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_archive_is_refused_in_a_line_or_accounted_for(kind, salvage, tmp_path):
    whole = KINDS[kind]()
    (tmp_path / kind).write_bytes(whole)
    truth = clean_archive(tmp_path / kind, None, progress=False)
    digests = {row.sha256 for row in truth.rows}
    chance = random.Random(f"{kind} {salvage}")
    for number in range(EACH // 2):
        room = tmp_path / str(number)
        room.mkdir()
        archive, letters = room / kind, room / "letters.zip"
        archive.write_bytes(changed(whole, chance))
        try:
            ledger = clean_archive(archive, letters, salvage=salvage, progress=False)
        except CaseStudyError as error:
            in_one_line(error)
            assert sorted(path.name for path in room.iterdir()) == [kind]
            continue
        with zipfile.ZipFile(letters) as made:
            assert Ledger.from_csv(made.read("ledger.csv").decode()) == ledger
            names = {row.stored_as for row in ledger.rows if row.status != "lost"}
            assert names == set(made.namelist()) - {"boxes.csv", "ledger.csv"}
            for row in ledger.rows:
                if row.status != "lost":
                    assert hashlib.sha256(made.read(row.stored_as)).hexdigest() == row.sha256
        if kind in KEEPS_CHECKSUMS and not (salvage and ".tar" in kind):  # whose one checksum stands at its end
            assert {row.sha256 for row in ledger.rows if row.status != "lost"} <= digests
            assert salvage or len(ledger.rows) == len(truth.rows)
        undo(letters, room / "tree", progress=False)
        files = [path for path in (room / "tree").rglob("*") if path.is_file()]
        assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in files} >= {
            row.sha256 for row in ledger.rows if row.status != "lost"
        }
        load_images(letters, image_size=(8, 8), cache_dir=room / "cache")


def test_a_changed_letters_zip_is_refused_in_a_line_or_read(tmp_path):
    (tmp_path / "a.zip").write_bytes(as_zip(zipfile.ZIP_STORED))
    clean_archive(tmp_path / "a.zip", tmp_path / "letters.zip", progress=False)
    whole, chance = (tmp_path / "letters.zip").read_bytes(), random.Random(7)
    for number in range(4 * EACH):
        letters = tmp_path / "changed.zip"
        letters.write_bytes(changed(whole, chance))
        for use in (
            lambda: undo(letters, tmp_path / f"tree{number}", progress=False),  # noqa: B023
            lambda: load_images(letters, image_size=(8, 8), cache_dir=tmp_path / f"cache{number}"),  # noqa: B023
        ):
            try:
                use()
            except CaseStudyError as error:
                in_one_line(error)
