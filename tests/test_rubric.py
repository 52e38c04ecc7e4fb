"""rubric.md is the point table: it is read as it stands, and a broken one names its line."""

import re
from pathlib import Path

import pytest

from casestudy.cli import main
from casestudy.errors import GradingError
from casestudy.grading.rubric import COLUMNS, load_rubric

ROOT = Path(__file__).parents[1]
HEADER = f"| {' | '.join(COLUMNS)} |"
RULE = "|" + "---|" * len(COLUMNS)
ROW = "| reading | 5 | You read | all | some | none | cell `answer-01` | manual |"


def written(tmp_path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "rubric.md"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def test_the_rubric_of_the_project():
    rubric = load_rubric(ROOT / "rubric.md")
    text = (ROOT / "rubric.md").read_text(encoding="utf-8")
    assert rubric.points == int(re.search(r"^(\d+) points", text, re.M)[1]) == 100
    assert rubric.manual_points == 35
    steps = "reading import nothing-lost corrupt-found split model phase-1 phase-2 per-label confusion conclusions"
    assert set(f"{steps} reproducible communication".split()) <= {criterion.id for criterion in rubric.criteria}


def test_points_and_wording_are_those_of_the_file(tmp_path):
    path = written(
        tmp_path, "# Mine", "", "| not | this |", "|--|--|", "", HEADER.upper(), RULE,
        "| a-1 | 2.5 | A \\| B | f | p | n | `x.csv`, cell `answer-01` | nothing_lost |", ROW, "", "The end.",
    )  # fmt: skip
    one, two = load_rubric(path).criteria
    assert (one.id, one.points, one.title, one.needs) == ("a-1", 2.5, "A | B", ("x.csv", "answer-01"))
    assert (one.manual, two.manual) == (False, True)
    assert load_rubric(path).points == 7.5


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (ROW.replace("5 |", "five |", 1), "line 5: this row has 'five' points"),
        (ROW.replace("5 |", "-1 |", 1), "has '-1' points"),
        (ROW.replace("5 |", "nan |", 1), "has 'nan' points"),
        (ROW.replace("| 5 ", ""), "has 7 cells instead of 8. Fill in"),
        (ROW + " more |", "has 9 cells instead of 8. Write a |"),
        (ROW.replace("some", ""), "has nothing under 'partial credit'"),
        (ROW.replace("reading", "Reading!"), "has the id 'Reading!'"),
        (ROW.replace("manual", "guess"), "has the check 'guess'. Use manual or one of nothing_lost"),
        (f"{ROW}\n{ROW}", "line 6: this row has the id 'reading' a second time"),
        (f"{ROW}\n\n{ROW.replace('reading', 'more')}", "line 7: this row is cut off from the table"),
    ],
)
def test_a_broken_row_names_its_line(row, reason, tmp_path):
    with pytest.raises(GradingError) as caught:
        load_rubric(written(tmp_path, "# Mine", "", HEADER, RULE, row))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_rubric_says_so(tmp_path):
    for lines, reason in ((["# Mine"], "no line begins"), ([HEADER, RULE], "without criteria"),
                          (["| a | b |"], "line 1 begins another one")):  # fmt: skip
        with pytest.raises(GradingError, match=reason):
            load_rubric(written(tmp_path, *lines))
    with pytest.raises(GradingError, match="UTF-8"):
        load_rubric(written(tmp_path, HEADER, RULE, ROW, encoding="utf-16"))
    with pytest.raises(GradingError, match="there is none at"):
        load_rubric(tmp_path / "nowhere.md")


def test_an_empty_row_of_the_command_is_exit_2(tmp_path, capsys):
    path = written(tmp_path, HEADER, RULE, ROW.replace("5 |", "x |", 1))
    assert main(["rubric", "--rubric", str(path)]) == 2
    said = capsys.readouterr()
    assert f"{path}, line 3" in said.err
    assert said.out == ""


def test_the_command_prints_and_totals(capsys):
    assert main(["rubric", "--rubric", str(ROOT / "rubric.md")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split("points:")[0].strip() == "100"
    assert sum(float(line.split()[0]) for line in lines[:-1]) == 100


@pytest.mark.parametrize(("points", "sound"), [("0", True), ("2.5", True), ("-0.5", False), ("inf", False)])
def test_points_are_numbers_from_0_up(points, sound, tmp_path):
    path = written(tmp_path, HEADER, RULE, ROW.replace("| 5 |", f"| {points} |"))
    if sound:
        assert load_rubric(path).points == float(points)
    else:
        with pytest.raises(GradingError, match=f"has '{points}' points"):
            load_rubric(path)


def test_the_command_tells_what_a_person_judges_from_what_is_checked(capsys):
    assert main(["rubric", "--rubric", str(ROOT / "rubric.md")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].strip() == "100  points: 65 by checks, 35 by a person"
