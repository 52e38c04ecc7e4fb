"""A run's figures from its files again, by code that shares nothing with what wrote them.

The standard library reads the files, scikit-learn counts. Probabilities are float32, as the model gave them.
"""

from __future__ import annotations

import csv
import hashlib
import math
import zipfile
from base64 import b32encode
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

Rows = list[dict[str, str]]
Figures = Mapping[str, float | str]

CLOSE = 1e-9  # between two ways to add up the same numbers, relative and absolute


def read_rows(path: Path) -> Rows:
    """Returns the rows of a CSV file, every cell as it is written."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def seals(path: Path) -> tuple[str, str]:
    """Returns the seal that a run.json states ("" for none) and the one that its bytes have."""
    before, key, rest = path.read_bytes().rpartition(b'"seal": "')
    stated, _, after = rest.partition(b'"') if key else (b"", b"", rest)
    code = b32encode(hashlib.sha256(before + key + (b'"' if key else b"") + after).digest()[:10]).decode()
    return stated.decode("ascii", "replace"), "-".join(code[k : k + 4] for k in range(0, 16, 4))


def lost_entries(letters: Path, ledger: Rows) -> list[str]:
    """Returns the entries of a ledger whose bytes the zip does not hold, but for those that it calls lost."""
    with zipfile.ZipFile(letters) as archive:
        ledger = [row for row in ledger if row.get("status") != "lost"]
        there = {row["stored_as"] for row in ledger}.intersection(archive.namelist())
        digests = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in there}
    return [row["entry"] for row in ledger if digests.get(row["stored_as"]) != row["sha256"]]


class Predictions:
    """A table of predictions: the true label of each row, and the one read from its probabilities."""

    def __init__(self, rows: Rows, names: Sequence[str]) -> None:
        """Reads rows with name, label, signer and p_<label> for each of the names; a KeyError names what is missing."""
        self.rows, self.names = rows, list(names)
        cells = [[float(row[f"p_{name}"]) for name in names] for row in rows]
        self.probabilities = np.array(cells, dtype=np.float32).reshape(len(rows), len(names)).astype(np.float64)
        self.truth = [row["label"] for row in rows]
        self.guess = [self.names[int(k)] for k in self.probabilities.argmax(axis=1)]
        own = (self.probabilities[k, self.names.index(label)] for k, label in enumerate(self.truth))
        self.losses = [-math.log(max(p, 1e-7)) for p in own]

    def faults(self) -> list[str]:
        """Returns the lines, from 1 for the header, whose columns do not go together, with what is wrong."""
        found = []
        for k, row in enumerate(self.rows):
            stated = {"predicted": self.guess[k], "confidence": self.probabilities[k].max(), "loss": self.losses[k]}
            wrong = [name for name, value in stated.items() if differs(row[name], value, 1e-7)]
            if not math.isclose(self.probabilities[k].sum(), 1, abs_tol=1e-3):
                wrong.append("sum of probabilities")
            found += [f"line {k + 2}: {', '.join(wrong)}"] if wrong else []
        return found

    def score(self) -> Figures:
        """Returns images, accuracy, loss and calibration error (ten equal bins of confidence)."""
        confidence = self.probabilities.max(axis=1)
        right = [a == b for a, b in zip(self.truth, self.guess, strict=True)]
        gaps = [0.0] * 10  # of each bin, the sum of confidence less that of hits
        for sure, hit in zip(confidence.tolist(), right, strict=True):
            gaps[min(int(sure * 10), 9)] += sure - hit
        return {
            "images": len(self.rows),
            "accuracy": float(accuracy_score(self.truth, self.guess)),
            "loss": math.fsum(self.losses) / len(self.losses),
            "calibration_error": math.fsum(map(abs, gaps)) / len(self.rows),
        }

    def tables(self) -> dict[str, list[Figures]]:
        """Returns the rows of per_label.csv, per_signer.csv and confusion.csv, without intervals."""
        precision, recall, f1, support = precision_recall_fscore_support(
            self.truth, self.guess, labels=self.names, zero_division=np.nan
        )
        by_label: list[Figures] = [
            {
                "label": name,
                "support": int(support[k]),
                "accuracy": float(recall[k]),
                "precision": float(precision[k]),
                "f1": float(f1[k]) if support[k] else math.nan,
                "loss": _mean([loss for loss, label in zip(self.losses, self.truth, strict=True) if label == name]),
            }
            for k, name in enumerate(self.names)
        ]
        counts = confusion_matrix(self.truth, self.guess, labels=self.names)
        confusion: list[Figures] = [
            {"label": name, **dict(zip(self.names, map(int, row), strict=True))}
            for name, row in zip(self.names, counts, strict=True)
        ]
        signers = [row["signer"] for row in self.rows]
        by_signer: list[Figures] = []
        for signer in sorted(set(signers)) if all(signers) else []:
            chosen = [k for k, one in enumerate(signers) if one == signer]
            hits = [float(self.truth[k] == self.guess[k]) for k in chosen]
            means: dict[str, float] = {"accuracy": _mean(hits), "loss": _mean([self.losses[k] for k in chosen])}
            by_signer.append({"signer": signer, "support": len(chosen), **means})
        return {"per_label.csv": by_label, "per_signer.csv": by_signer, "confusion.csv": confusion}


def differs(cell: str, value: float | str, close: float = CLOSE) -> bool:
    """Returns whether a cell says something else than a value; an empty cell stands for NaN.

    >>> differs("0.5", 0.5), differs("", float("nan")), differs("A", "B"), differs("x", 1)
    (False, False, True, True)
    """
    if isinstance(value, str):
        return cell != value
    try:
        number = float(cell) if cell else math.nan
    except ValueError:
        return True
    return not (math.isnan(number) and math.isnan(value)) and not math.isclose(
        number, value, rel_tol=close, abs_tol=close
    )


def faults_of_table(rows: Rows, figures: Sequence[Figures]) -> list[str]:
    """Returns the cells of a CSV table that are not as the figures have them, by line and column."""
    if len(rows) != len(figures):
        return [f"rows: {len(rows)}, not {len(figures)}"]
    return [
        f"line {k + 2}: {name}"
        for k, (row, figure) in enumerate(zip(rows, figures, strict=True))
        for name, value in figure.items()
        if differs(row.get(name) or "", value)
    ]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
