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
from pathlib import Path

from tqdm.auto import tqdm

from casestudy.grading.checks import CHECKS
from casestudy.grading.evidence import Evidence, NoEvidence
from casestudy.grading.findings import NOT_EARNED, NOTHING, REVIEW, SHARES
from casestudy.grading.key import Key
from casestudy.grading.rubric import Criterion, Rubric
from casestudy.grading.submission import Student, Submission, read_submission, readable

EXCERPT = 1_500  # characters of an answer that are shown


@dataclass(frozen=True)
class Result:
    """What one criterion earned.

    Attributes:
        criterion: Of the rubric.
        status: "earned", "partial", "not earned", "needs review" or "no evidence".
        points: 0 while it needs review.
        evidence: File, cell and value that were looked at.
        sentence: Why, in one sentence.
        hint: What to look at next; may be "".
        comment: The instructor's; may be "".
    """

    criterion: Criterion
    status: str
    points: float
    evidence: str
    sentence: str
    hint: str = ""
    comment: str = ""

    @property
    def waits(self) -> bool:
        """Whether a person has to judge it."""
        return self.status == REVIEW


@dataclass(frozen=True)
class GradeReport:
    """What a submission earned, criterion by criterion.

    Attributes:
        source: Name of the file that was handed in.
        student: Who, as far as that name tells.
        results: In the order of the rubric.
        score: One sentence on the accuracy that was computed again; "" where it could not be.
        problems: Why something that was handed in could not be read.
        remarks: What the instructor should know; nothing here costs points.
        prints: Digests and answers that `similar` compares; not shown.
    """

    source: str
    student: Student
    results: tuple[Result, ...]
    score: str
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    prints: dict[str, str]

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


def grade(submission: Submission, rubric: Rubric, key: Key) -> GradeReport:
    """Returns the grade of one submission; the same submission always gets the same."""
    found = Evidence(submission, key)
    results = tuple(_judge(criterion, found) for criterion in rubric.criteria)
    return GradeReport(
        source=submission.source,
        student=submission.student,
        results=results,
        score=_score(found),
        problems=submission.problems,
        remarks=(*submission.problems, *submission.remarks, *_other_name(submission)),
        prints=_prints(found, rubric),
    )


def grade_all(files: dict[str, Path], rubric: Rubric, key: Key) -> list[GradeReport]:
    """Returns the grades of all files, named as in `find_submissions`; one that is broken stops none of the others."""
    bar = tqdm(files.items(), desc="grading", unit="submission", delay=2, leave=False, disable=None)
    reports = [_grade_safely(read_submission(file, name), rubric, key) for name, file in bar]
    alike = similar(reports)
    return [
        dataclasses.replace(report, remarks=(*report.remarks, *alike[k])) if alike[k] else report
        for k, report in enumerate(reports)
    ]


def _grade_safely(submission: Submission, rubric: Rubric, key: Key) -> GradeReport:
    """Returns the grade, or one that leaves everything to a person where grading itself breaks."""
    try:
        return grade(submission, rubric, key)
    except Exception as error:  # a fault of ours must not cost the others their grades
        remark = f"Grading broke on this file ({type(error).__name__}: {readable(error)}); please look yourself."
        results = tuple(Result(c, REVIEW, 0, "", "The program could not judge this.") for c in rubric.criteria)
        prints = {"file": submission.digest, "predictions": "", "seed": ""}
        return GradeReport(
            submission.source,
            submission.student,
            results,
            "",
            submission.problems,
            (*submission.problems, remark),
            prints,
        )


def _judge(criterion: Criterion, found: Evidence) -> Result:
    lacking = [need for need in criterion.needs if not found.has(need)]
    if lacking:
        what = ", ".join(lacking)
        sentence = f"There is nothing to judge: the submission lacks {what}."
        return Result(
            criterion,
            NOTHING,
            0,
            f"{what}: missing",
            sentence,
            "Call casestudy submit once more: it says what is missing before you hand in.",
        )
    if criterion.manual:
        return _answered(criterion, found)
    try:
        finding = CHECKS[criterion.check](found)
    except NoEvidence as reason:
        return Result(criterion, NOTHING, 0, "", str(reason))
    except Exception as error:  # a check's own fault costs nobody points and stops nobody's grading
        sentence = f"The check could not judge this ({type(error).__name__}); a person will."
        return Result(criterion, REVIEW, 0, readable(error), sentence)
    points = SHARES.get(finding.status, 0.0) * criterion.points
    return Result(criterion, finding.status, points, finding.evidence, finding.sentence, finding.hint)


