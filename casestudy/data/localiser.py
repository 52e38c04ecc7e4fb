"""A photograph in, where its hand is out: a small network of this project's own, learnt from drawn scenes, in NumPy.

Nothing but NumPy runs it, so that cutting hands out needs no TensorFlow. `SCRIPTS/hands/pretrain_localiser.py` makes
its weights; BatchNormalization is part of the kernels by then.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from casestudy.data.cutting import Box, square_box
from casestudy.files import file_digest, find_in_checkout

log = logging.getLogger(__name__)

FILE = Path("DATA") / "weights" / "hand_localiser.npz"
SHA256 = ""  # of the published file
SIDE, STEP = 96, 8  # pixels of the square that a picture is pressed into, and of each cell that may hold the hand
# Each stage halves the picture by a convolution to so many channels; pairs of convolutions with these dilations follow.
STAGES = ((16, ()), (32, (1,)), (64, (1, 2, 4, 1)))
LEAST = 0.5  # of confidence: below, the whole picture is taken; chosen on drawn scenes
CLOSER = 1.2  # margin of the square that is looked at again, round what the first look found
Kernel = tuple[np.ndarray, np.ndarray]  # (3, 3, in, out), or (in, out) for a layer without neighbours; and (out,)


@dataclass(frozen=True)
class Found:
    """Where the hand of a picture is, and how sure that is: 0 to 1."""

    box: Box
    confidence: float


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
        x = pixels.astype("float32") / 127.5 - 1
        for k, (_, pairs) in enumerate(STAGES):
            x = np.maximum(_convolved(x, self.layers[f"down{k}"], stride=2), 0)
            for n, dilation in enumerate(pairs):
                inner = np.maximum(_convolved(x, self.layers[f"pair{k}{n}a"], dilation=dilation), 0)
                x = np.maximum(x + _convolved(inner, self.layers[f"pair{k}{n}b"], dilation=dilation), 0)
        kernel, bias = self.layers["scene"]
        x = np.maximum(x + (x.mean(axis=(0, 1)) @ kernel + bias), 0)  # each cell knows what the picture is like
        kernel, bias = self.layers["cells"]
        return x @ kernel + bias

    def look(self, picture: Image.Image, region: Box) -> Found:
        """Returns where the hand most likely is in that part of a picture, in the picture's pixels."""
        seen = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=region, reducing_gap=2.0)
        cells = self.cells(np.asarray(seen))
        chances = np.exp(cells[..., 0] - max(cells[..., 0].max(), 0.0))
        chances /= chances.sum() + np.exp(-max(cells[..., 0].max(), 0.0))
        y, x = np.unravel_index(chances.argmax(), chances.shape)
        near = (slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2))
        share = chances[near].sum()
        box = (boxes_of(cells)[near] * chances[near][..., None]).sum(axis=(0, 1)) / share
        left, top, right, bottom = region
        across, down = right - left, bottom - top
        placed = box * (across, down, across, down) + (left, top, left, top)
        return Found(tuple(float(value) for value in placed), float(share))

    def find(self, picture: Image.Image) -> Found:
        """Returns where the hand of a picture is: looked at whole, then closer where something was seen."""
        whole = (0.0, 0.0, float(picture.width), float(picture.height))
        first = self.look(picture, whole)
        second = self.look(picture, square_box(first.box, picture.size, CLOSER))
        return Found(second.box, first.confidence) if second.confidence >= LEAST else first


def boxes_of(cells: np.ndarray) -> np.ndarray:
    """Returns (…, rows, columns, 4): left, top, right and bottom of each cell's box, as shares of the picture."""
    rows, columns = cells.shape[-3:-1]
    down, across = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
    x, y = (across + cells[..., 1]) / columns, (down + cells[..., 2]) / rows
    half = np.exp(np.clip(cells[..., 3:5], -6, 0.5)) / 2
    return np.stack([x - half[..., 0], y - half[..., 1], x + half[..., 0], y + half[..., 1]], axis=-1)


def _convolved(x: np.ndarray, layer: Kernel, stride: int = 1, dilation: int = 1) -> np.ndarray:
    """Returns (height / stride, width / stride, out) of a picture (height, width, in), zeros beyond its edges."""
    kernel, bias = layer
    height, width, channels = x.shape
    padded = np.pad(x, ((dilation, dilation), (dilation, dilation), (0, 0)))
    starts = [(i * dilation, j * dilation) for i in range(3) for j in range(3)]
    views = [padded[i : i + height : stride, j : j + width : stride] for i, j in starts]
    return np.concatenate(views, axis=-1) @ kernel.reshape(9 * channels, -1) + bias


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
