"""What a model file says of itself, so that it alone reads a photograph: an entry of its zip that Keras ignores.

Pixels of 0-255 are scaled by the network's own layers; all else that reading needs stands here, as JSON. How sure the
network has to be is told by photographs of the validation people, never by those of the test.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import casestudy
from casestudy.choices import ImageSize
from casestudy.data import Sight, Splits
from casestudy.errors import UNREADABLE, DataError
from casestudy.evaluation import evaluate
from casestudy.files import read_member
from casestudy.records import Between, Record
from casestudy.runs.files import SCHEMA_VERSION, json_text

if TYPE_CHECKING:
    import keras

    from casestudy.runs.folder import RunFolder

ENTRY = "casestudy.json"
LARGEST = 1 << 20  # bytes of it
SHARE = 0.9  # of validation photographs that keep their true label
MOST = 1000  # of them: more say little more


@dataclass(frozen=True)
class Calibration(Record):
    """How sure a model was of people that it did not learn from."""

    least: Annotated[float, Between(0, 1)]  # a label with less is not among those that a photograph may show
    photographs: Annotated[int, Between(1)]
    people: Annotated[int, Between(0)]  # 0 where nobody is known


@dataclass(frozen=True)
class About(Record):
    """What reading a photograph needs, beside the network."""

    labels: tuple[str, ...]  # in the order of the network's outputs
    image_size: ImageSize  # (height, width) in pixels
    channels: Literal[1, 3]
    crop_margin: float | None  # how much larger than its box a hand was cut out, as a share; None for whole pictures
    data: Literal["archive", "idx", "table"]  # photographs, or what was published as pixels
    calibration: Calibration | None = None  # None without validation photographs

    @property
    def share(self) -> float:
        """How many of the validation photographs kept their true label among those that are likely enough."""
        return SHARE

    @property
    def sight(self) -> Sight:
        """How the model sees photographs."""
        return Sight(self.image_size, self.channels, self.crop_margin)

    def write(self, model: Path) -> None:
        """Adds the entry to a .keras file."""
        text = json_text({"casestudy": casestudy.__version__, **self.to_json()})
        with zipfile.ZipFile(model, "a") as archive:
            archive.writestr(zipfile.ZipInfo(ENTRY), text)

    @classmethod
    def read(cls, model: Path) -> About | None:
        """Returns the entry of a .keras file; None where it has none, a DataError where it cannot be used."""
        try:
            with zipfile.ZipFile(model) as archive:
                if ENTRY not in archive.namelist():
                    return None
                values = json.loads(read_member(archive, ENTRY, LARGEST))
            schema, writer = values.pop("schema_version"), values.pop("casestudy")
        except (OSError, AttributeError, *UNREADABLE) as error:
            raise DataError(f"A model is a whole .keras file; {model} is none ({error}). Train it again.") from error
        source = f"{model} (written by casestudy {writer})"
        if schema != SCHEMA_VERSION:
            raise DataError(f"{source} has schema {schema!r}, not {SCHEMA_VERSION}. Install the version that wrote it.")
        return cls.from_json(values, source=source)


def about_model(run: RunFolder) -> About:
    """Returns what run.json says of the models of a run."""
    study, facts = run.record.resolved_wishes().study, run.facts
    assert study.model.image_size is not None  # resolved
    margin = study.crop_margin if facts.cropped else None
    channels: Literal[1, 3] = 1 if study.data.kind == "idx" else study.data.channels
    return About(facts.class_names, study.model.image_size, channels, margin, study.data.kind)


def calibrate(network: keras.Model, splits: Splits) -> Calibration | None:
    """Returns how sure a network is of the validation photographs, up to `MOST` of them; None where there are none."""
    images = splits.images
    chosen = splits.validation[:: -(-len(splits.validation) // MOST) or 1]
    if not len(chosen):
        return None
    people = set(images.signers[chosen].tolist()) - {""} if images.signers is not None else set()
    least = min(evaluate(network, images, chosen).least_probability(SHARE), SHARE)  # a label with more is likely enough
    return Calibration(least, len(chosen), len(people))
