"""Small grey pictures of pictures, and which of them are nearly the same."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
from PIL import Image

SIDE = 16
_SMALL = 180 * 180  # pixels, below which Pillow is as fast
_LONG = 2048  # pixels a side, from which on weights and floats would be larger than the picture
_ONE = 1 << 22  # the unit of Pillow's weights
_REACH = 16  # what the 16 pixels of a block can add up to, one grey level each
_CELL = 8 * 4 * _REACH
_BLOCK = 1 << 12  # more than the largest sum of a block
_MIDDLE = 5  # a block in the middle of the picture, where pictures differ
_PART = 1 << 18  # images whose cells are joined at once
_PAIRS = 1 << 18  # compared at once
_BLANK = 2  # grey levels between the darkest and the brightest part of a picture that shows nothing


def thumbnail(grey: np.ndarray | Image.Image) -> Image.Image:
    """Returns 16×16 of an image in mode "L", or of uint8 (height, width): Pillow's Lanczos to the bit, but faster.

    The products of whole numbers below 2^53 are exact in float64, in whatever order they are added. Rows are resized
    first, as in all of Pillow's versions for common shapes; for others, their order differs.
    """
    sides = grey.size if isinstance(grey, Image.Image) else grey.shape
    if sides[0] * sides[1] < _SMALL or max(sides) > _LONG:
        image = grey if isinstance(grey, Image.Image) else Image.fromarray(grey)
        return image.resize((SIDE, image.height), Image.Resampling.LANCZOS).resize(
            (SIDE, SIDE), Image.Resampling.LANCZOS
        )
    pixels = np.asarray(grey)
    height, width = pixels.shape
    step = max(1, 250_000 // (SIDE * width))  # larger products wait for threads of their own, on a busy machine long
    pieces = [pixels[y : y + step].astype(np.float64) @ _weights(width) for y in range(0, height, step)]
    rows = _rounded(np.concatenate(pieces))
    return Image.fromarray(_rounded(_weights(height).T @ rows).astype(np.uint8))


def _rounded(sums: np.ndarray) -> np.ndarray:
    sums += _ONE // 2
    sums /= _ONE
    return np.floor(sums, out=sums).clip(0, 255, out=sums)


@functools.lru_cache(maxsize=512)  # of the sides that scaled JPEGs have; some 20 MB
def _weights(size: int) -> np.ndarray:
    """Returns float64 (size, 16): what each of so many pixels adds to each of the sixteen, as whole numbers."""
    scale = size / SIDE
    stretch = max(scale, 1.0)
    table = np.zeros((size, SIDE))
    for k in range(SIDE):
        centre = (k + 0.5) * scale
        span = range(max(int(centre - 3 * stretch + 0.5), 0), min(int(centre + 3 * stretch + 0.5), size))
        found = [_lanczos((x - centre + 0.5) * (1 / stretch)) for x in span]
        total = sum(found)
        table[span.start : span.stop, k] = [int(math.copysign(0.5, w) + w * (1 / total) * _ONE) for w in found]
    return table


def _lanczos(x: float) -> float:
    if x == 0:
        return 1.0
    return math.sin(math.pi * x) / (math.pi * x) * math.sin(math.pi * x / 3) / (math.pi * x / 3) if -3 <= x < 3 else 0.0


def is_blank(small: bytes) -> bool:
    """Returns whether a thumbnail shows nothing: (nearly) one colour all over."""
    return max(small) - min(small) <= _BLANK


def first_matches(smalls: np.ndarray) -> np.ndarray:
    """Returns for each image the earliest one that it is a re-encoded or resized copy of, -1 where there is none.

    Two images match if no pixel of their 16×16 thumbnails differs by more than one grey level. Measured on 1,680 video
    frames of seven signers: 98.8 % of copies (JPEG quality 60–90, scaled by 0.5–1.5) match their original, and 10
    frames match an earlier one, though neighbouring frames of a held sign are nearly alike.

    The sums of a thumbnail's quarters differ by 64 at most between images that match. They place it in a cell eight
    times as wide; there, those are looked at whose sum of one block of 4×4 differs by 16 at most. Cells are joined in
    parts, so that beside 150 bytes an image no more memory is needed than a part takes, however many images there are.

    Args:
        smalls: uint8 (N, 256), thumbnails in their order; a memory map of a file, where they are many.
    """
    count = len(smalls)
    pieces = (smalls[k : k + _PART] for k in range(0, count, _PART))
    blocks = np.concatenate([_block_sums(piece) for piece in pieces] or [np.empty((0, 16), np.int16)])
    quarters = blocks.reshape(-1, 2, 2, 2, 2).sum(axis=(2, 4), dtype=np.int32).reshape(-1, 4)
    own = _cells(quarters)
    low, high = np.maximum(quarters - 4 * _REACH, 0), quarters + 4 * _REACH
    crosses = low // _CELL != high // _CELL
    first = np.full(count, count)
    parts = count // _PART + 1
    for part in range(parts):
        members = np.flatnonzero(own % parts == part)
        # Of equal thumbnails, the earliest is enough; a video of a wall has thousands.
        members = members[np.unique(np.ascontiguousarray(smalls[members]).view("V256"), return_index=True)[1]]
        keys = own[members] * _BLOCK + blocks[members, _MIDDLE]
        order = np.argsort(keys)
        members, keys = members[order], keys[order]
        for corner in itertools.product((False, True), repeat=4):
            cells = _cells(np.where(corner, high, low))
            asks = np.flatnonzero((cells % parts == part) & (crosses | ~np.array(corner)).all(axis=1))
            sums, base = blocks[asks, _MIDDLE], cells[asks] * _BLOCK
            begins = np.searchsorted(keys, base + np.maximum(sums - _REACH, 0))
            ends = np.searchsorted(keys, base + np.minimum(sums + _REACH, _BLOCK - 1), "right")
            _compare(smalls, blocks, asks, begins, ends - begins, members, first)
    return np.where(first < count, first, -1)


def _block_sums(smalls: np.ndarray) -> np.ndarray:
    """Returns int16 (N, 16): the sums of the 4×4 blocks of 4×4 pixels, row by row."""
    return smalls.reshape(-1, 4, 4, 4, 4).sum(axis=(2, 4), dtype=np.int16).reshape(-1, 16)


def _cells(quarters: np.ndarray) -> np.ndarray:
    """Returns the number of the cell that each four sums lie in."""
    return quarters // _CELL @ np.array([1, 64, 64**2, 64**3])


def _compare(
    smalls: np.ndarray,
    blocks: np.ndarray,
    asks: np.ndarray,
    begins: np.ndarray,
    counts: np.ndarray,
    members: np.ndarray,
    first: np.ndarray,
) -> None:
    """Lowers `first` of the images `asks` to the earliest match, each among `counts` members from `begins` on."""
    totals, done = np.cumsum(counts), 0
    while done < len(asks):
        before = totals[done - 1] if done else 0
        upto = max(int(np.searchsorted(totals, before + _PAIRS, "right")), done + 1)
        some = slice(done, upto)
        one = np.repeat(asks[some], counts[some])
        starts = np.repeat(begins[some] - (totals[some] - counts[some] - before), counts[some])
        two = members[starts + np.arange(len(one))]
        near = two < one
        for table, reach in ((blocks, _REACH), (smalls[:, SIDE // 2 :: SIDE], 1), (smalls, 1)):
            one, two = one[near], two[near]
            near = (np.abs(table[one].astype(np.int16) - table[two]) <= reach).all(axis=1)
        np.minimum.at(first, one[near], two[near])
        done = upto
