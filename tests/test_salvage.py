"""Salvage: what is sound of a damaged archive is kept, each lost entry has a row, and nothing says "nothing lost"."""

import dataclasses
import hashlib
import io
import random
import re
import struct
import subprocess
import tarfile
import zlib
from pathlib import Path

import pytest
import rarfile

from casestudy.cleaning import decoders
from casestudy.cleaning.archive import iter_members, open_archive
from casestudy.cleaning.ledger import Ledger, LedgerRow
from casestudy.cleaning.rebuild import read_ledger, undo
from casestudy.cleaning.regroup import clean_archive
from casestudy.errors import ArchiveError
from casestudy.runs import recompute

DATA = Path(__file__).parent / "data"
TRUTH = {
    name: digest
    for digest, name in (line.split("  ") for line in (DATA / "members.sha256").read_text("utf-8").splitlines())
}
VERSIONS = ["e53061cc2cc7", "dff1cd1e8597", "9a2400951036", "16e48f474dde"]  # of `unrar p -ver`, by sha256sum


def written(path, data):
    path.write_bytes(data)
    return path


def salvaged(path, **options):
    """Returns (SHA-256 of what was kept, what is lost, the reader)."""
    reader = open_archive(path, salvage=True, **options)
    names = reader.names()
    members = list(reader.members())
    assert [member.name for member in members] == names
    assert not any(member.data for member in members if member.lost)
    kept = {member.name: hashlib.sha256(member.data).hexdigest() for member in members if not member.lost}
    return kept, {member.name: member.lost for member in members if member.lost}, reader


def seven_test(path):
    """Returns the names that 7-Zip's own test complains of."""
    program = next(decoder.program for decoder in decoders.find_decoders() if decoder.kind == "7zip")
    said = subprocess.run([program, "t", "-sccUTF-8", str(path)], capture_output=True, check=False).stderr.decode()
    return set(re.findall(r"^ERROR: [^:\n]+ : (.+)$", said, re.MULTILINE))


@pytest.mark.parametrize("kind", ["solid_rar5", "solid_rar4", "plain_rar5", "plain_rar4", "stored_rar5", "blake2_rar5"])
def test_a_flipped_byte_costs_a_rar_what_fails_its_checksum_and_no_more(kind, tmp_path):
    whole, dice, fewest = (DATA / f"{kind}.rar").read_bytes(), random.Random(3), len(TRUTH)
    for _ in range(25):
        broken = bytearray(whole)
        broken[dice.randrange(60, len(whole) - 30)] ^= 1 << dice.randrange(8)
        path = written(tmp_path / "flipped.rar", broken)
        try:
            list(iter_members(path))
            continue  # a date, say
        except ArchiveError as error:
            assert "--salvage" in str(error)
        kept, lost, reader = salvaged(path)
        assert kept.items() <= TRUTH.items()
        assert lost or reader.incomplete
        if not reader.incomplete:  # the index is whole
            assert set(kept) | set(lost) == set(TRUTH)
            assert set(lost) <= seven_test(path)
        fewest = min(fewest, len(lost) or fewest)
    assert fewest == 1


@pytest.mark.parametrize("kind", ["solid_rar5", "solid_rar4", "plain_rar5", "stored_rar5"])
def test_of_a_rar_that_is_cut_the_beginning_is_kept(kind, tmp_path):
    whole = (DATA / f"{kind}.rar").read_bytes()
    before = -1
    for share in (0.3, 0.6, 0.9):
        path = written(tmp_path / "cut.rar", whole[: int(share * len(whole))])
        with pytest.raises(ArchiveError, match="--salvage"):
            list(iter_members(path))
        kept, lost, reader = salvaged(path)
        assert kept.items() <= TRUTH.items()
        assert len(kept) > before
        assert len(lost) <= 1  # the one that the cut went through
        assert reader.incomplete
        assert "cut short" in reader.remarks[0]
        before = len(kept)


@pytest.mark.parametrize("kind", ["plain_rar5", "plain_rar4", "stored_rar5"])
def test_behind_a_broken_header_the_next_is_found(kind, tmp_path):
    whole = bytearray((DATA / f"{kind}.rar").read_bytes())
    with rarfile.RarFile(DATA / f"{kind}.rar") as index:
        whole[index.infolist()[5].header_offset + 12] ^= 1
    path = written(tmp_path / "header.rar", whole)
    with pytest.raises(ArchiveError, match="--salvage"):
        list(iter_members(path))
    kept, lost, reader = salvaged(path)
    assert kept.items() <= TRUTH.items()
    assert len(kept) == len(TRUTH) - 1
    assert lost == {}
    assert reader.incomplete
    assert "cannot be told any more" in reader.remarks[0]


