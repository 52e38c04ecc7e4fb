"""Which pretrained weights a run starts from, decided before TensorFlow is imported."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from casestudy.errors import WeightsError
from casestudy.files import find_in_checkout

HOST = "storage.googleapis.com"  # where keras.applications downloads from
REACHABLE_WITHIN = 3.0  # seconds
# The file of each model's ImageNet weights without its top, as keras.applications names it.
IMAGENET_FILES = {
    "resnet50v2": "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "mobilenet_v2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5",
    "mobilenet_v2_0.35": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_{size}_no_top.h5",
}
MOBILENET_SIZES = (96, 128, 160, 192, 224)  # published; Keras takes the largest for any other
# The project's own weights, which need no network: one architecture, learnt from rendered hands at one size.
SIGNS_MODEL = "resnet50v2"
SIGNS_FILE = Path("DATA") / "weights" / "resnet50v2_signs.npz"
SIGNS_SHA256 = "70305d8a07de13815c389a7d4269c39ddd6a5f1bdcddf55480c167d01690e33f"  # of the published file
SIGNS_SIZE = (64, 64)  # (height, width) in pixels
SIGNS = "signs (this project's own, from rendered hands)"


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


def signs_file(model: str) -> Path:
    """Returns where the project's own weights for the model are.

    Raises:
        WeightsError: There are none for this model, or they are not here.
    """
    if model != SIGNS_MODEL:
        raise WeightsError(f"The weights signs are {SIGNS_MODEL}'s; received {model}. Use --weights auto or none.")
    file = find_in_checkout(SIGNS_FILE)
    if file is None:
        raise WeightsError(
            f"The weights signs are at {SIGNS_FILE} of a checkout; there is none here. Work in a checkout of this "
            f"project, or start with --weights imagenet or none."
        )
    return file


def resolve_weights(model: str, weights: str | None, image_size: tuple[int, int]) -> tuple[str | None, str]:
    """Returns the weights to build with, and a sentence that says which they are and why.

    "auto" takes ImageNet where its file is in Keras' folder or its host answers, and what `without_imagenet` gives
    otherwise, so that a machine without network still runs. "imagenet", "signs", a path and None ("none") mean
    themselves.

    Raises:
        WeightsError: "signs" was asked for and cannot be had.
    """
    if weights is None or weights == "none":
        return None, "random initialisation, as asked"
    if weights == "imagenet":
        return "imagenet", "ImageNet (keras.applications)"
    if weights == "signs":
        signs_file(model)
        return "signs", SIGNS
    if weights != "auto":
        return weights, f"the file {Path(weights).name}"
    file = imagenet_file(model, image_size)
    if file is None:
        return None, f"random initialisation: no ImageNet weights are published for {model}"
    if file.is_file():
        return "imagenet", f"ImageNet (keras.applications), from Keras' folder: {file.name}"
    if host_answers():
        return "imagenet", "ImageNet (keras.applications), downloaded for this run"
    return without_imagenet(model, f"{file.name} is not in Keras' folder and {HOST} does not answer")


def without_imagenet(model: str, reason: str) -> tuple[str | None, str]:
    """Returns what "auto" takes for want of ImageNet, with its sentence: signs where they are, else random numbers."""
    if model == SIGNS_MODEL and find_in_checkout(SIGNS_FILE):
        return "signs", f"{SIGNS}: {reason}"
    own = f"{SIGNS_FILE} is not here" if model == SIGNS_MODEL else f"this project's own weights are {SIGNS_MODEL}'s"
    return None, (
        f"random initialisation: {reason}, and {own}; expect much lower scores (casestudy doctor says what to do)"
    )
