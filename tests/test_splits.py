"""Nobody sits in two parts, no photograph in two, and whatever is left out is named."""

import dataclasses

import numpy as np
import pytest

from casestudy.data.splits import _by_signer, leave_one_signer_out, split_images
from casestudy.errors import DataError
from casestudy.study import SplitSpec

PARTS = ("train", "validation", "test")


def all_splits(images, seeds=range(6)):
    """Returns splits of every protocol and several seeds."""
    found = [split_images(images, SplitSpec(protocol), seed=k) for protocol in ("signer", "random") for k in seeds]
    return found + leave_one_signer_out(images)


@pytest.fixture
def doubled(make_images):
    """8 signers, in which chains of copies run through signers and labels."""
    images = make_images(signers=8, takes=3)
    groups = images.groups.copy()
    first = {(s, label): int(np.flatnonzero((images.signers == f"user_{s}") & (images.labels == label))[0])
             for s in range(1, 9) for label in range(3)}  # fmt: skip
    for pair in ([(1, 0), (2, 0), (3, 0)], [(4, 1), (5, 1)], [(6, 2), (7, 2), (8, 2), (1, 2)], [(2, 1), (2, 2)]):
        groups[[first[one] for one in pair]] = groups[first[pair[0]]]
    return dataclasses.replace(images, groups=groups)


def test_parts_are_disjoint_and_whatever_is_missing_is_left_out(doubled):
    for split in all_splits(doubled):
        everything = np.concatenate([split.train, split.validation, split.test, split.left_out])
        assert sorted(everything) == list(range(len(doubled)))
        part = split.part_of()
        for name in PARTS:
            assert np.flatnonzero(part == name).tolist() == getattr(split, name).tolist()
        assert np.flatnonzero(part == "left out").tolist() == split.left_out.tolist()


def test_copies_never_sit_in_two_parts(doubled):
    for split in all_splits(doubled):
        groups = [set(doubled.groups[getattr(split, name)]) for name in PARTS]
        assert not groups[0] & groups[1]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]


def test_without_the_gate_copies_would_leak(doubled):
    blind = dataclasses.replace(doubled, groups=np.arange(len(doubled)))
    for seed in range(6):
        split, leaky = (split_images(images, SplitSpec("signer"), seed=seed) for images in (doubled, blind))
        assert split.test.tolist() == leaky.test.tolist()  # the test part is whole
        later = set(doubled.groups[[*leaky.test, *leaky.validation]])
        leaks = {k for k in leaky.train if doubled.groups[k] in later}
        assert leaks
        assert leaks <= set(split.left_out)


def test_a_fraction_thins_training_and_validation_and_leaves_the_test_whole(make_images):
    images = make_images(signers=8, takes=8)
    for protocol in ("signer", "random"):
        whole = split_images(images, SplitSpec(protocol), seed=3)
        half = split_images(images, SplitSpec(protocol, fraction=0.5), seed=3)
        assert half.test.tolist() == whole.test.tolist()
        for name in ("train", "validation"):
            some, every = (getattr(split, name) for split in (half, whole))
            assert set(some.tolist()) < set(every.tolist())
            np.testing.assert_allclose(np.bincount(images.labels[some]) * 2, np.bincount(images.labels[every]), atol=2)
        assert len(half.left_out) == sum(map(len, (whole.train, whole.validation))) - len(half.train) - len(
            half.validation
        )
    for fold in leave_one_signer_out(images, fraction=0.25, seed=3):
        assert len(fold.train) == pytest.approx(7 * 8 * 3 / 4, abs=1)
        assert set(images.signers[fold.test]) == {fold.fold}
        assert len(fold.test) == 8 * 3


def test_signers_stay_apart(make_images):
    images = make_images(signers=8, takes=2)
    for seed in range(10):
        split = split_images(images, SplitSpec("signer", validation=0.15, test=0.25), seed=seed)
        people = [set(images.signers[getattr(split, name)]) for name in PARTS]
        assert [len(group) for group in people] == [5, 1, 2]
        assert len(set.union(*people)) == 8
        assert len(split.left_out) == 0


def test_leaving_one_out_tests_every_photograph_once(doubled):
    folds = leave_one_signer_out(doubled)
    assert [split.fold for split in folds] == [f"user_{k}" for k in range(1, 9)]
    assert sorted(np.concatenate([split.test for split in folds])) == list(range(len(doubled)))
    for split in folds:
        assert set(doubled.signers[split.test]) == {split.fold}
        assert split.fold not in set(doubled.signers[split.train])
        assert len(split.validation) == 0


