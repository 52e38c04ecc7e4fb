"""What a run keeps of how its network sees: nearest photographs, heat and a map, each held against another way."""

import re
import shutil
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from casestudy.data import split_folds
from casestudy.errors import RunError
from casestudy.evaluation import evaluate_predictions, predict_probabilities, prediction_table
from casestudy.models import grad_cam, keras, load_model
from casestudy.report.explorer import _chance, beside, feature_map
from casestudy.report.report import render
from casestudy.runs import explained
from casestudy.runs.again import explain_again
from casestudy.runs.explained import NEAR, NEIGHBOURS, TABLES, seen_of
from casestudy.study import SplitSpec


@pytest.fixture(scope="module")
def run(finished_run):
    return finished_run


@pytest.fixture(scope="module")
def splits(run):
    study, wishes = run.record.wishes.study, run.record.wishes
    return split_folds(run.load_images(), replace(study.split, protocol=run.facts.protocol), seed=wishes.seed)


@pytest.fixture(scope="module")
def features(run, splits):
    """What stands before the last layer, by the layers one by one."""
    network, pixels = load_model(run.path / "model.keras"), splits[0].images.images[:].astype("float32")
    x = network.get_layer("base")(network.get_layer("preprocessing")(pixels), training=False)
    return keras.ops.convert_to_numpy(network.get_layer("pooling")(x)).astype(np.float64)


def test_beside_a_mistake_stand_the_nearest_of_the_training_and_the_surest_mistake_comes_first(run, splits, features):
    (split,) = splits
    images, near, table = split.images, run.read_table("near.csv"), run.read_table("predictions.csv")
    place = {name: k for k, name in enumerate(images.names.tolist())}
    wrong = table[table["label"] != table["predicted"]].sort_values(["confidence", "name"], ascending=[False, True])
    assert len(wrong) > 3
    assert near["name"].drop_duplicates().tolist() == wrong["name"].tolist()
    for row in wrong.itertuples():
        for label in (row.label, row.predicted):
            own = [k for k in split.train if images.class_names[images.labels[k]] == label]
            far = {images.names[k]: np.sqrt(((features[k] - features[place[row.name]]) ** 2).sum()) for k in own}
            found = near[(near["name"] == row.name) & (near["label"] == label)]["near"].tolist()
            assert len(found) == min(NEAR, len(own))
            np.testing.assert_allclose([far[one] for one in found], sorted(far.values())[: len(found)], rtol=1e-4)


def test_heat_is_grad_cam_for_the_label_that_was_read(run, splits):
    images, table = splits[0].images, run.read_table("predictions.csv").set_index("name")
    heat = run.read_table("heat.csv")
    at = [images.names.tolist().index(name) for name in heat["name"]]
    read = np.array([images.class_names.index(table.loc[name, "predicted"]) for name in heat["name"]])
    wanted = grad_cam(load_model(run.path / "model.keras"), images.images[at], read)
    assert wanted.max() == 1
    for text, one in zip(heat["heat"], wanted, strict=True):
        found = [[int(two, 16) / 255 for two in re.findall("..", row)] for row in text.split(" ")]
        np.testing.assert_allclose(found, one, atol=0.51 / 255)


def test_the_map_has_the_two_main_directions_and_tells_whose_neighbours_are_whose(run, splits, features):
    (split,) = splits
    table, own = run.read_table("map.csv"), features[split.test]
    assert table["name"].tolist() == split.images.names[split.test].tolist()
    fit = PCA(2, svd_solver="full").fit(own)
    share = table[["x", "y"]].var().sum()
    assert share == pytest.approx(fit.explained_variance_ratio_.sum(), rel=1e-3)
    x = fit.transform(own)[:, 0]
    assert abs(np.corrcoef(x, table["x"])[0, 1]) == pytest.approx(1, abs=1e-4)
    far = np.linalg.norm(own[:, None] - own[None], axis=2)
    around = far.argsort(axis=1)[:, 1 : NEIGHBOURS + 1]  # the first is the photograph itself
    for column, values in (("same_label", split.images.labels), ("same_signer", split.images.signers)):
        same = values[split.test][around] == values[split.test][:, None]
        assert table[column].mean() == pytest.approx(same.mean(), abs=0.01)


@pytest.mark.parametrize("name", TABLES)
def test_verify_allows_another_device_and_finds_what_was_changed(name, run_copy, splits):
    def held():
        (found,) = (holds for what, holds, _ in explain_again(run_copy, splits) if what.startswith(name))
        return found

    table = run_copy.read_table(name)
    if name == "map.csv":
        nearly = table.assign(x=table["x"] + np.linspace(1e-6, 1e-5, len(table)))
        wrong = table.assign(y=-table["y"]), table.assign(same_signer=1.0), nearly.assign(x=table["x"] * 1.1)
    elif name == "heat.csv":
        first, rest = zip(*(text.split(" ", 1) for text in table["heat"]), strict=True)
        darker = [bytes(max(0, cell - 1) for cell in bytes.fromhex(row)).hex() for row in first]
        assert darker != list(first)
        nearly = table.assign(heat=list(map(" ".join, zip(darker, rest, strict=True))))
        wrong = table.assign(heat=table["heat"].str.replace("ff", "e0")), table.assign(heat="zz"), table.iloc[1:]
    else:
        nearly = table
        others = table["near"].iloc[::-1].tolist()
        wrong = table.assign(near=others), table.iloc[1:], table.assign(near=table["name"])
    for change in (table, nearly):
        run_copy.write_table(name, change)
        assert held() is True
    for change in (*wrong, pd.DataFrame({"name": ["A"]})):
        run_copy.write_table(name, change)
        assert held() is False


