"""What cameras make of a scene before it is a file: movement, light, colours, softness, grain, a cut-out, few bits.

Each function changes a picture as some cameras do, by chance and by `trouble`, which is how much may go wrong: from 0
(nothing) to 1. All colours are sRGB in 0–1 until `developed`, which gives the file's bytes.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

BLACK, WHITE, CUT = 0.3, 0.2, 0.1  # shares: of plain places that are black or white, and of pictures that are cut out


def plain_place(rng: np.random.Generator, size: int) -> np.ndarray:
    """A place (size, size, 3) with nothing in it: black, white or any colour, a little lighter on one side."""
    kind = rng.uniform()
    low, high = (0.0, 0.08) if kind < BLACK else (0.88, 1.0) if kind < BLACK + WHITE else (0.1, 0.9)
    colour = rng.uniform(low, high) * (1 + rng.normal(0, 0.12, 3))
    across, down = np.linspace(-0.5, 0.5, size), np.linspace(-0.5, 0.5, size)[:, None]
    fall = 1 + rng.normal(0, 0.12) * across + rng.normal(0, 0.12) * down
    return np.clip(fall[..., None] * colour, 0, 1).astype(np.float32)


def smeared(image: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """The mean of the picture (size, size, C) over a straight movement by `shift` pixels (right, down); it stays where
    it was on the whole."""
    steps = round(max(map(abs, shift)))
    total = np.zeros_like(image)
    for share in np.linspace(-0.5, 0.5, steps + 1):
        right, down = (round(share * way) for way in shift)
        total += np.roll(image, (down, right), axis=(0, 1))
    return total / (steps + 1)


def movement(rng: np.random.Generator, size: int) -> tuple[float, float]:
    """A hand's way during the exposure, in pixels (right, down): up to an eleventh of the picture."""
    way, angle = rng.uniform(0.02, 0.09) * size, rng.uniform(0, 2 * np.pi)
    return way * np.cos(angle), way * np.sin(angle)


def white_balanced(scene: np.ndarray, rng: np.random.Generator, trouble: float) -> np.ndarray:
    """The scene under a wrong white balance: other gains and gammas of red and blue; sometimes pale."""
    if rng.uniform() < 0.5 * trouble:
        red, blue = rng.normal(0, 0.13, 2)  # lamps and skies are warm or cold: red and blue move against each other
        gain = np.exp(np.array([red - 0.5 * blue, 0.0, blue - 0.5 * red])).astype(np.float32)
        scene = (scene * gain / gain.mean()).clip(0, 1) ** np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
    if rng.uniform() < 0.15 * trouble:
        scene = scene + rng.uniform(0.4, 1.0) * (scene.mean(axis=-1, keepdims=True) - scene)
    return scene


def _grain(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Noise of a sensor, in steps of 1/255: most of it where it is dark, of one pixel or, after scaling, of two."""
    size = pixels.shape[0]
    channels, wide = (3 if rng.uniform() < 0.5 else 1), rng.uniform() < 0.3
    n = (size + 1) // 2 if wide else size
    noise = rng.normal(0, rng.uniform(1, 9), (n, n, channels))
    if wide:
        noise = noise.repeat(2, axis=0).repeat(2, axis=1)[:size, :size]
    return noise * (1.35 - 0.7 * pixels / 255)


def developed(scene: np.ndarray, cover: np.ndarray, rng: np.random.Generator, trouble: float) -> np.ndarray:
    """The file's pixels uint8 (size, size, 3) of a scene (size, size, 3) in which the hand has the share `cover`."""
    size = scene.shape[0]
    image = Image.fromarray((np.clip(scene, 0, 1) * 255 + 0.5).astype(np.uint8))
    if rng.uniform() < 0.45 * trouble:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.1) * size / 64))
    if rng.uniform() < 0.2 * trouble:  # a camera with fewer pixels than the picture
        few = int(size * rng.uniform(0.4, 0.9))
        image = image.resize((few, few), Image.Resampling.BOX).resize((size, size), Image.Resampling.BICUBIC)
    if rng.uniform() < 0.6 * trouble:
        pixels = np.asarray(image, dtype=np.float32)
        image = Image.fromarray(np.clip(pixels + _grain(rng, pixels), 0, 255).astype(np.uint8))
    if rng.uniform() < CUT * trouble:  # as sets of cut-out hands have it: nothing, exactly, around the hand
        image = Image.fromarray(cut_out(np.asarray(image), cover, rng))
    if rng.uniform() < 0.6 * trouble:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(rng.integers(30, 93)))
        image = Image.open(file)
    return np.asarray(image, dtype=np.uint8)


def cut_out(pixels: np.ndarray, cover: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture with one grey, mostly black, wherever no hand is, or a little outside of it: masks are not exact."""
    mask = Image.fromarray(((cover[..., 0] > 0.5) * 255).astype(np.uint8))
    if rng.uniform() < 0.5:
        mask = mask.filter(ImageFilter.MaxFilter(3))
    ground = rng.choice([0, 0, 0, 255, rng.integers(256)])
    return np.where(np.asarray(mask)[..., None] > 0, pixels, np.uint8(ground))
