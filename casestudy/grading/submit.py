"""The student's side: what a submission.zip holds, what it lacks, and how it is written."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import casestudy
from casestudy.errors import DataError, RunError
from casestudy.files import atomic_path
from casestudy.grading.checks_of_results import STEPS, notebooks_ran
from casestudy.grading.containers import MANIFEST, MOST_UNPACKED, MOST_WRITTEN, OF_RUN, folder_members, notebook_place
from casestudy.grading.contents import Contents, NoEvidence
from casestudy.grading.doubts import doubts
from casestudy.grading.key import FACTS, Key
from casestudy.grading.notebooks import LEFT_OUT
from casestudy.grading.outcomes import SHARES
from casestudy.grading.rubric import Rubric
from casestudy.grading.submission import Student, Submission, digests
from casestudy.runs import RunFolder

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Packed:
    """What was packed: how many files, the bytes of the submission.zip, and what is missing, as `lacking` tells it."""

    files: int
    size: int
    missing: list[tuple[float, str, str]]
    wrong: list[str]  # what contradicts itself, a sentence each


def pack_submission(
    run: RunFolder, notebooks: Path, target: Path | None, rubric: Rubric, *, student: str = ""
) -> Packed:
    """Returns what was written to the new file `target`: a run's tables and its notebooks, to be handed in.

    With a target of None nothing is written, and the size is 0.

    Raises:
        DataError: There is no folder of notebooks, or one cannot be read.
        RunError: `target` is there already, or something is too large.
    """
    files = collect(run, notebooks)
    missing = lacking(files, rubric)
    size = write_submission(files, target, student=student) if target else 0
    return Packed(len(files), size, missing, contradictions(files))


def contradictions(files: dict[str, bytes]) -> list[str]:
    """Returns what in a submission does not fit together, as grading will find it, held against nothing but itself."""
    found = Contents(Submission("", Student(""), files), Key("", "", (), (), {}))
    try:
        ledger = found.table("run/ledger.csv", FACTS)[list(FACTS)].to_dict("records")
        names, study = found.settings["class_names"], found.settings["study"]
        own = Key(study["name"], "", tuple(map(str, names)), tuple(ledger), {}, recipe=study)
        return [doubt.sentence for doubt in doubts(Contents(found.submission, own))]
    except (NoEvidence, KeyError, TypeError, ValueError):
        return []  # what is missing is said already


def collect(run: RunFolder, notebooks: Path) -> dict[str, bytes]:
    """Returns what goes into a submission: the run's tables and settings, and the notebooks without their pictures.

    Neither photographs nor models go in: grading needs predictions, not pixels, and nobody's face leaves the machine.
    Of several copies of a notebook in the folder, the one that was saved last counts.

    Raises:
        DataError: There is no folder `notebooks`, or a notebook in it cannot be read.
    """
    if not notebooks.is_dir():
        raise DataError(f"--notebooks names the folder of your notebooks; there is no folder {notebooks}. Name yours.")
    inside = {path.relative_to(run.path).as_posix(): path for path in sorted(run.path.rglob("*"))}
    files = {f"run/{name}": path.read_bytes() for name, path in inside.items() if OF_RUN.fullmatch(name)}
    executed: dict[str, Path] = {}
    members = [one for one in folder_members(notebooks) if one.name.endswith(".ipynb") and "/" not in one.name]
    for one in sorted(members, key=lambda one: (one.when, (notebooks / one.name).stat().st_mtime, one.name)):
        if (place := notebook_place(one)) and place[10:12] in STEPS:
            executed[place] = notebooks / one.name
    for file, path in sorted(executed.items()):
        try:
            files[file] = _without_pictures(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            raise DataError(f"{path} is not a notebook ({error}). Save it in Jupyter once more.") from error
    return files


def _without_pictures(notebook: dict[str, Any]) -> bytes:
    """Returns a notebook as JSON in which each picture is a word that there was one."""
    for cell in notebook["cells"]:
        cell.pop("attachments", None)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in [kind for kind in data if kind.startswith("image/")]:
                del data[kind]
                output.setdefault("metadata", {})[LEFT_OUT] = kind
    notebook.get("metadata", {}).pop("widgets", None)
    return json.dumps(notebook, indent=1, ensure_ascii=False).encode()


def lacking(files: dict[str, bytes], rubric: Rubric) -> list[tuple[float, str, str]]:
    """Returns (points it costs, criterion, what is missing) for what can be told without the key."""
    found = Contents(Submission("", Student(""), files), Key("", "", (), (), {}))
    missing = []
    for criterion in rubric.criteria:
        needs = [need for need in criterion.needs if not found.has(need)]
        what = [f"{need} is missing" for need in needs]
        answers = [need for need in criterion.answers if need not in needs]
        what += [f"cell {need} is not answered" for need in answers if not found.answer(need)]
        share = 0.0
        if criterion.check == notebooks_ran.__name__ and not what:
            outcome = notebooks_ran(found)
            share = SHARES[outcome.status]
            share = float(share == 1) if criterion.is_specification else share
            what += [f"{outcome.evidence}. {outcome.hint}"] if share < 1 else []
        if what:
            missing.append((criterion.points * (1 - share), criterion.title, ", ".join(what)))
    return missing


def write_submission(files: dict[str, bytes], target: Path, *, student: str = "") -> int:
    """Returns the size in bytes of the submission.zip written to `target`, with a manifest of SHA-256 sums.

    Raises:
        RunError: `target` is there already, or a file or all together are too large.
    """
    if target.exists():
        raise RunError(f"A submission is never overwritten; {target} is there already. Name another file with --out.")
    for name, data in files.items():
        most = MOST_UNPACKED[PurePosixPath(name).suffix]
        if len(data) > most:
            raise RunError(
                f"{name} of a submission has at most {most // 10**6} MB; yours has {len(data) / 1e6:.1f}. Clear its "
                f"long outputs, run it again and save it."
            )
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "casestudy": casestudy.__version__,
        "student": student,
        "files": digests(files),
    }
    everything = {MANIFEST: (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode(), **files}
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as partial:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in everything.items():
                # A ZipInfo knows no clock: the same files make the same zip.
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        size = partial.stat().st_size
        if size > MOST_WRITTEN:
            raise RunError(
                f"A submission has at most {MOST_WRITTEN // 10**6} MB; this one has {size / 1e6:.1f}. Clear the long "
                f"outputs of your notebooks, run them again and save them."
            )
    return size
