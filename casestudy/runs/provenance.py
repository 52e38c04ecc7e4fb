"""What a run is: drawn or photographed, a look or the whole, how many people. Every surface says it from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from casestudy.choices import Drawn
from casestudy.runs.trained import EVERYONE
from casestudy.words import banner

if TYPE_CHECKING:
    from casestudy.runs.folder import RunFolder

FEW = 12  # people, up to whom it is worth the time to leave each out once in the whole training


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
        return banner(self.drawn, self.quick)

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
        trained = int((parts["part"] == "train").sum())
        if facts.protocol == "signer" and people <= FEW and trained:  # each would train in all folds but one
            seconds = sum(run.training().seconds.values()) / trained * len(known) * (people - 1)
    copies = len(run.read_table("copies.csv")) if run.has("copies.csv") else 0
    return Provenance(facts.drawn, run.record.wishes.quick, people, tested, copies, seconds)