def test_of_parts_that_are_missing_the_rest_is_kept(tmp_path):
    for number in (1, 2):
        written(tmp_path / f"volumes.part{number}.rar", (DATA / f"volumes.part{number}.rar").read_bytes())
    kept, _, reader = salvaged(tmp_path / "volumes.part1.rar")
    assert kept
    assert kept.items() <= TRUTH.items()
    assert reader.incomplete
    assert "next part" in reader.remarks[0]


def test_an_encrypted_rar_is_salvaged_with_its_password(tmp_path):
    whole = bytearray((DATA / "encrypted_rar5.rar").read_bytes())
    with rarfile.RarFile(str(DATA / "encrypted_rar5.rar")) as index:
        whole[index.infolist()[3].data_offset + 5] ^= 1
    path = written(tmp_path / "flipped.rar", whole)
    kept, lost, _ = salvaged(path, password="secret")
    assert kept.items() <= TRUTH.items()
    assert lost
    assert set(kept) | set(lost) == set(TRUTH)
    with pytest.raises(ArchiveError, match="password"):
        salvaged(path, password="wrong")
    with pytest.raises(ArchiveError, match="--password"):
        salvaged(path)


def draw_rar4(files, *, end=True, flags=0x8000):
    """A RAR4 of stored files, written by hand after the format's description."""

    def block(header):
        return struct.pack("<H", zlib.crc32(header) & 0xFFFF) + header

    body = b"Rar!\x1a\x07\x00" + block(struct.pack("<BHH6x", 0x73, 0, 13))
    for name, data in files.items():
        sizes = struct.pack("<LLBL", len(data), len(data), 3, zlib.crc32(data))
        rest = struct.pack("<LBBHL", 0x21, 29, 0x30, len(name), 0o100644)
        head = struct.pack("<BHH", 0x74, flags, 32 + len(name)) + sizes + rest
        body += block(head + name.encode()) + data
    return body + (block(struct.pack("<BHH", 0x7B, 0x4000, 7)) if end else b"")


RAR4 = {f"user_{k % 2}\\A{k}.jpg": random.Random(k).randbytes(300 + k) for k in range(6)}


def test_a_rar4_needs_no_end_mark_but_a_last_file_that_is_whole(tmp_path):
    expected = {name.replace("\\", "/"): data for name, data in RAR4.items()}
    for end in (True, False):
        reader = open_archive(written(tmp_path / "a.rar", draw_rar4(RAR4, end=end)))
        assert {member.name: member.data for member in reader.members()} == expected
        assert ("no end mark" in "".join(reader.remarks)) is not end
    whole = draw_rar4(RAR4, end=False)
    for cut in (1, 200, len(RAR4["user_1\\A5.jpg"]) + 10):  # in the bytes of the last file, and in its header
        path = written(tmp_path / "a.rar", whole[:-cut])
        with pytest.raises(ArchiveError, match="--salvage"):
            list(iter_members(path))
        kept, lost, _ = salvaged(path)
        assert len(kept) == 5
        assert set(lost) <= {"user_1/A5.jpg"}


def test_earlier_versions_of_a_file_are_entries(tmp_path):
    found = [(member.name, member.data) for member in iter_members(DATA / "versions_rar5.rar")]
    assert [name for name, _ in found] == ["a.bin;1", "b.bin;1", "a.bin", "b.bin"]  # as `unrar l -ver` lists them
    assert [hashlib.sha256(data).hexdigest()[:12] for _, data in found] == VERSIONS
    old, new = {"a.jpg;1": b"old" * 50}, {"a.jpg": b"new" * 50}
    one, two = draw_rar4(old, end=False, flags=0x8800), draw_rar4(new)
    path = written(tmp_path / "v4.rar", one + two[20:])
    assert {member.name: member.data for member in iter_members(path)} == old | new


def test_another_rar_behind_the_end_is_not_dropped_in_silence(tmp_path):
    whole = (DATA / "plain_rar5.rar").read_bytes()
    with pytest.raises(ArchiveError, match="another RAR behind its end"):
        list(iter_members(written(tmp_path / "two.rar", whole + whole)))
    reader = open_archive(written(tmp_path / "tail.rar", whole + b"more"))
    assert len(list(reader.members())) == len(TRUTH)
    assert reader.remarks == ["4 bytes behind its end belong to no entry"]
    reader = open_archive(written(tmp_path / "padded.rar", whole + bytes(700)))
    assert len(list(reader.members())) == len(TRUTH)
    assert reader.remarks == []


FILES = {f"user_{k % 3}/A{k}.jpg": random.Random(k).randbytes(700 + 90 * k) for k in range(9)}


