"""Grading fails closed, tells the reason, runs nobody's code, and gives an honest grade to whatever is handed in."""

import ast
import csv
import dataclasses
import io
import json
import math
import re
import stat
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from drawn_submissions import ANSWERS, LABELS, edited, good, make_key, packed, zip_of_zeros

from casestudy.cli import main
from casestudy.errors import GradingError
from casestudy.grading import checks
from casestudy.grading.checks import CHECKS
from casestudy.grading.contents import Contents, NoEvidence
from casestudy.grading.grade import grade
from casestudy.grading.gradebook import write_gradebook
from casestudy.grading.key import FACTS, load_key, write_key
from casestudy.grading.likeness import alike, shingles
from casestudy.grading.many import grade_all
from casestudy.grading.rubric import load_rubric
from casestudy.grading.scores import merge
from casestudy.grading.strangers import people_of, too_low
from casestudy.grading.submission import Student, Submission, find_submissions, read_submission

ROOT = Path(__file__).parents[1]
RUBRIC = load_rubric(ROOT / "rubric.md")
KEY = make_key()
AUTOMATIC = {criterion.id for criterion in RUBRIC.criteria if not criterion.manual}
FIGURES = ("per-label", "confusion", "reproducible")  # what is computed again from the predictions
ALL = {criterion.id for criterion in RUBRIC.criteria}
EVERY_STEP = ("01_read_the_case", "02_import_data", "03_clean_data", "04_train", "05_results")


@pytest.fixture(scope="module")
def files():
    return good()


@pytest.fixture
def graded(tmp_path):
    """Grades files or bytes as one submission; returns the report."""

    def one(content: dict[str, bytes] | bytes, name: str = "anna.zip", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else packed(content, **options))
        return grade(read_submission(path), RUBRIC, KEY)

    return one


def statuses(report) -> dict[str, str]:
    return {result.criterion.id: result.status for result in report.results}


def why(report, name: str) -> str:
    (result,) = [result for result in report.results if result.criterion.id == name]
    return f"{result.evidence} {result.sentence}"


def assert_only(report, **expected: str) -> None:
    """These criteria have these statuses; every other automatic one is earned, and manual ones wait for a person."""
    expected = {name.replace("_", "-"): status for name, status in expected.items()}
    for name, status in statuses(report).items():
        assert status == expected.get(name, "earned" if name in AUTOMATIC else "needs review"), (
            name,
            why(report, name),
        )


def test_the_reference_earns_every_automatic_point(graded, files):
    report = graded(files)
    assert_only(report)
    assert report.points == sum(c.points for c in RUBRIC.criteria if not c.manual) == 65
    assert report.open == 35
    assert report.problems == report.remarks == ()
    assert all(result.sentence and result.evidence for result in report.results)


def test_without_anything_nothing_is_earned_and_everything_is_said(graded):
    report = graded(packed({}, manifest=False))
    assert report.points == report.open == 0
    assert set(statuses(report).values()) == {"no evidence"}
    assert report.problems == ("The zip is empty.",)


@pytest.mark.parametrize("name", sorted(good()))
def test_each_missing_file_costs_what_depends_on_it_and_no_more(name, graded, files):
    report = graded({other: data for other, data in files.items() if other != name})
    expected = dict.fromkeys(AUTOMATIC, "earned")
    for criterion in RUBRIC.criteria:
        needs = [f"run/{need}" for need in criterion.needs]
        if name in needs or (name.startswith("notebooks/") and f"answer-{name[10:12]}" in criterion.needs):
            expected[criterion.id] = "no evidence"
    if name in ("run/splits.csv", "run/predictions.csv"):
        expected |= dict.fromkeys(FIGURES, "no evidence")
    if name.startswith("notebooks/"):
        expected["notebooks"] = "partial"
    if name == "notebooks/05_results.ipynb":
        expected["confusion"] = "partial"
    got = statuses(report)
    assert {key: got[key] for key in expected} == expected


def test_an_unanswered_question_is_told_from_an_answered_one(graded, files):
    placeholder = "*Your answer: replace this line.*"
    for text, status in ((placeholder, "not earned"), (" \u200b\n", "not earned"), ("**", "not earned"),
                         (f"{placeholder}\n\nBecause people differ.", "needs review")):  # fmt: skip
        changed = edited(files, "notebooks/05_results.ipynb", lambda n, t=text: n["cells"][2].update(source=t))
        assert_only(graded(changed), conclusions=status)


def test_an_answer_in_a_cell_of_its_own_below_counts(graded, files):
    placeholder = "*Your answer: replace this line.*"

    def below(*more):
        def change(notebook):
            notebook["cells"][2]["source"] = placeholder
            notebook["cells"] += more

        return edited(files, "notebooks/05_results.ipynb", change)

    mine = {"cell_type": "markdown", "id": "a1b2", "metadata": {}, "source": "Two strangers were tested."}
    ours = {"cell_type": "markdown", "id": "hand-in", "metadata": {}, "source": "## Hand in"}
    assert_only(graded(below(mine, ours)), conclusions="needs review")
    assert_only(graded(below(ours)), conclusions="not earned")
    assert_only(graded(below()), conclusions="not earned")


def test_colab_keeps_ids_elsewhere(graded, files):
    def as_colab(notebook):
        for cell in notebook["cells"]:
            cell["metadata"]["id"] = cell.pop("id")

    changed = files
    for step in EVERY_STEP:
        changed = edited(changed, f"notebooks/{step}.ipynb", as_colab)
    assert_only(graded(changed))


# --- the ledger ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda t: t.drop(index=[3]), "partial"),
        (lambda t: t.drop(index=[3, 4, 5]), "not earned"),
        (lambda t: t.drop(index=t.index[10:]), "not earned"),
        (lambda t: t.loc[[*t.index, 0]], "partial"),
        (lambda t: t.assign(sha256=["0" * 64, *t["sha256"][1:]]), "not earned"),
        (lambda t: t.assign(sha256="0" * 64), "not earned"),
        (lambda t: t.iloc[::-1], "earned"),
    ],
    ids=["one lost", "three lost", "nearly all lost", "one twice", "one changed", "another archive", "another order"],
)
def test_nothing_lost(change, status, graded, files):
    """161 entries: one row more or less is under a hundredth; a changed one counts as lost and as invented."""
    assert statuses(graded(edited(files, "run/ledger.csv", change)))["nothing-lost"] == status


@pytest.mark.parametrize(
    ("corrupt", "status"),
    [
        ({"user_2/C1.jpg": "kept"}, "partial"),
        ({"user_1/A0.jpg": "corrupt"}, "partial"),
        ({"user_2/C1.jpg": "kept", "user_5/A0.jpg": "kept"}, "not earned"),
        ({"user_2/C1.jpg": "kept", "user_5/A0.jpg": "kept", "user_1/A0.jpg": "corrupt"}, "not earned"),
    ],
    ids=["one missed", "one sound", "none", "only a sound one"],
)
def test_corrupt_found(corrupt, status, graded, files):
    def change(table):
        table["status"] = [corrupt.get(entry, old) for entry, old in zip(table["entry"], table["status"], strict=True)]

    report = graded(edited(files, "run/ledger.csv", change))
    assert_only(report, corrupt_found=status)
    assert not any(entry in why(report, "corrupt-found") for entry in corrupt)  # the answer is not given away


