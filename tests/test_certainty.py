"""Intervals against SciPy, published examples, sums by hand, and worlds whose truth is known."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, sem, t, ttest_1samp, ttest_rel

from casestudy.evaluation import Certainty, how_sure
from casestudy.evaluation.certainty import _tango, mcnemar, over_people
from SCRIPTS.benchmark import coverage
from SCRIPTS.benchmark.coverage import Cell

Z90 = 1.6448536269514722


def wilson(right: int, images: int) -> tuple[float, float]:
    found = binomtest(right, images).proportion_ci(0.95, method="wilson")
    return found.low, found.high


def photographs(right: list[int], images: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns right or not and the person of each image, from how many each person has of both; in mixed order."""
    values = np.concatenate([np.arange(n) < k for k, n in zip(right, images, strict=True)])
    order = np.random.default_rng(0).permutation(len(values))
    return values[order], np.repeat([f"user_{k}" for k in range(len(images))], images)[order]


def tango(first: int, second: int, images: int, **level: float) -> tuple[float, float]:
    low, high = _tango(np.float64(first), np.float64(second), np.float64(images), **level)
    return float(low), float(high)


# ---- people


@pytest.mark.parametrize("images", [[40] * 5, [20, 90, 40, 300, 55]])
def test_over_people_it_is_students_t_on_the_logit_scale(images):
    """Each person counts once, whatever their number of images; the estimate stays that of all images."""
    right = [round(n * share) for n, share in zip(images, (0.75, 0.9, 0.6, 0.8, 0.95), strict=True)]
    scores = np.array(right) / images
    mean, slope = scores.mean(), scores.mean() * (1 - scores.mean())
    reach = t.ppf(0.975, 4) * sem(scores) / slope
    ends = [1 / (1 + math.exp(-(math.log(mean / (1 - mean)) + way * reach))) for way in (-1, 1)]
    found = how_sure(*photographs(right, images))
    assert found.interval == pytest.approx(ends, abs=1e-12)
    assert found.estimate == sum(right) / sum(images)
    assert (found.unit, found.people, found.method) == ("people", 5, "t over 5 people")
    assert found.sentence == (f"95 % interval {100 * ends[0]:.1f} % to {100 * ends[1]:.1f} %, from the 5 people tested")
    assert math.isnan(found.p)


def test_close_to_the_middle_it_is_nearly_the_plain_t_of_scipy():
    values, people = photographs([101, 98, 104, 99, 95], [200] * 5)
    plain = ttest_1samp([101 / 200, 98 / 200, 104 / 200, 99 / 200, 95 / 200], 0).confidence_interval(0.95)
    found = how_sure(values, people)
    low, high = wilson(497, 1000)
    assert found.interval == pytest.approx((min(low, plain.low), max(high, plain.high)), abs=2e-4)


@pytest.mark.parametrize(
    ("right", "images"), [([36, 36, 36], [40] * 3), ([40, 40, 40], [40] * 3), ([0, 0, 0], [9] * 3)]
)
def test_people_who_do_not_differ_leave_the_interval_over_images(right, images):
    found = how_sure(*photographs(right, images))
    assert found.interval == pytest.approx(wilson(sum(right), sum(images)), abs=1e-12)
    assert found.unit == "people"


def test_it_is_never_narrower_than_wilson_and_holds_the_estimate():
    chance = np.random.default_rng(1)
    for _ in range(300):
        images = chance.integers(1, 30, chance.integers(3, 8))
        right = chance.binomial(images, chance.beta(4, 1, len(images)))
        found = how_sure(*photographs(right.tolist(), images.tolist()))
        low, high = wilson(int(right.sum()), int(images.sum()))
        assert 0 <= found.interval[0] <= low + 1e-12 and high - 1e-12 <= found.interval[1] <= 1
        assert found.interval[0] - 1e-12 <= found.estimate <= found.interval[1] + 1e-12


def test_two_people_have_no_interval_but_both_scores():
    found = how_sure(*photographs([124, 128], [130, 130]))
    assert all(map(math.isnan, found.interval))
    assert found.sentence == "two people are too few for an interval: they have 95.4 % and 98.5 %"
    assert (found.estimate, found.unit, found.people, found.method) == (252 / 260, "people", 2, "none: 2 people")
    three = how_sure(*photographs([124, 128, 120], [130] * 3))
    assert not any(map(math.isnan, three.interval))
    ahead = how_sure([1, 0, -1, 1, 1, 1], list("aaabbb"), kind="difference")
    assert math.isnan(ahead.p) and all(map(math.isnan, ahead.interval))
    assert ahead.sentence.endswith("they have +0.0 points and +100.0 points")


