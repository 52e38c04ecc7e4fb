"""What stands behind a hand: rooms, gardens and streets, with clutter, people and skin-coloured distractors."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# Ellis Monk's ten skin tones, lightest first (skintone.google, CC BY 4.0)
MONK = ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420")
INDOORS = ("panel", "stripes", "bricks", "shelf", "window", "office")
OUTDOORS = ("leaves", "garden", "street")
GREENS, HAIR = ((0.22, 0.38, 0.12), (0.55, 0.66, 0.3)), ((0.06, 0.05, 0.05), (0.62, 0.45, 0.28))
Colour = tuple[float, float, float] | np.ndarray


def skin_tone(step: float) -> tuple[float, float, float]:
    """The sRGB colour (0–1) of a step from 1 to 10 on the Monk scale, warmed: its swatches are duller than lit skin.

    A step between two of them is a mixture, so that every tone of the scale can occur.
    """
    lower = min(int(step), len(MONK) - 1)
    pair = np.array([list(bytes.fromhex(tone)) for tone in MONK[lower - 1 : lower + 1]]) / 255
    red, green, blue = pair[0] + (pair[1] - pair[0]) * (step - lower)
    return float(red), float(green * 0.86), float(blue * 0.77)


class Painter:
    """Draws in shares of a square picture's side: (0, 0) is the top left, (1, 1) the bottom right corner."""

    def __init__(self, side: int, top: Colour, bottom: Colour):
        fade = np.linspace(0, 1, side)[:, None, None]
        both = np.asarray(top) * (1 - fade) + np.asarray(bottom) * fade
        self.side = side
        self.image = Image.fromarray(_bytes(np.broadcast_to(both, (side, side, 3))))
        self.pen = ImageDraw.Draw(self.image)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.pen.polygon([(x * self.side, y * self.side) for x, y in points], fill=_rgb(colour))

    def ellipse(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """An ellipse around (x, y)."""
        edges = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2]) * self.side
        self.pen.ellipse(edges.tolist(), fill=_rgb(colour))

    def line(self, points: list[tuple[float, float]], width: float, colour: Colour) -> None:
        ends = [(x * self.side, y * self.side) for x, y in points]
        self.pen.line(ends, fill=_rgb(colour), width=max(1, round(width * self.side)))


def _bytes(colour: np.ndarray) -> np.ndarray:
    return (np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8)


def _rgb(colour: Colour) -> tuple[int, ...]:
    return tuple(_bytes(np.asarray(colour, dtype=np.float64)).tolist())


def tone(rng: np.random.Generator, low: float = 0.1, high: float = 0.9) -> np.ndarray:
    """Any colour, greyish ones more often than loud ones."""
    return rng.uniform(low, high) * (1 + rng.normal(0, 0.22, 3))


def between(rng: np.random.Generator, ends: tuple) -> np.ndarray:
    low, high = np.asarray(ends[0]), np.asarray(ends[1])
    return low + (high - low) * rng.uniform()


def _panel(paint: Painter, rng: np.random.Generator, other: np.ndarray) -> None:
    top = rng.uniform(0.5, 0.7)
    paint.rectangle(0, top, 1, 1, other)
    paint.rectangle(0, top - 0.015, 1, top, other * 0.7)


def _stripes(paint: Painter, rng: np.random.Generator, other: np.ndarray) -> None:
    count, slant = int(rng.integers(6, 16)), rng.choice([0.0, rng.uniform(-0.3, 0.3)])
    for left in np.arange(-4, count + 4) / count:
        right = left + rng.uniform(0.3, 0.6) / count
        paint.polygon([(left, 0), (right, 0), (right + slant, 1), (left + slant, 1)], other)


def _bricks(paint: Painter, rng: np.random.Generator, other: np.ndarray) -> None:
    rows = int(rng.integers(8, 14))
    for row in range(rows):
        paint.rectangle(0, row / rows, 1, (row + 0.13) / rows, other)
        for left in (np.arange(7) + 0.5 * (row % 2)) / 6:
            paint.rectangle(left, row / rows, left + 0.012, (row + 1) / rows, other)


