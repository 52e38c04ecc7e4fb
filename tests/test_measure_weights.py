"""The figures of the starting weights: their arithmetic, one run on drawn photographs, and the committed results."""

import json
import math
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from scipy.stats import sem, t

from casestudy.data.splits import leave_one_signer_out
from casestudy.evaluation import evaluate_predictions
from casestudy.models.weights import SIGNS_SHA256
from casestudy.runs import RunFolder
from casestudy.runs.record import ImageFacts, Metrics, Resolved, RunRecord, Score, Source, TrainingRecord
from casestudy.studies import STUDIES
from casestudy.training import Machine
from SCRIPTS.articles.writing import replaced
from SCRIPTS.hands import measure_weights

RESULTS = json.loads(measure_weights.RESULTS.read_text(encoding="utf-8"))
SCORES = [score for values in RESULTS["measurements"].values() for score in values["scores"]]


def predictions(signers: str, labels: str, said: str) -> pd.DataFrame:
    """Returns a table of predictions: a letter a photograph for its signer, its label and what was read."""
    names = [f"{k}.png" for k in range(len(labels))]
    facts = pd.DataFrame({"name": names, "signer": list(signers), "label": list(labels)})
    return facts.assign(**{f"p_{name}": [float(name == one) for one in said] for name in "XY"})


def test_figures_are_those_computed_by_hand():
    unseen = predictions("aaaabb", "XXYYXY", "XXYXXX")  # a: 3 of 4, b: 1 of 2
    found = measure_weights.figures(unseen, predictions("ab", "XY", "XX"), ("X", "Y"))
    assert found["mean"] == 0.625
    assert found["range"] == [0.5, 0.75]
    assert found["interval"] == [None, None] and found["interval_method"] == "none: 2 people"
    assert found["per_signer"] == [
        {"signer": "a", "support": 4, "accuracy": 0.75},
        {"signer": "b", "support": 2, "accuracy": 0.5},
    ]
    assert found["random_split"] == 0.5
    assert measure_weights.figures(unseen, None, ("X", "Y"))["random_split"] is None


