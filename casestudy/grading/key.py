"""The key: what an instructor knows about the archive that students were given, as one JSON file to be kept secret."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from casestudy.cleaning import used_pictures, write_unlabelled
from casestudy.data import ImageSet, split_folds
from casestudy.errors import CaseStudyError, GradingError
from casestudy.files import write_text
from casestudy.grading.roster import Seat, give_seeds
from casestudy.runs import RunFolder
from casestudy.study import SplitSpec, Study

SCHEMA_VERSION = 2
FACTS = (
    *("entry", "status", "stored_as", "signer", "label", "sha256", "mended_as", "mended_sha256"),
    *("duplicate_of", "near_duplicate_of"),
)
_NEWER = {"mended_as", "mended_sha256"}  # keys written before there was repair lack them


@dataclass(frozen=True)
class Photograph:
    """What is true of one photograph; `group` is shared by (chains of) duplicates."""

    label: str
    signer: str
    group: int


@dataclass(frozen=True)
class Key:
    """What submissions are held against."""

    study: str
    archive: str  # SHA-256 of what students were given; "" for a folder
    class_names: tuple[str, ...]
    ledger: tuple[dict[str, str], ...]  # the `FACTS` of each entry of the archive
    hidden: dict[str, tuple[str, str]]  # label and signer of the hidden test's photographs, by name; {} without one
    recipe: dict[str, Any] = field(default_factory=dict)  # the study of the instructor's run; {} before version 2
    students: tuple[Seat, ...] = ()  # who was given which seed; () where nobody was

    @cached_property
    def photographs(self) -> dict[str, Photograph]:
        """Every usable photograph, by its name in letters.zip."""
        return {
            name: Photograph(row["label"], row["signer"], group) for name, _, group, row in used_pictures(self.ledger)
        }

    @cached_property
    def images(self) -> ImageSet:
        """The photographs as a split needs them, without their pixels, in the order of the archive."""
        facts = list(self.photographs.values())
        signers = np.array([fact.signer for fact in facts])
        return ImageSet(
            images=np.empty((len(facts), 0)),
            labels=np.array([self.class_names.index(fact.label) for fact in facts]),
            class_names=self.class_names,
            signers=signers if any(signers) else None,
            names=np.array(list(self.photographs)),
            groups=np.array([fact.group for fact in facts]),
            cropped=False,
            digest="",
        )

    def parts(self, protocol: Any, seed: int, fraction: float = 1.0) -> dict[str, dict[str, str]] | None:
        """Returns the part of every photograph, by the column of splits.csv, as a run of the recipe has them.

        None where nothing can be said: by a key without a recipe, or where the rules allow no such split.
        """
        if not self.recipe:
            return None
        found = _PARTS.get(token := (id(self), protocol, seed, fraction))
        if found is None:
            try:
                spec = dataclasses.replace(
                    SplitSpec.from_json(self.recipe["split"], source="the key"), fraction=fraction
                )
                splits = split_folds(self.images, dataclasses.replace(spec, protocol=protocol), seed=seed)
            except (CaseStudyError, ValueError, KeyError, TypeError):
                return None
            found = {
                f"without {one.fold}" if one.fold else "part": dict(
                    zip(self.images.names.tolist(), one.part_of().tolist(), strict=True)
                )
                for one in splits
            }
            _PARTS.clear()  # one at a time: of a thousand students each has its own
            _PARTS[token] = found
        return found


_PARTS: dict[tuple[int, str, int, float], dict[str, dict[str, str]]] = {}


def write_key(
    run: RunFolder,
    target: Path,
    *,
    hidden: Path | None = None,
    hand_out: Path = Path("hidden.zip"),
    roster: Path | None = None,
    letter: Path = Path("seeds.csv"),
) -> Key:
    """Returns the key of a run of one's own on the archive that students get, and writes it to `target`.

    Args:
        run: Its ledger and labels are taken for the truth; `casestudy verify` says whether they can be.
        target: A new file.
        hidden: An archive of labelled photographs that nobody has seen, for a hidden test.
        hand_out: The new file with those photographs without their labels.
        roster: A CSV file of the students, each of whom gets a seed; see `roster.read_roster`.
        letter: The new CSV file with a line for each of them, for a mail merge.

    Raises:
        RunError: The run has no ledger, or no split yet.
        GradingError: `target` or `letter` is there already, or the roster cannot be read.
        DataError: `hand_out` is, the hidden test has no labelled photograph, or students have one of them.
    """
    run.require("ledger.csv")
    run.require("splits.csv")
    for place, option in ((target, "--out"), *([(letter, "--letters")] if roster else [])):
        if place.exists():
            raise GradingError(
                f"A key is never overwritten; {place} is there already. Name another file with {option}."
            )
    wishes, labels = run.record.wishes, {}
    seats, lines = give_seeds(roster) if roster else ((), "")
    if hidden:
        data = wishes.study.data
        labels = write_unlabelled(hidden, hand_out, known=run.letters, pattern=data.pattern, layout=data.layout)
    ledger = run.read_table("ledger.csv")[list(FACTS)]
    key = Key(
        study=wishes.study.name,
        archive=run.record.data.sha256,
        class_names=run.facts.class_names,
        ledger=tuple(ledger.to_dict("records")),
        hidden=labels,
        recipe=json.loads(json.dumps(wishes.study.to_json())),
        students=seats,
    )
    write_text(target, key_text(key))
    if roster:
        write_text(letter, lines)
    return key


def key_text(key: Key) -> str:
    """Returns a key as the JSON text that `load_key` reads."""
    values = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(key)}
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def load_key(path: Path) -> Key:
    """Returns the key that `write_key` wrote, of this version or the one before.

    Raises:
        GradingError: It is no key.
    """
    remedy = "Make one from a run of your own: casestudy key RUN"
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = values.pop("schema_version")
        values |= {name: tuple(values[name]) for name in ("class_names", "ledger")}
        hidden = values["hidden"].items()
        values["hidden"] = {name: (fact, "") if isinstance(fact, str) else tuple(fact) for name, fact in hidden}
        values["students"] = tuple(Seat(**seat) for seat in values.get("students", ()))
        key = Key(**values)
        if key.recipe:
            Study.from_json(key.recipe, source=str(path))
        if version not in (1, SCHEMA_VERSION) or any(set(row) | _NEWER != set(FACTS) for row in key.ledger):
            raise ValueError(f"schema {version!r}")
    except OSError as error:
        raise GradingError(f"A key is a JSON file; there is no file {path} to be read. {remedy}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, CaseStudyError) as error:
        raise GradingError(f"A key is a JSON file that casestudy wrote; {path} is none ({error}). {remedy}.") from error
    return key
