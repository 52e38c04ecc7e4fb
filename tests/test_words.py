"""What is said to people: one photograph is not "1 photographs", and a mistyped word is told the near one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from casestudy.words import counted

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "casestudy"
FILES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "DATA").glob("*.py")])
TEMPLATES = sorted((PACKAGE / "report" / "templates").glob("*.html"))
NOUNS = (
    "photographs images entries rows points submissions epochs files signers labels letters phases folds models cells "
    "words notebooks characters steps trials cores parameters duplicates columns members pictures boxes people"
)
PLURAL = re.compile(rf"^ (?:(?:test|other|damaged|sound|whole|more|training) )?({'|'.join(NOUNS.split())})\b")
# What can never be 1, by file and what is counted, with the reason.
NEVER_ONE = {
    ("data/splits.py", "at_least"): "2 or 3",
    ("data/splits.py", "len(signers)"): "3 at the least",
    ("evaluation/comparison.py", "len(column)"): "photographs that do not fit, of a whole test part",
    ("evaluation/certainty.py", "known"): "two people at the least",
    ("evaluation/certainty.py", "people"): "two people at the least",
    ("grading/checks_of_training.py", "shown or 'no'"): "the parameters of networks",
    ("grading/checks_of_results.py", "len(STEPS)"): "five notebooks",
    ("grading/contents.py", "MOST_CELLS"): "a limit",
    ("grading/containers.py", "MOST_ENTRIES"): "a limit",
    ("report/claim.py", "everyone.sure.people"): "leaving one out takes two",
    ("report/claim.py", "len(found.class_names)"): "a network tells at least two labels apart",
    ("report/report.py", "len(rows)"): "of one signer there is another sentence",
    ("runs/plan.py", "len(people)"): "up to three are named",
    ("runs/options.py", "len(phases)"): "one number for one phase cannot be wrong in number",
    ("runs/save.py", "len(tested)"): "a test part",
    ("runs/verify.py", "len(rows)"): "the entries of an archive",
}


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (0, "photograph", "0 photographs"),
        (1, "photograph", "1 photograph"),
        (1.0, "point", "1 point"),
        (np.int64(1), "row", "1 row"),
        (np.float64(4.5), "point", "4.5 points"),
        (0.5, "point", "0.5 points"),
        (0.1 + 0.2, "point", "0.3 points"),
        (1_234_567, "entry", "1,234,567 entries"),
        (2, "box", "2 boxes"),
        (2, "test photograph", "2 test photographs"),
    ],
)
def test_a_count_has_its_noun(count, noun, said):
    assert counted(count, noun) == said


def plurals(text: str) -> list[tuple[str, str]]:
    """Returns (what is counted, noun) for each plural that stands right after a value in a formatted string."""
    found = []
    for node in ast.walk(ast.parse(text)):
        for value, after in zip(node.values, node.values[1:], strict=False) if isinstance(node, ast.JoinedStr) else ():
            if isinstance(value, ast.FormattedValue) and value.conversion == -1 and isinstance(after, ast.Constant):
                found += [(ast.unparse(value.value), noun) for noun in PLURAL.findall(after.value)]
    return found


def test_a_plural_after_a_count_is_found():
    assert plurals('f"{len(rows):,} test photographs"') == [("len(rows)", "photographs")]
    assert plurals("""f"{counted(3, 'row')} of {n} rows, {name!r} rows, {a} of {b}" """) == [("n", "rows")]


def test_every_count_that_can_be_1_goes_through_counted():
    found = {
        (path.relative_to(PACKAGE if PACKAGE in path.parents else ROOT).as_posix(), what): noun
        for path in FILES
        for what, noun in plurals(path.read_text(encoding="utf-8"))
    }
    assert not found.keys() - NEVER_ONE.keys(), "print these with `casestudy.words.counted`"
    assert not NEVER_ONE.keys() - found.keys(), "these are gone: take them out of the list"


@pytest.mark.parametrize("path", [path for path in TEMPLATES if path.stem != "report"], ids=lambda path: path.stem)
def test_a_page_has_no_plural_after_a_count(path):
    parts = re.split(r"\}\}(?:</\w+>)?", path.read_text(encoding="utf-8"))[1:]
    assert [PLURAL.match(part)[0] for part in parts if PLURAL.match(part)] == []


def test_the_submissions_of_an_overview_are_counted():
    from casestudy.report import page

    values = {"criteria": [], "mistakes": [], "bins": [("0–100", 0)], "open": 1, "style": "", "count": 0}
    rubric = {"points": 1, "manual_points": 0.5, "unit": "point", "bundles": ()}
    one = page("overview.html", reports=[], rubric=rubric, **values)
    assert "Answers of <b>1 submission</b> wait" in one and "Of 1 point, checks judge 0.5 and you 0.5." in one
    assert "<h1>0 submissions</h1>" in one
