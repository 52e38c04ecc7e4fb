"""Every picture that a page shows carries the hash of what drew it, and comes out the same when it is drawn again."""

import io
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from SCRIPTS.articles import figures, pages, stamps, values
from SCRIPTS.articles.writing import ARTICLES, read_json
from SCRIPTS.release.environment import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("ARTICLES/*.md"), *ROOT.glob("DATA/**/*.md"), *ROOT.glob("notebooks/*.ipynb")]
KINDS = ("png", "svg", "jpg", "jpeg", "gif", "webp", "pdf")
COMMITTED = stamps.committed()


def test_every_picture_that_is_shown_or_lies_among_the_articles_has_something_that_draws_it():
    shown, link_to = set(), re.compile(rf"[(\"']((?:\.\./)*[\w./-]+\.(?:{'|'.join(KINDS)}))[)\\\"']")
    for page in PAGES:
        linked = link_to.findall(page.read_text(encoding="utf-8"))
        shown |= {(page.parent / link).resolve() for link in linked if (page.parent / link).exists()}
    lying = {path.resolve() for kind in KINDS for path in ARTICLES.rglob(f"*.{kind}")}
    assert len(shown) >= 9
    assert shown | lying == {path.resolve() for path in COMMITTED}


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_a_picture_carries_the_hash_of_the_data_and_the_code_that_drew_it(path):
    picture = COMMITTED[path]
    message = f"{path.relative_to(ROOT)} is older than its numbers or its code. Draw it again: {picture.command}"
    assert stamps.stamp_of(path) == picture.stamp(), message


@pytest.mark.parametrize("path", figures.PICTURES, ids=lambda path: path.name)
def test_a_figure_drawn_again_is_the_committed_one(path):
    """Up to what another version of the library or of its fonts may change of it."""
    picture, buffer = figures.PICTURES[path], io.BytesIO()
    picture.draw(picture.data()).savefig(buffer, format="png", dpi=figures.DPI)
    with Image.open(buffer) as drawn, Image.open(path) as kept:
        assert np.abs(np.subtract(drawn.size, kept.size)).max() <= 2
        small = [np.asarray(one.convert("L").resize((200, 100)), dtype=float) for one in (drawn, kept)]
    assert np.abs(small[0] - small[1]).mean() < 3  # of 255


def test_readmes_report_is_of_the_run_that_readme_has_the_scores_of(monkeypatch, tmp_path):
    """Of another run no picture is taken; and new scores make the picture of before an old one."""
    picture, recorded = pages.PICTURES[figures.FOLDER / "page_report.png"], read_json(pages.RESULTS)
    before, run = picture.stamp(), SimpleNamespace(path=tmp_path)
    monkeypatch.setattr(pages, "write_report", lambda run: run.path / "report.html")
    monkeypatch.setattr(pages, "summarise", lambda run: ("", recorded[values.SAMPLE]))
    assert pages.recorded(run) == tmp_path / "report.html"
    other = json.loads(json.dumps(recorded))
    other[values.SAMPLE]["scores"][0]["accuracy"] += 1 / 260  # one photograph more
    monkeypatch.setattr(pages, "read_json", lambda path: other)
    with pytest.raises(SystemExit, match=f"{re.escape(str(tmp_path))} is another. Record it first"):
        pages.recorded(run)
    assert picture.stamp() != before


def draw_something(facts):
    return helper(facts) + CONSTANT


def helper(facts):
    return len(facts)


def other_helper(facts):
    return -len(facts)


CONSTANT = 1


def test_a_number_a_constant_or_a_called_function_changes_the_hash(monkeypatch):
    first = stamps.stamp({"a": 1}, draw_something)
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert stamps.stamp({"a": 1}, draw_something) == first
    found = {first, stamps.stamp({"a": 2}, draw_something), stamps.stamp({"a": 1}, helper)}
    module = sys.modules[__name__]
    monkeypatch.setattr(stamps, "OURS", (__name__,))
    found.add(stamps.stamp({"a": 1}, draw_something))  # with `helper` now, that is called
    monkeypatch.setattr(module, "CONSTANT", 2)
    found.add(stamps.stamp({"a": 1}, draw_something))
    monkeypatch.setattr(
        module, "helper", test_every_picture_that_is_shown_or_lies_among_the_articles_has_something_that_draws_it
    )
    found.add(stamps.stamp({"a": 1}, draw_something))
    assert len(found) == 6


