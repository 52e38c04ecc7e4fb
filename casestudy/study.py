"""What a study is: frozen dataclasses, and nothing that runs.

A study is a configuration of the one pipeline: which model, which phases of training, which split. The five studies
themselves, with the source of every number, are in `studies.py`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from casestudy.errors import DataError

ARCHITECTURES = (  # the keys of `architectures.MODELS`
    *("resnet50v2", "mobilenet_v2", "mobilenet_v2_0.35", "small_cnn"),
    *("dense", "plain_cnn", "emnist_cnn", "fashion_cnn", "plates_cnn", "compact_cnn"),
)
Protocol = Literal["signer", "random", "leave-one-signer-out", "published"]
Crop = Literal["auto", "boxes", "none"]
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
        dropout: Rate in [0, 1) before the softmax layer; some bases have dropout of their own besides.
        augmentation: Keyword arguments of `models.build_augmentation`; empty for none.
        options: Extra keyword arguments of the builder, such as `alpha` of MobileNetV2; plain JSON values.
        scaling: What pixels in 0-255 become before the base sees them; published weights expect "-1 to 1".
        mirror_average: Whether the trained model averages its probabilities for an image and for its mirror image
            (test-time augmentation); for things that are the same in a mirror.
    """

    name: str
    image_size: tuple[int, int] | None = None
    weights: str | None = "auto"
    dropout: float = 0.2
    augmentation: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    scaling: Literal["-1 to 1", "0 to 1"] = "-1 to 1"
    mirror_average: bool = False


@dataclass(frozen=True)
class Phase:
    """One stage of training; ResNet50V2 has two, a dense baseline one.

    Attributes:
        name: Shown in the history, the plots and the report.
        trainable: "head" (base frozen), "all", or "top:N" for the head and the last N layers of the base: these keep
            the BatchNormalization layers of the base frozen, which is right for a base that was trained before.
            "everything" trains them, too, which is right for one that starts from random numbers.
        epochs: Upper bound; `patience` may end the phase sooner.
        learning_rate: The rate at the first step, in optimizer units.
        optimizer: A name that `keras.optimizers.get` knows.
        schedule: "constant", "cosine" (to zero over `epochs`), "plateau" (halved when validation loss stalls), or
            "one-cycle" (rises from zero for the first `schedules.WARM_UP` of all steps, then falls as a cosine).
        patience: Epochs without a better validation loss before the phase stops; None never stops early.
        batch_size: Images a step.
        weight_decay: Of the optimizers that have one, such as "adamw"; biases and BatchNormalization are spared.
        label_smoothing: Share of the truth that is spread over all labels, in [0, 1).
        views: How many augmented views of each image are prepared when features of a frozen base are cached.
    """

    name: str
    trainable: str
    epochs: int
    learning_rate: float
    optimizer: str = "adam"
    schedule: Literal["constant", "cosine", "plateau", "one-cycle"] = "constant"
    patience: int | None = None
    batch_size: int = 32
    views: int = 4
    weight_decay: float | None = None
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class SplitSpec:
    """How images are divided into train, validation and test.

    Attributes:
        protocol: "signer" keeps every signer in one part, "random" is stratified by label,
            "leave-one-signer-out" makes one fold for each signer, "published" takes the test part that the data
            came with.
        validation: Share of the images (or of the signers) held out to choose epochs and rates, in (0, 1).
        test: Share held out for the final score, in (0, 1).
        fraction: Share of the training and of the validation images that is used, in (0, 1], for a machine or a
            patience that cannot do all; a stratified choice. The test part is always whole.
    """

    protocol: Protocol = "signer"
    validation: float = 0.15
    test: float = 0.25
    fraction: float = 1.0

    def why_left_out(self) -> str:
        """Returns the reason for which a split leaves images in no part.

        >>> SplitSpec(protocol="published", fraction=0.7).why_left_out()
        'training and validation use 0.7 of their parts'
        """
        others = "a duplicate of each is in another part, or its signer is not known"
        if self.fraction == 1:
            return others
        share = f"training and validation use {self.fraction:g} of their parts"
        return share if self.protocol in ("random", "published") else f"{share}; of the others, {others}"


@dataclass(frozen=True)
class Download:
    """One file of a study's data.

    Attributes:
        name: What it is called in the folder that `sources.fetch_all` returns; readers know files by official names.
        url: Its address, http or https.
        sha256: In hexadecimal.
    """

    name: str
    url: str
    sha256: str


@dataclass(frozen=True)
class DataSpec:
    """Where the images of a study come from, and how they are stored.

    Attributes:
        kind: "archive" is cleaned into a letters.zip first; "idx" is a published set of IDX files.
        downloads: What is fetched where a run is given no data; none for the embedded sample.
        pattern: How the names in an archive tell label and signer, where they do it in another way than ours.
        test_folder: Of an archive that came in parts, what `pattern` calls the signer of the test part.
        subset: What the names of the IDX files begin with, as "emnist-balanced"; see `idx_sets.load_idx`.
        class_names: Of the labels 0, 1, …, for IDX files without a mapping and for a drawn stand-in.
        transposed: Whether rows are stored as columns.
        channels: Of the images of an archive: 3 for colours, 1 for greys.
        home: Where a person finds the data.
    """

    kind: Literal["archive", "idx"] = "archive"
    downloads: tuple[Download, ...] = ()
    pattern: str | None = None
    test_folder: str = ""
    subset: str = ""
    class_names: tuple[str, ...] = ()
    transposed: bool = False
    channels: int = 3
    home: str = ""