# --- the split -----------------------------------------------------------------------------------------------------


def with_parts(files, part, protocol="signer"):
    """Returns the files with `part(row)` for each photograph, and the predictions of what is then the test part."""
    changed = edited(files, "run/splits.csv", lambda t: t.update(t.assign(part=[part(row) for row in t.itertuples()])))
    changed = edited(changed, "run/run.json", lambda s: s.update(protocol=protocol))
    return changed


def at_random(row):
    return ("train", "train", "validation", "test")[int(row.name.rsplit(".", 1)[0][-1])]


def test_a_random_split_is_partial_if_it_says_so_and_nothing_if_it_does_not(graded, files):
    honest = graded(with_parts(files, lambda row: at_random(row) if "user_6__B" not in row.name else "train", "random"))
    assert statuses(honest)["split"] == "partial"
    called = graded(with_parts(files, at_random, "signer"))
    assert statuses(called)["split"] == "not earned"
    assert "is said to keep signers apart, and does not" in why(called, "split")


def test_who_is_in_a_photograph_is_what_the_key_says(graded, files):
    def renamed(table):
        table["part"] = [at_random(row) for row in table.itertuples()]
        table["signer"] = table["part"]  # a signer of its own for every part

    assert statuses(graded(edited(files, "run/splits.csv", renamed)))["split"] == "not earned"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.assign(part=t["part"].mask(t["name"] == "A/user_1__A1.jpg", "left out")),
         "The test part is not whole."),
        (lambda t: t.drop(index=[9]), "not those of the archive"),
        (lambda t: t.assign(name=["A/user_9__A0.jpg", *t["name"][1:]]), "not those of the archive"),
        (lambda t: t.loc[[*t.index, 0]], "more than one row"),
        (lambda t: t.assign(part="train"), "no test part"),
        (lambda t: t.assign(part=t["part"].mask(t["name"] == "B/user_6__B1.jpg", "validation")),
         "and does not"),
    ],
    ids=["a hard one left out", "one missing", "one invented", "one twice", "no test", "one in another part"],
)  # fmt: skip
def test_a_split_that_is_not_one(change, sentence, graded, files):
    report = graded(edited(files, "run/splits.csv", change))
    assert statuses(report)["split"] == "not earned"
    assert sentence in why(report, "split")


def test_copies_in_two_parts(graded, files):
    parted = lambda row: "test" if row.name in ("B/user_6__B2.jpg", "A/user_4__A0.jpg") else "train"  # noqa: E731
    report = graded(with_parts(files, parted, "random"))
    assert statuses(report)["split"] == "not earned"
    assert "Copies" in why(report, "split")


# --- the training --------------------------------------------------------------------------------------------------


def test_another_model(graded, files):
    named = edited(files, "run/run.json", lambda s: s["study"]["model"].update(name="small_cnn"))
    assert_only(graded(named), model="partial")
    counted = edited(named, "run/training.json", lambda t: t.update(parameters=390_000))
    assert_only(graded(counted), model="not earned")
    for nonsense in (None, "many", [], {"a": 1}, True):
        changed = edited(files, "run/training.json", lambda t, n=nonsense: t.update(parameters=n))
        assert_only(graded(changed), model="partial")


def test_one_phase_renamed_two(graded, files):
    """The first phase's rows once more under another name: rate and proof give it away."""

    def twice(table):
        head = table[table["phase"] == "head"]
        return type(table)([*head.to_dict("records"), *head.assign(phase="fine-tune").to_dict("records")])

    history = edited(files, "run/history.csv", twice)
    assert_only(graded(history), phase_2="partial")  # everything else in the folder shows a second phase
    one = edited(history, "run/training.json", lambda t: t["largest_change"].pop("fine-tune") and None)
    assert_only(graded(one), phase_2="not earned")
    copied = edited(
        history,
        "run/training.json",
        lambda t: t.update(largest_change=dict.fromkeys(("head", "fine-tune"), t["largest_change"]["head"])),
    )
    assert_only(graded(copied), phase_2="not earned")
    renamed = edited(files, "run/history.csv", lambda t: t.assign(phase="all"))
    assert_only(graded(renamed), phase_1="not earned", phase_2="not earned")


@pytest.mark.parametrize(
    ("phase", "kind", "value", "expected"),
    [
        ("fine-tune", "BatchNormalization", 1e-9, {"phase_2": "not earned"}),
        ("fine-tune", "BatchNormalization", None, {"phase_2": "not earned"}),
        ("fine-tune", "BatchNormalization", "0", {"phase_2": "not earned"}),
        ("head", "BatchNormalization", 0.1, {"phase_1": "not earned", "phase_2": "not earned"}),
        ("fine-tune", "Conv2D", 0.0, {"phase_2": "partial"}),
        ("head", "Conv2D", 0.1, {"phase_1": "not earned"}),
        ("head", "Dense", 0.0, {"phase_1": "not earned"}),
    ],
)
def test_what_moved_decides(phase, kind, value, expected, graded, files):
    changed = edited(files, "run/training.json", lambda t: t["largest_change"][phase].update({kind: value}))
    assert_only(graded(changed), **expected)


def test_the_second_rate_must_be_smaller(graded, files):
    rate = lambda t: t["value"].mask((t["metric"] == "learning_rate") & (t["phase"] == "fine-tune"), "0.001")  # noqa: E731
    assert_only(graded(edited(files, "run/history.csv", lambda t: t.assign(value=rate(t)))), phase_2="partial")


def test_every_fold_is_looked_at(graded, files):
    names = ("run/history.csv", "run/training.json")
    rest = {name: data for name, data in files.items() if name not in names}
    folds = {f"run/folds/{k:02d}-user_{k}/{n[4:]}": files[n] for k in range(1, 9) for n in names}
    assert_only(graded({**rest, **folds}))
    changed = edited(
        {**rest, **folds}, "run/folds/08-user_8/training.json",
        lambda t: t["largest_change"]["fine-tune"].update(BatchNormalization=0.2),
    )  # fmt: skip
    report = graded(changed)
    assert_only(report, phase_2="not earned")
    assert "08-user_8" in why(report, "phase-2")


# --- the numbers ---------------------------------------------------------------------------------------------------


