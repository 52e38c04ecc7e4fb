"""From a submission to its grade: each criterion's points, with the reason for every one that is lost.

Grading fails closed: without evidence there are no points, and what no check can judge waits for a person. Nothing of
a submission is run or unpickled, and its numbers are computed again from its predictions and the key's labels.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from tqdm.auto import tqdm

from casestudy.grading.checks import CHECKS
from casestudy.grading.contents import Contents, NoEvidence
from casestudy.grading.key import Key
from casestudy.grading.outcomes import NOT_EARNED, NOTHING, REVIEW, SHARES, Outcome
from casestudy.grading.rubric import Criterion, Rubric
from casestudy.grading.submission import Student, Submission, read_submission, readable
from casestudy.words import counted

EXCERPT = 1_500  # characters of an answer that are shown


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


@dataclass(frozen=True)
class GradeReport:
    """What a submission earned, criterion by criterion."""

    source: str  # name of the file that was handed in
    student: Student
    problems: tuple[str, ...]  # why something in it could not be read
    results: tuple[Result, ...]  # in the order of the rubric
    score: str  # a sentence on the accuracy that was computed again; "" where it could not be
    remarks: tuple[str, ...]  # what the instructor should know; nothing here costs points
    prints: dict[str, str]  # digests and answers that `similar` compares; not shown

    @property
    def points(self) -> float:
        """Earned so far."""
        return sum(result.points for result in self.results)

    @property
    def most(self) -> float:
        """Of the rubric."""
        return sum(result.criterion.points for result in self.results)

    @property
    def open(self) -> float:
        """Points that wait for a person."""
        return sum(result.criterion.points for result in self.results if result.waits)


def grade_all(files: dict[str, Path], rubric: Rubric, key: Key) -> list[GradeReport]:
    """Returns the grades of all files, named as in `find_submissions`; one that is broken stops none of the others."""
    bar = tqdm(files.items(), desc="grading", unit="submission", delay=2, leave=False, disable=None)
    reports = [_grade_safely(read_submission(file, name), rubric, key) for name, file in bar]
    return [
        dataclasses.replace(report, remarks=(*report.remarks, *likeness))
        for report, likeness in zip(reports, similar(reports), strict=True)
    ]


def _grade_safely(submission: Submission, rubric: Rubric, key: Key) -> GradeReport:
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
            prints={"file": submission.digest},
        )


def grade(submission: Submission, rubric: Rubric, key: Key) -> GradeReport:
    """Returns the grade of one submission; the same submission always gets the same."""
    found = Contents(submission, key)
    return GradeReport(
        *(submission.source, submission.student, submission.problems),
        results=tuple(_judge(criterion, found) for criterion in rubric.criteria),
        score=_score(found),
        remarks=(*submission.problems, *submission.remarks, *_other_name(submission)),
        prints=_prints(found, rubric),
    )


def _judge(criterion: Criterion, found: Contents) -> Result:
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
    return Result(**vars(outcome), criterion=criterion, points=SHARES[outcome.status] * criterion.points)


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
    texts = (report.prints.get(need, "") for need in result.criterion.answers)
    return "\n\n".join(text[:EXCERPT] + ("…" if len(text) > EXCERPT else "") for text in texts)


def _score(found: Contents) -> str:
    try:
        evaluation = found.evaluation
    except Exception:  # no evidence, or a fault of ours: the checks say so, each for itself
        return ""
    photographs = counted(len(evaluation.predictions), "test photograph")
    return (
        f"Computed again from your predictions: {evaluation.accuracy:.1%} of {photographs} "
        f"({evaluation.sure.sentence}), loss {evaluation.loss:.2f}. No point depends on how high it is."
    )


def _other_name(submission: Submission) -> list[str]:
    """Returns a remark where the name inside is not the one outside: perhaps somebody else's work."""
    inside, student = readable(submission.manifest.get("student") or "", 80), submission.student
    if not inside or not student.id or _letters(inside) == _letters(student.name):
        return []
    return [f"The submission says it is {inside}'s; the file was handed in by {student.name}."]


def _letters(name: str) -> list[str]:
    """Returns the letters of a name, sorted: platforms turn names round and spell ü as u or ue."""
    bare = unicodedata.normalize("NFKD", name.casefold())
    return sorted(re.sub(r"([aou])e", r"\1", re.sub(r"[\W_]", "", bare)))


def _prints(found: Contents, rubric: Rubric) -> dict[str, str]:
    """Returns what two submissions can share: the file, its predictions, the seed, and each answer."""
    predictions = found.submission.files.get("run/predictions.csv")
    try:
        seed = str(found.settings.get("seed"))
    except NoEvidence:
        seed = ""
    return {
        "file": found.submission.digest,
        "predictions": hashlib.sha256(predictions).hexdigest() if predictions is not None else "",
        "seed": seed,
        **{need: found.answer(need) for c in rubric.criteria for need in c.answers if found.has(need)},
    }


def similar(reports: list[GradeReport]) -> list[list[str]]:
    """Returns for each report what it shares with others, worth a look: identical predictions or nearly equal answers.

    The same seed on the same kind of machine gives the same predictions by design, and the remark says so.
    """
    found: list[list[str]] = [[] for _ in reports]
    words = [
        {need: shingles(text) for need, text in report.prints.items() if need.startswith("answer-")}
        for report in reports
    ]
    for one, two in combinations(range(len(reports)), 2):
        first, second = reports[one], reports[two]
        same = {name for name, text in first.prints.items() if text and text == second.prints.get(name)}
        shared = []
        if "file" in same:
            shared.append("the whole file")
        elif "predictions" in same:
            seeds = [report.prints["seed"] for report in (first, second)]
            equal = f" (both have seed {readable(seeds[0], 20)}, which on equal machines gives equal runs)"
            shared.append("every prediction" + (equal if seeds[0] == seeds[1] else ", though their seeds differ"))
        shared += [need for need, own in words[one].items() if alike(own, words[two].get(need, frozenset()))]
        if shared:
            found[one].append(f"Shares with {second.student.name} ({second.source}): {', '.join(shared)}.")
            found[two].append(f"Shares with {first.student.name} ({first.source}): {', '.join(shared)}.")
    return found


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Returns every three words in a row; none for an answer too short to compare."""
    words = re.findall(r"\w+", text.casefold())
    return frozenset(zip(words, words[1:], words[2:], strict=False)) if len(words) >= 12 else frozenset()


def alike(one: frozenset[tuple[str, ...]], two: frozenset[tuple[str, ...]]) -> bool:
    """Returns whether two answers share four fifths of their three-word pieces (Broder 1997)."""
    return bool(one) and bool(two) and len(one & two) >= 0.8 * len(one | two)