def test_a_run_from_before_is_whole_and_its_report_says_nothing(run_copy, splits):
    for name in TABLES:
        (run_copy.path / name).unlink()
    assert list(explain_again(run_copy, splits)) == []
    page = render(run_copy)
    assert 'id="beside"' not in page and 'id="features"' not in page and 'id="photographs"' in page


def test_each_person_left_out_has_the_training_of_their_own_network_and_there_is_no_map(run, splits, tmp_path):
    images = splits[0].images
    folds = split_folds(images, SplitSpec("leave-one-signer-out", validation=0.2), seed=3)
    network = load_model(run.path / "model.keras")
    tables = [prediction_table(images, one.test, predict_probabilities(network, images, one.test)) for one in folds]
    found = evaluate_predictions(pd.concat(tables, ignore_index=True), images.class_names)
    for k, fold in enumerate(folds):
        home = tmp_path / explained.fold_folder(k, fold.fold)
        home.mkdir(parents=True)
        shutil.copy(run.path / "model.keras", home)
    fake = types.SimpleNamespace(path=tmp_path, evaluation=lambda: found, record=run.record)
    made = explained.explained(list(seen_of(fake, folds)), seed=3)
    assert set(made) == {"near.csv", "heat.csv"}
    whose = dict(zip(images.names.tolist(), images.signers.tolist(), strict=True))
    assert len({whose[name] for name in made["near.csv"]["name"]}) > 1
    assert all(whose[row.name] != whose[row.near] for row in made["near.csv"].itertuples(index=False))


def test_a_network_without_a_map_has_no_heat_and_the_rest_all_the_same(run, splits, monkeypatch):
    from casestudy.errors import DataError

    def refuse(*_):
        raise DataError("no base")

    monkeypatch.setattr("casestudy.models.grad_cam", refuse)
    assert set(explained.explained(list(seen_of(run, splits)), seed=3)) == {"near.csv", "map.csv"}


def test_of_many_photographs_some_are_taken(run, splits, monkeypatch):
    monkeypatch.setattr(explained, "POINTS", 12)
    monkeypatch.setattr(explained, "TRAINED", 7)
    monkeypatch.setattr(explained, "MISTAKES", 2)
    (seen,) = seen_of(run, splits)
    (again,) = seen_of(run, splits)
    assert (len(seen.points), len(seen.trained), len(seen.mistakes)) == (12, 7, 2)
    assert seen.trained.tolist() == again.trained.tolist() and set(seen.points) < set(splits[0].test)
    assert len(explained.explained([seen], seed=3)["map.csv"]) == 12
    monkeypatch.setattr(explained, "POINTS", NEIGHBOURS)  # nobody has ten others
    assert "map.csv" not in explained.explained(list(seen_of(run, splits)), seed=3)


def test_what_a_stranger_wrote_is_shown_as_text_or_not_at_all(run_copy):
    found = run_copy.evaluation()
    near, heat, points = map(run_copy.read_table, TABLES)
    evil = "</script><script>alert(1)</script>"
    run_copy.write_table("near.csv", near.assign(near=evil))
    run_copy.write_table("heat.csv", heat.assign(heat=["ff" * 65, "gg ff", evil, *heat["heat"][3:]]))
    run_copy.write_table(
        "map.csv", pd.concat([points.assign(x="1e999"), points.iloc[:3], points.iloc[:1].assign(name=evil)])
    )
    shown = beside(run_copy, found)
    assert [one["heat"] for one in shown[:3]] == ["", "", ""] and shown[3]["heat"]
    assert all(len(row) <= NEAR for one in shown for row in one["near"])
    drawn = feature_map(run_copy, found)
    assert drawn["names"] == points["name"][:3].tolist()
    page = render(run_copy)
    assert evil not in page
    run_copy.write_table("map.csv", points.drop(columns="y"))
    with pytest.raises(RunError, match=r"map\.csv has a column y; this one lacks it"):
        feature_map(run_copy, found)


def test_the_sentence_on_neighbours_is_made_of_its_numbers(run_copy):
    found, points = run_copy.evaluation(), run_copy.read_table("map.csv")
    run_copy.write_table("map.csv", points.assign(same_label=0.25, same_signer=0.75))
    drawn = feature_map(run_copy, found)
    counts = [found.predictions[name].value_counts() for name in ("label", "signer")]
    label, person = (f"{100 * (n * (n - 1)).sum() / (n.sum() * (n.sum() - 1)):.1f} %" for n in counts)
    assert drawn["near"].endswith(
        f"25.0 % show the same label ({label} by chance) and 75.0 % show the same person ({person} by chance)."
    )
    assert NEIGHBOURS == 10 and "the ten nearest neighbours" in drawn["near"]
    assert _chance([0, 1, 2]) == 0
    run_copy.write_table("map.csv", points.drop(columns="same_signer"))
    assert [way["name"] for way in feature_map(run_copy, found)["ways"]] == ["label"]
