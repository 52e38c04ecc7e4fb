"""An instructor's own points and comments, which finish a grade and outweigh any check."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.grading.contents import as_number
from casestudy.grading.grade import GradeReport
from casestudy.grading.marks import by_hand
from casestudy.grading.tables import bare, read_rows
from casestudy.report import points
from casestudy.words import counted


def merge(
    reports: list[GradeReport],
    scores: Path,
    comments: Path | None = None,
    *,
    sources: Mapping[str, str] | None = None,
    rescale: bool = False,
) -> list[GradeReport]:
    """Returns the reports with an instructor's own points and comments, which outweigh any check.

    Args:
        reports: Of the same submissions.
        scores: A CSV file with the columns file, criterion, points and comment, as scores.csv has them; a row without
            points leaves a criterion as it is.
        comments: A bank of comments to use again: a CSV file with the columns name and comment. Where a comment of
            `scores` says {name}, the bank's text stands.

        sources: Which report stands for a file; see `Marks.sources`. None for each its own.
        rescale: A mark that was given out of other points, by a column `most`, keeps its share of them.

    Raises:
        GradingError: A row does not fit; the message names the line.
    """
    bank = {}
    if comments:
        bank = {
            row["name"].strip("{}"): row["comment"] for _, row in read_rows(comments, ("name", "comment"), "Comments")
        }
    results = {(report.source, result.criterion.id): result for report in reports for result in report.results}
    seen = set()
    for place, row in read_rows(scores, ("file", "criterion", "points", "comment"), "Scores"):
        file, criterion = bare(row["file"]), row["criterion"].strip()
        spot = (sources or {}).get(file, file), criterion
        if spot not in results:
            raise GradingError(
                f"{place}: there is no criterion {criterion!r} for a file {file!r}. Keep both as written."
            )
        if spot in seen:
            raise GradingError(f"{place}: {criterion} of {file} is there twice. Keep one of the two rows.")
        seen.add(spot)
        most, text = results[spot].criterion.points, row["points"].strip().replace(",", ".")
        scale = as_number(row.get("most", "").strip().replace(",", ".") or most)
        if text:
            value, received = as_number(text), row["points"]
            if scale != most and scale > 0:
                if not rescale:
                    raise GradingError(
                        f"{place}: a mark keeps its scale; this one is out of {points(scale)}, and {criterion} has "
                        f"{counted(most, 'point')} now. Judge it again, or let it keep its share: --rescale"
                    )
                value *= most / scale
            if not 0 <= value <= most:
                raise GradingError(
                    f"{place}: points go from 0 to {points(most)}; received {received!r}. Mend the cell."
                )
            results[spot] = by_hand(results[spot], value)
        comment = _filled_in(bare(row["comment"]), bank, place)
        results[spot] = dataclasses.replace(results[spot], comment=comment)
    return [
        dataclasses.replace(report, results=tuple(results[report.source, r.criterion.id] for r in report.results))
        for report in reports
    ]


def _filled_in(comment: str, bank: dict[str, str], place: str) -> str:
    for name in re.findall(r"\{([\w-]+)\}", comment):
        if name not in bank:
            what = f"there is no comment {{{name}}} in the bank"
            raise GradingError(f"{place}: {what}. Add it, or write the text itself.")
    return re.sub(r"\{([\w-]+)\}", lambda found: bank[found[1]], comment.strip())
