"""Marks belong to people: they survive another submission, another download, an appeal and another rubric."""

import csv
import json
import re
import sqlite3
from pathlib import Path

import pytest
from drawn_submissions import SEATS, bound_key, edited, honest, packed

from casestudy.errors import GradingError
from casestudy.grading.gradebook import grade_submissions
from casestudy.grading.key import key_text
from casestudy.grading.tables import read_rows

RUBRIC = Path(__file__).parents[1] / "rubric.md"
NAMES = ("mulleranna_11_101_s.zip", "bergben_12_102_s.zip", "cruzcleo_LATE_13_103_s.zip")


@pytest.fixture
def course(tmp_path):
    """A download of three students, a key, and a function that grades into one folder and reads scores.csv."""
    (tmp_path / "in").mkdir()
    for k, name in enumerate(NAMES):
        (tmp_path / "in" / name).write_bytes(packed(honest(k)))
    (tmp_path / "key.json").write_text(key_text(bound_key()))

    def graded(where="in", rubric=RUBRIC, **options):
        paths = [tmp_path / where]
        reports = grade_submissions(paths, rubric, tmp_path / "key.json", tmp_path / "out", **options)
        return {report.student.name: report for report in reports}

    return tmp_path, graded


def scores_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "scores.csv").open(encoding="utf-8-sig", newline="")))


def fill_in(path: Path, rows: list[dict[str, str]], *, like: str = "", **marks: str) -> None:
    """Writes scores.csv as a spreadsheet would; `like` is "excel" for that of a German Excel."""
    for row in rows:
        row["points"] = marks.get(row["criterion"], row["points"])
        row["comment"] = "Grüße; gut" if row["criterion"] == "reading" else row["comment"]
    options = {"delimiter": ";"} if like else {}
    encoding = "cp1252" if like == "excel" else "utf-8-sig"
    for row in rows if like == "excel" else ():
        row["answer"] = row["answer"].encode("cp1252", "replace").decode("cp1252")
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows(rows)


def points_of(report, name):
    return next(result.points for result in report.results if result.criterion.id == name)


@pytest.mark.parametrize("like", ["", "semicolons", "excel"])
def test_what_was_typed_into_the_list_is_taken_in_and_stays(like, course):
    home, graded = course
    graded()
    fill_in(home / "out" / "scores.csv", scores_of(home / "out"), like=like, reading="2,5")
    for _ in range(3):  # again and again: nothing is lost
        reports = graded()
        assert {points_of(report, "reading") for report in reports.values()} == {2.5}
        rows = {(row["file"], row["criterion"]): row for row in scores_of(home / "out")}
        assert rows[NAMES[0], "reading"]["points"] == "2.5"
        assert rows[NAMES[0], "reading"]["comment"] == "Grüße; gut"
        assert len(rows) == 3 * 6  # the whole list, judged or not
    (home / "out" / "scores.csv").unlink()
    assert points_of(graded()["mulleranna"], "reading") == 2.5


def test_marks_survive_a_resubmission_and_it_is_said_where_the_answer_changed(course):
    home, graded = course
    graded()
    fill_in(home / "out" / "scores.csv", scores_of(home / "out"), reading="4", conclusions="9")
    graded()
    changed = edited(honest(0), "notebooks/05_results.ipynb",
                     lambda n: n["cells"][2].update(source="Quite another answer than the first one."))  # fmt: skip
    (home / "in" / "mulleranna_LATE_11_207_s-1.zip").write_bytes(packed(changed))
    reports = graded()
    assert len(reports) == 3
    anna = reports["mulleranna"]
    assert anna.source == "mulleranna_LATE_11_207_s-1.zip"  # the newest counts
    assert (points_of(anna, "reading"), points_of(anna, "conclusions")) == (4, 9)
    said = {result.criterion.id: result.evidence for result in anna.results}
    assert said["conclusions"] == "The answer is another one than the one that was judged."
    assert said["reading"] != said["conclusions"]
    assert any(re.match(r"2 attempts; .*before: mulleranna_11_101_s.zip", remark) for remark in anna.remarks)
    assert "The platform calls it late." in anna.remarks
    (home / "in" / NAMES[0]).unlink()  # and another download has the new one alone
    assert points_of(graded()["mulleranna"], "conclusions") == 9


