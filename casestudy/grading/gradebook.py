"""What an instructor gets and what a student gets: pages to read, tables for a learning platform, scores to fill in."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.files import write_text
from casestudy.grading.containers import readable
from casestudy.grading.exports import canvas_csv, gradescope_results, json_lines, moodle_csv, standing
from casestudy.grading.grade import NO_GRADE, GradeReport, answers_of
from casestudy.grading.key import load_key
from casestudy.grading.many import grade_all
from casestudy.grading.marks import BOOK, BY_HAND, TITLE, Marks
from casestudy.grading.outcomes import EARNED, REVIEW
from casestudy.grading.roster import Seat
from casestudy.grading.rubric import Rubric, load_rubric
from casestudy.grading.scores import Shared, merge, to_judge
from casestudy.grading.submission import find_submissions
from casestudy.grading.tables import csv_text
from casestudy.report import page, points, source
from casestudy.words import counted

GRADES, CRITERIA, SCORES, OVERVIEW = "grades.csv", "criteria.csv", "scores.csv", "overview.html"
KEPT = ".graded"  # a folder: what each submission earned, so that a call that was stopped goes on
CANVAS_FILE, MOODLE_FILE = "for_canvas.csv", "for_moodle.csv"
GRADES_HEADER = ("student", "id", "file", "points", "most", "open points", "standing")
CRITERIA_HEADER = ("student", "id", "file", "criterion", "status", "points", "most", "evidence", "sentence", "comment")
SCORES_HEADER = ("file", "student", "criterion", "most", "points", "comment", "question", "answer")


def grade_submissions(
    paths: list[Path],
    rubric: Path | None,
    key: Path,
    out: Path,
    *,
    scores: Path | None = None,
    comments: Path | None = None,
    gradescope: Path | None = None,
    title: str = TITLE,
    rescale: bool = False,
    challenged: int = 0,
    data: Path | None = None,
    cluster: str | None = None,
) -> list[GradeReport]:
    """Returns the grade of every submission, and writes them all to the new folder `out`; see `write_gradebook`.

    Args:
        paths: Files, or folders of them.
        rubric: What is judged; None for rubric.md.
        key: Of `write_key`.
        out: A new folder.
        scores: An instructor's own points, and `comments` a bank of comments for them; see `scores.merge`.
        title: Of the assignment in Canvas.
        rescale: Marks keep their share where the rubric has other points than when they were given.
        challenged: How many runs, chosen by chance, are trained again; see `challenge`. They stay in `out`-challenge.
        data: For these, the archive that students were given.
        cluster: Whose workers grade; see `cluster.run_tasks`. The grades are the same.
        gradescope: Where Gradescope looks for results.json, of one submission; it is written even if grading fails.

    Raises:
        GradingError: There is nothing to grade, or something of the instructor's cannot be used.
    """
    try:
        criteria, known = load_rubric(rubric), load_key(key)
        if absent := [path for path in paths if not path.exists()]:
            raise GradingError(f"Submissions are files or folders; there is nothing at {absent[0]}. Check the path.")
        own = (key, out, scores, comments, rubric)
        files = find_submissions(paths, skip=tuple(path for path in own if path))
        if not files:
            raise GradingError(f"There is no submission in {paths[0]}. Name the folder with the files in it.")
        if gradescope and len(files) > 1:
            raise GradingError(f"--gradescope is for one submission; received {len(files)}. Name a single file.")
        if challenged and data is None:
            raise GradingError("--challenge trains on the archive that students were given. Name it with --data.")
        there = {name: path.absolute() if isinstance(path, Path) else path for name, path in files.items()}
        _refuse_strangers(out)
        reports = grade_all(there, criteria, known, cluster, out / KEPT)
        if challenged and data is not None:
            from casestudy.grading.challenge import challenge

            home = out.with_name(f"{out.name}-challenge")
            trained = {one.source: one for one in challenge(reports, files, known, home, data, challenged)}
            reports = [
                dataclasses.replace(one, remarks=(trained[one.source].sentence, *one.remarks))
                if one.source in trained
                else one
                for one in reports
            ]
        course = (known.students, title)
        reports = marked(reports, criteria, out, course, [scores] if scores else [], comments, rescale=rescale)
        write_gradebook(reports, criteria, out, seats=known.students, title=title)
        if gradescope:
            write_text(gradescope, gradescope_results(next(one for one in reports if one.source in files)))
    except Exception as error:
        if gradescope and not gradescope.exists():  # a platform that finds no file says nothing to anybody
            said = f"This submission could not be graded. Tell your instructor: {readable(error, 500)}"
            write_text(
                gradescope, json_lines({"score": 0, "output": said, "output_format": "text", "tests": []}, indent=None)
            )
        raise
    return reports


def marked(
    reports: list[GradeReport],
    rubric: Rubric,
    out: Path,
    course: tuple[tuple[Seat, ...], str] | None = None,
    given: Iterable[Path] = (),
    comments: Path | None = None,
    *,
    rescale: bool = False,
) -> list[GradeReport]:
    """Returns everybody's newest report with all marks: those remembered, those typed into scores.csv, and `given`.

    `course` is the roster and the assignment's name; None for those remembered. Nothing is remembered where something
    does not fit.
    """
    _refuse_strangers(out)
    with Marks(out) as book:
        if course:
            book.belongs_to(*course)
        everyone = book.applied(book.everyone(reports, rubric), rescale=rescale)
        for file in [*([out / SCORES] if book.typed_into(out / SCORES) else []), *given]:
            everyone = merge(everyone, file, comments, sources=book.sources(everyone), rescale=rescale)
        book.keep(everyone)
    return everyone


def _own_answers(report: GradeReport) -> dict[str, str]:
    """Returns what the student wrote for each criterion that a person judges by an answer cell."""
    return {one.criterion.id: answers_of(report, one) for one in report.results if one.criterion.answers}


def _refuse_strangers(out: Path) -> None:
    there = [name for name in (GRADES, CRITERIA, SCORES, OVERVIEW, "students") if (out / name).exists()]
    if there and not (out / BOOK).is_file():
        what = f"{out} has {there[0]} already, and no {BOOK}"
        raise GradingError(f"Grades are never overwritten; {what}. Name a new folder with --out.")


def write_gradebook(
    reports: list[GradeReport], rubric: Rubric, out: Path, *, seats: tuple[Seat, ...] = (), title: str = TITLE
) -> None:
    """Writes overview.html, the tables, a file for each platform, and for each submission a folder under students.

    `seats` is the roster, for names and ids of the office; `title`, the assignment's name in Canvas.

    Pages and tables of a folder with a gradebook are written anew; in any other they are refused with a GradingError.
    """
    _refuse_strangers(out)
    homes, style = _homes(reports), source("report.css") + source("grades.css")
    for report, home in zip(reports, homes, strict=True):
        write_text(
            out / home / "feedback.html",
            page("feedback.html", report=report, style=style, answers=_own_answers(report)),
        )
        write_text(out / home / "feedback.md", feedback_text(report))
        write_text(out / home / "results.json", gradescope_results(report))
    criteria: list[tuple[object, ...]] = []
    scores = [_score_row(one) for one in to_judge(reports)]
    grades: list[tuple[object, ...]] = []
    for report in reports:
        file, name, id = report.source, report.student.name, report.student.id
        for result in report.results:
            of, seen = result.criterion, (result.evidence, result.sentence, result.comment)
            criteria.append((name, id, file, of.id, result.status, result.points, of.points, *seen))
        grades.append((name, id, file, report.points, report.most, report.open, standing(report)))
    write_text(out / CRITERIA, csv_text(CRITERIA_HEADER, criteria))
    write_text(out / SCORES, csv_text(SCORES_HEADER, scores, bom=True))
    if (out / BOOK).is_file():
        with Marks(out) as book:
            book.lists(out / SCORES)
    write_text(out / CANVAS_FILE, canvas_csv(reports, seats, title=title))
    write_text(out / MOODLE_FILE, moodle_csv(reports, seats))
    write_text(out / OVERVIEW, _overview(reports, homes, rubric, style))
    write_text(out / GRADES, csv_text(GRADES_HEADER, grades))  # last: what says that the others are there


def _score_row(one: Shared) -> tuple[object, ...]:
    """Returns what a person judges, with room for points and a comment."""
    report, result, of = one.reports[0], one.result, one.criterion
    given = "" if result.waits else points(result.points)
    answer = answers_of(report, result)
    return (report.source, one.who, of.id, of.points, given, result.comment, of.title, answer)


def _homes(reports: list[GradeReport]) -> list[str]:
    """Returns a folder for each report: harmless, short, and its own even where capital letters do not count."""
    found: dict[str, str] = {}
    for report in reports:
        plain = re.sub(r"[^\w-]+", "_", f"{report.student.name} {report.student.id}".strip())[:60].strip("_")
        first = home = f"students/{plain or 'nameless'}"
        count = 1
        while home.casefold() in found:
            count += 1
            home = f"{first}-{count}"
        found[home.casefold()] = home
    return list(found.values())


def feedback_text(report: GradeReport) -> str:
    """Returns a student's feedback as Markdown."""
    lines = [f"# Feedback for {_plain(report.student.name)}", "", f"**{standing(report)}**", ""]
    lines += [report.score, ""] if report.score else []
    for result in report.results:
        got = f"{points(result.points)} of {counted(result.criterion.points, 'point')}: " * (not report.bundles)
        lines += [f"## {result.criterion.title}", "", f"{got}**{result.said}**. {_plain(result.sentence)}", ""]
        for name, text in (("Seen", result.evidence), ("Next", result.hint), ("Comment", result.comment)):
            lines += [f"- {name}: {_plain(text)}"] if text else []
        lines.append("")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Returns text in which nothing is Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text)


