"""rubric.md is the rubric: its table is read here, so that points and wording are changed in that file alone.

A rubric has points; or specifications, each met or not, and a second table of the grades and what each asks for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.files import find_in_checkout
from casestudy.grading.checks import CHECKS, MANUAL
from casestudy.grading.contents import as_number
from casestudy.words import counted, did_you_mean

RUBRIC = Path("rubric.md")
COLUMNS = ("id", "points", "criterion", "full credit", "partial credit", "no credit", "evidence", "check")
SPECIFICATION = ("id", "criterion", "met when", "evidence", "check")
GRADES = ("grade", "points", "asks for")  # the best grade first; points are what a platform gets


@dataclass(frozen=True)
class Criterion:
    """One row of the rubric, in the order of `COLUMNS`; partial credit is half of the points.

    A specification has one point, `full` says when it is met, and there is no partial credit.
    """

    id: str
    points: float
    title: str
    full: str
    partial: str
    none: str
    evidence: str
    check: str

    @property
    def is_specification(self) -> bool:
        """Whether it is met or not, and nothing between."""
        return not self.partial

    @property
    def manual(self) -> bool:
        """Whether a person judges it."""
        return self.check == MANUAL

    @property
    def needs(self) -> tuple[str, ...]:
        """The files and answer cells without which there is no evidence: what stands in backticks."""
        return tuple(re.findall(r"`([^`]+)`", self.evidence))

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer cells among its needs."""
        return tuple(need for need in self.needs if need.startswith("answer-"))


@dataclass(frozen=True)
class Bundle:
    """A grade, and the specifications that all must be met for it."""

    grade: str
    points: float
    asks: tuple[str, ...]  # ids of criteria


@dataclass(frozen=True)
class Rubric:
    """All criteria, in the order of the file, and where they are specifications the grades, the best one first."""

    criteria: tuple[Criterion, ...]
    bundles: tuple[Bundle, ...] = ()

    @property
    def unit(self) -> str:
        """What is counted."""
        return "specification" if self.bundles else "point"

    @property
    def points(self) -> float:
        """Of all criteria together."""
        return sum(criterion.points for criterion in self.criteria)

    @property
    def manual_points(self) -> float:
        """Of those that a person judges."""
        return sum(criterion.points for criterion in self.criteria if criterion.manual)


def load_rubric(path: str | Path | None = None) -> Rubric:
    """Returns the rubric of a Markdown file: its table of `COLUMNS`, or those of `SPECIFICATION` and `GRADES`.

    Args:
        path: The file; None takes rubric.md of the working folder, those above it, or the checkout.

    Raises:
        GradingError: There is no such file, or its table is broken; the message names the line.
    """
    file = Path(path) if path else find_in_checkout(RUBRIC)
    if file is None or not file.is_file():
        there = path or RUBRIC
        raise GradingError(f"A rubric is a Markdown file; there is none at {there}. Name it with --rubric FILE.")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise GradingError(f"A rubric is UTF-8 text; {file} is not ({error.reason}). Save it as UTF-8.") from error
    rows = [(number, _cells(line)) for number, line in enumerate(lines, 1) if line.lstrip().startswith("|")]
    heads = [tuple(cell.lower() for cell in cells) for _, cells in rows]
    start = next((k for k, head in enumerate(heads) if head in (COLUMNS, SPECIFICATION)), None)
    if start is None:
        header, first = f"| {' | '.join(COLUMNS)} |", f"line {rows[0][0]}" if rows else "no line"
        raise GradingError(
            f"{file} must hold a table whose first row is {header}; {first} begins another one. Put that row back."
        )
    columns = heads[start]
    grades = next((k for k, head in enumerate(heads) if head == GRADES and columns == SPECIFICATION), len(rows))
    criteria: list[Criterion] = []
    for row, cells in _rows_of(file, rows[start : grades if grades > start else None]):
        criteria.append(_criterion(cells, criteria, row, columns))
    if not criteria:
        what = "begins a table without criteria"
        raise GradingError(f"{file}, line {rows[start][0]}: this row {what}. Give it a row a criterion.")
    if columns == COLUMNS:
        return Rubric(tuple(criteria))
    if grades == len(rows):
        raise GradingError(f"{file} has specifications, and no table of grades. Add one: | {' | '.join(GRADES)} |")
    below = list(_rows_of(file, rows[grades : start if grades < start else None]))
    return Rubric(tuple(criteria), _bundles(below, [criterion.id for criterion in criteria]))


