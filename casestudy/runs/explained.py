"""How a run's network sees: where its surest mistakes looked, what they are near to, and a map of the test features.

A feature is what a photograph is to the last layer. Written once, when the network is here, as plain tables:

    near.csv   name, label, near: the photographs of the training that lie nearest to a mistake, of both its labels
    heat.csv   name, heat: Grad-CAM for the label that was read, rows of cells in two hexadecimal digits each
    map.csv    name, x, y: the first two principal components, in units of the spread of all features, so that
               var(x) + var(y) is the share that the map shows; same_label, same_signer: how many of the nearest
               neighbours show the same, as a share
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from casestudy.data import Splits
from casestudy.errors import DataError
from casestudy.evaluation import predict_probabilities
from casestudy.runs.trained import fold_folder

if TYPE_CHECKING:
    import keras

    from casestudy.runs.folder import RunFolder

TABLES = ("near.csv", "heat.csv", "map.csv")
MISTAKES = 30  # that are explained, the surest first
NEAR = 3  # photographs of each label beside one
TRAINED = 4000  # photographs of the training among which the nearest are looked for; of more, some drawn by the seed
POINTS, NEIGHBOURS = 2000, 10  # of the map; of more test photographs, some drawn by the seed


@dataclass(frozen=True)
class Seen:
    """What one network makes of its mistakes, of their labels' training photographs, and of what is on the map."""

    network: keras.Model
    split: Splits
    mistakes: np.ndarray  # int (M,), places in the image set, the surest first
    read: np.ndarray  # int (M,), the labels that they were taken for
    trained: np.ndarray  # int, photographs of the training with one of their labels
    points: np.ndarray  # int, photographs on the map; none where each person is read by another network
    places: np.ndarray  # int (N,), of all these, in order
    features: np.ndarray  # float32 (N, F), theirs

    def of(self, places: np.ndarray) -> np.ndarray:
        return self.features[np.searchsorted(self.places, places)]


def explain_run(run: RunFolder, splits: Sequence[Splits]) -> None:
    """Writes what there is to explain of a run whose predictions are there: see the top of this file."""
    for name, table in explained(list(seen_of(run, splits)), seed=run.record.wishes.seed).items():
        run.write_table(name, table)


def explained(seen: Sequence[Seen], *, seed: int) -> dict[str, pd.DataFrame]:
    """Returns the tables by their names, without those that hold nothing."""
    parts = (
        [nearest(distances(one)).drop(columns="distance") for one in seen],
        [_heat(one) for one in seen],
        [_map(one, seed) for one in seen],
    )
    tables = [pd.concat([pd.DataFrame(), *tables], ignore_index=True) for tables in parts]
    return {name: table for name, table in zip(TABLES, tables, strict=True) if len(table)}


def seen_of(run: RunFolder, splits: Sequence[Splits]) -> Iterator[Seen]:
    """Yields what the network of each fold sees; a fold without a mistake that is explained has nothing to show."""
    from casestudy.models import keras, load_model

    wrong, chance = run.evaluation().mistakes.head(MISTAKES), np.random.default_rng(run.record.wishes.seed)
    for k, split in enumerate(splits):
        images = split.images
        place = dict(zip(images.names[split.test].tolist(), split.test.tolist(), strict=True))
        own = wrong[wrong["name"].isin(place)]
        mistakes = np.array([place[name] for name in own["name"]], dtype=int)
        read = np.array([images.class_names.index(label) for label in own["predicted"]], dtype=int)
        labels = {*images.labels[mistakes].tolist(), *read.tolist()}
        trained = _some(split.train[np.isin(images.labels[split.train], list(labels))], TRAINED, chance)
        points = _some(split.test, POINTS, chance) if not split.fold else mistakes[:0]
        places = np.unique(np.concatenate([mistakes, trained, points]))
        if len(places):
            network = load_model(run.path / fold_folder(k, split.fold) / "model.keras")
            features = keras.Model(network.inputs, network.get_layer("probabilities").input)
            found = predict_probabilities(features, images, places)
            yield Seen(network, split, mistakes, read, trained, points, places, found)


def _some(places: np.ndarray, most: int, chance: np.random.Generator) -> np.ndarray:
    return places if len(places) <= most else np.sort(chance.choice(places, most, replace=False))


def distances(seen: Seen) -> pd.DataFrame:
    """Returns name, label, near, distance: from each mistake to the training photographs of both labels, by distance.

    The true label comes first.
    """
    images, rows = seen.split.images, []
    for mistake, read in zip(seen.mistakes, seen.read, strict=True):
        for label in (images.labels[mistake], read):
            there = seen.trained[images.labels[seen.trained] == label]
            far = np.linalg.norm(seen.of(there) - seen.of(mistake), axis=1)
            order = np.argsort(far, kind="stable")
            facts = {"name": images.names[mistake], "label": images.class_names[label]}
            rows.append(pd.DataFrame({**facts, "near": images.names[there[order]], "distance": far[order]}))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["name", "label", "near", "distance"])


def nearest(every: pd.DataFrame) -> pd.DataFrame:
    """Returns of `distances` the nearest photographs of each mistake and label."""
    return every.groupby(["name", "label"], sort=False).head(NEAR)


def _heat(seen: Seen) -> pd.DataFrame:
    """Returns name and heat of each mistake; no row where the network has no map to look at."""
    from casestudy.models import grad_cam

    images = seen.split.images
    try:
        heat = grad_cam(seen.network, images.images[seen.mistakes], seen.read)
    except DataError:
        return pd.DataFrame()
    cells = [" ".join(row.tobytes().hex() for row in np.rint(255 * one).astype(np.uint8)) for one in heat]
    return pd.DataFrame({"name": images.names[seen.mistakes], "heat": cells})


def _map(seen: Seen, seed: int) -> pd.DataFrame:
    """Returns the map; no row for photographs that are too few, or all the same to the network."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    images, features = seen.split.images, seen.of(seen.points).astype(np.float64)
    if len(features) <= NEIGHBOURS or min(features.shape) < 2 or not (spread := features.var(axis=0, ddof=1).sum()):
        return pd.DataFrame()
    x, y = PCA(2, random_state=seed).fit_transform(features).T / np.sqrt(spread)
    around = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(features).kneighbors(return_distance=False)
    table = pd.DataFrame({"name": images.names[seen.points], "x": x, "y": y})
    whose = {"same_label": images.labels[seen.points]}
    if images.signers is not None and all(people := images.signers[seen.points]):
        whose["same_signer"] = people
    for column, own in whose.items():
        table[column] = (own[around] == own[:, None]).mean(axis=1)
    return table
