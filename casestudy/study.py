"""What a study is: frozen dataclasses, and nothing that runs.

A study is a configuration of the one pipeline: which model, which phases of training, which split. The five studies
themselves, with the source of every number, are in `studies.py`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

ARCHITECTURES = ("resnet50v2", "mobilenet_v2", "mobilenet_v2_0.35", "small_cnn")  # the keys of `models.MODELS`
Protocol = Literal["signer", "random", "leave-one-signer-out"]
QUICK_IMAGE_SIZE = (48, 48)  # (height, width) in pixels
QUICK_EPOCHS = 2


@dataclass(frozen=True)
class ModelSpec:
    """Which network, and how its input is prepared.

    Attributes:
        name: One of `ARCHITECTURES`.
        image_size: (height, width) in pixels; None takes the size that signs were learnt at where the run starts from
            them, and lets the machine decide otherwise (64 on a CPU, 224 on a GPU).
        weights: "auto", "imagenet", "signs", the path of a `.weights.h5` or quantised `.npz` file, or None for random
            initialisation.
        dropout: Rate in [0, 1) before the softmax layer.
        augmentation: Keyword arguments of `models.build_augmentation`; empty for none.
        options: Extra keyword arguments of the builder, such as `alpha` of MobileNetV2.
    """

    name: str
    image_size: tuple[int, int] | None = None
    weights: str | None = "auto"
    dropout: float = 0.2
    augmentation: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Phase:
    """One stage of training; ResNet50V2 has two, a dense baseline one.

    Attributes:
        name: Shown in the history, the plots and the report.
        trainable: "head" (base frozen), "all", or "top:N" for the head and the last N layers of the base.
            BatchNormalization layers of the base stay frozen in every case.
        epochs: Upper bound; `patience` may end the phase sooner.
        learning_rate: The rate at the first step, in optimizer units.
        optimizer: A name that `keras.optimizers.get` knows.
        schedule: "constant", "cosine" (to zero over `epochs`), or "plateau" (halved when validation loss stalls).
        patience: Epochs without a better validation loss before the phase stops; None never stops early.
        batch_size: Images a step.
        views: How many augmented views of each image are prepared when features of a frozen base are cached.
    """

    name: str
    trainable: str
    epochs: int
    learning_rate: float
    optimizer: str = "adam"
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    patience: int | None = None
    batch_size: int = 32
    views: int = 4


@dataclass(frozen=True)
class SplitSpec:
    """How images are divided into train, validation and test.

    Attributes:
        protocol: "signer" keeps every signer in one part, "random" is stratified by label,
            "leave-one-signer-out" makes one fold for each signer.
        validation: Share of the images (or of the signers) held out to choose epochs and rates, in (0, 1).
        test: Share held out for the final score, in (0, 1).
    """

    protocol: Protocol = "signer"
    validation: float = 0.15
    test: float = 0.25


@dataclass(frozen=True)
class Study:
    """One case study: everything a run needs except the data and the seed; crop as `dataset.load_images` takes it."""

    name: str
    title: str
    source: str
    model: ModelSpec
    phases: tuple[Phase, ...]
    split: SplitSpec
    crop: Literal["auto", "boxes", "none"] = "none"
    crop_margin: float = 0.1

    def quick(self) -> Study:
        """Returns the study with small images and two epochs a phase: a look at everything, in a minute or two."""
        phases = (dataclasses.replace(phase, epochs=min(phase.epochs, QUICK_EPOCHS), views=1) for phase in self.phases)
        model = dataclasses.replace(self.model, image_size=QUICK_IMAGE_SIZE)
        return dataclasses.replace(self, model=model, phases=tuple(phases))

    def to_json(self) -> dict[str, Any]:
        """Returns the study as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Study:
        """Returns the study that `to_json` wrote."""
        model = dict(values["model"])
        model["image_size"] = tuple(model["image_size"]) if model["image_size"] else None
        parts = {
            "model": ModelSpec(**model),
            "phases": tuple(Phase(**phase) for phase in values["phases"]),
            "split": SplitSpec(**values["split"]),
        }
        return cls(**{**values, **parts})
