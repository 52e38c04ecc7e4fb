"""What a submission contains: its tables, settings and notebooks, parsed strictly and never believed."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from casestudy.errors import CaseStudyError
from casestudy.evaluation import PREFIX, Evaluation, evaluate_predictions
from casestudy.grading.containers import readable
from casestudy.grading.key import Key
from casestudy.grading.notebooks import Cell, answer_by_heading, answer_in, cells_of
from casestudy.grading.submission import Submission
from casestudy.study import Phase
from casestudy.words import counted

MOST_CELLS = 1_000_000  # of a table
LARGEST = 1e300  # of a number: JSON knows no limit, arithmetic does


class NoEvidence(Exception):
    """A file is not there or cannot be read; the message is a sentence for the student."""


@dataclass(frozen=True)
class Contents:
    """What a submission contains, read when it is asked for; `NoEvidence` is raised for what cannot be read."""

    submission: Submission
    key: Key

    def has(self, need: str) -> bool:
        """Returns whether there is a file, or an answer cell, of that name; `*.ipynb` is any notebook."""
        names = self.submission.files
        if need == "*.ipynb":
            return any(name.startswith("notebooks/") for name in names)
        if need.startswith("answer-"):
            return self._answers(need) is not None
        return any(re.fullmatch(rf"run/(folds/[^/]+/)?{re.escape(need)}", name) for name in names)

    def text(self, name: str) -> str:
        """Returns a file as text: UTF-8, or what some editors make of it."""
        data = self.submission.files.get(name)
        if data is None:
            raise NoEvidence(f"{name} is not in the submission.")
        try:
            return data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
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
        rows: list[list[str]] = []
        try:
            header = next(reader, [])
            if lacking := [column for column in columns if column not in header]:
                raise NoEvidence(f"{name} has no column {readable(lacking[0], 40)!r}.")
            if len(set(header)) < len(header):
                raise NoEvidence(f"{name} has a column twice.")
            for row in reader:
                if len(row) != len(header):
                    line = f"{name}, line {reader.line_num}"
                    raise NoEvidence(f"{line}: {counted(len(row), 'cell')} instead of {len(header)}.")
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
        name, photographs = "run/predictions.csv", self.key.photographs
        table, columns = self._predictions(name)
        names = table["name"].tolist()
        if not names:
            raise NoEvidence(f"{name} has no rows.")
        if unknown := [one for one in names if one not in photographs]:
            what = readable(unknown[0], 60)
            raise NoEvidence(f"{name} has photographs that the archive does not have, such as {what}.")
        if len(set(names)) < len(names):
            raise NoEvidence(f"{name} has {counted(len(names) - len(set(names)), 'photograph')} more than once.")
        planned = set(self.splits["name"][(self.splits[self.part_columns] == "test").any(axis=1)])
        if planned != set(names):
            missing, more = len(planned - set(names)), len(set(names) - planned)
            must = f"{name} must have the photographs of the test part, each once"
            raise NoEvidence(f"{must}; missing: {missing:,}, of another part: {more:,}.")
        facts = [photographs[one] for one in names]
        labels = [fact.label for fact in facts]
        if "label" in table and (other := int((table["label"] != labels).sum())):
            raise NoEvidence(f"{name} gives another label than the archive to {counted(other, 'photograph')}.")
        known = pd.DataFrame({"name": names, "signer": [fact.signer for fact in facts], "label": labels})
        probabilities = pd.DataFrame(self._probabilities(name, table[columns]), columns=columns)
        return evaluate_predictions(known.join(probabilities), self.key.class_names)

    def _predictions(self, name: str) -> tuple[pd.DataFrame, list[str]]:
        columns = [PREFIX + label for label in self.key.class_names]
        return self.table(name, ("name", *columns)), columns

    def _probabilities(self, name: str, cells: pd.DataFrame) -> np.ndarray:
        """Returns float64 (N, K), each row a distribution."""
        values = as_numbers(cells)
        sound = np.isfinite(values) & (values >= 0) & (values <= 1)
        if not sound.all():
            row, column = np.argwhere(~sound)[0]
            what = readable(cells.iat[row, column], 30)
            raise NoEvidence(f"{name}, row {row + 1}: {what!r} in column {cells.columns[column]} is no probability.")
        sums = values.sum(axis=1)
        row = np.abs(sums - 1).argmax()
        if abs(sums[row] - 1) > 1e-3:
            raise NoEvidence(f"{name}, row {row + 1}: the probabilities add up to {sums[row]:.3f}, not to 1.")
        return values

    def hidden_answers(self) -> tuple[np.ndarray, list[str]]:
        """Returns bool (N,), whether each photograph of the hidden test was read rightly, and who is in each."""
        name = "run/hidden_predictions.csv"
        table, columns = self._predictions(name)
        if sorted(table["name"]) != sorted(self.key.hidden):
            raise NoEvidence(f"{name} must have every photograph of the hidden test once.")
        read = np.array(self.key.class_names)[self._probabilities(name, table[columns]).argmax(axis=1)]
        facts = [self.key.hidden[one] for one in table["name"]]
        return read == np.array([label for label, _ in facts]), [signer for _, signer in facts]

    def recipe_phases(self) -> tuple[Phase, ...]:
        """Returns the phases that run.json says it was asked for, where they are the recipe's but for their epochs."""
        asked = inside(self.settings, "study").get("phases")
        try:
            phases = tuple(Phase.from_json(one, source="run.json") for one in asked or ())
            ours = tuple(Phase.from_json(one, source="the key") for one in self.key.recipe["phases"])
        except (CaseStudyError, TypeError, AttributeError) as error:
            raise NoEvidence("run/run.json has no phases that can be read.") from error
        return phases if len(phases) == len(ours) else ours

    def trainings(self) -> dict[str, dict[str, Any]]:
        """Returns training.json of every fold, or of the whole where there are no folds, by where it lies."""
        last = "training.json"
        folds = sorted(n for n in self.submission.files if n.startswith("run/folds/") and n.endswith(last))
        return {name.removesuffix(last): self.json(name) for name in folds or [f"run/{last}"]}

    def history(self, home: str) -> dict[str, dict[str, list[float]]]:
        """Returns a training's history: of each phase, the values of each metric, epoch by epoch."""
        table = self.table(f"{home}history.csv", ("phase", "epoch", "metric", "value"))
        history: dict[str, dict[str, list[float]]] = {}
        for phase, metric, cell in zip(table["phase"], table["metric"], table["value"], strict=True):
            if not math.isfinite(value := as_number(cell)):
                raise NoEvidence(f"{home}history.csv has a value that is no number.")
            history.setdefault(phase, {}).setdefault(metric, []).append(value)
        return history

    @cached_property
    def notebooks(self) -> tuple[dict[str, list[Cell]], list[str]]:
        """The cells of every notebook that can be read, by its file name; and why others cannot, a sentence each."""
        found, unreadable = {}, []
        for name in sorted(self.submission.files):
            if name.startswith("notebooks/"):
                try:
                    found[name] = cells_of(self.json(name))
                except (NoEvidence, ValueError) as reason:
                    unreadable.append(str(reason) if isinstance(reason, NoEvidence) else f"{name} {reason}.")
        return found, unreadable

    def answer(self, name: str) -> str:
        """Returns what was written to a question; "" where nothing was."""
        cells = self._answers(name)
        if cells is None:
            raise NoEvidence(f"There is no cell {name} in the notebooks.")
        written = "\n\n".join(cells)
        return written.strip() if re.search(r"\w", readable(written, len(written) + 1)) else ""

    def _answers(self, name: str) -> list[str] | None:
        step = name.removeprefix("answer-")
        own = {file: cells for file, cells in self.notebooks[0].items() if file[10:12] == step}
        for cells in (*own.values(), *self.notebooks[0].values()):
            if (found := answer_in(cells, name)) is not None:
                return found
        return next((found for cells in own.values() if (found := answer_by_heading(cells)) is not None), None)

    @property
    def own_parts(self) -> dict[str, dict[str, str]] | None:
        """The part of every photograph as the rules of the case make it of the run's seed; None where nobody knows."""
        seed, fraction = self.settings.get("seed"), inside(self.settings, "study", "split").get("fraction", 1.0)
        if type(seed) is not int or not 0 <= seed < 2**32 or not is_number(fraction):
            return None
        return self.key.parts(str(self.settings.get("protocol")), seed, float(fraction))

    def differs_from_rules(self, column: str) -> str:
        """Returns how a column of `splits` differs from what the rules make of the seed; "" where it does not."""
        parts = self.own_parts
        if parts is None:
            return ""
        if set(parts) != set(self.part_columns):
            return f"columns {readable(', '.join(self.part_columns), 60)}, not {readable(', '.join(parts), 60)}"
        ours, theirs = parts[column], dict(zip(self.splits["name"], self.splits[column], strict=True))
        other = sum(theirs.get(name) != part for name, part in ours.items())
        return f"{counted(other, 'photograph')} not where seed {self.settings['seed']} puts them" if other else ""


def inside(values: Any, *names: str) -> dict[str, Any]:
    """Returns the dictionary within dictionaries; {} where there is none."""
    for name in names:
        values = values.get(name) if isinstance(values, dict) else None
    return values if isinstance(values, dict) else {}


def moved_in(training: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Returns how far each kind of layer moved in each phase; a kind whose change is no number is left out."""
    return {
        phase: {kind: float(change) for kind, change in kinds.items() if is_number(change)}
        for phase, kinds in inside(training, "largest_change").items()
        if isinstance(kinds, dict)
    }


def is_number(value: object) -> TypeGuard[float]:
    """Returns whether a value of a JSON file is a number that arithmetic can bear.

    >>> is_number(7), is_number(10**400), is_number(float("inf")), is_number(True)
    (True, False, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def as_number(cell: object) -> float:
    """Returns the number that a cell holds; NaN where it holds none.

    >>> as_number("0.25"), as_number("1e400"), as_number("half")
    (0.25, inf, nan)
    """
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def as_numbers(cells: pd.DataFrame) -> np.ndarray:
    """Returns float64 (N, K): the number that each cell holds, NaN where it holds none."""
    return np.array([[as_number(cell) for cell in row] for row in cells.to_numpy()], dtype=np.float64)
