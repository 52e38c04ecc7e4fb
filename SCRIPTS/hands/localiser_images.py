"""Whole scenes to find a hand in: drawn hands of every size anywhere before drawn places, and places without a hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from SCRIPTS.hands.pretrain_camera import plain_place
from SCRIPTS.hands.pretrain_images import Frame, Stock, axes_of, behind_of, framed, taken

NOBODY = 0.15  # share of scenes without a hand
LARGEST, SMALLEST = 1.1, 7.5  # sides of the picture over that of the hand's box
BEYOND = 0.08  # of its own size that a hand's middle may come nearer to the edge than half
PLAIN = 0.15  # share of scenes before nothing


def draw_scene(
    stock: Stock, index: int, rng: np.random.Generator, size: int, trouble: float
) -> tuple[np.ndarray, np.ndarray]:
    """A scene uint8 (size, size, 3), and the box of its hand (left, top, right, bottom in shares of it), or NaN."""
    behind = behind_of(stock, rng, size, least=0.6) if rng.uniform() > PLAIN else plain_place(rng, size)
    if rng.uniform() < NOBODY:
        return taken(np.zeros((size, size, 4), np.float32), behind, rng, trouble), np.full(4, np.nan, np.float32)
    share = np.exp(rng.uniform(np.log(LARGEST), np.log(SMALLEST)))
    shrink = max(1, int(share / 2))  # before the edge is drawn out: a far hand needs few of its pixels
    hand, box = stock.hands[index], stock.boxes[index] / shrink
    hand = np.asarray(Image.fromarray(hand).reduce(shrink))
    sides = box[2:] - box[:2]
    side = sides.max() * share
    room = max(0.0, 0.5 - (0.5 - BEYOND) / share)
    at = rng.uniform(-room, room, 2)  # of the hand's middle from the picture's, in shares of the side
    # Photographs of any shape are pressed into a square.
    stretch = np.exp(np.array([1, -1]) * rng.uniform(-0.3, 0.3) + rng.normal(0, 0.05, 2))
    turn, mirrored = float(np.clip(rng.normal(0, 0.2), -0.6, 0.6)), bool(rng.uniform() < 0.5)
    frame = Frame(side, (box[:2] + box[2:]) / 2, turn, mirrored, stretch, reach=1.6)
    # Picture to hand: x' = A x + middle, so the hand's middle, seen at `at`, needs middle = box's - A at.
    matrix = axes_of(frame, 1)
    frame = replace(frame, middle=frame.middle - matrix @ at)
    seen = 0.5 + np.linalg.inv(matrix) @ (_pixels_of(hand, box) - frame.middle).T
    box_seen = np.concatenate([seen.min(axis=1), seen.max(axis=1)]).astype(np.float32)
    return taken(framed(hand, frame, size), behind, rng, trouble), box_seen


def _pixels_of(hand: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The middles (N, 2) of the pixels of a hand's picture that show it, without the arm: those in its box."""
    left, top = np.floor(box[:2]).astype(int).clip(0)
    right, bottom = np.ceil(box[2:]).astype(int)
    down, across = np.nonzero(hand[top:bottom, left:right, 3] > 127)
    return np.stack([across + left, down + top], axis=1) + 0.5


def draw_scenes(
    stock: Stock, entropy: tuple[int, ...], count: int, size: int, trouble: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """`count` scenes uint8 (count, size, size, 3) and their boxes float32 (count, 4), decided by `entropy`."""
    rng = np.random.default_rng(entropy)
    drawn = [draw_scene(stock, index, rng, size, trouble) for index in rng.integers(0, len(stock.hands), count)]
    return np.stack([image for image, _ in drawn]), np.stack([box for _, box in drawn])
