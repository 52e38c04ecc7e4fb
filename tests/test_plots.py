"""Axes in, the same axes out, with the numbers that were given on them."""

import dataclasses
import io
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from PIL import Image

from casestudy.evaluation import evaluate_predictions
from casestudy.plots import results as plots


def saved(fig) -> bytes:
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png")
    return buffer.getvalue()


def evaluation(truth, read, class_names):
    """Returns what predictions amount to whose rows read `read` where `truth` is right."""
    probabilities = np.eye(len(class_names), dtype="float32")[[class_names.index(label) for label in read]]
    facts = {"name": [f"{k}.png" for k in range(len(truth))], "signer": "", "label": truth}
    columns = {f"p_{name}": probabilities[:, k] for k, name in enumerate(class_names)}
    return evaluate_predictions(pd.DataFrame({**facts, **columns}), tuple(class_names))


def test_history_runs_on_over_the_phases():
    rows = [("head", k, m, v) for k in (1, 2, 3) for m, v in (("accuracy", k / 10), ("val_accuracy", k / 20))]
    rows += [("tune", 1, "accuracy", 0.9), ("tune", 1, "val_accuracy", 0.8)]
    fig, (ax,) = plots.figure()
    assert plots.plot_history(ax, pd.DataFrame(rows, columns=["phase", "epoch", "metric", "value"]), "accuracy") is ax
    looks = {"training": ("o", "-"), "validation": ("s", "--")}  # a second sign beside the colour
    curves = {
        part: [line.get_xydata().tolist() for line in ax.lines if (line.get_marker(), line.get_linestyle()) == look]
        for part, look in looks.items()
    }
    assert curves["training"] == [[[1, 0.1], [2, 0.2], [3, 0.3]], [[4, 0.9]]]
    assert curves["validation"] == [[[1, 0.05], [2, 0.1], [3, 0.15]], [[4, 0.8]]]
    assert {text.get_text() for text in ax.texts} == {"head", "tune", "training 90 %", "validation 80 %"}
    assert ax.get_legend() is None  # the names stand at the curves
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [3.5]
    assert saved(fig)


def test_confusion_has_truth_down_and_guesses_across():
    fig, (ax,) = plots.figure()
    truth, read = ["A"] * 10 + ["C"] * 4, ["A"] * 8 + ["B"] * 2 + ["A"] + ["C"] * 3
    assert plots.plot_confusion(ax, evaluation(truth, read, ["A", "B", "C"])) is ax
    shown = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts}
    assert shown == {(0, 0): "8", (0, 1): "2", (2, 0): "1", (2, 2): "3"}
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.8, 0.2, 0], [0, 0, 0], [0.25, 0, 0.75]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted label", "true label")
    dark = {t.get_text(): colors.to_hex(t.get_color()) for t in ax.texts}
    assert dark["8"] == "#ffffff"  # readable on the dark cell
    assert dark["2"] == "#000000"
    assert saved(fig)


def test_the_names_of_close_curves_do_not_touch():
    rows = [("head", 1, "accuracy", 0.501), ("head", 1, "val_accuracy", 0.5)]
    fig, (ax,) = plots.figure()
    plots.plot_history(ax, pd.DataFrame(rows, columns=["phase", "epoch", "metric", "value"]), "accuracy")
    fig.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts if "%" in text.get_text()]
    assert len(boxes) == 2
    assert not boxes[0].overlaps(boxes[1])


@pytest.mark.parametrize("losses", [(5.62, 5.06), (2.31, 2.30), (0.0, 0.0)])
def test_a_single_epoch_lies_within_the_picture(losses):
    rows = [("train", 1, name, value) for name, value in zip(("loss", "val_loss"), losses, strict=True)]
    fig, (ax,) = plots.figure()
    plots.plot_history(ax, pd.DataFrame(rows, columns=["phase", "epoch", "metric", "value"]), "loss")
    fig.draw_without_rendering()
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] >= max(1.04 * max(losses), 1e-3)
    (phase,) = (text for text in ax.texts if text.get_text() == "train")
    assert not any(text.get_window_extent().overlaps(phase.get_window_extent()) for text in ax.texts if text != phase)


