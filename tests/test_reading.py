"""A photograph read as a plain file has the probability of its run, in plain Keras too; or one line says why not."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import casestudy
from casestudy.cleaning import iter_members, loose_photographs
from casestudy.cleaning.regroup import clean_archive
from casestudy.cli import main
from casestudy.errors import CaseStudyError, DataError
from casestudy.evaluation import evaluate_predictions
from casestudy.runs import Wishes, run_study
from casestudy.runs.about import ENTRY, About, Calibration
from casestudy.runs.read import _reading
from casestudy.studies import STUDIES

CLOSE = 1e-6


@pytest.fixture(scope="module")
def run(letters_zip, small_study, tmp_path_factory):
    """A run on hands that boxes cut out."""
    study = dataclasses.replace(small_study, crop="auto")
    return run_study(Wishes(study, seed=3), letters_zip, tmp_path_factory.mktemp("cut") / "run")


@pytest.fixture(scope="module")
def photos(letters_zip, tmp_path_factory):
    """Its photographs as plain files, and their boxes.csv."""
    folder = tmp_path_factory.mktemp("mine") / "photos"
    with zipfile.ZipFile(letters_zip) as archive:
        names = [name for name in archive.namelist() if name[0] in "ABC"]
        archive.extractall(folder, [*names, "boxes.csv"])
    return folder


def stored(run):
    table = run.read_table("predictions.csv")
    return {row["name"]: row for row in table.to_dict("records")}


def assert_same(run, table, before):
    rows, seen = stored(run), 0
    for row in table.to_dict("records"):
        if (there := rows.get(row["name"].removeprefix(f"{before}/"))) is not None:
            seen += 1
            assert row["label"] == there["predicted"]
            for label in run.facts.class_names:
                assert row[f"p_{label}"] == pytest.approx(there[f"p_{label}"], abs=CLOSE)
            assert row["probability"] == pytest.approx(there["confidence"], abs=CLOSE)
    return seen


def test_plain_files_have_the_probabilities_of_the_run(run, photos, letters_zip):
    wanted = list(stored(run))[:10]
    folder = casestudy.read_photographs(run, photos)
    assert assert_same(run, folder, photos.as_posix()) == len(stored(run)) >= 10
    assert len(folder) == 45 and set(folder["cut"]) == {"box"} and set(folder["why"]) == {""}
    archive = casestudy.read_photographs(run.path / "model.keras", letters_zip)
    assert assert_same(run, archive, letters_zip.as_posix()) == len(stored(run))
    inside = casestudy.read_photographs(run, [letters_zip / name for name in wanted])
    assert inside["name"].tolist() == [f"{letters_zip.as_posix()}/{name}" for name in wanted]
    assert assert_same(run, inside, letters_zip.as_posix()) == 10


def test_a_single_file_finds_the_box_beside_it(run, photos, tmp_path):
    """As the archive of the case has them: user_3/user_3_loc.csv names user_3/A0.png."""
    name = next(iter(stored(run)))
    (tmp_path / "user_3").mkdir()
    shutil.copy(photos / name, tmp_path / "user_3" / "A0.png")
    (tmp_path / "user_3" / "user_3_loc.csv").write_text(
        "image,top_left_x,top_left_y,bottom_right_x,bottom_right_y\nuser_3/A0.png,4,4,28,28\n"
    )
    table = casestudy.read_photographs(run, tmp_path / "user_3" / "A0.png")
    assert table["cut"].tolist() == ["box"]
    assert table["p_A"][0] == pytest.approx(stored(run)[name]["p_A"], abs=CLOSE)


def test_without_a_box_it_is_whole_and_that_is_said(run, photos, tmp_path, caplog):
    shutil.copy(photos / next(iter(stored(run))), tmp_path / "mine.png")
    table = casestudy.read_photographs(run, tmp_path / "mine.png")
    assert table["cut"].tolist() == ["whole picture"]
    assert "No hand was found in 1 photograph: this model learnt from hands that were cut out" in caplog.text


def test_a_model_of_whole_pictures_takes_no_box(finished_run, photos, caplog):
    table = casestudy.read_photographs(finished_run, photos)
    assert set(table["cut"]) == {"whole picture"} and "No hand was found" not in caplog.text
    assert assert_same(finished_run, table, photos.as_posix()) == len(stored(finished_run))


def test_the_model_file_alone_is_enough_in_plain_keras_too(finished_run, photos, tmp_path):
    from casestudy.models import keras

    alone = Path(shutil.copy(finished_run.path / "model.keras", tmp_path / "alone.keras"))
    name, row = next(iter(stored(finished_run).items()))
    table = casestudy.read_photographs(alone, photos / name)
    assert table["p_B"][0] == pytest.approx(row["p_B"], abs=CLOSE)
    with zipfile.ZipFile(alone) as archive:
        about = json.loads(archive.read(ENTRY))
    height, width = about["image_size"]
    pixels = np.asarray(Image.open(photos / name).convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    network = keras.saving.load_model(alone, safe_mode=True)
    (found,) = np.asarray(network(pixels[None].astype("float32")))
    assert dict(zip(about["labels"], found.tolist(), strict=True)) == pytest.approx(
        {label: row[f"p_{label}"] for label in about["labels"]}, abs=CLOSE
    )


@pytest.mark.realdata
def test_ten_real_photographs_read_as_the_archive_has_them(realdata, tmp_path):
    """In the command's eyes and in those of plain Keras: the file beside its signer's user_N_loc.csv, as it came."""
    ledger = clean_archive(realdata / "asl-signers.rar", tmp_path / "letters.zip")
    asl = STUDIES["asl"]
    spec = dataclasses.replace(asl.model, name="mobilenet_v2_0.35", image_size=(64, 64),
                               weights=str(realdata / "mobilenet_v2_0.35_224_no_top.weights.h5"))  # fmt: skip
    head = dataclasses.replace(asl.phases[0], epochs=4, views=1)
    split = dataclasses.replace(asl.split, fraction=0.2)
    phases = (head, dataclasses.replace(asl.phases[1], epochs=1))
    study = dataclasses.replace(asl, model=spec, split=split, phases=phases)
    run = run_study(Wishes(study, seed=7), tmp_path / "letters.zip", tmp_path / "run")

    rows = run.read_table("predictions.csv").iloc[:: len(run.read_table("predictions.csv")) // 10][:10]
    origin = {row.stored_as: row.entry for row in ledger.rows}
    wanted = [origin[name] for name in rows["name"]]
    for member in iter_members(realdata / "asl-signers.rar"):
        if member.name in wanted or member.name.endswith("_loc.csv"):
            (tmp_path / member.name).parent.mkdir(exist_ok=True)
            (tmp_path / member.name).write_bytes(member.data)
    table = casestudy.read_photographs(run, [tmp_path / name for name in wanted])
    columns = [f"p_{label}" for label in run.facts.class_names]
    assert set(table["cut"]) == {"box"} and len(table) == 10
    np.testing.assert_allclose(table[columns], rows[columns], atol=CLOSE)

    keras = pytest.importorskip("keras")
    plain = keras.models.load_model(run.path / "model.keras")
    boxes = run.study_images(run.resolve())
    pixels = [boxes.images[list(boxes.names).index(name)] for name in rows["name"]]
    np.testing.assert_allclose(plain.predict(np.stack(pixels).astype("float32"), verbose=0), rows[columns], atol=CLOSE)


def test_a_model_saved_before_still_opens_beside_its_run(run_copy, photos, tmp_path, caplog):
    model = run_copy.path / "model.keras"
    without_entry(model)
    name, row = next(iter(stored(run_copy).items()))
    table = casestudy.read_photographs(run_copy, photos / name)
    assert table["p_A"][0] == pytest.approx(row["p_A"], abs=CLOSE)
    assert table["sure"][0] is None and table["may_be"][0] == "" and "cannot say when it is not sure" in caplog.text
    lost = Path(shutil.copy(model, tmp_path / "lost.keras"))
    with pytest.raises(DataError, match=r"says what its labels are; .*lost\.keras does not"):
        casestudy.read_photographs(lost, photos / name)


def without_entry(model: Path) -> None:
    with zipfile.ZipFile(model) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if name != ENTRY}
    assert len(kept) == 3
    with zipfile.ZipFile(model, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


def test_the_eye_of_training_and_of_reading_is_one(finished_run, photos, tmp_path):
    """A photograph that lies on its side, with an EXIF that says so, and one in a palette."""
    name = next(iter(stored(finished_run)))
    upright = Image.open(photos / name).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    clear = upright.convert("RGBA")
    clear.save(tmp_path / "clear.webp", lossless=True)
    table = casestudy.read_photographs(finished_run, tmp_path)
    for column in ("p_A", "p_B", "p_C"):
        assert table[column].to_numpy() == pytest.approx(stored(finished_run)[name][column], abs=CLOSE)


# --- how sure it is ------------------------------------------------------------------------------------------------


def table_of(probabilities):
    facts = {"name": [f"{k}" for k in range(len(probabilities))], "signer": "", "label": "A"}
    return pd.DataFrame(facts).assign(p_A=np.float32(probabilities), p_B=np.float32(1) - np.float32(probabilities))


@pytest.mark.parametrize(("count", "below"), [(8, 0), (9, 1), (18, 1), (19, 2), (100, 10)])
def test_nine_in_ten_keep_their_label(count, below):
    """Of n + 1 photographs, the new one among them, at most a tenth may lie below: `below` of them."""
    shares = np.linspace(0.2, 0.95, count)
    found = evaluate_predictions(table_of(shares[::-1]), ("A", "B")).least_probability(0.9)
    assert found == pytest.approx(float(np.float32(shares[below - 1])) if below else 0.0)


def test_nine_in_ten_holds_for_new_photographs():
    """Simulated: a limit from 30 photographs, tried on 200 others, a thousand times over."""
    chance = np.random.default_rng(1)
    kept = []
    for _ in range(1000):
        limit = evaluate_predictions(table_of(chance.beta(5, 1, 30)), ("A", "B")).least_probability(0.9)
        kept.append((np.float32(chance.beta(5, 1, 200)) >= limit).mean())
    assert 0.9 <= np.mean(kept) <= 0.9 + 1 / 31 + 0.01


@pytest.mark.parametrize(
    ("shares", "may_be", "sure"),
    [((0.6, 0.29, 0.11), "A", True), ((0.45, 0.1, 0.45), "A; C", False), ((0.4, 0.3, 0.3), "A; B; C", False)],
)
def test_sure_is_one_label_alone(shares, may_be, sure):
    about = About(("A", "B", "C"), (32, 32), 3, None, "archive", Calibration(0.3, 100, 2))
    cells = _reading(about, np.array(shares))
    assert (cells["may_be"], cells["sure"], cells["label"], cells["p_C"]) == (may_be, sure, "A", shares[2])
    strict = dataclasses.replace(about, calibration=Calibration(0.9, 100, 2))
    assert (_reading(strict, np.array(shares))["may_be"], _reading(strict, np.array(shares))["sure"]) == ("", False)
    nobody = dataclasses.replace(about, calibration=None)
    assert (_reading(nobody, np.array(shares))["may_be"], _reading(nobody, np.array(shares))["sure"]) == ("", None)


def test_it_was_told_by_validation_people_and_says_so(run, photos, letters_zip, tmp_path):
    with zipfile.ZipFile(run.path / "model.keras") as archive:
        about = json.loads(archive.read(ENTRY))
    splits = run.read_table("splits.csv")
    held_out = splits[splits["part"] == "validation"]
    known = about["calibration"]
    assert (known["photographs"], known["people"]) == (len(held_out), held_out["signer"].nunique())
    table = casestudy.read_photographs(run, photos).set_index("name")
    own = sorted(table.loc[f"{photos.as_posix()}/{row.name_}", f"p_{row.label}"]
                 for row in held_out.rename(columns={"name": "name_"}).itertuples())  # fmt: skip
    expected = min(own[int((len(own) + 1) / 10 + 1e-9) - 1], 0.9) if len(own) >= 9 else 0.0
    assert known["least"] == pytest.approx(expected, abs=CLOSE)
    for row in table.to_dict("records"):
        likely = [label for label in "ABC" if row[f"p_{label}"] >= known["least"]]
        assert set(row["may_be"].split("; ")) - {""} == set(likely)
        assert row["sure"] is (len(likely) == 1)


# --- the command ---------------------------------------------------------------------------------------------------


def said(capsys, *call):
    try:
        code = main(["read", *map(str, call)])
    except SystemExit as done:
        code = int(done.code or 0)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_line_a_photograph_and_a_table(run, photos, tmp_path, capsys):
    one, two = list(stored(run))[:2]
    code, out, _ = said(capsys, run.path, photos / one)
    row = stored(run)[one]
    line = rf"{photos.as_posix()}/{one}: (not sure, perhaps )?{row['predicted']} {100 * row['confidence']:.1f} %, then "
    assert code == 0 and re.fullmatch(line + r"[ABC] [\d.]+ %, [ABC] [\d.]+ % \(box\)\n", out)
    code, out, _ = said(capsys, run.path, photos / one, photos / two, "--csv", tmp_path / "read.csv")
    assert code == 0 and out.startswith("2 photographs: 0 not read, ")
    with (tmp_path / "read.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [stored(run)[name]["predicted"] for name in (one, two)]
    assert float(rows[1]["p_C"]) == pytest.approx(stored(run)[two]["p_C"], abs=CLOSE)
    code, _, err = said(capsys, run.path, photos / one, "--csv", tmp_path / "read.csv")
    assert code == 2 and "never overwritten" in err


def test_what_cannot_be_read_is_one_line_and_the_others_are_read(run, photos, tmp_path, capsys, draw, encode):
    (tmp_path / "in").mkdir()
    files = {
        "good.png": encode(draw("A", 1, 0)),
        "notes.jpg": b"no picture",
        "cut.png": encode(draw("A", 1, 0))[:300],
        "phone.heic": b"\0\0\0\x18ftypheic" + bytes(40),
        "a\x1b[2Jb\n.png": encode(draw("A", 1, 0)),
    }
    for name, data in files.items():
        (tmp_path / "in" / name).write_bytes(data)
    code, out, err = said(capsys, run.path, tmp_path / "in", "--quiet")
    lines = out.splitlines()
    assert code == 1 and len(lines) == 6 and lines[-1].startswith("5 photographs: 3 not read, ")
    assert "\x1b" not in out + err and any(r"a\x1b[2Jb\n.png: " in line for line in lines)
    by_name = {line.partition(": ")[0].rpartition("/")[2]: line.partition(": ")[2] for line in lines}
    assert by_name["notes.jpg"] == "not read: not an image"
    assert by_name["cut.png"].startswith("not read: damaged")
    assert by_name["phone.heic"].startswith(("not read: HEIC, pip install pillow-heif", "not read: damaged"))
    code, out, _ = said(capsys, run.path, tmp_path / "in" / "notes.jpg", "--quiet")
    assert (code, out) == (1, f"{(tmp_path / 'in' / 'notes.jpg').as_posix()}: not read: not an image\n")


def test_a_zip_that_climbs_out_is_read_and_nothing_is_written(run, tmp_path, capsys, draw, encode):
    (tmp_path / "down").mkdir()
    with zipfile.ZipFile(tmp_path / "down" / "evil.zip", "w") as archive:
        archive.writestr("../../up.png", encode(draw("B", 1, 0)))
        archive.writestr("bo\x1bxes.png", encode(draw("B", 1, 1)))
        archive.writestr("../up.csv", "image,xmin,ymin,xmax,ymax\nup.png,4,4,28,28\n")
    code, out, err = said(capsys, run.path, tmp_path / "down" / "evil.zip")
    assert code == 0 and len(out.splitlines()) == 3 and "\x1b" not in out + err
    assert "evil.zip/../../up.png: " in out
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["down", "evil.zip"]


@pytest.mark.parametrize("case", ["missing", "inside", "empty", "damaged", "encrypted", "no model", "no run", "text"])
def test_a_call_that_cannot_be_carried_out_is_one_line(case, run_copy, photos, letters_zip, tmp_path, capsys):
    photo, run = photos / next(iter(stored(run_copy))), run_copy.path
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.zip").write_bytes(letters_zip.read_bytes()[:-400])
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    if case == "no model":
        (run / "model.keras").unlink()
    if case == "encrypted":
        data = bytearray(letters_zip.read_bytes())
        for mark, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            at = data.find(mark)
            while at >= 0:
                data[at + flag] |= 1
                at = data.find(mark, at + 4)
        (tmp_path / "locked.zip").write_bytes(data)
    call, line = {
        "missing": ([run, photo, tmp_path / "gone.jpg"], "there is nothing at .*gone.jpg. Check the path"),
        "inside": ([run, letters_zip / "Z" / "gone.jpg"], "gone.jpg holds none"),
        "empty": ([run, tmp_path / "empty"], "empty holds none"),
        "damaged": ([run, tmp_path / "cut.zip"], "cut.zip is damaged or truncated"),
        "encrypted": ([run, tmp_path / "locked.zip"], "pass its password with --password"),
        "no model": ([run, photo], "This step reads model.keras"),
        "no run": ([tmp_path / "empty", photo], "A run folder holds a run.json; .*empty has none"),
        "text": ([text, photo], "A model is a whole .keras file; .*notes.txt is none"),
    }[case]
    code, out, err = said(capsys, *call)
    assert (code, out) == (2, "") and re.fullmatch(rf"casestudy: .*{line}.*\n", err), err


def test_a_mistyped_option_is_told_the_near_one(run, photos, capsys):
    code, out, err = said(capsys, run.path, photos, "--cvs", "x")
    assert (code, out) == (2, "") and "--csv" in err and err.count("\n") == 1


def test_a_run_of_folds_names_a_model(run_copy, photos):
    home = run_copy.path / "folds" / "01-user_1"
    home.mkdir(parents=True)
    shutil.move(run_copy.path / "model.keras", home / "model.keras")
    with pytest.raises(CaseStudyError, match=r"one for each person|a model for each person left out.*01-user_1"):
        casestudy.read_photographs(run_copy, photos)
    assert len(casestudy.read_photographs(home / "model.keras", photos)) == 45


@pytest.mark.parametrize("wrong", ["labels", "image_size", "schema_version", "more", "text"])
def test_an_entry_that_does_not_fit_is_one_line(wrong, run_copy, photos):
    model = run_copy.path / "model.keras"
    with zipfile.ZipFile(model) as archive:
        about = json.loads(archive.read(ENTRY))
    without_entry(model)
    other = {"labels": ["A", "B"], "image_size": [16, 16], "schema_version": 99, "more": 1}
    text = "no JSON" if wrong == "text" else json.dumps(about | {wrong: other.get(wrong)})
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr(ENTRY, text)
    with pytest.raises(DataError, match=r"model\.keras"):
        casestudy.read_photographs(model, photos / next(iter(stored(run_copy))))


def test_boxes_of_every_kind_lie_beside(tmp_path, encode):
    """YOLO's shares and COCO's corners, in a zip that names its folder otherwise; a picture without a box has none."""
    picture = encode(np.zeros((40, 80, 3), np.uint8))
    coco = {
        "images": [{"id": 1, "file_name": "b.png", "width": 80, "height": 40}],
        "annotations": [{"image_id": 1, "bbox": [8, 4, 16, 20]}],
    }
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("set/a.png", "set/b.png", "set/c.png"):
            archive.writestr(name, picture)
        archive.writestr("set/a.txt", "0 0.5 0.5 0.5 0.5\n")
        archive.writestr("set/coco.json", json.dumps(coco))
    found = {name.rpartition("/")[2]: box for name, _, box in loose_photographs(tmp_path / "a.zip")}
    assert found == {"a.png": (20.0, 10.0, 60.0, 30.0), "b.png": (8.0, 4.0, 24.0, 24.0), "c.png": None}


def test_a_loose_photograph_has_its_bytes(tmp_path, encode):
    data = encode(np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "one.jpg").write_bytes(data)
    (tmp_path / "two.jpg").write_bytes(b"other")
    assert list(loose_photographs(tmp_path / "one.jpg")) == [((tmp_path / "one.jpg").as_posix(), data, None)]
    assert [content for _, content, _ in loose_photographs(tmp_path)] == [data, b"other"]
    with io.BytesIO(data) as file:
        assert Image.open(file).size == (8, 8)
