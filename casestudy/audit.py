"""Claim in, verdict out: what a source says, what its own notebook shows, and what comes out here.

Noise is that of the images: 95 % of so many would lie within Wilson's interval. Two accuracies of different images
differ beyond it where they lie further apart than both intervals reach together (Newcombe 1998). Where a source has
trained a network several times, one more training lies within Student's prediction interval of them.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casestudy.choices import OWN
from casestudy.evaluation import how_sure
from casestudy.files import find_in_checkout
from casestudy.records import not_one_of
from casestudy.studies import CLAIMS, STUDIES, Claim, Verdict
from casestudy.study import Phase, Study, Variant
from casestudy.words import percent

FEWEST = 3  # trainings that tell how much of an accuracy is luck
RESULTS = Path("DATA") / "results"  # of the checkout
UNMEASURED = "not measured yet with the exact network"


@dataclass(frozen=True)
class Share:
    """So many right of so many images; `people` says whether they are too few for an interval."""

    right: int
    of: int
    few_people: bool = False

    @property
    def rate(self) -> float:
        return self.right / self.of

    @property
    def ends(self) -> tuple[float, float]:
        return how_sure([1] * self.right + [0] * (self.of - self.right)).interval

    def __str__(self) -> str:
        return percent(self.rate)


@dataclass(frozen=True)
class Audited:
    """One row of an audit."""

    study: str
    claim: Claim
    here: str
    verdict: Verdict
    why: str


def audit(name: str = "") -> list[Audited]:
    """Returns the claims of a study's source, each with its verdict; those of all studies for "all" or no name.

    A DataError says that there is no such study.
    """
    if name not in ("", "all", *STUDIES):
        raise not_one_of("The study", name, (*STUDIES, "all"))
    return [_audited(study, claim) for study in CLAIMS if name in ("", "all", study) for claim in CLAIMS[study]]


def audit_lines(name: str = "") -> list[str]:
    """Returns an audit for a terminal, a paragraph a claim; see `audit`."""
    rows = audit(name)
    if not rows:
        return ["The source of this study published no figure and made no claim that could be looked up."]
    found = []
    for row in rows:
        found += [
            f"{row.study}: {row.claim.text}",
            f"  said in     {row.claim.source}",
            f"  shown there {row.claim.shown}",
            f"  here        {row.here}",
            f"  verdict     {row.verdict}{': ' + row.why if row.why else ''}",
            "",
        ]
    return found[:-1]


def judge(claim: Claim, here: Share | None = None, other: Share | None = None) -> tuple[Verdict, str]:
    """Returns the verdict on a claim and its reason, given what came out here.

    A claim that its own notebook contradicts does not hold; an accuracy that is higher here holds, too.
    """
    from scipy.special import stdtrit  # only now: most commands need no scipy

    if claim.verdict:
        return claim.verdict, claim.why
    if claim.than:
        return _better(here, other)
    if claim.figure is None or claim.right is None or claim.of is None:
        return "cannot be known", "no notebook shows it"
    shown = Share(claim.right, claim.of)
    low, high = shown.ends
    said: tuple[Verdict, str]
    if abs(shown.rate - claim.figure) < 0.5 * 10 ** -_digits(claim.figure) + 1e-9:
        said = "holds", ""
    elif low <= claim.figure <= high:
        said = "holds within noise", f"the notebook's own figure is {shown}"
    else:
        return "does not hold", f"the notebook's own figure is {shown}, {percent(low)} to {percent(high)}"
    if here is None or not claim.comparable or here.few_people or here.rate >= claim.figure:
        return said
    if len(claim.runs) >= FEWEST:
        mean, luck = statistics.fmean(claim.runs), statistics.stdev(claim.runs) * math.sqrt(1 + 1 / len(claim.runs))
        if here.rate >= mean - float(stdtrit(len(claim.runs) - 1, 0.975)) * luck:
            return "holds within noise", f"{here} here is what one more of its {len(claim.runs)} trainings might give"
    if _apart(here, shown):
        return "does not hold", f"{here} here is further below than chance explains"
    return "holds within noise", f"{here} here is no further below than chance explains"


def _better(here: Share | None, other: Share | None) -> tuple[Verdict, str]:
    if here is None or other is None:
        return "cannot be known", UNMEASURED
    if here.few_people or other.few_people:
        return "cannot be known", "two people in a test part rank nothing"
    if not _apart(here, other):
        return "cannot be known", "the difference is one that chance explains"
    return ("holds", "") if here.rate > other.rate else ("does not hold", "")


def _apart(one: Share, other: Share) -> bool:
    """Returns whether two shares of different images differ beyond chance (Newcombe's method 10)."""
    below, above = sorted((one, other), key=lambda share: share.rate)
    return above.rate - below.rate > math.hypot(below.ends[1] - below.rate, above.rate - above.ends[0])


def _digits(figure: float) -> int:
    return len(f"{figure:.6f}".rstrip("0").partition(".")[2])


def _audited(study: str, claim: Claim) -> Audited:
    here, other = (_committed(claim, model) for model in (claim.here[1] if claim.here else "", claim.than))
    verdict, why = judge(claim, here, other)
    parts = []
    if claim.here:
        against = f" against {other}" if claim.than and other else ""
        note = "" if claim.comparable else ", on other images"
        parts.append(f"{here} ({claim.here[2]}){against}{note}" if here else UNMEASURED)
    return Audited(study, claim, "; ".join([*parts, *([claim.found] if claim.found else [])]) or "–", verdict, why)


def _committed(claim: Claim, model: str) -> Share | None:
    """Returns what a committed result has of a model; None where there is none of the network as it is now."""
    if not claim.here or not model or not (result := committed(claim.here[0])):
        return None
    row = next((one for one in result["comparison"] if one["name"] == model), None)
    if row is None:
        return None
    if claim.here[2] == "random":
        row = next((one for one in result["scores"] if one["name"] == "random"), None)
        return row and Share(round(row["accuracy"] * row["images"]), row["images"])
    validation = claim.here[2] == "validation"
    share = row["validation_accuracy"] if validation else row["accuracy"]
    of = claim.of if validation and claim.of else row["images"]
    return None if share is None else Share(round(share * of), of, few_people=row["low"] is None)


def committed(name: str) -> dict[str, Any] | None:
    """Returns the committed result of a study, of the networks as they are now; None where there is none."""
    path = find_in_checkout(RESULTS / f"{name}.json")
    return current(json.loads(path.read_text(encoding="utf-8"))) if path and name in STUDIES else None


def current(result: dict[str, Any]) -> dict[str, Any]:
    """Returns a result without the rows of variants that the study trains in another way by now, epochs aside."""
    then, now = Study.from_json(result["study"]), STUDIES[result["study"]["name"]]
    recipes = {variant.name: _recipe(variant) for variant in now.variants}
    stale = {variant.name for variant in then.variants if recipes.get(variant.name) != _recipe(variant)}

    def kept(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in rows if row["name"] == OWN or not any(_is_of(row["name"], name) for name in stale)]

    rows = kept(result["comparison"])
    if stale:  # ranks were among all of them
        rows = [{**row, "rank": None} for row in rows]
    return {**result, "comparison": rows, "scores": kept(result["scores"])}


def _is_of(score: str, variant: str) -> bool:
    return score.removesuffix("-unique").removesuffix("-distorted") == variant


def _recipe(variant: Variant) -> tuple[Any, ...]:
    phases: list[Phase] = [replace(phase, epochs=1) for phase in variant.phases]
    return replace(variant.model, image_size=None), phases, variant.split
