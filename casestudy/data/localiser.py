"""A photograph in, where its hand is out: a small network of this project's own, learnt from drawn scenes, in NumPy.

Nothing but NumPy runs it, so that cutting hands out needs no TensorFlow. `SCRIPTS/hands/pretrain_localiser.py` makes
its weights; BatchNormalization is part of the kernels by then.
"""

from __future__ import annotations

import csv
import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from casestudy.cleaning import decode_image
from casestudy.data.cutting import Box, square_box
from casestudy.errors import DataError
from casestudy.files import atomic_path, file_digest, find_in_checkout
from casestudy.listing import Listing
from casestudy.words import counted

log = logging.getLogger(__name__)

FILE = Path("DATA") / "weights" / "hand_localiser.npz"
SHA256 = "f87b9251c7ddf6da6c2dcd931dd40c5567e1f3ec2667d882b6e994dcfe4271f9"  # of the published file
SIDE, STEP = 96, 8  # pixels of the square that a picture is pressed into, and of each cell that may hold the hand
# Each stage halves the picture by a convolution; pairs with these dilations follow. Their channels are the file's.
STAGES = ((), (1,), (1, 2, 4, 1))
LEAST = 0.5  # of confidence: below, the whole picture is taken. Nothing was tuned: it is the middle
MOST_OFTEN = 0.5  # share of a set's photographs with a hand: below, all are taken whole, since one set has one kind
CLOSER = 1.2  # margin of the square that is looked at again, round what the first look found
Kernel = tuple[np.ndarray, np.ndarray]  # (3, 3, in, out), or (in, out) for a layer without neighbours; and (out,)


@dataclass(frozen=True)
class Found:
    """Where the hand of a picture is, and how sure that is: 0 to 1."""

    box: Box  # left, top, right, bottom in pixels
    confidence: float

    @property
    def sure(self) -> bool:
        return self.confidence >= LEAST


Each = Callable[[Callable[[object, bytes], Found]], Iterable[Found]]  # what is done with every photograph, in order


class Localiser:
    """The network, from the arrays of its file."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        names = {name.partition(".")[0] for name in arrays}
        self.layers: dict[str, Kernel] = {
            name: (arrays[f"{name}.kernel"].astype("float32"), arrays[f"{name}.bias"].astype("float32"))
            for name in names
        }

    def cells(self, pixels: np.ndarray) -> np.ndarray:
        """Returns what the network makes of one picture.

        Args:
            pixels: uint8 (SIDE, SIDE, 3).

        Returns:
            float32 (SIDE / STEP, SIDE / STEP, 5): of each cell a score (softmax over all and the score 0 of "no hand"
            gives probabilities), and where the middle of the hand's box is and how large, as `boxes_of` reads it.
        """
        return self.through(pixels.astype("float32") / 127.5 - 1, _InNumPy)

    def through(self, x: Any, do: Any) -> Any:
        """Returns what becomes of a picture of -1 to 1 where `do` carries out each step: NumPy, or a list of them."""
        for k, pairs in enumerate(STAGES):
            x = do.relu(do.convolved(x, *self.layers[f"down{k}"], stride=2))
            for n, dilation in enumerate(pairs):
                inner = do.relu(do.convolved(x, *self.layers[f"pair{k}{n}a"], dilation=dilation))
                x = do.relu(do.sum(x, do.convolved(inner, *self.layers[f"pair{k}{n}b"], dilation=dilation)))
        x = do.relu(do.sum(x, do.each(do.mean(x), *self.layers["scene"])))  # each cell knows what the picture is like
        return do.each(x, *self.layers["cells"])

    def listed(self) -> Listing:
        """Returns the same as a list of operations, from pixels of 0-255 to the cells, for what is no Python."""
        listing = Listing()
        self.through(listing.affine(0, np.array([1 / 127.5]), np.array([-1.0])), listing)
        return listing

    @property
    def facts(self) -> dict[str, float]:
        """What `find` needs to know beside the network."""
        return {"side": SIDE, "step": STEP, "least": LEAST, "closer": CLOSER}

    def look(self, picture: Image.Image, region: Box) -> Found:
        """Returns where the hand most likely is in that part of a picture, in the picture's pixels."""
        seen = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=region, reducing_gap=2.0)
        cells = self.cells(np.asarray(seen))
        highest = max(cells[..., 0].max(), 0.0)  # of the scores, that of "no hand" among them
        chances = np.exp(cells[..., 0] - highest)
        chances /= chances.sum() + np.exp(-highest)
        y, x = np.unravel_index(chances.argmax(), chances.shape)
        near = (slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2))
        share = chances[near].sum()
        box = (boxes_of(cells)[near] * chances[near][..., None]).sum(axis=(0, 1)) / share
        left, top, right, bottom = region
        across, down = right - left, bottom - top
        a, b, c, d = (box * (across, down, across, down) + (left, top, left, top)).tolist()
        return Found((a, b, c, d), float(share))

    def find(self, picture: Image.Image) -> Found:
        """Returns where the hand of a picture is: looked at whole, then closer where something was seen."""
        whole = (0.0, 0.0, float(picture.width), float(picture.height))
        first = self.look(picture, whole)
        second = self.look(picture, square_box(first.box, picture.size, CLOSER))
        return Found(second.box, first.confidence) if second.sure else first

    def find_in(self, data: bytes) -> Found:
        """Returns the same of a photograph's file; a ValueError says why it cannot be decoded."""
        found: list[Found] = []

        def look(picture: Image.Image) -> Image.Image:
            found.append(self.find(picture))
            return picture.resize((1, 1))

        decode_image(data, "RGB", look)
        return found[0]


