"""A gradebook that remembers: what people judged, and what was handed in, in one SQLite file of the output folder.

A mark belongs to a person and a criterion, with the points that the criterion had. It survives another submission, a
grading of one student alone, and another download. Where the rubric has changed the points, it is asked what to do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.grading.grade import GradeReport, Result, answers_of
from casestudy.grading.kept import from_json, to_json
from casestudy.grading.outcomes import EARNED, NOT_EARNED, PARTIAL
from casestudy.grading.roster import Seat, seat_of, together
from casestudy.grading.rubric import Rubric
from casestudy.grading.submission import Student
from casestudy.report import points
from casestudy.words import counted

BOOK = "gradebook.sqlite"
TITLE = "Case study"  # of the assignment in Canvas, where nobody names it
BY_HAND = "Judged by your instructor."
CHANGED = "The answer is another one than the one that was judged."
TABLES = """
CREATE TABLE IF NOT EXISTS marks (person TEXT, criterion TEXT, scale REAL NOT NULL, points REAL, comment TEXT NOT NULL,
    answer TEXT NOT NULL, PRIMARY KEY (person, criterion));
CREATE TABLE IF NOT EXISTS attempts (person TEXT, source TEXT, digest TEXT, late INTEGER NOT NULL,
    PRIMARY KEY (person, source, digest));
