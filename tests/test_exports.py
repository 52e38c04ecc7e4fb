"""Each platform's file is what its importer takes: the rules are written here again, from the importers' own text."""

import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from drawn_submissions import SEATS, bound_key, honest, packed

from casestudy.grading.exports import canvas_csv, gradescope_results, moodle_csv
from casestudy.grading.many import grade_all
from casestudy.grading.outcomes import EARNED
from casestudy.grading.rubric import load_rubric
from casestudy.grading.submission import Student, find_submissions

RUBRIC, KEY = load_rubric(Path(__file__).parents[1] / "rubric.md"), bound_key()


@pytest.fixture
def reports(tmp_path):
    """One from Canvas, one from Moodle, all judged; and one from Canvas that waits."""
    names = ("Anna Müller_4711_assignsubmission_file_s.zip", "bergben_12_99_s.zip", "cruzcleo_LATE_13_99_s.zip")
    for k, name in enumerate(names):
        (tmp_path / name).write_bytes(packed(honest(k)))
    found = grade_all(find_submissions([tmp_path]), RUBRIC, KEY)

    def judged(report):
        full = [dataclasses.replace(r, status=EARNED, points=r.criterion.points) for r in report.results]
        return dataclasses.replace(report, results=tuple(full))

    return [judged(found[0]), judged(found[1]), found[2]]


def canvas_reads(text: str) -> tuple[list[str], dict[str, float], dict[str, str]]:
    """Returns assignments, their points possible, and grades by Canvas' id, as lib/gradebook_importer.rb reads them."""
    header, *rows = csv.reader(io.StringIO(text))
    assert len(header) > 3 and "Student" in header[0] and "ID" in header[1]
    count = 3
    if re.search(r"SIS\s+Login\s+ID", header[2]):
        count = 4
    elif re.search(r"SIS\s+User\s+ID", header[2]) and re.search(r"SIS\s+Login\s+ID", header[3]):
        count = 5
    assert "Section" in header[count - 1]
    reserved = r"Current Score|Current Points|Current Grade|Final Score|Final Points|Final Grade|Override"
    assignments = [name for name in header[count:] if not re.search(reserved, name)]
    possible, grades = {}, {}
    for row in rows:
        assert len(row) == len(header)
        if "Points Possible" in row[0]:
            possible = {name: float(row[header.index(name)]) for name in assignments}
        else:
            grades[row[1] or row[0]] = row[header.index(assignments[0])]
    return assignments, possible, grades


def test_canvas_gets_one_assignment_and_its_own_ids(reports):
    assignments, possible, grades = canvas_reads(canvas_csv(reports, SEATS, title="Letters (815)"))
    assert assignments == ["Letters (815)"]
    assert possible == {"Letters (815)": 100}
    assert grades == {"Anna Müller": "100", "12": "100", "13": ""}  # who waits has no grade yet
    rows = list(csv.DictReader(io.StringIO(canvas_csv(reports, SEATS))))
    assert [row["SIS User ID"] for row in rows[1:]] == ["s0", "s1", "s2"]


def test_moodle_gets_its_worksheet(reports):
    """As importgradeslib.php reads it: three columns by their names, the number behind "Participant "."""
    header, *rows = csv.reader(io.StringIO(moodle_csv(reports)))
    places = [header.index(name) for name in ("Identifier", "Grade", "Last modified (grade)")]
    assert len(set(header)) == len(header) and set(header) <= {
        *("Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed"),
        *("Last modified (submission)", "Last modified (grade)", "Feedback comments"),
    }
    ((identifier, grade, modified),) = [[row[k] for k in places] for row in rows]
    assert identifier[len("Participant ") :] == "4711" and identifier.startswith("Participant ")
    assert float(grade) == 100 and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", modified)  # strtotime reads it
    timeless = dataclasses.replace(reports[0], student=dataclasses.replace(reports[0].student, handed_in=""))
    assert ",-," in moodle_csv([timeless])


def test_gradescope_gets_what_its_specification_names(reports):
    """Keys, words and types of "Output format" in gradescope-autograders.readthedocs.io/en/latest/specs."""
    known = {"score", "execution_time", "output", "output_format", "test_output_format", "test_name_format"}
    known |= {"visibility", "stdout_visibility", "extra_data", "tests", "leaderboard"}
    of_tests = {"score", "max_score", "status", "name", "name_format", "number", "output", "output_format", "tags"}
    of_tests |= {"visibility", "extra_data"}
    for report in reports:
        values = json.loads(gradescope_results(report))
        assert set(values) <= known and isinstance(values["score"], (int, float))
        assert values["output_format"] in ("text", "html", "simple_format", "md", "ansi")
        for test in values["tests"]:
            assert set(test) <= of_tests
            assert test["status"] in ("passed", "failed")
            assert test["visibility"] in ("hidden", "after_due_date", "after_published", "visible")
            assert 0 <= test["score"] <= test["max_score"]


def test_a_name_that_is_a_formula_is_none_in_any_of_them(reports):
    report = dataclasses.replace(reports[0], student=Student("=cmd|x;+1", "4711", "moodle"))
    for text in (canvas_csv([report]), moodle_csv([report])):
        for separator in ",;\t":
            cells = [cell for row in csv.reader(io.StringIO(text), delimiter=separator) for cell in row]
            assert not any(cell.strip().startswith(("=", "+", "@")) for cell in cells), separator
