"""Archive in, run folder out: every step of a study, each written to the folder as soon as it is done.

A step whose file is there is not done again, so the same command goes on where a killed one stopped. What a run was
asked for stands in its run.json; another wish needs another folder, and a finished run is never overwritten.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import logging
import os
import platform
import re
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from casestudy.dataset import ImageSet, load_images
from casestudy.errors import DataError, RunError, WeightsError
from casestudy.evaluation import none_if_nan, predict, prediction_table
from casestudy.files import atomic_path, file_digest
from casestudy.regroup import clean_archive
from casestudy.report import write_report
from casestudy.results import HEADLINE, Score, write_results
from casestudy.runs import RunFolder
from casestudy.splits import Splits, leave_one_signer_out, split_images
from casestudy.study import ModelSpec, Study
from casestudy.weights import SIGNS_SIZE, resolve_weights, without_imagenet

if TYPE_CHECKING:
    from casestudy.training import Machine, TrainingRun

log = logging.getLogger(__name__)

PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "pillow", "simplejpeg", "rarfile")


def run_study(
    study: Study,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    seed: int,
    compare_splits: bool = False,
    password: str | None = None,
    pattern: str | None = None,
) -> RunFolder:
    """Returns the finished run folder at `out`: the archive cleaned, the model trained, evaluated and reported.

    Args:
        study: What to do; see `studies.STUDIES`.
        source: An archive or folder of photographs, or a letters.zip that is already clean.
        out: The run folder; made where missing, gone on with where unfinished, left alone where finished.
        seed: Decides the split, the training and the bootstrap.
        compare_splits: Also train in full on a random split, not only phase 1's head.
        password: Of an encrypted archive; not written anywhere.
        pattern: How labels and users stand in file names; see `clean_archive`.

    Raises:
        RunError: `out` holds something else, or a run with other settings.
    """
    source, run = Path(source), RunFolder(Path(out))
    wishes = {"study": study.to_json(), "seed": seed, "compare_splits": compare_splits, "pattern": pattern}
    _open_or_start(run, source, wishes)
    if run.finished:
        log.info("%s is finished and stays as it is. For another run, name another folder with --out.", run.path)
        return run
    clean_zip = _clean(run, source, password, pattern)

    from casestudy import training  # TensorFlow is needed from here on, and loaded only now

    machine = training.machine()
    weights, sentence = _initial_weights(run, study.model, study.model.image_size or machine.image_size)
    log.info("weights: %s", sentence)
    image_size = study.model.image_size or (SIGNS_SIZE if weights == "signs" else machine.image_size)
    spec = dataclasses.replace(study.model, image_size=image_size)
    machine = dataclasses.replace(machine, image_size=image_size)
    images = load_images(
        clean_zip,
        image_size=image_size,
        cache_dir=run.path.parent / ".cache",
        crop=study.crop,
        margin=study.crop_margin,
    )
    protocol, splits, flattering = _split(run, study, images, seed)
    _settle(run, weights, sentence, protocol, images, machine)

    def train(parts: list[Splits], folder: str, target: str) -> None:
        homes = [folder + fold_folder(k, split.fold) for k, split in enumerate(parts)]
        for home, split in zip(homes, parts, strict=True):
            predictions = f"{home}predictions.csv" if split.fold else target
            if run.has(predictions):
                continue
            if split.fold:
                log.info("held out: %s", split.fold)
            checkpoints = run.path / home / "checkpoints"
            result = training.train(
                spec,
                split,
                phases=study.phases,
                weights=weights,
                seed=seed,
                folder=checkpoints,
                precision=machine.precision,
            )
            _write_training(run, home, result)
            run.write_table(predictions, predict(result.model, images, split.test))
            training.remove_checkpoints(checkpoints)
        if parts[0].fold and not run.has(target):
            tables = [run.read_table(f"{home}predictions.csv") for home in homes]
            run.write_table(target, pd.concat(tables, ignore_index=True))

    def train_heads(parts: list[Splits], target: str) -> None:
        features, tables = None, []
        for split in parts:
            # Without pretrained weights the base's statistics come from the split's own training images.
            if features is None or weights is None:
                with TemporaryDirectory(prefix="features-", dir=run.path) as scratch:
                    stored = Path(scratch) / "features.npy"
                    features = np.array(
                        training.frozen_features(spec, split, weights=weights, seed=seed, target=stored)
                    )
            probabilities = training.train_head(features, split, study.phases[0], dropout=spec.dropout, seed=seed)
            tables.append(prediction_table(images, split.test, probabilities))
        run.write_table(target, pd.concat(tables, ignore_index=True))

    scores = [Score("headline", protocol, "all phases", HEADLINE)]
    train(splits, "", HEADLINE)
    if flattering:
        both = {
            Score("head", protocol, "head only", "predictions_head.csv"): splits,
            Score("head-random", "random", "head only", "predictions_head_random.csv"): flattering,
        }
        for score, parts in both.items():
            if not run.has(score.predictions):
                log.info("the head alone on frozen features: %s", score.protocol)
                train_heads(parts, score.predictions)
        scores += both
        if compare_splits:
            train(flattering, "random/", "predictions_random.csv")
            scores.append(Score("random", "random", "all phases", "predictions_random.csv"))
    write_results(run, scores)
    write_report(run)
    run.seal()
    return run


def fold_folder(index: int, fold: str) -> str:
    """Returns where a fold's results lie in the run folder; "" for a split that has no folds.

    >>> fold_folder(0, "user: Zoë/1"), fold_folder(0, "")
    ('folds/01-user_Zoë_1/', '')
    """
    plain = re.sub(r"[^\w-]+", "_", fold)
    return f"folds/{index + 1:02d}-{plain}/" if fold else ""


def _open_or_start(run: RunFolder, source: Path, wishes: dict[str, Any]) -> None:
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"A run is a folder; {run.path} is a file. Name another place with --out.")
    made = {path.name for path in run.path.iterdir()} - {"run.json"} if run.path.is_dir() else set()
    if run.has("run.json"):
        settings = RunFolder.open(run.path).settings
        other = _differences({key: settings[key] for key in wishes}, _as_json(wishes))
        if source.is_file() and settings["data"]["sha256"] != file_digest(source):
            other.append("data")
        if source.is_dir() and settings["data"]["path"] != str(source.resolve()):
            other.append("data")
        if not other:
            return
        if made:  # before that, another start does no harm
            raise RunError(
                f"A run is never overwritten; {run.path} holds one that differs in {', '.join(other)}. "
                f"Name another folder with --out."
            )
    if made:
        raise RunError(f"A run starts in a new or empty folder; {run.path} holds other files. Name another with --out.")
    if not source.exists():
        raise DataError(f"--data names an archive, a folder or a letters.zip; there is nothing at {source}.")
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    digest = file_digest(source) if source.is_file() else ""
    data = {"name": source.name, "path": str(source.resolve()), "sha256": digest}
    run.write_json("run.json", {**wishes, "data": data, "started": started})


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def _differences(before: Any, now: Any, name: str = "") -> list[str]:
    """Returns the dotted names of the settings that differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [found for key in keys for found in _differences(before.get(key), now.get(key), f"{name}.{key}")]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [found for k, (old, new) in pairs for found in _differences(old, new, f"{name}[{k}]")]
    return [] if before == now else [name.removeprefix(".")]


