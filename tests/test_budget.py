"""`--budget MINUTES`: the most of a recipe that fits, by paces that the tests state, and written down as asked for."""

import dataclasses
import json
import logging
import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from casestudy.errors import DataError, RunError
from casestudy.runs import Options, Wishes, budget, prepare_run, run_study
from casestudy.runs.folder import RunFolder
from casestudy.study import ModelSpec, Phase, SplitSpec
from SCRIPTS.articles.writing import read_json, replaced
from SCRIPTS.hands import measure_budget

HEAD = Phase("head", "head", epochs=20, learning_rate=0.1, views=3)
TUNE = Phase("fine-tune", "all", epochs=12, learning_rate=0.01)


def parts(train=1000, validation=100):
    """Stands for splits of which only the sizes matter."""
    return SimpleNamespace(train=range(train), validation=range(validation), fold="")


def paces(spec, splits, *, head=0.0, tune=0.0, base=0.0, start=0.0):
    """Returns a clock that has measured so many seconds an image of each phase and of the frozen base."""
    from casestudy.training import Clock

    clock = Clock()
    for phase, each in ((HEAD, head), (TUNE, tune)):
        task = clock.begin(spec, dataclasses.replace(phase, epochs=1), splits)
        clock.measure(task.kind, start + 10 * each, 10, start)
        if phase is HEAD:
            clock.measure(task.base, 10 * base, 10)
    return clock


@pytest.fixture
def study():
    from casestudy.studies import STUDIES

    model = ModelSpec("resnet50v2", image_size=(96, 96), weights="signs", augmentation={"shift": 0.1})
    return dataclasses.replace(STUDIES["asl"], model=model, phases=(HEAD, TUNE))


def test_each_part_of_a_recipe_takes_the_time_of_its_epochs_and_sides(study):
    clock = paces(study.model, parts(), tune=0.03, base=0.01, head=0.0001, start=7.0)
    found = budget.parts_of(study, [parts()], clock, smaller=True)
    frozen, head = 0.01 * (3 * 1000 + 100), 0.0001 * 1000 * 20  # a base sees each view once, and validation
    shown = {(part.image_size[0], part.phases[-1].epochs): part.seconds for part in found}
    for (side, epochs), seconds in shown.items():
        assert seconds == pytest.approx(2 * 7.0 + side / 96 * (frozen + head + 0.03 * 1000 * epochs))
    assert set(shown) == {(96, 12), (96, 6), (96, 3), (64, 6), (64, 3)}
    assert (found[0].image_size, found[0].phases) == ((96, 96), study.phases)  # the whole recipe first
    twice = budget.parts_of(study, [parts(), parts()], clock, smaller=True)
    assert twice[0].seconds == pytest.approx(2 * found[0].seconds)
    own_size = budget.parts_of(study, [parts()], clock, smaller=False)
    assert [(part.image_size, part.phases[-1].epochs) for part in own_size] == [((96, 96), n) for n in (12, 6, 3)]
    small = dataclasses.replace(study, model=dataclasses.replace(study.model, image_size=(64, 64)))
    sizes = {part.image_size for part in budget.parts_of(small, [parts()], clock, smaller=True)}
    assert sizes == {(64, 64)}  # there is nothing smaller than the smallest


def test_the_parts_are_those_that_were_measured_to_be_worth_their_time():
    measured = {(one["size"], one["epochs"]): one for one in read_json(measure_budget.RESULTS)["points"]}
    chosen = [(96 if side is None else side, round(12 * share)) for side, share in budget.POINTS]
    assert len(measured) == 6 and set(chosen) < set(measured)
    for before, after in pairwise(measured[point] for point in chosen):
        assert before["accuracy"] >= after["accuracy"]
    for left_out in set(measured) - set(chosen):  # some other part reads more in less time
        one = measured[left_out]
        better = (other for other in measured.values() if other["accuracy"] > one["accuracy"])
        assert any(other["seconds"] < one["seconds"] for other in better)
    page = measure_budget.PAGE.read_text(encoding="utf-8")
    begin, end = measure_budget.BEGIN, measure_budget.END
    assert replaced(page, measure_budget.table(read_json(measure_budget.RESULTS)), begin, end) == page
    for one in measured.values():
        assert one["accuracy"] == pytest.approx(sum(one["people"].values()) / len(one["people"]))


