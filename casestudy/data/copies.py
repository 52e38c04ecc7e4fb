"""Which test images have a copy in training: the same pixels, or nearly the same.

Splits of our own keep copies in one part. Data that were published in parts may not, and a score on images that
training has seen flatters.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from casestudy.data.image_set import ImageSet
from casestudy.data.splits import Splits

NEAR = 5.0  # grey levels of 255, root mean square: more than JPEG does to a picture, less than two pictures differ
BLOCK = 2048  # training images compared at a time


def copies_across_parts(splits: Splits) -> pd.DataFrame:
    """Returns name, label, copy, part, kind of each test image with a copy in training or validation.

    `copy` names one of its copies, `part` is where that one sits, `kind` is "exact" (the same file or pixels) or "near"
    (pixels that differ by no more than `NEAR`).
    """
    images, part = splits.images, splits.part_of()
    seen = np.sort(np.concatenate([splits.train, splits.validation]))
    groups, first = np.unique(images.groups[seen], return_index=True)
    copy_of = dict(zip(groups.tolist(), seen[first].tolist(), strict=True))
    found = [(k, copy_of[g], "exact") for k in splits.test.tolist() if (g := int(images.groups[k])) in copy_of]
    rest = splits.test[~np.isin(images.groups[splits.test], groups)]
    nearest, difference = nearest_images(images, rest, seen)
    near = difference <= NEAR
    found += [(k, j, "near") for k, j in zip(rest[near].tolist(), nearest[near].tolist(), strict=True)]
    rows = [
        (images.names[k], images.class_names[images.labels[k]], images.names[j], part[j], kind) for k, j, kind in found
    ]
    return pd.DataFrame(rows, columns=["name", "label", "copy", "part", "kind"])


def nearest_images(images: ImageSet, wanted: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index of the image of `among` that differs least from each of `wanted`, and by how much.

    The difference is the root mean square over all pixels, in grey levels of 255: float (len(wanted),).
    """
    pixels = images.images
    ours = pixels[wanted].reshape(len(wanted), int(np.prod(pixels.shape[1:]))).astype(np.float32)
    lengths = (ours**2).sum(axis=1)
    best, place = np.full(len(wanted), np.inf, np.float32), np.zeros(len(wanted), np.int64)
    for start in range(0, len(among), BLOCK):
        block = among[start : start + BLOCK]
        theirs = pixels[block].reshape(len(block), ours.shape[1]).astype(np.float32)
        square = lengths[:, None] + (theirs**2).sum(axis=1) - 2 * ours @ theirs.T
        closest = square.argmin(axis=1)
        distance = square[np.arange(len(wanted)), closest]
        better = distance < best
        best[better], place[better] = distance[better], block[closest[better]]
    return place, np.sqrt(np.maximum(best, 0) / ours.shape[1])
