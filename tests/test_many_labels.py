"""Hundreds of labels, long ones and ones of any script: pictures, report and screen stay readable, small and quick."""

import io
import json
import logging
import re
import time
import tracemalloc
import unicodedata
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps, font_manager, rcParams
from PIL import Image

from casestudy.cli import runs
from casestudy.evaluation import evaluate_predictions
from casestudy.plots import draw_run, lettering, results
from casestudy.report.report import render
from casestudy.words import MANY_LABELS

CJK, THAI, MISSING = "字母", "สวัสดี", "\U000f0000"  # the last is in the private use of whoever likes
LONG = "a name of forty characters, long as such"
HISTORY = pd.DataFrame(
    [("head", 1, name, 0.5) for name in ("accuracy", "val_accuracy", "loss", "val_loss")],
    columns=["phase", "epoch", "metric", "value"],
)


def predictions(count, per_label=4, wrong=0.3):
    """Returns the labels and predictions of so many words, some of them read as any other."""
    names = [f"word {k:04d}" for k in range(count)]
    chance = np.random.default_rng(3)
    truth = np.repeat(np.arange(count), per_label)
    read = np.where(chance.random(len(truth)) < wrong, chance.integers(0, count, len(truth)), truth)
    shares = np.full((len(truth), count), 0.5 / count, np.float32)
    shares[np.arange(len(truth)), read] += 0.5
    facts = {"name": [f"{k}.jpg" for k in range(len(truth))], "signer": [f"u{k % 5}" for k in range(len(truth))]}
    facts["label"] = np.array(names)[truth]
    columns = pd.DataFrame(shares, columns=[f"p_{name}" for name in names])
    return names, pd.concat([pd.DataFrame(facts), columns], axis=1)


def evaluation(names):
    """Returns what predictions amount to of which one in three of each label is wrong."""
    rows = []
    for k, label in enumerate(names):
        for guess in (label, label, names[k - 1]):
            shares = {f"p_{name}": 0.9 if name == guess else 0.1 / (len(names) - 1) for name in names}
            rows.append({"name": f"{len(rows)}.png", "signer": "", "label": label, **shares})
    return evaluate_predictions(pd.DataFrame(rows), tuple(names))


def drawn(fig):
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png")
    return buffer.getvalue()


def named(ax, names):
    """Returns the labels of the axes that are names, however many lines they take."""
    ticks = [*ax.get_xticklabels(), *ax.get_yticklabels()]
    return [tick for tick in ticks if tick.get_text().replace("\n", " ") in names]


def touching(boxes):
    inner = [box.shrunk(0.98, 0.98) for box in boxes]
    return [(a, b) for k, a in enumerate(inner) for b in inner[:k] if a.overlaps(b)]


