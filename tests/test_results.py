"""What a source published beside what came out here; every number by hand."""

import dataclasses
import math
import types

import numpy as np
import pandas as pd
import pytest

from casestudy.runs.record import TrainingRecord
from casestudy.runs.results import comparison_tables, distortion_table, published_table, timing_table
from casestudy.runs.trained import models_of
from casestudy.study import DataSpec, ModelSpec, Phase, SplitSpec, Study, Variant

PHASE = Phase("train", "everything", epochs=1, learning_rate=1e-3)
SMALL = ModelSpec("small_cnn", weights=None)
STUDY = Study(
    name="characters",
    title="Characters",
    source="the tests",
    model=SMALL,
    phases=(PHASE,),
    split=SplitSpec("published"),
    data=DataSpec(kind="idx"),
    variants=(
        Variant("first", SMALL, (PHASE,), published=0.8, note="units are ours", published_distorted=0.6),
        Variant("second", SMALL, (PHASE,)),
    ),
    distortion={"rotation": 0.1, "shift": 0.1, "zoom": 0.1, "seed": 3},
)
SCORES = pd.DataFrame(
    {
        "name": ["headline", "first", "headline-distorted", "first-distorted", "headline-unique"],
        "accuracy": [0.9, 0.75, 0.7, 0.5, 0.1],
    }
)


def test_published_reproduced_and_ours_stand_beside_each_other():
    table = published_table(STUDY, SCORES)
    none = math.nan
    rows = [
        ("first", "clean", 0.8, 0.75, none, "units are ours"),
        ("second", "clean", none, none, none, ""),  # not trained
        ("ours", "clean", none, none, 0.9, ""),
        ("first", "distorted", 0.6, 0.5, none, "units are ours"),
        ("second", "distorted", none, none, none, ""),
        ("ours", "distorted", none, none, 0.7, ""),
    ]
    expected = pd.DataFrame(rows, columns=["model", "tested", "published", "reproduced", "ours", "note"])
    pd.testing.assert_frame_equal(table, expected)


def test_without_distortion_there_is_one_test():
    from dataclasses import replace

    table = published_table(replace(STUDY, distortion={}), SCORES)
    assert table["tested"].tolist() == ["clean"] * 3


def test_histories_are_those_of_every_model(finished_run):
    histories = finished_run.histories()
    assert list(histories) == ["ours"]
    pd.testing.assert_frame_equal(histories["ours"], finished_run.read_table("history.csv"))


@pytest.mark.parametrize("name", ["custom-cnn", "resnet50v2", "mobilenet-v2"])
def test_augmentation_helps_on_distorted_images_where_it_was_published(name):
    """A guard against figures that have changed places."""
    from casestudy.studies import STUDIES

    plain, augmented = (
        variant for variant in STUDIES["emnist"].variants if variant.name.removesuffix("-augmented") == name
    )
    assert not plain.model.augmentation and augmented.model.augmentation
    for variant in (plain, augmented):
        assert variant.published_distorted < variant.published
    assert augmented.published_distorted - plain.published_distorted > 0.1


HISTORY = [
    ("head", 1, 0.10, 2.0, 0.11, 2.1),
    ("fine-tune", 1, 0.50, 1.0, 0.40, 1.5),
    ("fine-tune", 2, 0.60, 0.9, 0.45, 1.2),  # the lowest validation loss: its weights are kept
    ("fine-tune", 3, 0.70, 0.8, 0.44, 1.4),
]
METRICS = ("accuracy", "loss", "val_accuracy", "val_loss")


def history(metrics=METRICS):
    rows = [(phase, epoch, *pair) for phase, epoch, *values in HISTORY for pair in zip(METRICS, values, strict=True)]
    rows = [row for row in rows if row[2] in metrics]
    return pd.DataFrame(rows, columns=["phase", "epoch", "metric", "value"])


@pytest.fixture
def compared(fabricate_run, letters_zip, tmp_path):
    """A run with one variant, which read as the head did; nothing was trained."""
    run = fabricate_run(tmp_path / "run", letters_zip)
    study = dataclasses.replace(run.record.wishes.study, variants=(Variant("first", SMALL, (PHASE,)),))
    wishes = dataclasses.replace(run.record.wishes, study=study)
    run.write_record(dataclasses.replace(run.record, wishes=wishes))
    run.write_table("predictions_first.csv", run.read_table("predictions_head.csv"))
    for home, parameters in (("", 1234), ("variants/first/", 10)):
        run.write_table(f"{home}history.csv", history(METRICS if home else METRICS[:2]))
        pace = {"head": 3.0, "fine-tune": 4.0}
        run.write_json(
            f"{home}training.json", TrainingRecord(pace, {"head": 9.0, "fine-tune": 8.0}, 0.0, parameters).to_json()
        )
        (run.path / home / "model.keras").write_bytes(b"x" * parameters)
    return run


