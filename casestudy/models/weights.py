"""Which pretrained weights a run starts from, decided before TensorFlow is imported."""

from __future__ import annotations

import http.client
import logging
import os
import queue
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

from casestudy.errors import WeightsError
from casestudy.files import file_digest, find_in_checkout
from casestudy.study import ModelSpec

log = logging.getLogger(__name__)

HOST = "storage.googleapis.com"  # where keras.applications downloads from
REACHABLE_WITHIN = 5.0  # seconds for all of it: the name, every address of it, the proxy, encryption, the answer
# The file of each model's ImageNet weights without its top, as keras.applications names it.
IMAGENET_FILES = {
    "resnet50v2": "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "mobilenet_v2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5",
    "mobilenet_v2_0.35": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_{size}_no_top.h5",
}
MOBILENET_SIZES = (96, 128, 160, 192, 224)  # published; Keras takes the largest for any other
RESNET50V2_MD5 = "fac2f116257151a9d068a22e544a4917"  # of the file, as keras.applications.resnet pins it
IMAGENET = "ImageNet (keras.applications)"
# The project's own weights, which need no network: one architecture, learnt from rendered hands at one size.
SIGNS_MODEL = "resnet50v2"
SIGNS_FILE = Path("DATA") / "weights" / "resnet50v2_signs.npz"
SIGNS_SHA256 = "dbc5de660cc9b6e7c48091b4149ad0f0a9ac1f0bf163af528f54f159147b92d0"  # of the published file
SIGNS_SIZE = (96, 96)  # (height, width) in pixels
SIGNS = "signs (this project's own, from rendered hands)"


def imagenet_file(model: str, image_size: tuple[int, int]) -> Path | None:
    """Returns where Keras keeps (or would put) the model's ImageNet weights, or None where none are published."""
    if model not in IMAGENET_FILES:
        return None
    height, width = image_size
    size = height if height == width and height in MOBILENET_SIZES else 224
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    return home / "models" / IMAGENET_FILES[model].format(size=size)


def host_answers(url: str = f"https://{HOST}/", within: float = REACHABLE_WITHIN) -> bool:
    """Returns whether the weights' host answers within so many seconds in all, on the way that Keras will take.

    That is urllib's: through HTTPS_PROXY (or of the system's settings) unless NO_PROXY names the host. The
    asking thread is left behind where time is up, because nothing ends a look-up of a name.
    """
    answer: queue.Queue[str] = queue.Queue()

    def ask() -> None:
        try:
            opener = urllib.request.build_opener()  # a new one has the proxies of now
            # Half the time for each wait: one dead address of several leaves time for the next.
            opener.open(urllib.request.Request(url, method="HEAD"), timeout=within / 2).close()
        except HTTPError:  # an answer, if not the one to this question
            answer.put("")
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a proxy that is no address
            answer.put(str(getattr(error, "reason", "")) or type(error).__name__)
        else:
            answer.put("")

    threading.Thread(target=ask, daemon=True).start()
    try:
        reason = answer.get(timeout=within)
    except queue.Empty:
        reason = f"nothing came within {within:g} s"
    if reason:
        log.info("no answer from %s, asked %s: %s", HOST, _way(), reason)
    return not reason


def _way() -> str:
    """Returns how the weights' host is asked, in words; not by which proxy: its address may hold a password."""
    proxied = "https" in urllib.request.getproxies_environment() and not urllib.request.proxy_bypass(HOST)
    return "through HTTPS_PROXY" if proxied else "without HTTPS_PROXY (set it where a proxy is needed)"


def signs_file(model: str) -> Path:
    """Returns where the project's own weights for the model are; a WeightsError says that there are none here."""
    if model != SIGNS_MODEL:
        raise WeightsError(f"The weights signs are {SIGNS_MODEL}'s; received {model}. Use --weights auto or none.")
    file = find_in_checkout(SIGNS_FILE)
    if file is None:
        raise WeightsError(
            f"The weights signs are at {SIGNS_FILE} of a checkout; there is none here. Work in a checkout of this "
            f"project, or start with --weights imagenet or none."
        )
    return file


