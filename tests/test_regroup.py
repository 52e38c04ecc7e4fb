import csv
import hashlib
import io
import os
import re
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from casestudy.cleaning import regroup
from casestudy.cleaning.ledger import Ledger, LedgerRow
from casestudy.cleaning.members import Member
from casestudy.cleaning.naming import find_layout
from casestudy.cleaning.rebuild import read_ledger, undo
from casestudy.cleaning.regroup import clean_archive
from casestudy.cleaning.shards import screened
from casestudy.cleaning.stored_names import UniqueNames, clean_path
from casestudy.cleaning.zips import ZipReader
from casestudy.errors import ArchiveError, CaseStudyError, ConservationError

SAMPLE = Path(__file__).parent.parent / "DATA" / "sample"
BOX_HEADER = "image,top_left_x,top_left_y,bottom_right_x,bottom_right_y\n"


def photo(label, signer, number=0, kind="JPEG", **options):
    """A drawn 32×32 photograph, another one for each label, signer and number."""
    image = Image.new("RGB", (32, 32), (37 * signer % 256, 90, 255 - 50 * signer % 256))
    pen = ImageDraw.Draw(image)
    pen.ellipse((4 + number, 4, 24, 20 + signer), fill=(230, 180 - 30 * signer, 150))
    pen.text((10, 10), label, fill=(0, 0, 0))
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def again(data):
    """The same picture in other bytes: a comment more."""
    return data[:2] + b"\xff\xfe\x00\x04hi" + data[2:]


def entries():
    """Three letters, four signers in both layouts, and one of everything that goes wrong, in this order."""
    found = {}
    for signer in (3, 4, 10):
        for label in "ABC":
            found[f"user_{signer}/{label}0.jpg"] = photo(label, signer)
        rows = "".join(f"user_{signer}\\{label}0.jpg,1,2,30,{signer}\n" for label in "ABC")
        found[f"user_{signer}/user_{signer}_loc.csv"] = (BOX_HEADER + rows).encode()
    for label in "abc":
        found[f"user_Zoë/{label}/0.jpg"] = photo(label, 6)
    found["user_Zoë/a/again.jpg"] = found["user_3/A0.jpg"]
    found["user_3/B1.jpg"] = found["user_3/A0.jpg"]
    found["user_4/A1.jpg"] = again(found["user_4/A0.jpg"])
    found["user_4/B1.jpg"] = photo("B", 4, 9)[:500]
    found["user_4/B2.jpg"] = b""
    found["user_4/B3.jpg"] = b"<html>gone</html>"
    found["user_4/C1.jpg"] = photo("C", 4, 9, kind="PNG")
    found["user_4/holiday.jpg"] = photo("h", 4)
    found["user_4/Thumbs.db"] = b"\xd0\xcf\x11\xe0"
    return found


def pack(path, files):
    with zipfile.ZipFile(path, "w") as target:
        for name, data in files.items() if isinstance(files, dict) else files:
            target.writestr(name, data)
    return path


@pytest.fixture
def source(tmp_path):
    return pack(tmp_path / "photos.zip", entries())


def by_entry(ledger):
    return {row.entry: row for row in ledger.rows}


