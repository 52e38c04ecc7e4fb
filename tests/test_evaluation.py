"""Every number against scikit-learn, SciPy or a sum done by hand."""

import dataclasses
import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, sem, t
from sklearn import metrics

from casestudy.evaluation import how_sure
from casestudy.evaluation.metrics import (
    calibration_error,
    evaluate,
    evaluate_predictions,
    reliability,
)
from casestudy.evaluation.predictions import PREDICT_BATCH, cross_entropy, predict, prediction_table
from casestudy.runs import RunFolder
from casestudy.runs.files import table_text


def table(truth, probabilities, class_names, signers=None) -> pd.DataFrame:
    """Returns a table of predictions, made without the code under test."""
    probabilities = np.asarray(probabilities, dtype="float32")
    facts = {
        "name": [f"{label}/{k:03d}.jpg" for k, label in enumerate(truth)],
        "signer": signers if signers is not None else [""] * len(truth),
        "label": list(truth),
    }
    return pd.DataFrame({**facts, **{f"p_{name}": probabilities[:, k] for k, name in enumerate(class_names)}})


@pytest.fixture
def by_hand():
    """Six photographs of A and B by two signers; C has none, though one B is read as C.

    true  A A A B B B
    read  A A B B C B
    """
    sure = [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.4, 0.5], [0.2, 0.6, 0.2]]
    return evaluate_predictions(
        table("AAABBB", sure, "ABC", ["u1", "u1", "u2", "u2", "u2", "u2"]), tuple("ABC"), seed=0
    )


def test_three_labels_by_hand(by_hand):
    assert by_hand.confusion.tolist() == [[2, 1, 0], [0, 2, 1], [0, 0, 0]]
    assert by_hand.confusion.dtype == np.int64
    assert by_hand.accuracy == 4 / 6
    losses = [-math.log(p) for p in (0.8, 0.6, 0.2, 0.8, 0.4, 0.6)]
    assert by_hand.loss == pytest.approx(sum(losses) / 6, rel=1e-6)
    a, b, c = by_hand.per_label.to_dict("records")
    assert (a["support"], a["accuracy"], a["precision"], a["f1"]) == (3, 2 / 3, 1.0, pytest.approx(0.8))
    assert (b["support"], b["accuracy"], b["precision"], b["f1"]) == (3, 2 / 3, 2 / 3, pytest.approx(2 / 3))
    assert a["loss"] == pytest.approx(sum(losses[:3]) / 3, rel=1e-6)
    assert (a["most_confused_with"], b["most_confused_with"], c["most_confused_with"]) == ("B", "C", "")
    first, second = by_hand.per_signer.to_dict("records")
    assert (first["signer"], first["support"], first["accuracy"]) == ("u1", 2, 1.0)
    assert (second["signer"], second["support"], second["accuracy"]) == ("u2", 4, 0.5)
    assert second["loss"] == pytest.approx(sum(losses[2:]) / 4, rel=1e-6)


def test_a_label_without_support_is_nan_never_zero(by_hand):
    nobody = by_hand.per_label.iloc[2]
    assert nobody["support"] == 0
    for figure in ("accuracy", "f1", "loss", "low", "high"):
        assert math.isnan(nobody[figure]), figure
    assert nobody["precision"] == 0.0  # one B was claimed to be C: that is a figure
    unclaimed = evaluate_predictions(table("AB", [[0.9, 0.1], [0.9, 0.1]], "AB"), tuple("AB")).per_label.iloc[1]
    assert math.isnan(unclaimed["precision"])
    assert unclaimed["accuracy"] == unclaimed["f1"] == 0.0


def test_rates_are_shares_of_the_true_label(by_hand):
    np.testing.assert_allclose(by_hand.rates, [[2 / 3, 1 / 3, 0], [0, 2 / 3, 1 / 3], [np.nan] * 3])


def test_nan_is_null_in_json(by_hand):
    assert json.loads(json.dumps(by_hand.to_json(), allow_nan=False))["images"] == 6
    assert by_hand.to_json()["loss_interval"] == (None, None)


