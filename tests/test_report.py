"""One page that needs nothing else, believes nobody's names, and shows the numbers of the files."""

import base64
import dataclasses
import hashlib
import html
import json
import re
import shlex
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from casestudy.data import photographs as pictures
from casestudy.evaluation import evaluate_predictions
from casestudy.report.pages import decimals, gap, interval
from casestudy.report.report import render, sections, signer_sentence, summary_sentence, write_report
from casestudy.runs import Options, RunFolder, Wishes
from casestudy.runs.local import Local
from casestudy.runs.record import Score, TrainingRecord
from casestudy.runs.results import write_results
from casestudy.studies import STUDIES
from casestudy.words import percent

EVIL = '<script>alert("x")</script>'
OTHERS = {"loss": 1.0, "loss_interval": (None, None), "interval_method": "Wilson", "calibration_error": 0.1}
SURE = "two people are too few for an interval: they have 40.0 % and 60.0 %"
SCORES = [
    Score("headline", "signer", "all phases", "predictions.csv", 10, 0.5, interval=(0.3, 0.7), **OTHERS),
    Score("random", "random", "all phases", "predictions_random.csv", 10, 0.9, interval=(0.8, 1.0), **OTHERS),
]


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
    write_results(run)
    return write_report(run).read_text(encoding="utf-8")


def without_command(run):
    """Returns the page but for its command, which names the folder."""
    return render(run).replace(Options.again(run), "")


def test_it_is_self_contained(page):
    found = Page(page)
    assert found.loads
    assert not [value for value in found.loads if not value.startswith(("data:image/", "#"))]
    assert not {"link", "iframe", "object", "embed"} & set(found.tags)
    assert not found.handlers
    assert found.tags.count("script") == 2  # data, and the one script whose hash the policy names
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in policy
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
        assert re.search(r"<td>" + r"</td>\s*<td[^>]*>".join(map(re.escape, cells)), page), row
    for row in finished_run.read_table("per_signer.csv").to_dict("records"):
        assert row["signer"] in words
    assert "48 entries in, 48 rows out" in words
    assert "truncated: ends in the first scan" in words
    assert "nan" not in words.lower().split()
    assert "random initialisation" in words
    assert "Training started from random numbers: expect much lower scores" in words


def test_names_are_escaped(run_copy):
    table = run_copy.read_table("predictions.csv")
    table["signer"] = EVIL
    table["name"] = [f"A/<img src=x onerror=alert({k})>.jpg" for k in range(len(table))]
    run_copy.write_table("predictions.csv", table)
    ledger = run_copy.read_table("ledger.csv")
    ledger.loc[ledger["status"] == "corrupt", ["entry", "reason"]] = EVIL
    run_copy.write_table("ledger.csv", ledger)
    asked = Options(pattern=EVIL + "(?P<label>.)").wishes()  # of a study whose command names its pattern
    run_copy.write_json("run.json", {**run_copy.read_json("run.json"), "study": asked.study.to_json()})
    found = rewrite(run_copy)
    assert EVIL not in found
    parsed = Page(found)
    assert parsed.tags.count("script") == 2
    assert not parsed.handlers
    assert "x" not in parsed.loads
    assert html.escape(EVIL, quote=False).split("(")[0] in found
    assert "--pattern=&lt;script&gt;" in found
    facts = re.search(r'<script type="application/json" id="facts">(.*?)</script>', found, re.S)[1]
    assert not set("<>&'") & set(facts)
    names = {photo["name"] for photos in json.loads(facts)["cells"].values() for photo in photos}
    assert names == set(table["name"])


def test_titles_are_escaped(page):
    assert "<title>Small &lt;case&gt; study" in page


def test_it_does_without_the_photographs(finished_run, run_copy, tmp_path):
    with_them = (finished_run.path / "report.html").read_text(encoding="utf-8")
    without = write_report(RunFolder.open(run_copy.path)).read_text(encoding="utf-8")
    assert not [value for value in Page(without).loads if "jpeg" in value]
    assert '"pictures": {}' in without
    assert [value for value in Page(with_them).loads if "jpeg" in value]
    assert "--data letters.zip" in without
    assert without.count("data:image/png") == with_them.count("data:image/png")