def test_every_entry_is_a_row_and_every_byte_is_there(source, tmp_path):
    out = tmp_path / "letters.zip"
    ledger = clean_archive(source, out)
    assert [row.entry for row in ledger.rows] == list(entries())
    with zipfile.ZipFile(out) as stored:
        assert Counter(stored.namelist()) == Counter(
            [row.stored_as for row in ledger.rows] + ["boxes.csv", "ledger.csv"]
        )
        for row in ledger.rows:
            data = stored.read(row.stored_as)
            assert data == entries()[row.entry]
            assert (row.sha256, row.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        assert {info.compress_type for info in stored.infolist()} == {zipfile.ZIP_STORED}
        assert Ledger.from_csv(stored.read("ledger.csv").decode()) == ledger == read_ledger(out)
    assert +Counter(ledger.counts()) == {"kept": 14, "duplicate": 2, "corrupt": 3, "sidecar": 4, "unrecognised": 1}


def test_each_kind_of_entry_is_told_apart(source, tmp_path):
    row = by_entry(clean_archive(source, tmp_path / "letters.zip"))
    kept = row["user_3/A0.jpg"]
    assert (kept.status, kept.stored_as, kept.label, kept.signer) == ("kept", "A/user_3__A0.jpg", "A", "user_3")
    assert (kept.format, kept.width, kept.height) == ("JPEG", 32, 32)
    nested = row["user_Zoë/a/0.jpg"]
    assert (nested.stored_as, nested.label, nested.signer) == ("A/user_Zoë__0.jpg", "A", "user_Zoë")
    across = row["user_Zoë/a/again.jpg"]
    assert (across.status, across.duplicate_of, across.note) == ("duplicate", "user_3/A0.jpg", "different signer")
    within = row["user_3/B1.jpg"]
    assert (within.status, within.stored_as, within.note) == ("duplicate", "B/user_3__B1.jpg", "different label")
    near = row["user_4/A1.jpg"]
    assert (near.status, near.near_duplicate_of, near.duplicate_of) == ("kept", "user_4/A0.jpg", "")
    for entry, reason in (("B1", "truncated"), ("B2", "empty"), ("B3", "not an image")):
        corrupt = row[f"user_4/{entry}.jpg"]
        assert (corrupt.status, corrupt.stored_as) == ("corrupt", f"_quarantine/user_4/{entry}.jpg")
        assert (corrupt.label, corrupt.signer, corrupt.reason.split(":")[0]) == ("B", "user_4", reason)
    assert (row["user_4/C1.jpg"].status, row["user_4/C1.jpg"].format) == ("kept", "PNG")
    lost = row["user_4/holiday.jpg"]
    assert (lost.status, lost.stored_as, lost.label) == ("unrecognised", "_unrecognised/user_4/holiday.jpg", "")
    assert (lost.signer, "--pattern" in lost.note) == ("user_4", True)
    side = row["user_4/Thumbs.db"]
    assert (side.status, side.stored_as, side.signer) == ("sidecar", "_sidecar/user_4/Thumbs.db", "user_4")


def test_same_input_same_bytes(source, tmp_path):
    outs = [tmp_path / f"{number}.zip" for number in range(4)]
    for workers, out in zip((None, 1, 2, 7), outs, strict=True):
        clean_archive(source, out, workers=workers)
    assert len({out.read_bytes() for out in outs}) == 1


def test_the_kind_of_archive_and_the_decoder_do_not_matter(tmp_path):
    data = Path(__file__).parent / "data"
    clean_archive(data / "solid_rar5.rar", tmp_path / "5.zip")
    clean_archive(data / "solid_rar4.rar", tmp_path / "4.zip")
    assert (tmp_path / "5.zip").read_bytes() == (tmp_path / "4.zip").read_bytes()


def test_boxes_are_merged_and_their_paths_mended(source, tmp_path):
    ledger = clean_archive(source, tmp_path / "letters.zip")
    with zipfile.ZipFile(tmp_path / "letters.zip") as stored:
        rows = list(csv.DictReader(io.StringIO(stored.read("boxes.csv").decode())))
    expected = sorted(
        (f"{label}/user_{signer}__{label}0.jpg", "1", "2", "30", str(signer))
        for signer in (3, 4, 10)
        for label in "ABC"
    )
    assert [tuple(row.values()) for row in rows] == expected
    assert by_entry(ledger)["user_3/user_3_loc.csv"].note == "3 boxes"


def test_undo_gives_every_byte_back(source, tmp_path):
    clean_archive(source, tmp_path / "letters.zip")
    assert undo(tmp_path / "letters.zip", tmp_path / "tree") == {}
    tree = tmp_path / "tree"
    found = {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert found == entries()
    with pytest.raises(CaseStudyError, match="not empty"):
        undo(tmp_path / "letters.zip", tree)


HOSTILE = [
    ("../up/A0.jpg", photo("A", 1)),
    ("/abs/A0.jpg", photo("A", 2)),
    ("user_3/A0.jpg", photo("A", 3)),
    ("user_3/A0.jpg", photo("A", 3, 3)),
    ("user_3/a0.JPG", photo("A", 3, 6)),
    ("more/user_3/A0.jpg", photo("A", 5)),
    ("user_Zoe\u0308/A0.jpg", photo("A", 6)),
    ("user_Zo\u00eb/A0.jpg", photo("A", 7)),
    ("C:/user_5/A0.jpg", photo("A", 8)),
    ("user_6/../../../A1.jpg", photo("A", 9)),
    ("user_6/A2.jpg", photo("A", 10)),
    ("user_6/A2.jpg/B.jpg", photo("B", 10)),
    ("../notes.txt", b"1"),
    ("boxes.csv", b"2"),
    ("ledger.csv", b"3"),
    ("_sidecar/boxes.csv", b"4"),
    ("..", b"5"),
]


def test_hostile_names_lose_nothing_and_write_nothing_outside(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        source = pack(tmp_path / "hostile.zip", HOSTILE)
    room = tmp_path / "room"
    room.mkdir()
    ledger = clean_archive(source, room / "letters.zip")
    names = [row.stored_as for row in ledger.rows]
    assert [row.entry for row in ledger.rows] == [name for name, _ in HOSTILE]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert not re.search(r'(^|/)\.\.?(/|$)|^/|[\\:*?"<>|]', name), name
    set_aside = undo(room / "letters.zip", room / "tree")
    assert {"../up/A0.jpg", "/abs/A0.jpg", "user_6/../../../A1.jpg"} <= set(set_aside)
    files = [path for path in (room / "tree").rglob("*") if path.is_file() and path.name != "list.csv"]
    assert Counter(path.read_bytes() for path in files) == Counter(data for _, data in HOSTILE)
    with (room / "tree" / "_set_aside" / "list.csv").open(newline="") as listed:
        assert dict(list(csv.reader(listed))[1:]) == set_aside
    assert sorted(path.name for path in room.iterdir()) == ["letters.zip", "tree"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile.zip", "room"]


@pytest.mark.parametrize("moment", ["first", "middle", "checking", "writing"])
def test_interrupted_at_any_point_the_target_is_absent(source, tmp_path, monkeypatch, moment):
    room = tmp_path / "room"
    room.mkdir()

    def stop(*args, **options):
        raise KeyboardInterrupt

    class StopsInTheMiddle(ZipReader):
        def members(self):
            for number, member in enumerate(super().members()):
                if number == 8:
                    raise KeyboardInterrupt
                yield member

    def stop_in_the_middle(path, *, password, salvage):
        return StopsInTheMiddle(path, password)

    where = {"first": "open_archives", "middle": "open_archives", "checking": "require_conserved", "writing": "store"}
    monkeypatch.setattr(regroup, where[moment], stop_in_the_middle if moment == "middle" else stop)
    with pytest.raises(KeyboardInterrupt):
        clean_archive(source, room / "letters.zip")
    assert list(room.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("screening")]


def test_a_truncated_archive_writes_nothing(source, tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    data = (Path(__file__).parent / "data" / "solid_rar5.rar").read_bytes()
    (tmp_path / "cut.rar").write_bytes(data[: len(data) // 2])
    with pytest.raises(ArchiveError):
        clean_archive(tmp_path / "cut.rar", room / "letters.zip")
    assert list(room.iterdir()) == []


@pytest.mark.parametrize("fault", ["a changed byte", "a lost file", "a lost row"])
def test_a_loss_on_the_way_is_noticed(source, tmp_path, monkeypatch, fault):
    store, finish = regroup.store, regroup.Desk.finish

    def bad_store(target, name, pieces):
        data = b"".join(pieces)
        if name == "B/user_4__B0.jpg" and fault == "a lost file":
            return
        changed = name == "B/user_4__B0.jpg" and fault == "a changed byte"
        store(target, name, [data[:-1] + b"\0" if changed else data])

    monkeypatch.setattr(regroup, "store", bad_store)
    if fault == "a lost row":
        monkeypatch.setattr(regroup.Desk, "finish", lambda desk: finish(desk)[:-1])
    with pytest.raises(ConservationError):
        clean_archive(source, tmp_path / "letters.zip")
    assert not (tmp_path / "letters.zip").exists()


def test_an_existing_target_is_never_overwritten(source, tmp_path):
    out = tmp_path / "letters.zip"
    clean_archive(source, out)
    before = out.read_bytes()
    clean_archive(source, out)
    assert out.read_bytes() == before
    out.write_bytes(b"my own work")
    with pytest.raises(CaseStudyError, match="--out"):
        clean_archive(source, out)
    assert out.read_bytes() == b"my own work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letters.zip", "photos.zip"]


def test_a_dry_run_writes_nothing_and_says_the_same(source, tmp_path):
    dry = clean_archive(source, None)
    assert not (tmp_path / "letters.zip").exists()
    assert dry == clean_archive(source, tmp_path / "letters.zip")


def test_bad_calls_are_one_clear_line(source, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    folder = tmp_path / "folder" / "user_3"
    folder.mkdir(parents=True)
    (folder / "A0.jpg").write_bytes(photo("A", 3))
    nothing = pack(tmp_path / "nothing.zip", {"readme.txt": b"x", "user_3/hello.jpg": photo("x", 3)})
    for call, expected in (
        ((tmp_path / "no.rar", tmp_path / "o.zip"), "check the path"),
        ((empty, tmp_path / "o.zip"), "holds no files"),
        ((pack(tmp_path / "empty.zip", {}), tmp_path / "o.zip"), "holds no files"),
        ((nothing, tmp_path / "o.zip"), "no sound photograph whose label can be told"),
        ((source, tmp_path / "no folder" / "o.zip"), "There is no folder"),
        ((source, empty), "is a folder"),
        ((folder.parent, folder / "o.zip"), "inside the folder"),
    ):
        with pytest.raises(CaseStudyError, match=expected) as caught:
            clean_archive(*call)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "o.zip").exists()
    for pattern in ("(", "[A-Z]"):
        with pytest.raises(CaseStudyError, match="pattern"):
            clean_archive(source, tmp_path / "o.zip", pattern=pattern)
    with pytest.raises(ArchiveError, match=r"no letters\.zip"):
        undo(source, tmp_path / "tree")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_place_is_one_clear_line(source, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(CaseStudyError, match="Cannot write"):
        clean_archive(source, locked / "letters.zip")


@pytest.mark.parametrize(
    ("entry", "label", "signer"),
    [
        ("user_3/A0.jpg", "A", "user_3"),
        ("user_3/b_12.PNG", "B", "user_3"),
        ("user_3/C (3).jpg", "C", "user_3"),
        ("set/more/user_3/A0.jpg", "A", "user_3"),
        ("user_3/A/holiday.jpg", "A", "user_3"),
        ("user_3/train/a/1.jpg", "A", "user_3"),
        ("user_3/7/1.jpg", "7", "user_3"),
        ("set\\user_3\\A0.jpg", "A", "user_3"),
        ("A/user_3/one.jpg", "A", "user_3"),
        ("3/A/one.jpg", "A", ""),
        ("anna/A0.jpg", "A", ""),
        ("A/img1.jpg", "A", ""),
        ("A0.jpg", "A", ""),
        ("train/A/one.jpg", "A", ""),
        ("data/train/class_A/12.jpg", "A", ""),
        ("asl_alphabet_train/A/A1.jpg", "A", ""),
        ("user_2/holiday.jpg", "", ""),
        ("user_2/7.jpg", "", ""),
        ("user_2/P1010001.jpg", "", ""),
        ("words/HELLO_17.jpg", "", ""),
    ],
)
def test_labels_and_signers_are_read_not_guessed(entry, label, signer):
    place = find_layout([entry]).place(entry)
    assert (place.label, place.signer) == (label, signer)
    assert bool(place.remark) == (not label)


@pytest.mark.parametrize("entry", ["A/user_3/B0.jpg", "dataset5/A/b/color_0.png", "3/A0.jpg", "user_3/A/B0.jpg"])
def test_where_two_readings_fit_it_is_asked(entry):
    with pytest.raises(CaseStudyError, match="--layout"):
        find_layout([entry])


def test_a_folder_wins_over_a_stray_name_and_says_so():
    names = [f"user_3/{label}/{label}{k}.jpg" for label in "AB" for k in range(5)] + ["user_3/A/B9.jpg"]
    place = find_layout(names).place("user_3/A/B9.jpg")
    assert (place.label, place.remark) == ("A", "its name reads B")


def test_patterns_read_any_name(tmp_path):
    files = {
        f"hand{signer}_{label}_bot_{number}.jpeg": photo(label, signer, number)
        for signer in (1, 2)
        for label in "a7"
        for number in (0, 1)
    }
    files["hand1_left.jpeg"] = photo("l", 1)
    source = pack(tmp_path / "massey.zip", files)
    ledger = clean_archive(source, tmp_path / "letters.zip", pattern=r"(?P<signer>hand\d+)_(?P<label>[a-z0-9])_")
    assert {(row.label, row.signer) for row in ledger.labelled()} == {(a, b) for a in "A7" for b in ("hand1", "hand2")}
    assert by_entry(ledger)["hand1_a_bot_0.jpeg"].stored_as == "A/hand1__hand1_a_bot_0.jpeg"
    assert by_entry(ledger)["hand1_left.jpeg"].status == "unrecognised"


def test_a_single_unnamed_folder_is_no_signer(tmp_path):
    ledger = clean_archive(pack(tmp_path / "one.zip", {"mine/A0.jpg": photo("A", 1)}), tmp_path / "letters.zip")
    assert [(row.signer, row.stored_as) for row in ledger.rows] == [("", "A/mine__A0.jpg")]
    two = find_layout(names := ["anna/A0.jpg", "anna/B0.jpg", "ben/A0.jpg", "ben/B0.jpg", "train/A/one.jpg"])
    assert [two.place(name).signer for name in names] == ["anna", "anna", "ben", "ben", ""]
    assert [two.place(name).label for name in names] == ["A", "B", "A", "B", "A"]


def test_names_stay_apart_and_clean():
    names = UniqueNames(["ledger.csv"])
    claimed = [names.claim(name) for name in ("A/x.jpg", "a/X.JPG", "A/x~2.jpg", "A/x.jpg", "LEDGER.csv", ".x", ".x")]
    assert len({name.casefold() for name in claimed}) == 7
    assert clean_path("../a/./b\\c:d") == "._/a/b/c_d"


def test_a_ledger_survives_csv():
    row = LedgerRow('a,"b"\nc.jpg', "kept", "A/x.jpg", "user_Zoë", "A", "", "JPEG", 3, None, 7, "00", note="; ,")
    assert Ledger.from_csv(Ledger((row,)).to_csv()) == Ledger((row,))
    assert Ledger((row,)).to_csv().splitlines()[0] == (
        "entry,status,stored_as,signer,label,part,format,width,height,bytes,sha256,mended_as,mended_sha256,"
        "reason,duplicate_of,near_duplicate_of,note"
    )


def test_the_summary_fits_one_screen():
    statuses = ("kept", "duplicate", "corrupt", "sidecar", "unrecognised")
    twin = {"reason": "r", "duplicate_of": "y", "near_duplicate_of": "z"}
    rows = [LedgerRow(f"{n}.jpg", status, "x", f"user_{n}", "A", **twin) for n in range(300) for status in statuses]
    lines = Ledger(tuple(rows)).summary().splitlines()
    assert len(lines) <= 40
    assert lines[0] == "1,500 entries in, 1,500 rows out: nothing lost"


def test_only_a_window_of_the_archive_is_in_memory(monkeypatch):
    alive = most = 0
    mebibyte = bytes(1 << 20)

    class Counted(Member):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def many():
        nonlocal alive, most
        for number in range(400):
            alive += 1
            most = max(most, alive)
            yield Counted(f"{number}.txt", mebibyte)

    assert sum(1 for _ in screened(many(), workers=16)) == 400
    assert most <= 70  # 64 MiB read ahead


def test_the_sample_s_ledger_equals_its_key(tmp_path):
    ledger = clean_archive(SAMPLE / "asl_sample.rar", tmp_path / "letters.zip")
    with (SAMPLE / "asl_sample.key.csv").open(encoding="utf-8", newline="") as file:
        key = [tuple(row.values()) for row in csv.DictReader(file)]
    found = [
        (row.entry, row.status, row.label, row.signer, row.reason.split(":")[0], row.duplicate_of)
        for row in ledger.rows
    ]
    assert found == key


@pytest.mark.realdata
def test_the_real_archive_is_accounted_for(realdata, tmp_path):
    ledger = clean_archive(realdata / "asl-signers.rar", tmp_path / "letters.zip")
    assert +Counter(ledger.counts()) == {"kept": 1678, "duplicate": 2, "sidecar": 8}
    assert len({row.label for row in ledger.labelled()}) == 24
    pairs = {(row.entry, row.duplicate_of) for row in ledger.rows if row.status == "duplicate"}
    assert pairs == {("user_3/M4.jpg", "user_3/M1.jpg"), ("user_3/M3.jpg", "user_3/M0.jpg")}
    with zipfile.ZipFile(tmp_path / "letters.zip") as stored:
        assert len(stored.read("boxes.csv").splitlines()) == 1681


@pytest.mark.parametrize(
    ("entry", "label", "signer"), [("user_3/A1234.jpg", "A", "user_3"), ("user_3/A12345.jpg", "", "")]
)
def test_a_count_of_four_digits_is_one_and_of_five_is_none(entry, label, signer):
    place = find_layout([entry]).place(entry)
    assert (place.label, place.signer) == (label, signer)


def test_the_nearest_of_two_signers_owns_what_has_no_label():
    layout = find_layout(["user_1/A0.jpg", "user_1/user_2/A0.jpg"])
    assert layout.place("user_1/user_2/notes.txt").signer == "user_2"
    assert layout.place("user_1/notes/user_2").signer == "user_1"  # a file is no folder


def test_no_name_ends_in_a_blank_or_a_dot_and_no_label_is_a_folder_of_ours():
    assert (clean_path("a /b."), clean_path("a")) == ("a_/b_", "a")
    place = find_layout(["set/_sidecar_1.jpg"], re.compile("(?P<label>_sidecar)")).place("set/_sidecar_1.jpg")
    assert (place.label, place.remark) == ("", "the pattern's label '_sidecar' cannot name a folder")


def test_what_is_labelled_is_kept_or_a_duplicate():
    statuses = ("kept", "duplicate", "corrupt", "sidecar", "unrecognised", "kept")
    rows = [LedgerRow(f"{k}.jpg", status, f"{k}", "user_1", "A") for k, status in enumerate(statuses)]
    rows[5] = LedgerRow("5.jpg", "kept", "5", "user_2", "B", near_duplicate_of="0.jpg")
    ledger = Ledger(tuple(rows))
    assert [row.entry for row in ledger.labelled()] == ["0.jpg", "1.jpg", "5.jpg"]
    told = ledger.to_json()
    assert (told["entries"], told["photographs"], told["labels"]) == (6, 3, ["A", "B"])
    lines = [line.strip() for line in ledger.summary().splitlines()]
    assert "3 photographs in 2 letters: A, B" in lines
    near = next(k for k, line in enumerate(lines) if "nearly the same" in line)
    assert lines[near].startswith("1 of them nearly the same as another")
    assert lines[near + 1] == "5.jpg ~ 0.jpg"


def test_a_repeated_name_has_a_row_each_and_its_box_on_the_first(tmp_path, monkeypatch):
    rows = f"{BOX_HEADER}A0.jpg,1,2,30,4\n".encode()
    files = [("user_3/A0.jpg", photo("A", 3)), ("user_3/A0.jpg", photo("A", 4)), ("user_3/b.csv", rows)]
    with pytest.warns(UserWarning, match="Duplicate"):
        source = pack(tmp_path / "twice.zip", files)
    ledger = clean_archive(source, tmp_path / "letters.zip")
    assert [row.stored_as for row in ledger.rows][:2] == ["A/user_3__A0.jpg", "A/user_3__A0~2.jpg"]
    with zipfile.ZipFile(tmp_path / "letters.zip") as stored:
        assert stored.read("boxes.csv").decode().splitlines()[1:] == ["A/user_3__A0.jpg,1,2,30,4"]
    finish = regroup.Desk.finish
    monkeypatch.setattr(regroup.Desk, "finish", lambda desk: finish(desk)[1:])
    with pytest.raises(ConservationError, match="3 entries came in, 2 rows came out"):
        clean_archive(source, tmp_path / "other.zip")


def test_a_file_that_is_written_twice_is_noticed(source, tmp_path, monkeypatch):
    store = regroup.store

    def twice(target, name, data):
        for _ in range(2 if name == "B/user_4__B0.jpg" else 1):
            store(target, name, data)

    monkeypatch.setattr(regroup, "store", twice)
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        pytest.raises(ConservationError, match="are not the ledger's rows"),
    ):
        clean_archive(source, tmp_path / "letters.zip")


def test_a_zip_of_the_same_size_is_not_the_same(source, tmp_path):
    out = tmp_path / "letters.zip"
    clean_archive(source, out)
    changed = bytearray(out.read_bytes())
    changed[100] ^= 1
    out.write_bytes(changed)
    with pytest.raises(CaseStudyError, match="--out"):
        clean_archive(source, out)
    assert out.read_bytes() == changed


def test_every_member_has_the_one_date(source, tmp_path):
    clean_archive(source, tmp_path / "letters.zip")
    with zipfile.ZipFile(tmp_path / "letters.zip") as stored:
        assert {info.date_time for info in stored.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_undo_compares_every_byte(source, tmp_path):
    clean_archive(source, tmp_path / "letters.zip")
    with zipfile.ZipFile(tmp_path / "letters.zip") as stored, zipfile.ZipFile(tmp_path / "other.zip", "w") as target:
        for name in stored.namelist():
            target.writestr(name, stored.read(name) + (b"!" if name == "B/user_4__B0.jpg" else b""))
    with pytest.raises(ConservationError, match=r"B/user_4__B0\.jpg in other\.zip is not the original"):
        undo(tmp_path / "other.zip", tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_pattern_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    from casestudy.cleaning import pattern as patterns

    monkeypatch.setattr(patterns, "SECONDS", 1.0)
    source = tmp_path / "photos.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("a" * 36 + "!.png", b"?")
    began = time.monotonic()
    with pytest.raises(CaseStudyError, match=r"at most 1 s; .* takes longer for 'a{36}!\.png'"):
        clean_archive(source, tmp_path / "letters.zip", pattern=r"(?P<label>(a+)+)$")
    assert time.monotonic() - began < 15
    assert not (tmp_path / "letters.zip").exists()
