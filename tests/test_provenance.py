"""A run knows what it is, and every surface says it: drawn or photographed, a look or the whole, how many people."""

from __future__ import annotations

import dataclasses
import html
import shlex
import zipfile

import numpy as np
import pandas as pd
import pytest

from casestudy.cli.commands import build_parser
from casestudy.data import load_images
from casestudy.data.drawn import stand_in
from casestudy.report import claims, write_report
from casestudy.runs import Options, Wishes
from casestudy.runs.plan import plan
from casestudy.runs.provenance import Provenance
from casestudy.studies import STUDIES
from casestudy.words import DRAWN, MEANINGLESS, QUICK


def told(run, **facts):
    """Returns the page of a run whose run.json says these facts besides its own."""
    run.write_json("run.json", run.read_json("run.json") | facts)
    return write_report(run).read_text(encoding="utf-8")


def test_drawn_images_say_so_after_every_cleaning(tmp_path, run_copy):
    for name, kind in (("DRAWN.txt", "sample"), ("STAND-IN.txt", "stand-in"), ("OTHER.txt", None)):
        target = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(run_copy.letters) as before, zipfile.ZipFile(target, "w") as after:
            for member in before.namelist():
                after.writestr(member, before.read(member))
            after.writestr(f"_sidecar/{name}", "")
        assert load_images(target, image_size=(8, 8), cache_dir=tmp_path / "cache").drawn == kind


@pytest.mark.parametrize("name", ["fashion-mnist", "licence-plates"])
def test_a_stand_in_is_one_to_whoever_reads_it(name, tmp_path):
    study = STUDIES[name]
    where = stand_in(study, tmp_path / "data")
    assert load_images(where, image_size=(28, 28), cache_dir=tmp_path / "cache", data=study.data).drawn == "stand-in"


def test_the_banner_stands_before_the_first_number(run_copy):
    for facts, said in (
        ({}, ""),
        ({"drawn": "sample"}, DRAWN),
        ({"drawn": None, "quick": True}, QUICK),
        ({"drawn": "sample", "quick": True}, f"{DRAWN} {QUICK}"),
        ({"drawn": "stand-in", "quick": True}, MEANINGLESS),
    ):
        page = told(run_copy, **facts)
        assert run_copy.provenance().banner == said
        if said:
            assert 0 < page.index(f'<p class="banner">{said}</p>') < page.index('<p class="score">')
        else:
            assert 'class="banner"' not in page


def test_only_a_whole_run_on_real_data_stands_beside_published_scores():
    def comparable(drawn, quick):
        return Provenance(drawn, quick, 5, 2, 0, None).comparable

    assert comparable(None, False)
    assert not (comparable(None, True) or comparable("sample", False) or comparable("stand-in", False))


def test_the_people_are_counted_in_the_split(run_copy):
    parts = run_copy.read_table("splits.csv")
    known = run_copy.provenance()
    assert known.people == len(set(parts["signer"]) - {""})
    assert known.tested == len(set(parts["signer"][parts["part"] == "test"]))
    pace = sum(run_copy.read_json("training.json")["seconds"].values()) / sum(parts["part"] == "train")
    assert known.seconds_for_everyone == pytest.approx(pace * len(parts) * (known.people - 1))


def test_the_command_that_leaves_everyone_out_asks_for_just_that(run_copy):
    assert Options.again(run_copy, everyone=True) == ""  # a study of nobody's list has no options
    asked = Wishes(STUDIES["asl"], 3)
    run_copy.write_json("run.json", run_copy.read_json("run.json") | asked.to_json())
    words = shlex.split(Options.again(run_copy, everyone=True))
    assert words[-1] == f"--out={run_copy.path.name}-everyone"
    assert words[:3] == ["casestudy", "run", "asl"]
    wishes = Options.parse(vars(build_parser().parse_args(words[1:]))).wishes()
    assert wishes.study.split == dataclasses.replace(asked.study.split, protocol="leave-one-signer-out")
    assert (wishes.study.phases, wishes.seed) == (asked.study.phases, 3)
    assert html.escape(Options.again(run_copy, everyone=True), quote=False) in told(run_copy)


def test_more_people_than_a_dozen_are_not_offered_to_be_left_out(run_copy):
    parts = run_copy.read_table("splits.csv")
    for people, offered in ((12, True), (13, False)):
        parts["signer"] = [f"user_{k % people}" for k in range(len(parts))]
        run_copy.write_table("splits.csv", parts)
        assert (run_copy.provenance().seconds_for_everyone is not None) == offered


def predicted(run, name, right, signers):
    """Writes predictions of three labels: `right` says which photographs are read rightly."""
    count = len(right)
    labels = [("A", "B", "C")[k % 3] for k in range(count)]
    read = [label if good else {"A": "B", "B": "C", "C": "A"}[label] for label, good in zip(labels, right, strict=True)]
    facts = {"name": [f"{k}.png" for k in range(count)], "signer": signers, "label": labels}
    shares = {f"p_{one}": [0.9 if one == guess else 0.05 for guess in read] for one in "ABC"}
    run.write_table(name, pd.DataFrame({**facts, **shares}))


