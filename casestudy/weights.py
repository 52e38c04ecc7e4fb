"""Which pretrained weights a run starts from, decided before TensorFlow is imported."""

from __future__ import annotations

import os
import socket
from pathlib import Path

HOST = "storage.googleapis.com"  # where keras.applications downloads from
REACHABLE_WITHIN = 3.0  # seconds
# The file of each model's ImageNet weights without its top, as keras.applications names it.
IMAGENET_FILES = {
    "resnet50v2": "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "mobilenet_v2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5",
    "mobilenet_v2_0.35": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_{size}_no_top.h5",
}
MOBILENET_SIZES = (96, 128, 160, 192, 224)  # published; Keras takes the largest for any other


def imagenet_file(model: str, image_size: tuple[int, int]) -> Path | None:
    """Returns where Keras keeps (or would put) the model's ImageNet weights, or None where none are published."""
    if model not in IMAGENET_FILES:
        return None
    height, width = image_size
    size = height if height == width and height in MOBILENET_SIZES else 224
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    return home / "models" / IMAGENET_FILES[model].format(size=size)


def host_answers(host: str = HOST, port: int = 443, within: float = REACHABLE_WITHIN) -> bool:
    """Returns whether a connection to the weights' host opens within so many seconds."""
    try:
        socket.create_connection((host, port), timeout=within).close()
    except OSError:
        return False
    return True


def resolve_weights(model: str, weights: str | None, image_size: tuple[int, int]) -> tuple[str | None, str]:
    """Returns the weights to build with, and a sentence that says which they are and why.

    "auto" takes ImageNet where its file is in Keras' folder or its host answers, and random initialisation otherwise,
    so that a machine without network still runs. "imagenet", a path and None ("none") mean themselves.
    """
    if weights is None or weights == "none":
        return None, "random initialisation, as asked"
    if weights == "imagenet":
        return "imagenet", "ImageNet (keras.applications)"
    if weights != "auto":
        return weights, f"the file {Path(weights).name}"
    file = imagenet_file(model, image_size)
    if file is None:
        return None, f"random initialisation: no ImageNet weights are published for {model}"
    if file.is_file():
        return "imagenet", f"ImageNet (keras.applications), from Keras' folder: {file.name}"
    if host_answers():
        return "imagenet", "ImageNet (keras.applications), downloaded for this run"
    return None, (
        f"random initialisation: {file.name} is not in Keras' folder and {HOST} does not answer; "
        "expect much lower scores (casestudy doctor says what to do)"
    )