def swapped(one, two):
    return lambda t: t.rename(columns={one: two, two: one})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.assign(p_A=["nan", *t["p_A"][1:]]), "'nan' in column p_A is no probability"),
        (lambda t: t.assign(p_A=["1e400", *t["p_A"][1:]]), "'1e400' in column p_A is no probability"),
        (lambda t: t.assign(p_A=["-0.1", *t["p_A"][1:]]), "'-0.1'"),
        (lambda t: t.assign(p_A=["", *t["p_A"][1:]]), "row 1: '' in column p_A"),
        (lambda t: t.assign(p_A=["0.99", *t["p_A"][1:]], p_B=["0.99", *t["p_B"][1:]]), "add up to"),
        (lambda t: t.drop(columns="p_E"), "no column 'p_E'"),
        (lambda t: t.drop(index=[4]), "missing: 1, of another part: 0"),
        (lambda t: t.loc[[*t.index, 4]], "has 1 photograph more than once"),
        (lambda t: t.assign(name=["A/user_9__A0.jpg", *t["name"][1:]]), "the archive does not have"),
        (lambda t: t.assign(name=["A/user_5__A1.jpg", *t["name"][1:]]), "missing: 1, of another part: 1"),
        (lambda t: t.assign(label=t["label"].iloc[::-1].to_list()), "another label than the archive to"),
        (swapped("label", "name"), "the archive does not have"),
        (lambda t: t.iloc[:0], "no rows"),
    ],
    ids=["NaN", "1e400", "negative", "empty cell", "sum", "column missing", "row missing", "row repeated", "unknown",
         "of training", "labels shuffled", "columns swapped", "no rows"],
)  # fmt: skip
def test_predictions_that_are_none(change, reason, graded, files):
    report = graded(edited(files, "run/predictions.csv", change))
    assert_only(report, **{name.replace("-", "_"): "no evidence" for name in FIGURES})
    assert all(reason in why(report, name) for name in FIGURES)
    assert report.score == ""


def test_swapped_probabilities_are_other_predictions(graded, files):
    report = graded(edited(files, "run/predictions.csv", swapped("p_A", "p_B")))
    assert_only(report, per_label="not earned", confusion="not earned", reproducible="not earned")


def test_labels_that_were_made_right_do_not_help(graded, files):
    """What the table says about itself is not believed: 'predicted', 'loss' and 'confidence' are computed again."""
    changed = edited(files, "run/predictions.csv", lambda t: t.assign(predicted=t["label"], loss="0", confidence="1"))
    assert graded(changed).score == graded(files).score


def test_edited_metrics(graded, files):
    better = edited(files, "run/metrics.json", lambda m: m["scores"][0].update(accuracy=0.999))
    report = graded(better)
    assert_only(report, reproducible="partial")
    true = json.loads(files["run/metrics.json"])["scores"][0]["accuracy"]
    assert f"0.999, the predictions give {true:.4f}" in why(report, "reproducible")
    both = edited(better, "run/metrics.json", lambda m: m["scores"][0].update(loss=math.pi))
    assert_only(graded(both), reproducible="not earned")
    for nonsense in ({}, {"scores": 3}, {"scores": []}, {"scores": [None, "x"]}, {"scores": {"name": "headline"}}):
        assert_only(graded(edited(files, "run/metrics.json", lambda m, n=nonsense: n)), reproducible="not earned")


def test_another_archive(graded, files):
    changed = edited(files, "run/run.json", lambda s: s["data"].update(sha256="cd" * 32))
    assert_only(graded(changed), reproducible="partial")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda t: t.drop(index=[2]), "partial"),
        (lambda t: t.assign(accuracy=["1.0"] * len(t)), "not earned"),
        (lambda t: t.assign(loss=["nan"] * len(t)), "not earned"),
        (lambda t: t.loc[[*t.index, 0]], "not earned"),
        (lambda t: t.assign(label=["Z", *t["label"][1:]]), "not earned"),
        (lambda t: t.iloc[::-1], "earned"),
    ],
)
def test_per_label(change, status, graded, files):
    assert_only(graded(edited(files, "run/per_label.csv", change)), per_label=status)


def test_a_confusion_matrix_from_elsewhere(graded, files):
    other = {**files, "run/confusion.csv": good(seed=8, skill=0.5)["run/confusion.csv"]}
    assert_only(graded(other), confusion="not earned")
    turned = edited(files, "run/confusion.csv", lambda t: t.assign(label=t["label"].iloc[::-1].to_list()))
    assert_only(graded(turned), confusion="not earned")
    undrawn = edited(files, "notebooks/05_results.ipynb", lambda n: n["cells"][1].update(outputs=[]))
    assert_only(graded(undrawn), confusion="partial")


# --- the notebooks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda n: n["cells"][1].update(execution_count=None), "partial"),
        (lambda n: n["cells"][0].update(execution_count=5), "partial"),
        (lambda n: n["cells"][1].update(outputs=[{"output_type": "error", "ename": "<b>NameError</b>"}]), "not earned"),
    ],
    ids=["not run", "out of order", "error"],
)
def test_notebooks(change, status, graded, files):
    assert_only(graded(edited(files, "notebooks/03_clean_data.ipynb", change)), notebooks=status)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"cells": 3}', b'{"cells": [1]}', b"\xff\xfe\x00", b"[" * 99_999]
)
def test_a_notebook_that_is_none(content, graded, files):
    report = graded({**files, "notebooks/02_import_data.ipynb": content})
    assert_only(report, notebooks="partial", **{"import": "no evidence"})
    assert "02_import_data" in why(report, "notebooks")


# --- zips that mean harm -------------------------------------------------------------------------------------------

HOSTILE = (
    *("cut off", "empty", "formula", "long output", "many cells", "many entries", "model", "names", "nested", "no zip"),
    *("script", "utf-16", "zeros"),
)
PLANTED = "raise SystemExit('planted code ran')"
HOSTILE_NAMES = ("../../escaped.csv", "/tmp/escaped.csv", "C:\\escaped.csv", "run/../../escaped.csv", "run\\ledger.csv")