@dataclass(frozen=True)
class Variant:
    """Another model on the same data and split, to be compared with the study's own.

    Attributes:
        name: Shown in tables and plots; letters, digits and hyphens.
        model: What to build; it sees images of the study's size.
        phases: How to train it.
        published: The accuracy that its source gives, in [0, 1]; None where there is none.
        note: What it changes, or how it deviates from its source.
        published_distorted: As `published`, on distorted test images.
    """

    name: str
    model: ModelSpec
    phases: tuple[Phase, ...]
    published: float | None = None
    note: str = ""
    published_distorted: float | None = None


@dataclass(frozen=True)
class Search:
    """What `tuning.tune` tries for a study's own model.

    Attributes:
        space: For each setting the values to choose from; see `tuning.with_values` for what a setting may be.
        epochs: Of each trial.
        fraction: Share of the training images that is used; the validation part is whole.
        most_parameters: A larger network is not trained.
    """

    space: dict[str, list[Any]]
    epochs: int = 3
    fraction: float = 0.1
    most_parameters: int = 500_000


@dataclass(frozen=True)
class Study:
    """One case study: everything a run needs except the data and the seed; crop as `dataset.load_images` takes it.

    Attributes:
        model: What the headline is about; trained by `phases`.
        variants: Trained beside it, and compared on the same test images.
        ladder: Whether each variant changes one thing of the one before it, and `model` one of the last.
        distortion: What `distortion.distort` does to the test images for a second, harder test; empty for none.
        seed: Decides the split and the training where nobody asks for another one.
        search: What to try when better settings of `model` are searched for; None for nothing.
    """

    name: str
    title: str
    source: str
    model: ModelSpec
    phases: tuple[Phase, ...]
    split: SplitSpec
    crop: Crop = "none"
    crop_margin: float = 0.1
    data: DataSpec = DataSpec()
    variants: tuple[Variant, ...] = ()
    ladder: bool = False
    distortion: dict[str, Any] = field(default_factory=dict)
    seed: int = 7
    search: Search | None = None

    def quick(self) -> Study:
        """Returns the study with small images and two epochs a phase: a look at everything, in minutes.

        Its other models, which may be many times as large, take one epoch.
        """
        height, width = self.model.image_size or QUICK_IMAGE_SIZE
        smaller = (min(height, QUICK_IMAGE_SIZE[0]), min(width, QUICK_IMAGE_SIZE[1]))
        variants = (dataclasses.replace(variant, phases=_quick(variant.phases, 1)) for variant in self.variants)
        return dataclasses.replace(
            self,
            model=dataclasses.replace(self.model, image_size=smaller),
            phases=_quick(self.phases, QUICK_EPOCHS),
            variants=tuple(variants),
        )

    def choose(self, variants: str) -> Study:
        """Returns the study with those of its variants only: "all", "none", or names with commas between them.

        Raises:
            DataError: There is none of that name.
        """
        known = [variant.name for variant in self.variants]
        wanted = {"all": known, "none": []}.get(variants, variants.split(","))
        if unknown := [name for name in wanted if name not in known]:
            raise DataError(
                f"The variants are all, none, or names of {self.name}'s ({', '.join(known) or 'it has none'}); "
                f"received {unknown[0]!r}."
            )
        return dataclasses.replace(self, variants=tuple(v for v in self.variants if v.name in wanted))

    def to_json(self) -> dict[str, Any]:
        """Returns the study as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Study:
        """Returns the study that `to_json` wrote."""
        data = dict(values.get("data", {}))
        for name, kind in (("downloads", lambda file: Download(**file)), ("class_names", str)):
            data[name] = tuple(map(kind, data.get(name, ())))
        parts = {
            **_trained(values),
            "split": SplitSpec(**values["split"]),
            "data": DataSpec(**data),
            "variants": tuple(Variant(**{**variant, **_trained(variant)}) for variant in values.get("variants", ())),
            "search": Search(**values["search"]) if values.get("search") else None,
        }
        return cls(**{**values, **parts})


def _quick(phases: tuple[Phase, ...], epochs: int) -> tuple[Phase, ...]:
    return tuple(dataclasses.replace(phase, epochs=min(phase.epochs, epochs), views=1) for phase in phases)


def _trained(values: dict[str, Any]) -> dict[str, Any]:
    """Returns model and phases from their plain JSON values."""
    model = dict(values["model"])
    model["image_size"] = tuple(model["image_size"]) if model["image_size"] else None
    return {"model": ModelSpec(**model), "phases": tuple(Phase(**phase) for phase in values["phases"])}