@pytest.mark.parametrize(
    ("people", "known", "words"),
    [
        (None, 0, "of the same people or things"),
        ([""] * 50, 0, "of the same people or things"),
        (["a"] * 20 + ["b"] * 20 + ["c"] * 9 + [""], 0, "of the same people or things"),
        (["a"] * 50, 1, "of the same person"),
    ],
)
def test_where_people_are_not_known_it_speaks_of_images_and_says_so(people, known, words):
    found = how_sure(np.arange(50) < 40, people)
    assert found.interval == pytest.approx(wilson(40, 50), abs=1e-12)
    assert (found.unit, found.people, found.method) == ("images", known, "Wilson over images")
    assert found.sentence == f"95 % interval 67.0 % to 88.8 %, which speaks of more images {words}"


@pytest.mark.parametrize(("right", "images"), [(0, 5), (5, 5), (8, 10), (1, 3), (437, 512), (1, 1)])
def test_wilson_against_scipy(right, images):
    assert how_sure(np.arange(images) < right).interval == pytest.approx(wilson(right, images), abs=1e-12)


def test_without_images_nothing_is_said():
    found = how_sure([], [])
    assert math.isnan(found.estimate) and all(map(math.isnan, found.interval))
    assert (found.method, found.sentence) == ("none: too few images", "too few images for an interval")
    assert isinstance(found, Certainty)


# ---- losses


def test_a_loss_over_people_is_students_t_of_its_logarithm():
    losses = np.array([0.1, 0.3, 0.9, 0.5, 0.2, 0.1, 2.0, 0.4, 0.6, 0.1])
    people = list("aaabbbcccc")
    means = np.array([1.3 / 3, 0.8 / 3, 3.1 / 4])
    reach = t.ppf(0.975, 2) * sem(means) / means.mean()
    found = how_sure(losses, people, kind="loss")
    low, high = means.mean() * math.exp(-reach), means.mean() * math.exp(reach)
    assert found.interval == pytest.approx((low, high), rel=1e-12)
    assert found.estimate == pytest.approx(losses.sum() / 10)
    assert found.sentence == f"95 % interval {low:.2f} to {high:.2f}, from the 3 people tested"


def test_a_loss_over_images_too_and_people_never_make_it_narrower():
    losses = np.array([0.1, 0.3, 0.9, 0.5, 0.2, 0.1, 2.0, 0.4])
    reach = t.ppf(0.975, 7) * sem(losses) / losses.mean()
    ends = (losses.mean() * math.exp(-reach), losses.mean() * math.exp(reach))
    assert how_sure(losses, kind="loss").interval == pytest.approx(ends, rel=1e-12)
    alike = np.repeat(losses, 3)[np.argsort(np.tile([0, 1, 2], 8), kind="stable")]  # three people of the same losses
    reach = t.ppf(0.975, 23) * sem(alike) / alike.mean()
    ends = (alike.mean() * math.exp(-reach), alike.mean() * math.exp(reach))
    assert how_sure(alike, np.repeat(list("abc"), 8), kind="loss").interval == pytest.approx(ends, rel=1e-9)
    assert all(map(math.isnan, how_sure([0.4], kind="loss").interval))
    assert how_sure([0.0, 0.0, 0.0], list("abc"), kind="loss").interval == (0.0, 0.0)


# ---- two models


@pytest.mark.parametrize("images", [[60] * 4, [20, 100, 45, 300]])
def test_two_models_are_paired_by_person_as_scipy_pairs_them(images):
    chance = np.random.default_rng(3)
    people = np.repeat(list("abcd"), images)
    first = chance.random(len(people)) < np.repeat([0.9, 0.7, 0.8, 0.95], images)
    second = chance.random(len(people)) < np.repeat([0.5, 0.6, 0.5, 0.7], images)
    scores = [[right[people == one].mean() for one in "abcd"] for right in (first, second)]
    theirs = ttest_rel(*scores)
    found = how_sure(first.astype(int) - second, people, kind="difference")
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)), abs=1e-12)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.estimate == pytest.approx(first.mean() - second.mean())
    assert found.sentence.endswith(" points, from the 4 people tested")


