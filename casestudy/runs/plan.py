"""What a split can tell: said before the training, with what else is possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from casestudy.data import Splits
from casestudy.runs.trained import EVERYONE
from casestudy.words import counted

MANY = 10_000  # training images: two epochs of fewer are a matter of minutes
PARTS = {"train": "to train", "validation": "to choose epochs", "test": "to test"}


def plan(splits: Sequence[Splits], *, quick: bool = False) -> list[str]:
    """Returns in sentences who is in which part, the rarest label, what few people cannot tell, and how to be quick."""
    first, images = splits[0], splits[0].images
    people = {part: _people(first, part) for part in PARTS}
    if first.fold:
        trainings = counted(len(splits), "training")
        return [f"split: {trainings}, each tested on one of {', '.join(split.fold for split in splits)}"]
    said = [_part(first, part, people[part]) for part in PARTS if len(getattr(first, part))]
    fewest = []
    for part in ("train", "test"):
        counts = np.bincount(images.labels[getattr(first, part)], minlength=len(images.class_names))
        fewest.append(f"{counts.min():,} {PARTS[part]} ({images.class_names[counts.argmin()]})")
    lines = [f"split: {', '.join(said)}", f"fewest of a label: {', '.join(fewest)}"]
    if quick and len(first.train) > MANY:
        lines.append("a quick look takes all of them: in a folder of its own, --fraction 0.1 trains on a tenth")
    if first.protocol == "signer" and len(people["test"]) < 3:
        everyone = len({one for part in people.values() for one in part})
        lines.append(
            f"people in the test: {len(people['test'])}, too few to tell how the model reads others; in a folder of "
            f"its own, --split {EVERYONE} tests each of all {everyone}, in as many trainings"
        )
    return lines


def _people(split: Splits, part: str) -> list[str]:
    signers = split.images.signers
    return [] if signers is None else sorted({str(one) for one in signers[getattr(split, part)]} - {""})


def _part(split: Splits, part: str, people: list[str]) -> str:
    who = f" of {', '.join(people)}" if len(people) <= 3 else f" of {len(people)} people"
    return f"{counted(len(getattr(split, part)), 'photograph')}{who if people else ''} {PARTS[part]}"