def _shelf(paint: Painter, rng: np.random.Generator, other: np.ndarray) -> None:
    for top in (0.0, 0.36, 0.72):
        paint.rectangle(0, top + 0.31, 1, top + 0.36, other * 0.6)
        left = 0.0
        while left < 1:
            thick = rng.uniform(0.025, 0.075)
            paint.rectangle(left, top + rng.uniform(0.03, 0.14), left + thick * 0.92, top + 0.31, tone(rng))
            left += thick


def _window(paint: Painter, rng: np.random.Generator, other: np.ndarray) -> None:
    x, y, bar = rng.uniform(0.2, 0.7), rng.uniform(0.1, 0.4), rng.uniform(0.012, 0.03)
    paint.rectangle(x - 0.27 - bar, y - 0.3 - bar, x + 0.27 + bar, y + 0.3 + bar, other * 0.5)
    for column in (-0.27, 0.0):
        for row in (-0.3, 0.0):
            paint.rectangle(x + column + bar, y + row + bar, x + column + 0.27, y + row + 0.3, other * 1.3)


def _office(paint: Painter, rng: np.random.Generator, other: np.ndarray) -> None:
    paint.rectangle(0, rng.uniform(0.6, 0.85), 1, 1, other * 0.8)
    for _ in range(rng.integers(2, 5)):  # cupboards, doors and pictures, each with a frame
        left, top, wide, tall = rng.uniform((0, 0, 0.12, 0.15), (0.85, 0.5, 0.4, 0.6))
        paint.rectangle(left, top, left + wide, top + tall, tone(rng))
        paint.rectangle(left + 0.02, top + 0.02, left + wide - 0.02, top + tall - 0.02, tone(rng))


def _leaves(paint: Painter, rng: np.random.Generator, other: np.ndarray) -> None:
    for _ in range(120):
        x, y, wide, tall = rng.uniform((0, 0, 0.03, 0.03), (1, 1, 0.16, 0.12))
        paint.ellipse(x, y, wide, tall, other * rng.uniform(0.45, 1.1))


def _garden(paint: Painter, rng: np.random.Generator, other: np.ndarray) -> None:
    ground = rng.uniform(0.5, 0.75)
    for _ in range(rng.integers(2, 6)):
        x, height = rng.uniform(0, 1), rng.uniform(0.2, 0.5)
        paint.rectangle(x - 0.02, ground - height, x + 0.02, ground, (0.3, 0.22, 0.15))
        for _ in range(14):
            dx, dy, wide = rng.normal(0, 0.08), rng.normal(0, 0.09), rng.uniform(0.06, 0.16)
            paint.ellipse(x + dx, ground - height + dy, wide, wide * 0.8, between(rng, GREENS) * rng.uniform(0.6, 1.2))
    paint.rectangle(0, ground, 1, 1, between(rng, GREENS))
    for _ in range(60):
        x, y = rng.uniform(0, 1), rng.uniform(ground, 1)
        paint.line([(x, y), (x + rng.normal(0, 0.02), y - 0.05)], 0.006, between(rng, GREENS))


def _street(paint: Painter, rng: np.random.Generator, other: np.ndarray) -> None:
    ground, left = rng.uniform(0.65, 0.85), 0.0
    while left < 1:
        wide, top, wall = rng.uniform(0.15, 0.4), rng.uniform(0.02, 0.4), tone(rng, 0.3)
        paint.rectangle(left, top, left + wide, ground, wall)
        for x in np.arange(left + 0.03, left + wide - 0.04, 0.08):
            for y in np.arange(top + 0.05, ground - 0.06, 0.11):
                paint.rectangle(x, y, x + 0.045, y + 0.065, wall * rng.uniform(0.35, 0.6))
        left += wide
    paint.rectangle(0, ground, 1, 1, tone(rng, 0.3, 0.5))


PLACES = {
    "panel": _panel, "stripes": _stripes, "bricks": _bricks, "shelf": _shelf, "window": _window, "office": _office,
    "leaves": _leaves, "garden": _garden, "street": _street,
}  # fmt: skip