def test_the_p_value_of_people_is_below_a_twentieth_just_where_0_is_left_out():
    chance, beyond = np.random.default_rng(4), []
    for _ in range(2_000):
        people = np.repeat(np.arange(chance.integers(3, 8)), 12).astype(str)
        lead, apart = chance.normal(0.08, 0.1, 8)[people.astype(int)], chance.random(len(people))
        found = how_sure(np.where(apart < 0.2 + lead, 1, np.where(apart > 0.85, -1, 0)), people, kind="difference")
        low, high = found.interval
        assert (found.p < 0.05) == (low > 0 or high < 0)
        beyond.append(found.p < 0.05)
    assert 200 < sum(beyond) < 1_800


def test_people_against_photographs_are_no_evidence():
    """One person with many images is ahead, the others behind: over people and over images the signs differ."""
    people = ["a"] * 90 + ["b"] * 5 + ["c"] * 5
    found = how_sure([1] * 40 + [0] * 50 + [-1] * 10, people, kind="difference")
    assert found.estimate == 0.3
    assert found.p == 1.0
    assert found.interval[0] < 0 < found.interval[1]


def test_without_people_two_models_are_tested_by_photographs():
    found = how_sure([1] * 16 + [-1] * 6 + [0] * 64, kind="difference")
    assert found.p == pytest.approx(binomtest(6, 22).pvalue, rel=1e-12)
    assert found.interval == pytest.approx(tango(16, 6, 86), abs=1e-12)
    assert (found.method, found.unit) == ("Tango over images", "images")
    same = how_sure([0] * 50, kind="difference")
    share = 1.959963984540054**2
    assert same.p == 1.0
    assert same.interval == pytest.approx((-share / (50 + share), share / (50 + share)), abs=1e-12)
    three = how_sure([0] * 51, np.repeat(list("abc"), 17), kind="difference")
    assert three.p == 1.0
    assert three.interval == pytest.approx((-share / (51 + share), share / (51 + share)), abs=1e-12)


# ---- the tests of photographs


def exact(b: int, c: int) -> float:
    """Returns McNemar's p-value from whole numbers: twice the smaller tail of so many fair coins, at most 1."""
    tail = sum(Fraction(math.comb(b + c, k), 2 ** (b + c)) for k in range(min(b, c) + 1))
    return float(min(Fraction(1), 2 * tail))


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 1), (1, 0), (1, 5), (3, 3), (0, 9), (16, 6), (40, 20), (310, 250)])
def test_mcnemar_against_whole_numbers_and_scipy(b, c):
    assert mcnemar(b, c) == pytest.approx(exact(b, c), rel=1e-12)
    if b + c:
        assert mcnemar(b, c) == pytest.approx(binomtest(b, b + c).pvalue, rel=1e-12)


def test_mcnemar_as_published():
    """Fagerland, Lydersen and Laake (2017), Statistical Analysis of Contingency Tables, chapter 8: Cavo et al. 2012."""
    assert mcnemar(6, 16) == pytest.approx(0.052479, abs=5e-7)


@pytest.mark.parametrize(
    ("both", "only_first", "only_second", "neither", "z", "low", "high"),
    [
        (43, 0, 1, 0, Z90, -0.096, 0.037),  # Tango 1998: disinfection of contact lenses, 90 %
        (4, 9, 3, 16, None, -0.027, 0.390),  # Tango 1998: cross-over trial
        (53, 16, 8, 9, None, -0.020, 0.207),  # Agresti and Min 2005, Statistics in Medicine 24, 729–740
        (1, 1, 7, 12, None, -0.517, -0.026),  # Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33, 2850–2875
        (59, 6, 16, 80, None, -0.1240, -0.0054),  # the same authors' book of 2017, chapter 8
    ],
)
def test_the_interval_as_published(both, only_first, only_second, neither, z, low, high):
    """The first four as R's `ratesci` quotes them in its tests, the last as `contingencytables` does."""
    images = both + only_first + only_second + neither
    found = tango(only_first, only_second, images, **({"z": z} if z else {}))
    assert found == pytest.approx((low, high), abs=5.1e-4 if low != -0.1240 else 5.1e-5)


@pytest.mark.parametrize(("b", "c", "n"), [(9, 3, 32), (0, 4, 20), (120, 95, 1000), (1, 0, 44)])
def test_at_its_ends_the_score_test_is_just_rejected(b, c, n):
    """The likelihood maximised numerically under each difference, instead of the closed form."""
    for delta in tango(b, c, n):

        def cost(q, delta=delta):  # q: the chance that only the second is right
            chances = np.array([q + delta, q, 1 - 2 * q - delta])
            counts = np.array([b, c, n - b - c])
            return -(counts[counts > 0] * np.log(np.maximum(chances[counts > 0], 1e-300))).sum()

        q = minimize_scalar(
            cost, bounds=(max(0, -delta), (1 - delta) / 2), method="bounded", options={"xatol": 1e-12}
        ).x
        score = (b - c - n * delta) / math.sqrt(n * (2 * q + delta - delta**2))
        assert abs(score) == pytest.approx(1.959964, rel=1e-3)


