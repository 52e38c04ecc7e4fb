"""What a check can find, and how it says so."""

from __future__ import annotations

from dataclasses import dataclass

EARNED, PARTIAL, NOT_EARNED, REVIEW, NOTHING = "earned", "partial", "not earned", "needs review", "no evidence"
SHARES = {EARNED: 1.0, PARTIAL: 0.5, NOT_EARNED: 0.0}  # of the points; the other two earn nothing


@dataclass(frozen=True)
class Outcome:
    """What a check found."""

    status: str
    evidence: str  # file and value
    sentence: str  # why, in one kind sentence
    hint: str = ""  # what to look at next, without the answer
