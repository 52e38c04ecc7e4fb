"""What a source published beside what came out here; every number by hand."""

import math

import pandas as pd
import pytest

from casestudy.runs.results import published_table
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
