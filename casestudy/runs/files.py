"""The files of a run folder: each appears whole or not at all, and is read without running code from it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pandas as pd

from casestudy.errors import DataError, RunError
from casestudy.files import write_text
from casestudy.records import Record

if TYPE_CHECKING:
    from casestudy.runs.about import About

R = TypeVar("R", bound=Record)
SCHEMA_VERSION = 1
# The notebook that leaves each file behind, for whoever opens a later one too early; what is not here, the last one.
NOTEBOOKS = {
    "run.json": "02_import_data",
    "ledger.csv": "03_clean_data",
    **dict.fromkeys(("splits.csv", "history.csv", "training.json", "model.keras"), "04_train"),
}
LAST_NOTEBOOK = "05_results"
# Every number comes back to the same bits; pandas 3 reads so by itself, and no longer wants to be told.
EXACT: dict[str, Any] = {} if pd.__version__.partition(".")[0] >= "3" else {"float_precision": "round_trip"}
# What of a run folder is handed in: neither photographs nor models, and no figure that follows from the rest.
HANDED_IN = re.compile(
    r"(run|metrics|training)\.json"
    r"|(ledger|splits|history|per_label|confusion|predictions|predictions_head(_everyone|_random)?|predictions_random)\.csv"
    r"|folds/[\w-]{1,80}/(training\.json|history\.csv)"
)
# Columns whose cells are text whatever they look like; from the second line on, the ledger's.
TEXT_COLUMNS = {
    *("name", "copy", "kind", "signer", "label", "predicted", "most_confused_with", "examples", "part", "phase"),
    *("metric", "entry", "status", "stored_as", "format", "sha256", "phash", "mended_as", "mended_sha256"),
    *("reason", "duplicate_of", "near_duplicate_of", "note"),
    *("near", "heat"),
}


@dataclass(frozen=True)
class RunFiles:
    """A folder whose files are read and written by name."""

    path: Path
    HANDED_IN: ClassVar[re.Pattern[str]] = HANDED_IN

    def place(self, name: str) -> Path:
        """Returns where a file of the folder is; a RunError refuses a name that leads out of it."""
        parts = PurePath(name).parts
        if not parts or ".." in parts or PurePath(name).is_absolute() or PureWindowsPath(name).drive:
            raise RunError(f"A file of a run lies in its folder; {name!r} does not. Make the run again.")
        return self.path / name

    def has(self, name: str) -> bool:
        return self.place(name).is_file()

    def refuse_links(self) -> None:
        """Raises a RunError if anything in the folder is a link, or lies elsewhere in another way.

        A run folder may be a stranger's: what it links to would be read, shown and handed on as the run's own.
        """
        home = self.path.resolve()
        for path in self.path.rglob("*"):
            if path.is_symlink() or not path.resolve().is_relative_to(home):
                raise RunError(f"A run folder holds no links; {path} is one. Put the file itself in its place.")

    def require(self, name: str) -> None:
        """Raises a RunError that says which step is missing, unless the file is there (or in a fold's folder)."""
        if not self.has(name) and not any(self.path.glob(f"folds/*/{name}")):
            raise self._lacks(name)

    def read_json(self, name: str) -> dict[str, Any]:
        """Returns the values of a JSON file in the folder."""
        try:
            values = json.loads(self._existing(name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{self.path / name} must be JSON; {error}. Restore it or make the run again.") from error
        if not isinstance(values, dict):
            raise RunError(f"{self.path / name} must hold an object; it does not. Restore it or make the run again.")
        return values

    def read(self, kind: type[R], name: str) -> R:
        """Returns the record in a JSON file of the folder; a RunError names a field that is unknown or missing."""
        values, version = self.read_json(name), self.read_json("run.json").get("casestudy") or "before 0.2"
        if (schema := values.pop("schema_version", SCHEMA_VERSION)) != SCHEMA_VERSION:
            raise RunError(f"{self.path / name} has schema {schema!r}, not {SCHEMA_VERSION}. Restore the file.")
        try:
            return kind.from_json(values, source=f"{self.path / name} (written by casestudy {version})")
        except DataError as error:
            raise RunError(f"{error} Restore the file or make the run again.") from error

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        write_text(self.place(name), json_text(values))

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
                **EXACT,
            )
        except ValueError as error:
            raise RunError(f"{path} must be a CSV table; {error}. Restore it or make the run again.") from error

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        write_text(self.place(name), table_text(table))

    def _existing(self, name: str) -> Path:
        if not self.has(name):
            raise self._lacks(name)
        return self.place(name)

    def _lacks(self, name: str, said: str = "") -> RunError:
        return RunError(
            f"{said or f'This step reads {name}; {self.path} lacks it.'} Run notebook "
            f"{NOTEBOOKS.get(name, LAST_NOTEBOOK)} first, or all steps at once: casestudy run --out {self.path}"
        )

    def reader(self) -> tuple[Path, About]:
        """Returns the run's model file, and what reading a photograph needs beside it; see `read_photographs`."""
        from casestudy.runs.read import reader_of  # which opens run folders itself

        return reader_of(self.path)

    def trainings(self, home: str = "") -> list[str]:
        """Returns where training.json of every fold of a model lies, or its home where there are no folds."""
        folds = sorted(self.path.glob(f"{home}folds/*/training.json"))
        return [f"{path.parent.relative_to(self.path).as_posix()}/" for path in folds] or [home]


def hidden(path: Path, home: Path) -> bool:
    """Returns whether a file is one that nobody hands on: it, or a folder on the way to it, begins with a dot."""
    return any(part.startswith(".") for part in path.relative_to(home).parts)


def seal_of(data: bytes) -> str:
    """Returns the code for a run.json, and so for every file whose SHA-256 it holds: 80 bits of its own SHA-256.

    The code that stands in it counts as empty.

    >>> seal_of(b'{"seed": 7, "seal": "ABCD"}') == seal_of(b'{"seed": 7, "seal": ""}'), seal_of(b"{}")
    (True, 'IQJW-7I2V-WNTY-UEKG')
    """
    digest = hashlib.sha256(re.sub(rb'"seal": "[A-Z2-7-]*"', b'"seal": ""', data)).digest()
    code = base64.b32encode(digest[:10]).decode()
    return "-".join(re.findall("....", code))


def table_text(table: pd.DataFrame) -> str:
    """Returns a table as CSV whose numbers read back to the same bits."""
    return table.to_csv(index=False, lineterminator="\n")


def json_text(values: dict[str, Any]) -> str:
    """Returns values as the run folder's JSON files have them."""
    values = {"schema_version": SCHEMA_VERSION, **values}
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):  # a number of NumPy's
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")