@pytest.fixture
def begun(tmp_path, letters_zip, small_study, monkeypatch):
    """Begins a run of 8 epochs with a budget, on a machine that needs 0.1 s for an image of the last phase."""
    study = dataclasses.replace(
        small_study,
        model=dataclasses.replace(small_study.model, image_size=None),
        phases=(HEAD, dataclasses.replace(TUNE, epochs=8)),
    )
    asked = []  # the size of the images, and how many of them train

    def measured(study, split, **_):
        asked.append(study.model.image_size)
        asked.append(len(split.train))
        return paces(study.model, split, tune=0.1)

    monkeypatch.setattr(budget, "paces_of", measured)

    def begin(minutes, out="run", wished=None, source=letters_zip, **changes):
        wishes = Wishes(dataclasses.replace(study, **changes), seed=3, budget=minutes, **(wished or {}))
        run = RunFolder.begin(tmp_path / out, wishes, source)
        asked.clear()
        return run, prepare_run(run), asked

    return begin


def decided(run):
    found = run.record.resolved_wishes().study
    return found.model.image_size, tuple(phase.epochs for phase in found.phases)


def test_a_budget_decides_once_and_what_it_decides_is_written_as_if_it_had_been_asked_for(begun, caplog):
    caplog.set_level(logging.INFO, logger="casestudy")
    run, (study, images, splits), asked = begun(1000.0)
    (_, train), seconds = asked, 0.1 * asked[1]
    assert (
        decided(run) == ((96, 96), (20, 8)) and "pay for the whole recipe: 96x96 pixels, epochs 20 + 8," in caplog.text
    )
    half = seconds * 4 / 60
    run, (study, images, splits), asked = begun(half + 0.001, "half")
    assert decided(run) == ((96, 96), (20, 4)) and study.phases[-1].epochs == 4
    assert images.images.shape[1:3] == (96, 96) and len(splits[0].train) == train
    assert decided(begun(half - 0.001, "less")[0]) == ((64, 64), (20, 4))
    record = json.loads((run.path / "run.json").read_text())
    assert record["study"]["phases"][-1]["epochs"] == 4 and record["study"]["model"]["image_size"] == [96, 96]
    again, _, asked = begun(half + 0.001, "half")  # the same call goes on, and measures nothing anew
    assert asked == [] and decided(again) == ((96, 96), (20, 4))
    (again.path / "model.keras").touch()  # something that a run has made
    with pytest.raises(RunError, match=r"differs in budget, study\.model\.image_size, study\.phases"):
        begun(half + 1, "half")
    assert run.record.resolved_wishes().budget is None  # whoever makes it again has another machine


def test_a_budget_that_is_too_small_for_anything_says_so_and_takes_the_least(begun, caplog):
    run, _, _ = begun(1e-6)
    assert decided(run)[1] == (20, 2) and "too few for any training; the least there is: 64x64 pixels" in caplog.text


def test_an_image_size_that_is_asked_for_stays(begun, small_study):
    model = dataclasses.replace(small_study.model, image_size=(72, 72))
    run, (_, images, _), _ = begun(1e-6, model=model)
    assert images.images.shape[1:3] == (72, 72) and decided(run) == ((72, 72), (20, 2))


def test_what_a_budget_makes_smaller_is_loaded_smaller(begun, monkeypatch):
    from casestudy.training import Machine

    here = dataclasses.replace(Machine.here(), image_size=(96, 96))
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: here))
    run, (study, images, _), asked = begun(1e-6)
    assert asked[0] == (96, 96) and images.images.shape[1:3] == (64, 64) == study.model.image_size
    assert run.record.resolved.machine.image_size == (64, 64)