def test_writing_it_again_changes_nothing_else(finished_run, run_copy):
    from casestudy.runs.verify import verify_run

    before = write_report(run_copy).read_bytes()
    (run_copy.path / "report.html").unlink()
    assert write_report(run_copy).read_bytes() == before
    assert without_command(run_copy) == without_command(finished_run)
    assert all(holds is not False for _, holds, _ in verify_run(run_copy))


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
    run_copy = dataclasses.replace(run_copy, local=Local(str(source)))
    found = re.search(
        r'src="data:image/jpeg;base64,([^"]+)" alt="([^"]+)"', render(run_copy).partition('id="mistakes"')[2]
    )
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("L")).astype(int)
    assert shown[:, 20:].mean() > 200
    assert shown[:, :12].mean() < 50


def test_the_headline_is_a_sentence_to_defend(finished_run):
    scores = finished_run.scores()
    text = summary_sentence(scores, SURE)
    assert percent(scores[0].accuracy) in text
    assert "never saw" in text
    honest, flattering = (next(s for s in scores if s.name == name).accuracy for name in ("head", "head-random"))
    gap = f"{abs(100 * (flattering - honest)):.1f}".removesuffix(".0")
    assert f": {gap} points flattered." in text
    assert " 33.3 % of 18 test photographs" in text
    alone = summary_sentence([dataclasses.replace(scores[0], protocol="random")], SURE)
    assert "never saw" not in alone
    assert "random" in alone


def test_the_command_makes_the_run_again(run_copy):
    from casestudy.cli.commands import build_parser

    study = STUDIES["asl"]
    asked = dataclasses.replace(study, data=dataclasses.replace(study.data, pattern=r"(?P<label>\w) x"))
    values = run_copy.read_json("run.json") | Wishes(asked, 3).to_json()
    values["machine"]["image_size"] = [96, 64]
    run_copy.write_json("run.json", values)
    words = shlex.split(Options.again(run_copy))
    assert words[0] == "casestudy"
    again = Options.parse(vars(build_parser().parse_args(words[1:]))).wishes()
    assert again.study.phases == study.phases
    assert again.study.split == study.split
    assert again.study.crop == "none"  # as it turned out, whatever "auto" would come to with a later version
    assert again.study.model.image_size == (96, 64)
    assert (again.seed, again.study.data.pattern) == (3, r"(?P<label>\w) x")
    assert again.study.model.weights is None  # what the run started from, whatever "auto" would come to elsewhere
    run_copy.write_json("run.json", values | {"initial_weights": "imagenet"})
    assert "--weights=imagenet" in Options.again(run_copy)
    assert html.escape(Options.again(run_copy), quote=False) in render(run_copy).replace("&#39;", "'")


def test_what_is_absent_is_a_dash():
    assert [percent(None), percent(float("nan")), percent(0.5)] == ["–", "–", "50.0 %"]
    assert [decimals(None), decimals(float("nan")), decimals(1.234)] == ["–", "–", "1.23"]


def test_an_interval_that_is_not_known_is_a_dash_and_no_line(run_copy):
    scores = [dataclasses.replace(score, interval=(None, None)) for score in SCORES]
    text = summary_sentence(scores, SURE)
    assert f"all of them by signers that training never saw; {SURE}. Trained the same way" in text
    everyone = dataclasses.replace(scores[0], name="head-everyone")
    assert "each signer left out once: 50.0 %. Trained" in summary_sentence([*scores, everyone], SURE)
    everyone = dataclasses.replace(everyone, interval=(0.4, 0.6))
    told = summary_sentence([*scores, everyone], SURE)
    assert "each signer left out once: 50.0 % (95 % interval 40.0 % to 60.0 %). Trained" in told
    published = [dataclasses.replace(scores[0], protocol="published")]
    assert summary_sentence(published, SURE).endswith(f"the test part as it was published; {SURE}.")
    table = pd.DataFrame({"signer": ["u1", "u2"], "accuracy": [0.4, 0.8], "support": [10, 10]})
    known = signer_sentence(table.assign(low=[0.2, 0.6], high=[0.6, 0.9]))
    worst, best = "u1 is read worst: 40.0 % of 10 photographs", ", 40 points behind u2, who is read best."
    assert known == worst + " (95 % interval 20.0 % to 60.0 %)" + best
    unknown = signer_sentence(table.assign(low=np.nan, high=np.nan))
    assert unknown == worst + best
    assert interval((float("nan"), None)) == interval((0.5, float("nan"))) == "–"


