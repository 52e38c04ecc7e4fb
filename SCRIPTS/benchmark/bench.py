"""Runs ways in fresh processes, and keeps what they measured as the rows of a table."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from statistics import median

from SCRIPTS.benchmark.shared import ROOT

WAYS = Path(__file__).with_name("ways.py")
# A new user sets none of these; what this shell has set must not reach a plain recipe.
SWITCHES = {
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "ONEDNN_MAX_CPU_ISA",
    "KERAS_BACKEND",
    "OMP_NUM_THREADS",
}


class Failed(Exception):
    """A way did not come to its end."""


class Part:
    """The samples of one part, and the table they make."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str, str], list[float]] = {}
        self._ratios: list[tuple[str, str, str, str]] = []
        self.notes: list[str] = []

    def add(self, what: str, way: str, unit: str, value: float | None) -> None:
        if value is not None:
            self._samples.setdefault((what, way, unit), []).append(value)

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def compare(self, what: str, slow: str, fast: str, unit: str = "s") -> None:
        """Asks for the ratio of what two ways took, run by run."""
        if (what, slow, fast, unit) not in self._ratios:
            self._ratios.append((what, slow, fast, unit))

    def medians(self, way: str) -> dict[str, float]:
        """Returns the median seconds of a way by what was measured."""
        return {what: median(v) for (what, which, unit), v in self._samples.items() if (which, unit) == (way, "s")}

    def rows(self) -> list[dict]:
        """Returns one row for each thing measured, then the ratios."""
        rows = [_row(*key, values) for key, values in self._samples.items()]
        for what, slow, fast, unit in self._ratios:
            both = (self._samples.get((what, way, unit), []) for way in (slow, fast))
            values = [a / b for a, b in zip(*both, strict=False)]
            if values:
                rows.append(_row(what, f"{slow} / {fast}", f"× ({unit})", values))
        return rows

    def to_json(self) -> dict:
        return {"rows": self.rows(), "notes": self.notes}


def _row(what: str, way: str, unit: str, values: list[float]) -> dict:
    values = [_round(value) for value in values]
    return {"what": what, "way": way, "unit": unit, "values": values, "median": _round(median(values))}


def _round(value: float) -> float:
    return float(f"{value:.4g}")


class Bench:
    """What all parts share: the options, a scratch folder and the running of ways."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options, self.work = options, work
        self.quick, self.repeats = options.quick, options.repeats or (2 if options.quick else 3)

    def run(self, way: str, *, python: str = sys.executable, env: dict | None = None, **arguments: object) -> dict:
        """Returns what a way printed, and its process' seconds, start-up too; stopped when it is over the budget."""
        environment = {name: value for name, value in os.environ.items() if name not in SWITCHES}
        environment.update({"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {})})
        command = [python, str(WAYS), way, json.dumps(arguments)]
        budget = self.options.budget
        began = time.perf_counter()
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=budget)
        except subprocess.TimeoutExpired:
            return {"left_out": f"not run to its end (over the budget of {budget:g} s)"}
        if done.returncode:
            raise Failed(f"{way} stopped with {(done.stderr.strip() or done.stdout).splitlines()[-1]}")
        return {"process_seconds": time.perf_counter() - began, **json.loads(done.stdout.splitlines()[-1])}

    def folder(self, name: str) -> str:
        """Returns an empty folder."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return str(path)

    def solid_archive(self, count: int) -> str:
        """Returns the path of a solid RAR5 of `count` drawn photographs, made once."""
        archive = self.work / f"solid-{count}.rar"
        if not archive.exists():
            photos = self.folder("photographs")
            self.run("draw_photographs", folder=photos, count=count)
            subprocess.run(["rar", "a", "-idq", "-ma5", "-s", "-ep1", "-r", str(archive), f"{photos}/"], check=True)
        return str(archive)

    def zipped_archive(self, count: int) -> str:
        """Returns the path of a zip of `count` drawn photographs of 200×200 in folders of letters, made once."""
        archive = self.work / f"zipped-{count}.zip"
        if not archive.exists():
            photos = self.folder("photographs")
            self.run("draw_photographs", folder=photos, count=count, size=[200, 200])
            with zipfile.ZipFile(archive, "w") as target:  # what zips JPEGs stores them or gains nothing
                for path in sorted(Path(photos).rglob("*.jpg")):
                    target.write(path, f"train/{path.name[0]}/{path.parent.name}_{path.name}")
            shutil.rmtree(photos)
        return str(archive)

    def large_pictures(self) -> dict[str, str]:
        """Returns the paths of zips with a single picture of 50 million pixels each, by its kind."""
        folder = self.folder("large")
        self.run("draw_large", folder=folder, size=(800, 600) if self.quick else (8192, 6144))
        return {f"a {path.stem}": str(path) for path in sorted(Path(folder).glob("*.zip"))}

    def training_data(self, env: dict[str, str] | None = None) -> str:
        """Returns the folder with pixels and initial weights, made once for each set of environment variables.

        The weights hold statistics computed from the images, hence the last digits depend on the processor's kernels.
        """
        folder = self.work / "-".join(["training", *(env or {})])
        if not (folder / "data.npz").exists():
            self.folder(folder.name)
            size, images = (64, 64) if self.quick else (96, 384)
            self.run("prepare_training", env=env, work=str(folder), size=size, images=images)
        return str(folder)
