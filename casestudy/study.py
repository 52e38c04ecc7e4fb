"""What a study is: frozen records, checked when they are made, and nothing that runs.

A study is a configuration of the one pipeline: which model, which phases of training, which split. The studies
themselves, with the source of every number, are in `studies`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from casestudy import choices
from casestudy.choices import ARCHITECTURES, QUICK_EPOCHS, QUICK_IMAGE_SIZE, RESERVED, Augmentation, Distortion
from casestudy.data_spec import DataSpec as DataSpec, Download as Download
from casestudy.errors import DataError
from casestudy.records import Between, Matching, Record, not_one_of
from casestudy.words import did_you_mean

HIDDEN = ("before_hidden", "hidden", "after_hidden")  # what the layers of a `Hidden` are called in a network


@dataclass(frozen=True)
class Hidden(Record):
    """A Dense layer (ReLU) between the pooled base and the softmax; BatchNormalization stands before and after it."""

    units: Annotated[int, Between(1, 65_536)]
    l2: Annotated[float, Between(0)] = 0.0  # the penalty on its kernel


@dataclass(frozen=True)
class ModelSpec(Record):
    """Which network, and how its input is prepared.

    An `image_size` of None takes the size that signs were learnt at where the run starts from them, and lets the
    machine decide otherwise (`choices.SIDES`).
    """

    name: str  # one of `ARCHITECTURES`
    image_size: choices.ImageSize | None = None  # (height, width) in pixels
    # "auto", "imagenet", "signs", the path of a .weights.h5 or quantised .npz file, or None for random numbers.
    weights: str | None = "auto"
    hidden: Hidden | None = None  # of the head; None leaves dropout and softmax
    dropout: Annotated[float, Between(0, 1, open="[)")] = 0.2  # before the softmax layer; some bases have more
    augmentation: Augmentation = field(default_factory=lambda: Augmentation())  # empty for none
    options: dict[str, Any] = field(default_factory=dict)  # of the builder, as `alpha`; plain JSON values
    scaling: Literal["-1 to 1", "0 to 1"] = "-1 to 1"  # of pixels in 0-255; published weights expect "-1 to 1"
    # Test-time augmentation, for things that are the same in a mirror: probabilities are the mean of both images'.
    mirror_average: bool = False

    def check(self) -> None:
        if self.name not in ARCHITECTURES:
            raise not_one_of("name of a ModelSpec", self.name, ARCHITECTURES)
        known = ARCHITECTURES[self.name]
        for option in self.options:
            if not known:
                raise DataError(f"{self.name} has no options; received {option!r}. Leave it out.")
            if option not in known:
                raise not_one_of(f"an option of {self.name}", option, known)
        try:
            json.dumps(self.options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise DataError(f"options of a ModelSpec are plain JSON values; {error}. Change them.") from None
        if self.weights == "none":
            raise DataError("weights of a ModelSpec are None for random numbers; received 'none'. Write None.")

    def resized(self, image_size: choices.ImageSize) -> ModelSpec:
        """Returns the same for images of another (height, width); what enlarges them keeps its proportion."""
        options = dict(self.options)
        if self.image_size and "enlarge" in options:
            sides = zip(options["enlarge"], image_size, self.image_size, strict=True)
            options["enlarge"] = [round(large * new / old) for large, new, old in sides]
        return replace(self, image_size=image_size, options=options)


@dataclass(frozen=True)
class Phase(Record):
    """One stage of training; ResNet50V2 has two, a dense baseline one.

    It trains the "head" (the base is frozen), "all", or "top:N", the head and the last N layers of the base: these keep
    the BatchNormalization layers of the base frozen, which is right for a base that was trained before. "everything"
    trains them, too, which is right for one that starts from random numbers.

    The rate is "constant", falls as a "cosine" to zero over `epochs`, falls on a "plateau" of the validation loss,
    or ("one-cycle") rises from zero for the first `schedules.WARM_UP` of all steps, then falls as a cosine.
    """

    # Shown in the history, the plots and the report.
    name: Annotated[str, Matching(r"\w[\w -]{0,39}", "a word of at most 40 letters, digits, hyphens and blanks")]
    trainable: choices.Trainable
    epochs: choices.Epochs  # at the most; `patience` may end the phase sooner
    learning_rate: choices.Rate  # at the first step
    optimizer: choices.Optimizer = "adam"
    schedule: Literal["constant", "cosine", "plateau", "one-cycle"] = "constant"
    plateau: choices.Plateau = field(default_factory=lambda: choices.Plateau())  # of that schedule
    patience: Annotated[int, Between(1)] | None = None  # epochs without a better loss; None never stops early
    least_gain: Annotated[float, Between(0)] = 0.0  # for `patience`, a loss lower by no more than this is no better
    batch_size: Annotated[int, Between(1, 65_536)] = 32  # images a step
    views: Annotated[int, Between(1, 1000)] = 4  # augmented ones of each image, where features of a base are cached
    # Of the optimizers that have one, such as "adamw"; biases and BatchNormalization are spared.
    weight_decay: Annotated[float, Between(0)] | None = None
    label_smoothing: Annotated[float, Between(0, 1, open="[)")] = 0.0  # share of the truth spread over all labels
    # The weights that it ends with: of the lowest validation loss, of the highest validation accuracy, or the last.
    keep: Literal["best loss", "best accuracy", "last"] = "best loss"

    def kept_epoch(self, values: Mapping[str, Sequence[float]]) -> int:
        """Returns the epoch, from 0, whose weights the phase ends with, given every epoch's values of each metric.

        Without validation it is the last.

        >>> seen = {"loss": [3, 2, 1, 1], "val_loss": [0.5, 0.4, 0.4, 0.6], "val_accuracy": [0.8, 0.8, 0.9, 0.7]}
        >>> [Phase("1", "all", 4, 1e-3, keep=k).kept_epoch(seen) for k in ("best loss", "best accuracy", "last")]
        [1, 2, 3]
        """
        if self.keep == "last" or not values.get("val_loss"):
            return len(values["loss"]) - 1
        judged = values["val_loss"] if self.keep == "best loss" else values["val_accuracy"]
        return judged.index(min(judged) if self.keep == "best loss" else max(judged))


@dataclass(frozen=True)
class SplitSpec(Record):
    """How images are divided into train, validation and test.

    "signer" keeps every signer in one part, "random" is stratified by label, "leave-one-signer-out" makes one fold for
    each signer, "published" takes the test part that the data came with.
    """

    protocol: choices.Protocol = "signer"
    # Share of the images (or of the signers) held out to choose epochs and rates.
    validation: Annotated[float, Between(0, 1, open="[)")] = 0.15
    test: Annotated[float, Between(0, 1, open="()")] = 0.25  # share held out for the final score
    # Share of training and of validation that is used, for a machine or a patience that cannot do all; a stratified
    # choice. The test part is always whole.
    fraction: choices.Share = 1.0
    # How a "published" training part is divided: "stratified" keeps copies together, and the mixture of labels;
    # "shuffled" is scikit-learn's train_test_split of the rows as they lie, "last" Keras' validation_split.
    draw: Literal["stratified", "shuffled", "last"] = "stratified"
    seed: choices.Seed | None = None  # of the draw, where a source names one; None for the run's

    def check(self) -> None:
        if self.draw != "stratified" and self.protocol != "published":
            raise DataError(
                f"draw of a SplitSpec divides a published training part; received {self.draw!r} with the protocol "
                f"{self.protocol!r}. Leave it out."
            )
        if self.protocol != "published" and self.validation + self.test >= 1:
            raise DataError(
                f"validation and test of a SplitSpec must leave something to train on; received {self.validation:g} "
                f"and {self.test:g}. Make them smaller."
            )

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
class Variant(Record):
    """Another model on the same data and split, to be compared with the study's own."""

    # Shown in tables and plots.
    name: Annotated[str, Matching(r"[a-z0-9]+([-_.][a-z0-9]+)*", "a name of small letters, digits and hyphens")]
    model: ModelSpec  # it sees images of the study's size
    phases: tuple[Phase, ...]
    published: Annotated[float, Between(0, 1)] | None = None  # the accuracy that its source's notebook prints, if any
    note: str = ""  # what it changes, or how it deviates from its source
    published_distorted: Annotated[float, Between(0, 1)] | None = None  # the same, on distorted test images
    cells: str = ""  # where the published figures are printed: the notebook, its cells, and of which images
    split: SplitSpec | None = None  # of a published training part, as the source divided it; None for the study's

    def check(self) -> None:
        _check_phases(self.phases, f"the variant {self.name}")
        if self.split and self.split.protocol != "published":
            raise DataError(
                f"split of a Variant divides a published training part, for all models have one test part; received "
                f"the protocol {self.split.protocol!r}. Leave it out."
            )
        name = self.name.replace("_", "-")  # as it is in the names of files
        if name in RESERVED or name.startswith(("unique", "seed-")) or name.endswith(("-distorted", "-unique")):
            raise DataError(
                f"name of a Variant is one that no run uses for something else ({', '.join(RESERVED)}, …-distorted, "
                f"…-unique); received {self.name!r}. Choose another."
            )


