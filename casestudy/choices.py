"""The words and ranges that a study's settings are chosen from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from casestudy.records import Between, Matching, Record

Protocol = Literal["signer", "random", "leave-one-signer-out", "published"]
Drawn = Literal["sample", "stand-in"]  # by a program: the embedded sample, or what stands in for a study's data
Crop = Literal["auto", "boxes", "hand", "none"]
Optimizer = Literal["adam", "adamw", "sgd", "rmsprop", "adadelta", "adagrad", "adamax", "nadam", "lion"]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
Seeds = Annotated[int, Between(1, 100)]
Seed = Annotated[int, Between(0, 2**32 - 1)]
Share = Annotated[float, Between(0, 1, open="(]")]
Epochs = Annotated[int, Between(1, 100_000)]
Minutes = Annotated[float, Between(0, open="(]")]
Rate = Annotated[float, Between(0, 100, open="(]")]  # of learning, in optimizer units
Trainable = Annotated[
    str, Matching(r"head|all|everything|top:[1-9]\d*", "head, all, everything or top:N, N a number of layers")
]
Side = Annotated[int, Between(8, 1024)]  # in pixels
ImageSize = tuple[Side, Side]  # (height, width)

SIDES = {"CPU": 96, "GPU": 224}  # in pixels, where a study leaves the size to the machine

# The networks of `models.architectures`, each with the options of its builder.
_PUBLISHED = ("upsample", "enlarge", "momentum")
ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "resnet50v2": _PUBLISHED,
    "mobilenet_v2": (*_PUBLISHED, "alpha"),
    "mobilenet_v2_0.35": _PUBLISHED,
    "small_cnn": (),
    "dense": ("size", "units", "l2"),
    "plain_cnn": ("filters", "units"),
    "clothes_cnn": ("regularised",),
    "emnist_cnn": (),
    "fashion_cnn": ("filters", "dropout", "units"),
    "plates_cnn": ("filters", "dropout", "batch_norm"),
    "compact_cnn": ("widths", "pools", "blocks", "separable", "residual", "batch_norm", "pooling", "stride"),
}
SAMPLE = Path("DATA") / "sample" / "asl_sample.rar"  # of the checkout: what a study without data of its own takes
QUICK_IMAGE_SIZE = (48, 48)  # (height, width) in pixels
QUICK_EPOCHS = 2
NAMED_WEIGHTS = ("auto", "imagenet", "signs", "none")  # what starting weights can be, but for a file of one's own
OWN = "ours"  # what a comparison calls the study's own model
# What a variant cannot be called: the other models of a run, and what follows a name in that of a score.
RESERVED = (OWN, "headline", "head", "head-everyone", "head-random", "random", "distorted", "unique")


class Augmentation(TypedDict, total=False):
    """What `models.build_augmentation` varies while training, and how far."""

    rotation: Annotated[float, Between(0, 1)]  # largest turn either way, in full circles: 0.05 is 18 degrees
    zoom: Annotated[float, Between(0, 1, open="[)")]  # largest relative change of size, either way
    shift: Annotated[float, Between(0, 1)]  # largest move in each direction, as a share of the side
    brightness: Annotated[float, Between(0, 1)]  # largest change, as a share of 255
    contrast: Annotated[float, Between(0, 1)]  # largest relative change
    mirror: bool  # off unless asked for: a mirrored sign is a left hand's, and some characters are no longer themselves


class Distortion(TypedDict, total=False):
    """What `data.distort` does to the test images, and how far."""

    rotation: Annotated[float, Between(0, 1)]
    shift: Annotated[float, Between(0, 1)]
    zoom: Annotated[float, Between(0, 1, open="[)")]
    seed: Seed


@dataclass(frozen=True)
class Plateau(Record):
    """When the rate of a "plateau" falls, and how far."""

    factor: Annotated[float, Between(0, 1, open="()")] = 0.5  # what it is multiplied by
    patience: Annotated[int, Between(1)] = 2  # epochs without a better validation loss before it falls
    lowest: Annotated[float, Between(0)] = 0.0  # it falls no further
    least_gain: Annotated[float, Between(0)] = 0.0  # a loss lower by no more than this is no better
