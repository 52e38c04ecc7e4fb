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
    variants/NAME/    the same of each other model of the study; comparison.csv and paired_tests.csv compare them
    copies.csv        test images with a copy in training, where the data were published so
    distorted.csv     what each model reads of the distorted test images, where a study distorts them

CSV, JSON, PNG and .keras only: reading a run folder never runs code from it.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from casestudy.errors import DataError, RunError
from casestudy.files import atomic_path, file_digest
from casestudy.study import Study

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
# What is said of a study and changes nothing that a run computes: better words begin no other run.
WORDS = {"title", "source", "published", "published_distorted", "note"}
# Columns whose cells are text whatever they look like; from the second line on, the ledger's.
TEXT_COLUMNS = {
    *(
        "name",
        "copy",
        "kind",
        "signer",
        "label",
        "predicted",
        "most_confused_with",
        "examples",
        "part",
        "phase",
        "metric",
    ),
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

    def ledger(self) -> pd.DataFrame | None:
        """Returns the ledger; None for data that were no archive."""
        return self.read_table("ledger.csv") if self.has("ledger.csv") else None

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


def begin(run: RunFolder, source: Path, wishes: dict[str, Any]) -> None:
    """Writes into a new run's run.json what is wished for and from which data, or finds the same there already.

    Raises:
        DataError: There is nothing at `source`.
        RunError: The folder holds something else, or a run with other wishes.
    """
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"A run is a folder; {run.path} is a file. Name another place with --out.")
    made = {path.name for path in run.path.iterdir()} - {"run.json"} if run.path.is_dir() else set()
    if run.has("run.json"):
        settings = RunFolder.open(run.path).settings
        settings["study"] = Study.from_json(settings["study"]).to_json()  # with what studies have gained since
        other = _differences(as_json({key: settings.get(key) for key in wishes}), as_json(wishes))
        if source.is_file() and settings["data"]["sha256"] != file_digest(source):
            other.append("data")
        path = str(source.resolve())
        if source.is_dir() and settings["data"]["path"] != path:
            other.append("data")
        if not other:
            if source.is_file() and settings["data"]["path"] != path and not run.finished:  # it has moved
                run.write_json("run.json", {**settings, "data": {**settings["data"], "path": path}})
            return
        if made:  # before that, another start does no harm
            raise RunError(
                f"A run is never overwritten; {run.path} holds one that differs in {', '.join(other)}. "
                f"Name another folder with --out."
            )
    if made:
        raise RunError(f"A run starts in a new or empty folder; {run.path} holds other files. Name another with --out.")
    if not source.exists():
        raise DataError(f"--data names an archive, a folder or a letters.zip; there is nothing at {source}.")
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    digest = file_digest(source) if source.is_file() else ""
    data = {"name": source.name, "path": str(source.resolve()), "sha256": digest}
    try:
        run.write_json("run.json", {**wishes, "data": data, "started": started})
    except OSError as error:
        raise RunError(
            f"A run needs a folder that can be written; {run.path} cannot ({error.strerror}). Name another place."
        ) from error


def as_json(value: Any) -> Any:
    """Returns the value as it comes back from JSON: tuples as lists."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def _differences(before: Any, now: Any, name: str = "") -> list[str]:
    """Returns the dotted names of the settings that differ, but for `WORDS`."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted((before.keys() | now.keys()) - WORDS)
        return [found for key in keys for found in _differences(before.get(key), now.get(key), f"{name}.{key}")]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [found for k, (old, new) in pairs for found in _differences(old, new, f"{name}[{k}]")]
    return [] if before == now else [name.removeprefix(".")]


def variant_folder(name: str) -> str:
    """Returns where the training of a study's variant lies in the run folder."""
    return f"variants/{name}/"


def distorted(predictions: str) -> str:
    """Returns the name of the table with a model's predictions of the distorted test images.

    >>> distorted("predictions_dense.csv")
    'predictions_dense_distorted.csv'
    """
    return predictions.replace(".csv", "_distorted.csv")


def table_text(table: pd.DataFrame) -> str:
    """Returns a table as CSV whose numbers read back to the same bits."""
    return table.to_csv(index=False, lineterminator="\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")
