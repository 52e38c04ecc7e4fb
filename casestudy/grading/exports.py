"""Grades as each platform reads them: one file for Canvas, one for Moodle, one for Gradescope; see each function.

A platform takes a column that it does not know for an assignment, or refuses the file: so each file has what its
importer takes, and nothing else. Somebody whose answers still wait has an empty cell, not a grade that looks final.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from casestudy.grading.grade import GradeReport
from casestudy.grading.marks import TITLE
from casestudy.grading.outcomes import EARNED, REVIEW
from casestudy.grading.roster import MOODLE_ID, Seat, seat_of
from casestudy.grading.tables import csv_text
from casestudy.report import points
from casestudy.words import counted

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("Identifier", "Full name", "Grade", "Last modified (grade)", "Feedback comments")
NEVER = "-"  # how Moodle writes that it knows no time


def canvas_csv(reports: Sequence[GradeReport], seats: Iterable[Seat] = (), *, title: str = TITLE) -> str:
    """Returns the CSV file that Canvas' gradebook imports: five columns on the student, and one assignment.

    Source: GradebookImporter of instructure/canvas-lms (lib/gradebook_importer.rb): the first cell holds "Student", the
    second "ID"; with SIS User ID and SIS Login ID after them, the fifth holds "Section"; any other column is an
    assignment, known by its title or by the number in brackets behind it; a row "Points Possible" is of the
    assignments. A student is found by Canvas' own id, then by the SIS ids, then by the name.
    """
    seats = tuple(seats)
    rows: list[tuple[object, ...]] = [("    Points Possible", *[""] * 4, points(reports[0].most) if reports else "")]
    for report in reports:
        student = report.student
        seat = seat_of(seats, student.id, student.name)
        number = student.id if student.platform == "canvas" else ""
        rows.append((seat.name if seat else student.name, number, seat.id if seat else "", "", "", _final(report)))
    return csv_text((*CANVAS, title), rows)


def moodle_csv(reports: Sequence[GradeReport], seats: Iterable[Seat] = ()) -> str:
    """Returns the CSV file that Moodle takes for an assignment's offline grading worksheet.

    Source: assignfeedback_offline_grade_importer of moodle/moodle (mod/assign/feedback/offline/importgradeslib.php):
    commas between cells; columns "Identifier", "Grade" and "Last modified (grade)" must be there, by these names in an
    English Moodle; an identifier is "Participant" with Moodle's number behind it; columns of feedback plugins are taken
    by their names. Rows without an identifier of Moodle's would be passed over, so they are left out; a roster that is
    Moodle's own worksheet has it for members of a group who handed nothing in themselves.

    A grade that is in Moodle already is left as it is if it was changed there after "Last modified (grade)"; so the
    time of the submission stands there, and one after a resubmission is taken.
    """
    seats, rows = tuple(seats), []
    for one in reports:
        seat = seat_of(seats, one.student.id, one.student.name)
        known = f"{MOODLE_ID}{one.student.id}" if one.student.platform == "moodle" else seat.id if seat else ""
        if known.startswith(MOODLE_ID):
            rows.append((known, one.student.name, _final(one), one.student.handed_in or NEVER, standing(one)))
    return csv_text(MOODLE, rows)


def gradescope_results(report: GradeReport) -> str:
    """Returns results.json in the format of Gradescope's autograders.

    Source: "Output format" in gradescope-autograders.readthedocs.io/en/latest/specs.
    """
    tests = [
        {
            "name": result.criterion.title,
            "number": str(number),
            "score": result.points,
            "max_score": result.criterion.points,
            "status": "passed" if result.status in (EARNED, REVIEW) else "failed",
            "output": " ".join(filter(None, (f"{result.said}:", result.sentence, result.hint, result.comment))),
            "output_format": "text",
            "visibility": "visible",
        }
        for number, result in enumerate(report.results, 1)
    ]
    return json_lines({"score": report.points, "output": standing(report), "output_format": "text", "tests": tests})


def json_lines(values: dict[str, object], indent: int | None = 1) -> str:
    return json.dumps(values, indent=indent, ensure_ascii=False) + "\n"


def standing(report: GradeReport) -> str:
    """Returns how many points there are, and how many wait for a person, in one sentence."""
    if report.bundles:
        count = counted(len(report.results), "specification")
        waits = sum(result.waits for result in report.results)
        more = f" so far; your instructor still has to read {waits} more" if waits else ""
        return f"Grade {report.grade}: {points(report.met)} of {count} met{more}."
    said = f"{points(report.points)} of {counted(report.most, 'point')}"
    if report.open:
        return f"{said} so far; {counted(report.open, 'more point')} for what your instructor still has to read."
    return f"{said}."


def _final(report: GradeReport) -> str:
    return "" if report.open else points(report.points)
