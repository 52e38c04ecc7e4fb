"""The learning rate of each epoch or step, and when a phase is over: functions of the history alone."""

from __future__ import annotations

import math

from casestudy.study import Phase

WARM_UP = 0.15  # of all steps, in a "one-cycle" schedule


def next_rate(phase: Phase, validation_losses: list[float], epochs_done: int) -> float | None:
    """Returns the learning rate of the epoch after so many; None where the phase is over."""
    over = is_over(phase, validation_losses, epochs_done)
    return None if over else learning_rate(phase, epochs_done, validation_losses)


def learning_rate(phase: Phase, epoch: int, validation_losses: list[float]) -> float:
    """Returns the rate of an epoch (from 0), given the validation losses of those before it.

    >>> cosine = Phase("2", "all", epochs=4, learning_rate=0.1, schedule="cosine")
    >>> [round(learning_rate(cosine, epoch, []), 4) for epoch in range(4)]
    [0.1, 0.0854, 0.05, 0.0146]
    >>> plateau = Phase("2", "all", epochs=9, learning_rate=0.1, schedule="plateau")
    >>> learning_rate(plateau, 4, [1.0, 0.5, 0.6, 0.7])
    0.05
    """
    if phase.schedule == "cosine":
        return phase.learning_rate * (1 + math.cos(math.pi * epoch / phase.epochs)) / 2
    if phase.schedule == "one-cycle":
        return one_cycle(phase.learning_rate, (epoch + 1) / phase.epochs)
    rate, best, waited, rule = phase.learning_rate, math.inf, 0, phase.plateau
    for loss in validation_losses if phase.schedule == "plateau" else ():
        waited = 0 if loss < best - rule.least_gain else waited + 1
        best = loss if waited == 0 else best
        if waited == rule.patience:
            rate, waited = max(rate * rule.factor, rule.lowest), 0
    return rate


def one_cycle(peak: float, done: float) -> float:
    """Returns the rate when a share of all steps is done: up to the peak, then down to zero (Smith 2018).

    >>> [round(one_cycle(0.1, done), 4) for done in (0.0, 0.075, 0.15, 0.575, 1.0)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    if done < WARM_UP:
        return peak * done / WARM_UP
    return peak * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


def is_over(phase: Phase, validation_losses: list[float], epochs_done: int) -> bool:
    """Returns whether the phase has used its epochs, or waited `patience` epochs in vain for a better loss.

    >>> is_over(Phase("1", "head", epochs=9, learning_rate=1e-3, patience=2), [0.9, 0.5, 0.6, 0.5], 4)
    True
    """
    best, waited = math.inf, 0
    for loss in validation_losses:
        waited = 0 if loss < best - phase.least_gain else waited + 1
        best = loss if waited == 0 else best
    return epochs_done >= phase.epochs or (phase.patience is not None and waited >= phase.patience)