@pytest.mark.parametrize(("labels", "side", "count"), [(26, 9.5, 88), (47, 16.2, 400)])
def test_26_and_47_labels_fit(labels, side, count, recwarn):
    fig, (ax,) = plots.figure(side, side)
    names = list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")[-labels:]
    even = dataclasses.replace(evaluation(names, names, names), confusion=np.full((labels, labels), count))
    plots.plot_confusion(ax, even)
    fig.draw_without_rendering()
    cell = np.diff(ax.transData.transform([(0, 0), (1, 0)])[:, 0])[0]
    assert 0.35 * cell < max(text.get_window_extent().width for text in ax.texts) < cell
    assert max(tick.get_window_extent().width for tick in ax.get_xticklabels()) < cell
    assert not [w for w in recwarn if "layout" in str(w.message)]


def test_many_labels_stand_side_by_side_and_do_not_touch():
    names = list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
    share = np.linspace(0.2, 0.9, 47)
    table = pd.DataFrame({"label": names, "accuracy": share, "low": share - 0.1, "high": share + 0.1})
    fig, (ax,) = plots.figure(*plots.size_per_group(names))
    plots.plot_per_group(ax, table, "label")
    fig.draw_without_rendering()
    ticks = ax.get_xticklabels()
    assert [tick.get_text() for tick in ticks] == names  # the weakest at the left
    boxes = [tick.get_window_extent() for tick in ticks]
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_per_group_shows_each_interval_and_leaves_out_who_has_none():
    table = pd.DataFrame(
        {
            "label": ["A", "B", "C"],
            "accuracy": [0.9, np.nan, 0.4],
            "low": [0.7, np.nan, 0.2],
            "high": [1.0, np.nan, 0.5],
        }
    )
    fig, (ax,) = plots.figure()
    assert plots.plot_per_group(ax, table, "label") is ax
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["A", "C"]  # upwards: the weakest at the top
    ends = [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()]
    assert ends == [pytest.approx([0.7, 1.0]), pytest.approx([0.2, 0.5])]
    assert saved(fig)


@pytest.mark.parametrize("count", [3, 20])
def test_an_interval_that_is_not_known_is_not_drawn(count, recwarn):
    names = [f"user_{k}" for k in range(count)]
    share = np.linspace(0.3, 0.9, count)
    table = pd.DataFrame({"signer": names, "accuracy": share, "low": share - 0.1, "high": share + 0.1})
    for unknown, drawn in ((names[:1], count - 1), (names, 0)):
        part = table.copy()
        part.loc[part["signer"].isin(unknown), ["low", "high"]] = np.nan
        fig, (ax,) = plots.figure()
        plots.plot_per_group(ax, part, "signer")
        ends = [segment for segment in ax.collections[0].get_segments() if len(segment) and np.isfinite(segment).all()]
        assert len(ends) == drawn
        assert sorted(ax.lines[0].get_xydata()[:, int(count > plots.MANY)]) == pytest.approx(share.tolist())
        label = ax.get_ylabel() if count > plots.MANY else ax.get_xlabel()
        assert label == ("accuracy, 95 % interval" if drawn else "accuracy")
        assert saved(fig)
    assert not recwarn.list


def test_reliability_draws_the_bins():
    bins = pd.DataFrame({"bin": [3, 9], "confidence": [0.35, 0.95], "accuracy": [0.5, 0.9], "support": [2, 8]})
    fig, (ax,) = plots.figure()
    assert plots.plot_reliability(ax, bins) is ax
    np.testing.assert_allclose(ax.collections[0].get_offsets(), [[0.35, 0.5], [0.95, 0.9]])
    assert saved(fig)


def test_a_sheet_shows_what_was_read_in_rows():
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue", "white")]
    fig = plots.prediction_sheet(pictures, ["A", "B", "Ankle boot", "C"], ["A", "C", "Sneaker", "C"], columns=3)
    titles = ["✓ A", "✗ B read as C", "✗ Ankle boot\nread as Sneaker", "✓ C", "", ""]
    assert [ax.get_title() for ax in fig.axes] == titles
    shown = [colors.to_hex(ax.title.get_color()) for ax in fig.axes[:4]]
    assert shown == [plots.GREEN, plots.RED, plots.RED, plots.GREEN]
    assert [len(ax.images) for ax in fig.axes] == [1, 1, 1, 1, 0, 0]
    assert not any(ax.axison for ax in fig.axes)  # nothing is framed where nothing is shown
    assert saved(fig)
    assert saved(plots.prediction_sheet([], [], []))  # a model without a mistake has none to show


