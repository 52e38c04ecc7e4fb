"""What a killed training needs to go on: one file that holds progress and weights together, replaced in one move."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from casestudy.errors import RunError
from casestudy.files import atomic_path


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        recipe: Hash of everything that decides the result; a checkpoint of another recipe is refused.
        phase: Index of the phase under way.
        history: Rows of phase, epoch, metric, value.
        seconds: Wall-clock seconds of each phase begun.
    """

    recipe: str
    phase: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def values(self, phase: str, metric: str) -> list[float]:
        """Returns the metric's values in the phase so far, epoch by epoch."""
        return [row["value"] for row in self.history if row["phase"] == phase and row["metric"] == metric]

    @classmethod
    def load(cls, path: Path, recipe: str) -> Progress:
        """Returns the progress that a checkpoint holds, or a fresh one where there is none.

        Raises:
            RunError: The checkpoint belongs to another training.
        """
        if not path.exists():
            return cls(recipe)
        with np.load(path) as stored:
            progress = cls(**json.loads(str(stored["progress"])))
        if progress.recipe != recipe:
            raise RunError(
                f"A training goes on with the data and settings it began with; {path.parent} began with others. "
                f"Start a new run in another folder."
            )
        return progress


def save(path: Path, variables: list, progress: Progress | None = None) -> None:
    """Writes the values of Keras variables (and the progress) to one .npz, whole or not at all."""
    arrays: dict[str, Any] = {str(k): np.asarray(variable) for k, variable in enumerate(variables)}
    if progress is not None:
        arrays["progress"] = np.array(json.dumps(asdict(progress)))
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def restore(path: Path, variables: list) -> None:
    """Gives Keras variables the values that `save` wrote, in the same order."""
    with np.load(path) as stored:
        for k, variable in enumerate(variables):
            variable.assign(stored[str(k)])
