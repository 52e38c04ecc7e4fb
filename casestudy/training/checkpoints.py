"""What a killed training needs to go on: one file that holds progress and weights together, replaced in one move."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from casestudy.errors import RunError
from casestudy.files import atomic_path


@dataclass
class Progress:
    """How far a training has come."""

    recipes: list[str] = field(default_factory=list)  # of each phase begun, the hash of all that decides its result
    phase: int = 0  # index of the phase under way
    history: list[dict[str, Any]] = field(default_factory=list)  # rows of phase, epoch, metric, value
    seconds: list[float] = field(default_factory=list)  # of wall-clock time, for each phase begun

    def values(self, phase: str, metric: str) -> list[float]:
        """Returns the metric's values in the phase so far, epoch by epoch."""
        return [row["value"] for row in self.history if row["phase"] == phase and row["metric"] == metric]

    @classmethod
    def load(cls, path: Path, index: int, recipe: str) -> Progress:
        """Returns the progress that a checkpoint holds, or a fresh one, for the phase of that index and recipe's hash.

        A RunError says that the checkpoint belongs to another training, or is damaged.
        """
        progress = cls()
        if path.exists():
            try:
                with path.open("rb") as file:
                    progress = cls(**json.loads(str(_next(file))))
                if any(type(getattr(progress, name)) is not type(value) for name, value in vars(cls()).items()):
                    raise TypeError("it holds something else")
            except (ValueError, TypeError, EOFError, OSError) as error:
                raise _damaged(path, error) from error
        if len(progress.recipes) == index == progress.phase:
            progress.recipes.append(recipe)
        if progress.recipes[index : index + 1] != [recipe]:
            raise RunError(
                f"A training goes on with the data and settings it began with; {path.parent} began with others. Start "
                f"a new run in another folder."
            )
        return progress


def save(path: Path, variables: list, progress: Progress | None = None) -> None:
    """Writes the progress and the values of Keras variables to one file, whole or not at all.

    The file is a row of arrays in NumPy's own format, which takes a fifth of the time of an .npz and its checksums.
    """
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.save(file, np.array(json.dumps(asdict(progress)) if progress else ""), allow_pickle=False)
        for variable in variables:
            np.save(file, np.asarray(variable), allow_pickle=False)


def restore(path: Path, variables: list) -> None:
    """Gives Keras variables the values that `save` wrote, in that order; a RunError says that they are not whole."""
    try:
        with path.open("rb") as file:
            _next(file)  # the progress
            values = [_next(file) for _ in variables]  # all of them, before one is changed
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    except (ValueError, TypeError, EOFError, OSError) as error:
        raise _damaged(path, error) from error


def _next(file: BinaryIO) -> np.ndarray:
    """Returns the next array of a checkpoint; one that would run code is refused."""
    return np.lib.format.read_array(file, allow_pickle=False)


def _damaged(path: Path, error: Exception) -> RunError:
    why = " ".join(str(error).split())[:120]
    return RunError(
        f"A checkpoint is whole and of this training; {path} is not ({why}). Delete the folder {path.parent}: the "
        f"training then begins again."
    )
