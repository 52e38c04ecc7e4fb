"""Endless different pictures of signing hands to pretrain on: drawn hands put before drawn places, then photographed.

Drawing a hand takes a twentieth of a second and photographing it a thousandth, so both stocks, hands and places, are
drawn once and every picture is a new meeting of the two: its own angle, size, place, light, colours and camera. Every
hand belongs to a signer of its own. All follows from seeds: batch 7 of a seed is the same whenever it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from casestudy.files import atomic_path
from SCRIPTS.hands.drawing import Pose, draw_hand, hold
from SCRIPTS.hands.handshapes import LETTERS, THUMB_BONES, VARIANTS, Handshape, angles_of, between, skeleton
from SCRIPTS.hands.pretrain_camera import developed, movement, plain_place, smeared, white_balanced
from SCRIPTS.hands.scenes import PLACES, backdrop, skin_tone
from SCRIPTS.hands.signers import random_signer

CANVAS, PLACE_SIDE = 144, 128  # pixels of a drawn hand's picture, and of a place's
FILL = 0.56  # share of its picture that a hand takes: the rest is for its arm
PLAIN = 0.2  # share of pictures before a place with nothing in it
SHARD = 250  # hands drawn in one piece: what a killed drawing loses at most
SEED = 17  # the sample's signers come from another
UNNAMED = 0.25  # share of hands between two letters, which have a pose to learn and no name
VARIED = 0.4  # share of another way to form a letter, where people have one
POSE = 31  # numbers that say how a hand is held
Job, Draw = tuple[tuple[int, ...], int, int, float], Callable[..., tuple[np.ndarray, ...]]  # of a batch


@dataclass(frozen=True)
class Stock:
    """Hands (N, CANVAS, CANVAS, 4), sRGB and cover, uint8; their letters (N,), -1 for none; their boxes
    (N, 4) in pixels; their poses (N, POSE); and places (M, PLACE_SIDE, PLACE_SIDE, 3)."""

    hands: np.ndarray
    letters: np.ndarray
    boxes: np.ndarray
    poses: np.ndarray
    places: np.ndarray


def describe(pose: Pose, left_handed: bool) -> np.ndarray:
    """The pose as POSE numbers around 0: fingers' angles over 45 degrees, thumb's joints from its base in hand units,
    where the palm and where the fingers point, seen by the viewer."""
    thumb = skeleton(pose.shape)[0][0]
    flip = np.array([-1.0 if left_handed else 1.0, 1.0, 1.0])
    parts = [angles_of(pose.shape) / 45 - 0.8, (thumb[1:] - thumb[0]) / THUMB_BONES.mean(),
             pose.turn[:, 2] * flip, pose.turn[:, 1] * flip]  # fmt: skip
    return np.concatenate([part.ravel() for part in parts]).astype(np.float32)


def _shape(rng: np.random.Generator) -> tuple[int, Handshape]:
    first, second = rng.choice(list(LETTERS), 2, replace=False)
    if rng.uniform() < UNNAMED:
        return -1, between(LETTERS[first], LETTERS[second], rng.uniform(0.25, 0.75))
    ways = VARIANTS.get(first, ()) if rng.uniform() < VARIED else ()
    return list(LETTERS).index(first), ways[rng.integers(len(ways))] if ways else LETTERS[first]


@dataclass(frozen=True)
class Shelf:
    """Which hands and how many places: `hands` of them, in shards whose numbers, and so signers, begin at `first`."""

    folder: Path
    first: int
    hands: int
    places: int

    @property
    def shards(self) -> list[Path]:
        return [self.folder / f"hands-{self.first + k:05d}.npz" for k in range(math.ceil(self.hands / SHARD))]

    @property
    def joined(self) -> Path:
        return self.folder / f"hands-from-{self.first:05d}.npy"

    @property
    def scenery(self) -> Path:
        return self.folder / f"places-{self.first}.npy"


def _draw_shard(number: int, count: int, target: Path) -> None:
    """Draws `count` hands, all of other signers, into one .npz."""
    hands = np.zeros((count, CANVAS, CANVAS, 4), np.uint8)
    letters, boxes, poses = np.zeros(count, np.int64), np.zeros((count, 4)), np.zeros((count, POSE), np.float32)
    for k in range(count):
        rng = np.random.default_rng([SEED, number, k])
        signer = random_signer(rng, left_handed=bool(rng.uniform() < 0.5), wild=1.0)
        # Other people's hands, and cameras further round them, than in a tidy series: children's, long, thick ones.
        width, fingers, thumb = np.array(signer.proportions) * rng.uniform(0.94, 1.06, 3)
        signer = replace(signer, proportions=(width, fingers, thumb),
                         thickness=signer.thickness * rng.uniform(0.9, 1.1),
                         view=tuple(np.array(signer.view) * (1.3, 1.25, 1.0)))  # fmt: skip
        letters[k], shape = _shape(rng)
        pose = hold(shape, signer, rng, rng, loose=rng.uniform(0.8, 2.0))
        hand = draw_hand(pose, signer, rng, CANVAS, fill=FILL, at=np.array([0.5, 0.5]))
        plain = np.clip(hand.colour / np.maximum(hand.cover, 1e-6), 0, 1) ** (1 / 2.2)
        hands[k] = np.rint(np.concatenate([plain, hand.cover], axis=-1) * 255)
        boxes[k], poses[k] = hand.box, describe(pose, signer.left_handed)
    with atomic_path(target) as partial:
        np.savez(partial, hands=hands, letters=letters, boxes=boxes, poses=poses)


def _draw_places(seed: int, count: int, target: Path) -> None:
    places = np.zeros((count, PLACE_SIDE, PLACE_SIDE, 3), np.uint8)
    for k in range(count):
        rng = np.random.default_rng([SEED, seed, k])
        person = (skin_tone(rng.uniform(1, 10)), tuple(rng.uniform(0.05, 0.95, 3))) if rng.uniform() < 0.5 else None
        places[k] = backdrop(
            str(rng.choice(list(PLACES))), rng, PLACE_SIDE, wall=rng.uniform(0.1, 0.95) * (1 + rng.normal(0, 0.12, 3)),
            other=rng.uniform(0.1, 0.9) * (1 + rng.normal(0, 0.25, 3)), clutter=int(rng.integers(0, 14)),
            person=person, softness=rng.uniform(0.002, 0.02),
        )  # fmt: skip
    with atomic_path(target) as partial:
        np.save(partial, places)


def draw_stock(shelf: Shelf, workers: int) -> None:
    """Draws what is not on the shelf yet; killed, it goes on with the shard it was at."""
    shelf.folder.mkdir(parents=True, exist_ok=True)
    with pool_of(workers) as pool:
        wanted: list[Future] = []
        if not shelf.scenery.exists():
            wanted.append(pool.submit(_draw_places, shelf.first, shelf.places, shelf.scenery))
        for k, target in enumerate(shelf.shards):
            if not target.exists():
                count = min(SHARD, shelf.hands - k * SHARD)
                wanted.append(pool.submit(_draw_shard, shelf.first + k, count, target))
        for done in tqdm(wanted, desc="drawing hands", unit="shard", disable=not wanted):
            done.result()
    if not shelf.joined.exists():
        shape = (shelf.hands, CANVAS, CANVAS, 4)
        with atomic_path(shelf.joined) as partial:
            out = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
            for k, shard in enumerate(shelf.shards):
                out[k * SHARD : (k + 1) * SHARD] = np.load(shard)["hands"]
            del out  # writes what is left, and closes the file


def pool_of(count: int, **options: object) -> ProcessPoolExecutor:
    # Spawned, not forked: the process that trains has threads of TensorFlow's in it.
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), **options)


def load_stock(shelf: Shelf) -> Stock:
    """What `draw_stock` drew. The pixels stay on disk, in one file that all processes share."""
    parts = [np.load(shard) for shard in shelf.shards]
    letters, boxes, poses = (np.concatenate([part[name] for part in parts]) for name in ("letters", "boxes", "poses"))
    return Stock(np.load(shelf.joined, mmap_mode="r"), letters, boxes, poses, np.load(shelf.scenery, mmap_mode="r"))


@dataclass(frozen=True)
class Frame:
    """What a camera sees of a hand's picture: a square of that side round its middle, in pixels of the picture."""

    side: float
    middle: np.ndarray  # (x, y)
    turn: float  # in radians
    mirrored: bool
    stretch: np.ndarray  # across and down
    reach: float = 0.75  # how far from the middle of the hand's picture it may see, as a share of its side


