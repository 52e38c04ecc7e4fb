"""From a submission to its grade: each criterion's points, with the reason for every one that is lost.

Grading fails closed: without evidence there are no points, and what no check can judge waits for a person. Nothing of
a submission is run or unpickled, and its numbers are computed again from its predictions and the key's labels.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from casestudy.evaluation import PREFIX
from casestudy.grading.checks import CHECKS
from casestudy.grading.containers import readable
from casestudy.grading.contents import Contents, NoEvidence, as_numbers
from casestudy.grading.doubts import EVERYTHING, Doubt, doubts
from casestudy.grading.key import Key
from casestudy.grading.likeness import Prints, table_print
from casestudy.grading.outcomes import EARNED, NOT_EARNED, NOTHING, PARTIAL, REVIEW, SHARES, Outcome
from casestudy.grading.roster import Seat, letters, seat_of
from casestudy.grading.rubric import Bundle, Criterion, Rubric
from casestudy.grading.submission import Student, Submission, student_of
from casestudy.words import banner, counted, percent

NO_GRADE = Bundle("none", 0, ())


@dataclass(frozen=True, kw_only=True)
class Result(Outcome):
    """What one criterion earned: an outcome, its points (0 while it needs review), and an instructor's comment."""

    criterion: Criterion
    points: float = 0
    comment: str = ""

    @property
    def waits(self) -> bool:
        """Whether a person has to judge it."""
        return self.status == REVIEW

    @property
    def said(self) -> str:
        """The status in the words of its kind of rubric."""
        words = {EARNED: "met", NOT_EARNED: "not met"} if self.criterion.is_specification else {}
        return words.get(self.status, self.status)


@dataclass(frozen=True)
class GradeReport:
    """What a submission earned, criterion by criterion."""

    source: str  # name of the file that was handed in
    student: Student
    problems: tuple[str, ...]  # why something in it could not be read
    results: tuple[Result, ...]  # in the order of the rubric
    score: str  # a sentence on the accuracy that was computed again; "" where it could not be
    remarks: tuple[str, ...]  # what the instructor should know; nothing here costs points
    prints: Prints  # what `likenesses` compares; not shown
    answers: Mapping[str, str] = field(default_factory=dict)  # what the student wrote, by answer cell
    team: tuple[str, ...] = ()  # the names of those who handed this in together
    bundles: tuple[Bundle, ...] = ()  # the grades of a rubric of specifications
    partners: tuple[Student, ...] = ()  # who else handed this in, where the platform says so

    @property
    def points(self) -> float:
        """Earned so far; by specifications, those of the grade."""
        return self._bundle(EARNED).points if self.bundles else self.met

    @property
    def met(self) -> float:
        """How many specifications are met."""
        return sum(result.points for result in self.results)

    @property
    def most(self) -> float:
        """Of the rubric."""
        return self.bundles[0].points if self.bundles else sum(result.criterion.points for result in self.results)

    @property
    def open(self) -> float:
        """Points that wait for a person: that can still be had."""
        if self.bundles:
            return self._bundle(EARNED, REVIEW).points - self.points
        return sum(result.criterion.points for result in self.results if result.waits)

    @property
    def grade(self) -> str:
        """The best grade all of whose specifications are met; "" by points."""
        return self._bundle(EARNED).grade if self.bundles else ""

    def _bundle(self, *statuses: str) -> Bundle:
        met = {result.criterion.id for result in self.results if result.status in statuses}
        return next((one for one in self.bundles if met.issuperset(one.asks)), NO_GRADE)


def grade_safely(submission: Submission, rubric: Rubric, key: Key) -> GradeReport:
    """Returns the grade, or one that leaves everything to a person where grading itself breaks."""
    try:
        return grade(submission, rubric, key)
    except Exception as error:  # a fault of ours must not cost the others their grades
        remark = f"Grading broke on this file ({type(error).__name__}: {readable(error)}); please look yourself."
        why = "The program could not judge this."
        results = tuple(Result(REVIEW, "", why, criterion=criterion) for criterion in rubric.criteria)
        return GradeReport(
            *(submission.source, submission.student, submission.problems, results),
            score="",
            remarks=(*submission.problems, remark),
            prints=Prints(submission.digest),
            bundles=rubric.bundles,
            partners=submission.partners,
        )


def grade(submission: Submission, rubric: Rubric, key: Key) -> GradeReport:
    """Returns the grade of one submission; the same submission always gets the same."""
    submission = _by_its_file(submission, key.students)
    found = Contents(submission, key)
    doubted = doubts(found)
    told = dict.fromkeys(one.remark or one.sentence for one in doubted)
    return GradeReport(
        *(submission.source, submission.student, submission.problems),
        results=tuple(_judge(criterion, found, doubted) for criterion in rubric.criteria),
        score=_score(found),
        remarks=(*submission.problems, *submission.remarks, *_other_name(submission), *_few(told)),
        prints=_prints(found, rubric),
        answers=_answers(found, rubric),
        bundles=rubric.bundles,
        partners=submission.partners,
    )


def _few(told: Iterable[str], most: int = 6) -> list[str]:
    """Returns the first sentences, and how many more there are."""
    shown = list(told)
    more = [f"And {counted(len(shown) - most, 'more contradiction')}."] if len(shown) > most else []
    return [*shown[:most], *more]


