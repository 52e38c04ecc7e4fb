"""A search tries what its space holds, keeps to the limit, goes on where it was, and never looks at the test part."""

import json
from pathlib import Path

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

    study, data = stand_in(STUDY, tmp_path / "data")
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