@pytest.mark.parametrize("count", [300, 1000])
def test_pictures_of_hundreds_of_labels_take_seconds_and_little_memory(count):
    """A run of 300 took 5.9 GB and half a minute, one of 1,000 ended for want of memory."""
    names, table = predictions(count)
    found = evaluate_predictions(table, tuple(names))
    samples = found.samples(15, seed=0)
    start = time.perf_counter()
    pictures = draw_run(found, HISTORY, samples, [Image.new("RGB", (32, 32))] * len(samples), {})
    sizes = {name: Image.open(io.BytesIO(drawn(fig))).size for name, fig in pictures.items()}
    assert time.perf_counter() - start < 60
    assert max(max(size) for size in sizes.values()) <= 2600  # pixels
    (ax,) = pictures["confusion"].axes
    assert not ax.texts  # no numbers
    rates = np.asarray(ax.images[0].get_array())
    np.testing.assert_allclose(rates, found.confusion / found.confusion.sum(axis=1, keepdims=True))
    assert ax.images[0].get_cmap() == colormaps["Blues"]
    step = -(-count // MANY_LABELS)
    for axis in (ax.xaxis, ax.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()][: len(names[::step])] == names[::step]
        assert axis.get_ticklocs().tolist() == list(range(0, count, step))
        assert axis.get_label_text().endswith(f"one in {step} is named")
    assert not touching([label.get_window_extent() for label in ax.get_yticklabels()])
    (ax,) = pictures["per_label"].axes
    weakest = found.per_label.sort_values("accuracy", kind="stable")["label"].head(MANY_LABELS).tolist()
    assert [label.get_text() for label in ax.get_xticklabels()] == weakest
    assert ax.get_xlabel() == f"label, the {MANY_LABELS} weakest of {count}"


def test_a_matrix_of_hundreds_is_drawn_in_little_memory():
    names, table = predictions(300, per_label=2)
    found = evaluate_predictions(table, tuple(names))
    tracemalloc.start()
    (ax,) = results.figure(*results.size_confusion(names))[1]
    results.plot_confusion(ax, found)
    drawn(ax.figure)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6


@pytest.mark.parametrize(("count", "numbers"), [(MANY_LABELS, True), (MANY_LABELS + 1, False)])
def test_a_matrix_has_numbers_up_to_a_limit(count, numbers):
    found = evaluation([f"{k:02d}" for k in range(count)])
    (ax,) = results.figure(*results.size_confusion(found.class_names))[1]
    assert results.plot_confusion(ax, found) is ax
    assert bool(ax.texts) == numbers
    (ax,) = results.figure(*results.size_per_group(found.class_names))[1]
    results.plot_per_group(ax, found.per_label, "label")
    assert len(ax.get_xticklabels()) == MANY_LABELS
    assert ax.get_xlabel() == ("label, the weakest first" if numbers else "label, the 60 weakest of 61")


@pytest.mark.parametrize(("count", "side"), [(5, 5.0), (26, 0.32 * 26 + 1.2), (47, 0.32 * 47 + 1.2)])
def test_a_matrix_of_letters_is_as_large_as_it_was(count, side):
    assert results.size_confusion("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abdefghnqrt"[:count]) == (side, side)


@pytest.mark.parametrize("count", [4, 14, 15, 40])
def test_long_words_are_whole_and_do_not_touch(count, recwarn):
    names = sorted(["long sleeve", "LL", *(f"{LONG} {k}"[-40:].upper() for k in range(count - 2))])
    found = evaluation(names)
    pictures = {
        "confusion": (results.size_confusion(names), lambda ax: results.plot_confusion(ax, found)),
        "per_label": (results.size_per_group(names), lambda ax: results.plot_per_group(ax, found.per_label, "label")),
    }
    for name, (size, plot) in pictures.items():
        fig, (ax,) = results.figure(*size)
        plot(ax)
        fig.draw_without_rendering()
        labels = named(ax, names)
        assert {label.get_text().replace("\n", " ") for label in labels} == set(names)  # nothing is cut
        boxes = [label.get_window_extent() for label in labels]
        assert all(fig.bbox.x0 - 1 <= box.x0 and box.x1 <= fig.bbox.x1 + 1 for box in boxes), name
        assert all(fig.bbox.y0 - 1 <= box.y0 and box.y1 <= fig.bbox.y1 + 1 for box in boxes), name
        assert not touching(boxes), name
        wholes = [axis.label.get_window_extent() for axis in (ax.xaxis, ax.yaxis)]
        assert all(fig.bbox.x0 <= one.x0 and fig.bbox.y0 <= one.y0 for one in wholes), name
        assert ax.bbox.width > 0.4 * fig.bbox.width and ax.bbox.height > 0.4 * fig.bbox.height, name
    assert not [one for one in recwarn if "layout" in str(one.message)]


def test_long_words_stand_above_their_own_photograph():
    picture = Image.new("RGB", (32, 32))
    labels, guesses = [LONG, "EAT", LONG.upper(), "A", "Ankle boot"], [LONG, LONG, "EAT", "B", "Sneaker"]
    fig = results.prediction_sheet([picture] * 5, labels, guesses)
    fig.draw_without_rendering()
    titles = [ax.title for ax in fig.axes]
    assert not touching([title.get_window_extent() for title in titles])
    said = [title.get_text().replace("\n", " ") for title in titles]
    assert said == [f"✓ {LONG}", f"✗ EAT read as {LONG}", f"✗ {LONG.upper()} read as EAT",
                    "✗ A read as B", "✗ Ankle boot read as Sneaker"]  # fmt: skip
    assert [title.get_fontsize() for title in titles] == [9, 9, 9, 13, 13]
    sheet = results.contact_sheet([picture] * 10, [LONG] * 10)
    sheet.draw_without_rendering()
    assert not touching([ax.title.get_window_extent() for ax in sheet.axes])


@pytest.fixture
def said(monkeypatch):
    monkeypatch.setattr(lettering, "_said", set())


@pytest.fixture
def no_other_font(monkeypatch, said):
    monkeypatch.setattr(lettering, "_families", lambda: iter(()))


def test_scripts_of_the_usual_font_are_left_as_they_are(said, caplog):
    names = ["привет", "Ñandú", "Ω", "ß", "$x_1$", "A B"]
    assert lettering.drawable(names) == (names, rcParams["font.family"])
    assert not caplog.records


def test_without_a_font_names_are_spelled_and_that_is_said_once(no_other_font, caplog):
    names = [CJK, THAI, "नम", "한글", "привет", f"A {CJK[0]}", MISSING]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Matplotlib warns of every sign that a font lacks
        spelled, _ = lettering.drawable(names)
        found = evaluation(names)
        (ax,) = results.figure(*results.size_confusion(names))[1]
        results.plot_confusion(ax, found)
        drawn(ax.figure)
        picture = Image.new("RGB", (8, 8))
        sheet = results.prediction_sheet([picture] * 2, [CJK, THAI], [CJK, CJK])
        drawn(sheet)
        drawn(results.contact_sheet([picture], [THAI]))
        (ax,) = results.figure()[1]
        results.plot_per_group(ax, found.per_label, "label")
        drawn(ax.figure)
    assert spelled == ["U+5B57-U+6BCD", spelled[1], "na-ma", "han-geul", "привет", "A U+5B57", "U+F0000"]
    assert spelled[1].startswith("sosua-wowaen-") and len(spelled[1]) == lettering.SPELLED
    assert sheet.axes[0].get_title() == "✓ U+5B57-U+6BCD"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "Noto" in record.getMessage() and "\n" not in record.getMessage()


def test_names_that_are_spelled_alike_stay_apart(no_other_font):
    names = [THAI * 3, THAI * 4, THAI * 5, "A", "A "]
    spelled, _ = lettering.drawable(names)
    assert len(set(spelled)) == len(names)
    assert spelled[1] == f"{spelled[0]} (2)"


def test_a_font_of_the_machine_that_has_the_signs_is_used(monkeypatch, said, caplog):
    """The usual font is made one that lacks every letter but A, and the other one is the true usual font."""
    usual = font_manager.findfont(font_manager.FontProperties())
    known = lettering._signs(usual)
    monkeypatch.setattr(lettering, "_signs", lambda path: frozenset(map(ord, "A")) if path == usual else known)
    monkeypatch.setattr(lettering, "_families", lambda: iter([("Empty", frozenset()), ("DejaVu Serif", known)]))
    names, families = lettering.drawable(["A", "привет"])
    assert names == ["A", "привет"]
    assert families == [*rcParams["font.family"], "DejaVu Serif"]
    (ax,) = results.figure()[1]
    results.plot_confusion(ax, evaluation(["A", "привет"]))
    assert {tuple(label.get_fontfamily()) for label in named(ax, names)} == {tuple(families)}
    assert not caplog.records


def test_a_font_of_empty_boxes_is_not_taken():
    assert not [family for family, _ in lettering._families() if family.lower().startswith("last resort")]
    families = dict(lettering._families())
    assert ord("Ж") in families["DejaVu Sans"] and ord("字") not in families["DejaVu Sans"]


LINED = {
    "A": ["A"],
    "": [""],
    LONG: ["a name of forty", "characters, long as", "such"],
    "x" * 45: ["x" * 20, "x" * 20, "x" * 5],
    "x" * 300: ["x" * 20, "x" * 20, "x" * 19 + "…"],
    "字" * 12: ["字" * 10, "字" * 2],
}


@pytest.mark.parametrize(("name", "lines"), LINED.items())
def test_a_name_is_set_in_at_most_three_lines(name, lines):
    assert lettering.in_lines(name).split("\n") == lines
    columns = max(sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in line) for line in lines)
    assert lettering.longest_line([lettering.in_lines(name)]) == columns <= lettering.LINE


