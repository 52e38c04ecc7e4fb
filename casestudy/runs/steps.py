"""Archive in, run folder out: the verbs of a study, each written to the folder as soon as it is done.

A step whose file is there is not done again, so the same call goes on where a killed one stopped. Another wish needs
another folder, and a finished run is never overwritten.
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from casestudy.choices import Protocol
from casestudy.cleaning import clean_archive
from casestudy.data import ImageSet, Splits, distort, split_folds, split_images
from casestudy.errors import DataError
from casestudy.evaluation import evaluate, prediction_table
from casestudy.runs.ahead import Job, expected, recipe
from casestudy.runs.folder import RunFolder
from casestudy.runs.plan import plan
from casestudy.runs.record import Wishes
from casestudy.runs.results import write_results
from casestudy.runs.save import save_ledger, save_splits, save_training
from casestudy.runs.trained import DISTORTED, EVERYONE, PREDICTIONS, TESTS, TrainedModel, fold_folder
from casestudy.study import ModelSpec, Phase, Study

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

MOST_FOLDS = 40  # heads of one run, each of which takes a second or two


def run_study(
    wishes: Wishes, source: str | os.PathLike[str], out: str | os.PathLike[str], *, password: str | None = None
) -> RunFolder:
    """Returns the finished run folder at `out`: the archive cleaned, the models trained and evaluated.

    Args:
        wishes: What to do.
        source: An archive or folder of photographs, or a letters.zip that is already clean.
        out: The run folder; made where missing, opened where the same run was begun before.
        password: Of an encrypted archive; not written anywhere.

    Raises:
        DataError: There is nothing at `source`, or it cannot be used.
        RunError: `out` holds something else, or a run with other wishes.
    """
    return finish_run(RunFolder.begin(Path(out), wishes, Path(source)), password=password)


def finish_run(run: RunFolder, *, password: str | None = None) -> RunFolder:
    """Returns the run after all steps that were not done yet."""
    if run.finished:
        log.info("%s is finished and stays as it is; another run needs another folder.", run.path)
        return run
    wishes = run.record.wishes
    study, images, splits = prepare_run(run, password=password)
    protocol = splits[0].protocol
    by_signer = protocol in ("signer", "leave-one-signer-out")
    others: tuple[Protocol, ...] = ("random", EVERYONE) if by_signer else ()
    parts = {name: _other_splits(run, images, name) for name in others} | {protocol: splits}
    harder = _distorted(run, study, images, splits)
    compared = wishes.compare_splits or study.compare_splits
    trainings: list[Job] = []
    heads: list[Job] = []
    for model in run.models():
        if model.role == "head":
            alone = study.phases[0].trainable == "head" and study.model.hidden is None  # one layer on cached features
            if by_signer and parts[model.protocol] and alone:
                heads.append((model, parts[model.protocol]))
        elif model.role != "random" or (by_signer and parts["random"] and compared):
            trainings.append((model, _own_splits(study, model, parts[model.protocol], seed=wishes.seed)))
    with expected(run, trainings, heads):
        for model, its_splits in trainings:
            train_model(run, model, its_splits, harder if model.role != "random" else None)
        train_heads(run, heads)
    _write_without_copies(run, splits)
    write_results(run)
    run.seal()
    return run


def prepare_run(run: RunFolder, *, password: str | None = None) -> tuple[Study, ImageSet, list[Splits]]:
    """Returns the run's study with nothing left open, its images, and its splits: one, or one a fold.

    Cleans the archive first, and says what is remarkable. What was done before takes no time. Where the data does not
    say who is in a photograph, a split by signer becomes a random one.
    """
    wishes = run.record.wishes
    if wishes.study.data.kind == "archive":
        clean_run(run, password=password)
    study = run.resolve()
    images, spec = run.study_images(study), study.split
    if images.signers is None and spec.protocol == "signer":
        log.warning("this data does not say who is in each photograph: the split is random, and its score flatters")
        spec = replace(spec, protocol="random")
    splits = split_folds(images, spec, seed=wishes.seed)
    save_splits(run, splits, spec)
    for line in plan(splits):
        log.info("%s", line)
    return study, images, splits


def clean_run(run: RunFolder, *, password: str | None = None) -> None:
    """Makes letters.zip in the run folder, unless the data are clean already, and takes the ledger out of it."""
    if run.has("ledger.csv") and is_clean(run.letters):
        return
    record = run.record
    source, clean_zip = run.source, run.path / "letters.zip"
    if is_clean(source):
        clean_zip = source
    elif not clean_zip.exists():
        log.info("cleaning %s", source.name)
        data = record.wishes.study.data
        ledger = clean_archive(source, clean_zip, password=password, pattern=data.pattern, layout=data.layout)
        log.info("%s", ledger.summary())
    save_ledger(run, clean_zip)


def is_clean(source: Path) -> bool:
    """Returns whether data are a letters.zip already."""
    if not (source.is_file() and zipfile.is_zipfile(source)):
        return False
    with zipfile.ZipFile(source) as archive:
        return "ledger.csv" in archive.namelist()


def _other_splits(run: RunFolder, images: ImageSet, protocol: Protocol) -> list[Splits]:
    """Returns the splits of another protocol to show beside the honest score; none where the images allow none.

    For everyone left out once there are none either where a base of random numbers would need features of its own for
    each, or where the signers are many: the test part then has enough of them.
    """
    wishes = run.record.wishes
    many = images.signers is None or len(np.unique(images.signers)) > MOST_FOLDS
    if protocol == EVERYONE and (many or run.resolved.initial_weights is None):
        return []
    try:
        return split_folds(images, replace(wishes.study.split, protocol=protocol), seed=wishes.seed)
    except DataError as error:  # the honest score stands without the other
        log.warning("no %s split to compare with: %s", protocol, error)
        return []


def _own_splits(study: Study, model: TrainedModel, splits: Sequence[Splits], *, seed: int) -> Sequence[Splits]:
    """Returns the splits that a model is trained on: a variant's own where it has one, with the same test part."""
    variant = next((one for one in study.variants if model.role == "variant" and one.name == model.id), None)
    if variant is None or variant.split is None or splits[0].protocol != "published":
        return splits
    return [split_images(splits[0].images, replace(variant.split, fraction=study.split.fraction), seed=seed)]


