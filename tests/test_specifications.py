"""Specifications: each is met or not, and the grade is the best one all of whose specifications are met."""

import csv
import json
from pathlib import Path

import pytest
from drawn_submissions import bound_key, edited, honest, packed

from casestudy.cli import main
from casestudy.errors import GradingError
from casestudy.grading.gradebook import grade_submissions
from casestudy.grading.key import key_text
from casestudy.grading.marking import Desk
from casestudy.grading.rubric import GRADES, SPECIFICATION, load_rubric

HEAD = [f"| {' | '.join(SPECIFICATION)} |", "|---|---|---|---|---|"]
ROWS = [
    "| nothing-lost | Every entry is accounted for | All rows, all bytes | `ledger.csv` | nothing_lost |",
    "| notebooks | The notebooks tell the story | All five ran | `*.ipynb` | notebooks_ran |",
    "| reading | You know what is asked | Number, people, reason | cell `answer-01` | manual |",
    "| conclusions | What the numbers mean | People, limits | cell `answer-05` | manual |",
]
TABLE = ["", f"| {' | '.join(GRADES)} |", "|---|---|---|"]
BUNDLES = ["| A | 95 | all |", "| B | 85 | C, reading |", "| C | 75 | nothing-lost, `notebooks` |"]


def written(path: Path, rows=tuple(ROWS), bundles=tuple(BUNDLES)) -> Path:
    path.write_text("\n".join(["# Mine", "", *HEAD, *rows, *TABLE, *bundles, "", "The end."]), encoding="utf-8")
    return path


@pytest.fixture
def course(tmp_path):
    """Anna's work is whole; in Ben's one row of the ledger is missing, which by points is partial credit."""
    (tmp_path / "in").mkdir()
    ben = edited(honest(1), "run/ledger.csv", lambda t: t.drop(index=[3]))
    (tmp_path / "in" / "mulleranna_11_101_s.zip").write_bytes(packed(honest(0)))
    (tmp_path / "in" / "bergben_12_102_s.zip").write_bytes(packed(ben))
    (tmp_path / "key.json").write_text(key_text(bound_key()))
    rubric = written(tmp_path / "specifications.md")

    def graded(**options):
        rules = options.pop("rubric", rubric)
        where = options.pop("out", tmp_path / "out")
        reports = grade_submissions([tmp_path / "in"], rules, tmp_path / "key.json", where, **options)
        return {report.student.name: report for report in reports}

    return tmp_path, graded


def test_a_rubric_of_specifications_is_read(tmp_path):
    rubric = load_rubric(written(tmp_path / "s.md"))
    first = rubric.criteria[0]
    assert (first.id, first.points, first.full) == ("nothing-lost", 1, "All rows, all bytes")
    asks = {one.grade: (one.points, set(one.asks)) for one in rubric.bundles}
    assert asks == {
        "A": (95, {"nothing-lost", "notebooks", "reading", "conclusions"}),
        "B": (85, {"nothing-lost", "notebooks", "reading"}),
        "C": (75, {"nothing-lost", "notebooks"}),
    }
    above = "\n".join([*TABLE, *BUNDLES, "", *HEAD, *ROWS])  # the grades may stand above, too
    (tmp_path / "t.md").write_text(above)
    assert load_rubric(tmp_path / "t.md") == rubric


@pytest.mark.parametrize(
    ("rows", "bundles", "reason"),
    [
        (
            ROWS,
            ["| A | 95 | all, raeding |"],
            "line 12: this row asks for 'raeding', which is no criterion and no grade",
        ),
        (ROWS, ["| A | 95 | raeding |"], "Did you mean 'reading'?"),
        (ROWS, ["| A | 95 | B |", "| B | 95 | reading |"], "line 12: this row has '95' points, which must be more"),
        (ROWS, ["| A | many | all |"], "has 'many' points"),
        (ROWS, ["| A | inf | all |"], "has 'inf' points"),
        (ROWS, ["| A | 95 | all |", "| A | 80 | reading |"], "has the grade 'A' a second time"),
        (ROWS, ["| A | 95 |"], "line 12: this row has 2 cells instead of 3"),
        (ROWS, ["| A | 95 | |"], "has nothing under 'asks for'"),
        (ROWS, ["| C | 75 | A |", "| B | 70 | reading |"], "asks for 'A', which is no criterion and no grade below it"),
        (ROWS, [], "needs a grade"),
        (ROWS, ["| A | 95 | all |", "", "| B | 80 | reading |"], "line 14: this row is cut off"),
        ([ROWS[0].replace("nothing_lost", "guess")], BUNDLES, "has the check 'guess'"),
        ([ROWS[0] + " more |"], BUNDLES, "line 5: this row has 6 cells instead of 5"),
        ([], BUNDLES, "without criteria"),
    ],
)
def test_an_error_is_one_line_that_says_where(rows, bundles, reason, tmp_path):
    with pytest.raises(GradingError) as caught:
        load_rubric(written(tmp_path / "s.md", rows, bundles))
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_grades_are_needed(tmp_path):
    (tmp_path / "s.md").write_text("\n".join([*HEAD, *ROWS]))
    with pytest.raises(GradingError, match=r"no table of grades. Add one: \| grade \| points \| asks for \|"):
        load_rubric(tmp_path / "s.md")