@cache
def hostile() -> dict[str, tuple[bytes, dict[str, str]]]:
    """What is in the zip, and what it earns less than the reference (empty: nothing less)."""
    files, nothing = good(), dict.fromkeys(ALL, "no evidence")
    script = "<script>alert(1)</script>"
    in_every_string = files
    for name in ("run/run.json", "run/metrics.json", "run/training.json"):
        in_every_string = edited(
            in_every_string, name, lambda v: {script: script, "study": {"model": {"name": script}}}
        )
    in_every_string = edited(in_every_string, "run/ledger.csv", lambda t: t.assign(entry=script, status=script))
    in_every_string = edited(in_every_string, "run/splits.csv", lambda t: t.assign(name=script))
    in_every_string = edited(in_every_string, "run/predictions.csv", lambda t: t.assign(name=script))
    utf16 = {name: data.decode().encode("utf-16") for name, data in files.items()}
    long = edited(
        files, "notebooks/04_train.ipynb", lambda n: n["cells"][0].update(outputs=[{"text": "x" * 200_000_000}])
    )
    model = {
        **files,
        "run/model.keras": PLANTED.encode(),
        "run/model.pkl": b"cposix\nsystem\n(S'x'\ntR.",
        "setup.py": PLANTED.encode(),
    }
    swollen = {
        **files,
        "run/splits.csv": b"name,part\n" + b"a,b\n" * 1_900_000,
        "run/predictions.csv": b"name,"
        + b",".join(b"%d" % k for k in range(3_000))
        + (b"\n" + b"1," * 3_000 + b"1") * 1_300,
        "notebooks/04_train.ipynb": b'{"cells": [' + b"{}," * 1_600_000 + b"{}]}",
    }
    formula = edited(files, "run/run.json", lambda s: s.update(protocol='=HYPERLINK("http://x")'))
    figures = dict.fromkeys(FIGURES, "no evidence")
    return {
        "empty": (packed({}, manifest=False), nothing),
        "no zip": (b"%PDF-1.7 my essay", nothing),
        "cut off": (packed(files)[:-400], nothing),
        "zeros": (zip_of_zeros("run/predictions.csv", 10), nothing),
        "many entries": (packed({f"run/{k}": b"" for k in range(100_000)}, manifest=False), nothing),
        "many cells": (packed(swollen), {**figures, "split": "no evidence", "notebooks": "partial"}),
        "nested": (packed({"submission.zip": packed({"submission.zip": packed(files)})}), nothing),
        "names": (packed({**files, **dict.fromkeys(HOSTILE_NAMES, b"entry,sha256\n")}), {}),
        "model": (packed(model), {}),
        "utf-16": (packed(utf16), {}),
        "formula": (packed(formula), {}),
        "long output": (packed(long), {"phase-1": "earned", "notebooks": "partial", "precautions": "no evidence"}),
        "script": (
            packed(in_every_string, student=script),
            {**figures, "nothing-lost": "not earned", "corrupt-found": "not earned", "split": "not earned",
             "model": "not earned", "phase-1": "not earned", "phase-2": "not earned"},
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_gets_an_honest_grade(name, graded):
    content, expected = hostile()[name]
    report = graded(content)
    got = statuses(report)
    assert {key: got[key] for key in expected} == expected
    if not expected:
        assert_only(report)
    if name in ("names", "model", "nested", "zeros", "many entries", "no zip", "cut off", "long output"):
        assert report.problems


def test_links_and_repeated_files_are_not_read(tmp_path, files):
    path = tmp_path / "anna.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            if name == "run/ledger.csv":
                info.external_attr, data = (stat.S_IFLNK | 0o777) << 16, b"/etc/passwd"
            archive.writestr(info, data)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("run/splits.csv", files["run/splits.csv"])
    report = grade(read_submission(path), RUBRIC, KEY)
    assert {"run/ledger.csv was not read: it is a link.", "run/splits.csv was not read: it is there twice."} <= set(
        report.problems
    )
    got = statuses(report)
    assert got["nothing-lost"] == got["split"] == "no evidence"


def test_what_was_changed_after_packing_is_said_and_costs_nothing_by_itself(tmp_path, files):
    path = tmp_path / "anna.zip"
    content = packed(files)
    with zipfile.ZipFile(path, "w") as archive, zipfile.ZipFile(io.BytesIO(content)) as source:
        for name in source.namelist():
            archive.writestr(name, source.read(name) + (b"\n" if name == "run/run.json" else b""))
    report = grade(read_submission(path), RUBRIC, KEY)
    assert_only(report)
    assert report.remarks == ("Changed, added or removed after packing: run/run.json.",)


def test_a_whole_folder_of_them(tmp_path, files, capsys, monkeypatch):
    """Through the command line: nothing outside the output folder, harmless pages and tables, the same bytes twice."""
    inbox, work = tmp_path / "in box", tmp_path / "work"
    inbox.mkdir(), work.mkdir()
    monkeypatch.chdir(work)
    names = {name: f"{name.replace(' ', '-')}_{k}_99_submission.zip" for k, name in enumerate(hostile(), 100)}
    names["formula"] = "=cmd|' C calc'!A0_777_99_submission.zip"
    names["utf-16"] = "\u202ezip\u200b<script>_778_99_submission.zip"
    for name, (content, _) in hostile().items():
        (inbox / names[name]).write_bytes(content)
    (inbox / "good_1_99_submission.zip").write_bytes(packed(files, student="good"))
    (inbox / "copy_2_99_submission.zip").write_bytes(packed(files, student="somebody else"))
    (inbox / "notes_3_99_essay.docx").write_bytes(b"PK\x03\x04 no")
    (inbox / ".DS_Store").write_bytes(b"x")
    (inbox / "link_4_99_submission.zip").symlink_to("/etc/passwd")
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"schema_version": 1, **dataclasses.asdict(KEY)}))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()}
    for out in ("one", "two"):
        assert main(["grade", str(inbox), "--key", str(key), "--rubric", str(ROOT / "rubric.md"), "--out", out]) == 0
    made = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink() and path not in before]
    assert all(path.is_relative_to(work / "one") or path.is_relative_to(work / "two") for path in made)
    assert all(path.read_bytes() == data for path, data in before.items())
    for path in (work / "one").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (work / "two" / path.relative_to(work / "one")).read_bytes()
    pages = [path.read_text() for path in made if path.suffix == ".html"]
    assert len(pages) == 2 * (len(names) + 3 + 1)
    assert not any("<script" in page for page in pages)
    assert not any(mark in page for page in pages for mark in ("\u202e", "\u200b"))
    for table in work.rglob("*.csv"):
        cells = [cell for row in csv.reader(table.open()) for cell in row]
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    rows = list(csv.DictReader((work / "one" / "grades.csv").open()))
    assert len(rows) == len(names) + 3
    points = {row["file"].split("_")[0]: float(row["points"]) for row in rows}
    assert points["good"] == points["copy"] == 65
    assert points["notes"] == points["empty"] == points["zeros"] == 0
    overview = (work / "one" / "overview.html").read_text()
    assert re.search("Shares with .*good_1_99", overview)
    assert "The submission says it is somebody else" in overview
    for path in work.glob("one/students/*/results.json"):
        result = json.loads(path.read_text())
        assert result["score"] == sum(test["score"] for test in result["tests"])
        assert len(result["tests"]) == len(RUBRIC.criteria)
    (work / "one" / "gradebook.sqlite").unlink()
    assert main(["grade", str(inbox), "--key", str(key), "--out", "one"]) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_a_check_that_breaks_costs_nobody_anything_and_stops_nothing(graded, files, monkeypatch):
    def broken(found):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setitem(checks.CHECKS, "nothing_lost", broken)
    report = graded(files)
    assert_only(report, nothing_lost="needs review")
    assert "a person will" in why(report, "nothing-lost")
    assert report.open == 45
    assert report.points == 55  # nothing is given before a person has looked


