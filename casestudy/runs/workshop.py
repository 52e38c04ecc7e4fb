"""Trains models into a run folder: whole ones, or the head alone. What is there already is not trained again."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from casestudy import training
from casestudy.data import ImageSet, Splits
from casestudy.evaluation import predict_probabilities, prediction_table
from casestudy.files import atomic_path
from casestudy.runs.folder import RunFolder, distorted
from casestudy.study import ModelSpec, Phase

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """A model to train: what to build, how to train it, and the weights that it starts from."""

    model: ModelSpec
    phases: tuple[Phase, ...]
    weights: str | None


@dataclass(frozen=True)
class Workshop:
    """What all trainings of a run share.

    Attributes:
        harder: The test images, distorted; None for no second test.
    """

    run: RunFolder
    images: ImageSet
    precision: str
    seed: int
    harder: ImageSet | None = None

    def train(
        self, recipe: Recipe, splits: list[Splits], target: str, *, folder: str = "", until: str | None = None
    ) -> None:
        """Trains on each split and writes the predictions of all their test parts to `target`.

        Args:
            recipe: Of the model.
            splits: One, or one a fold.
            target: Name of a table in the run folder.
            folder: Where in the run folder history, model and checkpoints go; folds have folders of their own in it.
            until: The last phase to run; predictions are written after all of them.
        """
        homes = [folder + fold_folder(k, split.fold) for k, split in enumerate(splits)]
        for home, split in zip(homes, splits, strict=True):
            predictions = f"{home}predictions.csv" if split.fold else target
            if not self.run.has(predictions) and not self._has_trained(home, until):
                self._train(recipe, split, home, predictions, until)
        if splits[0].fold and not until and not self.run.has(target):
            tables = [self.run.read_table(f"{home}predictions.csv") for home in homes]
            self.run.write_table(target, pd.concat(tables, ignore_index=True))

    def _train(self, recipe: Recipe, split: Splits, home: str, predictions: str, until: str | None) -> None:
        if split.fold:
            log.info("held out: %s", split.fold)
        checkpoints = self.run.path / home / "checkpoints"
        result = training.train(
            recipe.model,
            split,
            phases=recipe.phases,
            weights=recipe.weights,
            seed=self.seed,
            folder=checkpoints,
            precision=self.precision,
            until=until,
        )
        self._write(home, result)
        if until:
            return
        if self.harder is not None:
            table = self._predict(result, self.harder, np.arange(len(self.harder)))
            self.run.write_table(distorted(predictions), table)
        self.run.write_table(predictions, self._predict(result, self.images, split.test))
        training.remove_checkpoints(checkpoints)

    @staticmethod
    def _predict(result: training.TrainingRun, images: ImageSet, indices: np.ndarray) -> pd.DataFrame:
        return prediction_table(images, indices, predict_probabilities(result.model, images, indices))

    def train_heads(self, recipe: Recipe, splits: list[Splits], target: str) -> None:
        """Trains the first phase's head on frozen features, for each split, and writes all predictions to `target`."""
        if self.run.has(target):
            return
        log.info("the head alone on frozen features: %s", splits[0].protocol)
        features, tables = None, []
        for split in splits:
            # Without pretrained weights the base's statistics come from the split's own training images.
            if features is None or recipe.weights is None:
                with TemporaryDirectory(prefix="features-", dir=self.run.path) as scratch:
                    stored = Path(scratch) / "features.npy"
                    features = np.array(
                        training.frozen_features(
                            recipe.model, split, weights=recipe.weights, seed=self.seed, target=stored
                        )
                    )
            probabilities = training.train_head(
                features, split, recipe.phases[0], dropout=recipe.model.dropout, seed=self.seed
            )
            tables.append(prediction_table(self.images, split.test, probabilities))
        self.run.write_table(target, pd.concat(tables, ignore_index=True))

    def _has_trained(self, home: str, phase: str | None) -> bool:
        name = f"{home}training.json"
        return phase is not None and self.run.has(name) and phase in self.run.read_json(name)["seconds"]

    def _write(self, home: str, result: training.TrainingRun) -> None:
        self.run.write_table(f"{home}history.csv", result.history)
        self.run.write_json(
            f"{home}training.json",
            {
                "seconds": result.seconds,
                "images_per_second": result.images_per_second,
                "batch_norm_change": result.batch_norm_change,
                "largest_change": result.largest_change,
                "parameters": result.model.count_params(),
            },
        )
        with atomic_path(self.run.path / home / "model.keras") as partial:
            result.model.save(partial)


def fold_folder(index: int, fold: str) -> str:
    """Returns where a fold's results lie in the run folder; "" for a split that has no folds.

    >>> fold_folder(0, "user: Zoë/1"), fold_folder(0, "")
    ('folds/01-user_Zoë_1/', '')
    """
    plain = re.sub(r"[^\w-]+", "_", fold)
    return f"folds/{index + 1:02d}-{plain}/" if fold else ""