def test_a_page_without_intervals_has_no_nan(run_copy, monkeypatch):
    from casestudy.runs import RunFolder

    evaluation, scores = run_copy.evaluation(), run_copy.scores()
    for name in ("per_label", "per_signer"):
        getattr(evaluation, name)[["low", "high"]] = np.nan
    bare = [dataclasses.replace(score, interval=(None, None)) for score in scores]
    monkeypatch.setattr(RunFolder, "evaluation", lambda self, *names: evaluation)
    monkeypatch.setattr(RunFolder, "scores", lambda self: bare)
    found = render(run_copy)
    words = html.unescape(" ".join(Page(found).words)).partition('"pictures"')[0]
    assert "nan" not in re.findall(r"\w+", words.lower())
    assert "nan" not in " ".join(re.findall(r'style="([^"]*)"', found))
    assert 'class="range text"' in found and "<span style=" not in found


def test_the_page_begins_with_what_it_is(run_copy):
    """The reason for the starting weights may be a failed download: it stands at the end, and not first."""
    reason = "resnet50v2.h5 is not in Keras' folder and storage.googleapis.com does not answer"
    sentence = f"signs (this project's own, from rendered hands): {reason}"
    values = {"weights": sentence, "initial_weights": "signs"}
    run_copy.write_json("run.json", run_copy.read_json("run.json") | values)
    found = Page(render(run_copy).partition("<body>")[2])
    words = [word.strip() for word in found.words if word.strip()]
    assert words[0] == run_copy.record.wishes.study.title
    text = " ".join(words)
    assert "Training started from these weights: signs (this project's own, from rendered hands)." in text
    assert text.count(reason) == 1
    assert text.index("Environment", text.index("Make this run again")) < text.index(reason)


def test_a_plot_is_told_in_a_sentence_with_its_numbers(page, finished_run):
    told = dict(re.findall(r'<img class="plot" src="[^"]{50}[^"]*" alt="(\w+)([^"]+)"', page))
    history = finished_run.read_table("history.csv")
    ends = {m: rows["value"].iloc[-1] for m, rows in history.groupby("metric")}
    epochs = len(history[history["metric"] == "loss"])
    accuracy = f"{100 * ends['accuracy']:.1f} % in training and {100 * ends['val_accuracy']:.1f} % in validation."
    assert told["Accuracy"] == f" over {epochs} epochs; at the end {accuracy}"
    assert told["Loss"].endswith(f"{ends['loss']:.2f} in training and {ends['val_loss']:.2f} in validation.")
    row = finished_run.read_table("reliability.csv").iloc[0]
    assert f"{100 * row['accuracy']:.1f} % right where it claims {100 * row['confidence']:.1f} %" in told["How"]


def test_models_compared_are_told_in_a_sentence():
    found = drawn_evaluation("AB", "AB", [0.9, 0.8])
    history = pd.DataFrame([("head", 1, "loss", 0.5)], columns=["phase", "epoch", "metric", "value"])
    one = {"name": "small", "accuracy": 0.5, "rank": 2, "parameters": 1200}
    grouped = pd.DataFrame([{"model": "small", "trained": "plain", "tested": "distorted", "accuracy": 0.25}])
    tables = dict.fromkeys(("models", "pareto", "ladder"), pd.DataFrame([one])) | {"distorted": grouped}
    told = sections.plot_sentences(found, history, tables)
    assert told["models"] == "Accuracy of each model: small 50.0 %."
    assert told["pareto"] == "Accuracy by the number of parameters: small 50.0 % with 1,200."
    assert told["ladder"] == "Accuracy after each step: small 50.0 %."
    assert told["distorted"] == "Accuracy by training and by test: small plain, on distorted images 25.0 %."
    assert told["learning_loss"] == "Loss over 1 epoch; at the end 0.50 in training."


def test_a_difference_is_told_in_words():
    assert [gap(points) for points in (12.4, 1.2, -1.0, 0.4, 0.0)] == [
        *("12.4 points", "1.2 points", "1 point", "0.4 points", "0 points"),
    ]


def test_a_run_without_signers_is_reported_too(run_copy):
    table = run_copy.read_table("predictions.csv")
    table["signer"] = ""
    run_copy.write_table("predictions.csv", table)
    shutil.rmtree(run_copy.path / "plots")
    found = rewrite(run_copy)
    assert "Each signer" not in found
    assert 'href="#signers"' not in found


def test_the_worst_signer_is_named(page, finished_run):
    table = finished_run.read_table("per_signer.csv")
    assert html.escape(signer_sentence(table)) in page
    table["accuracy"] = np.linspace(0.7, 0.4, len(table))
    worst, best = table.iloc[-1], table.iloc[0]
    text = signer_sentence(table)
    assert text.startswith(f"{worst['signer']} is read worst: 40.0 % of {worst['support']} photographs")
    assert text.endswith(f", 30 points behind {best['signer']}, who is read best.")
    assert "behind" not in signer_sentence(table.head(1))
    equal = signer_sentence(table.assign(accuracy=0.5))
    assert equal == f"All {len(table)} signers are read equally well: 50.0 % of the photographs of each."
    assert signer_sentence(table.head(0)) == ""