def test_the_grade_is_the_best_one_that_is_met(course):
    home, graded = course
    first = graded()
    assert {name: (one.grade, one.points, one.open) for name, one in first.items()} == {
        "mulleranna": ("C", 75, 20), "bergben": ("none", 0, 0),  # nothing that waits can help him
    }  # fmt: skip
    ledger = {name: next(r for r in one.results if r.criterion.id == "nothing-lost") for name, one in first.items()}
    assert [(ledger[name].status, ledger[name].points) for name in ("mulleranna", "bergben")] == [
        ("earned", 1), ("not earned", 0),
    ]  # fmt: skip
    desk = Desk(home / "out", load_rubric(home / "specifications.md"))
    anna = next(one for one in desk.questions()["reading"] if "anna" in one.who)
    with pytest.raises(GradingError, match=r"reading is met \(1\) or not met \(0\); received '0.5'"):
        desk.save(anna, "0.5", "")
    desk.save(anna, "1", "Well read.")
    desk.finish()
    now = graded()["mulleranna"]
    assert (now.grade, now.points, now.open) == ("B", 85, 10)
    page = next((home / "out" / "students").glob("muller*/feedback.html")).read_text()
    assert "✓ met</span>" in page and "Met when: " in page and "3 of 4 specifications met" in page
    assert "of 1" not in page  # points are the bundles' alone
    overview = (home / "out" / "overview.html").read_text()
    assert 'aria-label="none: 1; C: 0; B: 1; A: 0; "' in overview and "Of 4 specifications, checks judge 2" in overview
    text = next((home / "out" / "students").glob("bergben*/feedback.md")).read_text()
    assert "**Grade none: 1 of 4 specifications met so far; your instructor still has to read 2 more.**" in text
    assert "**not met**" in text
    canvas = list(csv.DictReader((home / "out" / "for_canvas.csv").open()))
    assert {row["Student"]: row["Case study"] for row in canvas} == {
        "    Points Possible": "95", "Anna Müller": "", "Ben Berg": "0",
    }  # fmt: skip
    results = next((home / "out" / "students").glob("muller*/results.json"))
    assert json.loads(results.read_text())["score"] == 85


def test_marks_of_points_become_specifications_only_where_they_can(course):
    home, graded = course
    points = Path(__file__).parents[1] / "rubric.md"
    graded(rubric=points)
    for mark, fits in (("5", True), ("0", True), ("4", False)):
        desk = Desk(home / "out", load_rubric(points))
        for one in desk.questions()["reading"]:
            desk.save(one, mark, "")
        desk.finish()
        (home / "out" / "scores.csv").unlink()
        if fits:
            report = graded(rescale=True)["mulleranna"]
            assert next(r.points for r in report.results if r.criterion.id == "reading") == (mark == "5")
            (home / "out" / "scores.csv").unlink()
            graded(rubric=points, rescale=True)
        else:
            with pytest.raises(GradingError, match="4 of 5 for reading is neither met nor not met"):
                graded(rescale=True)


def test_the_command_shows_the_grades(course, capsys):
    home, _ = course
    assert main(["rubric", "--rubric", str(home / "specifications.md")]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[4:] == [
        "4  specifications: 2 by checks, 2 by a person",
        "95  grade A: nothing-lost, notebooks, reading, conclusions",
        "85  grade B: nothing-lost, notebooks, reading",
        "75  grade C: nothing-lost, notebooks",
    ]
