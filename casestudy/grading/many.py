"""Submissions in, their grades out in the same order: by however many workers, and each once."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from casestudy.cluster import run_tasks
from casestudy.errors import GradingError
from casestudy.grading.containers import Packed
from casestudy.grading.grade import GradeReport, grade_safely
from casestudy.grading.kept import Kept
from casestudy.grading.key import Key
from casestudy.grading.likeness import likenesses
from casestudy.grading.roster import Seat, seat_of
from casestudy.grading.rubric import Rubric
from casestudy.grading.submission import read_submission

A_TASK = 20  # submissions that a worker is given with one rubric and key


def grade_all(
    files: Mapping[str, Path | Packed], rubric: Rubric, key: Key, cluster: str | None = None, kept: Path | None = None
) -> list[GradeReport]:
    """Returns the grades of all files, named as in `find_submissions`; one that is broken stops none of the others.

    Workers of a `cluster` have the same files; see `cluster.run_tasks`. What is graded is kept in the folder `kept`,
    and not graded again.
    """
    every = list(files.items())
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
    do = partial(_grade_some, rubric, key, kept and kept.absolute())
    if cluster is None:
        reports = do(tqdm(every, desc="grading", unit="submission", delay=2, leave=False, disable=None))
    else:
        some = [every[k : k + A_TASK] for k in range(0, len(every), A_TASK)]
        graded = run_tasks(do, some, cluster, kept or _home(every[0][1]).parent, noun="part")
        reports = [report for part in graded for report in part]
    names = [f"{report.student.name} ({report.source})" for report in reports]
    owners = [_owner(report, key.students) for report in reports]
    likeness = likenesses([report.prints for report in reports], names, owners)
    return [
        dataclasses.replace(report, remarks=(*report.remarks, *said))
        for report, said in zip(reports, likeness, strict=True)
    ]


def _owner(report: GradeReport, seats: Iterable[Seat]) -> Hashable:
    """Returns what is the same for all that one person hands in, or one group."""
    if seat := seat_of(seats, report.student.id, report.student.name):
        return seat.group or seat
    return (report.student.platform, report.student.id) if report.student.id else report.source


def _home(file: Path | Packed) -> Path:
    return file.file if isinstance(file, Packed) else file


def _grade_some(
    rubric: Rubric, key: Key, kept: Path | None, some: Iterable[tuple[str, Path | Packed]]
) -> list[GradeReport]:
    """Returns the grades of some files; a GradingError says that one is gone, which is not the student's fault."""
    reports, shelf = [], Kept(kept, rubric, key) if kept else None
    for name, file in some:
        if not _home(file).exists():
            said = f"{_home(file)} is gone. Put it back."
            raise GradingError(f"Submissions stay where they are while they are graded; {said}")
        submission, judged = read_submission(file, name), partial(grade_safely, rubric=rubric, key=key)
        reports.append(shelf.report(submission, judged) if shelf else judged(submission))
    return reports
