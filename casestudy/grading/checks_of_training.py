"""The checks of the training: which model it was, and what each phase changed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import numpy as np

from casestudy.grading.containers import readable
from casestudy.grading.contents import Contents, inside, is_number, moved_in
from casestudy.grading.outcomes import EARNED, NOT_EARNED, PARTIAL, SHARES, Outcome
from casestudy.words import counted

MOST_PARAMETERS = 1e12
RESNET50V2 = 23_564_800  # parameters without its top; a Dense layer on its 2,048 features comes on top

History = dict[str, dict[str, list[float]]]  # by phase and metric, epoch by epoch
Moved = dict[str, dict[str, float]]  # by phase and kind of layer


def resnet_without_top(found: Contents) -> Outcome:
    """Model: ResNet50V2 without its top, one Dense layer, pixels scaled to -1 … 1 inside."""
    model = inside(found.settings, "study", "model")
    stated = [each.get("parameters") for each in found.trainings().values()]
    if any(isinstance(count, (int, float)) and not abs(count) < MOST_PARAMETERS for count in stated):
        return Outcome(NOT_EARNED, "training.json: parameters", "No network of the case has so many parameters.")
    counts = {count for count in stated if is_number(count)}
    shown = " and ".join(f"{count:,.0f}" for count in sorted(counts)[:3])
    seen = f"run.json: {readable(model.get('name'), 40)}; training.json: {shown or 'no'} parameters"
    named = model.get("name") == "resnet50v2" and model.get("scaling", "-1 to 1") == "-1 to 1"
    fits = counts == {RESNET50V2 + 2049 * len(found.key.class_names)}
    if named and fits:
        return Outcome(EARNED, seen, "The base is ResNet50V2 without its top, and scales its own pixels.")
    hint = "Compare the number of parameters with that of the base, and of one Dense layer on its features."
    if named or fits:
        return Outcome(PARTIAL, seen, "The name and the number of parameters do not belong together.", hint)
    return Outcome(NOT_EARNED, seen, "The model is another one than the case asks for.", hint)


def every_training(judge: Callable[[str, History, Moved], Outcome]) -> Callable[[Contents], Outcome]:
    """Returns the check that finds what `judge` finds in the worst training: that of one fold, or the only one."""

    @functools.wraps(judge)
    def check(found: Contents) -> Outcome:
        outcomes = []
        for home, training in found.trainings().items():
            outcomes.append(judge(home, found.history(home), moved_in(training)))
            if outcomes[-1].status == NOT_EARNED:
                break
        return min(reversed(outcomes), key=lambda outcome: SHARES[outcome.status])

    return check


@every_training
def head_first(home: str, history: History, moved: Moved) -> Outcome:
    """Phase 1: the base did not move, the head did, and the loss fell."""
    hint = "Look at the table of what moved: in phase 1 the base's row must be all zeros."
    first = next(iter(history), None)
    if first is None or first != next(iter(moved), None):
        return Outcome(NOT_EARNED, f"{home}history.csv", "The history and training.json tell of other phases.", hint)
    base = max((change for kind, change in moved[first].items() if kind != "Dense"), default=np.nan)
    head, losses = moved[first].get("Dense", 0), history[first].get("loss", [])
    seen = f"{home}training.json: base {base:g}, head {head:g}; {counted(len(losses), 'epoch')}"
    if base != 0 or not head > 0:
        return Outcome(NOT_EARNED, seen, "The base moved in phase 1, or the head did not.", hint)
    if len(losses) < 2 or not min(losses[1:]) < losses[0]:
        return Outcome(PARTIAL, seen, "The phase ended before it helped.", "Give the head more epochs.")
    return Outcome(EARNED, seen, "The head learnt on a frozen base.")


@every_training
def gentle_fine_tuning(home: str, history: History, moved: Moved) -> Outcome:
    """Phase 2: the base moved, BatchNormalization did not, and the learning rate is smaller."""
    hint = "Set the two phases side by side: their learning rates, and how far each kind of layer moved."
    if len(history) < 2 or list(moved) != list(history):
        seen = f"{home}history.csv: {_names(history)}; training.json: {_names(moved)}"
        return Outcome(NOT_EARNED, seen, "There is no second phase in both files.", hint)
    rates = [max(metrics.get("learning_rate", [np.nan])) for metrics in history.values()]
    norms = [kinds.get("BatchNormalization") for kinds in moved.values()]
    conv = list(moved.values())[1].get("Conv2D", 0)
    seen = (
        f"{home}training.json: BatchNormalization {max((n for n in norms if n is not None), default=np.nan):g}, "
        f"Conv2D {conv:g}; history.csv: learning rates {rates[0]:g} and {rates[1]:g}"
    )
    if any(change != 0 for change in norms):
        return Outcome(NOT_EARNED, seen, "BatchNormalization moved, or nothing shows that it did not.", hint)
    smaller, bent = rates[1] < rates[0], conv > 0
    if smaller and bent:
        return Outcome(EARNED, seen, "The base was fine-tuned gently, with BatchNormalization frozen.")
    if smaller:
        return Outcome(PARTIAL, seen, "The base did not move.", hint)
    if bent:
        return Outcome(PARTIAL, seen, "The learning rate is not smaller than in phase 1.", hint)
    return Outcome(NOT_EARNED, seen, "The rate is not smaller, and the base did not move.", hint)


def _names(phases: Iterable[str]) -> str:
    return ", ".join(readable(name, 30) for name in list(phases)[:4]) or "no phase"
