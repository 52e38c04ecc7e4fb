"""What a run has still to train: its clock knows, so that it can tell the time left of everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from casestudy.data import Splits
from casestudy.runs.folder import RunFolder
from casestudy.runs.trained import TrainedModel
from casestudy.study import ModelSpec, Phase

if TYPE_CHECKING:
    from casestudy.training import Clock

Job = tuple[TrainedModel, Sequence[Splits]]  # a model, and the splits that it is trained on, one by one


def recipe(run: RunFolder, model: TrainedModel) -> tuple[ModelSpec, tuple[Phase, ...]]:
    study = run.record.resolved_wishes().study
    variant = next((one for one in study.variants if model.role == "variant" and one.name == model.id), study)
    return variant.model, variant.phases


def expected(run: RunFolder, trainings: Sequence[Job], heads: Sequence[Job]) -> Clock:
    """Returns a clock that expects each phase of which the predictions are not there yet."""
    from casestudy.training import Clock

    clock = Clock()
    for model, splits in trainings:
        spec, phases = recipe(run, model)
        of = f" of {model.name}" if model.role in ("variant", "seed") else ""
        for k, split in enumerate(splits):
            for phase in () if run.has(model.table_of(k, split.fold)) else phases:
                clock.expect(spec, phase, split, name=phase.name + of)
    known = 0  # images whose features are there: those of a base of random numbers serve one split alone
    for model, splits in heads:
        spec, (phase, *_) = recipe(run, model)
        for split in () if run.has(model.predictions()) else splits:
            seen, known = known if spec.weights else 0, len(split.images)
            clock.expect(spec, phase, split, name=f"{phase.name} alone", features=len(split.images) - seen)
    return clock
