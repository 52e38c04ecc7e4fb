"""Claims are judged by numbers, with an answer by hand; and the cases that teach are among them."""

import re

import pytest

from casestudy.audit import Share, audit, committed, judge
from casestudy.cli import main
from casestudy.errors import DataError
from casestudy.studies import CLAIMS, STUDIES, Claim
from casestudy.words import percent


def claim(figure=None, right=None, of=None, **more):
    return Claim("It reads so much.", "README", "a cell", figure=figure, right=right, of=of, **more)


@pytest.mark.parametrize(
    ("figure", "right", "of", "verdict"),
    [
        (0.9034, 608, 673, "holds"),  # 0.90342
        (0.90, 608, 673, "holds"),  # as many digits as it has
        (0.89, 608, 673, "holds within noise"),  # Wilson by hand: 0.8787 to 0.9235
        (0.8786, 608, 673, "does not hold"),
        (0.9236, 608, 673, "does not hold"),
        (0.9234, 608, 673, "holds within noise"),
        (0.5, None, None, "cannot be known"),
        (None, None, None, "cannot be known"),
    ],
)
def test_a_figure_is_held_against_its_own_notebook(figure, right, of, verdict):
    assert judge(claim(figure, right, of))[0] == verdict


@pytest.mark.parametrize(
    ("here", "verdict"),
    [
        (Share(920, 1000), "holds"),  # better speaks for it
        (Share(900, 1000), "holds"),
        # Newcombe's interval of 0.9 - p leaves out 0 from 871 on down; by statsmodels' confint_proportions_2indep.
        (Share(873, 1000), "holds within noise"),
        (Share(870, 1000), "does not hold"),
        (Share(870, 1000, few_people=True), "holds"),
        (None, "holds"),
    ],
)
def test_a_figure_is_held_against_what_comes_out_here(here, verdict):
    made = claim(0.9, 900, 1000)
    assert judge(made, here)[0] == verdict
    import dataclasses

    assert judge(dataclasses.replace(made, comparable=False), here)[0] == "holds"


@pytest.mark.parametrize(("right", "verdict"), [(8700, "holds within noise"), (8697, "does not hold")])
def test_one_more_training_may_have_the_luck_of_the_others(right, verdict):
    """By hand: mean 0.891567, deviation 0.004365, t of 2 degrees 4.30265: down to 0.891567 - 0.021687 = 0.869880."""
    made = claim(0.8898, 10_688, 12_000, runs=(0.8963, 0.8877, 0.8907))
    assert judge(made, Share(right, 10_000))[0] == verdict


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (Share(90, 100), Share(60, 100), "holds"),
        (Share(60, 100), Share(90, 100), "does not hold"),
        (Share(61, 100), Share(60, 100), "cannot be known"),
        (Share(90, 100, few_people=True), Share(60, 100, few_people=True), "cannot be known"),
        (None, Share(60, 100), "cannot be known"),
    ],
)
def test_a_better_model_is_better_beyond_noise(one, other, verdict):
    assert judge(claim(than="other"), one, other)[0] == verdict


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"right": 5}, "right of a Claim is a part"),
        ({"right": 6, "of": 5}, "right of a Claim is a part"),
        ({"here": ("a", "b")}, "here of a Claim"),
        ({"here": ("a", "b", "train")}, "here of a Claim"),
        ({"verdict": "holds"}, "has a reason"),
        ({"verdict": "perhaps", "why": "so"}, "one of holds"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(wrong, said):
    with pytest.raises(DataError, match=said):
        claim(**wrong)


def test_every_claim_has_its_place_and_the_figures_their_counts():
    for name, claims in CLAIMS.items():
        for one in claims:
            assert one.source and one.shown and one.text.endswith("."), name
            assert one.here == () or one.here[0] == name
            if one.figure is not None and one.verdict is None:
                assert one.right is not None or "cell" not in one.source
    for study in STUDIES.values():
        for variant in study.variants:
            if variant.published is not None:
                assert re.search(r"\.ipynb.* cells? \d", variant.cells), (study.name, variant.name)


@pytest.mark.parametrize(
    ("study", "words", "verdict"),
    [
        ("fashion-mnist", "RMSprop and dropout: 90.81", "does not hold"),
        ("fashion-mnist", "most common mistake", "does not hold"),
        ("emnist", "half the parameters of MobileNetV2", "does not hold"),
        ("emnist", "half the parameters of ResNet50V2", "holds"),
        ("licence-plates", "80 % of the images train", "does not hold"),
        ("licence-plates", "89 % of the test part", "does not hold"),
        ("asl-original", "98.73", "holds"),
        ("asl-original", "So well", "cannot be known"),
    ],
)
def test_the_cases_that_teach_are_there(study, words, verdict):
    (row,) = (row for row in audit(study) if words in row.claim.text)
    assert row.verdict == verdict


def test_the_command_prints_every_verdict(capsys):
    assert main(["audit"]) == 0
    page = capsys.readouterr().out
    assert len(
        re.findall(r"^  verdict     (holds|holds within noise|does not hold|cannot be known)", page, re.M)
    ) == sum(map(len, CLAIMS.values()))
    assert main(["audit", "emnist"]) == 0
    assert set(re.findall(r"^([\w-]+): ", capsys.readouterr().out, re.M)) == {"emnist"}
    assert main(["audit", "asl"]) == 0
    assert "published no figure" in capsys.readouterr().out
    assert main(["audit", "all"]) == 0
    assert capsys.readouterr().out == page
    assert main(["audit", "emnits"]) == 2
    said = capsys.readouterr().err
    assert "received 'emnits'. Did you mean 'emnist'?" in said
    assert f"is one of {', '.join(sorted(STUDIES))}, all;" in said


def test_what_a_study_says_to_expect_is_its_committed_result():
    import importlib

    found = 0
    for name in STUDIES:
        if result := committed(name):
            text = importlib.import_module(f"casestudy.studies.{name.replace('-', '_')}").__doc__ or ""
            scores = {percent(row["accuracy"]) for row in result["scores"]}
            said = re.findall(r"[\d.]+ %", text.partition("Expect")[2].replace("95 % interval", ""))
            assert said and set(said) <= scores, name
            found += 1
    assert found >= 5
