"""The evidence in a submission: its tables, settings and notebooks, parsed strictly and never believed."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from casestudy.evaluation import PREFIX, Evaluation, evaluate_predictions
from casestudy.grading.key import Key
from casestudy.grading.submission import Submission, readable

MOST_CELLS = 1_000_000  # of a table
LONGEST = 1_000  # cells of a notebook
PLACEHOLDER = "Your answer: replace this line."
AFTER_ANSWERS = ("next", "hand-in")  # the notebooks' own cells below an answer
PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
LEFT_OUT = "picture-left-out"  # how `casestudy submit` marks an output that it took out


class NoEvidence(Exception):
    """A file is not there or cannot be read; the message is a sentence for the student."""


@dataclass(frozen=True)
class Cell:
    """A notebook's cell: its kind, source text, execution count, and what it showed."""

    id: str
    kind: str
    source: str
    count: int | None
    error: str
    picture: bool


@dataclass(frozen=True)
class Evidence:
    """What a submission shows, read when it is asked for; each property raises `NoEvidence` where there is none."""

    submission: Submission
    key: Key

    def has(self, need: str) -> bool:
        """Returns whether there is a file, or an answer cell, of that name; `*.ipynb` is any notebook."""
        if need == "*.ipynb":
            return any(name.startswith("notebooks/") for name in self.submission.files)
        if need.startswith("answer-"):
            return self._answer_cell(need) is not None
        folds = re.compile(rf"run/folds/[^/]+/{re.escape(need)}")
        return any(name == f"run/{need}" or folds.fullmatch(name) for name in self.submission.files)

    def text(self, name: str) -> str:
        """Returns a file as text: UTF-8, or what some editors make of it."""
        data = self.submission.files.get(name)
        if data is None:
            raise NoEvidence(f"{name} is not in the submission.")
        try:
            utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
            return data.decode("utf-16" if utf16 else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise NoEvidence(f"{name} is not text in UTF-8.") from error

    def json(self, name: str) -> dict[str, Any]:
        """Returns a JSON object."""

        def refuse(constant: str) -> float:
            raise ValueError(f"{constant} is no number")

        try:
            values = json.loads(self.text(name), parse_constant=refuse)
        except (ValueError, RecursionError) as error:
            raise NoEvidence(f"{name} is not readable JSON ({readable(error, 80)}).") from error
        if not isinstance(values, dict):
            raise NoEvidence(f"{name} is JSON, but not what a run writes.")
        return values

    def table(self, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
        """Returns a CSV table, every cell a str, with at least these columns."""
        reader = csv.reader(io.StringIO(self.text(name), newline=""), strict=True)
        try:
            header = next(reader, [])
            lacking = [column for column in columns if column not in header]
            if lacking or len(set(header)) < len(header):
                what = f"no column {readable(lacking[0], 40)!r}" if lacking else "a column twice"
                raise NoEvidence(f"{name} has {what}.")
            rows = []
            for row in reader:
                if len(row) != len(header):
                    raise NoEvidence(f"{name}, line {reader.line_num}: {len(row)} cells instead of {len(header)}.")
                rows.append(row)
                if len(rows) * len(header) > MOST_CELLS:
                    raise NoEvidence(f"{name} has more than {MOST_CELLS:,} cells.")
        except csv.Error as error:
            raise NoEvidence(f"{name}, line {reader.line_num}: not a CSV table ({readable(error, 80)}).") from error
        return pd.DataFrame(rows, columns=header, dtype=str)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What run.json says."""
        return self.json("run/run.json")

    @cached_property
    def splits(self) -> pd.DataFrame:
        """Name and part of every photograph, a column for each fold where there are folds."""
        return self.table("run/splits.csv", ("name",))

    @property
    def part_columns(self) -> list[str]:
        """Which columns of `splits` say who is in which part."""
        found = [name for name in self.splits.columns if name == "part" or name.startswith("without ")]
        if not found:
            raise NoEvidence("run/splits.csv has no column 'part'.")
        return found

    @cached_property
    def evaluation(self) -> Evaluation:
        """Every figure, computed again: the probabilities are the student's, labels and signers are the key's."""
        return self._evaluate("run/predictions.csv", tested=True)

    def _evaluate(self, name: str, *, tested: bool) -> Evaluation:
        key = self.key
        columns = [PREFIX + label for label in key.class_names]
        table = self.table(name, ("name", *columns))
        names = table["name"].tolist()
        unknown = [one for one in names if one not in key.photographs]
        if not names or unknown:
            what = (
                f"photographs that the archive does not have, such as {readable(unknown[0], 60)}"
                if unknown
                else "no rows"
            )
            raise NoEvidence(f"{name} has {what}.")
        if len(set(names)) < len(names):
            raise NoEvidence(f"{name} has {len(names) - len(set(names))} photographs more than once.")
        if tested:
            planned = set(self.splits["name"][(self.splits[self.part_columns] == "test").any(axis=1)])
            if planned != set(names):
                missing, more = len(planned - set(names)), len(set(names) - planned)
                raise NoEvidence(
                    f"{name} must have the photographs of the test part, each once: {missing} are missing, {more} are "
                    f"of another part."
                )
        facts = [key.photographs[one] for one in names]
        if "label" in table and (other := sum(a != b.label for a, b in zip(table["label"], facts, strict=True))):
            raise NoEvidence(f"{name} gives {other} photographs a label that is not theirs.")
        return evaluate_predictions(
            pd.DataFrame(
                {
                    "name": names,
                    "signer": [fact.signer for fact in facts],
                    "label": [fact.label for fact in facts],
                    **self._probabilities(name, table[columns]),
                }
            ),
            key.class_names,
            seed=0,
        )

    def _probabilities(self, name: str, cells: pd.DataFrame) -> dict[str, np.ndarray]:
        values = np.array(
            [[as_number(cell) for cell in row] for row in cells.itertuples(index=False)], dtype=np.float64
        )
        sound = np.isfinite(values) & (values >= 0) & (values <= 1)
        if not sound.all():
            row, column = np.argwhere(~sound)[0]
            what = readable(cells.iat[row, column], 30)
            raise NoEvidence(f"{name}, row {row + 1}: {what!r} in column {cells.columns[column]} is no probability.")
        if np.abs(values.sum(axis=1) - 1).max() > 1e-3:
            row = int(np.abs(values.sum(axis=1) - 1).argmax())
            raise NoEvidence(f"{name}, row {row + 1}: the probabilities add up to {values[row].sum():.3f}, not to 1.")
        return {column: values[:, k] for k, column in enumerate(cells.columns)}

    def hidden_answers(self) -> np.ndarray:
        """Returns bool (N,): whether each photograph of the hidden test was read rightly."""
        name = "run/hidden_predictions.csv"
        columns = [PREFIX + label for label in self.key.class_names]
        table = self.table(name, ("name", *columns))
        if sorted(table["name"]) != sorted(self.key.hidden):
            raise NoEvidence(f"{name} must have every photograph of the hidden test once.")
        probabilities = np.column_stack(list(self._probabilities(name, table[columns]).values()))
        read = np.array(self.key.class_names)[probabilities.argmax(axis=1)]
        return read == np.array([self.key.hidden[one] for one in table["name"]])

    def trainings(self) -> dict[str, dict[str, Any]]:
        """Returns training.json of every fold, or of the whole where there are no folds, by where it lies."""
        files, last = self.submission.files, "training.json"
        folds = sorted(name for name in files if name.startswith("run/folds/") and name.endswith(last))
        return {name.removesuffix(last): self.json(name) for name in folds or [f"run/{last}"]}

    def history(self, home: str) -> pd.DataFrame:
        """Returns the history of a training: phase, epoch, metric, and value as float."""
        table = self.table(f"{home}history.csv", ("phase", "epoch", "metric", "value"))
        table["value"] = [as_number(cell) for cell in table["value"]]
        if not np.isfinite(table["value"].astype(float)).all():
            raise NoEvidence(f"{home}history.csv has a value that is no number.")
        return table

    @property
    def notebooks(self) -> dict[str, list[Cell]]:
        """The cells of every notebook that can be read, by the notebook's file name."""
        return self._notebooks[0]

    @property
    def unreadable(self) -> list[str]:
        """Why a notebook cannot be read, for each that cannot."""
        return self._notebooks[1]

    @cached_property
    def _notebooks(self) -> tuple[dict[str, list[Cell]], list[str]]:
        found, reasons = {}, []
        for name in sorted(self.submission.files):
            if name.startswith("notebooks/"):
                try:
                    found[name] = self._cells(name)
                except NoEvidence as reason:
                    reasons.append(str(reason))
        return found, reasons

    def _cells(self, name: str) -> list[Cell]:
        cells = self.json(name).get("cells")
        if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
            raise NoEvidence(f"{name} is not a notebook.")
        if len(cells) > LONGEST:
            raise NoEvidence(f"{name} has {len(cells):,} cells; a notebook has at most {LONGEST:,}.")
        return [_cell(cell) for cell in cells]

    def answer(self, name: str) -> str:
        """Returns what stands in an answer cell and in the texts added below it; "" where nothing was written."""
        place = self._answer_cell(name)
        if place is None:
            raise NoEvidence(f"There is no cell {name} in the notebooks.")
        cells, start = place
        own = [cells[start].source.replace(PLACEHOLDER, "")]
        for cell in cells[start + 1 :]:
            if cell.kind == "code" or cell.id in AFTER_ANSWERS:
                break
            own.append(cell.source)
        written = "\n\n".join(own)
        return written.strip() if re.search(r"\w", readable(written, len(written) + 1)) else ""

    def _answer_cell(self, name: str) -> tuple[list[Cell], int] | None:
        """Returns the cells of the notebook that has this answer cell, and its place among them."""
        every = ((cells, k, cell.id) for cells in self.notebooks.values() for k, cell in enumerate(cells))
        return next(((cells, k) for cells, k, found in every if found == name), None)


def _cell(values: dict[str, Any]) -> Cell:
    metadata, outputs = values.get("metadata"), values.get("outputs")
    metadata = metadata if isinstance(metadata, dict) else {}
    outputs = outputs if isinstance(outputs, list) else []
    shown = [output for output in outputs if isinstance(output, dict)]
    count, source = values.get("execution_count"), values.get("source") or ""
    error = next((output.get("ename", "error") for output in shown if output.get("output_type") == "error"), "")
    pictures = [
        LEFT_OUT in output.get("metadata", {}) or any(kind in output.get("data", {}) for kind in PICTURES)
        for output in shown
        if isinstance(output.get("data", {}), dict) and isinstance(output.get("metadata", {}), dict)
    ]
    return Cell(
        id=str(values.get("id") or metadata.get("id") or ""),  # Colab keeps it in the metadata
        kind=str(values.get("cell_type", "")),
        source="".join(map(str, source)) if isinstance(source, list) else str(source),
        count=count if isinstance(count, int) else None,
        error=readable(error, 80),
        picture=any(pictures),
    )


def as_number(cell: object) -> float:
    """Returns the number that a cell holds; NaN where it holds none.

    >>> as_number("0.25"), as_number("1e400"), as_number("half")
    (0.25, inf, nan)
    """
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan
