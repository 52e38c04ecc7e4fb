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
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from casestudy import plots
from casestudy.dataset import ImageSet, load_images
from casestudy.errors import DataError, RunError
from casestudy.evaluation import Evaluation, evaluate_predictions, reliability
from casestudy.regroup import clean_archive
from casestudy.runs import RunFolder, file_sha256, table_text
from casestudy.splits import Splits, leave_one_signer_out, split_images
from casestudy.study import Phase, Study
from casestudy.weights import resolve_weights

log = logging.getLogger(__name__)

HEADLINE = "predictions.csv"
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
    source = Path(source)
    run = RunFolder(Path(out))
    wishes = {"study": study.to_json(), "seed": seed, "compare_splits": compare_splits, "pattern": pattern}
    _open_or_start(run, source, wishes)
    if run.finished:
        log.info("%s is finished and stays as it is. For another run, name another folder with --out.", run.path)
        return run
    clean_zip = _clean(run, source, password, pattern)
    from casestudy.training import machine, train  # TensorFlow is first needed here

    here = machine()
    spec = study.model
    if spec.image_size is None:
        spec = dataclasses.replace(spec, image_size=here.image_size)
    images = load_images(
        clean_zip,
        image_size=spec.image_size,
        cache_dir=run.path.parent / ".cache",
        crop=study.crop,
        margin=study.crop_margin,
    )
    study, splits, flattering = _split(run, study, images, seed)
    weights, sentence = resolve_weights(spec.name, spec.weights, spec.image_size)
    log.info("weights: %s", sentence)
    settings = {
        **run.settings,
        "weights": sentence,
        "image_size": list(spec.image_size),
        "protocol": study.split.protocol,
        "class_names": list(images.class_names),
        "machine": dataclasses.asdict(here),
        "environment": environment(),
    }
    if run.settings.get("weights", sentence) != sentence:
        raise RunError(
            f"A run goes on with the weights it began with ({run.settings['weights']}); now found: {sentence}. "
            f"Start another with --out, or name them with --weights."
        )
    run.write_json("run.json", settings)
    scores = [Score("headline", study.split.protocol, "all phases", HEADLINE)]

    def trained(parts: list[Splits], folder: str, predictions: str) -> None:
        from casestudy.evaluation import predict

        tables = []
        for split in parts:
            home = f"{folder}folds/{split.fold}/" if split.fold else folder
            if not run.has(f"{home}predictions.csv" if split.fold else predictions):
                if split.fold:
                    log.info("fold with %s held out", split.fold)
                result = train(
                    spec,
                    split,
                    phases=study.phases,
                    weights=weights,
                    seed=seed,
                    folder=run.path / home / "checkpoints",
                    precision=here.precision,
                )
                _write_training(run, home, result)
                table = predict(result.model, images, split.test)
                run.write_table(f"{home}predictions.csv" if split.fold else predictions, table)
                _remove_checkpoints(run.path / home / "checkpoints")
            if split.fold:
                tables.append(run.read_table(f"{home}predictions.csv"))
        if tables and not run.has(predictions):
            run.write_table(predictions, pd.concat(tables, ignore_index=True))

    trained(splits, "", HEADLINE)
    head_scores = _compare_heads(run, study, spec, images, splits, flattering, weights, seed)
    if compare_splits and flattering:
        trained(flattering, "random/", "predictions_random.csv")
        scores.append(Score("random", "random", "all phases", "predictions_random.csv"))
    write_results(run, scores + head_scores)
    from casestudy.report import write_report

    write_report(run)
    run.seal()
    return run