def test_a_file_that_breaks_grading_itself_is_left_to_a_person(tmp_path, files, monkeypatch):
    from casestudy.grading import grade as grading

    real = grading._prints

    def broken(found, rubric):
        if "ben" in found.submission.source:
            raise ZeroDivisionError("a fault of ours")
        return real(found, rubric)

    monkeypatch.setattr(grading, "_prints", broken)
    reports = batch(tmp_path, anna=files, ben=files, cleo=good(seed=8))
    assert reports["anna"].points == reports["cleo"].points == 65
    assert reports["ben"].open == 100
    assert any("Grading broke on this file (ZeroDivisionError" in remark for remark in reports["ben"].remarks)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_bytes_never_break_it(seed, tmp_path, files):
    chance, path, content = np.random.default_rng(seed), tmp_path / "anna.zip", packed(files)
    for _ in range(25):
        damaged = bytearray(content)
        for place in chance.integers(0, len(content), chance.integers(1, 40)):
            damaged[place] = chance.integers(256)
        path.write_bytes(damaged[: chance.integers(1, len(content))] if chance.random() < 0.3 else damaged)
        assert 0 <= grade(read_submission(path), RUBRIC, KEY).points <= 65


@pytest.mark.parametrize(
    ("outside", "inside", "remarked"),
    [
        ("muelleranna", "Anna Müller", False),
        ("mulleranna", "Anna Müller", False),
        ("Anna Müller", "müller, anna", False),
        ("muelleranna", "", False),
        ("muelleranna", "Ben Berg", True),
    ],
)
def test_somebody_elses_submission_is_pointed_out(outside, inside, remarked, graded, files):
    report = graded(files, name=f"{outside}_12_34_submission.zip", student=inside)
    assert any(inside in remark for remark in report.remarks if inside) == remarked
    assert_only(report)


# --- likeness ------------------------------------------------------------------------------------------------------


def batch(tmp_path, **submissions):
    for name, files in submissions.items():
        (tmp_path / f"{name}.zip").write_bytes(packed(files))
    return {report.student.name: report for report in grade_all(find_submissions([tmp_path]), RUBRIC, KEY)}


def test_likeness_is_pointed_out_and_costs_nothing(tmp_path, files):
    words = " ".join(ANSWERS.values())

    def own(text):
        return edited(files, "notebooks/05_results.ipynb", lambda n: n["cells"][2].update(source=text))

    other = good(seed=8)
    for step in EVERY_STEP:
        text = f"{step} in quite other words than anybody else would ever choose for a question as simple as this one"
        other = edited(other, f"notebooks/{step}.ipynb", lambda n, t=text: n["cells"][2].update(source=t))
    copied = edited(other, "run/run.json", lambda s: s.update(seed=9))
    copied |= {name: data for name, data in files.items() if name == "run/predictions.csv"}
    reports = batch(tmp_path, anna=own(words), ben=own(words + " Also, more people."), cleo=other, dan=copied)
    assert any("every prediction (both have seed 7, which on equal machines" in r for r in reports["anna"].remarks)
    assert any("answer-05" in r and "ben" in r for r in reports["anna"].remarks)
    assert any("every prediction, though their seeds differ" in r and "dan" in r for r in reports["anna"].remarks)
    assert not any("anna" in r or "ben" in r for r in reports["cleo"].remarks)
    assert reports["anna"].points == 65


# --- what an instructor adds ---------------------------------------------------------------------------------------


def test_own_points_and_comments_finish_the_totals(tmp_path, files):
    reports = list(batch(tmp_path / "in" if (tmp_path / "in").mkdir() is None else tmp_path, anna=files).values())
    write_gradebook(reports, RUBRIC, tmp_path / "first")
    rows = list(csv.DictReader((tmp_path / "first" / "scores.csv").open(encoding="utf-8-sig")))
    assert [row["criterion"] for row in rows] == [c.id for c in RUBRIC.criteria if c.manual]
    assert ANSWERS["answer-05"] in [row["answer"] for row in rows]
    for row in rows:
        row["points"] = {"reading": "5", "import": "2,5", "cleaning": "0"}.get(row["criterion"], row["most"])
        row["comment"] = "{people} Well done." if row["criterion"] == "reading" else ""
    scores, bank = tmp_path / "scores.csv", tmp_path / "comments.csv"
    with scores.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    bank.write_text("name,comment\npeople,You name the people.\n")
    (done,) = merge(reports, scores, bank)
    assert done.points == 65 + 5 + 2.5 + 0 + 5 + 10 + 5
    assert done.open == 0
    got = {result.criterion.id: result for result in done.results}
    assert got["reading"].comment == "You name the people. Well done."
    assert [got[name].status for name in ("reading", "import", "cleaning")] == ["earned", "partial", "not earned"]
    write_gradebook([done], RUBRIC, tmp_path / "final")
    page = next((tmp_path / "final").glob("students/*/feedback.html")).read_text()
    assert "You name the people. Well done." in page
    for said in ("✓ earned", "◐ partial", "✗ not earned"):  # a sign beside the colour
        assert f">{said}</span>" in page
    overview = (tmp_path / "final" / "overview.html").read_text()
    counts = re.findall(r'<span class="counts" aria-hidden="true">([^<]*)</span>', overview)
    assert [text.strip() for text in counts][:3] == ["✓ 1", "◐ 1", "✓ 1"]  # reading, import, nothing lost


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file,criterion,points,comment\nanna.zip,reading,6,\n", "line 2: points go from 0 to 5; received '6'"),
        ("file,criterion,points,comment\nanna.zip,reading,nan,\n", "line 2: points go from 0 to 5"),
        ("file,criterion,points,comment\nanna.zip,singing,6,\n", "line 2: there is no criterion 'singing'"),
        ("file,criterion,points,comment\nben.zip,reading,1,\n", "for a file 'ben.zip'"),
        (
            "file,criterion,points,comment\nanna.zip,reading,1,\nanna.zip,reading,2,\n",
            "line 3: reading of anna.zip is there",
        ),
        ("file,criterion,points,comment\nanna.zip,reading,1,{late}\n", "no comment {late} in the bank"),
        ("file,criterion,comment\nanna.zip,reading,\n", "it lacks points"),
    ],
)
def test_scores_that_do_not_fit_name_their_line(text, reason, tmp_path, files):
    (tmp_path / "in").mkdir()
    reports = list(batch(tmp_path / "in", anna=files).values())
    scores = tmp_path / "scores.csv"
    scores.write_text(text)
    with pytest.raises(GradingError) as caught:
        merge(reports, scores)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_appeal_outweighs_a_check(tmp_path, files):
    (tmp_path / "in").mkdir()
    reports = list(batch(tmp_path / "in", anna=edited(files, "run/ledger.csv", lambda t: t.drop(index=[3]))).values())
    scores = tmp_path / "scores.csv"
    scores.write_text("file,criterion,points,comment\nanna.zip,nothing-lost,10,The archive had changed.\n")
    (done,) = merge(reports, scores)
    assert done.points == reports[0].points + 5 == 65


# --- key, hidden test, promises ------------------------------------------------------------------------------------


