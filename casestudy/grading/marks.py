"""A gradebook that remembers: what people judged, and what was handed in, in one SQLite file of the output folder.

A mark belongs to a person and a criterion, with the points that the criterion had. It survives another submission, a
grading of one student alone, and another download. Where the rubric has changed the points, it is asked what to do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from casestudy.errors import GradingError
from casestudy.grading.grade import GradeReport, Result, answers_of
from casestudy.grading.likeness import Prints
from casestudy.grading.outcomes import EARNED, NOT_EARNED, PARTIAL
from casestudy.grading.roster import Seat, seat_of
from casestudy.grading.rubric import Rubric
from casestudy.grading.submission import Student
from casestudy.report import points
from casestudy.words import counted

BOOK = "gradebook.sqlite"
BY_HAND = "Judged by your instructor."
CHANGED = "The answer is another one than the one that was judged."
TABLES = """
CREATE TABLE IF NOT EXISTS marks (person TEXT, criterion TEXT, scale REAL NOT NULL, points REAL, comment TEXT NOT NULL,
    answer TEXT NOT NULL, PRIMARY KEY (person, criterion));
CREATE TABLE IF NOT EXISTS attempts (person TEXT, source TEXT, digest TEXT, late INTEGER NOT NULL,
    PRIMARY KEY (person, source, digest));
CREATE TABLE IF NOT EXISTS reports (person TEXT PRIMARY KEY, report TEXT NOT NULL);
"""
# A mark that is read once more from the same list stays a mark of the answer that was read.
KEEP = """
INSERT INTO marks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (person, criterion) DO UPDATE SET
    answer = CASE WHEN points IS excluded.points AND comment = excluded.comment THEN answer ELSE excluded.answer END,
    scale = excluded.scale, points = excluded.points, comment = excluded.comment
"""


class Marks:
    """The file, open; what is not saved by `close` is forgotten."""

    def __init__(self, out: Path, seats: Iterable[Seat] = ()) -> None:
        """Opens the gradebook of a folder, or begins one; a GradingError says that the file is another one."""
        self.path, self.seats = out / BOOK, tuple(seats)
        out.mkdir(parents=True, exist_ok=True)
        try:
            self.base = sqlite3.connect(self.path)
            self.base.executescript(TABLES)
            self.base.execute("SELECT person, criterion, scale, points, comment, answer FROM marks LIMIT 1")
        except sqlite3.Error as error:
            raise GradingError(f"{self.path} is no gradebook ({error}). Name another folder with --out.") from error

    def close(self) -> None:
        self.base.commit()
        self.base.close()

    def person(self, report: GradeReport) -> str:
        """Returns what stays the same when somebody hands in once more: the roster's name, or the platform's id."""
        student = report.student
        if seat := seat_of(self.seats, student.id, student.name):
            return f"roster:{seat.id or seat.name}"
        known = student.platform and student.id and student.platform != "gradescope"
        return f"{student.platform}:{student.id}" if known else f"file:{report.source}"

    def everyone(self, reports: list[GradeReport], rubric: Rubric) -> list[GradeReport]:
        """Returns the newest submission of each person, with those graded before and not now, and remembers them.

        Raises:
            GradingError: Somebody who is not graded now was graded by another rubric.
        """
        newest: dict[str, GradeReport] = {}
        for report in sorted(reports, key=lambda one: (one.student.handed_in.rjust(20, "0"), one.source)):
            newest[self.person(report)] = report
        for report in reports:
            row = (self.person(report), report.source, report.prints.file, report.student.late)
            self.base.execute("INSERT OR IGNORE INTO attempts VALUES (?, ?, ?, ?)", row)
        found = {person: _told(report, self._attempts(person)) for person, report in newest.items()}
        for person, report in newest.items():
            text = json.dumps(_to_json(report), ensure_ascii=False)
            self.base.execute("INSERT OR REPLACE INTO reports VALUES (?, ?)", (person, text))
        for person, text in self.base.execute("SELECT person, report FROM reports ORDER BY person").fetchall():
            if person not in found:
                found[person] = _from_json(json.loads(text), rubric)
        return sorted(found.values(), key=lambda one: one.source)

    def _attempts(self, person: str) -> list[tuple[str, int]]:
        query = "SELECT source, late FROM attempts WHERE person = ? ORDER BY rowid"
        return self.base.execute(query, (person,)).fetchall()

    def sources(self, reports: list[GradeReport]) -> dict[str, str]:
        """Returns which of the reports stands for each file that somebody ever handed in."""
        now = {self.person(report): report.source for report in reports}
        rows = self.base.execute("SELECT source, person FROM attempts").fetchall()
        return {
            **{source: now[person] for source, person in rows if person in now},
            **{one: one for one in now.values()},
        }

    def applied(self, reports: list[GradeReport], *, rescale: bool = False) -> list[GradeReport]:
        """Returns the reports with the marks that are remembered.

        Raises:
            GradingError: A criterion has other points than when it was judged, and `rescale` does not say what to do.
        """
        rows = self.base.execute("SELECT person, criterion, scale, points, comment, answer FROM marks").fetchall()
        marks = {(person, criterion): mark for person, criterion, *mark in rows}
        other: dict[str, set[float]] = {}

        def judged(report: GradeReport, result: Result) -> Result:
            mark = marks.get((self.person(report), result.criterion.id))
            if mark is None:
                return result
            scale, given, comment, answer = mark
            if given is None:
                return dataclasses.replace(result, comment=comment)
            if scale != result.criterion.points:
                other.setdefault(result.criterion.id, set()).add(scale)
                given = given * result.criterion.points / scale if scale else 0.0
            changed = result.criterion.manual and answer != _print(report, result)
            evidence = CHANGED if changed else result.evidence
            return dataclasses.replace(by_hand(result, given), comment=comment, evidence=evidence)

        done = [dataclasses.replace(one, results=tuple(judged(one, r) for r in one.results)) for one in reports]
        if other and not rescale:
            name, scales = next(iter(sorted(other.items())))
            said = " and ".join(points(scale) for scale in sorted(scales))
            raise GradingError(
                f"A mark keeps its scale; {name} was judged out of {said}, and the rubric has other points now. Put "
                f"them back, or let every mark keep its share: --rescale"
            )
        return done

    def keep(self, reports: list[GradeReport]) -> None:
        """Remembers what people judged in the reports, and their comments."""
        for report in reports:
            for result in report.results:
                hand = result.sentence == BY_HAND
                if hand or result.comment:
                    given = result.points if hand else None
                    row = (self.person(report), result.criterion.id, result.criterion.points, given, result.comment)
                    self.base.execute(KEEP, (*row, _print(report, result)))


def by_hand(result: Result, given: float) -> Result:
    """Returns a result with an instructor's points, which outweigh any check."""
    status = EARNED if given == result.criterion.points else PARTIAL if given else NOT_EARNED
    return dataclasses.replace(result, status=status, points=given, sentence=BY_HAND, hint="")


