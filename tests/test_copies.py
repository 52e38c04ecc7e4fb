"""Copies across parts are found: the same pixels, and nearly the same ones."""

import dataclasses

import numpy as np
import pytest

from casestudy.data.copies import NEAR, copies_across_parts, nearest_images
from casestudy.data.splits import Splits, split_images
from casestudy.study import SplitSpec


@pytest.fixture
def published(make_images):
    images = make_images(signers=4, takes=5)
    parts = np.where(np.arange(len(images)) % 4 == 0, "test", "train")
    return dataclasses.replace(images, parts=parts, signers=None)


def test_exact_and_near_copies_are_named(published):
    pixels, groups = published.images.copy(), published.groups.copy()
    groups[[1, 8]] = 0  # 0 and 8 are of the test part, 1 is not
    pixels[12] = np.clip(pixels[5].astype(int) + np.random.default_rng(0).integers(-3, 4, pixels[5].shape), 0, 255)
    split = split_images(dataclasses.replace(published, images=pixels, groups=groups), SplitSpec("published"), seed=5)
    copies = copies_across_parts(split)
    names = published.names
    found = copies[["name", "copy", "kind"]].to_records(index=False).tolist()
    assert found == [(names[0], names[1], "exact"), (names[8], names[1], "exact"), (names[12], names[5], "near")]
    part = dict(zip(names, split.part_of(), strict=True))
    assert copies["part"].tolist() == [part[name] for name in copies["copy"]]


def test_without_copies_there_is_nothing_to_name(published):
    assert len(copies_across_parts(split_images(published, SplitSpec("published"), seed=5))) == 0


def test_the_nearest_image_is_the_nearest(published, monkeypatch):
    """The same as every pair compared by hand, in blocks of any size."""
    wanted, among = np.flatnonzero(published.parts == "test"), np.flatnonzero(published.parts == "train")
    flat = published.images.reshape(len(published), -1).astype(float)
    by_hand = np.sqrt(((flat[wanted][:, None] - flat[among][None]) ** 2).mean(axis=2))
    for block in (3, 2048):
        monkeypatch.setattr("casestudy.data.copies.BLOCK", block)
        place, difference = nearest_images(published, wanted, among)
        np.testing.assert_allclose(difference, by_hand.min(axis=1), rtol=1e-3)
        assert place.tolist() == among[by_hand.argmin(axis=1)].tolist()
    assert difference.min() > NEAR


def flat(make_images, *levels):
    """Photographs of one grey each, so that two differ by the difference of their levels."""
    images = make_images(signers=1, takes=len(levels), labels=("A",))
    pixels = np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], images.images.shape)
    return dataclasses.replace(images, images=pixels, signers=None)


def test_near_is_up_to_the_limit_and_copies_of_validation_count(make_images):
    images = flat(make_images, 0, 100, 105, 94, 200, 200)
    images = dataclasses.replace(images, groups=np.array([0, 1, 2, 3, 4, 4]))
    none = np.empty(0, np.int64)
    split = Splits(images, "published", np.array([0]), np.array([1, 4]), np.array([2, 3, 5]), none)
    names = images.names
    found = copies_across_parts(split)[["name", "copy", "part", "kind"]].to_records(index=False).tolist()
    assert found == [(names[5], names[4], "validation", "exact"), (names[2], names[1], "validation", "near")]


@pytest.mark.parametrize("block", [1, 2048])
def test_of_equal_images_the_first_is_the_nearest(make_images, block, monkeypatch):
    monkeypatch.setattr("casestudy.data.copies.BLOCK", block)
    place, difference = nearest_images(flat(make_images, 7, 90, 90, 80), np.array([3]), np.array([0, 1, 2]))
    assert (place.tolist(), difference.tolist()) == ([1], [10.0])