def _judge(criterion: Criterion, found: Contents, doubts: tuple[Doubt, ...]) -> Result:
    if lacking := ", ".join(need for need in criterion.needs if not found.has(need)):
        sentence = f"There is nothing to judge: the submission lacks {lacking}."
        hint = "Call casestudy submit once more: it says what is missing before you hand in."
        return Result(NOTHING, f"{lacking}: missing", sentence, hint, criterion=criterion)
    if criterion.manual:
        return Result(**vars(_answered(criterion, found)), criterion=criterion)
    try:
        outcome = CHECKS[criterion.check](found)
    except NoEvidence as reason:
        return Result(NOTHING, "", str(reason), criterion=criterion)
    except Exception as error:  # a check's own fault costs nobody points and stops nobody's grading
        sentence = f"The check could not judge this ({type(error).__name__}); a person will."
        return Result(REVIEW, readable(error), sentence, criterion=criterion)
    if outcome.status == PARTIAL and criterion.is_specification:
        outcome = dataclasses.replace(outcome, status=NOT_EARNED)
    if outcome.status in (EARNED, PARTIAL) and (doubt := _doubted(criterion, doubts)):
        hint = "Hand in the run folder as casestudy left it, or show your instructor how it came about."
        return Result(REVIEW, outcome.evidence, f"{doubt.sentence} A person has to look.", hint, criterion=criterion)
    return Result(**vars(outcome), criterion=criterion, points=SHARES[outcome.status] * criterion.points)


def _doubted(criterion: Criterion, doubts: tuple[Doubt, ...]) -> Doubt | None:
    """Returns the first doubt about a file that a criterion rests on, in a fold's folder or not."""
    needs = [rf"run/(folds/[^/]+/)?{re.escape(need)}" for need in criterion.needs if not need.startswith("*")]
    needs += [r"notebooks/.*"] * ("*.ipynb" in criterion.needs)
    return next(
        (one for one in doubts if one.file == EVERYTHING or any(re.fullmatch(n, one.file) for n in needs)), None
    )


def _answered(criterion: Criterion, found: Contents) -> Outcome:
    """Returns "needs review", or "not earned" where an answer cell is as it was handed out."""
    answers = {need: found.answer(need) for need in criterion.answers}
    for name, text in answers.items():
        if not text:
            return Outcome(NOT_EARNED, f"cell {name}", "The question is not answered.", "Half a page is plenty.")
    words = sum(len(text.split()) for text in answers.values())
    evidence = f"cell {', '.join(answers)}: {counted(words, 'word')}" if answers else "the notebooks"
    return Outcome(REVIEW, evidence, "A person reads this.")


def answers_of(report: GradeReport, result: Result) -> str:
    """Returns what the student wrote for a criterion, for the one who reads it; "" where it is no answer."""
    needs = result.criterion.answers or (report.answers if "*.ipynb" in result.criterion.needs else ())
    shown = ((need, report.answers.get(need, "")) for need in needs)
    return "\n\n".join(f"{need}: {text}" if len(tuple(needs)) > 1 else text for need, text in shown if text)


def _score(found: Contents) -> str:
    try:
        evaluation = found.evaluation
    except Exception:  # no evidence, or a fault of ours: the checks say so, each for itself
        return ""
    photographs = counted(len(evaluation.predictions), "test photograph")
    known = ""
    with suppress(NoEvidence):  # run.json is another check's matter
        known = banner(found.settings.get("drawn"), found.settings.get("quick") is True)
    return (
        f"Computed again from your predictions: {percent(evaluation.accuracy)} of {photographs} "
        f"({evaluation.sure.sentence}), loss {evaluation.loss:.2f}. No point depends on how high it is."
        f"{known and f' {known}'}"
    )


def _by_its_file(submission: Submission, seats: Iterable[Seat]) -> Submission:
    """Returns a submission as that of whom its file's name tells, where that is somebody of the roster.

    What is inside may say anybody else's name, and would take that person's place.
    """
    name = student_of(Path(submission.source)).name
    if submission.student.id or name == submission.student.name or seat_of(seats, "", name) is None:
        return submission
    return dataclasses.replace(submission, student=dataclasses.replace(submission.student, name=name))


def _other_name(submission: Submission) -> list[str]:
    """Returns a remark where the name inside is not the one outside: perhaps somebody else's work."""
    inside, student = readable(submission.manifest.get("student") or "", 80), submission.student
    names = [letters(one.name) for one in (student, *submission.partners)]
    if not inside or letters(inside) in names:
        return []
    return [f"The submission says it is {inside}'s; the file was handed in by {student.name}."]


def _prints(found: Contents, rubric: Rubric) -> Prints:
    """Returns what two submissions can share: the file, its predictions, the seed, and each answer."""
    columns = [PREFIX + label for label in found.key.class_names]
    tables = {}
    for table in ("predictions", "hidden_predictions"):
        with suppress(NoEvidence):
            cells = found.table(f"run/{table}.csv", ("name", *columns))
            if np.isfinite(values := as_numbers(cells[columns])).all():
                tables[table] = table_print(cells["name"].tolist(), values)
    with suppress(NoEvidence):
        seed = str(found.settings.get("seed"))
        return Prints(found.submission.digest, seed, _answers(found, rubric), tables)
    return Prints(found.submission.digest, "", _answers(found, rubric), tables)


def _answers(found: Contents, rubric: Rubric) -> dict[str, str]:
    return {need: found.answer(need) for c in rubric.criteria for need in c.answers if found.has(need)}