def test_random_split_is_stratified(make_images):
    images = make_images(signers=10, takes=12)
    keep = np.concatenate([np.flatnonzero(images.labels == k)[: 20 * (k + 1)] for k in range(3)])
    images = dataclasses.replace(
        images,
        images=images.images[keep],
        labels=images.labels[keep],
        signers=images.signers[keep],
        names=images.names[keep],
        groups=np.arange(len(keep)),
    )
    for seed in range(4):
        split = split_images(images, SplitSpec("random", validation=0.15, test=0.25), seed=seed)
        counts = [np.bincount(images.labels[getattr(split, name)]).tolist() for name in PARTS]
        assert counts == [[12, 24, 36], [3, 6, 9], [5, 10, 15]]


@pytest.mark.parametrize("protocol", ["signer", "random"])
def test_the_seed_decides(make_images, protocol):
    images = make_images(signers=8, takes=3)
    np.random.seed(0)
    one = split_images(images, SplitSpec(protocol), seed=5).part_of().tolist()
    np.random.seed(1)  # global state has no say
    assert split_images(images, SplitSpec(protocol), seed=5).part_of().tolist() == one
    assert any(split_images(images, SplitSpec(protocol), seed=k).part_of().tolist() != one for k in (6, 7, 8))


def test_splitting_leaves_global_randomness_alone(make_images):
    images = make_images()
    np.random.seed(0)
    expected = np.random.random(3)
    np.random.seed(0)
    all_splits(images, seeds=[1])
    np.testing.assert_array_equal(np.random.random(3), expected)


def test_missing_labels_are_named(make_images):
    images = make_images(signers=4, takes=2)
    alone = images.signers == "user_3"
    images = dataclasses.replace(
        images, labels=np.where(alone, images.labels, images.labels % 2)
    )  # only user_3 signs C
    for split in leave_one_signer_out(images):
        assert split.missing() == ({"train": ["C"]} if split.fold == "user_3" else {"test": ["C"]})


def test_no_validation_where_none_is_asked_for(make_images):
    images = make_images(signers=5)
    for protocol in ("signer", "random"):
        split = split_images(images, SplitSpec(protocol, validation=0), seed=1)
        assert len(split.validation) == 0
        assert len(split.train) + len(split.test) == len(images)


def test_what_cannot_be_split_says_why(make_images):
    with pytest.raises(DataError, match=r"at least 3 signers; received 2.*--split leave-one-signer-out"):
        split_images(make_images(signers=2), SplitSpec("signer"), seed=0)
    with pytest.raises(DataError, match=r"at least 2 signers; received 1"):
        leave_one_signer_out(make_images(signers=1))
    with pytest.raises(DataError, match=r"does not say.*--split random"):
        split_images(dataclasses.replace(make_images(), signers=None), SplitSpec("signer"), seed=0)
    with pytest.raises(DataError, match=r"leave a signer to train on; 4 signers"):
        split_images(make_images(signers=4), SplitSpec("signer", validation=0.4, test=0.59), seed=0)
    rare = make_images(signers=4)
    rare = dataclasses.replace(rare, labels=np.where(np.arange(len(rare)) == 0, 0, 1 + rare.labels % 2))
    with pytest.raises(DataError, match=r"rarest here is 'A'"):
        split_images(rare, SplitSpec("random"), seed=0)
    with pytest.raises(DataError, match="call split_folds"):
        split_images(rare, SplitSpec("leave-one-signer-out"), seed=0)
    same = make_images(signers=3, takes=1)
    same = dataclasses.replace(same, groups=same.labels)  # everybody handed in the same photographs
    with pytest.raises(DataError, match=r"photographs to train on.*user_1 or a duplicate"):
        leave_one_signer_out(same)


def test_a_photograph_of_nobody_known_is_in_no_part_of_a_split_by_signer(make_images):
    images = make_images(signers=8, takes=3)
    signers = images.signers.copy()
    signers[3] = ""
    partly = dataclasses.replace(images, signers=signers)
    for split in (split_images(partly, SplitSpec(), seed=1), *leave_one_signer_out(partly)):
        assert 3 in split.left_out
        assert 3 not in np.concatenate([split.train, split.validation, split.test])


def test_a_published_test_part_stays_as_it_is(make_images):
    images = make_images(signers=4, takes=5)
    parts = np.where(np.arange(len(images)) % 4 == 0, "test", "train")
    groups = images.groups.copy()
    groups[[1, 8]] = 0  # an image of the training part has a copy there, and one in the test part
    published = dataclasses.replace(images, parts=parts, groups=groups, signers=None)
    split = split_images(published, SplitSpec("published", validation=0.2), seed=5)
    assert split.test.tolist() == np.flatnonzero(parts == "test").tolist()
    assert sorted([*split.train, *split.validation]) == np.flatnonzero(parts == "train").tolist()
    assert abs(len(split.validation) - 0.2 * (parts == "train").sum()) <= 1
    assert np.bincount(images.labels[split.validation]).min() >= 2
    assert (split_images(published, SplitSpec("published", validation=0.2), seed=5).train == split.train).all()
    with pytest.raises(DataError, match=r"came in parts.*--split random"):
        split_images(images, SplitSpec("published"), seed=5)


