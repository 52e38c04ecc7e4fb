"""The command that makes a run again, written from what was asked for and what was resolved."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from casestudy.choices import SAMPLE
from casestudy.errors import DataError, WeightsError
from casestudy.files import find_in_checkout
from casestudy.runs.folder import RunFolder
from casestudy.runs.options import Options
from casestudy.runs.record import RunRecord, Wishes
from casestudy.studies import STUDIES
from casestudy.study import Study


def command_again(run: RunFolder) -> str:
    """Returns a command that makes a run again, in a new folder: with the weights and sizes that were resolved.

    Where `casestudy run` has no options for it, it is `casestudy verify --retrain`, which takes the run's record.
    """
    record = run.record
    again = f"{run.path.resolve().name}-again"
    if record.resolved is None or (options := options_of(*_pinned(record))) is None:
        return shlex.join(["casestudy", "verify", str(run.path), "--retrain", again])
    return shlex.join(["casestudy", "run", *options.arguments(), f"--out={again}"])


def options_of(wishes: Wishes, data: str | None) -> Options | None:
    """Returns the options that ask for this; None where no options do, as for a study that is not in `STUDIES`."""
    known = STUDIES.get(wishes.study.name)
    for quick in (False, True) if known else ():
        assert known is not None
        try:
            found = _difference(wishes, known.quick() if quick else known, Options(known.name, data, quick=quick))
            if not found.wishes().differences(wishes):
                return found
        except (DataError, WeightsError):
            continue
    return None


def _difference(wishes: Wishes, base: Study, options: Options) -> Options:
    """Returns the options with all that the wishes change in a study of `STUDIES`."""
    changed: dict[str, Any] = {
        "seed": wishes.seed,
        "precision": wishes.precision,
        "compare_splits": wishes.compare_splits,
        "mirror": bool(wishes.study.model.augmentation.get("mirror")) and not base.model.augmentation.get("mirror"),
    }
    read: dict[str, Callable[[Study], Any]] = {
        "epochs": lambda study: tuple(phase.epochs for phase in study.phases),
        "fraction": lambda study: study.split.fraction,
        "learning_rate": lambda study: tuple(phase.learning_rate for phase in study.phases),
        "image_size": lambda study: study.model.image_size,
        "model": lambda study: study.model.name,
        "weights": lambda study: study.model.weights or "none",
        "fine_tune": lambda study: study.phases[-1].trainable,
        "split": lambda study: study.split.protocol,
        "variants": lambda study: ",".join(variant.name for variant in study.variants) or "none",
        "crop": lambda study: study.crop,
        "pattern": lambda study: study.data.pattern,
    }
    changed |= {name: one(wishes.study) for name, one in read.items() if one(wishes.study) != one(base)}
    if any(variant not in base.variants for variant in wishes.study.variants):  # cut to the epochs that were asked for
        changed["epochs"] = read["epochs"](wishes.study)
    return dataclasses.replace(options, **changed)


def _pinned(record: RunRecord) -> tuple[Wishes, str | None]:
    """Returns the wishes with what was resolved of the study's own model, and the data to name."""
    resolved = record.resolved_wishes()
    study = dataclasses.replace(resolved.study, variants=record.wishes.study.variants)
    data, path, sample = record.data.path, Path(record.data.path).resolve(), find_in_checkout(SAMPLE)
    drawn = path.parent.name == f"stand-in-{study.name}"  # by --quick, which draws it again and reads it so
    if drawn and study.name in STUDIES:
        study = dataclasses.replace(study, data=STUDIES[study.name].data)
    if path.is_relative_to(Path.home()):  # `find_data` knows ~, and nobody else need know whose home it is
        data = f"~/{path.relative_to(Path.home()).as_posix()}"
    named = None if drawn or (sample and sample.resolve() == path) else data
    return dataclasses.replace(resolved, study=study), named
