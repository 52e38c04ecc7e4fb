"""Who signs, drawn to fit a drawn hand: the arm goes on from its wrist to a shoulder, and to that belongs a person.

They are the localiser's alone. Lengths are in hands, about the height of a face, unless they are shares of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from SCRIPTS.hands.scenes import HAIR, between, tone

STRIPS = 6  # lengthwise, that an arm is drawn in: its shading goes on from what the hand's picture shows of it
DETAIL = 2  # pixels drawn for each one of the picture, a side
SLEEVE = 0.045  # distance of chromaticities from which an arm is not of the hand's colour, so it has a sleeve


@dataclass(frozen=True)
class Wrist:
    """What of an arm meets the edge of a hand's picture: a row of places (STRIPS + 1, 2) across it, in the picture's
    pixels, the colours (STRIPS, 3) between them in 0–1, and the way (2,) that it goes."""

    places: np.ndarray
    colours: np.ndarray
    way: np.ndarray

    def sleeved(self, skin: np.ndarray) -> bool:
        """Whether it is of another colour than a hand of that mean colour."""
        colour = self.colours.mean(axis=0)
        return bool(np.abs(colour / colour.sum() - skin / skin.sum()).max() > SLEEVE)


def wrist_of(hand: np.ndarray, box: np.ndarray) -> Wrist | None:
    """Where an arm leaves the hand's picture uint8 (N, N, 4); None where none does, as when it points away from us."""
    covered = hand[..., 3] > 200
    inner = covered[2:-2, 2:-2]
    edge = np.zeros_like(inner)
    edge[[0, -1]], edge[:, [0, -1]] = inner[[0, -1]], inner[:, [0, -1]]
    down, across = np.nonzero(edge)
    if len(down) < 2 * STRIPS:
        return None
    points = np.stack([across, down], axis=1) + 2.5
    way = points.mean(axis=0) - (box[:2] + box[2:]) / 2
    way /= np.hypot(*way)
    aside = points @ (-way[1], way[0])
    order = np.argsort(aside)
    points, colours = points[order], hand[down + 2, across + 2, :3][order] / 255
    cuts = np.linspace(0, len(points) - 1, STRIPS + 1).round().astype(int)
    parts = [colours[a : b + 1].mean(axis=0) for a, b in pairwise(cuts)]
    return Wrist(points[cuts], np.array(parts), way)


