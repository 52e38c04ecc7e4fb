"""A search tries what its space holds, keeps to the limit, goes on where it was, and never looks at the test part."""

import dataclasses
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pandas as pd
import pytest

from casestudy.data.drawn import stand_in
from casestudy.errors import DataError
from casestudy.runs.search import tune, with_values
from casestudy.studies import STUDIES
from casestudy.study import DataSpec, ModelSpec, Phase, Search, SplitSpec, Study

ROOT = Path(__file__).parents[1]
STUDY = Study(
    name="tuned",
    title="Three characters",
    source="the tests",
    model=ModelSpec("compact_cnn", image_size=(28, 28), weights=None, dropout=0.0),
    phases=(Phase("train", "everything", epochs=9, learning_rate=1e-2),),
    split=SplitSpec("published", validation=0.25),
    data=DataSpec(kind="idx", class_names=tuple("LTX")),
    search=Search(
        {"widths": [[4, 8, 8], [200, 400, 400]], "dropout": [0.0, 0.3], "learning_rate": [1e-2, 1e-3]},
        epochs=1,
        fraction=0.5,
        most_parameters=10_000,
    ),
)


def test_values_go_where_a_field_of_that_name_is():
    changed = with_values(STUDY, {"widths": [8, 8], "dropout": 0.4, "epochs": 2, "weight_decay": 0.1})
    assert changed.model.options == {"widths": [8, 8]}
    assert changed.model.dropout == 0.4
    assert (changed.phases[0].epochs, changed.phases[0].weight_decay) == (2, 0.1)
    assert with_values(STUDY, {}) == STUDY


def test_a_search_tries_keeps_to_its_limit_and_goes_on(tmp_path, monkeypatch):
    from casestudy import training

    study, data = STUDY, stand_in(STUDY, tmp_path / "data")
    train, trained = training.train, []

    def watched(model, splits, phase, **options):
        trained.append((model, len(splits.train), phase.epochs))
        assert not set(splits.train.tolist()) & set(splits.test.tolist())
        return train(model, splits, phase, **options)

    monkeypatch.setattr(training, "train", watched)
    found = json.loads(tune(study, data, tmp_path / "search", seed=3, trials=3).read_text())
    assert len(found["trials"]) == 3
    large = [trial for trial in found["trials"] if trial["parameters"] > 10_000]
    assert all(trial["val_accuracy"] == 0 for trial in large)
    assert len(trained) == 3 - len(large)
    assert {(count, epochs) for _, count, epochs in trained} == {(13, 1)}  # half of 27 images, rounded down
    assert found["best"]["val_accuracy"] == max(trial["val_accuracy"] for trial in found["trials"])
    assert found["space"] == study.search.space

    before = len(trained)
    again = json.loads(tune(study, data, tmp_path / "search", seed=3, trials=3).read_text())
    assert len(trained) == before  # all three were there
    assert again == found
    more = json.loads(tune(study, data, tmp_path / "search", seed=3, trials=4).read_text())
    assert more["trials"][:3] == found["trials"]
    assert len(more["trials"]) == 4


def test_a_study_without_a_space_says_so(tmp_path):
    with pytest.raises(DataError, match=r"asl has none.*Search"):
        tune(STUDIES["asl"], tmp_path, tmp_path / "out", seed=1, trials=1)


@pytest.mark.parametrize("study", [s for s in STUDIES.values() if s.search], ids=lambda study: study.name)
def test_every_value_of_a_space_can_be_built(study):
    from casestudy.models.network import build_network

    for name, choices in study.search.space.items():
        for choice in choices:
            changed = with_values(study, {name: choice})
            build_network(changed.model, input_shape=(*study.model.image_size, 1), num_classes=47, weights=None)


@pytest.mark.parametrize("path", sorted((ROOT / "DATA" / "searches").glob("*.json")), ids=lambda path: path.stem)
def test_a_study_has_the_best_values_of_its_committed_search(path):
    found = json.loads(path.read_text())
    study = STUDIES[found["study"]]
    assert with_values(study, found["best"]["values"]) == study
    assert found["best"] == max(found["trials"], key=lambda trial: trial["val_accuracy"])
    assert found["space"] == {name: list(choices) for name, choices in study.search.space.items()}
    assert all(trial["parameters"] <= found["most_parameters"] for trial in found["trials"] if trial["val_accuracy"])


def test_a_search_learns_from_a_part_and_is_judged_on_all_of_validation(tmp_path, monkeypatch):
    """Each trial counts with its best epoch; a network of the largest size allowed is tried, one weight more is not."""
    from casestudy import training
    from casestudy.data import split_images
    from casestudy.models import build_model, origin_of

    study, data = STUDY, stand_in(STUDY, tmp_path / "data")
    widths, seen, best = [[4, 8, 8], [4, 8, 9]], [], iter([0.5, 0.7])

    def fake(model, splits, phase, *, seed):
        seen.append((model.count_params(), origin_of(model).seed, seed, splits))
        rows = [(phase.name, k + 1, "val_accuracy", value) for k, value in enumerate((0.1, next(best), 0.3))]
        rows += [(phase.name, k + 1, "accuracy", 1.0) for k in range(3)]
        history = pd.DataFrame(rows, columns=["phase", "epoch", "metric", "value"])
        return types.SimpleNamespace(history=history)

    monkeypatch.setattr(training, "train", fake)

    def search(folder, most):
        spec = dataclasses.replace(study.search, space={"widths": widths}, most_parameters=most)
        changed = dataclasses.replace(study, search=spec)
        return json.loads(tune(changed, data, tmp_path / folder, seed=3, trials=2).read_text())

    found = search("all", 1_000_000)
    sizes = sorted(size for size, *_ in seen)
    assert len(sizes) == 2 and sizes[0] < sizes[1]
    assert sorted(trial["val_accuracy"] for trial in found["trials"]) == [0.5, 0.7]
    assert found["best"]["val_accuracy"] == 0.7
    for _, initial, seed, splits in seen:
        assert (initial, seed) == (3, 3)
        whole = split_images(splits.images, study.split, seed=3)
        assert splits.validation.tolist() == whole.validation.tolist()
        assert len(whole.validation) == 9  # a quarter of 36
        assert len(splits.train) == 13 < len(whole.train)
    best = iter([0.4])
    limited = search("limited", sizes[0])
    assert {trial["parameters"]: trial["val_accuracy"] for trial in limited["trials"]} == {sizes[0]: 0.4, sizes[1]: 0.0}
    spec = with_values(study, {"widths": widths[0]}).model
    assert build_model(spec, seen[0][3].images, seed=3, weights=None).count_params() in sizes


def test_the_example_of_the_help_ends_well_and_quietly(tmp_path):
    command = [sys.executable, "-m", "casestudy", "tune", "emnist", "--quick", "--trials", "1", "--out", "found"]
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    where.pop("TF_CPP_MIN_LOG_LEVEL", None)  # of this process
    done = subprocess.run(command, cwd=tmp_path, env=where, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, str(Path("found") / "search.json"))
    assert "oneDNN" not in done.stderr and "absl" not in done.stderr  # TensorFlow's own words
    assert len(json.loads((tmp_path / "found" / "search.json").read_text())["trials"]) == 1
