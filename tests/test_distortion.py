"""A distorted test set is one and the same for everybody, and distorted as far as it says."""

import dataclasses
import hashlib

import numpy as np
import pytest

from casestudy.data.distortion import distort

NOTHING = {"rotation": 0.0, "shift": 0.0, "zoom": 0.0}


@pytest.fixture
def bars(make_images):
    """Forty images of a white bar: 61 by 61 pixels, one channel, the bar 41 long, 9 wide, and upright."""
    images = make_images(signers=4, takes=4)
    pixels = np.zeros((len(images), 61, 61, 1), np.uint8)
    pixels[:, 10:51, 26:35] = 255
    return dataclasses.replace(images, images=pixels)


def moments(image):
    """Returns the centre (down, right), the area, and the turn of the long axis from upright in degrees."""
    weights = image.squeeze() / 255
    down, right = np.mgrid[:61, :61]
    area = weights.sum()
    y, x = (weights * down).sum() / area, (weights * right).sum() / area
    covariance = np.cov(np.stack([down.ravel(), right.ravel()]), aweights=weights.ravel())
    long_axis = np.linalg.eigh(covariance)[1][:, -1]
    return y, x, area, np.degrees(np.arctan(long_axis[1] / long_axis[0]))


def test_without_distortion_nothing_changes(bars):
    same = distort(bars, np.arange(len(bars)), **NOTHING, seed=1)
    assert (same.images == bars.images).all()
    assert same.names.tolist() == bars.names.tolist()


def test_images_turn_about_their_middle_as_far_as_asked(bars):
    turned = distort(bars, np.arange(len(bars)), **{**NOTHING, "rotation": 20 / 360}, seed=1)
    facts = np.array([moments(image) for image in turned.images])
    assert np.abs(facts[:, :2] - 30).max() < 0.3
    assert 10 < np.abs(facts[:, 3]).max() < 20.5
    assert facts[:, 3].min() < -5 < 5 < facts[:, 3].max()


def test_images_move_as_far_as_asked(bars):
    moved = distort(bars, np.arange(len(bars)), **{**NOTHING, "shift": 0.1}, seed=1)
    facts = np.array([moments(image) for image in moved.images])
    away = facts[:, :2] - 30
    assert 4 < np.abs(away).max() < 6.2
    assert np.ptp(away, axis=0).min() > 6
    assert np.abs(facts[:, 3]).max() < 0.5


def test_images_grow_and_shrink_as_far_as_asked(bars):
    sized = distort(bars, np.arange(len(bars)), **{**NOTHING, "zoom": 0.2}, seed=1)
    sides = np.sqrt(np.array([moments(image)[2] for image in sized.images]) / (41 * 9))
    assert 0.78 < sides.min() < 0.9
    assert 1.1 < sides.max() < 1.22


def test_an_images_distortion_does_not_depend_on_the_others(bars):
    options = {"rotation": 0.05, "shift": 0.1, "zoom": 0.2}
    whole = distort(bars, np.arange(len(bars)), **options, seed=1)
    some = distort(bars, np.array([7, 3]), **options, seed=1)
    assert (some.images == whole.images[[7, 3]]).all()
    assert some.labels.tolist() == bars.labels[[7, 3]].tolist()
    assert whole.digest == distort(bars, np.arange(len(bars)), **options, seed=1).digest
    assert whole.digest != distort(bars, np.arange(len(bars)), **options, seed=2).digest


def test_zoom_is_a_share_of_the_size_either_way_and_the_digest_is_of_the_pixels(bars):
    sized = distort(bars, np.arange(len(bars)), **{**NOTHING, "zoom": 0.5}, seed=1)
    sides = np.sqrt(np.array([moments(image)[2] for image in sized.images]) / (41 * 9))
    assert sides.min() > 0.49
    assert sides.max() < 1.51
    assert sized.digest == hashlib.sha256(sized.images.tobytes()).hexdigest()
    assert sized.digest != distort(bars, np.arange(len(bars)), **{**NOTHING, "zoom": 0.5}, seed=2).digest
    assert not (sized.images == distort(bars, np.arange(len(bars)), **{**NOTHING, "zoom": 0.5}, seed=2).images).all()


def test_what_is_known_of_an_image_comes_with_it(bars):
    some = distort(bars, np.array([7, 3]), **NOTHING, seed=1)
    assert some.names.tolist() == bars.names[[7, 3]].tolist()
    assert some.groups.tolist() == bars.groups[[7, 3]].tolist()
    assert some.labels.tolist() == bars.labels[[7, 3]].tolist()
