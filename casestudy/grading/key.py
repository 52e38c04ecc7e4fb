"""The key: what an instructor knows about the archive that students were given, as one JSON file to be kept secret."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from casestudy.cleaning import used_pictures, write_unlabelled
from casestudy.errors import GradingError
from casestudy.files import atomic_path
from casestudy.runs import RunFolder

SCHEMA_VERSION = 1
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
    hidden: dict[str, str]  # the labels of the hidden test's photographs, by their names; {} without one

    @cached_property
    def photographs(self) -> dict[str, Photograph]:
        """Every usable photograph, by its name in letters.zip."""
        return {
            name: Photograph(row["label"], row["signer"], group) for name, _, group, row in used_pictures(self.ledger)
        }


def write_key(run: RunFolder, target: Path, *, hidden: Path | None = None, hand_out: Path = Path("hidden.zip")) -> Key:
    """Returns the key of a run of one's own on the archive that students get, and writes it to `target`.

    Args:
        run: Its ledger and labels are taken for the truth; `casestudy verify` says whether they can be.
        target: A new file.
        hidden: An archive of labelled photographs that nobody has seen, for a hidden test.
        hand_out: The new file with those photographs without their labels.

    Raises:
        RunError: The run has no ledger, or no split yet.
        GradingError: `target` is there already.
        DataError: `hand_out` is, or the hidden test has no labelled photograph.
    """
    run.require("ledger.csv")
    run.require("splits.csv")
    if target.exists():
        raise GradingError(f"A key is never overwritten; {target} is there already. Name another file with --out.")
    wishes, labels = run.record.wishes, {}
    data = wishes.study.data
    if hidden:
        labels = write_unlabelled(hidden, hand_out, seed=wishes.seed, pattern=data.pattern, layout=data.layout)
    ledger = run.read_table("ledger.csv")[list(FACTS)]
    key = Key(
        study=wishes.study.name,
        archive=run.record.data.sha256,
        class_names=run.facts.class_names,
        ledger=tuple(ledger.to_dict("records")),
        hidden=labels,
    )
    text = json.dumps({"schema_version": SCHEMA_VERSION, **dataclasses.asdict(key)}, indent=1, ensure_ascii=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return key


def load_key(path: Path) -> Key:
    """Returns the key that `write_key` wrote.

    Raises:
        GradingError: It is no key.
    """
    remedy = "Make one from a run of your own: casestudy key RUN"
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = values.pop("schema_version")
        values |= {name: tuple(values[name]) for name in ("class_names", "ledger")}
        key = Key(**values)
        if version != SCHEMA_VERSION or any(set(row) | _NEWER != set(FACTS) for row in key.ledger):
            raise ValueError(f"schema {version!r}")
    except OSError as error:
        raise GradingError(f"A key is a JSON file; there is no file {path} to be read. {remedy}.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise GradingError(f"A key is a JSON file that casestudy wrote; {path} is none ({error}). {remedy}.") from error
    return key
