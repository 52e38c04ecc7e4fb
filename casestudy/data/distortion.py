"""Images turned, moved and resized once and for all: a second test set, harder than the first."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import Any

import numpy as np
from PIL import Image

from casestudy.data.image_set import ImageSet


def distort(
    images: ImageSet, indices: np.ndarray, *, rotation: float, shift: float, zoom: float, seed: int
) -> ImageSet:
    """Returns the images at `indices`, each under a distortion of its own; what comes in from outside is black.

    Args:
        images: The whole set.
        indices: Which of them.
        rotation: Largest turn either way, in full circles.
        shift: Largest move in each direction, as a share of the side.
        zoom: Largest relative change of size, either way.
        seed: An image's distortion follows from it and from the image's name alone.
    """
    pixels = np.stack([_distort(images.images[k], str(images.names[k]), rotation, shift, zoom, seed) for k in indices])
    kept: dict[str, Any] = {name: getattr(images, name) for name in ("labels", "signers", "names", "groups", "parts")}
    kept = {name: None if values is None else values[indices] for name, values in kept.items()}
    return dataclasses.replace(images, images=pixels, digest=hashlib.sha256(pixels.tobytes()).hexdigest(), **kept)


def _distort(pixels: np.ndarray, name: str, rotation: float, shift: float, zoom: float, seed: int) -> np.ndarray:
    chance = np.random.default_rng([seed, *name.encode()])
    angle = 2 * math.pi * chance.uniform(-rotation, rotation)
    down, right = chance.uniform(-shift, shift, 2) * pixels.shape[:2]
    scale = 1 / (1 + chance.uniform(-zoom, zoom))
    y, x = (np.array(pixels.shape[:2]) - 1) / 2
    a, b = scale * math.cos(angle), scale * math.sin(angle)
    # Pillow asks where each pixel of the result comes from.
    matrix = (a, b, x - a * (x + right) - b * (y + down), -b, a, y + b * (x + right) - a * (y + down))
    image = Image.fromarray(pixels.squeeze())
    turned = image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(turned).reshape(pixels.shape)
