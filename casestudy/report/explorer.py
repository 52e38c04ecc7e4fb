"""How the network sees, as the report shows it: mistakes beside their labels in training, and the map of features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from casestudy.errors import RunError
from casestudy.evaluation import Evaluation
from casestudy.report.sections import MOST_BEHIND
from casestudy.runs import RunFolder
from casestudy.words import percent

MOST_BESIDE, MOST_NEAR = 60, 3  # a run writes fewer; a stranger's may hold any number
HEAT = re.compile(r"(?:[0-9a-f]{2}){1,64}(?: (?:[0-9a-f]{2}){1,64}){0,63}")
WIDE, FLAT, RIM = 900, 0.45, 14  # the map: its width, its least height as a share of it, and its rim
SHORT = 2  # letters of a sign on the map; a longer name gets a number


def beside(run: RunFolder, evaluation: Evaluation) -> list[dict[str, Any]]:
    """Returns the mistakes that are explained, the surest first.

    Each has its name, `heat` (see `runs.explained`; "" for none) and `near`: of the true label and of the one read,
    (name, signer) of the photographs of the training that lie nearest.
    """
    table = _read(run, "near.csv", "label", "near")
    if table is None:
        return []
    near = table.groupby(["name", "label"])["near"].agg(list).to_dict()
    heat, parts = _read(run, "heat.csv", "heat"), run.read_table("splits.csv")
    glow = {} if heat is None else dict(zip(heat["name"], heat["heat"], strict=True))
    signers = dict(zip(parts["name"], parts["signer"], strict=True))
    wrong = evaluation.mistakes.loc[lambda rows: rows["name"].isin(table["name"])]
    found = []
    for name, *labels in wrong.head(MOST_BESIDE)[["name", "label", "predicted"]].itertuples(index=False):
        rows = [near.get((name, label), [])[:MOST_NEAR] for label in labels]
        cells = glow.get(name, "") if HEAT.fullmatch(glow.get(name, "")) else ""
        found.append(
            {"name": name, "heat": cells, "near": [[(one, signers.get(one, "")) for one in row] for row in rows]}
        )
    return found


def feature_map(run: RunFolder, evaluation: Evaluation) -> dict[str, Any] | None:
    """Returns the map of features as it is drawn; None where the run has none.

    `names` and `at`, (x, y) in pixels, are those of its points, and `wrong` says whether they were misread. `ways` are
    the ways to sign and colour them, each with its `key`, (sign, word), and `of`, the place of each point in it.
    `share` is how much of the spread it shows, and `near` a sentence on the neighbours of its points.
    """
    table = _read(run, "map.csv", "x", "y", "same_label")
    if table is None:
        return None
    facts = evaluation.predictions[["name", "label", "signer", "predicted"]].fillna({"signer": ""})
    numbers = [column for column in ("x", "y", "same_label", "same_signer") if column in table]
    table = table[["name"]].join(table[numbers].apply(pd.to_numeric, errors="coerce"))
    table = table[np.isfinite(table[numbers]).all(axis=1)].merge(facts, on="name").head(MOST_BEHIND)
    if len(table) < 2:
        return None
    points = table[["x", "y"]].to_numpy()
    size = np.ptp(points, axis=0)
    scale = (WIDE - 2 * RIM) / max(size[0], 1e-9)  # the same for both axes: distances are distances
    height = max(size[1] * scale + 2 * RIM, FLAT * WIDE)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    at = np.array([WIDE, height]) / 2 + (points - middle) * np.array([scale, -scale])
    ways = [_way("label", table["label"], evaluation.class_names)]
    if "same_signer" in table and all(table["signer"]):
        ways.append(_way("person", table["signer"], sorted(set(table["signer"]), key=_in_order)))
    told = []
    for way, column in zip(ways, ("same_label", "same_signer"), strict=False):
        share, chance = percent(table[column].mean()), percent(_chance(way["of"]))
        told.append(f"{share} show the same {way['name']} ({chance} by chance)")
    return {
        "names": table["name"].tolist(),
        "at": at.round(1).tolist(),
        "size": (WIDE, round(height)),
        "wrong": (table["label"] != table["predicted"]).tolist(),
        "ways": ways,
        "share": float(np.var(points, axis=0, ddof=1).sum()),
        "near": f"Of the ten nearest neighbours of a photograph, measured in all features, {' and '.join(told)}.",
    }


def _way(name: str, values: pd.Series, words: Sequence[str]) -> dict[str, Any]:
    """Returns a way to sign the points: by the words themselves, or by numbers where one is too long for a sign."""
    signs = words if max(map(len, words)) <= SHORT else range(1, len(words) + 1)
    place = {word: k for k, word in enumerate(words)}
    return {
        "name": name,
        "key": [(str(a), b) for a, b in zip(signs, words, strict=True)],
        "of": values.map(place).tolist(),
    }


def _chance(values: Sequence[int]) -> float:
    """Returns the share of a point's neighbours that would be as it is if they were picked by chance.

    >>> _chance([0, 0, 0, 1, 1, 1])
    0.4
    """
    counts = np.bincount(values)
    return float((counts * (counts - 1)).sum() / (len(values) * (len(values) - 1)))


def _in_order(name: str) -> list[tuple[str, int]]:
    """Returns what sorts user_10 behind user_9."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _read(run: RunFolder, name: str, *columns: str) -> pd.DataFrame | None:
    """Returns a table with these columns and "name"; None where the run has none."""
    if not run.has(name):
        return None
    table = run.read_table(name)
    if lacking := {"name", *columns} - set(table.columns):
        raise RunError(
            f"{run.path / name} has a column {min(lacking)}; this one lacks it. Restore it or make the run again."
        )
    return table