def _clean(run: RunFolder, source: Path, password: str | None, pattern: str | None) -> Path:
    """Returns where the clean data set is: the source itself, or the letters.zip made from it in the run folder."""
    is_clean = False
    if source.is_file() and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            is_clean = "ledger.csv" in archive.namelist()
    clean_zip = source if is_clean else run.path / "letters.zip"
    if not clean_zip.exists():
        log.info("cleaning %s", source.name)
        log.info("%s", clean_archive(source, clean_zip, password=password, pattern=pattern).summary())
    if not run.has("ledger.csv"):
        with zipfile.ZipFile(clean_zip) as archive, atomic_path(run.path / "ledger.csv") as partial:
            partial.write_bytes(archive.read("ledger.csv"))
    return clean_zip


def _split(run: RunFolder, study: Study, images: ImageSet, seed: int) -> tuple[str, list[Splits], list[Splits]]:
    """Returns the protocol that the data allows, its splits, and the flattering random one to show beside them."""
    at_random = dataclasses.replace(study.split, protocol="random")
    protocol = study.split.protocol
    if images.signers is None and protocol == "signer":
        log.warning("this data does not say who is in each photograph: the split is random, and its score flatters")
        protocol = "random"
    if protocol == "leave-one-signer-out":
        splits = leave_one_signer_out(images)
    else:
        splits = [split_images(images, dataclasses.replace(study.split, protocol=protocol), seed=seed)]
    flattering = []
    if protocol != "random":
        try:
            flattering = [split_images(images, at_random, seed=seed)]
        except DataError as error:  # the honest score stands without the flattering one
            log.warning("no random split to compare with: %s", error)
    labels = np.array(images.class_names)[images.labels]
    signers = images.signers if images.signers is not None else [""] * len(images)
    table = pd.DataFrame({"name": images.names, "signer": signers, "label": labels})
    for split in splits:
        table[f"without {split.fold}" if split.fold else "part"] = split.part_of()
        where = f"fold {split.fold}: " if split.fold else ""
        for part, lacking in split.missing().items():
            log.warning("%s%s has no photograph of %s", where, part, " ".join(lacking))
        if len(split.left_out):
            reason = "a duplicate of each is in another part, or its signer is not known"
            log.info("%s%d photographs left out: %s", where, len(split.left_out), reason)
    run.write_table("splits.csv", table)
    return protocol, splits, flattering


