"""Data in, a study file out: what was seen of them, and a first study in which each choice says why."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import shlex
import statistics
import textwrap
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casestudy.choices import SIDES
from casestudy.cleaning import clean_archive, used_pictures
from casestudy.data import data_for
from casestudy.errors import DataError
from casestudy.files import MOST_TABLE, read_member, zip_names
from casestudy.records import Record
from casestudy.studies import STUDIES
from casestudy.study import DataSpec, SplitSpec, Study
from casestudy.words import counted, printable

SMALL = 48  # pixels: of smaller images a network that was trained on photographs makes little
FEW, MANY = 3, 5_000  # people that a split by signer needs; images of which ten epochs are enough
SHOWN = 12  # names of labels or people in a line
WIDTH = 110


@dataclass(frozen=True)
class Seen:
    """What data hold, as far as cleaning can tell."""

    data: str  # as it was named
    entries: int
    labels: Counter[str]  # sound photographs of each
    people: Counter[str]  # the same; "" for those of which nobody knows who is in them
    parts: Counter[str]  # the same, where the data were published in parts
    sides: tuple[int, ...]  # the shorter side of each photograph, in pixels
    boxes: int  # hand boxes that fit

    @property
    def persons(self) -> list[str]:
        return sorted(set(self.people) - {""})

    def lines(self) -> list[str]:
        """Returns what was seen, in sentences for a screen or a comment."""
        often, rare = self.labels.most_common()[0], self.labels.most_common()[-1]
        photographs = counted(self.labels.total(), "sound photograph")
        said = [
            f"{photographs} with a label, of {counted(self.entries, 'entry')}",
            f"{counted(len(self.labels), 'label')}: {_names(sorted(self.labels))}; "
            f"from {rare[1]:,} ({printable(rare[0])}) to {often[1]:,} ({printable(often[0])}) photographs",
            f"{counted(len(self.persons), 'person')}: {_names(self.persons)}" if self.persons else "people: not told",
            f"shorter sides from {min(self.sides):,} to {max(self.sides):,} pixels, median {self.side:,}",
        ]
        said += [f"hand boxes: {self.boxes:,}"] if self.boxes else []
        parts = ", ".join(f"{printable(part)} {count:,}" for part, count in self.parts.items() if part)
        return said + ([f"published in parts: {parts}"] if parts else [])

    @property
    def side(self) -> int:
        return int(statistics.median_low(self.sides))


def _names(names: list[str]) -> str:
    more = f" … and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(printable, names[:SHOWN])) + more


def look_at(data: str, spec: DataSpec, *, password: str | None = None, progress: bool = True) -> Seen:
    """Returns what an archive, a folder or a letters.zip holds; nothing is written.

    Args:
        data: A path or a web address.
        spec: How names are read, where a layout or a pattern says so.
        password: Of an encrypted archive.
        progress: Shows a bar if it takes long.

    Raises:
        CaseStudyError: The data cannot be read, two readings of its names fit, or no photograph has a label.
    """
    study, path = data_for(replace(STUDIES["asl"], data=spec), data)
    if study.data.kind == "table":
        raise DataError(
            f"A study file is made from photographs; {path} holds tables of pixels. Run it as it is: --data, "
            f"or write the file by hand: CONTRIBUTING.md shows how."
        )
    rows = _rows(path, spec, password, progress)
    used = [picture.row for picture in used_pictures(rows)]
    if not used:
        raise DataError(f"A study needs photographs with labels; {path} has none. Name them: --layout or --pattern.")
    boxes = (re.match(r"([\d,]+) box", row["note"]) for row in rows if row["status"] == "sidecar")
    return Seen(
        data,
        len(rows),
        Counter(str(row["label"]) for row in used),
        Counter(str(row["signer"]) for row in used),
        Counter(str(row["part"]) for row in used),
        tuple(min(int(row["width"]), int(row["height"])) for row in used),
        sum(int(found[1].replace(",", "")) for found in boxes if found),
    )


def _rows(path: Path, spec: DataSpec, password: str | None, progress: bool) -> list[Mapping[str, Any]]:
    """Returns the ledger of data: that of a letters.zip, or what cleaning would write."""
    if "ledger.csv" in zip_names(path):
        with zipfile.ZipFile(path) as archive:
            text = read_member(archive, "ledger.csv", MOST_TABLE).decode()
        return list(csv.DictReader(io.StringIO(text, newline=""), restval=""))
    ledger = clean_archive(path, None, password=password, pattern=spec.pattern, layout=spec.layout, progress=progress)
    return [dataclasses.asdict(row) for row in ledger.rows]


def propose(name: str, seen: Seen, spec: DataSpec) -> tuple[Study, dict[str, str]]:
    """Returns a first study for data, and the reason of each of its choices by the field's place."""
    split, why = _split(seen)
    large = seen.side >= SMALL
    base = STUDIES["asl"] if large else STUDIES["fashion-mnist"]
    model, phases = base.model, base.phases
    if large:
        why |= {
            "model.name": "50 layers that have learnt to see from photographs. Smaller and faster: mobilenet_v2_0.35.",
            "model.image_size": "None takes the size that signs were learnt at (96 pixels) where a run begins with "
            f"them, else {SIDES['CPU']} on a CPU and {SIDES['GPU']} on a GPU. (128, 128) fixes it.",
            "model.weights": "ImageNet's where they can be had, else this project's own, which know drawn hands and "
            "nothing else. None begins with random numbers.",
            "phases": "First the new head alone, then the whole network, at half of the rate.",
            "head.epochs": "At the most: a phase ends when so many epochs as `patience` says were no better.",
            "head.views": "Varied copies of each image, which take turns; what the frozen base makes of them is kept.",
            "fine-tune.trainable": "All but BatchNormalization. top:35 trains the last 35 layers alone, and is faster.",
        }
    else:
        size = (max(8, seen.side),) * 2
        varied = STUDIES["emnist"].model.augmentation
        model = replace(model, image_size=size, augmentation=varied, mirror_average=False)
        epochs = phases[0].epochs if seen.labels.total() >= MANY else 3 * phases[0].epochs
        phases = (replace(phases[0], epochs=epochs),)
        why |= {
            "model.name": f"Half of the images have no more than {seen.side} pixels on their shorter side: a small "
            "network that learns from the beginning, as that of fashion-mnist.",
            "model.image_size": "(height, width): as most of them are.",
            "phases": f"One phase, in which everything learns; {counted(epochs, 'epoch')}, for there are "
            f"{counted(seen.labels.total(), 'image')}.",
        }
    why |= {
        "title": "It stands above the report.",
        "source": "Where the data are from, and whose they are: write it before you forget it.",
        "model.augmentation": "How far each image is varied while training. No mirror: a mirrored sign is another "
        "hand's. If nobody in the data is left-handed, or left and right do not matter, try 'mirror': True.",
        "crop": f"{counted(seen.boxes, 'hand box')} say where the hands are; they are cut out."
        if seen.boxes
        else "The data have no boxes, so the hand of each image is looked for, and cut out where it is found in most.",
        "seed": "It decides the split and the training. Choose it before you look at a score.",
    }
    title = name.replace("-", " ").capitalize()
    return Study(name, title, f"{Path(seen.data).name}, my own", model, phases, split, "auto", data=spec), why