def _rows_of(file: Path, rows: list[tuple[int, list[str]]]) -> Iterator[tuple[str, list[str]]]:
    """Yields the rows of a table below its head, each with the place to name where it does not fit."""
    previous = rows[0][0]
    for number, cells in rows[1:]:
        row = f"{file}, line {number}: this row"
        if number != previous + 1:
            raise GradingError(f"{row} is cut off from the table by a line that is no row. Remove that line.")
        previous = number
        if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            yield row, cells


def _bundles(rows: list[tuple[str, list[str]]], ids: list[str]) -> tuple[Bundle, ...]:
    """Returns the grades, the best one first; one may ask for all that a lower one asks for, by its name."""
    found: dict[str, Bundle] = {}
    for row, cells in reversed(rows):
        _filled(cells, GRADES, row)
        grade, points, asked = cells
        if grade in found:
            raise GradingError(f"{row} has the grade {grade!r} a second time. Give every grade one row.")
        if not max((one.points for one in found.values()), default=-1) < as_number(points) < math.inf:
            what = "Use numbers from 0 up, the best grade in the first row"
            raise GradingError(f"{row} has {points!r} points, which must be more than those below it. {what}.")
        asks: dict[str, None] = {}
        for name in (part.strip(" `") for part in asked.split(",")):
            if name not in ids and name not in found and name != "all":
                near = did_you_mean(name, [*ids, *found, "all"])
                what = "Name criteria by their ids, grades below it, or all, with commas between"
                raise GradingError(
                    f"{row} asks for {name!r}, which is no criterion and no grade below it. {near or what}"
                )
            asks |= dict.fromkeys(ids if name == "all" else [name] if name in ids else found[name].asks)
        found[grade] = Bundle(grade, as_number(points), tuple(asks))
    if not found:
        raise GradingError(
            f"A rubric of specifications needs a grade; its table | {' | '.join(GRADES)} | is empty. Fill it in."
        )
    return tuple(reversed(found.values()))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _filled(cells: list[str], columns: tuple[str, ...], row: str) -> None:
    if len(cells) != len(columns):
        remedy = "Write a | inside a cell as \\|" if len(cells) > len(columns) else "Fill in the missing cells"
        raise GradingError(f"{row} has {counted(len(cells), 'cell')} instead of {len(columns)}. {remedy}.")
    if "" in cells:
        raise GradingError(f"{row} has nothing under {columns[cells.index('')]!r}. Fill it in.")


def _criterion(cells: list[str], before: list[Criterion], row: str, columns: tuple[str, ...]) -> Criterion:
    _filled(cells, columns, row)
    if columns == SPECIFICATION:
        name, title, met, *rest = cells
        cells = [name, "1", title, met, "", "", *rest]
    name, points, *_, check = cells
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise GradingError(f"{row} has the id {name!r}. Use lower-case letters, digits and hyphens.")
    if any(criterion.id == name for criterion in before):
        raise GradingError(f"{row} has the id {name!r} a second time. Give every criterion its own.")
    if not 0 <= as_number(points) < math.inf:
        raise GradingError(f"{row} has {points!r} points. Use a number from 0 up.")
    if check not in (*CHECKS, MANUAL):
        raise GradingError(f"{row} has the check {check!r}. Use {MANUAL} or one of {', '.join(CHECKS)}.")
    return Criterion(name, as_number(points), *cells[2:])
