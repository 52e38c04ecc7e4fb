"""One photograph as a model sees it: decoded by the one decoder, its hand cut out, resized."""

from __future__ import annotations

import numpy as np
from PIL import Image

from casestudy.cleaning import decode_image
from casestudy.data.cutting import Box, square_box
from casestudy.data.localiser import load_localiser


def as_seen(
    data: bytes,
    image_size: tuple[int, int],
    channels: int,
    box: Box | None = None,
    margin: float | None = None,
    *,
    look: bool = False,
) -> tuple[np.ndarray, str]:
    """Returns uint8 (height, width, 3), or (height, width, 1) in greys: what training, tests and `read` all see.

    And what was cut out, in words: "box", "hand found" or "whole picture".

    Args:
        data: The bytes of the file.
        image_size: (height, width) of the result.
        channels: 3 or 1.
        box: Of the hand, round which a square is cut out.
        margin: How much larger the square is, as a share; None takes the whole picture.
        look: Without a box the hand is looked for; where none is surely found, the whole picture is taken.

    Raises:
        ValueError: It cannot be decoded; see `decode_image`.
    """
    what = "whole picture"

    def cut(image: Image.Image) -> Image.Image:
        nonlocal what
        around = None
        if margin is not None and box:
            what, around = "box", box
        elif margin is not None and look and (network := load_localiser()) and (hand := network.find(image)).sure:
            what, around = "hand found", hand.box
        region = square_box(around, image.size, margin) if around and margin is not None else None
        return image.resize(image_size[::-1], Image.Resampling.BILINEAR, box=region)

    seen = np.asarray(decode_image(data, "RGB" if channels == 3 else "L", cut)).reshape(*image_size, channels)
    return seen, what