def _needs_a_look(report: GradeReport) -> tuple[bool, bool, bool, float]:
    """Returns what sorts reports: those a check doubts, then what waits for a person, odd ones first; then points."""
    doubted = any(result.waits and not result.criterion.manual for result in report.results)
    return not doubted, not report.open, not report.remarks, report.points


def _bins(reports: list[GradeReport], rubric: Rubric) -> list[tuple[str, int]]:
    """Returns how many there are of each grade, or of each tenth of the points, the lowest first."""
    if rubric.bundles:
        grades = Counter(report.grade for report in reports)
        return [(one.grade, grades[one.grade]) for one in (NO_GRADE, *reversed(rubric.bundles))]
    tenths = Counter(min(int(10 * report.points / report.most), 9) if report.most else 0 for report in reports)
    return [(f"{10 * k}–{10 * k + 10}", tenths[k]) for k in range(10)]


def _overview(reports: list[GradeReport], homes: list[str], rubric: Rubric, style: str) -> str:
    criteria = []
    for k, criterion in enumerate(rubric.criteria):
        results = [report.results[k] for report in reports]
        counts = Counter(result.status for result in results)
        most = 0 if counts[REVIEW] else criterion.points * len(results)  # a share only where everybody is judged
        share = sum(result.points for result in results) / most if most else None
        criteria.append({"criterion": criterion, "counts": counts, "share": share})
    lost = Counter(
        (result.criterion.title, re.sub(r"\d[\d.,]*", "…", result.sentence))
        for report in reports
        for result in report.results
        if result.status not in (EARNED, REVIEW) and result.sentence != BY_HAND
    )
    return page(
        "overview.html",
        reports=sorted(zip(reports, homes, strict=True), key=lambda one: _needs_a_look(one[0])),
        count=len({report.source for report in reports}),
        rubric=rubric,
        criteria=criteria,
        mistakes=[(*what, count) for what, count in lost.most_common(12)],
        bins=_bins(reports, rubric),
        open=len({report.source for report in reports if report.open}),
        style=style,
    )
