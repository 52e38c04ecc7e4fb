"""What a run's models read of its data once more, and what a second training of the whole run comes to."""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from casestudy.data import ImageSet, Splits, distort
from casestudy.errors import DataError, RunError, WeightsError
from casestudy.evaluation import PREFIX, predict_probabilities, prediction_table
from casestudy.files import file_digest
from casestudy.runs.explained import TABLES, Seen, distances, explained, nearest, seen_of
from casestudy.runs.files import table_text
from casestudy.runs.folder import RunFolder
from casestudy.runs.local import name_of
from casestudy.runs.steps import finish_run, is_clean
from casestudy.runs.trained import DISTORTED, PREDICTIONS, TrainedModel, fold_folder
from casestudy.studies import STUDIES
from casestudy.training import Machine

Check = tuple[str, bool | None, str]  # what was checked; whether it holds, None for not checked; and why, or which


def predict_again(run: RunFolder, model: TrainedModel, images: ImageSet, splits: Sequence[Splits]) -> Iterator[Check]:
    """Yields whether each table of a model's predictions is what its model.keras makes of the images, all of them."""
    from casestudy.models import load_model  # which needs TensorFlow

    homes = [model.home + fold_folder(k, split.fold) for k, split in enumerate(splits)]
    tables = []
    for home, split in zip(homes, splits, strict=True):
        if not run.has(f"{home}model.keras"):
            yield (f"{model.predictions()} made again", None, f"{home}model.keras is not here")
            return
        try:
            network = load_model(run.path / home / "model.keras")
            wanted = [(home + PREDICTIONS if split.fold else model.predictions(), images, split.test)]
            if run.has(model.predictions(DISTORTED)):
                harder = distort(images, split.test, **run.record.wishes.study.distortion)
                wanted.append((model.predictions(DISTORTED), harder, np.arange(len(harder))))
            for name, shown, indices in wanted:
                table = prediction_table(shown, indices, predict_probabilities(network, shown, indices))
                if name == home + PREDICTIONS:
                    tables.append(table)
                what = f"{name} is what {home}model.keras makes of the data"
                yield (what, *compare(_text(run, name), table, run.resolved.machine.tolerance))
        except (DataError, ValueError) as error:  # no network, or one for other images
            yield (f"{home}model.keras reads the data", False, str(error).splitlines()[0])
            return
        if not split.fold and (parameters := run.training(home).parameters) != network.count_params():
            yield (f"{home}training.json counts the parameters", False, f"{parameters}, not {network.count_params()}")
    if splits[0].fold:
        parts = [_text(run, home + PREDICTIONS).partition("\n") for home in homes]
        whole = parts[0][0] + "\n" + "".join(rows for _, _, rows in parts)
        yield (f"{model.predictions()} is that of all folds", _text(run, model.predictions()) == whole, "")


def compare(stored: str, again: pd.DataFrame, tolerance: float) -> tuple[bool, str]:
    """Returns whether a stored table of predictions is the one made again, and how far they are apart.

    Another device rounds otherwise, in every row. Where most rows are the same to the last bit, it is the same device,
    and any other row was changed.
    """
    fresh = table_text(again)
    if stored == fresh:
        return True, "to the last bit"
    old, new = stored.splitlines(), fresh.splitlines()
    if len(old) != len(new) or old[0] != new[0]:
        return False, f"{len(old)} lines or columns, not {len(new)} as made again"
    if others := _changed(old, new):
        return False, f"line {', '.join(map(str, others[:5]))}"
    before, now = csv.DictReader(old), csv.DictReader(new)
    apart = 0.0
    for line, (there, here) in enumerate(zip(before, now, strict=True), start=2):
        if any(there[name] != here[name] for name in ("name", "signer", "label")):
            return False, f"line {line} is of another photograph, signer or label"
        try:
            far = [abs(float(there[name]) - float(here[name])) for name in again.columns if name.startswith(PREFIX)]
        except (TypeError, ValueError):
            return False, f"line {line} has a cell that is no number"
        apart = max(apart, math.inf if any(map(math.isnan, far)) else max(far))
    return apart <= tolerance, f"{apart:.1g} apart at the most; between devices {tolerance:g} is allowed"


def _changed(old: Sequence[str], new: Sequence[str]) -> list[int]:
    """Returns the lines that are not the same, if they are few: then it is the same device, and they were changed."""
    others = [k for k, (a, b) in enumerate(zip(old, new, strict=True), start=1) if a != b]
    return others if 2 * len(others) < len(old) else []


def explain_again(run: RunFolder, splits: Sequence[Splits]) -> Iterator[Check]:
    """Yields whether the tables of `explained` that are here are what the run's networks see in the data.

    Between devices a photograph is near if it lies as near, but for the tolerance, as the nearest.
    """
    there = [name for name in TABLES if run.has(name)]
    homes = [fold_folder(k, split.fold) for k, split in enumerate(splits)]
    if not there or not all(run.has(f"{home}model.keras") for home in homes):
        yield from ((f"{name} made again", None, "a model.keras is not here") for name in there)
        return
    tolerance = run.resolved.machine.tolerance
    try:
        seen = list(seen_of(run, splits))
        again = explained(seen, seed=run.record.wishes.seed)
    except (DataError, RunError, ValueError) as error:
        yield (f"{', '.join(there)} made again", False, str(error).splitlines()[0])
        return
    for name in there:
        wanted = again.get(name, pd.DataFrame())
        if same := _text(run, name) == table_text(wanted):
            detail = "to the last bit"
        else:
            detail = f"between devices {tolerance:g} is allowed"
            with contextlib.suppress(LookupError, ValueError, TypeError, RunError):  # other rows, columns or cells
                same = _nearly(name, run.read_table(name), wanted, seen, tolerance)
        yield (f"{name} is what the model sees in the data", same, detail)


