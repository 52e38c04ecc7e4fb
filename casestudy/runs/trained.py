"""The models of a run: one object knows a model's id, its role, its files and what it was tested on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from casestudy.choices import OWN, Protocol
from casestudy.study import Study

EVERYONE: Protocol = "leave-one-signer-out"
PREDICTIONS = "predictions.csv"  # of the study's own model


@dataclass(frozen=True)
class Test:
    """What a model was tested on, and what that adds to the names of its score and of its file."""

    distorted: bool = False
    unique: bool = False  # without the images that have a copy in training

    @property
    def suffix(self) -> str:
        return "-distorted" * self.distorted + "-unique" * self.unique

    @property
    def words(self) -> str:
        return ", distorted" * self.distorted + ", without copies" * self.unique


CLEAN, DISTORTED = Test(), Test(distorted=True)
TESTS = (CLEAN, DISTORTED, Test(unique=True), Test(distorted=True, unique=True))


@dataclass(frozen=True)
class TrainedModel:
    """One model of a run."""

    id: str  # what its scores are called; "headline" for the study's own
    # Its own, its head alone, its own on a random split, a variant, its own begun from another seed.
    role: Literal["own", "head", "random", "variant", "seed"]
    protocol: Protocol  # of the split that it was trained on
    training: str  # what was trained, in words
    seed: int | None = None  # of its training; None for the run's

    @property
    def name(self) -> str:
        """What a comparison calls it."""
        return OWN if self.role == "own" else self.id

    @property
    def home(self) -> str:
        """Where in the run folder history, training.json and model.keras lie; folds have folders of their own there."""
        homes = {"random": "random/", "variant": f"variants/{self.id}/", "seed": f"seeds/{self.seed}/"}
        return homes.get(self.role, "")

    def predictions(self, test: Test = CLEAN) -> str:
        """Returns the name of the table of its predictions.

        >>> TrainedModel("dense", "variant", "signer", "dense").predictions(Test(distorted=True, unique=True))
        'predictions_unique_dense_distorted.csv'
        """
        name = {"own": "", "variant": f"_{self.id}"}.get(self.role, f"_{self.id.replace('-', '_')}")
        return f"predictions{'_unique' * test.unique}{name}{'_distorted' * test.distorted}.csv"

    def table_of(self, index: int, fold: str) -> str:
        """Returns the name of the table of its predictions of one fold's test part; of all where there are no folds."""
        return self.home + fold_folder(index, fold) + PREDICTIONS if fold else self.predictions()

    def score(self, test: Test = CLEAN) -> str:
        return self.id + test.suffix


def models_of(study: Study, protocol: Protocol, seeds: Iterable[int] = ()) -> list[TrainedModel]:
    """Returns every model that a run of the study may have, in the order in which its scores are shown.

    Its own is trained once more from each of the `seeds`, on the same split.
    """
    trained = OWN if study.variants else "all phases"
    return [
        TrainedModel("headline", "own", protocol, trained),
        TrainedModel("head", "head", protocol, "head only"),
        *([TrainedModel("head-everyone", "head", EVERYONE, "head only")] if protocol == "signer" else []),
        TrainedModel("head-random", "head", "random", "head only"),
        TrainedModel("random", "random", "random", trained),
        *(TrainedModel(variant.name, "variant", protocol, variant.name) for variant in study.variants),
        *(TrainedModel(f"seed-{seed}", "seed", protocol, f"{trained}, seed {seed}", seed) for seed in seeds),
    ]


def fold_folder(index: int, fold: str) -> str:
    """Returns where a fold's results lie in a model's folder; "" for a split that has no folds.

    >>> fold_folder(0, "user: Zoë/1"), fold_folder(0, "")
    ('folds/01-user_Zoë_1/', '')
    """
    plain = re.sub(r"[^\w-]+", "_", fold)
    return f"folds/{index + 1:02d}-{plain}/" if fold else ""
