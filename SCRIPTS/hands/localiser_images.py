"""Whole scenes to find a hand in: drawn hands of every size anywhere before drawn places, and places without a hand.

Two kinds: a hand alone with its forearm before a place of the sample's kind, and a hand on the arm of somebody who
stands in a room, as a webcam sees them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from casestudy.data.localiser import CLOSER
from SCRIPTS.hands.people import DETAIL, Pen, cloth, draw_arm, draw_person, skin_of, wrist_of
from SCRIPTS.hands.pretrain_camera import plain_place
from SCRIPTS.hands.pretrain_images import Frame, Shelf, Stock, axes_of, behind_of, framed, taken
from SCRIPTS.hands.rooms import load_rooms
from SCRIPTS.hands.scenes import skin_tone, tone

NOBODY = 0.15  # share of scenes without a hand
LARGEST, SMALLEST = 1.1, 7.5  # sides of the picture over that of the hand's box
BEYOND = 0.08  # of its own size that a hand's middle may come nearer to the edge than half
PLAIN = 0.15  # share of scenes before nothing
ALONE, CLOSE = 0.35, 0.5  # shares: of scenes of the first kind, and of the second that are like a closer look
NEAREST, WEBCAM = 1.4, 0.144  # of the second kind: as LARGEST; and half the logarithm of 4:3
BOX_TO_HAND = 1.15  # lengths of a stretched hand and of a box's longer side: many hands are closed
PEOPLED, ONE_LIGHT, HAZE = 0.85, 0.5, 0.2  # shares of the second kind
Scene = tuple[np.ndarray, np.ndarray]  # uint8 (size, size, 3); its hand's box as shares of it (4,), or NaN


def draw_scene(stock: Stock, index: int, rng: np.random.Generator, size: int, trouble: float) -> Scene:
    """A hand alone, before a place."""
    behind = behind_of(stock, rng, size, least=0.6) if rng.uniform() > PLAIN else plain_place(rng, size)
    if rng.uniform() < NOBODY:
        return taken(np.zeros((size, size, 4), np.float32), behind, rng, trouble), np.full(4, np.nan, np.float32)
    share = np.exp(rng.uniform(np.log(LARGEST), np.log(SMALLEST)))
    room = max(0.0, 0.5 - (0.5 - BEYOND) / share)
    at = rng.uniform(-room, room, 2)  # of the hand's middle from the picture's, in shares of the side
    # Photographs of any shape are pressed into a square.
    stretch = np.exp(np.array([1, -1]) * rng.uniform(-0.3, 0.3) + rng.normal(0, 0.05, 2))
    hand, box, frame = _placed(stock, index, rng, share, at, stretch, reach=1.6)
    return taken(framed(hand, frame, size), behind, rng, trouble), _seen(hand, box, frame)


def _placed(
    stock: Stock, index: int, rng: np.random.Generator, share: float, at: np.ndarray, stretch: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, Frame]:
    """A hand's picture, its box there, and the frame that shows the hand's middle `at`, `share` times as large."""
    shrink = max(1, int(share / 2))  # before the edge is drawn out: a far hand needs few of its pixels
    hand, box = stock.hands[index], stock.boxes[index] / shrink
    hand = np.asarray(Image.fromarray(hand).reduce(shrink))
    side = (box[2:] - box[:2]).max() * share
    turn, mirrored = float(np.clip(rng.normal(0, 0.2), -0.6, 0.6)), bool(rng.uniform() < 0.5)
    frame = Frame(side, (box[:2] + box[2:]) / 2, turn, mirrored, stretch, reach)
    # Picture to hand: x' = A x + middle, so the hand's middle, seen at `at`, needs middle = box's - A at.
    return hand, box, replace(frame, middle=frame.middle - axes_of(frame, 1) @ at)


def _in_scene(points: np.ndarray, frame: Frame) -> np.ndarray:
    """Where points (N, 2) of a hand's picture are in the scene, in shares of it."""
    return 0.5 + (points - frame.middle) @ np.linalg.inv(axes_of(frame, 1)).T


def _seen(hand: np.ndarray, box: np.ndarray, frame: Frame) -> np.ndarray:
    """The box of the hand in the scene."""
    seen = _in_scene(_pixels_of(hand, box), frame)
    return np.concatenate([seen.min(axis=0), seen.max(axis=0)]).astype(np.float32)


