"""What run.json holds: what a run was asked for, what was resolved on the way, and the digests that seal it."""

from __future__ import annotations

import logging
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

import casestudy
from casestudy import choices
from casestudy.choices import NAMED_WEIGHTS, Crop, Drawn, Precision, Protocol, Seed
from casestudy.cluster import versions
from casestudy.errors import DataError, RunError
from casestudy.files import file_digest
from casestudy.models import resolve_weights
from casestudy.records import Matching, Record
from casestudy.study import Study
from casestudy.training import Machine

log = logging.getLogger(__name__)

# What is said of a study and changes nothing that a run computes: better words begin no other run.
WORDS = {"title", "source", "published", "published_distorted", "note", "quick"}
BY_BUDGET = re.compile(r"study\.(model\.image_size|phases\[\d+\]\.epochs)")  # what a budget decides; see `budget`


@dataclass(frozen=True)
class Wishes(Record):
    """What a run is asked for: everything that decides it, but the data and the machine."""

    study: Study  # with all that was changed in it
    seed: Seed  # decides the split, the training and what is picked by chance
    compare_splits: bool = False  # also train in full on a random split, not only phase 1's head
    precision: Precision | None = None  # a Keras dtype policy; None takes what the machine is good for
    quick: bool = False  # whether it is but a look, for which `Study.quick` made the study smaller
    seeds: choices.Seeds = 1  # trainings of the study's own model on the one split: from `seed`, and those after it
    budget: choices.Minutes | None = None  # that training may take; it has cut the study's recipe once it is resolved

    @property
    def other_seeds(self) -> list[int]:
        return [(self.seed + k) % 2**32 for k in range(1, self.seeds)]  # the greatest seed is followed by 0

    def differences(self, other: Wishes) -> list[str]:
        """Returns the dotted names of the settings that differ, but for `WORDS` and what one budget decides."""
        before, now = _flat(self.to_json()), _flat(other.to_json())
        differing = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        decided = self.budget is not None and self.budget == other.budget
        return [name for name in differing if not (decided and BY_BUDGET.fullmatch(name))]


@dataclass(frozen=True)
class Source(Record):
    """The data of a run: the name of its file or folder, and the file's SHA-256 ("" for a folder).

    Where it lies is no part of the record: see `local`.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class Resolved(Record):
    """What was decided when a run's training began, and stays."""

    weights: str  # a sentence on the starting weights of the study's own model
    initial_weights: str | None  # what they are: "imagenet", "signs", a path, or None for random numbers
    machine: Machine
    environment: dict[str, str]  # the versions that a result depends on
    variant_weights: dict[str, tuple[str | None, str]] = field(default_factory=dict)  # what they are, and a sentence
    weights_sha256: dict[str, str] = field(default_factory=dict)  # of the files of one's own among them, by their names

    @classmethod
    def on(cls, machine: Machine, wishes: Wishes) -> Resolved:
        """Returns what the wishes come to on a machine; a WeightsError says what cannot be had."""
        model = wishes.study.model
        size = model.image_size or machine.image_size
        begun = resolve_weights(model, size)
        log.info("weights: %s", begun.sentence)
        size = model.image_size or begun.image_size or size
        machine = replace(machine, image_size=size, precision=wishes.precision or machine.precision)
        variants = {variant.name: resolve_weights(variant.model, size) for variant in wishes.study.variants}
        known = {name: (weights.source, weights.sentence) for name, weights in variants.items()}
        files = (own for own in (begun.source, *(own for own, _ in known.values())) if own and is_own_file(own))
        digests = {Path(own).name: file_digest(Path(own)) for own in files}
        return cls(begun.sentence, begun.source, machine, environment(), known, digests)


@dataclass(frozen=True)
class ImageFacts(Record):
    """What the images of a run turned out to be."""

    protocol: Protocol  # of the split; random where nobody knows who is in a photograph
    cropped: bool  # whether hands were cut out
    class_names: tuple[str, ...]
    distorted_sha256: str | None = None  # of the pixels of the distorted test images; None without
    drawn: Drawn | None = None  # by a program; None for photographs
    localiser: str | None = None  # SHA-256 of the weights that found the hands; None where boxes said it, or nobody

    def crop(self, asked: Crop) -> Crop:
        """Returns what has to be asked for to have the same cut again, whatever "auto" may do by then."""
        return "none" if not self.cropped else "hand" if self.localiser else asked


