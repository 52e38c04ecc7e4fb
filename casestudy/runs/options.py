"""The options of `casestudy run`: read from the command line, written back to it, and found again for a run."""

# ruff: noqa: RUF009 (_option returns a dataclass field)

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from casestudy import choices
from casestudy.choices import ARCHITECTURES, Crop, Epochs, ImageSize, Precision, Protocol, Rate, Seed, Share, Trainable
from casestudy.data import data_for
from casestudy.errors import DataError, WeightsError
from casestudy.files import file_digest, find_in_checkout
from casestudy.models import resolve_weights
from casestudy.records import Record, not_one_of
from casestudy.runs.option import Option, choice, number, numbers, option, read_size, write_size
from casestudy.runs.record import RunRecord, Wishes
from casestudy.runs.trained import EVERYONE
from casestudy.studies import STUDIES, find_study
from casestudy.study import DataSpec, Phase, Study, Variant
from casestudy.words import counted, did_you_mean

if TYPE_CHECKING:
    from casestudy.runs.folder import RunFolder


@dataclass(frozen=True)
class Options(Record):
    """What `casestudy run` can be told; None and the empty tuple leave a setting to the study or the machine."""

    study: str = "asl"
    data: str | None = option(
        None, "archive, folder, letters.zip or web address (default: the study's own, else the sample)"
    )
    seed: Seed | None = number(None, "decides split and training (default: the study's, mostly 7)", int, "N")
    seeds: choices.Seeds = number(1, "train so many times: from this seed, and from those after it", int, "N")
    quick: bool = option(
        False, "small images, two epochs a phase and one for other models: a look at everything, in minutes"
    )
    epochs: tuple[Epochs, ...] = numbers((), "at most so many, one number for each phase", int, "20,5")
    budget: choices.Minutes | None = number(
        None,
        "minutes that training may take here: fewer epochs and smaller images where they must be (default: no limit)",
        float,
        "MINUTES",
    )
    fraction: Share | None = number(
        None, "train on this share of the training images, such as 0.1; tests stay whole", float, "SHARE"
    )
    precision: Precision | None = choice(
        None, "of the arithmetic (default: float32, or mixed_float16 on a GPU that is fast at it)", get_args(Precision)
    )
    learning_rate: tuple[Rate, ...] = numbers((), "one number for each phase", float, "1e-3,1e-4")
    image_size: ImageSize | None = option(
        None,
        "pixels, 96 or 96x128 (height x width) (default: by machine and weights)",
        "SIZE",
        read=read_size,
        write=write_size,
        form="pixels, as 96 or 96x128",
    )
    model: str | None = choice(None, "which network (default: the study's)", ARCHITECTURES)
    weights: str | None = option(
        None,
        "imagenet, signs (this project's own, without network), none, or a .weights.h5 or .npz file (default: auto, "
        "ImageNet where it can be had, else signs)",
    )
    fine_tune: Trainable | None = option(
        None,
        "what the last phase trains: head, top:N of the base, all, or everything, with BatchNormalization",
        "LAYERS",
    )
    split: Protocol | None = choice(None, "who is tested (default: the study's)", get_args(Protocol))
    variants: str = option(
        "all",
        "which of the study's other models to train beside its own: all (default), none, or their names: a,b",
        "NAMES",
    )
    compare_splits: bool = option(False, "also train in full on a random split")
    crop: Crop | None = choice(
        None,
        "cut hands out: by box files, looking for the hand, or not (default: the study's; asl: auto, as can be)",
        get_args(Crop),
    )
    as_published: bool = option(False, "read the data as the study's source did, where that is another way (emnist)")
    mirror: bool = option(False, "also train on mirrored photographs")
    pattern: str | None = option(None, "regular expression with the groups label and signer, for other file names")
    layout: str | None = option(None, "how names are read, in words: signer/label, label/signer, name …", "WORDS")

    @classmethod
    def called(cls, name: str) -> str:
        return name if name == "study" else f"--{name.replace('_', '-')}"

    @cached_property  # a file of the reader's own is run once
    def asked(self) -> Study:
        """The study that is named; a DataError where there is none."""
        return find_study(self.study)

    def check(self) -> None:
        _ = self.asked  # there is such a study
        if self.model not in (None, *ARCHITECTURES):
            raise not_one_of("--model", self.model, ARCHITECTURES)
        if self.weights not in (None, *choices.NAMED_WEIGHTS) and not Path(str(self.weights)).is_file():
            raise WeightsError(
                f"--weights takes {', '.join(choices.NAMED_WEIGHTS)} or a .weights.h5 or .npz file; there is no file "
                f"{self.weights}. {did_you_mean(self.weights, choices.NAMED_WEIGHTS) or 'Check the path.'}"
            )

    @classmethod
    def table(cls) -> dict[str, Option]:
        """Returns how each field stands on the command line, by name; the study itself is the first argument."""
        return {one.name: one.metadata["option"] for one in fields(cls) if "option" in one.metadata}

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Options:
        """Returns the options that texts from the command line mean; a DataError names a value that cannot be.

        None and names of no option are passed over.
        """
        values = {}
        for name, how in cls.table().items():
            if (value := given.get(name)) is not None:
                try:
                    values[name] = how.read(value) if isinstance(value, str) else value
                except ValueError:
                    raise DataError(f"{cls.called(name)} takes {how.form}; received {value!r}. Change it.") from None
        return cls(given.get("study") or cls.study, **values)

    def arguments(self) -> list[str]:
        """Returns the arguments of `casestudy run` that mean these options; what is as by default is left out."""
        found = [self.study]
        for name, how in self.table().items():
            if (value := getattr(self, name)) != getattr(Options, name):
                found.append(self.called(name) if value is True else f"{self.called(name)}={how.write(value)}")
        return found

    def wishes(self) -> Wishes:
        """Returns what these options ask for, whatever the data; a DataError says what does not fit the study."""
        study = self.asked.quick() if self.quick else self.asked
        model, phases, split = study.model, study.phases, study.split
        data = (study.data_as_published if self.as_published else None) or study.data
        if self.as_published and not study.data_as_published:
            raise DataError(f"{study.name} reads its data as its source does; received --as-published. Leave it out.")
        if self.epochs:
            phases = _for_each_phase(phases, "epochs", self.epochs)
            study = replace(study, variants=tuple(_at_most(phases, variant) for variant in study.variants))
        if self.learning_rate:
            phases = _for_each_phase(phases, "learning_rate", self.learning_rate)
        if self.fine_tune:
            phases = (*phases[:-1], replace(phases[-1], trainable=self.fine_tune))
        model = model.resized(self.image_size) if self.image_size else model
        if self.model and self.model != model.name:
            model = replace(model, name=self.model, options={})
        if self.weights:
            model = replace(model, weights=None if self.weights == "none" else self.weights)
        if model.weights == "signs":  # that a model has none is said at once, and not after the cleaning
            resolve_weights(model, (0, 0))  # they have a size of their own, whatever is asked for
        if self.mirror:
            model = replace(model, augmentation={**model.augmentation, "mirror": True})
        split = replace(split, protocol=self.split or split.protocol, fraction=self.fraction or split.fraction)
        data = replace(data, pattern=self.pattern or data.pattern, layout=self.layout or data.layout)
        crop = self.crop or study.crop
        changed = replace(study, model=model, phases=phases, split=split, crop=crop, data=data).choose(self.variants)
        if self.budget is not None and changed.variants:
            others = counted(len(changed.variants), "other model")
            raise DataError(
                f"--budget is for a study's own model; {study.name} would train {others} too. Add --variants none."
            )
        seed = study.seed if self.seed is None else self.seed
        return Wishes(changed, seed, self.compare_splits, self.precision, self.quick, self.seeds, self.budget)

    def wishes_and_data(self) -> tuple[Wishes, Path]:
        """Returns what `wishes` does, and where its data is: named, downloaded, drawn, or the sample.

        A DataError also says that the data cannot be had.
        """
        wishes = self.wishes()
        if self.data is None and wishes.study.data == DataSpec() and wishes.study.split.protocol == "published":
            raise DataError("A published split needs data that came in parts; the sample did not. Use --split signer.")
        if self.data is None and self.study not in STUDIES and not wishes.study.data.downloads:
            raise DataError(f"A study of your own needs data of your own; {self.study} names none. Add --data PATH.")
        study, data = data_for(wishes.study, self.data, quick=self.quick)
        return replace(wishes, study=study), data

    @staticmethod
    def again(run: RunFolder, *, everyone: bool = False) -> str:
        """Returns a command that makes a run again, in a new folder: with the weights and sizes that were resolved.

        Where `casestudy run` has no options for it, it is `casestudy verify --retrain`, which takes the run's record.

        Args:
            run: Whose training has begun.
            everyone: Leave each person out once, instead; "" where there are no options for it.
        """
        record, name = run.record, run.path.resolve().name
        options = options_of(*_pinned(record)) if record.resolved else None
        if options and everyone:
            options, name = replace(options, split=EVERYONE, compare_splits=False, variants="none"), f"{name}-everyone"
        if options:
            return shlex.join(["casestudy", "run", *options.arguments(), f"--out={name}{'' if everyone else '-again'}"])
        return "" if everyone else shlex.join(["casestudy", "verify", name, "--retrain", f"{name}-again"])