def tarred(files=FILES, mode="w", **options):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, **options) as target:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return file.getvalue()


def test_of_a_tar_what_precedes_the_damage_and_what_follows_it_is_kept(tmp_path):
    whole = tarred()
    header = whole.index(b"user_1/A4.jpg")
    broken = bytearray(whole)
    broken[header + 3] ^= 1
    path = written(tmp_path / "header.tar", broken)
    with pytest.raises(ArchiveError, match=r"is broken.*--salvage"):
        list(iter_members(path))
    reader = open_archive(path, salvage=True)
    found = {member.name: member.data for member in reader.members()}
    assert found == {name: data for name, data in FILES.items() if name != "user_1/A4.jpg"}
    assert reader.incomplete
    kept, lost, reader = salvaged(written(tmp_path / "cut.tar", whole[: header + 600]))
    assert list(kept) == list(FILES)[:4]
    assert list(lost) == ["user_1/A4.jpg"]
    assert reader.incomplete


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_of_a_compressed_tar_what_precedes_the_damage_is_kept(mode, tmp_path):
    files = {f"{k}.bin": random.Random(k).randbytes(20_000) for k in range(10)}
    whole = tarred(files, mode)
    path = written(tmp_path / "cut.bin", whole[: len(whole) * 6 // 10])
    with pytest.raises(ArchiveError, match="--salvage"):
        list(iter_members(path))
    members = [member for member in iter_members(path, salvage=True) if not member.lost]
    assert 4 <= len(members) <= 6
    assert all(files[member.name] == member.data for member in members)


def photographs():
    from PIL import Image

    found = {}
    for person in ("user_3", "user_4"):
        for label in "ABC":
            file = io.BytesIO()
            Image.frombytes("RGB", (24, 24), random.Random(person + label).randbytes(1728)).save(file, "PNG")
            found[f"{person}\\{label}0.png"] = file.getvalue()
    return found


def test_a_ledger_says_what_is_missing_by_person_and_letter(tmp_path):
    files = photographs()
    whole = bytearray(draw_rar4(files | {"notes.txt": b"some notes"}))
    for name in ("user_3\\B0.png", "user_4\\C0.png"):
        whole[whole.index(files[name]) + 60] ^= 1
    whole[whole.index(b"some notes")] ^= 1
    source, out = written(tmp_path / "a.rar", whole), tmp_path / "letters.zip"
    with pytest.raises(ArchiveError, match="--salvage"):
        clean_archive(source, out, progress=False)
    assert not out.exists()
    ledger = clean_archive(source, out, salvage=True, progress=False)
    lost = {row.entry: row for row in ledger.rows if row.status == "lost"}
    assert set(lost) == {"user_3/B0.png", "user_4/C0.png", "notes.txt"}
    for row in lost.values():
        assert (row.stored_as, row.sha256, row.bytes) == ("", "", 0)
        assert row.reason == "fails its checksum"
    summary = ledger.summary()
    assert "7 entries in, 7 rows out: 3 entries lost" in summary
    assert "nothing lost" not in summary
    assert "lost of user_3: B" in summary
    assert "lost of user_4: C" in summary
    assert "lost: notes.txt (fails its checksum)" in summary
    assert read_ledger(out) == ledger
    assert ledger.to_json()["counts"]["lost"] == 3
    undo(out, tmp_path / "again", progress=False)
    there = {path.relative_to(tmp_path / "again").as_posix() for path in (tmp_path / "again").rglob("*.*")}
    assert there == {name.replace("\\", "/") for name in files} - set(lost)
    rows = [dataclasses.asdict(row) for row in ledger.rows]
    assert recompute.lost_entries(out, rows) == []
    rows[0] |= {"sha256": "0" * 64}
    assert recompute.lost_entries(out, rows) == ["user_3/A0.png"]
    assert clean_archive(source, out, salvage=True, progress=False) == ledger  # the same bytes


def test_with_salvage_a_whole_archive_gives_the_same_zip(tmp_path):
    source = written(tmp_path / "a.rar", draw_rar4(photographs()))
    clean_archive(source, tmp_path / "one.zip", progress=False)
    ledger = clean_archive(source, tmp_path / "two.zip", salvage=True, progress=False)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert "nothing lost" in ledger.summary()


def test_what_nothing_lists_any_more_is_never_called_nothing():
    rows = (LedgerRow("user_3/A0.png", "kept", "A/x.png", signer="user_3", label="A"),)
    summary = Ledger(rows, ("it is cut short",), incomplete=True).summary()
    assert "nothing lost" not in summary
    assert "  ! it is cut short" in summary