def _frame(box: np.ndarray, rng: np.random.Generator, trouble: float) -> Frame:
    share = rng.triangular(1.0 - 0.08 * trouble, 1.12, 1.25 + 0.5 * trouble)
    if rng.uniform() < 0.12 * trouble:  # a hand far from the camera, or a box drawn generously
        share = rng.uniform(1.5, 2.4)
    side = max(box[2] - box[0], box[3] - box[1]) * share
    middle = (box[:2] + box[2:]) / 2 + rng.uniform(-0.12, 0.12, 2) * side * trouble
    lean = rng.normal(0, 0.28 if rng.uniform() < 0.3 else 0.13)  # some lean far, none so far that U lies down as H does
    turn, mirrored = np.clip(lean, -0.5, 0.5) * trouble, bool(rng.uniform() < 0.5)
    return Frame(side, middle, float(turn), mirrored, np.exp(rng.normal(0, 0.06, 2) * trouble))


def axes_of(frame: Frame, steps: int) -> np.ndarray:
    """What one of so many steps across the frame, and one down, are in the hand's picture: the columns of (2, 2)."""
    cos, sin = np.cos(frame.turn) * frame.side / steps, np.sin(frame.turn) * frame.side / steps
    return np.array([[cos, -sin], [sin, cos]]) * frame.stretch * (-1 if frame.mirrored else 1, 1)