def _clutter(paint: Painter, rng: np.random.Generator, count: int) -> None:
    """Things of every shape; a third of them have the colour of some skin, so that colour alone finds no hand."""
    for _ in range(count):
        colour = skin_tone(rng.uniform(1, 10)) if rng.uniform() < 0.35 else tone(rng)
        x, y, wide, tall = rng.uniform((0, 0, 0.04, 0.04), (1, 1, 0.3, 0.3))
        kind = int(rng.integers(3))
        if kind == 0:
            paint.rectangle(x, y, x + wide, y + tall, colour)
        elif kind == 1:
            paint.ellipse(x, y, wide, tall, colour)
        else:
            dx, dy = rng.normal(0, 0.3, 2)
            paint.line([(x, y), (x + dx, y + dy)], rng.uniform(0.01, 0.09), colour)


def _person(paint: Painter, rng: np.random.Generator, skin: Colour, shirt: Colour) -> None:
    """The signer's own body behind the hand: shoulders, neck, face and hair, as a webcam sees them."""
    x, chin, size = rng.uniform(0.1, 0.9), rng.uniform(0.12, 0.5), rng.uniform(0.26, 0.5)
    skin, shirt, hair = np.asarray(skin) * rng.uniform(0.75, 1.0), np.asarray(shirt), between(rng, HAIR)
    paint.ellipse(x, chin - size * 0.72, size * 0.95, size * 1.25, hair)
    if rng.uniform() < 0.4:
        paint.rectangle(x - size * 0.46, chin - size * 0.75, x + size * 0.46, chin + size * 0.2, hair)
    paint.rectangle(x - size * 0.2, chin - size * 0.3, x + size * 0.2, chin + size * 0.4, skin * 0.85)
    shoulder = [(x - size * 0.3, chin + size * 0.2), (x + size * 0.3, chin + size * 0.2),
                (x + size * 1.15, chin + size * 0.55), (x + size * 1.4, 1.3), (x - size * 1.4, 1.3),
                (x - size * 1.15, chin + size * 0.55)]  # fmt: skip
    paint.polygon(shoulder, shirt)
    if rng.uniform() < 0.3:  # a collar or a print
        paint.ellipse(x, chin + size * 0.95, size * rng.uniform(0.3, 0.9), size * 0.4, tone(rng))
    paint.ellipse(x, chin - size * 0.5, size * 0.72, size, skin)
    paint.ellipse(x, chin - size * 0.88, size * 0.7, size * 0.38, hair)
    for side in (-1, 1):
        paint.ellipse(x + side * size * 0.16, chin - size * 0.52, size * 0.11, size * 0.06, (0.1, 0.08, 0.08))
    paint.line([(x - size * 0.1, chin - size * 0.16), (x + size * 0.1, chin - size * 0.16)], size * 0.05, skin * 0.6)


def backdrop(
    place: str,
    room: np.random.Generator,
    size: int,
    *,
    wall: Colour,
    other: Colour,
    clutter: int = 0,
    person: tuple[Colour, Colour] | None = None,
    softness: float = 0.012,
) -> np.ndarray:
    """A place, uint8 (size, size, 3), sRGB: all of it follows from `room`, so the same generator state draws it again.

    Args:
        place: A key of `PLACES`.
        wall: Colour (0–1) of what is largest in it; `other` of its second thing.
        clutter: How many things lie about.
        person: Skin and shirt of someone who stands there.
        softness: Blur by distance, as a share of the side.
    """
    wall, other = np.asarray(wall), np.asarray(other)
    if place in OUTDOORS:
        wall = 0.45 * wall + 0.55 * np.array((0.72, 0.83, 0.95))
    paint = Painter(size, wall * room.uniform(1.0, 1.12), wall * room.uniform(0.7, 1.0))
    PLACES[place](paint, room, other)
    _clutter(paint, room, clutter)
    if person is not None:
        _person(paint, room, *person)
    image = paint.image.filter(ImageFilter.GaussianBlur(size * softness))
    grids = ((4, 3, 4), (16, 1, 2.5), (size // 3, 1, 2))  # cells a side, channels, strength
    coarse = [room.normal(0, strength, (n, n, channels)) for n, channels, strength in grids]
    pixels = np.asarray(image, dtype=np.float64)
    for cloud in coarse:  # uneven light, then the texture of surfaces
        layers = [Image.fromarray(cloud[..., c]).resize((size, size), Image.Resampling.BILINEAR)
                  for c in range(cloud.shape[2])]  # fmt: skip
        pixels = pixels + np.stack([np.asarray(layer) for layer in layers], axis=-1)
    return np.clip(np.floor(pixels + 0.5), 0, 255).astype(np.uint8)