def skin_of(hand: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The mean colour (3,) in 0–1 of the hand."""
    (left, top), (right, bottom) = np.clip(box.reshape(2, 2), 0, len(hand)).astype(int)
    part = hand[top : bottom + 1, left : right + 1]
    return part[part[..., 3] > 200][:, :3].mean(axis=0) / 255


def cloth(rng: np.random.Generator, size: int, hand: float) -> np.ndarray:
    """By what the colour of clothes is multiplied, float32 (size, size, 3): checks, stripes, prints, folds and shade.

    Args:
        hand: Length of a hand as a share of the picture.
    """
    angle, pitch = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]), 2 * np.pi / (hand * rng.uniform(0.06, 0.5))
    x, y = np.meshgrid(*[np.linspace(0, pitch, size, dtype=np.float32)] * 2)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    ink = np.exp(rng.uniform(-1.8, 1.5) + rng.normal(0, 0.25, 3)).astype(np.float32)
    wide, kind = rng.uniform(-0.8, 0.8), rng.uniform()
    if kind < 0.4:
        pattern = np.zeros((size, size), np.float32)
    elif kind < 0.55:  # stripes
        pattern = (np.sin(u) > wide).astype(np.float32)
    elif kind < 0.7:  # checks
        pattern = ((np.sin(u) > wide).astype(np.float32) + (np.sin(v) > wide)) / 2
    elif kind < 0.8:  # ribs of knitting
        pattern = 0.25 * np.sin(u)
    elif kind < 0.9:  # a print of blots
        count = max(4, int(rng.uniform(2, 6) / hand))
        pattern = (_cloud(rng, count, size) > rng.uniform(0, 0.6)).astype(np.float32)
    else:  # letters and pictures in one place
        pattern = ((np.sin(u) > wide) & (np.abs(_cloud(rng, 3, size)) > 0.6)).astype(np.float32)
    folds = 0.14 * _cloud(rng, max(3, int(1.5 / hand)), size) + 0.12 * _cloud(rng, 3, size)
    return (1 + pattern[..., None] * (ink - 1)) * (1 + folds[..., None]).clip(0.4, 1.5)


def _cloud(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    grid = Image.fromarray(rng.normal(0, 1, (count, count)).astype(np.float32))
    return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))


class Pen:
    """Draws in hands from an origin of the picture; what is of cloth is remembered.

    Args:
        image: RGBA, DETAIL times as large as the picture is.
        origin: (x, y) in shares of the picture.
        hand: (across, down): the length of a hand in shares of the picture, which may be stretched.
    """

    def __init__(self, image: Image.Image, origin: np.ndarray, hand: np.ndarray):
        self.image, self.origin, self.hand = image, origin, hand
        self.pen = ImageDraw.Draw(image)
        self.cloth = Image.new("L", image.size)
        self.mask = ImageDraw.Draw(self.cloth)

    def hands(self, places: np.ndarray) -> np.ndarray:
        """Places of the picture, in hands from the origin."""
        return (places - self.origin) / self.hand

    def picture(self, pattern: np.ndarray) -> np.ndarray:
        """What was drawn, float32 (size, size, 4) in 0–1, all that is of cloth with that pattern (size, size, 3)."""
        pixels, worn = (np.asarray(one.reduce(DETAIL), np.float32) / 255 for one in (self.image, self.cloth))
        pixels[..., :3] *= 1 + (pattern - 1) * worn[..., None]
        return pixels.clip(0, 1)

    def polygon(self, points: Any, colour: np.ndarray, worn: bool = False) -> None:
        ends = [tuple(one) for one in ((np.asarray(points) * self.hand + self.origin) * self.image.width).tolist()]
        self.pen.polygon(ends, fill=_rgb(colour))
        self.mask.polygon(ends, fill=255 * worn)

    def ellipse(self, x: float, y: float, wide: float, tall: float, colour: np.ndarray, worn: bool = False) -> None:
        """An ellipse around (x, y)."""
        corners = np.array([x, y]) + np.array([[-0.5], [0.5]]) * (wide, tall)
        ends = (corners * self.hand + self.origin) * self.image.width
        self.pen.ellipse(ends.ravel().tolist(), fill=_rgb(colour))
        self.mask.ellipse(ends.ravel().tolist(), fill=255 * worn)

    def limb(self, start: Any, end: Any, wide: tuple[float, float], colour: np.ndarray, worn: bool = False) -> None:
        """A limb from place to place, so wide at its ends, with a shaded side."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        way = (b - a) / max(np.hypot(*(b - a)), 1e-6)
        aside = np.array([-way[1], way[0]]) / 2
        for low, high, light in ((-1, 1, 0.85), (-0.75, 0.6, 1.0), (-0.35, 0.2, 1.08)):
            points = [a + aside * low * wide[0], a + aside * high * wide[0], b + aside * high * wide[1],
                      b + aside * low * wide[1]]  # fmt: skip
            self.polygon(points, colour * light, worn)


def _rgb(colour: np.ndarray) -> tuple[int, ...]:
    return (*(np.clip(colour, 0, 1) * 255).astype(int).tolist(), 255)


def draw_person(pen: Pen, rng: np.random.Generator, skin: np.ndarray, shirt: np.ndarray) -> None:
    """Head, shoulders and trunk; the pen's origin is between the collar bones."""
    build, hair = rng.uniform(0.85, 1.15), between(rng, HAIR) * rng.uniform(0.6, 1.3)
    turned = rng.uniform(-0.14, 0.14)  # of the face, to a side
    if rng.uniform() < 0.35:  # long hair
        pen.polygon([(-0.5, -1.2), (0.5, -1.2), (0.6, rng.uniform(-0.1, 0.7)), (-0.6, rng.uniform(-0.1, 0.7))], hair)
    pen.ellipse(0, -0.95, 0.92, rng.uniform(1.1, 1.3), hair)
    pen.polygon([(-0.24, -0.6), (0.24, -0.6), (0.28, 0.15), (-0.28, 0.15)], skin * 0.82)
    trunk = [(-0.3, -0.05), (0.3, -0.05), (0.95 * build, 0.22), (1.12 * build, 0.55), (1.1 * build, 5),
             (-1.1 * build, 5), (-1.12 * build, 0.55), (-0.95 * build, 0.22)]  # fmt: skip
    pen.polygon(trunk, shirt, worn=True)
    depth, collar = rng.uniform(0.1, 0.7), rng.uniform()
    if collar < 0.5:
        pen.ellipse(0, 0, 0.6, depth, skin * 0.92)
    elif collar < 0.8:  # open, with or without lapels
        pen.polygon([(-0.26, -0.08), (0.26, -0.08), (0, depth)], skin * 0.92)
        if rng.uniform() < 0.6:
            other = shirt * rng.uniform(0.5, 1.5)
            for side in (-1, 1):
                pen.polygon([(side * 0.3, -0.1), (side * 0.42, 0.15), (side * 0.1, depth)], other, worn=True)
    if rng.uniform() < 0.2:  # a jacket's edges, buttons, a scarf
        for side in (-1, 1):
            pen.limb((side * 0.25, -0.05), (side * 0.12, 3), (0.1, 0.1), tone(rng))
    if rng.uniform() < 0.35:  # the other arm, hanging or bent, whose hand is out of sight
        side, bare = rng.choice([-1.0, 1.0]), rng.uniform() < 0.5
        elbow = (side * rng.uniform(1.1, 1.8), rng.uniform(1.4, 2.2))
        pen.limb((side * build, 0.45), elbow, (0.5, 0.42), skin if bare else shirt, not bare)
        pen.limb(elbow, (side * rng.uniform(-1.5, 2.0), 4.5), (0.4, 0.26), skin if bare else shirt, not bare)
    _head(pen, rng, skin, hair, turned)


def _head(pen: Pen, rng: np.random.Generator, skin: np.ndarray, hair: np.ndarray, turned: float) -> None:
    for side in (-1, 1):
        pen.ellipse(side * 0.39 - turned, -0.85, 0.12, 0.24, skin * 0.85)
    tall = rng.uniform(1.0, 1.18)
    pen.ellipse(0, -0.8, 0.76, tall, skin * 0.85)  # its shaded side, then the lit ones
    light = rng.choice([-0.05, 0.05])
    pen.ellipse(light, -0.8, 0.66, tall * 0.96, skin)
    pen.ellipse(light * 1.6 + turned, -0.72, 0.4, 0.55, skin * 1.07)
    line = rng.uniform(-1.3, -1.1)  # of the hair
    if rng.uniform() < 0.85:
        fringe = [(0.3, line + 0.15), (turned, line + rng.uniform(0.02, 0.2)), (-0.3, line + 0.15)]
        pen.polygon([(-0.4, -0.95), (-0.36, line - 0.05), (0, line - 0.15), (0.36, line - 0.05), (0.4, -0.95),
                     *fringe], hair)  # fmt: skip
    x, dark = turned, np.array((0.08, 0.06, 0.06))
    if rng.uniform() < 0.25:  # a beard
        pen.ellipse(x * 0.6, -0.45, 0.5, 0.36, skin * 0.45 + hair * 0.3)
    for side in (-1, 1):
        eye = x + side * 0.16
        pen.ellipse(eye, -0.85, 0.13, 0.065, skin * 0.4 + 0.5)
        pen.ellipse(eye, -0.85, 0.065, 0.065, dark)
        pen.polygon([(eye - 0.09, -0.95), (eye + 0.09, -0.95), (eye + 0.08, -0.98), (eye - 0.08, -0.98)], hair * 0.8)
        pen.ellipse(x + side * 0.035, -0.61, 0.05, 0.03, skin * 0.6)
    pen.polygon([(x - 0.02, -0.85), (x + 0.03, -0.85), (x + 0.08, -0.62), (x + 0.02, -0.6)], skin * 0.85)
    lips = skin * np.array((0.85, 0.6, 0.6))
    pen.ellipse(x, -0.47, rng.uniform(0.18, 0.3), rng.uniform(0.03, 0.09), lips)
    if rng.uniform() < 0.25:  # glasses
        for side in (-1, 1):
            rim = np.array([(0, -0.87), (0.27, -0.91), (0.25, -0.76), (0.05, -0.76)]) * (side, 1) + (x, 0)
            for a, b in pairwise(rim):
                pen.limb(a, b, (0.025, 0.025), dark)


def draw_arm(
    pen: Pen, rng: np.random.Generator, places: np.ndarray, way: np.ndarray, wrist: Wrist, skin: np.ndarray,
    shirt: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Draws forearm and upper arm on from the wrist; returns where between the collar bones they belong, in hands.

    Args:
        places: The wrist's own (STRIPS + 1, 2), in hands.
        way: The wrist's own (2,), in hands and of any length.
    """
    way = way / np.hypot(*way)
    sleeved, across = wrist.sleeved(skin), places[-1] - places[0]
    thick = max(np.hypot(*across), 0.2) * rng.uniform(1.05, 1.5)
    elbow = places.mean(axis=0) + way * rng.uniform(0.5, 1.5)
    rise, side = rng.uniform(-0.5, 1.3), rng.choice([-1.0, 1.0])  # of the upper arm above level, in radians
    shoulder = elbow + rng.uniform(0.8, 1.7) * np.array([side * np.cos(rise), -np.sin(rise)])
    worn = sleeved or bool(rng.uniform() < 0.35)  # a bare forearm may come out of a sleeve that ends at the elbow
    upper = shirt if worn else skin
    pen.limb(shoulder, elbow, (thick * 1.25, thick), upper, worn)
    if not worn:  # short sleeves
        pen.limb(shoulder, elbow * 0.4 + shoulder * 0.6, (thick * 1.4, thick * 1.35), shirt, worn=True)
    pen.ellipse(*elbow, thick, thick, upper, worn)
    line = np.linspace(-0.5, 0.5, STRIPS + 1)[:, None] * np.array([-way[1], way[0]]) * thick
    line = elbow + (line if (line[-1] - line[0]) @ across > 0 else line[::-1])
    for k, colour in enumerate(wrist.colours):
        pen.polygon([places[k], places[k + 1], line[k + 1], line[k]], colour, sleeved)
    if rng.uniform() < 0.12:  # a watch, a cuff
        pen.polygon([places[0], places[-1], places[-1] + 0.13 * way, places[0] + 0.13 * way], tone(rng))
    return shoulder + np.array([side * rng.uniform(0.7, 1.05), rng.uniform(-0.55, -0.3)])
