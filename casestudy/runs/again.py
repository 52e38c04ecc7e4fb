"""The command that makes a run again, written from what was asked for and what was resolved."""

from __future__ import annotations

import dataclasses
import shlex
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
    study = wishes.study
    names = tuple(variant.name for variant in study.variants)
    changed: dict[str, Any] = {
        "seed": wishes.seed,
        "precision": wishes.precision,
        "compare_splits": wishes.compare_splits,
        "image_size": study.model.image_size if study.model.image_size != base.model.image_size else None,
        "model": study.model.name if study.model.name != base.model.name else None,
        "weights": (study.model.weights or "none") if study.model.weights != base.model.weights else None,
        "fine_tune": study.phases[-1].trainable if study.phases[-1].trainable != base.phases[-1].trainable else None,
        "split": study.split.protocol if study.split.protocol != base.split.protocol else None,
        "fraction": study.split.fraction if study.split.fraction != base.split.fraction else None,
        "crop": study.crop if study.crop != base.crop else None,
        "mirror": bool(study.model.augmentation.get("mirror")) and not base.model.augmentation.get("mirror"),
        "pattern": study.data.pattern if study.data.pattern != base.data.pattern else None,
    }
    if names != tuple(variant.name for variant in base.variants):
        changed["variants"] = ",".join(names) or "none"
    for name in ("epochs", "learning_rate"):
        values = tuple(getattr(phase, name) for phase in study.phases)
        if values != tuple(getattr(phase, name) for phase in base.phases):
            changed[name] = values
    return dataclasses.replace(options, **changed)


def _pinned(record: RunRecord) -> tuple[Wishes, str | None]:
    """Returns the wishes with what was resolved of the study's own model, and the data to name."""
    resolved = record.resolved_wishes()
    study = dataclasses.replace(resolved.study, variants=record.wishes.study.variants)
    path, sample = Path(record.data.path), find_in_checkout(SAMPLE)
    if sample and sample.resolve() == path.resolve():
        return dataclasses.replace(resolved, study=study), None
    if path.parent.name.startswith("stand-in-"):  # drawn again by --quick, and read in the same way
        known = STUDIES.get(study.name)
        study = dataclasses.replace(study, data=known.data) if known else study
        return dataclasses.replace(resolved, study=study), None
    return dataclasses.replace(resolved, study=study), record.data.path