def _nearly(name: str, stored: pd.DataFrame, wanted: pd.DataFrame, seen: Sequence[Seen], tolerance: float) -> bool:
    """Returns whether a table of `explained` is another device's; any of many errors says that it is not."""
    keys = ["name", "label"] if name == "near.csv" else ["name"]
    if not stored[keys].equals(wanted[keys]):
        return False
    if name == "near.csv":
        every = pd.concat(map(distances, seen), ignore_index=True)
        far = stored.merge(every, "left", on=[*keys, "near"])["distance"]
        least = nearest(every)["distance"].reset_index(drop=True)
        return not stored.duplicated().any() and bool((far <= least * (1 + tolerance)).all())
    if name == "heat.csv":
        pairs = zip(stored["heat"], wanted["heat"], strict=True)
        apart = [np.subtract(*(np.array([*bytes.fromhex(text)], dtype=float) for text in pair)) for pair in pairs]
        return float(np.abs(np.concatenate(apart)).max()) <= 2550 * tolerance  # ten times as much, of 255
    if _changed(table_text(stored).splitlines(), table_text(wanted).splitlines()):
        return False
    shares = [column for column in wanted if column.startswith("same_")]  # one neighbour more or less is no lie
    apart = np.abs(stored[["x", "y"]] - wanted[["x", "y"]]).to_numpy().max(initial=0)
    return bool(max(apart, *np.abs(stored[shares].mean() - wanted[shares].mean())) <= 10 * tolerance)


def _bytes(run: RunFolder, name: str) -> bytes:
    return (run.path / name).read_bytes() if run.has(name) else b""


def _text(run: RunFolder, name: str) -> str:
    return _bytes(run, name).decode("utf-8", "replace")


def retrain(
    run: RunFolder, target: Path, source: Path, *, weights: Sequence[Path] = (), pattern: str | None = None
) -> Iterator[Check]:
    """Yields whether a second training, in the new folder `target`, comes to the same as the run.

    On the same kind of machine it is the same to the last bit. On another kind (device, processor or versions) splits
    are the same, accuracies lie close together, and histories are not compared.

    Raises:
        RunError: The run names weights of its own or a pattern that the caller has not named, or `target` is taken.
    """
    record = run.record
    if record.resolved is None:
        raise RunError(f"A run is trained again once it is trained; {run.path} is not. Train it first.")
    there, wishes = record.resolved, record.resolved_wishes()
    places = {**run.local.weights, **{path.name: str(path.resolve()) for path in weights}}
    for name in map(name_of, record.own_weights()):
        if not Path(places.get(name, "")).is_file():
            raise WeightsError(f"This run began with weights of its own; name the file: --weights {name}")
        if file_digest(Path(places[name])) != there.weights_sha256.get(name):
            raise WeightsError(f"{places[name]} is not the file that this run began with. Name another: --weights")
    known = {None, pattern, *(study.data.pattern for study in STUDIES.values())}
    if wishes.study.data.pattern not in known and not is_clean(source):
        raise RunError(
            f"This run read names by a pattern. Name it if you would use it: --pattern {wishes.study.data.pattern!r}"
        )
    wishes = replace(record, wishes=wishes).with_weights(lambda place: places[name_of(place)]).wishes
    again = RunFolder.begin(target, wishes, source)
    (again.path / ".cache").mkdir(exist_ok=True)  # pixels of its own: those beside it may be anybody's
    again = finish_run(again)
    here = again.resolved
    before, now = ({"device": one.machine.device, **one.environment} for one in (there, here))
    other = [f"{key} {before.get(key, 'unknown')} there, {now[key]} here" for key in now if before.get(key) != now[key]]
    histories = sorted(path.relative_to(run.path).as_posix() for path in run.path.rglob("history.csv"))
    accuracies = {score.predictions: score.accuracy for score in again.scores()}
    cleaned = [name for name in ("ledger.csv", "letters.zip") if run.has(name) and again.has(name)]
    for name in (*cleaned, "splits.csv", *histories):
        same = _bytes(again, name) == _bytes(run, name)
        excused = other and not same and name in histories
        yield (f"{name} comes out the same", None if excused else same, "; ".join(other) if excused else "")
    for score in run.scores():
        name = score.predictions
        if not run.has(name):
            continue
        if (same := _bytes(again, name) == _bytes(run, name)) or not other:
            yield (f"{name} comes out the same", same, "")
        else:
            was, came = score.accuracy, accuracies.get(name)
            apart = math.nan if was is None or came is None else abs(came - was)
            allowed = Machine.TOLERANCE_RETRAINED
            detail = f"accuracies {apart:.3f} apart; {allowed:g} is allowed: {'; '.join(other)}"
            yield (f"{name} comes out nearly the same", apart <= allowed, detail)
