"""Checks of the training: the model, its head alone, and the gentle second phase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from casestudy.grading.evidence import Evidence
from casestudy.grading.findings import EARNED, NOT_EARNED, PARTIAL, Finding, inside
from casestudy.grading.submission import readable

RESNET50V2 = 23_564_800  # parameters without its top; a Dense layer on its 2,048 features comes on top


def resnet_without_top(found: Evidence) -> Finding:
    """Model: ResNet50V2 without its top, one Dense layer, pixels scaled to -1 … 1 inside."""
    model = inside(found.settings, "study", "model")
    expected = RESNET50V2 + 2049 * len(found.key.class_names)
    counts = {
        training["parameters"] for training in found.trainings().values() if _is_number(training.get("parameters"))
    }
    shown = " and ".join(f"{count:,.0f}" for count in sorted(counts)[:3])
    evidence = f"run.json: {readable(model.get('name'), 40)}; training.json: {shown or 'no'} parameters"
    named = model.get("name") == "resnet50v2" and model.get("scaling", "-1 to 1") == "-1 to 1"
    fits = counts == {expected}
    if named and fits:
        return Finding(EARNED, evidence, "The base is ResNet50V2 without its top, and scales its own pixels.")
    hint = "Compare the number of parameters with that of the base, and of one Dense layer on its features."
    if named or fits:
        return Finding(PARTIAL, evidence, "The name and the number of parameters do not belong together.", hint)
    return Finding(NOT_EARNED, evidence, "The model is another one than the case asks for.", hint)


def head_first(found: Evidence) -> Finding:
    """Phase 1: the base did not move, the head did, and the loss fell."""
    hint = "Look at the table of what moved: in phase 1 the base's row must be all zeros."

    def judge(home: str, history: pd.DataFrame, changes: dict[str, dict[str, float]]) -> Finding:
        phases = _phases(history)
        if not phases or not changes or next(iter(changes)) != phases[0]:
            return Finding(
                NOT_EARNED, f"{home}history.csv", "The history and training.json tell of other phases.", hint
            )
        moved = changes[phases[0]]
        base = max((value for kind, value in moved.items() if kind != "Dense"), default=np.nan)
        losses = _values(history, phases[0], "loss")
        evidence = f"{home}training.json: base {base:g}, head {moved.get('Dense', 0):g}; {len(losses)} epochs"
        if base != 0 or not moved.get("Dense", 0) > 0:
            return Finding(NOT_EARNED, evidence, "The base moved in phase 1, or the head did not.", hint)
        if len(losses) < 2 or not min(losses[1:]) < losses[0]:
            return Finding(PARTIAL, evidence, "The phase ended before it helped.", "Give the head more epochs.")
        return Finding(EARNED, evidence, "The head learnt on a frozen base.")

    return _worst_training(found, judge)


def gentle_fine_tuning(found: Evidence) -> Finding:
    """Phase 2: the base moved, BatchNormalization did not, and the learning rate is smaller."""
    hint = "Set the two phases side by side: their learning rates, and how far each kind of layer moved."

    def judge(home: str, history: pd.DataFrame, changes: dict[str, dict[str, float]]) -> Finding:
        phases = _phases(history)
        if len(phases) < 2 or len(changes) < 2 or list(changes) != phases:
            evidence = f"{home}history.csv: {_names(phases)}; training.json: {_names(list(changes))}"
            return Finding(NOT_EARNED, evidence, "There is no second phase in both files.", hint)
        rates = [max(_values(history, phase, "learning_rate"), default=np.nan) for phase in phases[:2]]
        moved = changes[phases[1]]
        norms = [kinds.get("BatchNormalization") for kinds in changes.values()]
        evidence = (
            f"{home}training.json: BatchNormalization {max((n for n in norms if n is not None), default=np.nan):g}, "
            f"Conv2D {moved.get('Conv2D', 0):g}; history.csv: learning rates {rates[0]:g} and {rates[1]:g}"
        )
        if any(change != 0 for change in norms):
            return Finding(NOT_EARNED, evidence, "BatchNormalization moved, or nothing shows that it did not.", hint)
        smaller, bent = rates[1] < rates[0], moved.get("Conv2D", 0) > 0
        if not smaller and not bent:
            return Finding(NOT_EARNED, evidence, "The rate is not smaller, and the base did not move.", hint)
        if not smaller:
            return Finding(PARTIAL, evidence, "The learning rate is not smaller than in phase 1.", hint)
        if not bent:
            return Finding(PARTIAL, evidence, "The base did not move.", hint)
        return Finding(EARNED, evidence, "The base was fine-tuned gently, with BatchNormalization frozen.")

    return _worst_training(found, judge)


def _worst_training(
    found: Evidence, judge: Callable[[str, pd.DataFrame, dict[str, dict[str, float]]], Finding]
) -> Finding:
    """Returns what is found in the worst training: that of one fold, or the only one."""
    findings = []
    for home, training in found.trainings().items():
        finding = judge(home, found.history(home), _changes(training))
        if finding.status == NOT_EARNED:
            return finding
        findings.append(finding)
    partial = [finding for finding in findings if finding.status == PARTIAL]
    return (partial or findings)[-1]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _phases(history: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(history["phase"]))


def _values(history: pd.DataFrame, phase: str, metric: str) -> list[float]:
    rows = history[(history["phase"] == phase) & (history["metric"] == metric)]
    return rows["value"].tolist()


def _changes(training: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Returns how far each kind of layer moved in each phase; a kind whose change is no number is left out."""
    return {
        phase: {kind: float(value) for kind, value in kinds.items() if _is_number(value)}
        for phase, kinds in inside(training, "largest_change").items()
        if isinstance(kinds, dict)
    }


def _names(names: list[str]) -> str:
    return ", ".join(readable(name, 30) for name in names[:4]) or "no phase"