def test_a_key_comes_back_as_written_and_is_never_overwritten(finished_run, tmp_path):
    key = write_key(finished_run, tmp_path / "key.json")
    assert load_key(tmp_path / "key.json") == key
    ledger = finished_run.read_table("ledger.csv")
    assert len(key.ledger) == len(ledger)
    assert set(key.photographs) == set(ledger["stored_as"][ledger["status"].isin(["kept", "duplicate"])])
    with pytest.raises(GradingError, match="never overwritten"):
        write_key(finished_run, tmp_path / "key.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1, "study": "asl"}'])
def test_a_key_that_is_none(text, tmp_path):
    (tmp_path / "key.json").write_text(text)
    with pytest.raises(GradingError, match="casestudy key RUN") as caught:
        load_key(tmp_path / "key.json")
    assert "\n" not in str(caught.value)


def hidden_table(key, right: int) -> bytes:
    rows = []
    for k, (name, (label, _)) in enumerate(sorted(key.hidden.items())):
        read = label if k < right else LABELS[(LABELS.index(label) + 1) % len(LABELS)]
        rows.append([name, *(1.0 if read == one else 0.0 for one in LABELS)])
    lines = [",".join(["name", *(f"p_{one}" for one in LABELS)]), *(",".join(map(str, row)) for row in rows)]
    return "\n".join(lines).encode() + b"\n"


def test_the_hidden_test_asks_whether_the_claim_holds(tmp_path, files):
    key = make_key(hidden={f"unlabelled/{k:05d}.jpg": (LABELS[k % 5], f"user_{k % 3}") for k in range(60)})
    text = (ROOT / "rubric.md").read_text().rstrip("\n")
    rubric_file = tmp_path / "rubric.md"
    row = "| hidden | 10 | It holds on strangers | holds | lower | none | `hidden_predictions.csv` | hidden_test |\n"
    rubric_file.write_text(f"{text}\n{row}")
    rubric = load_rubric(rubric_file)

    def status(content):
        (tmp_path / "s.zip").write_bytes(packed({**files, **content}))
        return grade(read_submission(tmp_path / "s.zip"), rubric, key).results[-1].status

    assert status({}) == "no evidence"
    assert status({"run/hidden_predictions.csv": hidden_table(key, 55)}) == "earned"
    assert status({"run/hidden_predictions.csv": hidden_table(key, 10)}) == "partial"
    assert status({"run/hidden_predictions.csv": hidden_table(key, 55).rsplit(b"\n", 2)[0]}) == "no evidence"


def test_gradescope_always_finds_its_file(tmp_path, files, capsys):
    (tmp_path / "submission.zip").write_bytes(packed(files))
    (tmp_path / "key.json").write_text(json.dumps({"schema_version": 1, **dataclasses.asdict(KEY)}))
    call = [
        "grade",
        str(tmp_path / "submission.zip"),
        "--rubric",
        str(ROOT / "rubric.md"),
        "--out",
        str(tmp_path / "g"),
    ]
    found = tmp_path / "autograder" / "results.json"
    assert main([*call, "--key", str(tmp_path / "key.json"), "--gradescope", str(found)]) == 0
    assert json.loads(found.read_text())["score"] == 65
    other = tmp_path / "other.json"
    assert main([*call, "--key", str(tmp_path / "nowhere.json"), "--gradescope", str(other)]) == 2
    failed = json.loads(other.read_text())
    assert failed["score"] == 0
    assert "there is no file" in failed["output"]
    assert "Traceback" not in capsys.readouterr().err


MODELS_OWN = "hidden"  # the student's side of the hidden test, which needs the model
GRADERS = (
    "cli/grading.py",
    *sorted(f"grading/{p.name}" for p in (ROOT / "casestudy" / "grading").glob("*.py") if p.stem != MODELS_OWN),
)


def test_grading_loads_without_tensorflow():
    modules = ", ".join("casestudy." + name.removesuffix(".py").replace("/", ".") for name in GRADERS)
    heavy = ("tensorflow", "keras", "matplotlib", "nbclient")
    code = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", GRADERS)
def test_graders_run_nothing_that_was_handed_in(name):
    nodes = list(ast.walk(ast.parse((ROOT / "casestudy" / name).read_text())))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert not names & {"eval", "exec", "compile", "__import__", "open"}
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            used |= {part for alias in node.names for part in alias.name.split(".")}
            used |= set((getattr(node, "module", "") or "").split("."))
        used |= {keyword.arg for keyword in node.keywords} if isinstance(node, ast.Call) else set()
    assert not used & {"pickle", "allow_pickle", "load_model", "nbclient", "nbconvert", "subprocess", "importlib"}
    assert not used & {"extract", "extractall", "system", "popen"}


def test_every_check_is_named_in_the_rubric_or_optional():
    assert {criterion.check for criterion in RUBRIC.criteria} - {"manual"} == set(CHECKS) - {"hidden_test"}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_stays_small(tmp_path):
    """All hostile zips in one process, under 500 MB: what a broken limit would need is gigabytes."""
    for name, (content, _) in hostile().items():
        (tmp_path / f"{name}.zip").write_bytes(content)
    (tmp_path / "key.json").write_text(json.dumps({"schema_version": 1, **dataclasses.asdict(KEY)}))
    arguments = ["grade", str(tmp_path), "--key", str(tmp_path / "key.json"), "--quiet"]
    arguments += ["--rubric", str(ROOT / "rubric.md"), "--out", str(tmp_path / "out")]
    code = f"from casestudy.cli import main; main({arguments!r}); print(open('/proc/self/status').read())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1])
    assert peak < 500_000


def test_numbers_are_recomputed_as_numpy_would(files, graded):
    table = np.genfromtxt(io.StringIO(files["run/predictions.csv"].decode()), delimiter=",", dtype=str, skip_header=1)
    header = files["run/predictions.csv"].decode().splitlines()[0].split(",")
    probabilities = table[:, [header.index(f"p_{label}") for label in LABELS]].astype(float)
    truth = table[:, header.index("label")]
    accuracy = np.mean(np.array(LABELS)[probabilities.argmax(1)] == truth)
    loss = -np.log(probabilities[np.arange(len(truth)), [LABELS.index(label) for label in truth]]).mean()
    assert f"{100 * accuracy:.1f} % of {len(truth)} test photographs" in graded(files).score
    assert f"loss {loss:.2f}" in graded(files).score


# --- just inside and just outside ----------------------------------------------------------------------------------


def test_a_figure_may_be_written_with_five_digits_and_not_with_four(graded, files):
    """The tolerance is a hundred-thousandth: half of it passes, twice as much does not."""
    for name, criterion in (("run/metrics.json", "reproducible"), ("run/per_label.csv", "per-label")):
        for what in ("accuracy", "loss"):
            for off, earned in ((5e-6, True), (-5e-6, True), (2e-5, False), (-2e-5, False)):

                def change(values, what=what, off=off):
                    if isinstance(values, dict):
                        values["scores"][0][what] += off
                    else:
                        values[what] = [str(float(cell) + off) for cell in values[what]]

                status = statuses(graded(edited(files, name, change)))[criterion]
                assert (status == "earned") == earned, (name, what, off, status)


def test_half_of_the_ledger_is_another_archives_and_a_hundredth_is_a_slip(tmp_path, files):
    """200 entries, of which 100 or 101 have other bytes; two rows may be lost, or one lost and one invented."""
    rows = [dict.fromkeys(FACTS, "") | {"entry": f"{k}.txt", "sha256": f"{k:064}"} for k in range(200)]
    rows = [row | {"status": "sidecar", "stored_as": f"_sidecar/{row['entry']}"} for row in rows]
    key = make_key(ledger=tuple(rows))

    def outcome(change):
        table = "entry,sha256\n" + "".join(f"{row['entry']},{row['sha256']}\n" for row in change(rows))
        submission = Submission("anna.zip", Student("anna"), {"run/ledger.csv": table.encode()})
        return checks.nothing_lost(Contents(submission, key))

    other = [row | {"sha256": "f" * 64} for row in rows]
    assert outcome(lambda rows: rows).status == "earned"
    assert outcome(lambda rows: rows[2:]).status == "partial"
    assert outcome(lambda rows: [*rows[1:], other[0]]).status == "partial"
    assert outcome(lambda rows: rows[3:]).status == "not earned"
    half, more = (outcome(lambda rows, n=n: [*other[:n], *rows[n:]]) for n in (100, 101))
    assert (half.status, more.status) == ("not earned", "not earned")
    assert "Lost or changed: 100 entries; belonging to none: 100 rows." in half.sentence
    assert "another archive" in more.sentence


def test_what_salvage_gave_up_is_lost_whatever_its_row_says(files):
    """200 entries, one of which the submission calls lost: with the hash of the original or without."""
    rows = [{"entry": f"{k}.txt", "sha256": f"{k:064}", "status": "sidecar"} for k in range(200)]
    blank = dict.fromkeys(FACTS, "")

    def outcome(theirs, ours):
        key = make_key(ledger=tuple(blank | row for row in ours))
        table = "entry,sha256,status\n" + "".join(",".join(row.values()) + "\n" for row in theirs)
        submission = Submission("anna.zip", Student("anna"), {"run/ledger.csv": table.encode()})
        return checks.nothing_lost(Contents(submission, key))

    lost = [rows[0] | {"sha256": "", "status": "lost"}, *rows[1:]]
    claimed = [rows[0] | {"status": "lost"}, *rows[1:]]
    for theirs in (lost, claimed):
        found = outcome(theirs, rows)
        assert found.status == "partial"
        assert "--salvage gave up 1 entry" in found.hint
    found = outcome(lost, lost)
    assert found.status == "earned"
    assert "but for 1 entry lost in the key, too" in found.sentence
    assert "lost" not in outcome(rows, rows).sentence


def test_the_largest_rate_of_a_phase_counts_and_one_epoch_is_no_learning(graded, files):
    def rates(head, tuned):
        given = {"head": iter(head), "fine-tune": iter(tuned)}
        return lambda t: t.assign(
            value=[
                next(given[phase]) if metric == "learning_rate" else value
                for phase, metric, value in zip(t["phase"], t["metric"], t["value"], strict=True)
            ]
        )

    warm = edited(files, "run/history.csv", rates(("1e-4", "1e-3", "1e-4"), ("1e-5", "5e-4", "1e-5")))
    assert_only(graded(warm))
    late = edited(files, "run/history.csv", rates(("1e-3", "1e-3", "1e-3"), ("1e-5", "2e-3", "1e-5")))
    assert_only(graded(late), phase_2="partial")
    short = edited(files, "run/history.csv", lambda t: t[(t["phase"] != "head") | (t["epoch"] == "1")])
    assert_only(graded(short), phase_1="partial")


def test_quarantine_with_a_sound_file_is_no_full_credit_and_left_out_copies_are_no_matter(graded, files):
    more = edited(
        files,
        "run/ledger.csv",
        lambda t: t["status"].mask(t["entry"] == "user_1/A0.jpg", "corrupt").to_frame().join(t.drop(columns="status")),
    )
    assert statuses(graded(more))["corrupt-found"] == "partial"
    apart = edited(
        files, "run/splits.csv", lambda t: t.assign(part=t["part"].mask(t["name"] == "B/user_6__B2.jpg", "left out"))
    )
    assert_only(graded(apart))  # its copy trains


def test_hidden_answers_belong_to_their_names(files, tmp_path):
    """Rows in any order; and the claim is what chance could have made of it, not the number itself."""
    names = {f"unlabelled/{k:05d}.jpg": LABELS[k % 5] for k in range(60)}
    key = make_key(hidden={name: (label, f"user_{k % 3}") for k, (name, label) in enumerate(names.items())})
    header, *rows = hidden_table(key, 60).decode().splitlines()
    claimed = Contents(Submission("a.zip", Student("a"), files), key).evaluation

    def outcome(table, evaluation=claimed):
        content = {**files, "run/hidden_predictions.csv": "\n".join(table).encode()}
        contents = Contents(Submission("a.zip", Student("a"), content), key)
        vars(contents)["evaluation"] = evaluation
        return checks.hidden_test(contents)

    assert "100.0 % of 60" in outcome([header, *rows]).evidence
    assert "100.0 % of 60" in outcome([header, *rows[::-1]]).evidence
    # How far luck can take it down is held by simulation in tests/test_hidden.py; here, that the verdict follows it.
    known, hidden = people_of(claimed.predictions["predicted"] == claimed.predictions["label"],
                              claimed.predictions["signer"]), lambda right: people_of(
        [k < right for k in range(60)], [f"user_{k % 3}" for k in range(60)])  # fmt: skip
    fewest = min(right for right in range(61) if not too_low(known, hidden(right)).too_low)
    assert 0 < fewest < 60
    assert outcome(hidden_table(key, fewest).decode().splitlines()).status == "earned"
    assert outcome(hidden_table(key, fewest - 1).decode().splitlines()).status == "partial"


def test_probabilities_add_up_to_one_but_for_rounding(graded, files):
    for off, sound in ((9e-4, True), (1.1e-3, False), (-1.1e-3, False)):
        changed = edited(
            files,
            "run/predictions.csv",
            lambda t, o=off: t.assign(p_A=[str(float(p) * (1 + o / float(p))) for p in t["p_A"]]),
        )
        report = graded(changed)
        assert any("add up to" in why(report, name) for name in FIGURES) == (not sound), off


def test_a_table_may_have_as_many_cells_as_the_limit(files, monkeypatch):
    content = b"name,part\n" + b"a,train\n" * 50
    found = Contents(Submission("a.zip", Student("a"), {"run/splits.csv": content}), KEY)
    monkeypatch.setattr("casestudy.grading.contents.MOST_CELLS", 100)
    assert len(found.table("run/splits.csv", ("name",))) == 50
    monkeypatch.setattr("casestudy.grading.contents.MOST_CELLS", 99)
    with pytest.raises(NoEvidence, match="more than 99 cells"):
        found.table("run/splits.csv", ("name",))


@pytest.mark.parametrize(("points", "fits"), [("0", True), ("5", True), ("-0.5", False), ("5.5", False), ("2,5", True)])
def test_points_go_from_nothing_to_all(points, fits, tmp_path, files):
    (tmp_path / "in").mkdir()
    reports = list(batch(tmp_path / "in", anna=files).values())
    scores = tmp_path / "scores.csv"
    scores.write_text(f'file,criterion,points,comment\nanna.zip,reading,"{points}",\n')
    if fits:
        assert merge(reports, scores)[0].points == 65 + float(points.replace(",", "."))
    else:
        with pytest.raises(GradingError, match="points go from 0 to 5"):
            merge(reports, scores)


def test_three_tenths_are_alike_and_less_is_not():
    """By hand: of 10 pieces in all, 3 or 2 in both; a short answer within a long one is not the same answer."""
    pieces = [(f"{k}", "a", "b") for k in range(20)]
    assert alike(frozenset(pieces[:7]), frozenset(pieces[4:10]))  # 3 of 10
    assert not alike(frozenset(pieces[:6]), frozenset(pieces[4:10]))  # 2 of 10
    assert not alike(frozenset(pieces[:5]), frozenset(pieces))  # all of the short one, a quarter of the long one
    assert not alike(frozenset(), frozenset())
    long, others = frozenset((k,) for k in range(200)), [(f"other {k}",) for k in range(9)]
    for own, strange, told in ((12, 8, True), (11, 9, False), (19, 0, False)):  # of 20 pieces, 3 in 5; of 19, all
        shorter = frozenset([*((k,) for k in range(own)), *others[:strange]])
        assert alike(shorter, long) is alike(long, shorter) is told
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    assert len(shingles(" ".join(words))) == 10
    assert shingles(" ".join(words[:11])) == frozenset()


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", " @", "\t="])
def test_no_cell_of_a_spreadsheet_is_a_formula(sign, tmp_path, files):
    name = f"{sign}SUM(A1)"
    report = dataclasses.replace(batch(tmp_path, anna=files)["anna"], source=name)
    write_gradebook([report], RUBRIC, tmp_path / "out")
    for table in ("grades.csv", "criteria.csv", "scores.csv"):
        cells = [cell for row in csv.reader((tmp_path / "out" / table).open()) for cell in row]
        assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in cells)
        assert (f"'\t'{name[1:]}" if sign == "\t=" else f"'{name}") in cells
    scores = tmp_path / "scores.csv"
    scores.write_text((tmp_path / "out" / "scores.csv").read_text())
    assert merge([report], scores)[0].source == name  # and it is known again


