"""What a submission earned, as JSON: in the gradebook, and a file each so that a grading that was stopped goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import casestudy
from casestudy.cluster import versions
from casestudy.errors import GradingError
from casestudy.files import code_digest, write_text
from casestudy.grading.grade import GradeReport, Result
from casestudy.grading.key import Key, key_text
from casestudy.grading.likeness import Prints
from casestudy.grading.rubric import Rubric
from casestudy.grading.submission import Student, Submission


class Kept:
    """A folder of reports by what decides them: the submission, the rubric, the key, this code, and the packages."""

    def __init__(self, folder: Path, rubric: Rubric, key: Key) -> None:
        self._folder, self._rubric = folder, rubric
        code = code_digest(Path(casestudy.__file__).parent)  # between two versions of it a check may change, too
        self._by = _digest(json.dumps([code, versions(), dataclasses.asdict(rubric), key_text(key)]).encode())

    def report(self, submission: Submission, grade: Callable[[Submission], GradeReport]) -> GradeReport:
        """Returns the report that is kept for a submission; where there is none, what `grade` gives, and keeps that."""
        told = {field.name: getattr(submission, field.name) for field in dataclasses.fields(submission)}
        told["files"] = {name: _digest(data) for name, data in submission.files.items()}
        by = json.dumps([self._by, told], default=dataclasses.asdict)
        path = self._folder / f"{_digest(by.encode())[:32]}.json"
        try:
            return from_json(json.loads(path.read_text(encoding="utf-8")), self._rubric)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, GradingError):
            report = grade(submission)
        write_text(path, json.dumps(to_json(report)))
        return report


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def to_json(report: GradeReport) -> dict[str, Any]:
    """Returns a report as plain JSON values, without what the rubric says."""
    results = [
        {"criterion": r.criterion.id, "most": r.criterion.points, "points": r.points, "status": r.status}
        | {"evidence": r.evidence, "sentence": r.sentence, "hint": r.hint}
        for r in report.results
    ]
    return {
        "source": report.source,
        "student": dataclasses.asdict(report.student),
        "problems": report.problems,
        "results": results,
        "score": report.score,
        "remarks": report.remarks,
        "answers": dict(report.answers),
        "team": report.team,
        "partners": [dataclasses.asdict(one) for one in report.partners],
        "file": report.prints.file,
        "seed": report.prints.seed,
        "predictions": {name: [who, table.tolist()] for name, (who, table) in report.prints.predictions.items()},
    }


def from_json(values: dict[str, Any], rubric: Rubric) -> GradeReport:
    """Returns the report that `to_json` wrote, before this version, too; a GradingError says: by another rubric."""
    before = {one.pop("criterion"): one for one in values["results"]}
    if {c.id: c.points for c in rubric.criteria} != {name: one.pop("most") for name, one in before.items()}:
        raise GradingError(
            f"Everybody is graded by one rubric; {values['source']} was graded by another. Grade all submissions again."
        )
    tables = values.get("predictions", {}).items()
    return GradeReport(
        source=values["source"],
        student=Student(**values["student"]),
        problems=tuple(values["problems"]),
        results=tuple(Result(**before[criterion.id], criterion=criterion) for criterion in rubric.criteria),
        score=values["score"],
        remarks=tuple(values["remarks"]),
        prints=Prints(
            values["file"],
            values.get("seed", ""),
            values["answers"],
            {name: (who, np.array(table, np.float32)) for name, (who, table) in tables},
        ),
        answers=values["answers"],
        team=tuple(values.get("team", ())),
        bundles=rubric.bundles,
        partners=tuple(Student(**one) for one in values.get("partners", ())),
    )