def _split(seen: Seen) -> tuple[SplitSpec, dict[str, str]]:
    """Returns who is tested, and why."""
    spec, people = SplitSpec(), len(seen.persons)
    if people >= FEW:
        tested = max(1, round(spec.test * people))
        said = f"{counted(people, 'person')} are known, so nobody is in two parts: {tested} of them for the test."
        said += " Two tell little of others: --split leave-one-signer-out tests each once." * (tested < FEW)
        unknown = seen.people[""]
        said += f" {counted(unknown, 'photograph')} without a person will be left out." * (unknown > 0)
    elif {"train", "test"} <= set(seen.parts):
        spec = SplitSpec("published", validation=0.1)
        said = (
            "The parts as they were published. Find out whether the same people are in both: then the score flatters."
        )
    elif people == FEW - 1:
        spec = SplitSpec("leave-one-signer-out")
        said = "Two people are known: two trainings, each tested on the one that it never saw. More people tell more."
    else:
        spec = SplitSpec("random")
        said = (
            "Nobody knows who is in which photograph, so chance decides. The same hands, rooms and cameras are then in "
            "training and test, and the score flatters. If you can tell people apart, give each a folder of their own "
            "(user_1, user_2 …), and begin again: `casestudy new NAME DATA`."
        )
    reasons = {"split.protocol": said}
    if spec.protocol != "leave-one-signer-out":  # which chooses nothing, and tests everybody
        reasons["split.validation"] = "The share that chooses the epoch."
    if spec.protocol in ("signer", "random"):
        reasons["split.test"] = "The share for the score."
    return spec, reasons