def _answered(criterion: Criterion, found: Evidence) -> Result:
    """Returns "needs review", or "not earned" where an answer cell is as it was handed out."""
    answers = {need: found.answer(need) for need in criterion.answers}
    empty = [name for name, text in answers.items() if not text]
    if empty:
        return Result(
            criterion, NOT_EARNED, 0, f"cell {empty[0]}", "The question is not answered.", "Half a page is plenty."
        )
    words = sum(len(text.split()) for text in answers.values())
    evidence = f"cell {', '.join(answers)}: {words} words" if answers else "the notebooks"
    return Result(criterion, REVIEW, 0, evidence, "A person reads this.")


def answers_of(report: GradeReport, result: Result) -> str:
    """Returns what the student wrote for a criterion, for the one who reads it; "" where it is no answer."""
    texts = (report.prints.get(need, "") for need in result.criterion.answers)
    return "\n\n".join(text[:EXCERPT] + ("…" if len(text) > EXCERPT else "") for text in texts)


def _score(found: Evidence) -> str:
    try:
        evaluation = found.evaluation
    except Exception:  # no evidence, or a fault of ours: the checks say so, each for itself
        return ""
    low, high = evaluation.interval
    return (
        f"Computed again from your predictions: {evaluation.accuracy:.1%} of {len(evaluation.predictions):,} test "
        f"photographs (95 % {low:.1%} to {high:.1%}), loss {evaluation.loss:.2f}. No point depends on how high it is."
    )


def _other_name(submission: Submission) -> list[str]:
    """Returns a remark where the name inside is not the one outside: perhaps somebody else's work."""
    inside = readable(submission.manifest.get("student") or "", 80)
    letters = [_letters(name) for name in (inside, submission.student.name)]
    if not inside or not submission.student.id or letters[0] == letters[1]:
        return []
    return [f"The submission says it is {inside}'s; the file was handed in by {submission.student.name}."]


def _letters(name: str) -> list[str]:
    """Returns the letters of a name, sorted: platforms turn names round and spell ü as u or ue."""
    bare = unicodedata.normalize("NFKD", name.casefold())
    return sorted(re.sub(r"([aou])e", r"\1", re.sub(r"[\W_]", "", bare)))


def _prints(found: Evidence, rubric: Rubric) -> dict[str, str]:
    """Returns what two submissions can share: the seed, the predicted probabilities, and each answer."""
    files = found.submission.files
    prints = {"file": found.submission.digest, "predictions": ""}
    if "run/predictions.csv" in files:
        prints["predictions"] = hashlib.sha256(files["run/predictions.csv"]).hexdigest()
    try:
        prints["seed"] = str(found.settings.get("seed"))
    except NoEvidence:
        prints["seed"] = ""
    for need in dict.fromkeys(need for criterion in rubric.criteria for need in criterion.answers):
        prints[need] = found.answer(need) if found.has(need) else ""
    return prints


def similar(reports: list[GradeReport]) -> list[list[str]]:
    """Returns for each report what it shares with others, worth a look: identical predictions or nearly equal answers.

    The same seed on the same kind of machine gives the same predictions by design, and the remark says so.
    """
    found: list[list[str]] = [[] for _ in reports]
    words = [
        {name: shingles(text) for name, text in report.prints.items() if name.startswith("answer-")}
        for report in reports
    ]
    for one, first in enumerate(reports):
        for two in range(one):
            second = reports[two]
            shared = []
            if first.prints["file"] and first.prints["file"] == second.prints["file"]:
                shared.append("the whole file")
            elif first.prints["predictions"] and first.prints["predictions"] == second.prints["predictions"]:
                seed = readable(first.prints["seed"], 20)
                same = f" (both have seed {seed}, which on equal machines gives equal runs)"
                other = ", though their seeds differ"
                shared.append(f"every prediction{same if first.prints['seed'] == second.prints['seed'] else other}")
            shared += [name for name, own in words[one].items() if alike(own, words[two].get(name, frozenset()))]
            for here, there in ((one, second), (two, first)):
                if shared:
                    found[here].append(f"Shares with {there.student.name} ({there.source}): {', '.join(shared)}.")
    return found


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Returns every three words in a row; none for an answer too short to compare."""
    words = re.findall(r"\w+", text.casefold())
    return frozenset(zip(words, words[1:], words[2:], strict=False)) if len(words) >= 12 else frozenset()


def alike(one: frozenset[tuple[str, ...]], two: frozenset[tuple[str, ...]]) -> bool:
    """Returns whether two answers share four fifths of their three-word pieces (Broder 1997)."""
    return bool(one) and bool(two) and len(one & two) >= 0.8 * len(one | two)
