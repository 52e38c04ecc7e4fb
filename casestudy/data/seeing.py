"""One photograph as a model sees it: decoded by the one decoder, its hand cut out, resized."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from casestudy.cleaning import decode_image
from casestudy.data.cutting import Box, square_box
from casestudy.data.localiser import Localiser, load_localiser


@dataclass(frozen=True)
class Sight:
    """How a model sees photographs."""

    image_size: tuple[int, int]  # (height, width)
    channels: int  # 3 or 1
    margin: float | None = None  # how much larger than its box a hand is cut out, as a share; None: whole pictures

    def localiser(self) -> Localiser | None:
        """Returns what looks for the hand; None for whole pictures, and where nothing can look."""
        return None if self.margin is None else load_localiser()

    def see(self, data: bytes, box: Box | None = None, *, look: bool = False) -> tuple[np.ndarray, str]:
        """Returns uint8 (height, width, 3), or (height, width, 1) in greys: what training, tests and `read` all see.

        And what was cut out, in words: "box", "hand found" or "whole picture".

        Args:
            data: The bytes of the file.
            box: Of the hand, round which a square is cut out.
            look: Without a box the hand is looked for; where none is surely found, the whole picture is taken.

        Raises:
            ValueError: It cannot be decoded; see `decode_image`.
        """
        what, margin = "whole picture", self.margin

        def cut(image: Image.Image) -> Image.Image:
            nonlocal what
            around = None
            if margin is not None and box:
                what, around = "box", box
            elif look and (network := self.localiser()) and (hand := network.find(image)).sure:
                what, around = "hand found", hand.box
            region = square_box(around, image.size, margin) if around and margin is not None else None
            return image.resize(self.image_size[::-1], Image.Resampling.BILINEAR, box=region)

        seen = np.asarray(decode_image(data, "RGB" if self.channels == 3 else "L", cut))
        return seen.reshape(*self.image_size, self.channels), what