@pytest.mark.parametrize("minutes", [None, 1e-6])
def test_a_split_that_has_to_be_at_random_is_said_once(begun, encode, tmp_path, caplog, minutes):
    chance = np.random.default_rng(5)
    for name in (f"{label}/{take}.png" for label in "ABC" for take in range(8)):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(chance.integers(0, 256, (40, 40, 3), dtype=np.uint8)))
    run, (_, images, splits), _ = begun(minutes, source=tmp_path / "photos")
    assert images.signers is None and splits[0].protocol == run.facts.protocol == "random"
    assert sum("does not say who is in each photograph" in line for line in caplog.messages) == 1


@pytest.mark.parametrize(
    "changes, wished, trainings",
    [
        ({}, {}, 1),
        ({}, {"seeds": 3}, 3),
        ({}, {"compare_splits": True}, 2),
        ({"compare_splits": True}, {}, 2),
        ({"split": SplitSpec("leave-one-signer-out")}, {}, "people"),
    ],
)
def test_every_training_of_a_run_is_counted(begun, monkeypatch, changes, wished, trainings):
    counted, parts_of = [], budget.parts_of
    monkeypatch.setattr(
        budget,
        "parts_of",
        lambda study, splits, *a, **k: counted.append(len(splits)) or parts_of(study, splits, *a, **k),
    )
    _, (_, images, _), _ = begun(1000.0, wished=wished, **changes)
    people = len(set(images.signers.tolist()) - {""})
    assert people > 2 and counted == [people if trainings == "people" else trainings]


def test_paces_are_of_real_steps_and_their_scores_are_not_said(letters_zip, small_study, tmp_path, caplog):
    from casestudy.data import load_images, split_images

    caplog.set_level(logging.INFO, logger="casestudy")
    images = load_images(letters_zip, image_size=(32, 32), cache_dir=tmp_path)
    split = split_images(images, small_study.split, seed=3)
    clock = budget.paces_of(small_study, split, seed=3, precision="float32")
    tuned = [pace for kind, pace in clock.paces.items() if "fine-tune" in kind]
    assert len(tuned) == 1 and tuned[0].images == min(budget.BATCHES * 32, len(split.train))
    assert 0 < tuned[0].seconds / tuned[0].images < 1
    assert caplog.messages == ["budget: each phase shows its pace on a few images first"]
    first, *_ = budget.parts_of(small_study, [split], clock, smaller=True)
    assert math.isfinite(first.seconds) and first.seconds > 0


def test_a_run_within_its_budget_ends_like_any_other_and_says_how_to_make_it_again(letters_zip, small_study, tmp_path):
    run = run_study(Wishes(small_study, seed=3, budget=60.0), letters_zip, tmp_path / "run")
    assert run.finished and run.record.wishes.budget == 60.0
    known = Options("asl", budget=60.0).wishes()
    assert known.budget == 60.0 and "budget" not in Options.again(run)


@pytest.mark.parametrize("text", ["0", "-3", "ten", "nan"])
def test_a_budget_is_a_number_of_minutes_above_zero(text):
    with pytest.raises(DataError, match="budget"):
        Options.parse({"study": "asl", "budget": text})


def test_a_budget_is_of_one_device(small_study, letters_zip, tmp_path):
    with pytest.raises(RunError, match="Leave one of them out"):
        run_study(
            Wishes(small_study, 3, budget=1.0), letters_zip, tmp_path / "run", devices=SimpleNamespace(chief=True)
        )
    assert not (tmp_path / "run").exists()


def test_a_budget_is_for_one_model_and_the_advice_works():
    with pytest.raises(DataError, match=r"emnist would train 6 other models too. Add --variants none."):
        Options("emnist", budget=5.0).wishes()
    assert Options("emnist", budget=5.0, variants="none").wishes().budget == 5.0
