"""Each pixel stretched to the full range over all images of a part, as some sources scale their data."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from casestudy.data.image_set import ImageSet


def scale_apart(images: ImageSet) -> ImageSet:
    """Returns the images with each pixel min-max scaled to 0-255 over the training and over the test part apart.

    Rounded to whole numbers, as pixels are here; a pixel that is the same in a whole part becomes 0, as scikit-learn's
    MinMaxScaler has it. What a test image becomes depends on the other test images, so no photograph alone can be read.
    """
    pixels = np.array(images.images)
    parts = np.full(len(images), "") if images.parts is None else images.parts
    for part in np.unique(parts):
        inside = parts == part
        values = pixels[inside].astype("float32")
        low, high = values.min(axis=0), values.max(axis=0)
        pixels[inside] = np.rint((values - low) * (255 / np.maximum(high - low, 1)))
    return dataclasses.replace(images, images=pixels, digest=hashlib.sha256(pixels.tobytes()).hexdigest())
