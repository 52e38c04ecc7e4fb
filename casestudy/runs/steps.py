"""Archive in, run folder out: the verbs of a study, each written to the folder as soon as it is done.

A step whose file is there is not done again, so the same call goes on where a killed one stopped. Another wish needs
another folder, and a finished run is never overwritten.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from casestudy.cleaning import clean_archive
from casestudy.cluster import check_cluster
from casestudy.data import ImageSet, Splits, split_folds
from casestudy.errors import RunError
from casestudy.files import zip_names
from casestudy.runs.budget import keep_within_budget
from casestudy.runs.explained import explain_run
from casestudy.runs.folder import RunFolder
from casestudy.runs.owner import owned
from casestudy.runs.plan import plan
from casestudy.runs.record import Wishes
from casestudy.runs.results import write_results
from casestudy.runs.save import save_ledger, save_splits
from casestudy.runs.trained import TESTS
from casestudy.runs.work import do_work, work_along, work_of
from casestudy.study import Study

if TYPE_CHECKING:
    from casestudy.training import Devices

log = logging.getLogger(__name__)


def run_study(
    wishes: Wishes,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    password: str | None = None,
    cluster: str | None = None,
    devices: Devices | None = None,
) -> RunFolder:
    """Returns the finished run folder at `out`: the archive cleaned, the models trained and evaluated.

    Args:
        wishes: What to do.
        source: An archive or folder of photographs, or a letters.zip that is already clean.
        out: The run folder; made where missing, opened where the same run was begun before.
        password: Of an encrypted archive; not written anywhere.
        cluster: Whose workers train, a model or a fold each; see `cluster.run_tasks`. None trains here.
        devices: That share each training, inside their `with`. A worker that is not their chief takes the chief's steps
            with it, and writes nothing to `out`.

    Raises:
        ClusterError: There is no such cluster, its workers are not as this process, or one of `devices` is lost.
        DataError: There is nothing at `source`, or it cannot be used.
        RunError: `out` holds something else, another run, or one that a process works on; `devices` have a budget.
    """
    check_cluster(cluster)
    if devices and wishes.budget is not None:
        raise RunError("A budget is measured on one device; received --budget with --devices. Leave one of them out.")
    if devices and not devices.chief:
        if not RunFolder(Path(out)).finished:
            work_along(Path(out))
        return RunFolder(Path(out))
    return finish_run(RunFolder.begin(Path(out), wishes, Path(source)), password=password, cluster=cluster)


def finish_run(run: RunFolder, *, password: str | None = None, cluster: str | None = None) -> RunFolder:
    """Returns the run after all steps that were not done yet; see `run_study`."""
    if run.finished:
        log.info("%s is finished and stays as it is; another run needs another folder.", run.path)
        return run
    with owned(run.path):
        study, images, splits = prepare_run(run, password=password)
        work = work_of(run, study, images, splits)
        from casestudy.training import Devices  # TensorFlow is loaded by now

        for _ in ("workers may copy the folder", "they have"):
            Devices.current().meet()
        do_work(work, cluster)
        _write_without_copies(run, splits)
        explain_run(run, splits)
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
    study, splits = _split(run)
    if wishes.budget is not None and not run.has("splits.csv"):
        keep_within_budget(run, splits)
        study, splits = _split(run)
    if splits[0].protocol != study.split.protocol:
        log.warning("this data does not say who is in each photograph: the split is random, and its score flatters")
    save_splits(run, splits, replace(study.split, protocol=splits[0].protocol))
    for line in plan(splits, quick=wishes.quick):
        log.info("%s", line)
    return study, splits[0].images, splits


def _split(run: RunFolder) -> tuple[Study, list[Splits]]:
    """Returns the run's study with nothing left open, and its splits."""
    study = run.resolve()
    images, spec = run.study_images(study), study.split
    if images.signers is None and spec.protocol == "signer":
        spec = replace(spec, protocol="random")
    return study, split_folds(images, spec, seed=run.record.wishes.seed)


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
    return "ledger.csv" in zip_names(source)


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