def ridge_by_hand(x, y, x_new, alpha):
    """Returns the class of each new row by the normal equations on standardised columns and targets -1 and 1."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    z, targets = (x - centre) / scale, np.where(y[:, None] == np.arange(3), 1.0, -1.0)
    slopes = np.linalg.solve(z.T @ z + alpha * np.eye(z.shape[1]), z.T @ (targets - targets.mean(axis=0)))
    return ((x_new - centre) / scale @ slopes + targets.mean(axis=0)).argmax(axis=1)


def noisy(images):
    """Returns features that hold a little of the label, more of the signer and mostly noise."""
    chance = np.random.default_rng(0)
    signer = np.unique(images.signers, return_inverse=True)[1]
    clean = 3 * np.eye(3)[images.labels] + chance.normal(0, 2, (9, 3))[signer]
    return np.hstack([clean, np.zeros((len(images), 17))]) + chance.normal(0, 1, (len(images), 20))


def test_the_probe_is_the_ridge_that_reads_left_out_training_signers_best(make_images):
    images = make_images()
    features, split = noisy(images), leave_one_signer_out(images)[1]
    x, y, signers = features[split.train], images.labels[split.train], images.signers[split.train]

    def inner(alpha):
        folds = [signers == name for name in np.unique(signers)]
        return np.mean([(ridge_by_hand(x[~out], y[~out], x[out], alpha) == y[out]).mean() for out in folds])

    scores = [inner(alpha) for alpha in measure_weights.ALPHAS]
    assert len(set(scores)) > 2
    table, strength = measure_weights.probe(features, split)
    assert strength == measure_weights.ALPHAS[int(np.argmax(scores))]
    expected = ridge_by_hand(x, y, features[split.test], strength)
    assert table["predicted"].tolist() == np.array(images.class_names)[expected].tolist()
    assert set(table["signer"]) == {"user_2"}


def test_nothing_of_the_test_signer_reaches_the_probe(make_images):
    images = make_images()
    features, split = noisy(images), leave_one_signer_out(images)[0]
    table, strength = measure_weights.probe(features, split)
    altered = features.copy()
    altered[split.test[1:]] *= 100
    images.labels[split.test] = 0
    again, strength_again = measure_weights.probe(altered, split)
    assert (again["predicted"][0], strength_again) == (table["predicted"][0], strength)


def test_what_is_not_named_is_measured_whole():
    assert measure_weights.chosen([]) == measure_weights.PLAN
    assert measure_weights.chosen(["fine-tune", "mobilenet"]) == [
        ("mobilenet", "fine-tune", "64"),
        ("mobilenet", "fine-tune", "96"),
    ]


@pytest.fixture
def measured(tmp_path, draw, encode, monkeypatch):
    """Measures what is named on an archive of 3 signers, with features that are the labels; returns the exit code."""
    archive = tmp_path / "drawn.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for signer in (1, 2, 3):
            rows = ["image,top_left_x,top_left_y,bottom_right_x,bottom_right_y"]
            for label in "ABC":
                for take in range(4):
                    written.writestr(f"user_{signer}/{label}{take}.png", encode(draw(label, signer, take)))
                    rows.append(f"user_{signer}\\{label}{take}.png,4,4,28,28")
            written.writestr(f"user_{signer}/user_{signer}_loc.csv", "\n".join(rows) + "\n")
    seen = []

    def features_of(spec, split):
        seen.append((split.fold, spec.image_size, spec.weights, split.images.cropped))
        return np.eye(3)[split.images.labels]

    monkeypatch.setattr(measure_weights, "features_of", features_of)
    json_file, card = tmp_path / "weights.json", tmp_path / "card" / "README.md"

    def run(*only, data=archive):
        options = ["--data", data, "--out", tmp_path / "out", "--json", json_file, "--card", card, "--only", *only]
        return measure_weights.main([str(option) for option in options])

    run.seen, run.json, run.card, run.archive = seen, json_file, card, archive
    return run


def test_a_probe_from_archive_to_table(measured, tmp_path):
    assert measured("none", "probe", "64") == 0
    # Random weights take their statistics from each training part, so every split has features of its own.
    assert measured.seen == [(f, (64, 64), None, True) for f in ("user_1", "user_2", "user_3", "")]
    written = measured.json.read_text(encoding="utf-8")
    assert str(tmp_path) not in written
    (values,) = json.loads(written)["measurements"].values()
    assert values["scores"][0]["mean"] == values["scores"][0]["random_split"] == 1.0
    assert [row["support"] for row in values["scores"][0]["per_signer"]] == [12, 12, 12]
    row = "| ResNet50V2, random | linear probe | 64 px | 100.0 % | 100.0 % to 100.0 % | 90.4 % to 100.0 % | 100.0 % |"
    assert row in measured.card.read_text(encoding="utf-8")


def test_a_measurement_replaces_its_own_entry_only(measured):
    assert measured("none", "probe") == 0
    results = json.loads(measured.json.read_text(encoding="utf-8"))
    assert list(results["measurements"]) == ["none probe 64", "none probe 96"]
    for values in results["measurements"].values():
        values["seconds"] = -1
    measured.json.write_text(json.dumps(results), encoding="utf-8")
    measured.card.write_text(
        f"# Ours\n\n{measure_weights.BEGIN}\nold\n{measure_weights.END}\nwords\n", encoding="utf-8"
    )
    assert measured("none", "probe", "64") == 0
    again = json.loads(measured.json.read_text(encoding="utf-8"))["measurements"]
    assert again["none probe 64"]["seconds"] > 0
    assert again["none probe 96"] == results["measurements"]["none probe 96"]
    card = measured.card.read_text(encoding="utf-8")
    assert card.startswith("# Ours\n") and card.endswith(f"{measure_weights.END}\nwords\n") and "old" not in card


def test_one_file_is_about_one_data_set(measured, tmp_path, capsys):
    assert measured("none", "probe", "64") == 0
    other = tmp_path / "other.zip"
    other.write_bytes(measured.archive.read_bytes())
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr("user_1/notes.txt", "another archive")
    assert measured("none", "probe", "64", data=other) == 2
    assert "Name another --json" in capsys.readouterr().err


def test_weights_from_a_file_need_the_file(measured, capsys):
    with pytest.raises(SystemExit):
        measured("mobilenet", "probe")
    assert "--mobilenet is None" in capsys.readouterr().err


def test_fine_tuning_is_the_recipe_of_the_study_on_every_signer(tmp_path, monkeypatch):
    asked = []

    def run_study(wishes, source, out, cluster=None):
        asked.append(wishes.study)
        run, names, scores = RunFolder(out), ("X", "Y"), []
        resolved = Resolved("random initialisation, as asked", None, Machine("CPU", (64, 64), "float32"), {})
        facts = ImageFacts("leave-one-signer-out", cropped=True, class_names=names)
        run.write_record(RunRecord(wishes, Source(source.name, ""), "now", resolved, facts))
        run.write_table("splits.csv", pd.DataFrame({"name": []}))
        for name, said in {"headline": "XYXY", "head": "XYXX", "head-random": "XXXY"}.items():
            table = predictions("aabb", "XYXY", said)
            run.write_table(f"predictions_{name}.csv", table)
            found = evaluate_predictions(table, names).to_json()
            scores.append(Score(name, "leave-one-signer-out", "in words", f"predictions_{name}.csv", **found))
        run.write_json("metrics.json", Metrics(tuple(scores)).to_json())
        for fold in ("01-a", "02-b"):
            seconds, pace = {"head": 1.5, "fine-tune": 2.0}, {"head": 40.0, "fine-tune": 9.0}
            training = TrainingRecord(seconds, pace, None, parameters=1)
            run.write_json(f"folds/{fold}/training.json", training.to_json())
        return run

    monkeypatch.setattr(measure_weights, "run_study", run_study)
    study = measure_weights.study_of("resnet50v2", None, 64)
    values = measure_weights.fine_tuned(study, tmp_path / "letters.zip", tmp_path)
    assert asked[0].phases == STUDIES["asl"].phases
    assert asked[0].model.augmentation == STUDIES["asl"].model.augmentation
    assert (asked[0].split.protocol, asked[0].crop) == ("leave-one-signer-out", "boxes")
    assert values["seconds"] == 7.0
    found = [(score["training"], score["mean"], score["random_split"]) for score in values["scores"]]
    assert found == [("phase 1 alone", 0.75, 0.75), ("all phases", 1.0, None)]
    table = measure_weights.table({"measurements": {"none fine-tune 64": values}})
    first, second = STUDIES["asl"].phases
    rates = f"{first.epochs} epochs at {first.learning_rate:g}, then {second.epochs} epochs at {second.learning_rate:g}"
    assert f"| all phases: {rates} | 64 px | 100.0 %" in table


def test_the_card_shows_the_committed_figures():
    card = measure_weights.CARD.read_text(encoding="utf-8")
    table = measure_weights.table(RESULTS)
    assert replaced(card, table, measure_weights.BEGIN, measure_weights.END) == card


@pytest.mark.parametrize("score", SCORES)
def test_committed_figures_follow_from_their_signers(score):
    shares = [row["accuracy"] for row in score["per_signer"]]
    assert score["mean"] == pytest.approx(sum(shares) / len(shares))
    assert score["range"] == [min(shares), max(shares)]
    mean, reach = np.mean(shares), t.ppf(0.975, len(shares) - 1) * sem(shares)
    ends = [1 / (1 + math.exp(-(math.log(mean / (1 - mean)) + way * reach / (mean * (1 - mean))))) for way in (-1, 1)]
    assert score["interval"] == pytest.approx(ends)
    assert score["interval_method"] == f"t over {len(shares)} people"
    for row in score["per_signer"]:
        assert row["accuracy"] * row["support"] == pytest.approx(round(row["accuracy"] * row["support"]))


def test_committed_figures_are_of_the_committed_weights_and_of_no_machine():
    assert re.fullmatch("[0-9a-f]{64}", RESULTS["data"]["sha256"])
    for key, values in RESULTS["measurements"].items():
        assert "/" not in values["weights"]
        assert values["weights_sha256"] == SIGNS_SHA256 or not key.startswith("signs")
    assert not re.search(r'"(/|[A-Z]:\\)', measure_weights.RESULTS.read_text(encoding="utf-8"))