def test_the_interval_mirrors_and_keeps_its_width():
    low, high = tango(3, 9, 50)
    assert tango(9, 3, 50) == pytest.approx((-high, -low), abs=1e-12)
    share = 1.959963984540054**2
    assert tango(0, 0, 50) == pytest.approx((-share / (50 + share), share / (50 + share)), abs=1e-12)
    assert tango(5, 0, 5)[1] == 1.0
    assert tango(0, 5, 5)[0] == -1.0
    narrow, wide = np.diff(tango(90, 60, 1000)), np.diff(tango(9, 6, 100))
    assert wide > 2 * narrow


# ---- how often they hold

CHOSEN = [row for row in coverage.load() if row["way"] == "chosen"]
DIFFER = ("medium", "large")  # spreads that are more than the noise of a person's images


@pytest.mark.parametrize("counts", ["equal", "unequal"])
@pytest.mark.parametrize("people", [3, 5, 9, 20])
def test_intervals_of_shares_hold_in_93_to_97_of_100_worlds(people, counts):
    """Fewer worlds than the committed table has, so three standard errors of their number are allowed for."""
    for mean in (0.6, 0.8):
        for spread in ("small", *DIFFER):
            (row,) = coverage.measure(Cell("share", counts, people, mean, spread), 3_000, people, ("chosen",))
            assert row["held"] > 0.93 - 3 * math.sqrt(0.93 * 0.07 / 3_000), (mean, spread)
            assert row["held"] < 0.97 + 3 * math.sqrt(0.03 * 0.97 / 3_000) or spread == "small", (mean, spread)


@pytest.mark.parametrize(
    "cell", [Cell("difference", "equal", 7, 0.05, "medium"), Cell("loss", "equal", 7, 0.5, "small")]
)
def test_intervals_of_losses_and_differences_hold_too(cell):
    (row,) = coverage.measure(cell, 2_000, 1, ("chosen",))
    assert 0.93 - 3 * 0.0057 < row["held"] < 0.97 + 3 * 0.0038


def test_what_was_there_before_held_too_seldom():
    """The bootstrap over people, in the same worlds: in half of them with two people."""
    rows = [coverage.measure(Cell("share", "equal", people, 0.8, "medium"), 2_000, 1) for people in (2, 3, 5)]
    held = [{row["way"]: row["held"] for row in found} for found in rows]
    assert [found["bootstrap"] for found in held] == pytest.approx([0.5, 0.77, 0.84], abs=0.04)
    assert math.isnan(held[0]["chosen"])
    assert held[1]["chosen"] > 0.93


def test_the_committed_table_is_what_the_simulation_gives():
    assert [tuple(row[name] for name in ("kind", "counts", "people", "mean", "spread")) for row in CHOSEN] == [
        (cell.kind, cell.counts, cell.people, cell.mean, cell.spread) for cell in coverage.cells()
    ]
    for row in CHOSEN[6:90:11]:
        cell = Cell(*(row[name] for name in ("kind", "counts", "people", "mean", "spread")))
        (again,) = coverage.measure(cell, 4_000, 99, ("chosen",))
        if cell.people == 2:
            assert math.isnan(row["held"]) and math.isnan(again["held"])
        else:
            assert again["held"] == pytest.approx(row["held"], abs=0.017)
            assert again["width"] == pytest.approx(row["width"], rel=0.1)


def test_the_committed_table_keeps_the_promise():
    for row in CHOSEN:
        if row["people"] == 2:
            assert math.isnan(row["held"])
        elif row["spread"] != "one in ten":
            assert row["held"] > {"share": 0.93, "loss": 0.92, "difference": 0.94}[row["kind"]], row
            if row["spread"] in DIFFER and row["counts"] == "equal":
                assert row["held"] < 0.97, row


def test_over_people_takes_many_worlds_at_once():
    totals, counts = np.array([[8.0, 5, 9], [4, 4, 2]]), np.array([[10.0, 9, 10], [5, 5, 5]])
    both = over_people(totals, totals, counts, "share")
    for k in (0, 1):
        one = how_sure(*photographs(totals[k].astype(int).tolist(), counts[k].astype(int).tolist()))
        assert one.interval == pytest.approx((both[0][k], both[1][k]), abs=1e-12)
