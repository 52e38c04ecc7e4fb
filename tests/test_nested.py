"""Archives inside archives, and several in one call: every entry is a row, and --undo gives back what was."""

import hashlib
import io
import random
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from casestudy.cleaning import nested
from casestudy.cleaning.archive import iter_members, open_archive
from casestudy.cleaning.command import add_clean_command, run_clean
from casestudy.cleaning.rebuild import read_ledger, undo
from casestudy.cleaning.regroup import clean_archive
from casestudy.errors import ArchiveError, CaseStudyError

DATA = Path(__file__).parent / "data"
TRUTH = [line.split("  ")[1] for line in (DATA / "members.sha256").read_text("utf-8").splitlines()]
DEEPEST = 3  # archives inside one another, as the brief for users says


def noise(seed, size=24):
    """A photograph of noise: no two are alike."""
    file = io.BytesIO()
    Image.frombytes("RGB", (size, size), random.Random(seed).randbytes(3 * size * size)).save(file, "PNG")
    return file.getvalue()


def person(seed):
    return {f"{label}{k}.png": noise(f"{seed}{label}{k}") for label in "ABC" for k in range(2)}


def zipped(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return file.getvalue()


def tarred(files, mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as target:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return file.getvalue()


def written(path, data):
    path.write_bytes(data)
    return path


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path):
    reader = open_archive(path)
    names = reader.names()
    members = list(reader.members())
    assert [member.name for member in members] == names
    return members, reader


PEOPLE = {"user_1.zip": zipped(person(1)), "user_2.tar": tarred(person(2)), "user_3.tar.gz": tarred(person(3), "w:gz")}


@pytest.mark.parametrize("outer", ["zip", "tar", "folder"])
def test_one_archive_a_person_gives_every_entry_a_row_and_comes_back(tmp_path, outer):
    files = PEOPLE | {"user_4/A0.png": noise("4A0"), "notes.txt": b"hello", "report.docx": zipped({"a.xml": b"<a/>"})}
    if outer == "folder":
        source = tmp_path / "people"
        for name, data in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
    else:
        source = written(tmp_path / f"all.{outer}", (zipped if outer == "zip" else tarred)(files))
    ledger = clean_archive(source, tmp_path / "letters.zip", progress=False)
    inner = {f"{name}/{entry}" for k, name in enumerate(PEOPLE, start=1) for entry in person(k)}
    assert {row.entry for row in ledger.rows} == set(files) | inner
    status = {row.entry: row.status for row in ledger.rows}
    assert {status[name] for name in PEOPLE} == {"archive"}
    assert {status[name] for name in inner} == {"kept"}
    assert status["report.docx"] == status["notes.txt"] == "sidecar"
    order = [row.entry for row in ledger.rows]
    at = order.index("user_2.tar")
    assert order[at + 1 : at + 7] == [f"user_2.tar/{name}" for name in person(2)]
    assert "nothing lost" in ledger.summary()
    assert undo(tmp_path / "letters.zip", tmp_path / "again", progress=False) == {}
    assert tree(tmp_path / "again") == files


def test_a_rar_inside_is_read_by_a_decoder(tmp_path):
    rar = (DATA / "solid_rar5.rar").read_bytes()
    members, _ = read(written(tmp_path / "a.zip", zipped({"x/user_9.rar": rar})))
    assert members[0].opened
    assert members[0].data == rar
    assert sorted(member.name for member in members[1:]) == sorted(f"x/user_9.rar/{name}" for name in TRUTH)


def test_archives_are_opened_three_deep(tmp_path):
    data = zipped({"A0.png": noise("deep")})
    for depth in range(DEEPEST + 1, 0, -1):
        data = zipped({f"{depth}.zip": data})
    members, reader = read(written(tmp_path / "a.zip", data))
    path = ["1.zip", "2.zip", "3.zip", "4.zip"]
    assert [member.name for member in members] == ["/".join(path[:k]) for k in range(1, 5)]
    assert [member.opened for member in members] == [True, True, True, False]
    assert members[-1].note == "not opened: it lies more than 3 archives deep"
    assert any("3 archives deep" in remark for remark in reader.remarks)


def test_what_cannot_be_opened_stays_an_entry_and_all_else_goes_on(tmp_path):
    sound = PEOPLE["user_1.zip"]
    broken = bytearray(PEOPLE["user_3.tar.gz"])
    broken[len(broken) // 2] ^= 0x55
    files = {
        "cut.zip": sound[:-40],
        "flipped.tar.gz": bytes(broken),
        "secret.rar": (DATA / "encrypted_rar5.rar").read_bytes(),
        "page.rar": b"<html>gone</html>",
        "user_1.zip": sound,
    }
    ledger = clean_archive(written(tmp_path / "a.zip", zipped(files)), tmp_path / "letters.zip", progress=False)
    rows = {row.entry: row for row in ledger.rows}
    assert len(rows) == len(files) + len(person(1))
    notes = {name: (rows[name].status, rows[name].note) for name in files}
    assert notes.pop("user_1.zip") == ("archive", "")
    assert notes.pop("secret.rar") == ("sidecar", "not opened: encrypted, and no password given opens it")
    assert set(notes.values()) == {("sidecar", "not opened: damaged or incomplete")}
    assert "cut.zip was not opened: " in ledger.summary()
    undo(tmp_path / "letters.zip", tmp_path / "again", progress=False)
    assert tree(tmp_path / "again") == files


def test_the_password_is_for_inner_archives_too(tmp_path):
    outer = written(tmp_path / "a.tar", tarred({"secret.rar": (DATA / "encrypted_rar5.rar").read_bytes()}))
    names = [member.name for member in iter_members(outer, password="secret")]
    assert sorted(names) == sorted(["secret.rar", *(f"secret.rar/{name}" for name in TRUTH)])


def test_with_salvage_a_damaged_inner_archive_is_opened_too(tmp_path):
    whole = bytearray(zipped(dict.fromkeys(("A0.bin", "B0.bin"), b"") | {"C0.bin": b"c" * 50}))
    files = {"A0.bin": b"a" * 90, "B0.bin": random.Random(0).randbytes(90)}
    whole = bytearray(zipped(files))
    whole[whole.index(files["B0.bin"][:20]) + 30] ^= 1
    outer = written(tmp_path / "a.zip", zipped({"in.zip": bytes(whole)}))
    assert [member.opened for member in iter_members(outer)] == [False]
    members = list(iter_members(outer, salvage=True))
    assert [(member.name, bool(member.lost)) for member in members] == [
        ("in.zip", False),
        ("in.zip/A0.bin", False),
        ("in.zip/B0.bin", True),
    ]
    assert members[0].data == bytes(whole)


def test_a_bomb_stays_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(nested, "_SMALL", 1 << 20)
    bomb = tarred({f"{k}.bin": bytes(1 << 20) for k in range(8)}, "w:xz")
    assert len(bomb) * 200 < 8 << 20
    outer = written(tmp_path / "a.zip", zipped({"bomb.tar.xz": bomb, "user_1.zip": PEOPLE["user_1.zip"]}))
    members, _ = read(outer)
    assert [member.name for member in members[:2]] == ["bomb.tar.xz", "user_1.zip"]
    assert members[0].note.startswith("not opened: it holds more than")
    assert len(members) == 2 + len(person(1))
    monkeypatch.setattr(nested, "_SMALL", 8 << 20)
    assert len(read(outer)[0]) == 2 + 8 + len(person(1))


@pytest.mark.parametrize(("most", "opened"), [(12, [True, True]), (11, [True, False])])
def test_the_number_of_inner_entries_is_bounded_over_all_archives(tmp_path, monkeypatch, most, opened):
    monkeypatch.setattr(nested, "MOST_ENTRIES", most)
    outer = written(tmp_path / "a.zip", zipped({name: PEOPLE[name] for name in ("user_1.zip", "user_2.tar")}))
    assert [member.opened for member in iter_members(outer) if member.name in PEOPLE] == opened


def test_a_folder_of_the_same_name_keeps_an_archive_closed(tmp_path):
    files = {"user_1.zip": PEOPLE["user_1.zip"], "user_1.zip/A0.png": noise("own")}
    members, _ = read(written(tmp_path / "a.tar", tarred(files)))
    assert {member.name: member.data for member in members} == files
    assert members[0].note == "not opened: a folder has the same name"


def test_the_parts_of_a_rar_in_a_folder_are_read_as_one(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for part in DATA.glob("volumes.part*.rar"):
        shutil.copy(part, folder)
    members, _ = read(folder)
    assert sum(member.opened for member in members) == 1
    inner = {member.name for member in members if member.name.startswith("volumes.part1.rar/")}
    assert inner == {f"volumes.part1.rar/{name}" for name in TRUTH}
    later = [member.note for member in members if member.name in ("volumes.part2.rar", "volumes.part3.rar")]
    assert later == ["not opened: a later part of another"] * 2


def test_nothing_stays_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    read(written(tmp_path / "a.zip", zipped(PEOPLE)))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_several_archives_are_one_ledger_in_the_order_given(tmp_path):
    one = written(tmp_path / "b.zip", zipped({f"user_1/{name}": data for name, data in person(1).items()}))
    two = written(tmp_path / "a.tar", tarred({f"user_2/{name}": data for name, data in person(2).items()}))
    ledger = clean_archive([one, two], tmp_path / "letters.zip", progress=False)
    expected = [f"b.zip/user_1/{name}" for name in person(1)] + [f"a.tar/user_2/{name}" for name in person(2)]
    assert [row.entry for row in ledger.rows] == expected
    assert len(ledger.labelled()) == len(expected)
    assert read_ledger(tmp_path / "letters.zip") == ledger
    undo(tmp_path / "letters.zip", tmp_path / "again", progress=False)
    assert set(tree(tmp_path / "again")) == set(expected)


def test_archives_of_one_name_stay_apart(tmp_path):
    paths = []
    for k in (1, 2):
        (tmp_path / str(k)).mkdir()
        paths.append(written(tmp_path / str(k) / "a.zip", zipped({f"user_{k}/{n}": d for n, d in person(k).items()})))
    ledger = clean_archive(paths, None, progress=False)
    assert {row.entry.partition("/")[0] for row in ledger.rows} == {"a.zip", "a~2.zip"}
    with pytest.raises(CaseStudyError, match="named twice"):
        clean_archive([paths[0], paths[0]], None, progress=False)
    with pytest.raises(ArchiveError, match="check the path"):
        clean_archive([paths[0], tmp_path / "none.rar"], None, progress=False)
    with pytest.raises(CaseStudyError, match="received none"):
        clean_archive([], None, progress=False)


def test_the_command_takes_several_archives_and_one_to_undo(tmp_path, capsys):
    from casestudy.cleaning.command import CommandParser

    parser = CommandParser(prog="casestudy clean")
    add_clean_command(parser)
    parser.add_argument("--quiet", action="store_true")
    drawn = [zipped({f"user_{k}/{name}": data for name, data in person(k).items()}) for k in (1, 2)]
    paths = [str(written(tmp_path / f"{k}.zip", data)) for k, data in enumerate(drawn)]
    out = str(tmp_path / "letters.zip")
    assert run_clean(parser.parse_args([*paths, "--out", out])) == 0
    assert "12 entries in, 12 rows out: nothing lost" in capsys.readouterr().out
    assert run_clean(parser.parse_args([out, "--undo", str(tmp_path / "again")])) == 0
    digests = {hashlib.sha256(data).hexdigest() for data in tree(tmp_path / "again").values()}
    assert digests == {hashlib.sha256(data).hexdigest() for k in (1, 2) for data in person(k).values()}
    with pytest.raises(CaseStudyError, match="received 2"):
        run_clean(parser.parse_args([out, out, "--undo", str(tmp_path / "more")]))
