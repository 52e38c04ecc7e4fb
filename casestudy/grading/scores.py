"""An instructor's own points and comments, which finish a grade and outweigh any check."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.grading.contents import as_number
from casestudy.grading.grade import GradeReport, Result
from casestudy.grading.marks import BY_HAND, by_hand
from casestudy.grading.rubric import Criterion
from casestudy.grading.tables import bare, read_rows
from casestudy.report import points
from casestudy.words import counted

TOGETHER = " + "  # between the names of those who share a submission and a mark


@dataclass(frozen=True)
class Shared:
    """What a person judges once: a result, and whose it is."""

    reports: tuple[GradeReport, ...]  # one, or those of a group
    result: Result

    @property
    def criterion(self) -> Criterion:
        return self.result.criterion

    @property
    def who(self) -> str:
        """The names of all."""
        return TOGETHER.join(report.student.name for report in self.reports)


def to_judge(reports: Iterable[GradeReport]) -> list[Shared]:
    """Returns what a person judges or has judged; together where members of a group have one mark, or none yet."""
    found: dict[tuple[str, str], dict[Result, list[GradeReport]]] = {}
    for report in reports:
        for result in report.results:
            if result.waits or result.sentence == BY_HAND:
                alike = found.setdefault((report.source, result.criterion.id), {})
                alike.setdefault(result, []).append(report)
    return [Shared(tuple(several), result) for alike in found.values() for result, several in alike.items()]


def comment_bank(path: Path | None) -> dict[str, str]:
    """Returns a bank of comments by their names, from a CSV file with the columns name and comment."""
    rows = read_rows(path, ("name", "comment"), "Comments") if path else []
    return {row["name"].strip("{}"): row["comment"] for _, row in rows}


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
            either leaves a criterion as it is. For a group's file, a column student that names some of its members
            makes the mark theirs alone, and it outweighs the group's.
        comments: A bank of comments to use again; see `comment_bank`. Where a comment of `scores` says {name}, the
            bank's text stands.
        sources: Which report stands for a file; see `Marks.sources`. None for each its own.
        rescale: A mark that was given out of other points, by a column `most`, keeps its share of them.

    Raises:
        GradingError: A row does not fit; the message names the line.
    """
    bank = comment_bank(comments)
    results = {(k, one.criterion.id): one for k, report in enumerate(reports) for one in report.results}
    found = []
    seen = set()
    for place, row in read_rows(scores, ("file", "criterion", "points", "comment"), "Scores"):
        file, criterion = bare(row["file"]), row["criterion"].strip()
        source = (sources or {}).get(file, file)
        all_of = [k for k, one in enumerate(reports) if one.source == source and (k, criterion) in results]
        if not all_of:
            raise GradingError(
                f"{place}: there is no criterion {criterion!r} for a file {file!r}. Keep both as written."
            )
        names = bare(row.get("student", "")).strip().split(TOGETHER)
        some = tuple(k for k in all_of if reports[k].student.name in names)
        who = some if {reports[k].student.name for k in some} == set(names) else tuple(all_of)
        if (who, criterion) in seen:
            raise GradingError(f"{place}: {criterion} of {file} is there twice. Keep one of the two rows.")
        seen.add((who, criterion))
        found.append((who, criterion, place, row))
    for who, criterion, place, row in sorted(found, key=lambda one: -len(one[0])):  # a member's own row comes last
        if row["points"].strip() or row["comment"].strip():
            comment = filled_in(bare(row["comment"]), bank, place)
            for spot in ((k, criterion) for k in who):
                if row["points"].strip():
                    given = _points_of(row, results[spot].criterion, place, rescale)
                    results[spot] = by_hand(results[spot], given)
                results[spot] = dataclasses.replace(results[spot], comment=comment)
    return [
        dataclasses.replace(report, results=tuple(results[k, one.criterion.id] for one in report.results))
        for k, report in enumerate(reports)
    ]


def _points_of(row: Mapping[str, str], criterion: Criterion, place: str, rescale: bool) -> float:
    """Returns the points of a row, in the criterion's scale."""
    most = criterion.points
    scale = as_number(row.get("most", "").strip().replace(",", ".") or most)
    if scale == most or not scale > 0:
        return given_points(row["points"], criterion, f"{place}: ")
    if not rescale:
        raise GradingError(
            f"{place}: a mark keeps its scale; this one is out of {points(scale)}, and {criterion.id} has "
            f"{counted(most, 'point')} now. Judge it again, or let it keep its share: --rescale"
        )
    return given_points(row["points"], criterion, f"{place}: ", times=most / scale)


def given_points(text: str, criterion: Criterion, place: str = "", *, times: float = 1) -> float:
    """Returns the points that were typed, with a point or a comma; a GradingError says that they are none."""
    value, most = as_number(text.strip().replace(",", ".")) * times, criterion.points
    if criterion.is_specification and value not in (0, most):
        raise GradingError(f"{place}{criterion.id} is met (1) or not met (0); received {text!r}. Mend the cell.")
    if not 0 <= value <= most:
        said = f"{place}points go from 0 to {points(most)}; received {text!r}. Mend the cell."
        raise GradingError(said)
    return value


def filled_in(comment: str, bank: Mapping[str, str], place: str) -> str:
    """Returns a comment with the bank's text for each {name}; a GradingError says that there is none."""
    for name in re.findall(r"\{([\w-]+)\}", comment):
        if name not in bank:
            what = f"there is no comment {{{name}}} in the bank"
            raise GradingError(f"{place}: {what}. Add it, or write the text itself.")
    return re.sub(r"\{([\w-]+)\}", lambda found: bank[found[1]], comment.strip())
