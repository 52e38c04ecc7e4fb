"""Holds a finished run against its own files: does every figure follow from the predictions; can it be had again?"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from casestudy.cleaning import duplicate_groups
from casestudy.errors import RunError
from casestudy.files import file_digest
from casestudy.runs.files import table_text
from casestudy.runs.folder import RunFolder
from casestudy.runs.results import LATER, comparison_tables, result_tables, score_table
from casestudy.runs.steps import run_study
from casestudy.runs.trained import PREDICTIONS

Check = tuple[str, bool, str]


def verify_run(run: RunFolder, *, retrain: Path | None = None, source: Path | None = None) -> list[Check]:
    """Returns (what was checked, whether it holds, detail) for every claim of a finished run.

    Every score and table is recomputed from the predictions; files are compared with their recorded SHA-256; the
    ledger's rows are counted against letters.zip; the parts of the split must be disjoint and, by signer, share no one.

    Args:
        run: A finished run.
        retrain: A folder to train the same study in again; split, history and predictions must come out the same.
        source: The data for `retrain`; by default the run's own letters.zip.
    """
    record = run.record
    if not record.files:
        raise RunError(f"Verifying needs a finished run; {run.path} is not. Finish it with the command that began it.")
    checks: list[Check] = []

    def check(what: str, holds: bool, detail: str = "") -> None:
        checks.append((what, bool(holds), detail))

    def check_table(name: str, table: pd.DataFrame, source: str) -> None:
        if name in LATER and name not in record.files and not run.has(name):
            return
        stored = (run.path / name).read_text(encoding="utf-8") if run.has(name) else ""
        check(f"{name} follows from {source}", stored == table_text(table))

    changed = [
        name for name, digest in record.files.items() if not run.has(name) or file_digest(run.path / name) != digest
    ]
    check("files are the ones written", not changed, ", ".join(changed[:5]))
    scores = run.scores()
    for score in scores:
        claim = f"score {score.name!r} follows from {score.predictions}"
        try:
            evaluation = run.evaluation(score.predictions)
        except (RunError, KeyError, ValueError) as error:  # missing, or without a column or label it needs
            check(claim, False, f"{type(error).__name__}: {error}")
            continue
        wrong = [key for key, value in evaluation.to_json().items() if getattr(score, key) != value]
        check(claim, not wrong, ", ".join(wrong))
        if score.name == "headline":
            for name, table in result_tables(evaluation, seed=record.wishes.seed).items():
                check_table(name, table, score.predictions)
    check_table("scores.csv", score_table(scores), "metrics.json")
    if run.has("comparison.csv"):
        for name, table in comparison_tables(run).items():
            check_table(name, table, "the predictions of each model")
    if run.has("splits.csv") and run.has(PREDICTIONS):
        _check_split(run, check)
    if run.has("letters.zip"):
        rows = run.read_table("ledger.csv").to_dict("records")
        lost = ", ".join(_lost(run.path / "letters.zip", rows)[:5])
        check(f"letters.zip holds all {len(rows)} entries of the ledger, bytes unchanged", not lost, lost)
    if retrain is not None:
        again = run_study(record.resolved_wishes(), source or run.letters, retrain)
        histories = sorted(path.relative_to(run.path).as_posix() for path in run.path.rglob("history.csv"))
        for name in ("splits.csv", *histories, *(score.predictions for score in scores)):
            if run.has(name):
                same = again.has(name) and (again.path / name).read_bytes() == (run.path / name).read_bytes()
                check(f"{name} comes out the same", same)
    return checks


def _lost(letters: Path, rows: list[dict[str, str]]) -> list[str]:
    """Returns the entries of a ledger whose bytes the zip does not hold."""
    with zipfile.ZipFile(letters) as archive:
        there = {row["stored_as"] for row in rows}.intersection(archive.namelist())
        digests = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in there}
    return [row["entry"] for row in rows if digests.get(row["stored_as"]) != row["sha256"]]


def _check_split(run: RunFolder, check: Any) -> None:
    splits, tested = run.read_table("splits.csv"), run.read_table(PREDICTIONS)
    facts = ["name", "signer", "label"]  # the truth is the split's, not what the predictions say about themselves
    columns = [column for column in splits.columns if column not in facts]
    held_out = splits[(splits[columns] == "test").any(axis=1)]
    planned, found = (sorted(table[facts].itertuples(index=False, name=None)) for table in (held_out, tested))
    check("predictions are of the test part, each once", planned == found)
    if run.facts.protocol == "published":
        return  # whoever published the parts decided who is in which, and copies.csv says what that leaves together
    if run.has("ledger.csv"):
        group = duplicate_groups(run.read_table("ledger.csv").to_dict("records"))
        twins = _in_two_parts(splits, columns, splits["name"].map(group))
        named = sorted(name for name, number in group.items() if number in twins)
        check("no duplicate is in two parts", not twins, ", ".join(named[:5]))
    if run.facts.protocol != "random":
        shared = _in_two_parts(splits, columns, splits["signer"])
        check("no signer is in two parts", not shared, ", ".join(sorted(shared)))


def _in_two_parts(splits: pd.DataFrame, columns: list[str], whose: pd.Series) -> set[Any]:
    """Returns those of `whose`, a value a photograph, that are in two parts of the split, or of a fold's."""
    found: set[Any] = set()
    for column in columns:
        used = splits[splits[column] != "left out"]
        parts = used.groupby(whose[used.index])[column].nunique()
        found |= set(parts[parts > 1].index)
    return found
