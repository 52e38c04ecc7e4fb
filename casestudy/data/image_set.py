"""Labelled images of one size, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ImageSet:
    """Labelled images of one size.

    Attributes:
        images: uint8 (N, height, width, C), usually memory-mapped.
        labels: int64 (N,), indices into `class_names`.
        class_names: The K labels, in alphabetical order unless the data have one of their own.
        signers: str (N,), who is in the photograph, "" where unknown; None where the data names nobody.
        names: str (N,), where each image is stored in its source.
        groups: int64 (N,), equal for images that are exact or near duplicates of one another.
        cropped: Whether hands were cut out by their boxes.
        digest: Hash of the content and of how it was cropped and resized.
        parts: str (N,), "train" or "test" where the data were published in parts; None elsewhere.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    signers: np.ndarray | None
    names: np.ndarray
    groups: np.ndarray
    cropped: bool
    digest: str
    parts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)
