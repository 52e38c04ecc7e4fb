"""One photograph as a model sees it: decoded by the one decoder, its hand cut out, resized."""

from __future__ import annotations

import numpy as np
from PIL import Image

from casestudy.cleaning import decode_image

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def as_seen(
    data: bytes, image_size: tuple[int, int], channels: int, box: Box | None = None, margin: float | None = None
) -> np.ndarray:
    """Returns uint8 (height, width, 3), or (height, width, 1) in greys: what training, tests and `read` all see.

    Args:
        data: The bytes of the file.
        image_size: (height, width) of the result.
        channels: 3 or 1.
        box: Of the hand, round which a square is cut out; None takes the whole picture.
        margin: How much larger the square is, as a share; None takes the whole picture, too.

    Raises:
        ValueError: It cannot be decoded; see `decode_image`.
    """

    def cut(image: Image.Image) -> Image.Image:
        region = square_box(box, image.size, margin) if margin is not None and box else None
        return image.resize(image_size[::-1], Image.Resampling.BILINEAR, box=region)

    return np.asarray(decode_image(data, "RGB" if channels == 3 else "L", cut)).reshape(*image_size, channels)


def square_box(box: Box, size: tuple[int, int], margin: float) -> Box:
    """Returns the square (left, top, right, bottom) round a box, inside the picture and at most as large as it.

    Args:
        box: (left, top, right, bottom) in pixels, corners in any order.
        size: (width, height) of the picture.
        margin: Share of the longer side that is added to it.

    >>> square_box((40, 10, 60, 50), (320, 240), 0.0)
    (30.0, 10.0, 70.0, 50.0)
    >>> square_box((300, 0, 340, 20), (320, 240), 0.5)
    (260.0, 0.0, 320.0, 60.0)
    """
    (left, right), (top, bottom) = sorted((box[0], box[2])), sorted((box[1], box[3]))
    width, height = size
    side = min(max(right - left, bottom - top, 1) * (1 + margin), width, height)
    x = min(max((left + right - side) / 2, 0), width - side)
    y = min(max((top + bottom - side) / 2, 0), height - side)
    return (float(x), float(y), float(x + side), float(y + side))
