"""The command that makes a run again, written from what was asked for and what was resolved."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import replace
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
    if (known := STUDIES.get(wishes.study.name)) is None:
        return None
    asked = _settings(wishes.study)
    for quick, study in ((False, known), (True, known.quick())):
        before = _settings(study)
        changed = {name: value for name, value in asked.items() if value != before[name]}
        if any(variant not in study.variants for variant in wishes.study.variants):  # cut to the epochs asked for
            changed["epochs"] = asked["epochs"]
        changed |= {"seed": wishes.seed, "precision": wishes.precision, "compare_splits": wishes.compare_splits}
        with suppress(DataError, WeightsError):
            found = Options(known.name, data, quick=quick, **changed)
            if not found.wishes().differences(wishes):
                return found
    return None


def _settings(study: Study) -> dict[str, Any]:
    """Returns what options can change in a study, by their names."""
    return {
        "epochs": tuple(phase.epochs for phase in study.phases),
        "fraction": study.split.fraction,
        "learning_rate": tuple(phase.learning_rate for phase in study.phases),
        "image_size": study.model.image_size,
        "model": study.model.name,
        "weights": study.model.weights or "none",
        "fine_tune": study.phases[-1].trainable,
        "split": study.split.protocol,
        "variants": ",".join(variant.name for variant in study.variants) or "none",
        "crop": study.crop,
        "mirror": bool(study.model.augmentation.get("mirror")),
        "pattern": study.data.pattern,
    }


def _pinned(record: RunRecord) -> tuple[Wishes, str | None]:
    """Returns the wishes with what was resolved of the study's own model, and the data to name."""
    resolved = record.resolved_wishes()
    study = replace(resolved.study, variants=record.wishes.study.variants)
    data, path, sample = record.data.path, Path(record.data.path).resolve(), find_in_checkout(SAMPLE)
    drawn = path.parent.name == f"stand-in-{study.name}"  # by --quick, which draws it again and reads it so
    if drawn and study.name in STUDIES:
        study = replace(study, data=STUDIES[study.name].data)
    if path.is_relative_to(Path.home()):  # `find_data` knows ~, and nobody else need know whose home it is
        data = f"~/{path.relative_to(Path.home()).as_posix()}"
    named = None if drawn or (sample and sample.resolve() == path) else data
    return replace(resolved, study=study), named