def _initial_weights(run: RunFolder, spec: ModelSpec, image_size: tuple[int, int]) -> tuple[str | None, str]:
    """Returns the weights to start from and the sentence about them; a run that goes on keeps what it began with."""
    before = run.settings
    if "initial_weights" in before:
        return before["initial_weights"], before["weights"]
    weights, sentence = resolve_weights(spec.name, spec.weights, image_size)
    if spec.weights == "auto" and weights == "imagenet":
        from casestudy.models import MODELS

        try:  # downloads what is not there yet, while there still is a choice
            MODELS[spec.name](input_shape=(*image_size, 3), weights=weights, **spec.options)
        except WeightsError as error:
            log.warning("%s", error)
            return without_imagenet(spec.name, "ImageNet's could not be loaded")
    return weights, sentence


def _settle(
    run: RunFolder, weights: str | None, sentence: str, protocol: str, images: ImageSet, machine: Machine
) -> None:
    """Writes what was decided here into run.json."""
    settled = {
        "weights": sentence,
        "initial_weights": weights,
        "protocol": protocol,
        "cropped": images.cropped,
        "class_names": list(images.class_names),
        "machine": _as_json(dataclasses.asdict(machine)),
        "environment": environment(),
    }
    before = run.settings
    if before.get("machine", settled["machine"]) != settled["machine"]:
        raise RunError(
            f"A run ends on the machine it began on ({before['machine']}); found {settled['machine']}. "
            f"Start a new one with --out, or go on where it began."
        )
    run.write_json("run.json", {**before, **settled})


def _write_training(run: RunFolder, home: str, result: TrainingRun) -> None:
    run.write_table(f"{home}history.csv", result.history)
    run.write_json(
        f"{home}training.json",
        {
            "seconds": result.seconds,
            "images_per_second": result.images_per_second,
            "batch_norm_change": none_if_nan(result.batch_norm_change),
            "parameters": result.model.count_params(),
        },
    )
    with atomic_path(run.path / home / "model.keras") as partial:
        result.model.save(partial)


def environment() -> dict[str, str]:
    """Returns the versions that a result depends on."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
