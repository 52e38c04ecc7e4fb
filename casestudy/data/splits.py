"""Who is in training, validation and test: by signer, leave-one-signer-out, at random, or as published.

A random split lets the same hand, room and light into training and test, and so measures memory more than reading; it
is here to be shown beside the honest one. Images that are duplicates of one another never sit in two parts, except
where the data were published so; then `copies` names them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from casestudy.choices import Protocol
from casestudy.data.image_set import ImageSet
from casestudy.errors import DataError
from casestudy.study import SplitSpec

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """Three disjoint parts of one `ImageSet`, as int64 indices into it, sorted."""

    images: ImageSet
    protocol: Protocol
    train: np.ndarray
    validation: np.ndarray  # may be empty
    test: np.ndarray
    left_out: (
        np.ndarray
    )  # in no part: a duplicate is in a later one, nobody knows the signer, or a fraction was asked for
    fold: str = ""  # the signer held out as test, in leave-one-signer-out

    @cached_property
    def digest(self) -> str:
        """Hash of the images and of who is in training and validation: what a training depends on."""
        parts = (self.images.digest.encode(), self.train.tobytes(), b"|", self.validation.tobytes(), b"|")
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def part_of(self) -> np.ndarray:
        """Returns str (N,): "train", "validation", "test" or "left out" for every image."""
        part = np.full(len(self.images), "left out", dtype="<U10")
        for name in PARTS:
            part[getattr(self, name)] = name
        return part

    def missing(self) -> dict[str, list[str]]:
        """Returns the class names that a part lacks, for each part that lacks any."""
        lacking = {}
        for name in PARTS:
            present = set(self.images.labels[getattr(self, name)].tolist())
            absent = [label for k, label in enumerate(self.images.class_names) if k not in present]
            if absent and present:
                lacking[name] = absent
        return lacking

    def copies(self) -> pd.DataFrame:
        """Returns the test images with a copy in another part, as `copies.copies_across_parts` does."""
        from casestudy.data.copies import copies_across_parts  # only now: it needs what stands here

        return copies_across_parts(self)


def split_images(images: ImageSet, spec: SplitSpec, *, seed: int) -> Splits:
    """Returns train, validation and test by the protocol of `spec`; the same seed gives the same parts.

    Raises:
        DataError: The protocol needs signers the data does not name, or there are too few signers or images.
    """
    if spec.protocol == "leave-one-signer-out":
        raise DataError("leave-one-signer-out makes one split a signer; call split_folds for all of them.")
    make = {"random": _random, "published": _published, "signer": _unseen_signers}[spec.protocol]
    return _fewer(make(images, spec, seed), spec.fraction, seed)


def split_folds(images: ImageSet, spec: SplitSpec, *, seed: int) -> list[Splits]:
    """Returns the splits of a protocol: one for each signer in leave-one-signer-out, else that of `split_images`."""
    if spec.protocol == "leave-one-signer-out":
        return leave_one_signer_out(images, fraction=spec.fraction, seed=seed)
    return [split_images(images, spec, seed=seed)]


def _unseen_signers(images: ImageSet, spec: SplitSpec, seed: int) -> Splits:
    signers = [str(name) for name in np.random.default_rng(seed).permutation(_signers(images, at_least=3))]
    test_count = max(1, round(spec.test * len(signers)))
    validation_count = max(1, round(spec.validation * len(signers))) if spec.validation else 0
    if test_count + validation_count >= len(signers):
        raise DataError(
            f"A split by signer must leave a signer to train on; {len(signers)} signers, {test_count} for test and "
            f"{validation_count} for validation leave none. Make the shares smaller."
        )
    return _by_signer(images, signers[:test_count], signers[test_count : test_count + validation_count], "signer")


def leave_one_signer_out(images: ImageSet, *, fraction: float = 1.0, seed: int = 0) -> list[Splits]:
    """Returns one split for each signer, who alone is its test part; each photograph is tested exactly once.

    Every other signer trains, with the share `fraction` of the images: there is no validation part, so nothing is
    chosen by it and phases run all their epochs.
    """
    names = _signers(images, at_least=2)
    whole = [_by_signer(images, [name], [], "leave-one-signer-out", fold=name) for name in names]
    return [_fewer(split, fraction, seed) for split in whole]


def _fewer(splits: Splits, fraction: float, seed: int) -> Splits:
    """Returns the splits with that share of training and of validation; the rest is in no part."""
    if fraction == 1:
        return splits
    images = splits.images
    train, validation = (
        np.sort(_stratified(images, part, images.labels, 1 - fraction if len(part) else 0, seed)[0])
        for part in (splits.train, splits.validation)
    )
    used = np.concatenate([train, validation, splits.test])
    left_out = np.setdiff1d(np.arange(len(images)), used)
    return dataclasses.replace(splits, train=train, validation=validation, left_out=left_out)


def _signers(images: ImageSet, at_least: int) -> list[str]:
    if images.signers is None:
        raise DataError("A split by signer needs to know the signers; this data does not say. Use --split random.")
    names = [str(name) for name in np.unique(images.signers) if name]
    if len(names) < at_least:
        way = "leave-one-signer-out, which needs two" if len(names) == 2 else "random"
        raise DataError(
            f"A split by signer needs at least {at_least} signers; received {len(names)}. Use --split {way}."
        )
    return names


def _by_signer(images: ImageSet, test: list[str], validation: list[str], protocol: Protocol, fold: str = "") -> Splits:
    assert images.signers is not None  # `_signers` has made sure
    rank = np.zeros(len(images), dtype=np.int8)  # 0 train, 1 validation, 2 test
    rank[np.isin(images.signers, validation)] = 1
    rank[np.isin(images.signers, test)] = 2
    # A photograph that two signers' folders share would leak: the later part keeps it, the earlier part does without.
    highest = np.zeros(images.groups.max() + 1, dtype=np.int8)
    np.maximum.at(highest, images.groups, rank)
    leaks = (rank < highest[images.groups]) | (images.signers == "")
    train, validating, testing = (np.flatnonzero((rank == k) & ~leaks) for k in range(3))
    if not len(train):
        raise DataError(
            f"A split must leave photographs to train on; here each one is of {', '.join([*test, *validation])} or a "
            f"duplicate of theirs. Look into ledger.csv for what counts as a duplicate, or use --split random."
        )
    return Splits(images, protocol, train, validating, testing, left_out=np.flatnonzero(leaks), fold=fold)


def _random(images: ImageSet, spec: SplitSpec, seed: int) -> Splits:
    groups, first = np.unique(images.groups, return_index=True)
    labels = images.labels[first]
    rest, test = _stratified(images, np.arange(len(groups)), labels, spec.test, seed)
    train, validation = _stratified(images, rest, labels, spec.validation / (1 - spec.test), seed)
    sides = (groups[part] for part in (train, validation, test))
    train, validation, test = (np.flatnonzero(np.isin(images.groups, side)) for side in sides)
    return Splits(images, "random", train, validation, test, left_out=np.empty(0, dtype=np.int64))


def _published(images: ImageSet, spec: SplitSpec, seed: int) -> Splits:
    if images.parts is None:
        raise DataError("A published split needs data that came in parts; these came in one. Use --split random.")
    rest, validation, test = (np.flatnonzero(images.parts == part) for part in PARTS)
    left_out = np.flatnonzero(~np.isin(images.parts, PARTS))
    if len(validation):
        return Splits(images, "published", rest, validation, test, left_out)
    if spec.draw != "stratified" and spec.validation:
        drawn = seed if spec.seed is None else spec.seed
        shuffle = {"shuffle": True, "random_state": drawn} if spec.draw == "shuffled" else {"shuffle": False}
        train, validation = map(np.sort, train_test_split(rest, test_size=spec.validation, **shuffle))
        return Splits(images, "published", train, validation, test, left_out)
    groups, first = np.unique(images.groups[rest], return_index=True)
    labels = images.labels[rest][first]
    chosen = _stratified(images, np.arange(len(groups)), labels, spec.validation, seed)
    train, validation = (rest[np.isin(images.groups[rest], groups[part])] for part in chosen)
    return Splits(images, "published", train, validation, test, left_out)


def _stratified(
    images: ImageSet, among: np.ndarray, labels: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns `among`, indices into `labels`, in two parts of the same mixture, the second a share of it."""
    if not share:
        return among, among[:0]
    try:
        rest, held_out = train_test_split(among, test_size=share, stratify=labels[among], random_state=seed)
    except ValueError as error:
        names, counts = np.unique(labels[among], return_counts=True)
        fewest = images.class_names[names[counts.argmin()]]
        raise DataError(
            f"A stratified split needs every label in every part; the rarest here is {fewest!r} ({error}). "
            f"Add photographs of it, or leave the label out."
        ) from error
    return rest, held_out