@dataclass(frozen=True)
class StartingWeights:
    """What a model starts from."""

    source: str | None  # "imagenet", "signs", the path of a file, or None for random: what `build_network` takes
    sentence: str  # which they are and why, for people
    image_size: tuple[int, int] | None = None  # (height, width) that they were learnt at; None where any will do


def resolve_weights(spec: ModelSpec, image_size: tuple[int, int]) -> StartingWeights:
    """Returns the weights to build with for images of (height, width) pixels.

    "auto" takes ImageNet where its file is in Keras' folder or can be had from its host, and the project's own weights
    or random numbers otherwise, so that a machine without network still runs. "imagenet", "signs", a path and None mean
    themselves; a WeightsError says that what was asked for by name cannot be had.
    """
    weights, file = spec.weights, imagenet_file(spec.name, image_size)
    if weights is None:
        return StartingWeights(None, "random initialisation, as asked")
    if weights == "imagenet":
        return StartingWeights("imagenet", IMAGENET)
    if weights == "signs":
        signs_file(spec.name)
        return StartingWeights("signs", SIGNS, SIGNS_SIZE)
    if weights != "auto":
        return StartingWeights(weights, f"the file {Path(weights).name}")
    if file is None:
        return StartingWeights(None, f"random initialisation: no ImageNet weights are published for {spec.name}")
    if file.is_file():
        sentence = f"{IMAGENET}, from Keras' folder: {file.name}"
    elif host_answers():
        sentence = f"{IMAGENET}, downloaded for this run"
    else:
        reason = f"{file.name} is not in Keras' folder, and {HOST}, asked {_way()}, does not answer"
        return _without_imagenet(spec.name, reason)
    from casestudy.models.architectures import MODELS

    try:  # downloads what is not there yet, while there still is a choice
        MODELS[spec.name](input_shape=(*image_size, 3), weights="imagenet", **spec.options)
    except WeightsError as error:
        log.warning("%s", error)
        return _without_imagenet(spec.name, "ImageNet's could not be loaded")
    return StartingWeights("imagenet", sentence)


def _without_imagenet(model: str, reason: str) -> StartingWeights:
    """Returns what "auto" takes where ImageNet's weights cannot be had: signs where they are, else random numbers."""
    if model == SIGNS_MODEL and find_in_checkout(SIGNS_FILE):
        return StartingWeights("signs", f"{SIGNS}: {reason}", SIGNS_SIZE)
    own = f"{SIGNS_FILE} is not here" if model == SIGNS_MODEL else f"this project's own weights are {SIGNS_MODEL}'s"
    return StartingWeights(
        None, f"random initialisation: {reason}, and {own}; expect much lower scores (casestudy doctor says what to do)"
    )


def check_weights(kind: str) -> tuple[str, str]:
    """Returns what is here of the weights "imagenet" or "signs", and what to do unless they are here, whole."""
    if kind == "signs":
        own = find_in_checkout(SIGNS_FILE)
        if own is None:
            remedy = "Work in a checkout of this project: without network a run starts from them."
            return f"no {SIGNS_FILE} here or above", remedy
        if file_digest(own) != SIGNS_SHA256:
            return f"damaged: {own}", f"Restore it: git checkout -- {SIGNS_FILE.as_posix()}"
        return f"{SIGNS_MODEL} without network, {own}", ""
    file = imagenet_file(SIGNS_MODEL, (224, 224))
    download = "python -c \"import keras; keras.applications.ResNet50V2(include_top=False, weights='imagenet')\""
    if file is None or not file.is_file():
        remedy = f"Without it a run starts from signs; to have it, once, with network: {download}"
        return f"not downloaded to {file}", remedy
    if file_digest(file, "md5") != RESNET50V2_MD5:
        return f"damaged: {file}", f"Delete that file, then once, with network: {download}"
    return f"ResNet50V2, {file}", ""