def _distorted(run: RunFolder, study: Study, images: ImageSet, splits: Sequence[Splits]) -> ImageSet | None:
    """Returns the test images, distorted, and writes their digest to run.json; None where the study has none."""
    if not study.distortion or splits[0].fold:
        return None
    harder = distort(images, splits[0].test, **study.distortion)
    run.write_record(replace(run.record, images=replace(run.facts, distorted_sha256=harder.digest)))
    return harder


def train_model(run: RunFolder, model: TrainedModel, splits: Sequence[Splits], harder: ImageSet | None = None) -> None:
    """Trains a model on each split; writes the predictions of all test parts, and of the distorted images `harder`."""
    from casestudy.training import remove_checkpoints

    spec, phases = recipe(run, model)
    if model.role == "variant":
        log.info("the variant %s", model.name)
    homes = [model.home + fold_folder(k, split.fold) for k, split in enumerate(splits)]
    for home, split in zip(homes, splits, strict=True):
        target = home + PREDICTIONS if split.fold else model.predictions()
        if run.has(target):
            continue
        if split.fold:
            log.info("held out: %s", split.fold)
        network = _train_phases(run, spec, phases, split, home)
        if harder is not None:
            found = evaluate(network, harder, np.arange(len(harder)))
            run.write_table(model.predictions(DISTORTED), found.predictions)
        run.write_table(target, evaluate(network, split.images, split.test).predictions)
        remove_checkpoints(run.path / home)
    if splits[0].fold and not run.has(model.predictions()):
        tables = [run.read_table(home + PREDICTIONS) for home in homes]
        run.write_table(model.predictions(), pd.concat(tables, ignore_index=True))


def _train_phases(run: RunFolder, spec: ModelSpec, phases: Sequence[Phase], splits: Splits, home: str) -> keras.Model:
    """Returns the network after all phases; the last checkpoint of a killed training is where it goes on."""
    from casestudy.models import build_model, inference_model
    from casestudy.training import train

    seed, precision = run.record.wishes.seed, run.resolved.machine.precision
    model = build_model(spec, splits.images, seed=seed, precision=precision)
    for phase in phases:
        history = train(model, splits, phase, seed=seed, checkpoints=run.path / home)
    network = inference_model(model)
    save_training(run, history, network, splits, home=home)
    return network


def train_heads(run: RunFolder, heads: Sequence[Job]) -> None:
    """Trains the first phase's head on frozen features, for each model on its splits, and writes all predictions."""
    heads = [(model, splits) for model, splits in heads if not run.has(model.predictions())]
    if not heads:
        return
    from casestudy.training import frozen_features, train_head

    seed, features = run.record.wishes.seed, None
    for model, splits in heads:
        spec, (phase, *_) = recipe(run, model)
        log.info("the head alone on frozen features: %s", splits[0].protocol)
        tables = []
        for split in splits:
            # Without pretrained weights the base's statistics come from the split's own training images.
            if features is None or spec.weights is None:
                with TemporaryDirectory(prefix="features-", dir=run.path) as scratch:
                    features = np.array(frozen_features(spec, split, seed=seed, target=Path(scratch) / "features.npy"))
            probabilities = train_head(features, split, phase, dropout=spec.dropout, seed=seed)
            tables.append(prediction_table(split.images, split.test, probabilities))
        run.write_table(model.predictions(), pd.concat(tables, ignore_index=True))


def _write_without_copies(run: RunFolder, splits: Sequence[Splits]) -> None:
    """Writes all predictions once more without the test images that have a copy in training or validation.

    Only a published split leaves such images in its test part; which they are is written to copies.csv.
    """
    if splits[0].protocol != "published":
        return
    if not run.has("copies.csv"):
        run.write_table("copies.csv", splits[0].copies())
    copies = run.read_table("copies.csv")
    if not len(copies):
        return
    for model in run.models():
        for test in TESTS:
            if not test.unique and run.has(model.predictions(test)):
                table = run.read_table(model.predictions(test))
                rest = table[~table["name"].isin(copies["name"])].reset_index(drop=True)
                run.write_table(model.predictions(replace(test, unique=True)), rest)
