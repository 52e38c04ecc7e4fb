"""An instructor's own points and comments, which finish a grade and outweigh any check."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.grading.evidence import as_number
from casestudy.grading.findings import EARNED, NOT_EARNED, PARTIAL
from casestudy.grading.grade import GradeReport, Result
from casestudy.report import points

BY_HAND = "Judged by your instructor."


def merge(reports: list[GradeReport], scores: Path, comments: Path | None = None) -> list[GradeReport]:
    """Returns the reports with an instructor's own points and comments, which outweigh any check.

    Args:
        reports: Of the same submissions.
        scores: A CSV file with the columns file, criterion, points and comment, as scores.csv has them; a row without
            points leaves a criterion as it is.
        comments: A bank of comments to use again: a CSV file with the columns name and comment. Where a comment of
            `scores` says {name}, the bank's text stands.

    Raises:
        GradingError: A row does not fit; the message names the line.
    """
    bank = (
        {row["name"].strip("{}"): row["comment"] for _, row in _rows(comments, ("name", "comment"))} if comments else {}
    )
    given: dict[tuple[str, str], tuple[float | None, str]] = {}
    known = {(report.source, result.criterion.id): result for report in reports for result in report.results}
    for line, row in _rows(scores, ("file", "criterion", "points", "comment")):
        place, spot = f"{scores}, line {line}", (_bare(row["file"]), row["criterion"].strip())
        if spot not in known:
            raise GradingError(
                f"{place}: there is no criterion {spot[1]!r} for a file {spot[0]!r}. Keep both as written."
            )
        if spot in given:
            raise GradingError(f"{place}: {spot[1]} of {spot[0]} is there twice. Keep one of the two rows.")
        most, text = known[spot].criterion.points, row["points"].strip().replace(",", ".")
        value = as_number(text) if text else None
        if value is not None and not 0 <= value <= most:
            raise GradingError(
                f"{place}: points go from 0 to {points(most)}; received {row['points']!r}. Mend the cell."
            )
        given[spot] = (value, _filled_in(_bare(row["comment"]), bank, place))
    return [
        dataclasses.replace(
            report,
            results=tuple(
                _judged(result, given.get((report.source, result.criterion.id))) for result in report.results
            ),
        )
        for report in reports
    ]


def _judged(result: Result, given: tuple[float | None, str] | None) -> Result:
    value, comment = given or (None, "")
    if value is None:
        return dataclasses.replace(result, comment=comment)
    status = EARNED if value == result.criterion.points else PARTIAL if value else NOT_EARNED
    return dataclasses.replace(result, status=status, points=value, sentence=BY_HAND, hint="", comment=comment)


def _filled_in(comment: str, bank: dict[str, str], place: str) -> str:
    def stored(found: re.Match[str]) -> str:
        if found[1] not in bank:
            raise GradingError(
                f"{place}: there is no comment {found[0]} in the bank. Add it, or write the text itself."
            )
        return bank[found[1]]

    return re.sub(r"\{([\w-]+)\}", stored, comment.strip())


def _bare(cell: str) -> str:
    return cell[1:] if re.match(r"'\s*[=+@-]", cell) else cell


def _rows(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), restval="")
        rows = [(reader.line_num, row) for row in reader if any(value for value in row.values())]
    except FileNotFoundError as error:
        raise GradingError(
            f"Scores and comments are CSV files; there is no file {path}. Name one that is there."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise GradingError(f"{path} is not a CSV table in UTF-8 ({error}). Save it as CSV UTF-8.") from error
    lacking = [column for column in columns if column not in (reader.fieldnames or [])]
    if lacking:
        raise GradingError(
            f"{path} needs the columns {', '.join(columns)}; it lacks {lacking[0]}. Put the header back."
        )
    return rows
