"""What a run is: drawn or photographed, a look or the whole, how many people. Every surface says it from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from casestudy.choices import Drawn
from casestudy.runs.trained import EVERYONE

if TYPE_CHECKING:
    from casestudy.runs.folder import RunFolder

FEW = 12  # people, up to whom it is worth the time to leave each out once in the whole training
MEANINGLESS = "Drawn images stand in for the data of this study. The numbers mean nothing: they show what a run has."
DRAWN = "The hands are drawn by a program. What is read of them says nothing about photographs of people."
QUICK = "This is a quick look: small images and few epochs. How good the model can be, only the whole run tells."


@dataclass(frozen=True)
class Provenance:
    """What a run is, from its record, its split and its training."""

    drawn: Drawn | None  # by a program; None for photographs and published sets
    quick: bool
    people: int  # in the data; 0 where nobody is known
    tested: int  # people in the test part
    copies: int  # test images with a copy in training
    seconds_for_everyone: float | None  # that a whole training would take with each left out once; None: not worth it

    @property
    def banner(self) -> str:
        """What has to be known before any number is read; "" where nothing is in the way."""
        if self.drawn == "stand-in":
            return MEANINGLESS
        return " ".join([DRAWN] * (self.drawn == "sample") + [QUICK] * self.quick)

    @property
    def comparable(self) -> bool:
        """Whether its scores may stand beside published ones."""
        return not (self.drawn or self.quick)


def provenance_of(run: RunFolder) -> Provenance:
    """Returns what a run is, once it is trained; a RunError before."""
    facts, parts = run.facts, run.read_table("splits.csv")
    known = parts[parts["signer"] != ""]
    people = tested = known["signer"].nunique()
    seconds = None
    if facts.protocol != EVERYONE:
        tested = known["signer"][known["part"] == "test"].nunique()
        if facts.protocol == "signer" and people <= FEW:  # each photograph would train in all folds but one
            for_each = sum(run.training().seconds.values()) / (parts["part"] == "train").sum()
            seconds = float(for_each * len(known) * (people - 1))
    copies = len(run.read_table("copies.csv")) if run.has("copies.csv") else 0
    return Provenance(facts.drawn, run.record.wishes.quick, people, tested, copies, seconds)
