"""One page that needs nothing else, believes nobody's names, and shows the numbers of the files."""

import html
import re
import shutil
from html.parser import HTMLParser

import pytest

from casestudy.report import number, percent, render, reproduce_command, summary_sentence, write_report
from casestudy.results import Score, write_results

EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Collects what a page loads, runs and says."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.handlers, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action", "poster", "background"):
                self.loads.append(value)
            if name.startswith("on"):
                self.handlers.append((tag, name))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def page(finished_run):
    return (finished_run.path / "report.html").read_text(encoding="utf-8")


def rewrite(run):
    scores = [
        Score(**{key: score[key] for key in ("name", "protocol", "training", "predictions")})
        for score in run.read_json("metrics.json")["scores"]
    ]
    write_results(run, scores)
    return write_report(run).read_text(encoding="utf-8")


def test_it_is_self_contained(page):
    found = Page(page)
    assert found.loads
    assert not [value for value in found.loads if not value.startswith(("data:image/", "#"))]
    assert not {"script", "link", "iframe", "object", "embed"} & set(found.tags)
    assert "@import" not in page
    assert not re.search(r"url\((?!['\"]?data:)", page)
    assert len(page.encode()) < 8_000_000


def test_it_can_be_printed(page):
    assert "@media print" in page


def test_numbers_are_those_of_the_files(page, finished_run):
    words = html.unescape(" ".join(Page(page).words))
    scores = finished_run.read_json("metrics.json")["scores"]
    assert {score["name"] for score in scores} == {"headline", "head", "head-random"}
    for score in scores:
        assert f"{100 * score['accuracy']:.1f} %" in words
        assert f"{score['loss']:.2f}" in words
    for row in finished_run.read_table("per_label.csv").to_dict("records"):
        cells = [row["label"], str(row["support"]), f"{100 * row['accuracy']:.1f} %"]
        assert re.search(r"<td>" + r"</td>\s*<td>".join(map(re.escape, cells)), page), row
    for row in finished_run.read_table("per_signer.csv").to_dict("records"):
        assert row["signer"] in words
    assert "48 entries in, 48 rows out" in words
    assert "truncated: ends in the first scan" in words
    assert "nan" not in words.lower().split()
    assert "random initialisation" in words


def test_names_are_escaped(run_copy):
    table = run_copy.read_table("predictions.csv")
    table["signer"] = EVIL
    table["name"] = [f"A/<img src=x onerror=alert({k})>.jpg" for k in range(len(table))]
    run_copy.write_table("predictions.csv", table)
    ledger = run_copy.read_table("ledger.csv")
    ledger.loc[ledger["status"] == "corrupt", ["entry", "reason"]] = EVIL
    run_copy.write_table("ledger.csv", ledger)
    run_copy.write_json("run.json", {**run_copy.settings, "pattern": EVIL})
    found = rewrite(run_copy)
    assert EVIL not in found
    parsed = Page(found)
    assert "script" not in parsed.tags
    assert not parsed.handlers
    assert "x" not in parsed.loads
    assert html.escape(EVIL, quote=False).split("(")[0] in found


def test_titles_are_escaped(page):
    assert "<title>Small &lt;case&gt; study" in page


def test_it_does_without_the_photographs(finished_run, run_copy, tmp_path):
    with_them = (finished_run.path / "report.html").read_text(encoding="utf-8")
    settings = run_copy.settings
    settings["data"]["path"] = str(tmp_path / "moved.zip")
    run_copy.write_json("run.json", settings)
    without = write_report(run_copy).read_text(encoding="utf-8")
    assert without.count("data:image/jpeg") == 0
    assert with_them.count("data:image/jpeg") > 0
    assert without.count("data:image/png") == with_them.count("data:image/png")


def test_writing_it_again_changes_nothing_else(run_copy):
    from casestudy.verification import verify_run

    before = (run_copy.path / "report.html").read_bytes()
    (run_copy.path / "report.html").unlink()
    assert write_report(run_copy).read_bytes() == before
    assert all(holds for _, holds, _ in verify_run(run_copy))


def test_thumbnails_stand_as_the_model_saw_them(run_copy, tmp_path, encode, draw, letters_zip):
    """A camera's note on how it was turned is honoured, as it is when images are loaded."""
    import base64
    import io
    import zipfile

    import numpy as np
    from PIL import Image

    worst = run_copy.read_table("top_losses.csv")["name"][0]
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:16] = 255  # bright above; turned a quarter clockwise: bright on the right
    exif = Image.Exif()
    exif[0x0112] = 6
    source = tmp_path / "letters.zip"
    with zipfile.ZipFile(letters_zip) as old, zipfile.ZipFile(source, "w") as new:
        for name in old.namelist():
            new.writestr(name, encode(Image.fromarray(picture), exif=exif) if name == worst else old.read(name))
    settings = run_copy.settings
    settings["data"]["path"] = str(source)
    run_copy.write_json("run.json", settings)
    found = re.search(r'src="data:image/jpeg;base64,([^"]+)" alt="' + re.escape(worst), render(run_copy))
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("L")).astype(int)
    assert shown[:, 20:].mean() > 200
    assert shown[:, :12].mean() < 50


def test_the_headline_is_a_sentence_to_defend(finished_run):
    scores = finished_run.read_json("metrics.json")["scores"]
    text = summary_sentence(scores)
    assert percent(scores[0]["accuracy"]) in text
    assert "never saw" in text
    honest, flattering = (next(s for s in scores if s["name"] == name)["accuracy"] for name in ("head", "head-random"))
    assert f"{abs(100 * (flattering - honest)):.0f} points" in text
    alone = summary_sentence([{**scores[0], "protocol": "random"}])
    assert "never saw" not in alone
    assert "random" in alone


def test_the_command_makes_the_run_again(finished_run):
    import shlex

    from casestudy.cli import build_parser, configure
    from casestudy.studies import STUDIES

    study = STUDIES["asl"]
    settings = {**finished_run.settings, "study": study.to_json() | {"name": "asl"}, "pattern": r"(?P<label>\w) x"}
    settings["machine"] = {**settings["machine"], "image_size": [96, 64]}
    words = shlex.split(reproduce_command(settings))
    assert words[0] == "casestudy"
    args = build_parser().parse_args(words[1:])
    again = configure(study, args)
    assert again.phases == study.phases
    assert again.split == study.split
    assert again.crop == study.crop
    assert again.model.image_size == (96, 64)
    assert (args.seed, args.pattern) == (3, r"(?P<label>\w) x")
    assert again.model.weights is None  # what the run started from, whatever "auto" would come to elsewhere
    assert "--weights imagenet" in reproduce_command(settings | {"initial_weights": "imagenet"})


def test_what_is_absent_is_a_dash():
    assert [percent(None), percent(float("nan")), percent(0.5)] == ["–", "–", "50.0 %"]
    assert [number(None), number(float("nan")), number(1.234)] == ["–", "–", "1.23"]


def test_a_run_without_signers_is_reported_too(run_copy):
    table = run_copy.read_table("predictions.csv")
    table["signer"] = ""
    run_copy.write_table("predictions.csv", table)
    shutil.rmtree(run_copy.path / "plots")
    assert "<h2>Each signer</h2>" not in rewrite(run_copy)
