"""Archive in, run folder out: every step of a study, each written to the folder as soon as it is done.

A step whose file is there is not done again, so the same command goes on where a killed one stopped, and notebooks can
take one step each. What a run was asked for stands in its run.json; another wish needs another folder, and a finished
run is never overwritten.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import logging
import os
import platform
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from casestudy.cleaning import clean_archive
from casestudy.data import ImageSet, Splits, copies_across_parts, distort, split_folds, split_images
from casestudy.errors import DataError, RunError
from casestudy.files import atomic_path
from casestudy.models import StartingWeights, resolve_weights
from casestudy.runs.folder import RunFolder, as_json, begin, distorted, variant_folder
from casestudy.runs.images import read_images
from casestudy.runs.results import HEADLINE, OWN, Score, write_results
from casestudy.study import ModelSpec, SplitSpec, Study, Variant

if TYPE_CHECKING:
    from casestudy.training import Machine

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
    precision: str | None = None,
) -> RunFolder:
    """Returns the finished run folder at `out`: the archive cleaned, the model trained, evaluated and reported.

    The arguments are those of `start_run` and `continue_run`.
    """
    run = start_run(study, source, out, seed=seed, compare_splits=compare_splits, pattern=pattern, precision=precision)
    return continue_run(run, password=password)


def start_run(
    study: Study,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    seed: int,
    compare_splits: bool = False,
    pattern: str | None = None,
    precision: str | None = None,
) -> RunFolder:
    """Returns the run folder at `out`, which knows what to do and with what, and has done nothing yet.

    Args:
        study: What to do; see `studies.STUDIES`.
        source: An archive or folder of photographs, or a letters.zip that is already clean.
        out: The run folder; made where missing, opened where the same run was begun before.
        seed: Decides the split, the training and the bootstrap.
        compare_splits: Also train in full on a random split, not only phase 1's head.
        pattern: How labels and users stand in file names; see `clean_archive`. None takes the study's.
        precision: A Keras dtype policy; None takes what the machine is good for, see `training.machine`.

    Raises:
        DataError: There is nothing at `source`.
        RunError: `out` holds something else, or a run with other settings.
    """
    run = RunFolder(Path(out))
    pattern = pattern or study.data.pattern
    wishes = {"study": study.to_json(), "seed": seed, "compare_splits": compare_splits, "pattern": pattern}
    wishes["precision"] = precision
    begin(run, Path(source), wishes)
    return run


def continue_run(run: RunFolder, *, until: str | None = None, password: str | None = None) -> RunFolder:
    """Returns the run after its next steps; those done before are not done again.

    Args:
        run: What `start_run` returned, or `RunFolder.open` found.
        until: The last step to take: "clean", "split", or the name of a phase of training; None takes all of them:
            cleaning, splitting, every phase, evaluation, report.
        password: Of an encrypted archive; not written anywhere.

    Raises:
        DataError: `until` is none of these.
    """
    settings = run.settings
    study, seed = Study.from_json(settings["study"]), settings["seed"]
    steps = ("clean", "split", *(phase.name for phase in study.phases))
    if until not in (*steps, None):
        raise DataError(f"A run goes on until {', '.join(steps)} or, with None, to its end; received {until!r}.")
    if run.finished:
        log.info("%s is finished and stays as it is; another run needs another folder.", run.path)
        return run
    if study.data.kind == "archive":
        _clean(run, password)
    if until == "clean":
        return run

    from casestudy import training  # TensorFlow is needed from here on, and loaded only now
    from casestudy.runs.workshop import Recipe, Workshop

    machine = training.machine()
    begun = _starting_weights(run, study.model, study.model.image_size or machine.image_size)
    weights, sentence = begun.source, begun.sentence
    image_size = study.model.image_size or begun.image_size or machine.image_size
    precision = settings.get("precision") or machine.precision
    machine = dataclasses.replace(machine, image_size=image_size, precision=precision)
    images = read_images(run, study, image_size)
    protocol, splits, flattering = _split(run, study, images, seed)
    harder = None
    if study.distortion and not splits[0].fold:
        harder = distort(images, splits[0].test, **study.distortion)
    _settle(run, weights, sentence, protocol, images, machine, harder)
    if until == "split":
        return run

    workshop = Workshop(run, images, machine.precision, seed, harder)
    own = Recipe(dataclasses.replace(study.model, image_size=image_size), study.phases, weights)
    workshop.train(own, splits, HEADLINE, until=until)
    if until:
        return run
    whole = OWN if study.variants else "all phases"
    scores = [Score("headline", protocol, whole, HEADLINE)]
    if flattering and study.phases[0].trainable == "head":
        for name, parts in (("head", splits), ("head-random", flattering)):
            target = f"predictions_{name.replace('-', '_')}.csv"
            workshop.train_heads(own, parts, target)
            scores.append(Score(name, parts[0].protocol, "head only", target))
    if flattering and settings["compare_splits"]:
        workshop.train(own, flattering, "predictions_random.csv", folder="random/")
        scores.append(Score("random", "random", whole, "predictions_random.csv"))
    for variant in study.variants:
        log.info("the variant %s", variant.name)
        recipe = Recipe(variant.model, variant.phases, _variant_weights(run, variant, image_size))
        target = f"predictions_{variant.name}.csv"
        workshop.train(recipe, splits, target, folder=variant_folder(variant.name))
        scores.append(Score(variant.name, protocol, variant.name, target))
    scores += _harder_scores(run, scores)
    scores += _without_copies(run, splits, scores)
    write_results(run, scores)
    run.seal()
    return run


def _harder_scores(run: RunFolder, scores: list[Score]) -> list[Score]:
    """Returns the scores once more on the distorted test images, of the models that were tested on them."""
    return [
        Score(f"{score.name}-distorted", score.protocol, f"{score.training}, distorted", distorted(score.predictions))
        for score in scores
        if run.has(distorted(score.predictions))
    ]


def _without_copies(run: RunFolder, splits: list[Splits], scores: list[Score]) -> list[Score]:
    """Returns the scores once more without the test images that have a copy in training or validation, if any have.

    Only a published split leaves such images in its test part; which they are is written to copies.csv.
    """
    if splits[0].protocol != "published":
        return []
    if not run.has("copies.csv"):
        run.write_table("copies.csv", copies_across_parts(splits[0]))
    copies = run.read_table("copies.csv")
    if not len(copies):
        return []
    found = []
    for score in scores:
        target = score.predictions.replace("predictions", "predictions_unique")
        table = run.read_table(score.predictions)
        run.write_table(target, table[~table["name"].isin(copies["name"])].reset_index(drop=True))
        found.append(Score(f"{score.name}-unique", score.protocol, f"{score.training}, without copies", target))
    return found


def _clean(run: RunFolder, password: str | None) -> None:
    """Makes letters.zip in the run folder, unless the data are clean already, and takes the ledger out of it."""
    if run.has("ledger.csv") and _is_clean(run.letters):
        return
    settings = run.settings
    source, clean_zip = Path(settings["data"]["path"]), run.path / "letters.zip"
    if _is_clean(source):
        clean_zip = source
    elif not clean_zip.exists():
        log.info("cleaning %s", source.name)
        log.info("%s", clean_archive(source, clean_zip, password=password, pattern=settings["pattern"]).summary())
    with zipfile.ZipFile(clean_zip) as archive, atomic_path(run.path / "ledger.csv") as partial:
        partial.write_bytes(archive.read("ledger.csv"))


def _is_clean(source: Path) -> bool:
    if not (source.is_file() and zipfile.is_zipfile(source)):
        return False
    with zipfile.ZipFile(source) as archive:
        return "ledger.csv" in archive.namelist()


def _split(run: RunFolder, study: Study, images: ImageSet, seed: int) -> tuple[str, list[Splits], list[Splits]]:
    """Returns the protocol that the data allows, its splits, and the flattering random one to show beside them."""
    at_random = dataclasses.replace(study.split, protocol="random")
    protocol = study.split.protocol
    if images.signers is None and protocol == "signer":
        log.warning("this data does not say who is in each photograph: the split is random, and its score flatters")
        protocol = "random"
    spec = dataclasses.replace(study.split, protocol=protocol)
    splits = split_folds(images, spec, seed=seed)
    flattering = []
    if protocol not in ("random", "published"):
        try:
            flattering = [split_images(images, at_random, seed=seed)]
        except DataError as error:  # the honest score stands without the flattering one
            log.warning("no random split to compare with: %s", error)
    labels = np.array(images.class_names)[images.labels]
    signers = images.signers if images.signers is not None else [""] * len(images)
    table = pd.DataFrame({"name": images.names, "signer": signers, "label": labels})
    for split in splits:
        table[f"without {split.fold}" if split.fold else "part"] = split.part_of()
    if not run.has("splits.csv"):
        for split in splits:
            _tell(split, spec)
        run.write_table("splits.csv", table)
    return protocol, splits, flattering


def _tell(split: Splits, spec: SplitSpec) -> None:
    """Says what is remarkable about a split: labels that a part lacks, photographs in no part."""
    where = f"fold {split.fold}: " if split.fold else ""
    for part, lacking in split.missing().items():
        log.warning("%s%s has no photograph of %s", where, part, " ".join(lacking))
    if len(split.left_out):
        log.info("%s%d photographs left out: %s", where, len(split.left_out), spec.why_left_out())


def _starting_weights(run: RunFolder, spec: ModelSpec, image_size: tuple[int, int]) -> StartingWeights:
    """Returns the weights to start from; a run that goes on keeps what it began with."""
    before = run.settings
    if "initial_weights" in before:
        return StartingWeights(before["initial_weights"], before["weights"], tuple(before["machine"]["image_size"]))
    begun = resolve_weights(spec, image_size)
    log.info("weights: %s", begun.sentence)
    return begun


def _variant_weights(run: RunFolder, variant: Variant, image_size: tuple[int, int]) -> str | None:
    """Returns the weights that a variant starts from; what was decided once stands in run.json, and stays."""
    known = run.settings.get("variant_weights", {})
    if variant.name not in known:
        begun = resolve_weights(variant.model, image_size)
        known[variant.name] = (begun.source, begun.sentence)
        run.write_json("run.json", {**run.settings, "variant_weights": known})
    weights, sentence = known[variant.name]
    log.info("weights: %s", sentence)
    return weights


def _settle(
    run: RunFolder,
    weights: str | None,
    sentence: str,
    protocol: str,
    images: ImageSet,
    machine: Machine,
    harder: ImageSet | None,
) -> None:
    """Writes what was decided here into run.json."""
    settled = {
        "weights": sentence,
        "initial_weights": weights,
        "protocol": protocol,
        "cropped": images.cropped,
        "class_names": list(images.class_names),
        "machine": as_json(dataclasses.asdict(machine)),
        "environment": environment(),
        **({"distorted_sha256": harder.digest} if harder else {}),
    }
    before = run.settings
    if before.get("machine", settled["machine"]) != settled["machine"]:
        raise RunError(
            f"A run ends on the machine it began on ({before['machine']}); found {settled['machine']}. "
            f"Start a new one with --out, or go on where it began."
        )
    run.write_json("run.json", {**before, **settled})


def environment() -> dict[str, str]:
    """Returns the versions that a result depends on."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