@dataclass(frozen=True)
class Score(Record):
    """A model's score on one test, as metrics.json holds it; null where there is none."""

    name: str  # "headline" for the study's own model, then what it was tested on
    protocol: Protocol
    training: str  # what was trained, in words
    predictions: Annotated[str, Matching(r"predictions[\w.-]*\.csv", "a file predictions….csv of the run folder")]
    images: int  # how many were tested
    accuracy: float | None
    loss: float | None
    interval: tuple[float | None, float | None]
    loss_interval: tuple[float | None, float | None]
    interval_method: str
    calibration_error: float | None


@dataclass(frozen=True)
class Metrics(Record):
    """All of metrics.json: the headline first, with its accuracy."""

    scores: tuple[Score, ...]

    def check(self) -> None:
        if not self.scores or self.scores[0].name != "headline" or self.scores[0].accuracy is None:
            raise DataError(
                "The first score is the headline, with its accuracy; received another, or none. Restore it."
            )


@dataclass(frozen=True)
class TrainingRecord(Record):
    """All of a training.json: what `TrainingRun` has but the history, and how many parameters the model has."""

    seconds: dict[str, float]
    images_per_second: dict[str, float]
    batch_norm_change: float | None
    parameters: int
    largest_change: dict[str, dict[str, float]] = field(default_factory=dict)

    def check(self) -> None:
        if not self.seconds or list(self.seconds) != list(self.images_per_second):
            phases = f"{list(self.seconds)} and {list(self.images_per_second)}"
            raise DataError(f"seconds and images_per_second have the same phases; received {phases}. Restore them.")


