"""crops.csv: where the hand of each photograph was found, where no box said it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from casestudy.data import ImageSet
from casestudy.errors import RunError

if TYPE_CHECKING:
    from casestudy.data.cutting import Box
    from casestudy.runs.folder import RunFolder

SIDES = ["left", "top", "right", "bottom"]


def crops_of(images: ImageSet) -> pd.DataFrame:
    """Returns where a hand was found in each image: name, left, top, right, bottom (in pixels), confidence, cut.

    `cut` says whether it was sure enough to be cut out; the others are taken whole.
    """
    assert images.hands is not None
    rows = [(*hand.box, hand.confidence, hand.sure) for hand in images.hands]
    table = pd.DataFrame(rows, columns=[*SIDES, "confidence", "cut"])
    table.insert(0, "name", images.names)
    return table


def boxes_of(run: RunFolder) -> dict[str, Box] | None:
    """Returns the boxes that `crops_of` says were cut out, by the names of the images; None where nobody looked."""
    if not run.has("crops.csv"):
        return None
    table = run.read_table("crops.csv")
    cut = table[table["cut"]]
    return dict(zip(cut["name"], cut[SIDES].itertuples(index=False, name=None), strict=True))


def same_hands(run: RunFolder, images: ImageSet) -> ImageSet:
    """Returns the images; a RunError where their hands were found by another network than the run's."""
    if images.localiser != run.facts.localiser:
        raise RunError(
            f"The hands of a run are found by the network that found them first; here is another. Use the version that "
            f"made the run, casestudy {run.record.version}."
        )
    return images
