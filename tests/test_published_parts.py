"""A published training part is divided as its source divides it: the rows, their order, the seed and the share."""

import dataclasses

import numpy as np
import pytest

from casestudy.data.splits import split_images
from casestudy.errors import DataError
from casestudy.study import SplitSpec


def published_parts(train, test):
    """Returns an `ImageSet` of that many blank images, the test part first; without copies, two labels take turns."""
    from casestudy.data import ImageSet

    count = train + test
    return ImageSet(
        images=np.zeros((count, 8, 8, 1), np.uint8),
        labels=np.arange(count) % 2,
        class_names=("A", "B"),
        signers=None,
        names=np.array([f"{k:05}" for k in range(count)]),
        groups=np.arange(count),
        cropped=False,
        digest="",
        parts=np.repeat(["test", "train"], [test, train]),
    )


@pytest.mark.parametrize(
    ("train", "share", "state", "counts"), [(1111, 0.8, 13, (222, 889)), (600, 0.2, 2023, (480, 120))]
)
def test_a_shuffled_draw_is_scikit_learns_of_the_rows_as_they_lie(train, share, state, counts):
    from sklearn.model_selection import train_test_split

    spec = SplitSpec("published", validation=share, draw="shuffled", seed=state)
    found = split_images(published_parts(train, 30), spec, seed=7)
    kept, held_out = train_test_split(list(range(30, 30 + train)), train_size=round(1 - share, 9), random_state=state)
    assert (len(found.train), len(found.validation)) == counts
    assert found.train.tolist() == sorted(kept)
    assert found.validation.tolist() == sorted(held_out)
    assert found.test.tolist() == list(range(30))
    assert (split_images(published_parts(train, 30), spec, seed=8).train == found.train).all()  # the draw's own seed
    of_the_run = split_images(published_parts(train, 30), dataclasses.replace(spec, seed=None), seed=state)
    assert (of_the_run.train == found.train).all()  # which names none


def test_the_last_rows_are_held_out_as_keras_holds_them_out():
    found = split_images(published_parts(50, 4), SplitSpec("published", validation=0.2, draw="last"), seed=1)
    assert found.train.tolist() == list(range(4, 44))
    assert found.validation.tolist() == list(range(44, 54))


@pytest.mark.parametrize("draw", ["shuffled", "last"])
def test_a_draw_of_nothing_leaves_all_to_train_on(draw):
    found = split_images(published_parts(50, 4), SplitSpec("published", validation=0, draw=draw), seed=1)
    assert (found.train.tolist(), len(found.validation)) == (list(range(4, 54)), 0)


def test_a_variant_is_trained_on_its_own_division_and_on_the_fraction_of_all():
    from casestudy.runs.trained import TrainedModel
    from casestudy.runs.work import _own_splits
    from casestudy.study import ModelSpec, Phase, Study, Variant

    phases = (Phase("train", "everything", epochs=1, learning_rate=1e-3),)
    net, last = ModelSpec("small_cnn"), SplitSpec("published", validation=0.8, draw="last")
    own = Variant("own", net, phases, split=last)
    study = Study("s", "S", "here", net, phases, SplitSpec("published", validation=0.1), variants=(own,))
    shared = [split_images(published_parts(50, 4), study.split, seed=1)]
    (found,) = _own_splits(study, TrainedModel("own", "variant", "published", ""), shared, seed=1)
    assert found.train.tolist() == list(range(4, 14))
    assert (found.test == shared[0].test).all()
    assert _own_splits(study, TrainedModel("headline", "own", "published", ""), shared, seed=1) is shared
    half = dataclasses.replace(study, split=dataclasses.replace(study.split, fraction=0.5))
    (found,) = _own_splits(half, TrainedModel("own", "variant", "published", ""), shared, seed=1)
    assert (len(found.train), len(found.validation)) == (5, 20)


def test_a_draw_divides_published_parts_alone():
    with pytest.raises(DataError, match="draw of a SplitSpec divides a published training part; received 'last'"):
        SplitSpec("random", draw="last")


def test_each_pixel_is_stretched_over_its_own_part():
    """Against scikit-learn's MinMaxScaler, fitted on each part."""
    from sklearn.preprocessing import MinMaxScaler

    from casestudy.data.columns import scale_apart

    images = published_parts(20, 9)
    pixels = np.random.default_rng(2).integers(0, 200, images.images.shape).astype("uint8")
    pixels[:, 0, 0] = 7  # the same everywhere: becomes 0
    found = scale_apart(dataclasses.replace(images, images=pixels))
    for part in ("train", "test"):
        rows = pixels[images.parts == part].reshape(-1, 64)
        wanted = MinMaxScaler((0, 255)).fit_transform(rows)
        np.testing.assert_allclose(found.images[images.parts == part].reshape(-1, 64), wanted, atol=0.501)
    assert found.images[:, 0, 0].max() == 0
    assert found.digest != images.digest
    assert pixels.max() < 200  # what was given stays