@dataclass(frozen=True)
class RunRecord:
    """All of run.json."""

    wishes: Wishes
    data: Source
    started: str  # when, in UTC
    resolved: Resolved | None = None  # None before the training begins
    images: ImageFacts | None = None  # None before the split
    files: dict[str, str] = field(default_factory=dict)  # SHA-256 of every result; empty until the run is finished
    version: str = casestudy.__version__  # of casestudy, that wrote it; "" for one that did not say
    seal: str = ""  # a code for all of run.json, and so for every file; "" until the run is finished

    def resolved_wishes(self) -> Wishes:
        """Returns what has to be asked for to get this run again, on another machine too: nothing is left open."""
        if self.resolved is None:
            raise RunError("A run is asked for again once its training has begun; this one's has not. Train it first.")
        resolved, study = self.resolved, self.wishes.study
        known = {name: weights for name, (weights, _) in resolved.variant_weights.items()}
        model = replace(study.model, weights=resolved.initial_weights, image_size=resolved.machine.image_size)
        variants = (
            replace(v, model=replace(v.model, weights=known.get(v.name, v.model.weights))) for v in study.variants
        )
        crop = self.images.crop(study.crop) if self.images else study.crop
        study = replace(study, model=model, variants=tuple(variants), crop=crop)
        return replace(self.wishes, study=study, precision=resolved.machine.precision, budget=None)

    def settings(self, model: str | None = None) -> dict[str, Any]:
        """Returns by its dotted name all that may tell a run from another: what was asked for, and what it came to.

        Of one `model` only, by its name in a comparison: what tells it from the others of the run.
        """
        if model is not None:
            study = self.resolved_wishes().study
            one = next((variant for variant in study.variants if variant.name == model), study)
            phases, split = [phase.to_json() for phase in one.phases], one.split or study.split
            seen = replace(one.model, image_size=None)  # all see images of the study's size
            found = _flat({"model": seen.to_json(), "phases": phases, "split": split.to_json()})
        else:
            values = {name: value for name, value in self.to_json().items() if name not in ("started", "files")}
            found = {"quick": self.wishes.quick, **_flat(values)}
        random = [name for name, value in found.items() if name.endswith("model.weights") and value is None]
        return found | dict.fromkeys(random, "none")  # as --weights says it

    def to_json(self) -> dict[str, Any]:
        """Returns the fields side by side, as plain JSON values; None and {} where something is not known yet."""
        return {
            "casestudy": self.version,
            **self.wishes.to_json(),
            "data": self.data.to_json(),
            "started": self.started,
            **(self.resolved.to_json() if self.resolved else {}),
            **(self.images.to_json() if self.images else {}),
            **({"files": self.files} if self.files else {}),
        }

    def own_weights(self) -> list[str]:
        """Returns the files of weights of one's own that the run was asked for with, or began with."""
        resolved, study = self.resolved, self.wishes.study
        asked = [study.model.weights, *(variant.model.weights for variant in study.variants)]
        begun = [resolved.initial_weights, *(own for own, _ in resolved.variant_weights.values())] if resolved else []
        return sorted({own for own in (*asked, *begun) if own and is_own_file(own)})

    def with_weights(self, word: Callable[[str], str]) -> RunRecord:
        """Returns the record with another word for each file of weights of one's own."""

        def other(weights: str | None) -> str | None:
            return word(weights) if weights and is_own_file(weights) else weights

        resolved, study = self.resolved, self.wishes.study
        model = replace(study.model, weights=other(study.model.weights))
        variants = tuple(replace(v, model=replace(v.model, weights=other(v.model.weights))) for v in study.variants)
        if resolved:
            known = {name: (other(weights), sentence) for name, (weights, sentence) in resolved.variant_weights.items()}
            resolved = replace(resolved, initial_weights=other(resolved.initial_weights), variant_weights=known)
        wishes = replace(self.wishes, study=replace(study, model=model, variants=variants))
        return replace(self, wishes=wishes, resolved=resolved)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, source: str) -> RunRecord:
        """Returns the record that `to_json` wrote, of this version or the one before.

        A RunError names a field that is unknown, missing or cannot be, and the version that wrote it.
        """
        left = {name: value for name, value in values.items() if name != "schema_version"}
        version = left.pop("casestudy", "")
        pattern, study = left.pop("pattern", None), left.get("study")  # the version before wrote them side by side
        if pattern and isinstance(study, dict):
            left["study"] = {**study, "data": {**study.get("data", {}), "pattern": pattern}}
        writer = f"{source} (written by casestudy {version or 'before 0.2'})"
        try:
            if lacking := [name for name in ("study", "data", "started") if name not in left]:
                raise DataError(f"{writer} lacks the field {lacking[0]}, which this version needs.")
            wishes, resolved, images = (_take(left, kind, writer) for kind in (Wishes, Resolved, ImageFacts))
            given = left.pop("data")  # before 0.2, with the path that it had there
            if isinstance(given, dict):
                given = {name: value for name, value in given.items() if name != "path"}
            data = Source.from_json(given, source=writer)
            started, files, seal = left.pop("started"), left.pop("files", {}), left.pop("seal", "")
            if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
                raise DataError(f"{writer}: files is a dictionary of digests; received {files!r:.80}.")
            if left:
                raise DataError(f"{writer} has the field {min(left)}, which this version does not know.")
        except DataError as error:
            raise RunError(f"{error} Open it with the version that wrote it, or make the run again.") from error
        return cls(wishes, data, str(started), resolved, images, files, str(version), str(seal))


def is_own_file(weights: str) -> bool:
    """Returns whether starting weights are a file of one's own, and not a word for published ones or none."""
    return weights not in NAMED_WEIGHTS


def _take(left: dict[str, Any], kind: type[Any], source: str) -> Any:
    """Returns the record whose fields lie among those left, and takes them out; None where none of them does."""
    found = {one.name: left.pop(one.name) for one in fields(kind) if one.name in left}
    return kind.from_json(found, source=source) if found else None


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Returns the values within dictionaries and lists by their dotted names, but for `WORDS`; a plain list is one."""
    if isinstance(value, dict):
        inside = {f"{name}.{key}": one for key, one in value.items() if key not in WORDS}
    elif isinstance(value, (list, tuple)) and any(isinstance(one, (dict, list, tuple)) for one in value):
        inside = {f"{name}[{k}]": one for k, one in enumerate(value)}
    else:
        return {name.removeprefix("."): tuple(value) if isinstance(value, list) else value}  # as JSON has a tuple
    return {key: leaf for place, one in inside.items() for key, leaf in _flat(one, place).items()}


def environment() -> dict[str, str]:
    """Returns the versions that a result depends on, and the processor, whose arithmetic may round in its own way."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    return {**found, "processor": _processor(), **versions()}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # where Python itself knows "x86_64" only
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor()