def many(run, count):
    """Turns a copied run into one of so many words."""
    names, table = predictions(count)
    run.write_table("predictions.csv", table)
    run.write_json("run.json", run.read_json("run.json") | {"class_names": names})
    run.write_json("metrics.json", {"scores": run.read_json("metrics.json")["scores"][:1]})
    return names, evaluate_predictions(table, tuple(names))


@pytest.mark.parametrize("count", [300, 1000])
def test_the_page_of_hundreds_of_labels_is_small_and_shows_the_worst(run_copy, count):
    names, found = many(run_copy, count)
    (ax,) = results.figure(*results.size_confusion(names))[1]
    results.plot_confusion(ax, found)
    ax.figure.savefig(run_copy.path / "plots" / "confusion.png")
    start = time.perf_counter()
    text = render(run_copy)
    assert time.perf_counter() - start < 40  # 110 s for 1,000 while each cell stood on the page
    assert len(text.encode()) < 8_000_000
    assert 'id="matrix"' not in text and "matrix.tBodies" not in text
    assert json.loads(re.search(r'id="facts">(.*?)</script>', text, re.S)[1])["cells"] == {}
    right = int(found.confusion.trace())
    told = f"Confusion matrix of {count:,} labels: {right:,} of {4 * count:,} photographs lie on its diagonal."
    assert f'alt="{told}"' in text
    assert f"Guessing among {count} labels" in text
    part = text.partition("<h3>Most confused</h3>")[2].partition("</table>")[0]
    rows = re.findall(r"<tr><td>(.*?)</td><td class=\"text\">(.*?)</td><td>(\d+)</td>", part)
    worst = found.most_confused.head(40)
    assert rows == [tuple(map(str, row)) for row in worst[["label", "predicted", "count"]].itertuples(index=False)]
    part = text.partition('id="per-label"')[2].partition("</table>")[0]
    assert re.findall(r"<tr><td>(.*?)</td>", part) == names