def write_study(study: Study, why: Mapping[str, str], seen: Seen, target: Path) -> Path:
    """Writes a study as a Python file to edit and run; one that is there is never overwritten.

    Args:
        study: What the file will make.
        why: The reason of each choice, by the field's place, as "split.protocol"; such fields are written out.
        seen: What is told in the file's first lines.
        target: A file that is not there yet.

    Raises:
        DataError: It is there, or the study has a name of ours.
    """
    require_free(study.name, target)
    run = command(target, seen)
    told = [f"#   {line}" for one in seen.lines() for line in textwrap.wrap(one, WIDTH, subsequent_indent="  ")]
    text = [
        f'"""{study.title}: a study of my own."""',
        "",
        f"# What was seen in {printable(Path(seen.data).name)}:",
        *told,
        "# Change what you like; each value is checked when the file is run. A look at every step, then the whole run:",
        f"#   {printable(run)} --quick",
        f"#   {printable(run)}",
        "",
        "from casestudy import DataSpec, ModelSpec, Phase, SplitSpec, Study",
        "",
        f"STUDY = {_source(study, why)}",
    ]
    with target.open("x", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(text) + "\n")
    return target


def command(target: Path, seen: Seen) -> str:
    """Returns what runs a study file on the data that it was made for."""
    return f"casestudy run {shlex.quote(str(target))} --data {shlex.quote(seen.data)}"


def require_free(name: str, target: Path) -> None:
    """Raises a DataError unless a study of one's own can have the name, and a new file the place."""
    if replace(STUDIES["asl"], name=name).name in STUDIES:  # a new one checks its name
        raise DataError(f"A study of your own has a name of its own; {name!r} is one of ours. Choose another.")
    if target.exists():
        raise DataError(f"A study file is never overwritten; {target} is there. Give the new one another name.")
    if not target.absolute().parent.is_dir():
        raise DataError(f"A study file is written into a folder; {target.parent} is none. Make it first.")


def _shown(record: Record, why: Mapping[str, str], place: str) -> list[str]:
    """Returns the fields to write: those with a reason, and those that are not as by default."""
    found = []
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        default = field.default_factory() if callable(field.default_factory) else field.default
        if place + field.name in why or getattr(record, field.name) != default:
            found.append(field.name)
    return found


def _source(value: Any, why: Mapping[str, str], place: str = "", pad: str = "") -> str:
    """Returns the Python that makes a value, records with a field a line below the reason for it."""
    more = pad + "    "
    if isinstance(value, tuple) and value and isinstance(value[0], Record):
        return "\n".join(["(", *(f"{more}{_source(one, why, f'{one.name}.', more)}," for one in value), f"{pad})"])
    if not isinstance(value, Record):
        return repr(value)
    lines = [f"{type(value).__name__}("]
    for name in _shown(value, why, place):
        reason = textwrap.wrap(why.get(place + name, ""), WIDTH - len(more))
        lines += [f"{more}# {line}" for line in reason]
        lines.append(f"{more}{name}={_source(getattr(value, name), why, f'{place}{name}.', more)},")
    return "\n".join([*lines, f"{pad})"])