def test_a_comparison_shows_the_epoch_whose_weights_were_kept(compared):
    """The variant's is that of its lowest validation loss; without validation it is the last."""
    table = comparison_tables(compared)["comparison.csv"]
    facts = ["name", "parameters", "seconds", "bytes", "train_accuracy", "train_loss"]
    facts += ["validation_accuracy", "validation_loss"]
    first, ours = table[facts].itertuples(index=False, name=None)
    assert first == ("first", 10, 7.0, 10, 0.60, 0.9, 0.45, 1.2)
    assert ours[:6] == ("ours", 1234, 7.0, 1234, 0.70, 0.8)
    assert all(math.isnan(value) for value in ours[6:])
    for name, file in (("first", "predictions_first.csv"), ("ours", "predictions.csv")):
        rows = compared.read_table(file)
        (row,) = table[table["name"] == name].to_dict("records")
        assert row["accuracy"] == (rows["label"] == rows["predicted"]).mean()
        assert row["loss"] == pytest.approx(rows["loss"].mean())


def test_histories_of_a_comparison_have_its_names_and_order(compared):
    histories = compared.histories()
    assert list(histories) == ["first", "ours"]
    assert len(histories["first"]) == 16 and len(histories["ours"]) == 8


def test_of_folds_the_first_is_shown_and_all_are_timed(finished_run, run_copy):
    for k in (2, 1):
        home = f"folds/0{k}-user_{k}/"
        run_copy.write_table(f"{home}history.csv", history().assign(value=float(k)))
        pace = TrainingRecord({"head": 10.0 * k}, {"head": 100.0 + k}, 0.0, 5)
        run_copy.write_json(f"{home}training.json", pace.to_json())
    assert run_copy.trainings() == ["folds/01-user_1/", "folds/02-user_2/"]
    assert set(run_copy.histories()["ours"]["value"]) == {1.0}
    assert timing_table(run_copy).values.tolist() == [
        ["folds/01-user_1", "head", 10.0, 101.0],
        ["folds/02-user_2", "head", 20.0, 102.0],
    ]


def test_tables_of_a_run_are_what_their_names_say(finished_run):
    """Rates divide each row by its sum; samples are those of the run's seed; an interval begins at its lower end."""
    counts, rates = (finished_run.read_table(f"{name}.csv").iloc[:, 1:] for name in ("confusion", "confusion_rates"))
    np.testing.assert_allclose(rates, counts.to_numpy() / counts.to_numpy().sum(axis=1, keepdims=True))
    assert (rates.to_numpy() != counts.to_numpy()).any()
    table = finished_run.read_table("predictions.csv").sort_values("name", ignore_index=True)
    chosen = np.random.default_rng(3).choice(len(table), size=15, replace=False)
    assert finished_run.read_table("samples.csv")["name"].tolist() == table["name"][chosen].tolist()
    scores = finished_run.read_table("scores.csv")
    assert scores["low"].isna().tolist() == [True, True, False]  # two unseen signers; at random, all six
    given = scores.dropna(subset="low")
    assert (given["low"] <= given["accuracy"]).all() and (given["accuracy"] <= given["high"]).all()
    assert (given["low"] < given["high"]).any()


def test_intervals_have_the_seed_of_the_run(finished_run, monkeypatch):
    from casestudy.runs import folder

    seeds = []
    monkeypatch.setattr(folder, "evaluate_predictions", lambda table, names, *, seed: seeds.append(seed))
    finished_run.evaluation()
    assert seeds == [finished_run.record.wishes.seed] == [3]


def test_a_distorted_test_is_shown_beside_the_clean_one():
    """Each model in the order of the study, its own last; trained "augmented" where its images were varied."""
    own = dataclasses.replace(STUDY.model, name="plain_cnn", augmentation={"mirror": True})
    study = dataclasses.replace(STUDY, model=own)
    models = models_of(study, "published")

    def read(accuracy):
        return types.SimpleNamespace(accuracy=accuracy, interval=(accuracy - 0.1, accuracy + 0.1))

    names = ("headline", "headline-distorted", "first", "first-distorted", "second")
    found = {name: read(0.9 - k / 10) for k, name in enumerate(names)}
    table = distortion_table(study, models, found)
    rows = [
        ("small_cnn", "plain", "clean", 0.7),
        ("small_cnn", "plain", "distorted", 0.6),
        ("small_cnn", "plain", "clean", 0.5),
        ("plain_cnn", "augmented", "clean", 0.9),
        ("plain_cnn", "augmented", "distorted", 0.8),
    ]
    shown = table[["model", "trained", "tested", "accuracy"]]
    pd.testing.assert_frame_equal(shown, pd.DataFrame(rows, columns=shown.columns))
    assert distortion_table(study, models, {"headline": read(0.5)}) is None
