"""The embedded sample is what its key says, entry for entry, and teaches what it was drawn to teach."""

import csv
import io
from collections import Counter, defaultdict
from zlib import crc32

import numpy as np
import pytest
import rarfile
import simplejpeg
from PIL import Image

from SCRIPTS.hands import make_sample
from SCRIPTS.hands.drawing import render_hand
from SCRIPTS.hands.rar5 import stored_rar5, vint
from SCRIPTS.release.environment import ROOT

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.fixture(scope="module")
def key() -> list[dict[str, str]]:
    with (ROOT / make_sample.KEY).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def files(no_external_tools) -> dict[str, bytes]:
    with rarfile.RarFile(ROOT / make_sample.ARCHIVE) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


@pytest.fixture(scope="module")
def no_external_tools():
    """rarfile with every program it could start taken away."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("UNRAR_TOOL", "UNAR_TOOL", "BSDTAR_TOOL", "SEVENZIP_TOOL", "SEVENZIP2_TOOL"):
            patch.setattr(rarfile, name, "no-such-program", raising=False)
        yield


@pytest.fixture(scope="module")
def boxes(files) -> dict[str, list[int]]:
    found = {}
    for name, data in files.items():
        if name.endswith("_loc.csv"):
            for row in csv.DictReader(io.StringIO(data.decode("utf-8"))):
                image, *box = row.values()
                found[image.replace("\\", "/")] = [int(edge) for edge in box]
    return found


def test_the_archive_holds_exactly_the_entries_of_the_key(key, files):
    assert [row["entry"] for row in key] == list(files)
    assert list(key[0]) == ["entry", "status", "label", "signer", "reason", "duplicate_of"]
    assert len(key) == len({row["entry"] for row in key})


def test_the_archive_is_small_enough_for_a_repository():
    assert (ROOT / make_sample.ARCHIVE).stat().st_size <= 6_000_000
    assert (ROOT / make_sample.SHEET).stat().st_size <= 1_000_000


def test_at_least_eight_signers_have_five_sound_photographs_of_every_letter(key):
    count = Counter((row["signer"], row["label"]) for row in key if row["status"] == "kept")
    signers = {signer for signer, _ in count}
    assert len(signers) >= 8
    assert all(count[signer, letter] >= 5 for signer in signers for letter in ALPHABET)


def test_kept_photographs_decode_and_are_jpegs_but_for_one_png(key, files):
    kinds = Counter()
    for row in key:
        if row["status"] == "kept":
            image = Image.open(io.BytesIO(files[row["entry"]]))
            image.load()
            kinds[image.format] += 1
            assert image.size == (128, 128) and image.mode == "RGB"
            if image.format == "JPEG":
                simplejpeg.decode_jpeg(files[row["entry"]], strict=True)
    assert kinds["PNG"] == 1 and kinds["JPEG"] >= 8 * 26 * 5


def test_corrupt_files_are_broken_in_the_way_the_key_says(key, files):
    broken = defaultdict(list)
    for row in key:
        if row["status"] == "corrupt":
            broken[row["reason"]].append(files[row["entry"]])
            with pytest.raises(ValueError):
                simplejpeg.decode_jpeg(files[row["entry"]], strict=True)
    assert set(broken) == {"truncated", "empty", "not an image"}
    assert broken["empty"] == [b""]
    assert all(b"<html>" in data for data in broken["not an image"])
    assert all(data.startswith(b"\xff\xd8") and not data.endswith(b"\xff\xd9") for data in broken["truncated"])
    assert len(broken["truncated"]) >= 6 and min(map(len, broken["truncated"])) == 10
    whole, _ = make_sample.draw_photograph("user_3", "E", make_sample.SHOTS)
    assert files["user_3/E5.jpg"] == whole[:-2]  # the subtlest cut: only the end marker is gone


def test_duplicates_point_at_the_first_identical_file_and_there_are_no_others(key, files):
    first: dict[bytes, str] = {}
    expected = {}
    for entry, data in files.items():
        if first.setdefault(data, entry) != entry:
            expected[entry] = first[data]
    assert {row["entry"]: row["duplicate_of"] for row in key if row["duplicate_of"]} == expected
    assert {row["entry"] for row in key if row["status"] == "duplicate"} == set(expected)
    label, signer = ({row["entry"]: row[column] for row in key} for column in ("label", "signer"))
    assert {(label[a] == label[b], signer[a] == signer[b]) for a, b in expected.items()} == {
        (True, True), (False, True), (True, False)}  # fmt: skip


def test_names_that_archives_of_this_kind_really_hold_are_there(key, files):
    status = {row["entry"]: row["status"] for row in key}
    assert status["user_4/.~lock.user_4_loc.csv#"] == status["user_6/Thumbs.db"] == "sidecar"
    assert status["user_9/a/0.jpg"] == status["user_Zoë/A0.jpg"] == "kept"
    assert status["user_2/holiday.jpg"] == "unrecognised"
    assert {"user_3/A0.jpg", "user_4/A0.jpg"} <= set(files)


def test_every_photograph_of_a_letter_has_a_box_inside_the_picture(key, boxes):
    assert set(boxes) == {row["entry"] for row in key if row["label"]}
    for left, top, right, bottom in boxes.values():
        assert 0 <= left < right <= 127 and 0 <= top < bottom <= 127
        assert (right - left) * (bottom - top) > 0.08 * 128 * 128


@pytest.mark.parametrize(("name", "letter", "shot"), [("user_3", "K", 4), ("user_9", "J", 1), ("user_Zoë", "T", 2)])
def test_drawing_a_photograph_again_gives_the_bytes_in_the_archive(files, name, letter, shot):
    drawn, _ = make_sample.draw_photograph(name, letter, shot)
    stored = files[make_sample.entry_name(name, letter, shot)]
    pixels = [np.asarray(Image.open(io.BytesIO(data)), dtype=int) for data in (drawn, stored)]
    assert np.abs(pixels[0] - pixels[1]).mean() < 2
    assert drawn == stored  # the lock file pins Pillow, hence the encoder


def test_pages_show_every_letter_of_every_signer_large(tmp_path, monkeypatch):
    cast = {name: make_sample.CAST[name] for name in ("user_2", "user_3")}
    monkeypatch.setattr(make_sample, "CAST", cast)
    paths = make_sample.write_pages(tmp_path / "new", side=60, rows=9)
    assert [path.name for path in paths] == ["A-I.png", "J-R.png", "S-Z.png"]
    pages = [np.asarray(Image.open(path)) for path in paths]
    assert [page.shape for page in pages] == [(540, 120, 3), (540, 120, 3), (480, 120, 3)]
    signer, rng = make_sample.signer_named("user_3"), make_sample.moment("user_3", "L", 0)
    drawn = render_hand("L", signer, rng, 58)[0]
    assert np.array_equal(pages[1][2 * 60 + 20 : 2 * 60 + 58, 60:118], drawn[20:])  # below its name


def test_a_probe_scores_clearly_higher_on_a_random_split_than_on_unseen_signers(key, files, boxes):
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_score

    rows = [row for row in key if row["status"] == "kept"]
    crops = [
        Image.open(io.BytesIO(files[r["entry"]])).convert("L").crop(boxes[r["entry"]]).resize((20, 20)) for r in rows
    ]
    x = np.stack([np.asarray(crop, dtype=float).ravel() / 255 for crop in crops])
    y, signers = (np.array([row[column] for row in rows]) for column in ("label", "signer"))
    probe = RidgeClassifier(alpha=3.0)
    shuffled = cross_val_score(probe, x, y, cv=StratifiedKFold(5, shuffle=True, random_state=0)).mean()
    unseen = cross_val_score(probe, x, y, groups=signers, cv=LeaveOneGroupOut()).mean()
    assert shuffled > unseen + 0.15
    assert unseen > 5 / 26  # hard, not hopeless


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16383, "ff7f"), (16384, "808001"), (2**64 - 1, "ff" * 9 + "01")],
)
def test_numbers_are_written_seven_bits_a_byte(number, expected):
    assert vint(number).hex() == expected


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_number_outside_64_bits_is_refused(number):
    with pytest.raises(ValueError, match="64"):
        vint(number)


def test_rarfile_reads_back_what_the_writer_wrote(tmp_path, no_external_tools):
    sizes = (0, 1, 127, 128, 16383, 16384, 70_000)
    members = {f"größe/手/{size}.bin": bytes(i * 7 % 251 for i in range(size)) for size in sizes}
    members["x" * 200] = b"a name whose header needs two bytes for its size"
    path = tmp_path / "small.rar"
    path.write_bytes(stored_rar5(members.items()))
    with rarfile.RarFile(path) as archive:
        assert archive.namelist() == list(members)
        assert not archive.needs_password() and archive.testrar() is None
        for info in archive.infolist():
            assert archive.read(info) == members[info.filename]
            assert (info.file_size, info.CRC) == (len(members[info.filename]), crc32(members[info.filename]))
            assert info.compress_type == rarfile.RAR_M0 and info.mtime.year == 2020


@pytest.mark.parametrize("names", [["a\\b"], ["/a"], [""], ["a", "a"]])
def test_the_writer_refuses_names_a_reader_could_misread(names):
    with pytest.raises(ValueError, match="Member names"):
        stored_rar5((name, b"") for name in names)
