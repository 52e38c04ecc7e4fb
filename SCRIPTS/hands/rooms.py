"""Rooms as webcams show them behind a signer: doors, windows, curtains, boards, posters, lamps, furniture, their light.

They are the localiser's alone. `scenes` is left as it is: the sample and the `signs` weights follow from its numbers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from casestudy.files import atomic_path
from SCRIPTS.hands.pretrain_images import Shelf, pool_of
from SCRIPTS.hands.scenes import PLACES, Painter, backdrop, tone

ROOM_SIDE = 160  # pixels
SEED = 29


def _door(paint: Painter, rng: np.random.Generator) -> None:
    left, wide, top = rng.uniform((-0.2, 0.2, -0.2), (0.9, 0.5, 0.25))
    frame, leaf, bar = tone(rng), tone(rng, 0.3), rng.uniform(0.01, 0.05)
    paint.rectangle(left - bar, top - bar, left + wide + bar, 1, frame)
    paint.rectangle(left, top, left + wide, 1, leaf)
    for row in range(int(rng.integers(0, 3))):
        y = top + 0.06 + 0.4 * row
        paint.rectangle(left + 0.05, y, left + wide - 0.05, y + 0.3, leaf * rng.uniform(0.85, 1.1))
    paint.ellipse(left + wide * rng.choice([0.12, 0.88]), top + 0.5, 0.04, 0.02, tone(rng))


def _window(paint: Painter, rng: np.random.Generator) -> None:
    """Brighter than all else, often over-exposed, with bars and sometimes a blind."""
    left, top, wide, tall = rng.uniform((-0.3, -0.3, 0.25, 0.3), (0.8, 0.3, 0.8, 0.9))
    bar, frame = rng.uniform(0.01, 0.03), tone(rng, 0.3)
    paint.rectangle(left - bar, top - bar, left + wide + bar, top + tall + bar, frame)
    paint.rectangle(left, top, left + wide, top + tall, rng.uniform(0.8, 1.3) + rng.normal(0, 0.06, 3))
    for x in left + wide * np.arange(1, rng.integers(1, 4)) / 3:
        paint.rectangle(x - bar / 2, top, x + bar / 2, top + tall, frame)
    if rng.uniform() < 0.35:
        for y in np.arange(top, top + tall * rng.uniform(0.3, 1), rng.uniform(0.02, 0.06)):
            paint.line([(left, y), (left + wide, y)], 0.008, frame)


def _curtain(paint: Painter, rng: np.random.Generator) -> None:
    left, wide = rng.uniform((-0.2, 0.15), (0.9, 0.6))
    cloth, folds = tone(rng, 0.2), rng.uniform(0.02, 0.07)
    for x in np.arange(left, left + wide, folds / 4):
        paint.rectangle(x, 0, x + folds / 3, 1, cloth * (1 + 0.25 * np.sin(2 * np.pi * x / folds)))


def _board(paint: Painter, rng: np.random.Generator) -> None:
    """A blackboard or whiteboard, with what was written on it."""
    left, top, wide, tall = rng.uniform((-0.4, -0.2, 0.5, 0.3), (0.5, 0.75, 1.4, 0.8))
    ground = rng.choice([rng.uniform(0.1, 0.35), rng.uniform(0.75, 1.0)]) * (1 + rng.normal(0, 0.08, 3))
    paint.rectangle(left - 0.02, top - 0.02, left + wide + 0.02, top + tall + 0.02, tone(rng))
    paint.rectangle(left, top, left + wide, top + tall, ground)
    chalk = 0.9 - 0.8 * float(ground.mean() > 0.5) + rng.normal(0, 0.05, 3)
    for _ in range(int(rng.integers(0, 8))):
        x, y = rng.uniform((left, top), (left + wide, top + tall))
        stroke = np.array([x, y]) + np.cumsum(rng.normal(0, 0.03, (5, 2)), axis=0)
        paint.line(list(map(tuple, stroke)), 0.005, chalk)


def _poster(paint: Painter, rng: np.random.Generator) -> None:
    left, top, wide, tall = rng.uniform((0, 0, 0.12, 0.12), (0.85, 0.6, 0.4, 0.45))
    paint.rectangle(left, top, left + wide, top + tall, tone(rng))
    for _ in range(int(rng.integers(1, 5))):
        x, y, size = rng.uniform((left, top, 0.03), (left + wide, top + tall, 0.12))
        paint.ellipse(x, y, size, size * rng.uniform(0.5, 2), tone(rng))
    for y in np.arange(top + 0.03, top + tall * rng.uniform(0, 1), 0.035):
        paint.line([(left + 0.02, y), (left + wide * rng.uniform(0.5, 0.9), y)], 0.008, tone(rng))


def _lamp(paint: Painter, rng: np.random.Generator) -> None:
    x, y, size = rng.uniform((0, 0, 0.06), (1, 0.5, 0.2))
    paint.line([(x, y), (x, rng.choice([0.0, 1.0]))], 0.012, tone(rng))
    paint.ellipse(x, y, size * 1.3, size * rng.uniform(0.5, 1.2), tone(rng, 0.4))
    paint.ellipse(x, y, size, size * rng.uniform(0.3, 0.9), (1.2, 1.15, 1.0))


def _furniture(paint: Painter, rng: np.random.Generator) -> None:
    """A cupboard, table, back of a chair or a screen: boxes with edges, drawers and things on top."""
    left, top, wide = rng.uniform((-0.3, 0.3, 0.3), (0.7, 0.9, 1.0))
    body = tone(rng)
    for x in left + wide * rng.uniform(0.05, 0.9, rng.integers(0, 5)):
        paint.rectangle(x, top - rng.uniform(0.04, 0.25), x + rng.uniform(0.03, 0.14), top, tone(rng))
    paint.rectangle(left, top, left + wide, 1, body)
    paint.rectangle(left, top, left + wide, top + 0.02, body * rng.uniform(0.6, 1.4))
    for x in left + wide * np.arange(1, rng.integers(1, 5)) / 4:
        paint.line([(x, top + 0.02), (x, 1)], 0.008, body * 0.6)


def _profile(paint: Painter, rng: np.random.Generator) -> None:
    """Upright or level bars: frames of doors, pipes, rails, cables along a wall."""
    upright, at, slant = rng.uniform() < 0.7, rng.uniform(), rng.normal(0, 0.03)
    for _ in range(int(rng.integers(1, 6))):
        thick = rng.uniform(0.008, 0.06)
        ends = [(at, 0.0), (at + slant, 1.0)] if upright else [(0.0, at), (1.0, at + slant)]
        paint.line(ends, thick, tone(rng))
        at += thick * rng.uniform(0.7, 1.5)


THINGS = (_door, _window, _curtain, _board, _poster, _lamp, _furniture, _profile, _profile)


def draw_room(number: tuple[int, ...], side: int = ROOM_SIDE) -> np.ndarray:
    """The room uint8 (side, side, 3), sRGB, of that number."""
    rng = np.random.default_rng([SEED, *number])
    wall = tone(rng, 0.2, 1.0)
    wall += rng.uniform(0, 1) * (wall.mean() - wall)  # most walls are nearly grey
    paint = Painter(side, wall * rng.uniform(0.9, 1.1), wall * rng.uniform(0.7, 1.0))
    if rng.uniform() < 0.3:
        place = backdrop(str(rng.choice(list(PLACES))), rng, side, wall=wall, other=tone(rng), clutter=3)
        paint.image.paste(Image.fromarray(place))
    for _ in range(int(rng.integers(0, 6))):
        THINGS[rng.integers(len(THINGS))](paint, rng)
    image = paint.image.filter(ImageFilter.GaussianBlur(side * rng.uniform(0, 0.01)))
    coarse = rng.normal(0, 12, (3, 3)).astype(np.float32)  # uneven light
    light = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))[..., None]
    return np.clip(np.asarray(image) + light, 0, 255).astype(np.uint8)


def file_of(shelf: Shelf) -> Path:
    """Where the rooms of a shelf lie: as many as it has places."""
    return shelf.folder / f"rooms-{shelf.first}.npy"


def draw_rooms(shelf: Shelf, workers: int) -> None:
    """Draws the shelf's rooms, of the numbers (first, 0), (first, 1) …, into one file unless it is there."""
    if not file_of(shelf).exists():
        with pool_of(workers) as pool, atomic_path(file_of(shelf)) as partly:
            rooms = pool.map(draw_room, [(shelf.first, k) for k in range(shelf.places)], chunksize=50)
            np.save(partly, np.stack(list(rooms)))


@cache
def load_rooms(shelf: Shelf) -> np.ndarray:
    """Those rooms (count, side, side, 3); the pixels stay on disk, in one file that all processes share."""
    return np.load(file_of(shelf), mmap_mode="r")