def _print(report: GradeReport, result: Result) -> str:
    return hashlib.sha256(answers_of(report, result).encode()).hexdigest()


def _told(report: GradeReport, attempts: list[tuple[str, int]]) -> GradeReport:
    """Returns a report that says how often its student handed in, and when late."""
    if len(attempts) < 2:
        return report
    others = [f"{source}{' (late)' * bool(late)}" for source, late in attempts if source != report.source]
    shown = ", ".join(others[-3:]) or "the same name"
    said = f"{counted(len(attempts), 'attempt')}; this one counts, before: {shown}."
    return dataclasses.replace(report, remarks=(said, *report.remarks))


def _to_json(report: GradeReport) -> dict[str, Any]:
    results = [
        {"criterion": r.criterion.id, "most": r.criterion.points, "points": r.points, "status": r.status}
        | {"evidence": r.evidence, "sentence": r.sentence, "hint": r.hint}
        for r in report.results
    ]
    return {
        "source": report.source,
        "student": dataclasses.asdict(report.student),
        "problems": report.problems,
        "results": results,
        "score": report.score,
        "remarks": report.remarks,
        "answers": dict(report.answers),
        "file": report.prints.file,
    }


def _from_json(values: dict[str, Any], rubric: Rubric) -> GradeReport:
    before = {one.pop("criterion"): one for one in values["results"]}
    if {c.id: c.points for c in rubric.criteria} != {name: one.pop("most") for name, one in before.items()}:
        raise GradingError(
            f"Everybody is graded by one rubric; {values['source']} was graded by another. Grade all submissions again."
        )
    return GradeReport(
        source=values["source"],
        student=Student(**values["student"]),
        problems=tuple(values["problems"]),
        results=tuple(Result(**before[criterion.id], criterion=criterion) for criterion in rubric.criteria),
        score=values["score"],
        remarks=tuple(values["remarks"]),
        prints=Prints(values["file"]),
        answers=values["answers"],
    )
