"""A challenge: some students' runs, chosen by chance, are trained again on the instructor's machine.

It is the one check that a careful forger cannot foresee: what was invented does not come out of a training. A training
that is cut off goes on when the same call is made again, and the same students stay chosen.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from casestudy.errors import CaseStudyError, GradingError
from casestudy.files import write_text
from casestudy.grading.containers import Packed, readable
from casestudy.grading.contents import Contents, NoEvidence
from casestudy.grading.grade import GradeReport
from casestudy.grading.key import Key
from casestudy.grading.submission import Submission, read_submission
from casestudy.runs import RunFolder
from casestudy.words import counted

CHOSEN, RESULT = "chosen.json", "result.json"
AGAIN = re.compile(r"comes out (nearly )?the same")


@dataclass(frozen=True)
class Challenge:
    """What a training made again says of one submission: None where it could not be made."""

    source: str
    holds: bool | None
    sentence: str


def challenge(
    reports: Sequence[GradeReport], files: Mapping[str, Path | Packed], key: Key, home: Path, data: Path, count: int
) -> list[Challenge]:
    """Returns what came of training `count` runs again, chosen by chance among those that earned points by checks.

    Args:
        reports: Of all submissions, and `files` where each lies, by `GradeReport.source`.
        key: Whose recipe says how many epochs may be asked for.
        home: A folder for the runs; one that was begun before is gone on with.
        data: The archive that students were given, or its letters.zip.
        count: How many.

    Raises:
        GradingError: The folder is another challenge's.
    """
    if not key.recipe:
        raise GradingError("A challenge needs a key that knows the recipe. Make the key again: casestudy key RUN")
    able = sorted(report.source for report in reports if any(result.points for result in report.results))
    chosen = _chosen(home / CHOSEN, able, count)
    done = []
    for number, source in enumerate(chosen, 1):
        place = home / f"{number:03}"
        found = place / RESULT
        if found.is_file():
            said = json.loads(found.read_text(encoding="utf-8"))
            done.append(Challenge(source, said["holds"], said["sentence"]))
            continue
        one = _trained_again(source, read_submission(files[source], source), key, place, data)
        if one.holds is not None:
            _write(found, {"source": source, "holds": one.holds, "sentence": one.sentence})
        done.append(one)
    return done


def _chosen(path: Path, able: list[str], count: int) -> list[str]:
    """Returns the sources that were chosen before, and as many more as are wanted, by chance."""
    before: list[str] = []
    if path.is_file():
        try:
            before = [str(one) for one in json.loads(path.read_text(encoding="utf-8"))["chosen"]]
        except (ValueError, KeyError, TypeError) as error:
            raise GradingError(f"{path} is not what a challenge left ({error}). Name another folder.") from error
    if gone := sorted(set(before) - set(able)):
        raise GradingError(f"{path} chose {gone[0]}, which is not among these submissions. Name another folder.")
    rest = [one for one in able if one not in before]
    while rest and len(before) < count:
        before.append(rest.pop(secrets.randbelow(len(rest))))
    _write(path, {"chosen": before})
    return before[:count]


def _trained_again(source: str, submission: Submission, key: Key, place: Path, data: Path) -> Challenge:
    from casestudy.runs import verify_run  # which draws: grading alone needs none of it

    try:
        contents = Contents(submission, key)
        asked, ours = contents.recipe_phases(), key.recipe["phases"]
        most = sum(phase["epochs"] for phase in ours)
        if sum(phase.epochs for phase in asked) > 2 * most:
            return Challenge(
                source, None, f"It asks for more than twice the recipe's {counted(most, 'epoch')}: look yourself."
            )
        handed_in = place / "handed-in"
        for name, content in submission.files.items():
            if name.startswith("run/"):  # the names are those that `submission.READ` knows: none leads out of it
                target = handed_in / name.removeprefix("run/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        checks = verify_run(RunFolder.open(handed_in, data=data), retrain=place / "again", source=data)
    except NoEvidence as reason:
        return Challenge(source, None, str(reason))
    except CaseStudyError as error:
        return Challenge(source, None, readable(error, 300))
    made = [(what, holds, detail) for what, holds, detail in checks if AGAIN.search(what)]
    wrong = [f"{what} ({detail})" if detail else what for what, holds, detail in made if holds is False]
    compared = [what for what, holds, _ in made if holds is not None and "predictions" in what]
    if not compared:
        return Challenge(source, None, "The training was made again, and there was nothing to compare it with.")
    if wrong:
        return Challenge(source, False, f"Trained again, it does not come out: {'; '.join(wrong[:3])}.")
    return Challenge(source, True, f"Trained again, it comes out: {'; '.join(compared[:3])}.")


def _write(path: Path, values: dict[str, object]) -> None:
    write_text(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