def test_an_appeal_of_one_student_loses_nobody(course):
    home, graded = course
    graded()
    fill_in(home / "out" / "scores.csv", scores_of(home / "out"), reading="4")
    before = graded()
    (home / "appeal.csv").write_text(f"file;criterion;points;comment\n{NAMES[1]};split;7,5;We looked together.\n")
    after = graded(where=f"in/{NAMES[1]}", scores=home / "appeal.csv")
    assert set(after) == set(before) and len(after) == 3
    assert points_of(after["bergben"], "split") == 7.5
    for name in ("mulleranna", "cruzcleo"):
        assert after[name].points == before[name].points
    rows = list(csv.DictReader((home / "out" / "grades.csv").open()))
    assert [row["file"] for row in rows] == sorted(NAMES)
    assert points_of(graded()["bergben"], "split") == 7.5  # a mark outweighs the check the next time, too


def test_a_changed_rubric_is_asked_about_and_nothing_is_rescaled_in_silence(course):
    home, graded = course
    graded()
    fill_in(home / "out" / "scores.csv", scores_of(home / "out"), reading="4")
    graded()
    text = RUBRIC.read_text()
    other = home / "rubric.md"
    other.write_text(re.sub(r"\| reading \| 5 \|", "| reading | 10 |", text))
    assert other.read_text() != text
    with pytest.raises(GradingError, match=r"reading was judged out of 5.*--rescale") as caught:
        graded(rubric=other)
    assert "\n" not in str(caught.value)
    with pytest.raises(GradingError, match="graded by another"):
        graded(where=f"in/{NAMES[1]}", rubric=other, rescale=True)
    assert points_of(graded()["bergben"], "reading") == 4  # what was refused has changed nothing
    assert points_of(graded(rubric=other, rescale=True)["bergben"], "reading") == 8
    assert points_of(graded(rubric=other)["bergben"], "reading") == 8


def test_a_folder_that_is_no_gradebooks_is_left_alone(course):
    home, graded = course
    (home / "out").mkdir()
    (home / "out" / "gradebook.sqlite").write_bytes(b"my photographs" * 100)
    with pytest.raises(GradingError, match="is no gradebook") as caught:
        graded()
    assert "\n" not in str(caught.value)
    (home / "out" / "gradebook.sqlite").unlink()
    (home / "out" / "grades.csv").write_text("mine")
    with pytest.raises(GradingError, match="never overwritten"):
        graded()
    assert (home / "out" / "grades.csv").read_text() == "mine"


def test_two_people_with_one_name_stay_two(course):
    home, graded = course
    for where in ("a", "b"):
        (home / "in" / where).mkdir()
        (home / "in" / where / "submission.zip").write_bytes(packed(honest(3)))
    graded()
    rows = list(csv.DictReader((home / "out" / "grades.csv").open()))
    assert {row["file"] for row in rows} >= {"a/submission.zip", "b/submission.zip"}


def test_answers_are_whole(course):
    home, graded = course
    long = " ".join(f"word{k}" for k in range(2_000))
    files = edited(honest(0), "notebooks/05_results.ipynb", lambda n: n["cells"][2].update(source=long))
    (home / "in" / NAMES[0]).write_bytes(packed(files))
    graded()
    rows = {(row["file"], row["criterion"]): row["answer"] for row in scores_of(home / "out")}
    assert rows[NAMES[0], "conclusions"] == long
    assert long in rows[NAMES[0], "communication"] and "answer-01" in rows[NAMES[0], "communication"]


def test_the_file_is_an_ordinary_database(course):
    home, graded = course
    graded()
    fill_in(home / "out" / "scores.csv", scores_of(home / "out"), reading="4")
    graded()
    with sqlite3.connect(home / "out" / "gradebook.sqlite") as base:
        rows = base.execute(
            "SELECT person, scale, points FROM marks WHERE criterion = 'reading' ORDER BY person"
        ).fetchall()
    assert rows == [(f"roster:{seat.id}", 5.0, 4.0) for seat in SEATS[:3]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_is_read_as_spreadsheets_write_it(encoding, separator, tmp_path):
    text = separator.join(["Name", " Comment "]) + "\r\n" + separator.join(["Müller", '"two\r\nlines"']) + "\r\n\r\n"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    ((place, row),) = read_rows(tmp_path / "t.csv", ("name", "comment"), "Tables")
    assert row == {"name": "Müller", "comment": "two\r\nlines"}
    assert "line" in place


def test_json_of_a_report_comes_back(course):
    _, graded = course
    first = graded()
    again = graded(where=f"in/{NAMES[0]}")
    for name, report in first.items():
        assert [(r.status, r.points, r.sentence, r.hint) for r in report.results] == [
            (r.status, r.points, r.sentence, r.hint) for r in again[name].results
        ]
        assert json.dumps(dict(report.answers)) == json.dumps(dict(again[name].answers))
