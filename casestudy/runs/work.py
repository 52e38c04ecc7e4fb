"""What a run has to train, cut into parts that any process can do: files of the run folder in, files of it out."""

from __future__ import annotations

import logging
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from casestudy.choices import Protocol
from casestudy.cluster import run_tasks
from casestudy.data import ImageSet, Splits, distort, split_folds, split_images
from casestudy.errors import ClusterError, DataError
from casestudy.evaluation import evaluate, prediction_table
from casestudy.files import file_digest
from casestudy.runs.ahead import Job, expected, recipe
from casestudy.runs.folder import RunFolder
from casestudy.runs.save import save_training
from casestudy.runs.trained import DISTORTED, EVERYONE, TrainedModel, fold_folder
from casestudy.study import ModelSpec, Phase, Study

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

MOST_FOLDS = 40  # heads of one run, each of which takes a second or two
HEADS = -1  # stands for all heads, which share what the frozen base makes of the images
Part = tuple[int, int]  # the number of a training in `Work.trainings`, or HEADS, and of its fold


@dataclass(frozen=True)
class Work:
    """The trainings of a run, and what each is tested on."""

    run: RunFolder
    trainings: Sequence[Job]
    heads: Sequence[Job]
    harder: ImageSet | None = None  # the distorted test images; None where the study has none

    def parts(self) -> list[Part]:
        """Returns what is not done yet."""
        parts = [(k, fold) for k, (_, splits) in enumerate(self.trainings) for fold in range(len(splits))]
        heads = any(not self.run.has(model.predictions()) for model, _ in self.heads)
        return [part for part in parts if not self.run.has(self._table(*part))] + [(HEADS, 0)] * heads

    def do(self, part: Part) -> None:
        """Trains one part and writes its predictions, unless they are there."""
        number, fold = part
        if number == HEADS:
            train_heads(self.run, self.heads)
        elif not self.run.has(self._table(number, fold)):
            model, splits = self.trainings[number]
            train_model(self.run, model, splits[fold], fold, self.harder if model.role != "random" else None)

    def _table(self, number: int, fold: int) -> str:
        model, splits = self.trainings[number]
        return model.table_of(fold, splits[fold].fold)


def do_work(work: Work, cluster: str | None = None) -> None:
    """Does all that is not done yet, here or by the workers of a cluster, and joins the predictions of folds."""
    run = work.run
    do, parts = work.do, work.parts()
    if cluster is not None:  # the heads of all folds are one part, which may be the longest: it begins first
        do, parts = partial(_do, str(run.path.resolve()), file_digest(run.path / "run.json")), sorted(parts)
    with expected(run, work.trainings, work.heads):
        run_tasks(do, parts, cluster, run.path, noun="training", apart=[(HEADS, 0)])
    for model, splits in work.trainings:
        if splits[0].fold and not run.has(model.predictions()):
            tables = [run.read_table(model.table_of(k, split.fold)) for k, split in enumerate(splits)]
            run.write_table(model.predictions(), pd.concat(tables, ignore_index=True))


def _do(path: str, digest: str, part: Part) -> None:
    _work_in(path, digest).do(part)


@lru_cache(maxsize=1)
def _work_in(path: str, digest: str) -> Work:
    """Returns the work of the run folder at a path, with a run.json of that digest, as whoever began it has it."""
    run = RunFolder.resume(path)
    study, wishes = run.resolve(), run.record.wishes
    images, spec = run.study_images(study), replace(study.split, protocol=run.facts.protocol)
    return work_of(run, study, images, split_folds(images, spec, seed=wishes.seed))


def work_along(path: Path) -> None:
    """Takes every step of the chief's trainings with it, in a copy of its run folder: what is written there goes.

    A ClusterError says that the folder is not seen from here.
    """
    from casestudy.training import Devices

    devices = Devices.current()
    devices.meet()  # once the chief has prepared the folder
    if not (path / "splits.csv").is_file():
        raise ClusterError(
            f"Workers see the folder of the run; {platform.node()} does not see {path.resolve()}. Put it where all "
            f"find it under this path, with --out."
        )
    with TemporaryDirectory(prefix="casestudy-") as scratch:
        work = _work_in(str(path.resolve()), file_digest(path / "run.json"))
        own = Path(scratch) / "run"
        shutil.copytree(path, own, ignore=shutil.ignore_patterns("letters.zip", "*.keras", "*.png", "features-*", ".*"))
        devices.meet()  # the chief may change it now
        do_work(replace(work, run=replace(work.run, path=own)))


def work_of(run: RunFolder, study: Study, images: ImageSet, splits: Sequence[Splits]) -> Work:
    """Returns what a run has to train; writes the digest of the distorted test images to run.json, where it has any."""
    wishes, protocol = run.record.wishes, splits[0].protocol
    by_signer = protocol in ("signer", "leave-one-signer-out")
    others: tuple[Protocol, ...] = ("random", EVERYONE) if by_signer else ()
    parts = {name: _other_splits(run, images, name) for name in others} | {protocol: splits}
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
    return Work(run, trainings, heads, _distorted(run, study, images, splits))


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
    if run.facts.distorted_sha256 is None:
        run.write_record(replace(run.record, images=replace(run.facts, distorted_sha256=harder.digest)))
    return harder


def train_model(
    run: RunFolder, model: TrainedModel, split: Splits, fold: int = 0, harder: ImageSet | None = None
) -> None:
    """Trains a model on one split; writes the predictions of its test part, and of the distorted images `harder`."""
    from casestudy.training import remove_checkpoints

    spec, phases = recipe(run, model)
    if model.role == "variant":
        log.info("the variant %s", model.name)
    if model.seed is not None:
        log.info("once more, from the seed %d", model.seed)
    if split.fold:
        log.info("held out: %s", split.fold)
    home = model.home + fold_folder(fold, split.fold)
    seed = run.record.wishes.seed if model.seed is None else model.seed
    network = _train_phases(run, spec, phases, split, home, seed)
    if harder is not None:
        found = evaluate(network, harder, np.arange(len(harder)))
        run.write_table(model.predictions(DISTORTED), found.predictions)
    run.write_table(model.table_of(fold, split.fold), evaluate(network, split.images, split.test).predictions)
    remove_checkpoints(run.path / home)


def _train_phases(
    run: RunFolder, spec: ModelSpec, phases: Sequence[Phase], splits: Splits, home: str, seed: int
) -> keras.Model:
    """Returns the network after all phases; the last checkpoint of a killed training is where it goes on."""
    from casestudy.models import build_model, inference_model
    from casestudy.training import train

    precision = run.resolved.machine.precision
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
    with TemporaryDirectory(prefix="features-", dir=run.path) as scratch:
        for model, splits in heads:
            spec, (phase, *_) = recipe(run, model)
            log.info("the head alone on frozen features: %s", splits[0].protocol)
            tables = []
            for split in splits:
                # Without pretrained weights the base's statistics come from the split's own training images.
                if features is None or spec.weights is None:
                    features = None  # unmaps the file that is written again
                    features = frozen_features(spec, split, seed=seed, target=Path(scratch) / "features.npy")
                probabilities = train_head(features, split, phase, dropout=spec.dropout, seed=seed)
                tables.append(prediction_table(split.images, split.test, probabilities))
            run.write_table(model.predictions(), pd.concat(tables, ignore_index=True))
        features = None  # before its folder goes