@pytest.mark.parametrize(("signers", "counts"), [(6, [3, 1, 2]), (7, [4, 1, 2]), (10, [6, 2, 2]), (3, [1, 1, 1])])
def test_shares_of_signers_are_rounded(signers, counts, make_images):
    """By hand: a quarter of 6 is 1.5, of 7 is 1.75, of 10 is 2.5; Python rounds halves to the even number."""
    images = make_images(signers=signers, takes=1)
    split = split_images(images, SplitSpec("signer", validation=0.15, test=0.25), seed=1)
    assert [len(set(images.signers[getattr(split, name)])) for name in PARTS] == counts


def test_validation_is_a_share_of_the_whole(make_images):
    images = make_images(signers=10, takes=10)
    split = split_images(images, SplitSpec("random", validation=0.25, test=0.5), seed=1)
    assert [len(getattr(split, name)) for name in PARTS] == [75, 75, 150]


def test_a_copy_in_validation_leaves_training(make_images):
    images = make_images(signers=4, takes=2)
    rank = {"user_1": "train", "user_2": "validation", "user_3": "test"}
    for first, second in (("user_1", "user_2"), ("user_1", "user_3"), ("user_2", "user_3")):
        a, b = (int(np.flatnonzero(images.signers == name)[0]) for name in (first, second))
        groups = images.groups.copy()
        groups[b] = groups[a]
        split = _by_signer(dataclasses.replace(images, groups=groups), ["user_3"], ["user_2"], "signer")
        assert split.left_out.tolist() == [a]
        assert b in getattr(split, rank[second])


def test_the_seed_decides_which_validation_images_a_random_split_holds_out(make_images):
    """Each stratified choice takes the seed, not only the first."""
    images = make_images(signers=8, takes=3)
    parted = dataclasses.replace(images, parts=np.where(images.signers == "user_1", "test", "train"), signers=None)
    chosen = {tuple(split_images(parted, SplitSpec("published", validation=0.3), seed=k).validation) for k in range(4)}
    assert len(chosen) == 4


def test_what_a_training_depends_on_is_in_the_digest(make_images):
    images = make_images(signers=8, takes=3)
    split = split_images(images, SplitSpec("signer"), seed=1)
    empty = np.empty(0, dtype=np.int64)
    others = [
        dataclasses.replace(split, images=dataclasses.replace(images, digest="other")),
        dataclasses.replace(split, train=split.train[1:]),
        dataclasses.replace(split, validation=split.validation[1:]),
        dataclasses.replace(split, train=np.concatenate([split.train, split.validation]), validation=empty),
    ]
    assert len({split.digest, *(other.digest for other in others)}) == 5
    assert dataclasses.replace(split, test=split.test[1:]).digest == split.digest


def test_a_published_validation_part_is_stratified_by_the_training_labels(make_images):
    """The test part comes first and has another mixture, so that rows which are mixed up show."""
    images = make_images(signers=8, takes=5)
    order = np.concatenate([np.flatnonzero(images.labels == 0)[:20], np.flatnonzero(images.labels > 0)])
    labels = images.labels[order]
    parts = np.where(np.arange(len(order)) < 30, "test", "train")
    published = dataclasses.replace(
        *(images,), images=images.images[order], labels=labels, names=images.names[order], signers=None,
        groups=np.arange(len(order)), parts=parts,
    )  # fmt: skip
    split = split_images(published, SplitSpec("published", validation=0.2), seed=5)
    mixture = np.bincount(labels[parts == "train"], minlength=3)
    np.testing.assert_allclose(np.bincount(labels[split.validation], minlength=3), 0.2 * mixture, atol=0.5)


def test_the_label_that_is_too_rare_is_that_of_the_part_that_is_drawn_from(make_images):
    """Training has one A among many; of all images, C is the rarest."""
    images = make_images(signers=3, takes=6)
    labels = np.array([0, *[1] * 9, *[2] * 2, *[0] * 8, *[1] * (len(images) - 20)])
    parts = np.array(["train"] * 10 + ["test"] * (len(images) - 10))
    published = dataclasses.replace(images, labels=labels, parts=parts, signers=None, groups=np.arange(len(images)))
    with pytest.raises(DataError, match="the rarest here is 'A'"):
        split_images(published, SplitSpec("published", validation=0.2), seed=5)


def test_a_part_that_is_empty_lacks_nothing(make_images):
    split = split_images(make_images(signers=5), SplitSpec("signer", validation=0), seed=1)
    assert split.missing() == {}