def test_samples_are_the_same_for_a_seed_however_the_rows_are_ordered(by_hand):
    chosen = by_hand.samples(3, seed=1)["name"].tolist()
    assert len(set(chosen)) == 3
    shuffled = dataclasses.replace(by_hand, predictions=by_hand.predictions.iloc[::-1])
    assert shuffled.samples(3, seed=1)["name"].tolist() == chosen
    assert any(by_hand.samples(3, seed=seed)["name"].tolist() != chosen for seed in (2, 3, 4))
    assert len(by_hand.samples(10_000, seed=1)) == len(by_hand.predictions)


def test_most_confused_and_top_losses(by_hand):
    rows = by_hand.most_confused.to_dict("records")
    assert [(row["label"], row["predicted"], row["count"], row["share"]) for row in rows] == [
        ("A", "B", 1, 1 / 3),
        ("B", "C", 1, 1 / 3),
    ]
    assert rows[0]["examples"] == "A/002.jpg"
    assert by_hand.top_losses(2)["name"].tolist() == ["A/002.jpg", "B/004.jpg"]


def test_most_confused_shows_the_most_frequent_and_the_surest_first():
    wrong = [[0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.95, 0.05]]
    rows = evaluate_predictions(table("AAAB", wrong, "AB"), tuple("AB")).most_confused.to_dict("records")
    assert [(row["label"], row["count"]) for row in rows] == [("A", 3), ("B", 1)]
    assert rows[0]["examples"] == "A/000.jpg; A/002.jpg; A/001.jpg"


@pytest.fixture(scope="module")
def drawn():
    """400 predictions of 7 labels by 6 signers, right about half the time."""
    chance = np.random.default_rng(0)
    class_names = tuple("ABCDEFG")
    truth = chance.integers(7, size=400)
    scores = chance.normal(size=(400, 7)) + 1.5 * np.eye(7)[truth]
    probabilities = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).astype("float32")
    signers = [f"user_{k}" for k in chance.integers(6, size=400)]
    labels = np.array(class_names)[truth]
    return class_names, labels, probabilities, table(labels, probabilities, class_names, signers)


def test_against_scikit_learn(drawn):
    class_names, labels, probabilities, predictions = drawn
    found = evaluate_predictions(predictions, class_names)
    guess = np.array(class_names)[probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(labels, guess, labels=class_names))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(labels, guess, labels=class_names)
    np.testing.assert_allclose(found.per_label["precision"], precision, rtol=1e-12)
    np.testing.assert_allclose(found.per_label["accuracy"], recall, rtol=1e-12)
    np.testing.assert_allclose(found.per_label["f1"], f1, rtol=1e-12)
    np.testing.assert_array_equal(found.per_label["support"], support)
    assert found.accuracy == metrics.accuracy_score(labels, guess) == found.confusion.trace() / found.confusion.sum()
    exact = probabilities.astype("float64")
    exact /= exact.sum(axis=1, keepdims=True)
    assert found.loss == pytest.approx(metrics.log_loss(labels, exact, labels=class_names), rel=1e-6)
    for row in found.per_signer.itertuples():
        theirs = predictions["signer"] == row.signer
        assert row.accuracy == metrics.accuracy_score(labels[theirs], guess[theirs])
    weights = found.per_label["support"]
    assert (found.per_label["loss"] * weights).sum() / weights.sum() == pytest.approx(found.loss, rel=1e-12)


def test_what_the_table_claims_about_itself_is_not_believed(drawn):
    class_names, _, _, predictions = drawn
    boasting = predictions.assign(predicted=predictions["label"], loss=0.0, confidence=1.0)
    honest = evaluate_predictions(predictions, class_names)
    assert evaluate_predictions(boasting, class_names).to_json() == honest.to_json()


def test_cross_entropy_stays_finite():
    assert cross_entropy(np.array([0.25, 1.0])).tolist() == [pytest.approx(math.log(4)), 0.0]
    assert cross_entropy(np.array([0.0]))[0] == pytest.approx(-math.log(1e-7))