def test_a_page_of_letters_has_its_cells_and_no_second_picture(run_copy):
    text = render(run_copy)
    assert 'id="matrix"' in text and "matrix.tBodies" in text
    assert "lie on its diagonal" not in text and '"scroll words"' in text


def test_the_screen_shows_the_weakest_of_many(run_copy):
    for count in (MANY_LABELS, MANY_LABELS + 1, 300):
        names, found = many(run_copy, count)
        run_copy.write_table("per_label.csv", found.per_label)
        lines = runs.on_screen(run_copy).splitlines()
        shown = [line.split("  ")[1] for line in lines if line.startswith("  word ")]
        if count == MANY_LABELS:
            assert shown == names
            continue
        weakest = found.per_label.sort_values("accuracy", kind="stable")["label"].head(runs.WEAKEST)
        assert shown == weakest.tolist()
        assert f"  the weakest of {count} labels; per_label.csv has the others" in lines
        assert len(lines) < 60


def test_confusions_are_the_same_however_they_are_counted():
    """Against a count by hand of each pair, with its surest examples first."""
    names, table = predictions(30, per_label=20, wrong=0.5)
    chance = np.random.default_rng(1)
    shares = chance.dirichlet(np.full(30, 0.1), len(table)).astype("float32")
    table[[f"p_{name}" for name in names]] = shares
    found = evaluate_predictions(table, tuple(names))
    read, sure = np.array(names)[shares.argmax(axis=1)], shares.max(axis=1)
    pairs = {}
    for name, label, guess, share in zip(table["name"], table["label"], read, sure, strict=True):
        if label != guess:
            pairs.setdefault((label, guess), []).append((-share, name))
    expected = sorted(((-len(rows), *pair) for pair, rows in pairs.items()))
    assert [(-row.count_, row.label, row.predicted) for row in found.most_confused.rename(
        columns={"count": "count_"}).itertuples()] == expected  # fmt: skip
    for row in found.most_confused.itertuples():
        assert row.examples == "; ".join(name for _, name in sorted(pairs[row.label, row.predicted])[:4])