def _open_or_start(run: RunFolder, source: Path, wishes: dict[str, Any]) -> None:
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"A run is a folder; {run.path} is a file. Name another place with --out.")
    if not run.has("run.json"):
        if run.path.is_dir() and any(run.path.iterdir()):
            raise RunError(
                f"A run starts in a new or empty folder; {run.path} holds other files. Name another with --out."
            )
        if not source.exists():
            raise DataError(f"--data names an archive, a folder or a letters.zip; there is nothing at {source}.")
        digest = file_sha256(source) if source.is_file() else ""
        started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        data = {"name": source.name, "path": str(source.resolve()), "sha256": digest}
        run.write_json("run.json", {**wishes, "data": data, "started": started})
        return
    settings = RunFolder.open(run.path).settings
    other = [key for key, value in wishes.items() if settings[key] != _as_json(value)]
    if source.is_file() and settings["data"]["sha256"] != file_sha256(source):
        other.append("data")
    if other:
        raise RunError(
            f"{run.path} holds a run with other settings ({', '.join(other)}), and a run is never overwritten. "
            f"Name another folder with --out."
        )


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def _clean(run: RunFolder, source: Path, password: str | None, pattern: str | None) -> Path:
    given = source.is_file() and zipfile.is_zipfile(source)
    if given:
        with zipfile.ZipFile(source) as archive:
            given = "ledger.csv" in archive.namelist()
    clean_zip = source if given else run.path / "letters.zip"
    if not clean_zip.exists():
        log.info("cleaning %s", source.name)
        ledger = clean_archive(source, clean_zip, password=password, pattern=pattern)
        log.info("%s", ledger.summary())
    if not run.has("ledger.csv"):
        with zipfile.ZipFile(clean_zip) as archive:
            (run.path / "ledger.csv").write_bytes(archive.read("ledger.csv"))
    return clean_zip


def _split(run: RunFolder, study: Study, images: ImageSet, seed: int) -> tuple[Study, list[Splits], list[Splits]]:
    """Returns the study with the protocol that the data allows, its splits, and the flattering one beside them."""
    random_spec = dataclasses.replace(study.split, protocol="random")
    if images.signers is None and study.split.protocol == "signer":
        log.warning("This data does not say who is in each photograph, so the split is random and its score flatters.")
        study = dataclasses.replace(study, split=random_spec)
    protocol = study.split.protocol
    if protocol == "leave-one-signer-out":
        splits = leave_one_signer_out(images)
    else:
        splits = [split_images(images, study.split, seed=seed)]
    flattering = [] if protocol == "random" else [split_images(images, random_spec, seed=seed)]
    signers = images.signers if images.signers is not None else [""] * len(images)
    labels = np.array(images.class_names)[images.labels]
    table = pd.DataFrame({"name": images.names, "signer": signers, "label": labels})
    for split in splits:
        table[split.fold or "part"] = split.part_of()
        for part, lacking in split.missing().items():
            where = f"{part} of the fold {split.fold}" if split.fold else part
            log.warning("%s has no photograph of %s", where, " ".join(lacking))
        if len(split.left_out):
            log.info("%d photographs left out of training: a duplicate of each is in another part", len(split.left_out))
    if not run.has("splits.csv"):
        run.write_table("splits.csv", table)
    return study, splits, flattering


def _write_training(run: RunFolder, home: str, result: Any) -> None:
    from casestudy.files import atomic_path

    run.write_table(f"{home}history.csv", result.history)
    run.write_json(
        f"{home}training.json",
        {
            "seconds": result.seconds,
            "images_per_second": result.images_per_second,
            "batch_norm_change": result.batch_norm_change,
            "parameters": int(result.model.count_params()),
        },
    )
    with atomic_path(run.path / home / "model.keras") as partial:
        saved = partial.with_name(partial.name + ".keras")  # Keras insists on its own ending
        result.model.save(saved)
        saved.replace(partial)


def _remove_checkpoints(folder: Path) -> None:
    for path in folder.glob("*"):
        path.unlink()
    folder.rmdir()


def _compare_heads(
    run: RunFolder,
    study: Study,
    spec: Any,
    images: ImageSet,
    splits: list[Splits],
    flattering: list[Splits],
    weights: str | None,
    seed: int,
) -> list[Score]:
    """Writes what phase 1's head alone scores under both protocols, on the same frozen features."""
    if not flattering:
        return []
    scores = [
        Score("head", study.split.protocol, "head only", "predictions_head.csv"),
        Score("head-random", "random", "head only", "predictions_head_random.csv"),
    ]
    if not all(run.has(score.predictions) for score in scores):
        from casestudy.evaluation import prediction_table
        from casestudy.training import frozen_features, train_head

        log.info("the same head under both protocols, on frozen features")
        started = time.perf_counter()
        features = frozen_features(spec, images, splits[0].train, weights=weights, seed=seed)
        for score, parts in zip(scores, (splits, flattering), strict=True):
            phase: Phase = study.phases[0]
            tables = [
                prediction_table(
                    images, split.test, train_head(features, split, phase, dropout=spec.dropout, seed=seed)
                )
                for split in parts
            ]
            run.write_table(score.predictions, pd.concat(tables, ignore_index=True))
        log.info("took %.0f s", time.perf_counter() - started)
    return scores


def environment() -> dict[str, str]:
    """Returns the versions that a result depends on."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
