"""What a study leaves open is resolved on the machine where its training begins, and stays."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from casestudy.errors import RunError
from casestudy.models import resolve_weights
from casestudy.runs.record import Resolved, environment
from casestudy.study import Study

if TYPE_CHECKING:
    from casestudy.runs.folder import RunFolder

log = logging.getLogger(__name__)


def resolve(run: RunFolder) -> Study:
    """Returns the run's study with nothing left open: image size and starting weights are those of this machine.

    What was resolved once stands in run.json, and stays.

    Raises:
        RunError: The run began on another machine.
        WeightsError: What was asked for cannot be had.
    """
    from casestudy.training import local_machine  # TensorFlow is needed from here on, and loaded only now

    record, here = run.record, local_machine()
    study = record.wishes.study
    if record.resolved is None:
        size = study.model.image_size or here.image_size
        begun = resolve_weights(study.model, size)
        log.info("weights: %s", begun.sentence)
        size = study.model.image_size or begun.image_size or size
        variants = {v.name: resolve_weights(v.model, size) for v in study.variants}
        machine = dataclasses.replace(here, image_size=size, precision=record.wishes.precision or here.precision)
        known = {name: (weights.source, weights.sentence) for name, weights in variants.items()}
        resolved = Resolved(begun.sentence, begun.source, machine, environment(), known)
        record = dataclasses.replace(record, resolved=resolved)
        run.write_record(record)
    assert record.resolved is not None
    device = record.resolved.machine.device
    if device != here.device:
        raise RunError(
            f"A run ends on the machine it began on ({device}); this is {here.device}. Start a new "
            f"one with --out, or go on where it began."
        )
    return record.resolved_wishes().study
