"""What a check of the rubric can find, and how it says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EARNED, PARTIAL, NOT_EARNED, REVIEW, NOTHING = "earned", "partial", "not earned", "needs review", "no evidence"
SHARES = {EARNED: 1.0, PARTIAL: 0.5}  # of the points; every other status earns none


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        status: EARNED, PARTIAL or NOT_EARNED.
        evidence: File and value.
        sentence: Why, in one kind sentence.
        hint: What to look at next, without the answer; "" where nothing is to be done.
    """

    status: str
    evidence: str
    sentence: str
    hint: str = ""


def inside(values: Any, *names: str) -> dict[str, Any]:
    """Returns the dictionary within dictionaries; {} where there is none."""
    for name in names:
        values = values.get(name) if isinstance(values, dict) else None
    return values if isinstance(values, dict) else {}
