"""rubric.md is the rubric: its table is read here, so that points and wording are changed in that file alone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.files import find_in_checkout
from casestudy.grading.checks import CHECKS, MANUAL
from casestudy.grading.contents import as_number
from casestudy.words import counted

RUBRIC = Path("rubric.md")
COLUMNS = ("id", "points", "criterion", "full credit", "partial credit", "no credit", "evidence", "check")


@dataclass(frozen=True)
class Criterion:
    """One row of the rubric, in the order of `COLUMNS`; partial credit is half of the points."""

    id: str
    points: float
    title: str
    full: str
    partial: str
    none: str
    evidence: str
    check: str

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
class Rubric:
    """All criteria, in the order of the file."""

    criteria: tuple[Criterion, ...]

    @property
    def points(self) -> float:
        """Of all criteria together."""
        return sum(criterion.points for criterion in self.criteria)

    @property
    def manual_points(self) -> float:
        """Of those that a person judges."""
        return sum(criterion.points for criterion in self.criteria if criterion.manual)


def load_rubric(path: str | Path | None = None) -> Rubric:
    """Returns the rubric of a Markdown file: its one table with the columns `COLUMNS`.

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
    start = next((k for k, (_, cells) in enumerate(rows) if [c.lower() for c in cells] == list(COLUMNS)), None)
    if start is None:
        header, first = f"| {' | '.join(COLUMNS)} |", f"line {rows[0][0]}" if rows else "no line"
        raise GradingError(
            f"{file} must hold a table whose first row is {header}; {first} begins another one. Put that row back."
        )
    criteria: list[Criterion] = []
    previous = rows[start][0]
    for number, cells in rows[start + 1 :]:
        row = f"{file}, line {number}: this row"
        if number != previous + 1:
            raise GradingError(f"{row} is cut off from the table by a line that is no row. Remove that line.")
        previous = number
        if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            criteria.append(_criterion(cells, criteria, row))
    if not criteria:
        what = "is the last of a table without criteria"
        raise GradingError(f"{file}, line {previous}: this row {what}. Give it a row a criterion.")
    return Rubric(tuple(criteria))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _criterion(cells: list[str], before: list[Criterion], row: str) -> Criterion:
    if len(cells) != len(COLUMNS):
        remedy = "Write a | inside a cell as \\|" if len(cells) > len(COLUMNS) else "Fill in the missing cells"
        raise GradingError(f"{row} has {counted(len(cells), 'cell')} instead of {len(COLUMNS)}. {remedy}.")
    if "" in cells:
        raise GradingError(f"{row} has nothing under {COLUMNS[cells.index('')]!r}. Fill it in.")
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