def test_heat_lies_over_the_grey_photograph_where_it_was_found():
    pixels, heat = np.full((16, 24, 3), (30, 60, 90), np.uint8), np.zeros((2, 3), np.float32)
    heat[0, 2] = 1
    fig, (ax,) = plots.figure()
    assert plots.plot_heat(ax, pixels, heat, "A", "B") is ax
    photograph, glow = (image.get_array() for image in ax.images)
    assert photograph.shape == glow.shape == (16, 24)
    assert (photograph == 60).all()
    assert glow[:4, 20:].min() > 0.9
    assert glow[8:, :8].max() < 0.01  # a smooth enlargement rings a little
    assert ax.get_title() == "✗ A read as B"
    assert saved(fig)


@pytest.mark.parametrize("name", ["$\\bad$", "a_b^c", "$", "<b>", "ß"])
def test_any_name_can_be_drawn(name):
    rows = {"signer": [name, "user_2"], "accuracy": [0.5, 0.6], "low": [0.4, 0.5], "high": [0.6, 0.7]}
    for draw in (
        lambda ax: plots.plot_per_group(ax, pd.DataFrame(rows), "signer"),
        lambda ax: plots.plot_confusion(ax, evaluation([name, "B"], [name, "B"], [name, "B"])),
        lambda ax: plots.plot_heat(ax, np.zeros((8, 8, 3), np.uint8), np.eye(2, dtype=np.float32), name, "B"),
    ):
        fig, (ax,) = plots.figure()
        draw(ax)
        assert saved(fig)
    sheet = plots.prediction_sheet([Image.new("RGB", (8, 8))], [name], ["B"])
    assert name in sheet.axes[0].get_title() and saved(sheet)


@pytest.mark.parametrize(("count", "size"), [(14, (6.4, 0.35 * 14 + 1.2)), (15, (9.6, 4.4)), (47, (0.27 * 47, 4.4))])
def test_more_than_fourteen_groups_stand_side_by_side(count, size):
    assert plots.size_per_group([str(k) for k in range(count)]) == pytest.approx(size)


def test_every_drawing_shows_what_its_name_says():
    """A metric is drawn under its own name, signers are signers, and a sample says what it is and what was read."""
    from casestudy.plots import draw_run

    truth, read = list("AABB"), list("ABBB")
    found = evaluation(truth, read, ["A", "B"])
    known = found.predictions.assign(signer=["u1", "u2", "u2", "u2"])
    found = evaluate_predictions(known, ("A", "B"))
    rows = [("head", 1, "accuracy", 0.25), ("head", 1, "loss", 1.75)]
    history = pd.DataFrame(rows, columns=["phase", "epoch", "metric", "value"])
    pictures = [Image.new("RGB", (8, 8))] * 4
    drawings = draw_run(found, history, found.predictions, pictures, {})
    assert set(drawings) == {
        *("learning_accuracy", "learning_loss", "confusion", "per_label", "per_signer", "reliability", "samples"),
    }
    for metric, value in (("accuracy", 0.25), ("loss", 1.75)):
        (ax,) = drawings[f"learning_{metric}"].axes
        curves = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
        assert [list(line.get_ydata()) for line in curves] == [[value]]
        assert metric in ax.get_ylabel()
    for name, groups in (("label", {"A", "B"}), ("signer", {"u1", "u2"})):
        (ax,) = drawings[f"per_{name}"].axes
        assert {tick.get_text() for tick in ax.get_yticklabels()} == groups
        assert ax.get_ylabel() == name
    titles = [ax.get_title() for ax in drawings["samples"].axes if ax.get_title()]
    assert titles == ["✓ A", "✗ A read as B", "✓ B", "✓ B"]
    assert "samples" not in draw_run(found, history, found.predictions, [], {})