def test_one_person_is_called_one(run_copy):
    signers = ["user_0"] * 12
    headline = next(one for one in run_copy.read_json("metrics.json")["scores"] if one["name"] == "headline")
    run_copy.write_json("metrics.json", {"scores": [headline]})
    predicted(run_copy, "predictions.csv", np.arange(12) != 7, signers)
    parts = pd.DataFrame({"name": [f"{k}.png" for k in range(12)], "signer": signers, "label": "A", "part": "test"})
    run_copy.write_table("splits.csv", parts)
    found = claims(run_copy)
    assert found.may[0].startswith("The model reads 91.7 % of 12 photographs of 1 person whom the training never saw; ")
    assert "That it reads 91.7 % of what other people show: one person cannot tell." in found.may_not


def test_claims_follow_from_the_numbers(run_copy):
    """Five people of twelve photographs; the head misses three of each, the whole training one of all."""
    signers = [f"user_{k // 12}" for k in range(60)]
    scores = {score["name"]: score for score in run_copy.read_json("metrics.json")["scores"]}
    everyone = scores["head"] | {"name": "head-everyone", "predictions": "predictions_head_everyone.csv"}
    run_copy.write_json("metrics.json", {"scores": [scores["headline"], scores["head"], everyone]})
    misses = np.arange(60) % 12 >= 3
    predicted(run_copy, "predictions.csv", np.arange(60) != 7, signers)
    predicted(run_copy, "predictions_head.csv", misses, signers)
    predicted(run_copy, "predictions_head_everyone.csv", misses, signers)
    parts = pd.DataFrame({"name": [f"{k}.png" for k in range(60)], "signer": signers, "label": "A", "part": "test"})
    run_copy.write_table("splits.csv", parts)
    found = claims(run_copy)
    assert found.may[0].startswith("The model reads 98.3 % of 60 photographs of 5 people whom the training never saw; ")
    assert "trained once without each of 5 people, reads 75.0 % of all photographs; 95 % interval" in found.may[1]
    assert found.may[2].startswith("Fine-tuning helped: from 75.0 % with the head alone to 98.3 % (95 % interval +")
    assert found.may[3] == "Of 1 mistake, 1 is of user_0 and 1 is of the label B."
    assert not any("people cannot" in sentence for sentence in found.may_not)
    predicted(run_copy, "predictions.csv", misses, signers)
    predicted(run_copy, "predictions_head.csv", np.arange(60) != 7, signers)
    assert claims(run_copy).may[2].startswith("Fine-tuning hurt: from 98.3 % with the head alone to 75.0 %")


def test_two_people_cannot_tell_of_others(run_copy):
    signers = [f"user_{k // 30}" for k in range(60)]
    predicted(run_copy, "predictions.csv", np.arange(60) % 10 != 0, signers)
    predicted(run_copy, "predictions_head.csv", np.arange(60) % 20 != 0, signers)
    parts = pd.DataFrame({"name": [f"{k}.png" for k in range(60)], "signer": signers, "label": "A", "part": "test"})
    run_copy.write_table("splits.csv", parts)
    found = claims(run_copy)
    assert "two people are too few for an interval: they have 90.0 % and 90.0 %." in found.may[0]
    assert any("Fine-tuning lowered the score: from 95.0 % with the head alone to 90.0 %" in one for one in found.may)
    assert "That it reads 90.0 % of what other people show: two people cannot tell." in found.may_not


def test_a_split_says_who_is_where_before_the_training(run_copy):
    images = run_copy.load_images()
    from casestudy.data import split_folds, split_images
    from casestudy.study import SplitSpec

    split = split_images(images, SplitSpec("signer"), seed=3)
    lines = plan([split])
    tested = sorted(set(images.signers[split.test]))
    assert f"{len(split.test)} photographs of {', '.join(tested)} to test" in lines[0]
    fewest = min(int((images.labels[split.train] == k).sum()) for k in range(len(images.class_names)))
    assert lines[1].startswith(f"fewest of a label: {fewest} to train (")
    everyone = len(set(images.signers) - {""})
    assert f"--split leave-one-signer-out tests each of all {everyone}" in lines[2]
    folds = split_folds(images, dataclasses.replace(SplitSpec("signer"), protocol="leave-one-signer-out"), seed=3)
    assert plan(folds) == [f"split: {everyone} trainings, each tested on one of {', '.join(f.fold for f in folds)}"]


@pytest.mark.parametrize(
    ("train", "quick", "said"), [(10_001, True, True), (10_000, True, False), (10_001, False, False)]
)
def test_a_quick_look_at_many_images_says_how_it_is_quick(train, quick, said):
    from test_published_parts import published_parts

    from casestudy.data import split_images
    from casestudy.study import SplitSpec

    lines = plan([split_images(published_parts(train, 8), SplitSpec("published", validation=0), seed=1)], quick=quick)
    assert (
        lines[-1] == "a quick look takes all of them: in a folder of its own, --fraction 0.1 trains on a tenth"
    ) == said
    assert lines[1].startswith("fewest of a label: 5,000 to train (")


def test_a_look_is_a_wish_and_begins_no_other_run(small_study):
    assert Wishes(small_study, 3, quick=True).differences(Wishes(small_study, 3)) == []