def test_a_gradebook_by_hand(tmp_path, files):
    reports = batch(tmp_path, anna=files)
    twice = [reports["anna"], dataclasses.replace(reports["anna"], student=Student("ANNA"))]
    write_gradebook(twice, RUBRIC, tmp_path / "out")
    row = next(csv.DictReader((tmp_path / "out" / "grades.csv").open()))
    assert {name: row[name] for name in ("student", "points", "most", "open points")} == {
        "student": "anna", "points": "65", "most": "100", "open points": "35",
    }  # fmt: skip
    homes = sorted(path.name for path in (tmp_path / "out" / "students").iterdir())
    assert len({home.casefold() for home in homes}) == 2
    tests = json.loads((tmp_path / "out" / "students" / "anna" / "results.json").read_text())["tests"]
    assert {test["status"] for test in tests} == {"passed"}  # what waits for a person has not failed


def test_limits_of_a_zip_that_are_just_reached_hold(tmp_path, files, monkeypatch):
    path, part = tmp_path / "anna.zip", {"run/splits.csv": b"name\n" * 20, "run/ledger.csv": b"entry\n" * 10}
    path.write_bytes(packed(part, manifest=False))

    def read(limit=None, value=None):
        with monkeypatch.context() as patch:
            if limit:
                patch.setattr(
                    f"casestudy.grading.{'submission' if limit == 'MOST_PACKED' else 'containers'}.{limit}", value
                )
            return read_submission(path)

    assert set(read().files) == set(part)
    for limit, enough in (
        ("MOST_PACKED", path.stat().st_size),
        ("MOST_ENTRIES", 2),
        ("MOST_UNPACKED", {".csv": 100}),
        ("MOST_TOGETHER", 160),
    ):
        assert set(read(limit, enough).files) == set(part), limit
        less = {".csv": 99} if isinstance(enough, dict) else enough - 1
        found = read(limit, less)
        assert found.problems and len(found.files) < 2, limit