CREATE TABLE IF NOT EXISTS reports (person TEXT PRIMARY KEY, report TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS course (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
# A mark that is read once more from the same list stays a mark of the answer that was read.
KEEP = """
INSERT INTO marks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (person, criterion) DO UPDATE SET
    answer = CASE WHEN points IS excluded.points AND comment = excluded.comment THEN answer ELSE excluded.answer END,
    scale = excluded.scale, points = excluded.points, comment = excluded.comment
"""


class Marks:
    """The file, open, as a context: what happened in it is kept at its end, or nothing where that was an error."""

    def __init__(self, out: Path, known: dict[tuple[str, str], Seat | None] | None = None) -> None:
        """Opens the gradebook of a folder, or begins one; a GradingError says that the file is another one.

        `known` is who is who, from the last time: to look through the roster takes long where many are in it.
        """
        self.path, self.known = out / BOOK, {} if known is None else known
        out.mkdir(parents=True, exist_ok=True)
        try:
            self.base = sqlite3.connect(self.path)
            self.base.executescript(TABLES)
            self.base.execute("SELECT person, criterion, scale, points, comment, answer FROM marks LIMIT 1")
            course = dict(self.base.execute("SELECT name, value FROM course").fetchall())
        except sqlite3.Error as error:
            raise GradingError(f"{self.path} is no gradebook ({error}). Name another folder with --out.") from error

        self.title, self.listed = course.get("title", TITLE), course.get("scores", "")
        self.seats = tuple(Seat(**seat) for seat in json.loads(course.get("roster", "[]")))

    def __enter__(self) -> Marks:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.base.commit()
        self.base.close()

    def belongs_to(self, seats: Iterable[Seat], title: str) -> None:
        """Remembers whose gradebook it is: the roster, without its seeds, and the assignment's name in Canvas."""
        self.title, self.seats = title, tuple(dataclasses.replace(seat, seed=0) for seat in seats)
        self.known.clear()
        course = {"title": title, "roster": json.dumps([dataclasses.asdict(seat) for seat in self.seats])}
        self.base.executemany("INSERT OR REPLACE INTO course VALUES (?, ?)", course.items())

    def lists(self, scores: Path) -> None:
        """Remembers scores.csv as it was written: until somebody types into it, what is remembered here is newer."""
        self.base.execute("INSERT OR REPLACE INTO course VALUES ('scores', ?)", (_digest(scores),))

    def typed_into(self, scores: Path) -> bool:
        """Returns whether somebody has changed the list since it was written."""
        return scores.is_file() and _digest(scores) != self.listed

    def person(self, report: GradeReport) -> str:
        """Returns what stays the same when somebody hands in once more: the roster's name, or the platform's id."""
        student = report.student
        if seat := self._seat(student):
            return f"roster:{seat.id or seat.name}"
        known = student.platform and student.id
        return f"{student.platform}:{student.id}" if known else f"file:{report.source}"

    def everyone(self, reports: list[GradeReport], rubric: Rubric) -> list[GradeReport]:
        """Returns the newest submission of each person, with those graded before and not now, and remembers them.

        Raises:
            GradingError: Somebody who is not graded now was graded by another rubric.
        """
        newest: dict[str, GradeReport] = {}
        for report in sorted(reports, key=lambda one: (one.student.handed_in.rjust(20, "0"), one.source)):
            newest |= {self.person(own): own for own in self._of_each(report)}
        for report in reports:
            for person in map(self.person, self._of_each(report)):
                row = (person, report.source, report.prints.file, report.student.late)
                self.base.execute("INSERT OR IGNORE INTO attempts VALUES (?, ?, ?, ?)", row)
        rows = self.base.execute("SELECT person, report FROM reports").fetchall()
        before = {person: json.loads(text) for person, text in rows}
        known = {person: Student(**values["student"]) for person, values in before.items()}
        known |= {self.person(report): report.student for report in reports}  # by its own file, not by another member's
        for person, report in newest.items():
            if report.team and person in known:
                student = dataclasses.replace(report.student, id=known[person].id, platform=known[person].platform)
                newest[person] = report = dataclasses.replace(report, student=student)
            text = json.dumps(to_json(report), ensure_ascii=False)
            self.base.execute("INSERT OR REPLACE INTO reports VALUES (?, ?)", (person, text))
        found = {person: from_json(values, rubric) for person, values in before.items() if person not in newest}
        told = [_told(report, self._attempts(person)) for person, report in {**found, **newest}.items()]
        return sorted(told, key=lambda one: (one.source, one.student.name, one.student.id))

    def _of_each(self, report: GradeReport) -> Iterator[GradeReport]:
        """Yields a report for everybody who handed this in together, as the roster or the platform says."""
        own = {self._seat(student) or student: student for student in (report.student, *report.partners)}
        every = (one for who in own for one in (together(self.seats, who) if isinstance(who, Seat) else (who,)))
        group = tuple(dict.fromkeys(every))
        names = tuple(one.name for one in group)
        for one in group:
            student = own.get(one) or dataclasses.replace(report.student, id=one.id, platform="")
            named = dataclasses.replace(student, name=one.name if len(group) > 1 else student.name)
            yield dataclasses.replace(report, student=named, team=names if len(group) > 1 else (), partners=())

    def _seat(self, student: Student) -> Seat | None:
        if (key := (student.id, student.name)) not in self.known:
            self.known[key] = seat_of(self.seats, *key)
        return self.known[key]

    def _attempts(self, person: str) -> list[tuple[str, int]]:
        query = "SELECT source, late, MIN(rowid) AS first FROM attempts WHERE person = ? GROUP BY digest ORDER BY first"
        return [(source, late) for source, late, _ in self.base.execute(query, (person,))]

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
            if scale != result.criterion.points and result.criterion.is_specification and given not in (0, scale):
                what = f"{points(given)} of {points(scale)} for {result.criterion.id} is neither met nor not met"
                raise GradingError(f"A mark keeps its meaning; {what}. Grade into a new folder with --out.")
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

    def judge(self, reports: Iterable[GradeReport], criterion: str, given: float | None, comment: str) -> None:
        """Remembers one mark of these, given now; without points and a comment there is none any more."""
        for report in reports:
            result = next(one for one in report.results if one.criterion.id == criterion)
            key = (self.person(report), criterion)
            self.base.execute("DELETE FROM marks WHERE person = ? AND criterion = ?", key)
            if given is not None or comment:
                row = (*key, result.criterion.points, given, comment, _print(report, result))
                self.base.execute(KEEP, row)

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


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _told(report: GradeReport, attempts: list[tuple[str, int]]) -> GradeReport:
    """Returns a report that says how often its student handed in, and when late."""
    if len(attempts) < 2:
        return report
    others = [f"{source}{' (late)' * bool(late)}" for source, late in attempts if source != report.source]
    shown = ", ".join(others[-3:]) or "the same name"
    said = f"{counted(len(attempts), 'attempt')}; this one counts, before: {shown}."
    return dataclasses.replace(report, remarks=(said, *report.remarks))
