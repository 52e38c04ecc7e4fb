"""The one stock of hands and places that all trainings draw from, and the part of it that none ever sees."""

from __future__ import annotations

from pathlib import Path

from SCRIPTS.hands.pretrain_images import Shelf

HANDS, HELD_OUT_HANDS, PLACES = 24_000, 1250, 4000  # of a whole training; a tenth as many places are held out
HELD_OUT = 10_000  # number of the first shard whose signers are never trained on


def shelves(folder: Path, hands: int, held_out_hands: int, places: int) -> tuple[Shelf, Shelf]:
    """The shelf to train on, and that of signers who are never trained on."""
    stock = folder / f"stock-{hands}-{places}"  # another plan may share the rest of the folder, not the stock
    return Shelf(stock, 0, hands, places), Shelf(stock, HELD_OUT, held_out_hands, places // 10)