def test_the_gap_stands_at_the_top(page, finished_run):
    scores = {score["name"]: score["accuracy"] for score in finished_run.read_json("metrics.json")["scores"]}
    top = html.unescape(" ".join(Page(page.partition("<main>")[0]).words))
    assert percent(scores["head"]) in top
    assert percent(scores["head-random"]) in top
    assert "Trained the same way, a random split would claim 90.0 % where unseen signers give 50.0 %" in (
        summary_sentence(SCORES, SURE)
    )


def test_every_entry_stands_under_its_status(page, finished_run):
    for status, rows in finished_run.read_table("ledger.csv").groupby("status"):
        part = page.partition(f'<details class="{status}">')[2].partition("</details>")[0]
        assert f"<b>{len(rows)}</b> {status}" in part
        assert all(entry in part for entry in rows["entry"])
    assert "same bytes as user_1/B0.png" in page


def test_the_samples_are_those_of_the_table(page, finished_run):
    grid = page.partition('id="grid"')[2].partition("</div>")[0]
    table = finished_run.read_table("samples.csv")
    told = [f"Photograph of {r.label} by {r.signer}, read as {r.predicted}" for r in table.itertuples()]
    assert re.findall(r'alt="([^"]+)"', grid) == told
    assert len(table) == min(15, len(finished_run.read_table("predictions.csv")))
    right = (table["label"] == table["predicted"]).tolist()
    assert [sign == "✓" for sign in re.findall("[✓✗]", grid)] == right
    assert [name == "right" for name in re.findall(r'class="(right|wrong)"', grid)] == right


def test_batch_norm_that_moved_is_told(run_copy):
    assert "✓ BatchNormalization stayed frozen" in render(run_copy)
    run_copy.write_json("training.json", run_copy.read_json("training.json") | {"batch_norm_change": 0.25})
    assert "✗ BatchNormalization did not stay frozen" in render(run_copy)


def test_a_run_from_before_these_tables_is_reported_too(finished_run, run_copy):
    for name in ("samples.csv", "reliability.csv", "scores.csv", "timing.csv", "plots/samples.png"):
        (run_copy.path / name).unlink()
    assert without_command(run_copy) == without_command(finished_run)


def test_the_page_stays_small_however_many_photographs(run_copy):
    names, count = [f"{k:02d}" for k in range(47)], 9_000
    chance = np.random.default_rng(0)
    shares = chance.dirichlet(np.full(47, 0.1), count).astype("float32")
    table = pd.DataFrame(shares, columns=[f"p_{name}" for name in names])
    table.insert(0, "label", [names[k % 47] for k in range(count)])
    table.insert(0, "signer", "")
    table.insert(0, "name", [f"{label}/{'long ' * 20}{k}.jpg" for k, label in enumerate(table["label"])])
    run_copy.write_table("predictions.csv", table)
    run_copy.write_json("run.json", run_copy.read_json("run.json") | {"class_names": names})
    run_copy.write_json("metrics.json", {"scores": run_copy.read_json("metrics.json")["scores"][:1]})
    found = render(run_copy)
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', found, re.S)[1])
    shown = sum(map(len, facts["cells"].values()))
    filled = len(facts["cells"])
    assert filled > 2000
    assert shown <= max(sections.MOST_BEHIND, filled)
    assert f"{count - shown:,} of " in found
    assert len(found.encode()) < 8_000_000 - pictures.MOST_BYTES * 1.2  # what all pictures may need besides


def drawn_evaluation(truth, read, sure):
    """Returns what predictions amount to whose rows read `read`, as surely as told, where `truth` is right."""
    names = sorted(set(truth) | set(read))
    rows = []
    for k, (label, guess, share) in enumerate(zip(truth, read, sure, strict=True)):
        rest = (1 - share) / (len(names) - 1)
        shares = {f"p_{name}": share if name == guess else rest for name in names}
        rows.append({"name": f"{k}.png", "signer": "", "label": label, **shares})
    return evaluate_predictions(pd.DataFrame(rows), tuple(names))