def draw_signer(
    stock: Stock, index: int, rng: np.random.Generator, size: int, trouble: float, *, rooms: np.ndarray
) -> Scene:
    """A hand on the arm of somebody in one of the rooms (N, side, side, 3)."""
    share, at, stretch = _closer(rng) if rng.uniform() < CLOSE else _whole(rng)
    hand, box, frame = _placed(stock, index, rng, share, at, stretch, reach=0)
    long = BOX_TO_HAND / share * np.exp(rng.normal(0, 0.12)) / stretch
    pattern, shirt = cloth(rng, size, float(long.mean())), tone(rng, 0.03, 1.0).clip(0.02, 1.1)
    neck, nobody = rng.uniform((-0.2, 0.2), (1.2, 1.1)), rng.uniform() < NOBODY
    if nobody:
        front, skin = np.zeros((size, size, 4), np.float32), np.array(skin_tone(rng.uniform(1, 10)))
    else:
        front, skin = framed(hand, frame, size), skin_of(hand, box)
        wrist = wrist_of(hand, box)
        if wrist is not None:
            if wrist.sleeved(skin) and rng.uniform() < 0.8:
                shirt = wrist.colours.mean(axis=0)
            ends = _in_scene(np.vstack([wrist.places, wrist.places.mean(axis=0) + wrist.way]), frame)
            pen = Pen(Image.new("RGBA", (size * DETAIL, size * DETAIL)), ends[:-1].mean(axis=0), long)
            body = draw_arm(pen, rng, pen.hands(ends[:-1]), pen.hands(ends[-1]), wrist, skin, shirt)
            front = _over(front, pen.picture(pattern))
            neck = neck if rng.uniform() < 0.25 else pen.origin + body * long
    pen = Pen(_room(rooms, rng, size * DETAIL), neck, long)
    if rng.uniform() < PEOPLED:
        draw_person(pen, rng, skin * rng.uniform(0.8, 1.1), shirt)
    back = pen.picture(pattern)
    light = _light(rng, size)
    if rng.uniform() < ONE_LIGHT and not nobody:  # else `taken` lights hand and place, each for itself
        front = _over(front, back)
    front[..., :3], back = front[..., :3] * light, back[..., :3] * light
    if rng.uniform() < HAZE:
        haze, much = rng.uniform(0.3, 0.8), rng.uniform(0.1, 0.5)
        front[..., :3], back = front[..., :3] * (1 - much) + haze * much, back * (1 - much) + haze * much
    return taken(front, back, rng, trouble), np.full(4, np.nan, np.float32) if nobody else _seen(hand, box, frame)


def _closer(rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    """As `_whole`, of a square round what a first look found."""
    share, stretch = (1 + CLOSER) * np.exp(rng.normal(0, 0.2)), np.exp(rng.normal(0, 0.05, 2))
    return share, np.clip(rng.normal(0, 0.12, 2), -0.4, 0.4) / share, stretch


def _whole(rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    """How often as large as the hand a photograph is, where its middle is from the picture's, and how it is pressed."""
    share = np.exp(rng.uniform(np.log(NEAREST), np.log(SMALLEST)))
    at = rng.uniform(-1, 1, 2) * max(0.0, 0.5 - (0.5 - BEYOND) / share)
    shape = rng.choice([0, WEBCAM, rng.uniform(-0.3, 0.3)])
    return share, at, np.exp(np.array([1, -1]) * shape + rng.normal(0, 0.05, 2))


def _room(rooms: np.ndarray, rng: np.random.Generator, size: int) -> Image.Image:
    """A part of one of the rooms, or nothing but a colour, RGBA."""
    if rng.uniform() < PLAIN:
        return Image.fromarray((plain_place(rng, size) * 255).astype(np.uint8)).convert("RGBA")
    room = Image.fromarray(rooms[rng.integers(len(rooms))])
    side = room.width * rng.uniform(0.35, 1.0)
    left, top = rng.uniform(0, room.width - side, 2)
    room = room.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.uniform() < 0.5 else room
    part = room.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return part.convert("RGBA")


def _over(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Both layers (size, size, 4), colours and cover in 0–1, one over the other."""
    through = bottom[..., 3:] * (1 - top[..., 3:])
    cover = top[..., 3:] + through
    colours = (top[..., :3] * top[..., 3:] + bottom[..., :3] * through) / np.maximum(cover, 1e-6)
    return np.concatenate([colours, cover], axis=-1)


def _light(rng: np.random.Generator, size: int) -> np.ndarray:
    """What light leaves of colours, (size, size, 1): less on one side than on the other."""
    angle, much = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.3)
    line = np.linspace(-1, 1, size, dtype=np.float32)
    return np.exp(much * (np.cos(angle) * line + np.sin(angle) * line[:, None]))[..., None].astype(np.float32)


def _pixels_of(hand: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The middles (N, 2) of the pixels of a hand's picture that show it, without the arm: those in its box."""
    left, top = np.floor(box[:2]).astype(int).clip(0)
    right, bottom = np.ceil(box[2:]).astype(int)
    down, across = np.nonzero(hand[top:bottom, left:right, 3] > 127)
    return np.stack([across + left, down + top], axis=1) + 0.5


def draw_scenes(
    stock: Stock, entropy: tuple[int, ...], count: int, size: int, trouble: float = 1.0,
    *, shelf: Shelf, alone: float = ALONE,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """`count` scenes uint8 (count, size, size, 3) and their boxes float32 (count, 4), decided by `entropy`.

    Args:
        shelf: Whose rooms the signers are in.
        alone: Share of hands without anybody, before places of the stock.
    """
    rng = np.random.default_rng(entropy)
    signer = partial(draw_signer, rooms=load_rooms(shelf))
    drawn = [
        (draw_scene if k < alone * count else signer)(stock, index, rng, size, trouble)
        for k, index in enumerate(rng.integers(0, len(stock.hands), count))
    ]
    return np.stack([image for image, _ in drawn]), np.stack([box for _, box in drawn])