def boxes_of(cells: np.ndarray) -> np.ndarray:
    """Returns (…, rows, columns, 4): left, top, right and bottom of each cell's box, as shares of the picture."""
    rows, columns = cells.shape[-3:-1]
    down, across = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
    x, y = (across + cells[..., 1]) / columns, (down + cells[..., 2]) / rows
    half = np.exp(np.clip(cells[..., 3:5], -6, 0.5)) / 2
    return np.stack([x - half[..., 0], y - half[..., 1], x + half[..., 0], y + half[..., 1]], axis=-1)


class _InNumPy:
    """The steps of the network, each on float32 (height, width, channels)."""

    @staticmethod
    def convolved(
        x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int = 1, dilation: int = 1
    ) -> np.ndarray:
        """Returns (height / stride, width / stride, out) of a picture (height, width, in), zeros beyond its edges."""
        height, width, channels = x.shape
        padded = np.pad(x, ((dilation, dilation), (dilation, dilation), (0, 0)))
        starts = [(i * dilation, j * dilation) for i in range(3) for j in range(3)]
        views = [padded[i : i + height : stride, j : j + width : stride] for i, j in starts]
        return np.concatenate(views, axis=-1) @ kernel.reshape(9 * channels, -1) + bias

    @staticmethod
    def each(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        return x @ kernel + bias

    @staticmethod
    def mean(x: np.ndarray) -> np.ndarray:
        return x.mean(axis=(0, 1))

    sum = staticmethod(np.add)

    @staticmethod
    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)


@functools.cache
def load_localiser() -> Localiser | None:
    """Returns the network of the checkout; None, with a warning, where its file is missing or not the published one."""
    file = find_in_checkout(FILE)
    if file is None:
        return None
    if file_digest(file) != SHA256:
        log.warning("%s is not the published file, and finds no hands. Restore it: git checkout -- %s", file, FILE)
        return None
    with np.load(file, allow_pickle=False) as arrays:
        return Localiser(dict(arrays))


def find_hands(names: Sequence[str], each: Each, kept: Path, *, asked: bool = False) -> dict[str, Found]:
    """Returns where the hand of each photograph is; nothing where the set does not show hands, or nothing finds them.

    Args:
        names: Of the photographs.
        each: Does something with every one, in this order: it is given a photograph and the bytes of its file.
        kept: The table of an earlier call, which is used, or where this one's is written.
        asked: Whether they must be looked for: a DataError says that nothing can.
    """
    network = load_localiser()
    if network is None:
        if asked:
            raise DataError(f"Looking for hands needs {FILE.as_posix()} of a checkout; none is here. Use --crop none.")
        return {}
    with suppress(OSError, ValueError):
        return _enough(_kept(names, kept))

    looked = each(lambda photo, data: network.find_in(data))
    found = dict(zip(names, tqdm(looked, desc="find hands", unit="img", total=len(names), delay=2), strict=True))
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(kept) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([name, *one.box, one.confidence] for name, one in found.items())
    return _enough(found)


def _kept(names: Sequence[str], path: Path) -> dict[str, Found]:
    """Returns what the table holds; a ValueError says that it is not of those photographs."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if [row[0] for row in rows] != list(names):
        raise ValueError("another set's")
    numbers = [map(float, row[1:]) for row in rows]
    return {name: Found((a, b, c, d), e) for name, (a, b, c, d, e) in zip(names, numbers, strict=True)}


def _enough(found: dict[str, Found]) -> dict[str, Found]:
    sure = sum(one.sure for one in found.values())
    few = sure < MOST_OFTEN * len(found)
    then = ": all are taken whole" if few else ", and is cut out; the others are taken whole"
    log.info("a hand was found in %s of %s%s", f"{sure:,}", counted(len(found), "photograph"), then)
    return {} if few else found