def test_the_costliest_photographs_are_behind_a_cell_and_mistakes_are_wanted_first(monkeypatch):
    found = drawn_evaluation("AAAAAB", "AAABBB", [0.6, 0.9, 0.7, 0.8, 0.95, 0.9])
    cells = sections.behind(found)
    names = {cell: [photo["name"] for photo in photos] for cell, photos in cells.items()}
    assert names == {(0, 0): ["0.png", "2.png", "1.png"], (0, 1): ["4.png", "3.png"], (1, 1): ["5.png"]}
    assert list(sections.by_turns(cells))[:2] == ["4.png", "3.png"]
    assert sorted(list(sections.by_turns(cells))[2:4]) == ["0.png", "5.png"]  # a round of each cell
    monkeypatch.setattr(sections, "MOST_BEHIND", 5)
    assert {cell: len(photos) for cell, photos in sections.behind(found).items()} == {(0, 0): 2, (0, 1): 2, (1, 1): 1}
    monkeypatch.setattr(sections, "MOST_BEHIND", 4)
    assert {len(photos) for photos in sections.behind(found).values()} == {1}


def test_the_true_label_is_among_the_guesses_however_unlikely():
    assert sections._guesses(np.array([0.4, 0.3, 0.2, 0.06, 0.04]), 4) == [(0, 0.4), (1, 0.3), (2, 0.2), (4, 0.04)]
    assert sections._guesses(np.array([0.4, 0.3, 0.2, 0.06, 0.04]), 1) == [(0, 0.4), (1, 0.3), (2, 0.2)]


def test_a_cell_is_shaded_by_the_largest_of_all():
    rows = sections.matrix(drawn_evaluation("A" * 16 + "B" * 4, "A" * 16 + "B" * 4, [0.9] * 20))
    assert [row["support"] for row in rows] == [16, 4]
    assert [row["cells"] for row in rows] == [[(16, 10), (0, 0)], [(0, 0), (4, 5)]]  # √(4/16) is a half


def test_pace_divides_all_images_by_all_seconds():
    """Two folds: 100 images in 10 seconds and 900 in 30 are 25 a second, not 20 and not 40."""
    folds = [TrainingRecord({"head": s}, {"head": n / s}, None, 1) for s, n in ((10.0, 100), (30.0, 900))]
    assert sections.pace(folds) == [{"phase": "head", "seconds": 40.0, "images_per_second": 25.0}]


def test_near_duplicates_are_counted_by_status(finished_run):
    flow = {step["status"]: step for step in sections.ledger_flow(finished_run.ledger())}
    assert {status: (step["count"], step["near"]) for status, step in flow.items()} == {
        "kept": (44, 1), "duplicate": (1, 0), "corrupt": (1, 0), "unrecognised": (1, 0), "sidecar": (1, 0),
    }  # fmt: skip


def test_the_gap_is_told_with_its_sign_and_of_whole_trainings_first():
    head, head_random = (
        dataclasses.replace(score, name=name) for score, name in zip(SCORES, ("head", "head-random"), strict=True)
    )
    assert "Trained the same way" in summary_sentence([*SCORES, head, head_random], SURE)
    assert summary_sentence(SCORES, SURE).endswith("give 50.0 %: 40 points flattered.")
    turned = [dataclasses.replace(SCORES[0], accuracy=0.9), dataclasses.replace(SCORES[1], accuracy=0.85)]
    assert summary_sentence(turned, SURE).endswith(
        "would claim 85.0 % where unseen signers give 90.0 %: 5 points the other way."
    )
    close = dataclasses.replace(SCORES[1], accuracy=SCORES[0].accuracy + 0.045)
    assert ": 4.5 points flattered." in summary_sentence([SCORES[0], close], SURE)  # which :.0f would call 4
    close = dataclasses.replace(SCORES[1], accuracy=SCORES[0].accuracy + 0.01)
    assert ": 1 point flattered." in summary_sentence([SCORES[0], close], SURE)
    alone = summary_sentence([SCORES[0], head, head_random], SURE)
    assert "With phase 1 alone, a random split would claim 90.0 %" in alone


def test_guessing_costs_its_nats_and_missing_pictures_are_counted(page, finished_run, monkeypatch):
    words = " ".join(" ".join(Page(page).words).split())
    assert "Guessing among 3 labels is right 33.3 % of the time, at a loss of 1.10" in words  # ln 3
    assert "are named without their picture" not in words
    monkeypatch.setattr(pictures, "SIZES", ((4, 96),))
    fewer = " ".join(" ".join(Page(render(finished_run)).words).split())
    count = len(finished_run.read_table("predictions.csv"))
    assert f"{count - 4} photographs behind the cells are named without their picture" in fewer