def test_calibration_by_hand():
    confidence = np.array([0.55, 0.58, 0.91, 0.99, 1.0, 0.32])
    right = np.array([1, 0, 1, 1, 0, 1])
    # bins: [0.5, 0.6) mean 0.565, right 1/2; [0.9, 1.0] mean 2.9/3, right 2/3; [0.3, 0.4) 0.32, right 1
    expected = (2 * abs(0.565 - 0.5) + 3 * abs(2.9 / 3 - 2 / 3) + 1 * abs(0.32 - 1)) / 6
    assert calibration_error(confidence, right) == pytest.approx(expected)
    assert reliability(confidence, right)["support"].tolist() == [1, 2, 3]
    assert math.isnan(calibration_error(np.array([]), np.array([])))


def test_the_headline_says_how_sure_it_is(drawn):
    """Over six people, as test_certainty.py holds it against SciPy; and not once over one person, or some unknown."""
    class_names, _, _, predictions = drawn
    found = evaluate_predictions(predictions, class_names)
    right = found.predictions["label"] == found.predictions["predicted"]
    sure = how_sure(right, predictions["signer"])
    assert found.sure == sure and found.interval == sure.interval
    assert found.interval_method == sure.method == "t over 6 people"
    assert found.sure.sentence.endswith("from the 6 people tested")
    assert found.accuracy == sure.estimate
    wilson = binomtest(int(right.sum()), 400).proportion_ci(0.95, method="wilson")
    for signers in ([""] * 400, ["user_1"] * 400, ["user_1"] * 200 + ["user_2"] * 199 + [""], [None] * 400):
        found = evaluate_predictions(predictions.assign(signer=signers), class_names)
        assert found.interval_method == "Wilson over images"
        assert found.interval == pytest.approx((wilson.low, wilson.high), abs=1e-12)
        assert "more images of the same p" in found.sure.sentence
        assert len(found.per_signer) == (signers[-1] == "user_1")  # where one is unknown, there is no table by signer