def test_a_figure_hangs_on_the_palette_and_on_the_plots_that_it_uses():
    names = set(stamps.sources(figures.transfer_learning))
    assert {
        "figures.transfer_learning",
        "figures._errors",
        "results.plot_history",
        "results.plot_history: BLUE",
    } <= names
    assert "results.plot_counts" in stamps.sources(figures.matrix)
    assert "results.plot_counts" not in names


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_the_hash_is_read_from_both_kinds_of_file_and_none_where_there_is_none(kind, tmp_path):
    picture = Image.new("RGB", (4, 4))
    bare, stamped = tmp_path / f"bare.{kind}", tmp_path / f"stamped.{kind}"
    picture.save(bare)
    assert stamps.stamp_of(bare) == ""
    if kind == "png":
        from PIL import PngImagePlugin

        text = PngImagePlugin.PngInfo()
        text.add_text(stamps.KEY, "ab12")
        picture.save(stamped, pnginfo=text)
    else:
        picture.save(stamped, comment=b"ab12")
    assert stamps.stamp_of(stamped) == "ab12"


def test_the_command_names_what_is_out_of_date(tmp_path, monkeypatch):
    done = subprocess.run(
        [sys.executable, "-m", "SCRIPTS.articles.stamps"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    old, kept = tmp_path / "old.png", figures.PICTURES[ARTICLES / "confusion_asl_signers.png"]
    Image.new("RGB", (4, 4)).save(old)
    monkeypatch.setattr(stamps, "committed", lambda: {old: kept})
    assert stamps.out_of_date() == {old: "python -m SCRIPTS.articles.figures"}


def test_the_matrix_of_the_readme_is_the_recorded_result():
    """Its counts add up to the accuracy, and to the photographs of each label, that results.json has from the run."""
    facts = read_json(ARTICLES / "articles.json")["matrix"]
    assert facts["key"] == values.REAL
    counts = np.array(facts["confusion"])
    result = json.loads((ARTICLES / "results.json").read_text(encoding="utf-8"))[values.REAL]
    (headline,) = [score for score in result["scores"] if score["name"] == "headline"]
    assert counts.shape == 2 * (len(facts["class_names"]),)
    assert counts.sum() == headline["images"] == sum(row["support"] for row in result["per_signer"])
    assert counts.trace() / counts.sum() == pytest.approx(headline["accuracy"], abs=1e-12)
    right = sum(row["support"] * row["accuracy"] for row in result["per_signer"])
    assert counts.trace() == pytest.approx(right, abs=1e-6)


def test_an_interval_that_is_not_known_has_no_error_bar():
    ends = figures._errors([0.5, 0.7], [[None, None], [0.6, 0.9]])
    assert np.isnan(ends[:, 0]).all()
    assert ends[:, 1] == pytest.approx([0.1, 0.2])
    scores = {"accuracy": 0.5, "interval": [None, None]}
    for draw, facts in (
        (figures.leakage, {key: dict.fromkeys(("head", "head-random"), scores) for key in figures.NAMES}),
        (
            figures.transfer_learning,
            {
                "history": [{"phase": "head", "epoch": 1, "metric": "accuracy", "value": 0.5}],
                "scores": {key: dict.fromkeys(("head", "headline"), scores) for key in figures.NAMES},
            },
        ),
    ):
        figure = draw(facts)
        figure.savefig(io.BytesIO(), format="png")
        words = [text.get_text() for ax in figure.axes for text in ax.texts]
        assert not [word for word in words if "nan" in word.lower()]
