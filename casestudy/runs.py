"""The run folder: the contract between training and everything that reads its results.

    run.json          the study, the data and its hash, seed, weights, machine, steps done, SHA-256 of every file
    letters.zip       the cleaned data set (absent when the run was given one)
    ledger.csv        one row for every entry of the archive
    splits.csv        name, signer, label, part (in leave-one-signer-out one column a fold)
    history.csv       phase, epoch, metric, value
    training.json     seconds and images per second a phase, largest change of a frozen BatchNormalization variable
    model.keras       the whole network, from pixels to probabilities
    predictions*.csv  one row a test photograph, a probability a label; every figure comes from here
    metrics.json      the scores, in scores.csv too; per_label.csv, per_signer.csv, confusion*.csv, …: their tables
    timing.csv        seconds and images a second of each phase
    plots/*.png, report.html
    folds/01-SIGNER/  history.csv, training.json and model.keras of each fold of leave-one-signer-out

CSV, JSON, PNG and .keras only: reading a run folder never runs code from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from casestudy.errors import RunError
from casestudy.files import atomic_path, file_digest

SCHEMA_VERSION = 1
# The notebook that leaves each file behind, for whoever opens a later one too early; what is not here, the last one.
NOTEBOOKS = {
    "run.json": "02_import_data",
    "ledger.csv": "03_clean_data",
    "splits.csv": "04_train",
    "history.csv": "04_train",
    "training.json": "04_train",
    "model.keras": "04_train",
}
LAST_NOTEBOOK = "05_results"
# Columns whose cells are text whatever they look like; from the second line on, the ledger's.
TEXT_COLUMNS = {
    *("name", "signer", "label", "predicted", "most_confused_with", "examples", "part", "phase", "metric"),
    *("entry", "status", "stored_as", "format", "sha256", "phash"),
    *("reason", "duplicate_of", "near_duplicate_of", "note"),
}


@dataclass(frozen=True)
class RunFolder:
    """A folder of results, written step by step; each file appears whole or not at all."""

    path: Path

    @classmethod
    def open(cls, path: str | Path, *, needs: str = "run.json") -> RunFolder:
        """Returns the run folder at `path`.

        Args:
            path: The folder.
            needs: A file that a step before must have left there.

        Raises:
            RunError: There is none, or it was written by a newer version, or it lacks what is needed.
        """
        run = cls(Path(path))
        if not (run.path / "run.json").is_file():
            raise RunError(
                f"A run folder holds a run.json; {path} has none. Run notebook {NOTEBOOKS['run.json']} first, or "
                f"all steps at once: casestudy run --out {path}"
            )
        version = run.settings.get("schema_version")
        if version != SCHEMA_VERSION:
            raise RunError(
                f"This version reads run folders of schema {SCHEMA_VERSION}; {path} has {version!r}. "
                f"Install the version that wrote it."
            )
        run.require(needs)
        return run

    @property
    def settings(self) -> dict[str, Any]:
        """What run.json holds."""
        return self.read_json("run.json")

    @property
    def finished(self) -> bool:
        """Whether every step has been done."""
        return (self.path / "run.json").is_file() and bool(self.settings.get("files"))

    def trainings(self) -> list[str]:
        """Returns the training.json of every fold, or of the whole where there are no folds."""
        folds = sorted(self.path.glob("folds/*/training.json"))
        return [path.relative_to(self.path).as_posix() for path in folds] or ["training.json"]

    @property
    def letters(self) -> Path:
        """Where the clean photographs are: the run's own letters.zip, or the data that it was given."""
        own = self.path / "letters.zip"
        return own if own.is_file() else Path(self.settings["data"]["path"])

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def require(self, name: str) -> None:
        """Raises a RunError that says which step is missing, unless the file is there (or in a fold's folder)."""
        if not self.has(name) and not any(self.path.glob(f"folds/*/{name}")):
            raise self._lacks(name)

    def read_json(self, name: str) -> dict[str, Any]:
        """Returns the values of a JSON file in the folder."""
        try:
            return json.loads(self._existing(name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{self.path / name} must be JSON; {error}. Restore it or make the run again.") from error

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps(
            {"schema_version": SCHEMA_VERSION, **values}, indent=2, ensure_ascii=False, allow_nan=False, default=_plain
        )
        with atomic_path(self._target(name)) as partial:
            partial.write_text(text + "\n", encoding="utf-8")

    def read_table(self, name: str) -> pd.DataFrame:
        """Returns a CSV file of the folder; labels such as "NA" and "7" stay text."""
        path = self._existing(name)
        try:
            columns = pd.read_csv(path, nrows=0).columns
            return pd.read_csv(
                path,
                dtype={column: str for column in columns if column in TEXT_COLUMNS},
                keep_default_na=False,
                na_values={column: [""] for column in columns if column not in TEXT_COLUMNS},
                float_precision="round_trip",
            )
        except ValueError as error:
            raise RunError(f"{path} must be a CSV table; {error}. Restore it or make the run again.") from error

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        with atomic_path(self._target(name)) as partial:
            partial.write_text(table_text(table), encoding="utf-8", newline="")

    def seal(self) -> None:
        """Writes the SHA-256 of every result into run.json, which marks the run as finished.

        The report is no result: it only shows the others, and may be written again.
        """
        files = {
            path.relative_to(self.path).as_posix(): file_digest(path)
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and path.name not in ("run.json", "report.html") and not path.name.startswith(".")
        }
        self.write_json("run.json", {**self.settings, "files": files})

    def _existing(self, name: str) -> Path:
        if not self.has(name):
            raise self._lacks(name)
        return self.path / name

    def _lacks(self, name: str) -> RunError:
        return RunError(
            f"This step reads {name}; {self.path} lacks it. Run notebook {NOTEBOOKS.get(name, LAST_NOTEBOOK)} first, "
            f"or all steps at once: casestudy run --out {self.path}"
        )

    def _target(self, name: str) -> Path:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def table_text(table: pd.DataFrame) -> str:
    """Returns a table as CSV whose numbers read back to the same bits."""
    return table.to_csv(index=False, lineterminator="\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")
