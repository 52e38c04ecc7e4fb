"""Every number against a sum done by hand, SciPy, scikit-learn or a published example."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, ttest_rel
from sklearn import metrics

from casestudy.errors import DataError
from casestudy.evaluation.certainty import _tango
from casestudy.evaluation.comparison import (
    Contender,
    compare,
    holm,
    ladder,
    paired_tests,
    pareto,
    ranks,
)

RIGHT = ("1111111111111100", "0000000001111110", "0011111101111110")


def contender(name: str, right: str, **facts) -> Contender:
    """Returns a model that reads the k-th photograph, which shows A or B in turn, rightly where `right` has a 1."""
    truth = np.arange(len(right)) % 2
    sure = np.where(np.array(list(right)) == "1", 0.75, 0.25)
    table = pd.DataFrame(
        {
            "name": [f"{k:04d}.png" for k in range(len(right))],
            "signer": "",
            "label": np.array(["A", "B"])[truth],
            "predicted": "",
            "loss": 0.0,
            "p_A": np.where(truth == 0, sure, 1 - sure).astype("float32"),
            "p_B": np.where(truth == 1, sure, 1 - sure).astype("float32"),
        }
    )
    return Contender(name, table, **facts)


def tango(first: int, second: int) -> tuple[float, float]:
    """Returns the interval that test_certainty.py holds against published ones, of sixteen photographs."""
    return _tango(np.float64(first), np.float64(second), np.float64(16))


@pytest.fixture
def three() -> list[Contender]:
    """Sixteen photographs: 9 only the first reads and not the second, and 1 the other way round; and so on."""
    return [
        contender("first", RIGHT[0], parameters=3000, seconds=2.5, bytes=64, train_accuracy=1.0),
        contender("second", RIGHT[1], parameters=200),
        contender("third", RIGHT[2], parameters=1000),
    ]


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([3 * 0.01, 2 * 0.03, 2 * 0.03])
    assert holm([0.03, 0.01, 0.02]).tolist() == pytest.approx([0.04, 0.03, 0.04])  # 0.03 alone rises to the one before
    assert holm([0.5, 0.9, 0.2]).tolist() == pytest.approx([1, 1, 0.6])
    assert holm([0.5]).tolist() == [0.5]
    assert holm([]).tolist() == []


def test_pairs_by_hand(three):
    tests = paired_tests(three)
    assert [(row.first, row.second, row.only_first_right, row.only_second_right) for row in tests.itertuples()] == [
        ("first", "second", 9, 1),
        ("first", "third", 3, 1),
        ("second", "third", 0, 6),
    ]
    assert tests["difference"].tolist() == pytest.approx([100 * 8 / 16, 100 * 2 / 16, 100 * -6 / 16])
    first, second, third = 2 * (1 + 10) / 2**10, 2 * (1 + 4) / 2**4, 2 * 1 / 2**6
    assert tests["p"].tolist() == pytest.approx([first, second, third])
    assert tests["p_holm"].tolist() == pytest.approx(
        [3 * first, second, 3 * first]
    )  # 2 · third would be below 3 · first
    assert tests["beyond_noise"].tolist() == [False, False, False]
    for row, counts in zip(tests.itertuples(), [(9, 1), (3, 1), (0, 6)], strict=True):
        assert (row.low, row.high) == pytest.approx([100 * end for end in tango(*counts)])


def test_one_row_a_model_with_what_is_known_of_it(three):
    table = compare(three)
    assert table["name"].tolist() == ["first", "second", "third"]
    truth = np.arange(16) % 2
    for row, one in zip(table.itertuples(), three, strict=True):
        sure = one.predictions[["p_A", "p_B"]].to_numpy(dtype="float64")
        assert row.accuracy == metrics.accuracy_score(truth, sure.argmax(axis=1))
        assert row.loss == pytest.approx(metrics.log_loss(truth, sure), rel=1e-6)
        wilson = binomtest(int(16 * row.accuracy), 16).proportion_ci(0.95, method="wilson")
        assert (row.low, row.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
        assert row.images == 16
    assert table.loc[0, ["parameters", "seconds", "bytes", "train_accuracy"]].tolist() == [3000, 2.5, 64, 1.0]
    assert math.isnan(table.loc[0, "validation_loss"])
    assert table["rank"].tolist() == [1, 1, 1]


def test_ranks_are_shared_within_noise_only():
    good, alike, bad = "1" * 90 + "0" * 10, "0" + "1" * 90 + "0" * 9, "1" * 60 + "0" * 40
    table = compare([contender("bad", bad), contender("good", good), contender("alike", alike)])
    assert table["rank"].tolist() == [3, 1, 1]


def outcomes(*differences: tuple[str, str, float, bool]) -> pd.DataFrame:
    return pd.DataFrame(differences, columns=["first", "second", "difference", "beyond_noise"])


def test_noise_does_not_carry_over():
    tests = outcomes(("A", "B", 1.0, False), ("A", "C", 3.0, True), ("B", "C", 2.0, False))
    assert ranks("ABC", tests) == [1, 1, 2]


def test_whoever_loses_beyond_noise_stands_below():
    """C is within noise of A, but loses to B, which loses to A: a model must not share a rank with its better."""
    tests = outcomes(("B", "A", -2.0, True), ("C", "A", -3.0, False), ("C", "B", -1.0, True), ("D", "C", -1.0, True))
    assert ranks("ABCD", tests) == [1, 2, 3, 4]
    assert ranks("DCBA", tests.iloc[::-1]) == [4, 3, 2, 1]


def test_the_order_of_the_rows_does_not_matter(three):
    shuffled = replace(three[1], predictions=three[1].predictions.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(compare(three), compare([three[0], shuffled, three[2]]))
    pd.testing.assert_frame_equal(paired_tests(three), paired_tests([three[0], shuffled, three[2]]))


def test_what_a_table_claims_about_itself_is_not_believed(three):
    boasting = three[1].predictions.assign(predicted=three[1].predictions["label"], loss=0.0)
    assert compare([replace(three[1], predictions=boasting)]).loc[0, "accuracy"] == 6 / 16


def other_name(table):
    return table.replace({"name": {"0003.png": "0099.png"}})


def other_label(table):
    return table.replace({"label": {"A": "B"}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_name, "on the same photographs; the 16 of 'second'"),
        (other_label, "on the same photographs"),
        (lambda table: table.iloc[1:], "the 15 of 'second'"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "'second' has 17 rows for 16"),
        (lambda table: table.iloc[:0], "'second' has 0 rows"),
    ],
)
def test_other_photographs_are_refused_in_one_line(three, change, words):
    changed = [three[0], replace(three[1], predictions=change(three[1].predictions))]
    for function in (compare, paired_tests, ladder):
        with pytest.raises(DataError, match=words) as caught:
            function(changed)
        assert "\n" not in str(caught.value)


def test_names_tell_models_apart(three):
    for wrong in ([], [three[0], three[0]]):
        with pytest.raises(DataError, match="different names"):
            compare(wrong)


def test_one_model_alone_is_compared_with_nobody(three):
    assert compare(three[:1])["rank"].tolist() == [1]
    assert len(paired_tests(three[:1])) == 0
    assert ladder(three[:1])["change"].isna().tolist() == [True]


def test_a_ladder_says_what_each_step_was_worth(three):
    steps = ladder([three[1], three[2], three[0]])
    assert steps["name"].tolist() == ["second", "third", "first"]
    assert steps["accuracy"].tolist() == [6 / 16, 12 / 16, 14 / 16]
    assert steps.loc[0, ["change", "low", "high", "p", "p_holm"]].isna().all()
    assert steps["change"].tolist()[1:] == pytest.approx([100 * 6 / 16, 100 * 2 / 16])
    assert steps["p"].tolist()[1:] == pytest.approx([2 / 64, 10 / 16])
    assert steps["p_holm"].tolist()[1:] == pytest.approx([2 * 2 / 64, 10 / 16])  # two steps, though three pairs
    assert steps.loc[1, ["low", "high"]].tolist() == pytest.approx([100 * end for end in tango(6, 0)])
    assert steps["beyond_noise"].tolist() == [False, False, False]


def test_a_step_beyond_noise_is_told():
    steps = ladder([contender("plain", "10" * 50), contender("more", "1" * 90 + "0" * 10)])
    assert steps["beyond_noise"].tolist() == [False, True]


def test_the_front_is_what_no_other_beats():
    rows = [(10, 0.70), (20, 0.90), (20, 0.80), (30, 0.90), (40, 0.95), (40, 0.95), (50, 0.60), (math.nan, 0.99)]
    table = pd.DataFrame(rows, columns=["parameters", "accuracy"], index=list("abcdefgh"))
    found = pareto(table)
    assert found[found].index.tolist() == ["a", "b", "e", "f"]
    assert found.dtype == bool


def by_people(models: list[Contender], people: str) -> list[Contender]:
    """Returns the models with a letter for the signer of each photograph."""
    return [replace(model, predictions=model.predictions.assign(signer=list(people))) for model in models]


def test_three_people_are_the_unit_of_every_figure(three):
    """Eight photographs of one person, four each of two: SciPy's paired t test over people, joined with Tango's."""
    people, names = "aaaaaaaabbbbcccc", ("first", "second", "third")
    models = by_people(three, people)
    right = pd.DataFrame([list(map(int, digits)) for digits in RIGHT], names).T
    means = right.groupby(list(people)).mean()
    tests = paired_tests(models)
    for row, counts in zip(tests.itertuples(), [(9, 1), (3, 1), (0, 6)], strict=True):
        theirs = ttest_rel(means[row.first], means[row.second])
        low, high = theirs.confidence_interval(0.95)
        least, most = tango(*counts)
        assert (row.low, row.high) == pytest.approx((100 * max(min(low, least), -1), 100 * min(max(high, most), 1)))
        assert row.p >= theirs.pvalue - 1e-12
    assert tests["p_holm"].tolist() == pytest.approx(holm(tests["p"]).tolist())
    steps = ladder([models[1], models[2], models[0]])
    assert steps.loc[2, "p"] == pytest.approx(tests.loc[1, "p"])
    wilson = binomtest(14, 16).proportion_ci(0.95, method="wilson")
    low, high = compare(models).loc[0, ["low", "high"]]
    assert low < wilson.low - 0.1 and high >= wilson.high


def test_with_two_people_nobody_is_better(three):
    """Ninety photographs of a hundred more: by photographs that is no noise, by two people nobody knows."""
    good, bad = contender("good", "1" * 100), contender("bad", "1" * 10 + "0" * 90)
    assert paired_tests([good, bad])["beyond_noise"].tolist() == [True]
    two = by_people([good, bad], "ab" * 50)
    tests = paired_tests(two)
    assert tests["difference"].tolist() == [90.0]
    assert tests[["low", "high", "p", "p_holm"]].isna().all(axis=None)
    assert tests["beyond_noise"].tolist() == [False]
    table = compare(two)
    assert table["accuracy"].tolist() == [1.0, 0.1]
    assert table[["low", "high"]].isna().all(axis=None)
    assert table["rank"].tolist() == [1, 1]
    steps = ladder(two[::-1])
    assert steps["beyond_noise"].tolist() == [False, False]
    assert paired_tests(by_people([good, bad], "abcde" * 20))["beyond_noise"].tolist() == [True]


def test_other_signers_are_other_photographs(three):
    with pytest.raises(DataError, match="other names, labels or signers"):
        compare([three[0], *by_people(three[1:], "a" * 16)])