def framed(hand: np.ndarray, frame: Frame, size: int) -> np.ndarray:
    """The hand, colours and cover in 0–1, float32 (size, size, 4), as the camera's frame cuts it out."""
    side, middle = frame.side, frame.middle
    detail = 2 if side / size < 1.2 else 1  # smaller than half a pixel is not worth sampling
    out = size * detail
    (a, b), (d, e) = axes_of(frame, out)
    # Beyond its picture's edge an arm goes on as it was there.
    edge = max(0, math.ceil(side * frame.reach - hand.shape[0] / 2))
    hand, middle = np.pad(hand, ((edge, edge), (edge, edge), (0, 0)), "edge"), middle + edge
    half = out / 2
    matrix = (a, b, middle[0] - a * half - b * half, d, e, middle[1] - d * half - e * half)
    shrink = max(1, int(side / out))  # bilinear sampling skips pixels below half size
    image, matrix = Image.fromarray(hand).reduce(shrink), tuple(value / shrink for value in matrix)
    image = image.transform((out, out), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(image.reduce(detail) if detail > 1 else image, dtype=np.float32) / 255


def behind_of(stock: Stock, rng: np.random.Generator, size: int, least: float = 0.35) -> np.ndarray:
    """A part of one of the places, `least` of its side or more, sRGB in 0–1, (size, size, 3)."""
    place = Image.fromarray(stock.places[rng.integers(len(stock.places))])
    side = PLACE_SIDE * rng.uniform(least, 1.0)
    left, top = rng.uniform(0, PLACE_SIDE - side, 2)
    part = place.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(part, dtype=np.float32) / 255


def photograph(
    stock: Stock, index: int, rng: np.random.Generator, size: int, trouble: float
) -> tuple[np.ndarray, np.ndarray]:
    """A picture uint8 (size, size, 3) of that hand somewhere, and its pose (POSE,) as this picture shows it.

    `trouble` is how much may go wrong with it, from 0 (a tidy picture) to 1.
    """
    frame = _frame(stock.boxes[index], rng, trouble)
    hand = framed(stock.hands[index], frame, size)
    behind = behind_of(stock, rng, size) if rng.uniform() > PLAIN * trouble else plain_place(rng, size)
    return taken(hand, behind, rng, trouble), _seen(stock.poses[index], frame.turn, frame.mirrored)


def taken(hand: np.ndarray, behind: np.ndarray, rng: np.random.Generator, trouble: float) -> np.ndarray:
    """The picture uint8 (size, size, 3) that a camera makes of a hand (size, size, 4) before a place, all in 0–1."""
    size, cover = len(hand), hand[..., 3:]
    if rng.uniform() < 0.5 * trouble:  # the hand's shadow on what is close behind it
        dx, dy = rng.integers(-size // 8, size // 8 + 1, 2)
        fallen = Image.fromarray(np.roll(cover[..., 0], (dy, dx), (0, 1))).reduce(8).resize((size, size))
        behind = behind * (1 - rng.uniform(0.1, 0.6) * np.asarray(fallen)[..., None])
    behind = behind * (rng.uniform(0.5, 1.3) * (1 + rng.normal(0, 0.05, 3))).astype(np.float32)
    own = hand[..., :3] * cover * (rng.uniform(0.65, 1.3) * (1 + rng.normal(0, 0.06, 3))).astype(np.float32)
    if rng.uniform() < 0.25 * trouble:  # the hand moves, or the camera does
        way = movement(rng, size)
        own, cover = smeared(own, way), smeared(cover, way)
        behind = smeared(behind, way) if rng.uniform() < 0.3 else behind
    scene = np.clip(own + behind * (1 - cover), 0, 1) ** np.float32(np.exp(rng.normal(0, 0.25) * trouble))
    scene = white_balanced(scene, rng, trouble)
    contrast, middle = 1 + rng.uniform(-0.3, 0.25) * trouble, 0.5 + rng.normal(0, 0.06) * trouble
    scene = (scene - 0.5) * np.float32(contrast) + np.float32(middle)
    if rng.uniform() < 0.15 * trouble:  # something in front of the hand
        wide, tall = rng.integers(size // 12, size // 3, 2)
        x, y = rng.integers(0, size, 2)
        scene[y : y + tall, x : x + wide] = rng.uniform(0, 1, 3)
    return developed(scene, cover, rng, trouble)


def _seen(pose: np.ndarray, turn: float, mirrored: bool) -> np.ndarray:
    """The pose after the picture was mirrored and turned: the two directions at its end change, the joints do not."""
    x, y, z = pose[-6:].reshape(2, 3).T
    cos, sin = np.cos(turn), np.sin(turn)
    # The frame turned by `turn` in a picture whose y points down, so its contents turned back; here y points up.
    turned = cos * x - sin * y
    ends = np.stack([-turned if mirrored else turned, sin * x + cos * y, z], axis=1)
    return np.concatenate([pose[:-6], ends.ravel()]).astype(np.float32)


def draw_batch(
    stock: Stock, entropy: tuple[int, ...], count: int, size: int, trouble: float = 1.0
) -> tuple[np.ndarray, ...]:
    """`count` pictures uint8 (count, size, size, 3), letters (count,) and poses (count, POSE), decided by `entropy`."""
    rng = np.random.default_rng(entropy)
    chosen = rng.integers(0, len(stock.hands), count)
    drawn = [photograph(stock, index, rng, size, trouble) for index in chosen]
    return np.stack([image for image, _ in drawn]), stock.letters[chosen], np.stack([pose for _, pose in drawn])


_stock: Stock | None = None  # of a worker process


def _open_stock(shelf: Shelf) -> None:
    global _stock
    _stock = load_stock(shelf)


def _work(draw: Draw, *job) -> tuple[np.ndarray, ...]:
    assert _stock is not None
    return draw(_stock, *job)


def batches(shelf: Shelf, wanted: list[Job], workers: int, draw: Draw = draw_batch) -> Iterator[tuple[np.ndarray, ...]]:
    """The wanted batches (arguments of `draw`, after the stock) in order, made ahead of time in other processes."""
    ahead = 2 * workers + 2
    with pool_of(workers, initializer=_open_stock, initargs=(shelf,)) as pool:
        pending = [pool.submit(_work, draw, *job) for job in wanted[:ahead]]
        try:
            for position in range(len(wanted)):
                ready = pending.pop(0).result()
                if position + ahead < len(wanted):
                    pending.append(pool.submit(_work, draw, *wanted[position + ahead]))
                yield ready
        finally:
            pool.shutdown(cancel_futures=True)
