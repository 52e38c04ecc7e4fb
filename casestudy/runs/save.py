"""What the verbs of a study return, written to the run folder."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from casestudy.data import Splits, split_images
from casestudy.errors import RunError
from casestudy.evaluation import Evaluation
from casestudy.files import atomic_path
from casestudy.runs.about import about_model, calibrate
from casestudy.runs.crops import crops_of
from casestudy.runs.files import table_text
from casestudy.runs.record import ImageFacts, TrainingRecord
from casestudy.runs.trained import TrainedModel
from casestudy.study import SplitSpec
from casestudy.words import counted

if TYPE_CHECKING:
    import keras

    from casestudy.runs.folder import RunFolder
    from casestudy.training import TrainingRun

log = logging.getLogger(__name__)

FEW = 26  # labels that a warning names


def save_ledger(run: RunFolder, letters: Path) -> None:
    """Writes ledger.csv as it stands in a letters.zip."""
    with zipfile.ZipFile(letters) as archive, atomic_path(run.path / "ledger.csv") as partial:
        partial.write_bytes(archive.read("ledger.csv"))


def save_splits(run: RunFolder, splits: Sequence[Splits], spec: SplitSpec) -> None:
    """Writes splits.csv, a column a fold, and what the images are to run.json; says what is remarkable about them."""
    images, record = splits[0].images, run.record
    if record.images is None:
        facts = ImageFacts(
            spec.protocol, images.cropped, images.class_names, drawn=images.drawn, localiser=images.localiser
        )
        run.write_record(replace(record, images=facts))
    if images.hands and not run.has("crops.csv"):
        run.write_table("crops.csv", crops_of(images))
    if run.has("splits.csv"):
        return
    for split in splits:
        where = f"fold {split.fold}: " if split.fold else ""
        for part, lacking in split.missing().items():
            more = f" and {len(lacking) - FEW} more" if len(lacking) > FEW else ""
            log.warning("%s%s has no photograph of %s%s", where, part, ", ".join(lacking[:FEW]), more)
        if len(split.left_out):
            log.info("%s%s left out: %s", where, counted(len(split.left_out), "photograph"), spec.why_left_out())
    run.write_table("splits.csv", splits_table(splits))


def splits_table(splits: Sequence[Splits]) -> pd.DataFrame:
    """Returns who is in which part: name, signer, label, and a column a fold."""
    parts = {f"without {split.fold}" if split.fold else "part": split.part_of() for split in splits}
    return pd.DataFrame({**splits[0].images.truth(), **parts})


def save_own_splits(run: RunFolder, splits: Splits) -> None:
    """Writes the split that the run asks for; a RunError refuses another protocol, share or seed."""
    wishes = run.record.wishes
    wanted = split_images(splits.images, wishes.study.split, seed=wishes.seed)
    if wanted.protocol != splits.protocol or (wanted.part_of() != splits.part_of()).any():
        raise RunError(
            f"A run has the split that it asks for: {wishes.study.split.protocol}, seed {wishes.seed}; received "
            f"another. Split the run's images so."
        )
    save_splits(run, [splits], wishes.study.split)


def save_training(
    run: RunFolder, training: TrainingRun, network: keras.Model, splits: Splits, *, home: str = ""
) -> None:
    """Writes history.csv, training.json and model.keras of a training into the folder `home` of the run.

    The network gets with it what reading a photograph needs, and how sure it is of the people in `splits.validation`.
    """
    run.write_table(f"{home}history.csv", training.history)
    facts = vars(training) | {"batch_norm_change": training.batch_norm_change, "parameters": network.count_params()}
    del facts["history"]
    run.write_json(f"{home}training.json", TrainingRecord(**facts).to_json())
    about = replace(about_model(run), calibration=calibrate(network, splits))
    with atomic_path(run.path / home / "model.keras") as partial:
        network.save(partial)
        about.write(partial)


def save_whole_training(run: RunFolder, training: TrainingRun | None, model: keras.Model | None) -> None:
    """Writes the training of the study's own model, once all its phases are done.

    Otherwise, in a RunError: a score of a model that is half trained would pass for the study's.
    """
    from casestudy.models import inference_model

    if training is None or model is None:
        raise RunError("A training goes with its model, and a model with its training; one is missing. Give both.")
    wanted = [phase.name for phase in run.record.wishes.study.phases]
    if list(training.seconds) != wanted:
        raise RunError(
            f"A run keeps a model that went through all its phases ({', '.join(wanted)}); this one went through "
            f"{', '.join(training.seconds)}. Train the others first."
        )
    spec = replace(run.record.wishes.study.split, protocol=run.facts.protocol)
    splits = split_images(run.load_images(), spec, seed=run.record.wishes.seed)
    save_training(run, training, inference_model(model), splits)


def save_evaluation(run: RunFolder, model: TrainedModel, evaluation: Evaluation) -> None:
    """Writes the predictions of a saved model and drops its checkpoints.

    A RunError refuses those of other photographs than the test part's, and others than are there already.
    """
    from casestudy.training import remove_checkpoints

    run.require(f"{model.home}model.keras")  # which is saved once all its phases are done
    splits, tested = run.read_table("splits.csv"), evaluation.predictions
    if run.has(model.predictions()):
        if (run.path / model.predictions()).read_bytes() == table_text(tested).encode():
            return
        raise RunError(f"Predictions are never overwritten; {run.path} has others already. Begin another run.")
    if sorted(splits["name"][splits["part"] == "test"]) != sorted(tested["name"]):
        raise RunError(
            f"A run is evaluated on its whole test part; these {len(tested)} photographs are others. Evaluate those of "
            f"the split."
        )
    run.write_table(model.predictions(), tested)
    remove_checkpoints(run.path / model.home)
