"""Holds who is in which part of a run, and who was tested, against the study's rules and the seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from casestudy.choices import Protocol
from casestudy.cleaning import used_pictures
from casestudy.data import ImageSet, Splits, split_folds
from casestudy.errors import DataError
from casestudy.runs import recompute
from casestudy.runs.again import Check
from casestudy.runs.files import table_text
from casestudy.runs.folder import RunFolder
from casestudy.runs.save import splits_table
from casestudy.runs.trained import TESTS, TrainedModel

ByProtocol = Mapping[Protocol, Sequence[Splits]]


def splits_again(run: RunFolder, images: ImageSet | None) -> ByProtocol | None:
    """Returns the splits of each protocol by the study's rules and the seed, from the ledger or from the images.

    None where neither is here.
    """
    study, facts = run.record.wishes.study, run.facts
    if images is None:
        if not run.has("ledger.csv"):
            return None
        images = _labelled(recompute.read_rows(run.path / "ledger.csv"), facts.class_names)
    found: dict[Protocol, list[Splits]] = {}
    for protocol in {facts.protocol, *(model.protocol for model in run.models() if run.has(model.predictions()))}:
        try:
            found[protocol] = split_folds(images, replace(study.split, protocol=protocol), seed=run.record.wishes.seed)
        except DataError:
            found[protocol] = []
    return found


def _labelled(ledger: recompute.Rows, names: Sequence[str]) -> ImageSet:
    """Returns the photographs of a ledger as a split needs them, without their pixels."""
    pictures = used_pictures(ledger)
    rows = [picture.row for picture in pictures]
    signers = np.array([row["signer"] for row in rows])
    return ImageSet(
        images=np.empty((len(rows), 0)),
        labels=np.array([names.index(row["label"]) if row["label"] in names else -1 for row in rows]),
        class_names=tuple(names),
        signers=signers if any(signers) else None,
        names=np.array([picture.name for picture in pictures]),
        groups=np.array([picture.group for picture in pictures]),
        cropped=False,
        digest="",
        parts=ImageSet.published(row.get("part", "") for row in rows),
    )


def check_split(run: RunFolder, splits: ByProtocol | None) -> Iterator[Check]:
    """Yields whether the parts are those of the rules and the seed, and whether anybody or anything is in two."""
    record, protocol = run.record, run.facts.protocol
    asked, table = record.wishes.study.split.protocol, run.read_table("splits.csv")
    nobody = not (table["signer"] != "").any()
    fits = protocol == asked or (asked == "signer" and protocol == "random" and nobody)
    yield (f"the split is the one asked for, {asked}", fits, "" if fits else f"run.json calls it {protocol}")
    what = f"splits.csv follows from the data, the study's rules and seed {record.wishes.seed}"
    if not splits:
        yield (what, None, "neither ledger.csv nor the data are here")
    elif not (parts := splits[protocol]):
        yield (what, False, "the data allow no such split")
    else:
        yield (what, *same_table(run, "splits.csv", splits_table(parts)))
    if protocol == "published":
        return  # whoever published the parts decided who is in which, and copies.csv says what that leaves together
    columns = [column for column in table.columns if column not in ("name", "signer", "label")]
    if run.has("ledger.csv"):
        group = {name: group for name, _, group, _ in used_pictures(recompute.read_rows(run.path / "ledger.csv"))}
        twins = _in_two_parts(table, columns, table["name"].map(group))
        named = sorted(name for name, number in group.items() if number in twins)
        yield ("no duplicate is in two parts", not twins, ", ".join(named[:5]))
    if protocol != "random":
        shared = _in_two_parts(table, columns, table["signer"])
        yield ("no signer is in two parts", not shared, ", ".join(sorted(shared)))


def _in_two_parts(splits: pd.DataFrame, columns: list[str], whose: pd.Series) -> set[Any]:
    """Returns those of `whose`, a value a photograph, that are in two parts of the split, or of a fold's."""
    found: set[Any] = set()
    for column in columns:
        used = splits[splits[column] != "left out"]
        parts = used.groupby(whose[used.index])[column].nunique()
        found |= set(parts[parts > 1].index)
    return found


def check_tested(run: RunFolder, model: TrainedModel, splits: Sequence[Splits]) -> Iterator[Check]:
    """Yields whether each table of a model is of the test part, each photograph once, with the labels of the split."""
    facts = ["name", "signer", "label"]  # the truth is the split's, not what the predictions say about themselves
    copies = set(run.read_table("copies.csv")["name"]) if run.has("copies.csv") else set()
    wanted: list[tuple[str, ...]] = []
    for split in splits:
        wanted += zip(*(column[split.test].tolist() for column in split.images.truth().values()), strict=True)
    for test in TESTS:
        if run.has(name := model.predictions(test)):
            tested = list(run.read_table(name)[facts].fillna("").itertuples(index=False, name=None))
            expected = [one for one in wanted if not test.unique or one[0] not in copies]
            wrong = next((f"line {k}" for k, (a, b) in enumerate(zip(tested, expected, strict=False), 2) if a != b), "")
            yield (f"{name} is of the test part, each once", tested == expected, wrong)


def same_table(run: RunFolder, name: str, table: pd.DataFrame) -> tuple[bool, str]:
    """Returns whether a stored table is this one, to the last character, and else where it first is not."""
    stored = (run.path / name).read_text(encoding="utf-8") if run.has(name) else ""
    wanted = table_text(table)
    if stored == wanted:
        return True, ""
    lines = zip([*stored.splitlines(), ""], [*wanted.splitlines(), ""], strict=False)
    return False, next((f"line {k}" for k, (a, b) in enumerate(lines, start=1) if a != b), "line ends")