def test_what_is_packed_in_an_unusual_way_stays_closed(tmp_path):
    with zipfile.ZipFile(tmp_path / "anna.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("run/splits.csv", "name\n")
    found = read_submission(tmp_path / "anna.zip")
    assert found.files == {}
    assert "run/splits.csv was not read: it is packed in an unusual way." in found.problems


def test_what_was_taken_out_or_put_in_after_packing_is_said(tmp_path, files):
    content = {"run/splits.csv": b"name\n", "run/ledger.csv": b"entry\n"}
    whole = packed(content)
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(tmp_path / "anna.zip", "w") as target:
        for name in ("manifest.json", "run/splits.csv"):
            target.writestr(name, source.read(name))
        target.writestr("run/history.csv", "phase\n")
    (remark,) = read_submission(tmp_path / "anna.zip").remarks
    assert remark == "Changed, added or removed after packing: run/history.csv, run/ledger.csv."


def test_a_key_is_of_the_archive_and_of_usable_photographs_alone(finished_run, tmp_path):
    key = write_key(finished_run, tmp_path / "key.json")
    assert key.archive == finished_run.record.data.sha256 != ""
    statuses_of = {row["stored_as"]: row["status"] for row in key.ledger}
    assert {statuses_of[name] for name in key.photographs} == {"kept", "duplicate"}


def test_own_points_and_a_bank_of_comments_are_merged_by_the_command(tmp_path, files, capsys):
    contents = {"key.json": json.dumps({"schema_version": 1, **dataclasses.asdict(KEY)})}
    contents["scores.csv"] = "file,criterion,points,comment\nanna.zip,reading,4,{people}\n"
    contents["comments.csv"] = "name,comment\npeople,You name the people.\n"
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "anna.zip").write_bytes(packed(files))
    call = ["grade", str(tmp_path / "anna.zip"), "--rubric", str(ROOT / "rubric.md"), "--out", str(tmp_path / "out")]
    for option, name in (("--key", "key.json"), ("--merge", "scores.csv"), ("--comments", "comments.csv")):
        call += [option, str(tmp_path / name)]
    assert main(call) == 0
    rows = {row["criterion"]: row for row in csv.DictReader((tmp_path / "out" / "criteria.csv").open())}
    assert (rows["reading"]["points"], rows["reading"]["comment"]) == ("4", "You name the people.")
    assert "69 of 100 points so far" in capsys.readouterr().out