def test_a_label_is_as_sure_as_its_people_let_it_be(drawn):
    class_names, labels, _, predictions = drawn
    found = evaluate_predictions(predictions, class_names)
    right = (found.predictions["label"] == found.predictions["predicted"]).to_numpy()
    for row in found.per_label.itertuples():
        own = labels == row.label
        assert (row.low, row.high) == how_sure(right[own], predictions["signer"][own]).interval
        wilson = binomtest(int(right[own].sum()), int(own.sum())).proportion_ci(0.95, method="wilson")
        assert row.low <= wilson.low + 1e-12 and wilson.high - 1e-12 <= row.high
    two = evaluate_predictions(predictions.assign(signer=np.where(labels == "A", "x", list("xy") * 200)), class_names)
    assert two.per_label[["low", "high"]].isna().all(axis=None)  # A too, whom one of the two shows alone
    unknown = evaluate_predictions(predictions.assign(signer=""), class_names).per_label
    for row in unknown.itertuples():
        wilson = binomtest(round(row.accuracy * row.support), row.support).proportion_ci(0.95, method="wilson")
        assert (row.low, row.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


def test_predictions_survive_the_file_bit_for_bit(drawn, make_images, tmp_path):
    images = make_images()
    chance = np.random.default_rng(3)
    probabilities = chance.dirichlet(np.ones(3) * 0.05, size=10).astype("float32")
    probabilities[0] = [np.float32(1e-42), np.nextafter(np.float32(1), np.float32(0)), 0]
    indices = chance.permutation(len(images))[:10]
    written = prediction_table(images, indices, probabilities)
    columns = ["p_A", "p_B", "p_C"]
    read = pd.read_csv(io.StringIO(table_text(written)), dtype=dict.fromkeys(columns, "float32"))
    assert (read[columns].to_numpy("float32").view("uint32") == probabilities.view("uint32")).all()
    run = RunFolder(tmp_path)
    run.write_table("predictions.csv", written)
    again = run.read_table("predictions.csv")
    assert (again[columns].to_numpy("float32").view("uint32") == probabilities.view("uint32")).all()
    before, after = (evaluate_predictions(t, images.class_names) for t in (written, again))
    assert before.to_json() == after.to_json()
    assert again["name"].tolist() == images.names[indices].tolist()
    assert again["label"].tolist() == [images.class_names[images.labels[k]] for k in indices]


def test_labels_and_predictions_come_from_one_pass(make_images):
    images = make_images()

    class Reader:
        """Answers from the pixels alone: the first class where a photograph is the third of its kind, else the last."""

        def predict_on_batch(self, batch):
            known = {picture.tobytes(): k for k, picture in enumerate(images.images)}
            places = [known[picture.astype("uint8").tobytes()] for picture in batch]
            return np.eye(3, dtype="float32")[[0 if k % 4 == 2 else 2 for k in places]]

    indices = np.random.default_rng(0).permutation(len(images))  # any order gives the same figures
    found = evaluate(Reader(), images, indices)
    assert found.confusion.tolist() == [[4, 0, 12], [4, 0, 12], [4, 0, 12]]
    for row in found.predictions.itertuples():
        k = images.names.tolist().index(row.name)
        assert row.label == images.class_names[images.labels[k]]
        assert row.predicted == ("A" if k % 4 == 2 else "C")


def test_the_interval_of_the_loss_is_that_of_losses():
    """Three signers with two photographs each, and Student's t of the logarithm by hand."""
    sure = [0.9, 0.8, 0.4, 0.3, 0.7, 0.2]
    predictions = table(
        "ABABAB", [[p, 1 - p] if k % 2 == 0 else [1 - p, p] for k, p in enumerate(sure)], "AB", list("xxyyzz")
    )
    losses = [-math.log(np.float32(p)) for p in sure]
    means = [(losses[k] + losses[k + 1]) / 2 for k in (0, 2, 4)]
    mean, reach = np.mean(means), t.ppf(0.975, 2) * sem(means) / np.mean(means)
    alone = t.ppf(0.975, 5) * sem(losses) / mean
    found = evaluate_predictions(predictions, ("A", "B"))
    reach = max(reach, alone)  # as many photographs of each: both lie round one mean
    assert found.loss_interval == pytest.approx((mean * math.exp(-reach), mean * math.exp(reach)), rel=1e-6)


def test_two_signers_have_no_interval_and_each_of_them_has_one(by_hand):
    assert by_hand.interval_method == "none: 2 people"
    assert by_hand.to_json()["interval"] == by_hand.to_json()["loss_interval"] == (None, None)
    assert by_hand.sure.sentence.endswith("they have 100.0 % and 50.0 %")
    for row in by_hand.per_signer.itertuples():
        hits = round(row.accuracy * row.support)
        expected = binomtest(hits, row.support).proportion_ci(0.95, method="wilson")
        assert (row.low, row.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_every_photograph_has_its_own_prediction_and_signer_beyond_the_first_batch(make_images):
    images = make_images(signers=6, takes=4)
    assert len(images) > PREDICT_BATCH
    own = np.random.default_rng(0).dirichlet(np.ones(3), len(images)).astype("float32")
    known = {picture.tobytes(): k for k, picture in enumerate(images.images)}

    class Reader:
        def predict_on_batch(self, batch):
            return own[[known[picture.astype("uint8").tobytes()] for picture in batch]]

    indices = np.random.default_rng(1).permutation(len(images))
    found = predict(Reader(), images, indices)
    np.testing.assert_array_equal(found[["p_A", "p_B", "p_C"]].to_numpy("float32"), own[indices])
    assert found["signer"].tolist() == images.signers[indices].tolist()
    assert found["name"].tolist() == images.names[indices].tolist()


def test_a_model_that_averages_with_the_mirror_is_evaluated_so(make_images):
    from casestudy.models import build_model
    from casestudy.study import ModelSpec

    images = make_images(signers=1, takes=1)
    spec = ModelSpec("plain_cnn", weights=None, options={"filters": [4]}, mirror_average=True)
    model, pixels = build_model(spec, images, seed=1), images.images.astype("float32")
    expected = (model.predict_on_batch(pixels) + model.predict_on_batch(pixels[:, :, ::-1])) / 2
    found = predict(model, images, np.arange(3))[["p_A", "p_B", "p_C"]].to_numpy("float32")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(model.predict_on_batch(pixels) - expected).max() > 1e-4