def _for_each_phase(phases: tuple[Phase, ...], name: str, values: tuple[Any, ...]) -> tuple[Phase, ...]:
    if len(values) != len(phases):
        raise DataError(
            f"{Options.called(name)} takes a number for each of the {len(phases)} phases, as "
            f"{Options.table()[name].metavar}; received {len(values)}. The phases: {', '.join(p.name for p in phases)}."
        )
    return tuple(replace(phase, **{name: value}) for phase, value in zip(phases, values, strict=True))


def _at_most(phases: tuple[Phase, ...], variant: Variant) -> Variant:
    """Returns the variant with no more epochs in its first, second, … phase than those phases have."""
    fewer = (
        replace(own, epochs=min(own.epochs, bound.epochs)) for own, bound in zip(variant.phases, phases, strict=False)
    )
    return replace(variant, phases=(*fewer, *variant.phases[len(phases) :]))


def options_of(wishes: Wishes, data: str | None) -> Options | None:
    """Returns the options that ask for this; None where no options do, as for a study that is not in `STUDIES`."""
    if (known := STUDIES.get(wishes.study.name)) is None:
        return None
    asked = _settings(wishes.study)
    for quick in (wishes.quick, not wishes.quick):
        study = known.quick() if quick else known
        before = _settings(study)
        changed = {name: value for name, value in asked.items() if value != before[name]}
        if any(variant not in study.variants for variant in wishes.study.variants):  # cut to the epochs asked for
            changed["epochs"] = asked["epochs"]
        changed |= {name: getattr(wishes, name) for name in ("seed", "seeds", "precision", "compare_splits", "budget")}
        with suppress(DataError, WeightsError):
            found = Options(known.name, data, quick=quick, **changed)
            if not found.wishes().differences(wishes):
                return found
    return None


