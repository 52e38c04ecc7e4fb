"""rubric.md is the rubric: its table is read here, so that points and wording are changed in that file alone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.files import find_in_checkout
from casestudy.grading.checks import CHECKS, MANUAL

RUBRIC = Path("rubric.md")
COLUMNS = ("id", "points", "criterion", "full credit", "partial credit", "no credit", "evidence", "check")


@dataclass(frozen=True)
class Criterion:
    """One row of the rubric.

    Attributes:
        id: Lower-case letters, digits and hyphens.
        points: For full credit; partial credit is half of them.
        title: What is judged.
        full: What full credit means; so do `partial` and `none`.
        evidence: What is looked at, as the rubric words it.
        check: A name of `checks.CHECKS`, or "manual".
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
        raise GradingError(
            f"A rubric is a Markdown file; there is none at {path or RUBRIC}. Name it with --rubric FILE."
        )
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise GradingError(f"A rubric is UTF-8 text; {file} is not ({error.reason}). Save it as UTF-8.") from error
    rows = [(number, _cells(line)) for number, line in enumerate(lines, 1) if line.lstrip().startswith("|")]
    start = next((k for k, (_, cells) in enumerate(rows) if [c.lower() for c in cells] == list(COLUMNS)), None)
    if start is None:
        first = f"line {rows[0][0]}" if rows else "no line"
        raise GradingError(
            f"{file} must hold a table whose first row is | {' | '.join(COLUMNS)} |; {first} begins another one. "
            f"Put that row back."
        )
    criteria: list[Criterion] = []
    previous = rows[start][0]
    for number, cells in rows[start + 1 :]:
        if number != previous + 1:
            raise _broken(file, number, "is cut off from the table by a line that is no row", "Remove that line")
        previous = number
        if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            criteria.append(_criterion(file, number, cells, criteria))
    if not criteria:
        raise _broken(file, previous, "is the last of a table without criteria", "Give it a row a criterion")
    return Rubric(tuple(criteria))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _criterion(file: Path, number: int, cells: list[str], before: list[Criterion]) -> Criterion:
    if len(cells) != len(COLUMNS):
        remedy = "Write a | inside a cell as \\|" if len(cells) > len(COLUMNS) else "Fill in the missing cells"
        raise _broken(file, number, f"has {len(cells)} cells instead of {len(COLUMNS)}", remedy)
    empty = [column for column, cell in zip(COLUMNS, cells, strict=True) if not cell]
    if empty:
        raise _broken(file, number, f"has nothing under {empty[0]!r}", "Fill it in")
    name, points, title, full, partial, none, evidence, check = cells
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise _broken(file, number, f"has the id {name!r}", "Use lower-case letters, digits and hyphens")
    if any(criterion.id == name for criterion in before):
        raise _broken(file, number, f"has the id {name!r} a second time", "Give every criterion its own")
    try:
        value = float(points)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise _broken(file, number, f"has {points!r} points", "Use a number from 0 up")
    if check not in (*CHECKS, MANUAL):
        raise _broken(file, number, f"has the check {check!r}", f"Use {MANUAL} or one of {', '.join(CHECKS)}")
    return Criterion(name, value, title, full, partial, none, evidence, check)


def _broken(file: Path, number: int, what: str, remedy: str) -> GradingError:
    return GradingError(f"{file}, line {number}: this row {what}. {remedy}.")