@dataclass(frozen=True)
class Search(Record):
    """What `tune` tries for a study's own model."""

    space: dict[str, list[Any]]  # for each setting the values to choose from; see `search.with_values`
    epochs: choices.Epochs = 3  # of each trial
    fraction: choices.Share = 0.1  # of the training images; the validation part is whole
    most_parameters: Annotated[int, Between(1)] = 500_000  # a larger network is not trained


@dataclass(frozen=True)
class Study(Record):
    """One case study: everything a run needs except the data; crop as `data.load_images` takes it."""

    name: Annotated[str, Matching(r"[a-z0-9]+(-[a-z0-9]+)*", "a name of small letters, digits and hyphens")]
    title: str
    source: str
    model: ModelSpec  # what the headline is about
    phases: tuple[Phase, ...]  # that it is trained by
    split: SplitSpec
    crop: choices.Crop = "none"
    crop_margin: Annotated[float, Between(0, 10)] = 0.1
    data: DataSpec = field(default_factory=DataSpec)
    data_as_published: DataSpec | None = None  # the same data as the source reads it, where that is another way
    variants: tuple[Variant, ...] = ()  # trained beside it, and compared on the same test images
    ladder: bool = False  # whether each variant changes one thing of the one before it, and `model` one of the last
    # What `data.distort` does to the test images for a second, harder test; empty for none.
    distortion: Distortion = field(default_factory=lambda: Distortion())
    compare_splits: bool = False  # whether a run by signer always trains in full on a random split, too
    seed: choices.Seed = 7  # decides the split and the training where nobody asks for another one
    search: Search | None = None  # what to try when better settings of `model` are searched for

    def check(self) -> None:
        _check_phases(self.phases, f"the study {self.name}")
        names = [variant.name for variant in self.variants]
        if again := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"Every variant of {self.name} has its own name; {again[0]!r} is there twice. Change one.")
        known = {one.name for kind in (Phase, ModelSpec) for one in fields(kind)}.union(*ARCHITECTURES.values())
        for name in self.search.space if self.search else ():
            if name not in known:
                raise not_one_of("what a Search varies", name, sorted(known))
        if self.distortion and len(self.distortion) < len(Distortion.__annotations__):
            raise DataError(
                f"distortion of {self.name} has {', '.join(Distortion.__annotations__)}; received "
                f"{dict(self.distortion)!r}. Add what is missing."
            )

    @property
    def reads_as_published(self) -> bool:
        """Whether its data are read as its source reads them, where that is another way than the study's own."""
        then = self.data_as_published
        return (
            then is not None
            and replace(self.data, transposed=then.transposed, scaled_apart=then.scaled_apart) == self.data
        )

    def quick(self) -> Study:
        """Returns the study with small images and two epochs a phase: a look at everything, in minutes.

        Its other models, which may be many times as large, take one epoch.
        """
        height, width = self.model.image_size or QUICK_IMAGE_SIZE
        smaller = (min(height, QUICK_IMAGE_SIZE[0]), min(width, QUICK_IMAGE_SIZE[1]))
        model, phases = self.model.resized(smaller), _quick(self.phases, QUICK_EPOCHS)
        variants = tuple(replace(variant, phases=_quick(variant.phases, 1)) for variant in self.variants)
        return replace(self, model=model, phases=phases, variants=variants)

    def choose(self, variants: str) -> Study:
        """Returns the study with those of its variants only: "all", "none", or names with commas between them.

        A DataError says that there is none of that name.
        """
        known = [variant.name for variant in self.variants]
        wanted = {"all": known, "none": []}.get(variants, variants.split(","))
        if unknown := [name for name in wanted if name not in known]:
            raise DataError(
                f"The variants are all, none, or names of {self.name}'s ({', '.join(known) or 'it has none'}); "
                f"received {unknown[0]!r}. {did_you_mean(unknown[0], known) or 'Use one of them.'}"
            )
        return replace(self, variants=tuple(v for v in self.variants if v.name in wanted))


def _check_phases(phases: tuple[Phase, ...], what: str) -> None:
    names = [phase.name for phase in phases]
    if not names or len(set(names)) < len(names):
        raise DataError(f"{what} has at least one phase, each of its own name; received {names}. Change one.")


def _quick(phases: tuple[Phase, ...], epochs: int) -> tuple[Phase, ...]:
    return tuple(replace(phase, epochs=min(phase.epochs, epochs), views=1) for phase in phases)