def _settings(study: Study) -> dict[str, Any]:
    """Returns what options can change in a study, by their names."""
    return {
        "epochs": tuple(phase.epochs for phase in study.phases),
        "fraction": study.split.fraction,
        "learning_rate": tuple(phase.learning_rate for phase in study.phases),
        "image_size": study.model.image_size,
        "model": study.model.name,
        "weights": study.model.weights or "none",
        "fine_tune": study.phases[-1].trainable,
        "split": study.split.protocol,
        "variants": ",".join(variant.name for variant in study.variants) or "none",
        "crop": study.crop,
        "mirror": bool(study.model.augmentation.get("mirror")),
        "pattern": study.data.pattern,
        "layout": study.data.layout,
        "as_published": study.reads_as_published,
    }


def _pinned(record: RunRecord) -> tuple[Wishes, str | None]:
    """Returns the wishes with what was resolved of the study's own model, and the data to name."""
    resolved = record.resolved_wishes()
    study = replace(resolved.study, variants=record.wishes.study.variants)
    data, sample = record.data, find_in_checkout(choices.SAMPLE)
    drawn = record.images and record.images.drawn == "stand-in"  # by --quick, which draws it again
    if study.data.kind == "table":  # which is seen, and not asked for
        study = replace(study, data=replace(study.data, kind="archive"))
    own = sample is not None and file_digest(sample) == data.sha256
    named = None if drawn or own else data.name
    return replace(resolved, study=study), named
