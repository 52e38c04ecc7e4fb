"""Runs held side by side: numbers against pandas and scikit-learn, hostile names, and calls that cannot be."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, recall_score

from casestudy.cli import main
from casestudy.compare import compare_runs, write_comparison
from casestudy.errors import DataError, RunError
from casestudy.runs import RunFolder, Wishes
from casestudy.study import Variant

EVIL = "<img src=x onerror=alert(1)>"
FOUR = ("user_2", "user_3", "user_4", "user_5")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, fabricate_run, letters_zip):
    """Three runs on four people whose seeds, and so their drawn predictions, differ."""
    folder = tmp_path_factory.mktemp("runs")
    return [fabricate_run(folder / f"run-{seed}", letters_zip, seed=seed, test=FOUR) for seed in (1, 2, 3)]


def opened(*runs: RunFolder) -> list[RunFolder]:
    return [RunFolder.open(run.path) for run in runs]


def read(run: RunFolder) -> pd.DataFrame:
    """Returns a run's predictions by name, what was read taken from the probabilities by pandas alone."""
    table = pd.read_csv(run.path / "predictions.csv", dtype={"signer": str}).set_index("name").sort_index()
    shares = table[[f"p_{label}" for label in "ABC"]]
    return table.assign(
        read=shares.idxmax(axis=1).str[2:], own=[shares.at[k, f"p_{table.at[k, 'label']}"] for k in table.index]
    )


def test_differences_by_person_are_those_of_scipy_and_pandas(runs):
    found = compare_runs(opened(*runs))
    tables = [read(run) for run in runs]
    assert found.shared == len(tables[0]) == 36
    right = [table["read"] == table["label"] for table in tables]
    for one, table in zip(found.found, tables, strict=True):
        assert one.accuracy == pytest.approx(accuracy_score(table["label"], table["read"]))
        assert one.loss == pytest.approx(-np.log(table["own"]).mean(), rel=1e-5)
    rows = found.tests.set_index(["first", "second"])
    assert list(rows.index) == [("run-2", "run-1"), ("run-3", "run-1"), ("run-3", "run-2")]
    for a, b in itertools.combinations(range(3), 2):
        row = rows.loc[f"run-{b + 1}", f"run-{a + 1}"]
        ahead = right[b].astype(int) - right[a].astype(int)
        assert row["difference"] == pytest.approx(100 * ahead.mean())
        means = ahead.groupby(tables[0]["signer"]).mean()
        low, high = stats.t.interval(0.95, len(means) - 1, means.mean(), stats.sem(means))
        assert row["low"] <= 100 * low + 1e-9 and row["high"] >= 100 * high - 1e-9  # never narrower than by person
    for other, b in zip(found.against, (1, 2), strict=True):
        assert set(other.lost["name"]) == set(tables[0].index[right[0] & ~right[b]])
        assert set(other.won["name"]) == set(tables[0].index[~right[0] & right[b]])
        for shown, table in (
            (other.lost, tables[b]),
            (other.won, tables[0]),
        ):  # the costliest mistake of the one who errs
            cost = [table.at[name, "own"] for name in shown["name"]]
            assert cost == sorted(cost) and len(cost) > 1
            assert [table.at[name, "read"] for name in shown["name"]] == shown["predicted"].tolist()
        assert f"{100 * right[b].mean():.1f} % of them, run-1 {100 * right[0].mean():.1f} %" in other.sentence
        ends = [f"{rows.loc[other.name, 'run-1'][end]:+.1f} points".replace("-", "−") for end in ("low", "high")]
        assert f"95 % interval {ends[0]} to {ends[1]}, from the 4 people tested: " in other.sentence


def test_labels_and_people_are_those_of_scikit_learn(runs):
    found = compare_runs(opened(*runs))
    tables = [read(run) for run in runs]
    recall = {
        label: tuple(recall_score(t["label"], t["read"], labels=[label], average=None)[0] for t in tables)
        for label in "ABC"
    }
    changed = {label: shares for label, shares in recall.items() if len(set(shares)) > 1}
    assert {one.name: pytest.approx(one.accuracies) for one in found.labels} == changed
    spreads = [max(changed[one.name]) - min(changed[one.name]) for one in found.labels]
    assert spreads == sorted(spreads, reverse=True)
    for one in found.people:
        own = [table[table["signer"] == one.name] for table in tables]
        assert one.accuracies == pytest.approx([accuracy_score(t["label"], t["read"]) for t in own])
        assert one.support == len(own[0]) == 9
    assert [one.name for one in found.people] == list(FOUR)


def test_settings_that_differ_are_named_and_equal_ones_are_not(runs, tmp_path):
    found = compare_runs(opened(*runs))
    assert found.settings == {"seed": [1, 2, 3]}
    copy = RunFolder(Path(shutil.copytree(runs[0].path, tmp_path / "copy")))
    record = copy.record
    phase = dataclasses.replace(record.wishes.study.phases[1], learning_rate=5e-4)
    study = dataclasses.replace(record.wishes.study, title="Other words", phases=(record.wishes.study.phases[0], phase))
    resolved = dataclasses.replace(record.resolved, environment={"python": "4"})
    wishes = dataclasses.replace(record.wishes, study=study, quick=True)
    copy.write_record(dataclasses.replace(record, wishes=wishes, resolved=resolved))
    found = compare_runs(opened(runs[0], copy))
    assert found.settings == {
        "quick": [False, True],
        "study.phases[1].learning_rate": [1e-3, 5e-4],
        "environment.python": ["3", "4"],
    }
    page = write_comparison(found, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "This is a quick look" in page and "1 difference in versions and machines" in page
    assert "Other words" not in page
    assert "Settings that differ: quick, study.phases[1].learning_rate." in found.lines()


def test_a_list_that_json_gave_back_is_the_tuple_that_was_asked_for(small_study):
    def wishes(units: object) -> Wishes:
        model = dataclasses.replace(small_study.model, name="plain_cnn", options={"units": units})
        return Wishes(dataclasses.replace(small_study, model=model), 3)

    assert wishes((128, 64)).differences(wishes([128, 64])) == []
    assert wishes((128, 64)).differences(wishes([128, 32])) == ["study.model.options.units"]


def test_the_same_run_twice_over_is_no_difference(runs, fabricate_run, letters_zip, tmp_path):
    again = fabricate_run(tmp_path / "again", letters_zip, seed=1, test=FOUR)
    found = compare_runs(opened(runs[0], again))
    (other,) = found.against
    assert other.sentence == "again reads each of them as run-1 does, with the very same probabilities."
    assert len(other.lost) == len(other.won) == len(found.labels) == len(found.settings) == 0
    page = write_comparison(found, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Nothing: the runs were asked for the same." in page and "None: all runs read the same share" in page
    table = again.read_table("predictions.csv")
    table["p_A"] = table["p_A"] * 0.999
    again.write_table("predictions.csv", table)
    (other,) = compare_runs(opened(runs[0], again)).against
    assert other.sentence.endswith(", with other probabilities.")


def test_two_people_get_no_interval(fabricate_run, letters_zip, tmp_path):
    made = [fabricate_run(tmp_path / f"run-{seed}", letters_zip, seed=seed) for seed in (3, 5)]
    found = compare_runs(opened(*made))
    (other,) = found.against
    right = [(table["read"] == table["label"]).groupby(table["signer"]).mean() for table in map(read, made)]
    one, two = (f"{100 * change:+.1f} points".replace("-", "−") for change in right[1] - right[0])
    assert other.sentence.endswith(f"two people are too few for an interval: they have {one} and {two}.")
    assert one != two and "+0.0" not in (one, two)
    assert np.isnan(found.tests[["low", "high", "p"]].to_numpy(dtype=float)).all()


def test_runs_are_compared_on_what_they_share(runs, fabricate_run, letters_zip, tmp_path):
    other = fabricate_run(tmp_path / "other", letters_zip, seed=9, test=("user_1", "user_4", "user_5"))
    found = compare_runs(opened(runs[0], other))
    assert found.shared == 18 and [one.name for one in found.people] == ["user_4", "user_5"]
    shared = "Compared on the 18 test photographs that all have, of 36 and 27."
    assert f"{shared} Another seed draws another test part; `casestudy run --seeds 2`" in found.lines()[4]
    page = write_comparison(found, tmp_path / "two.html").read_text(encoding="utf-8")
    assert "on more people like these" in page
    only = compare_runs(opened(fabricate_run(tmp_path / "only", letters_zip, test=("user_4",)), runs[0]))
    page = write_comparison(only, tmp_path / "one.html").read_text(encoding="utf-8")
    assert "which speaks of more images of the same person" in page and "on more photographs like these" in page
    alone = fabricate_run(tmp_path / "alone", letters_zip, seed=9, test=("user_1",))
    found = compare_runs(opened(runs[0], alone))
    assert (found.shared, found.against, found.people) == (0, (), [])
    (said,) = [line for line in found.lines() if "share no test photograph, of 36 and 9:" in line]
    assert said in write_comparison(found, tmp_path / "page.html").read_text(encoding="utf-8").replace("&#39;", "'")


def test_a_photograph_of_the_same_name_with_other_bytes_is_another(runs, fabricate_run, letters_zip, tmp_path):
    other = fabricate_run(tmp_path / "other", letters_zip, seed=9, test=FOUR)
    ledger = other.read_table("ledger.csv")
    place = ledger["stored_as"].eq("A/user_2__A1.png")
    ledger.loc[place, "sha256"] = "0" * 64
    other.write_table("ledger.csv", ledger)
    assert compare_runs(opened(runs[0], other)).shared == 35
    for run in (other, RunFolder(Path(shutil.copytree(runs[0].path, tmp_path / "bare")))):
        (run.path / "ledger.csv").unlink()
    bare = RunFolder(tmp_path / "bare")
    assert compare_runs(opened(bare, other)).shared == 36  # of the same data
    bare.write_record(dataclasses.replace(bare.record, data=dataclasses.replace(bare.record.data, sha256="0" * 64)))
    assert compare_runs(opened(bare, other)).shared == 0


@pytest.fixture(scope="module")
def evil(tmp_path_factory, fabricate_run, write_letters, draw, encode):
    """Two runs, with their photographs in them, whose names would do harm if they were taken for HTML or obeyed."""
    photos = []
    for signer, label, take in itertools.product(
        ("user_1", "user_3", "<i>user_5</i>", "\x1b[2Juser_6"), "ABC", range(6)
    ):
        name = f"{label}{take}{EVIL if take == 0 else ''}.png"
        stored = f"{label}/{signer.strip('<>/i')}__{name}"
        facts = {"entry": f"{signer}/{name}", "signer": signer, "label": label, "stored_as": stored}
        photos.append({**facts, "data": encode(draw(label, ord(signer[-1]), take))})
    folder = tmp_path_factory.mktemp("evil")
    letters = write_letters(folder / "letters.zip", photos)
    made = []
    for seed, name in ((1, "<b>one</b>"), (2, "two\x1b[2J \u202eow")):
        test = ("user_3", "<i>user_5</i>", "\x1b[2Juser_6")
        made.append(fabricate_run(folder / str(seed) / name.replace("/", "~"), letters, seed=seed, test=test))
        shutil.copy(letters, made[-1].path / "letters.zip")
    return made


def test_names_are_text_and_the_page_asks_for_nothing(evil, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["compare", *(str(run.path) for run in evil), "--out", str(page)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\u202e" not in said and r"two\x1b[2J \u202eow" in said
    text = page.read_text(encoding="utf-8")
    assert EVIL not in text and EVIL.replace("<", "&lt;").replace(">", "&gt;") in text
    assert "<i>user_5" not in text and "<b>one" not in text and "<script" not in text
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'" in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:image/jpeg)""", text)
    flipped = sum(len(rows) for other in compare_runs(opened(*evil)).against for rows in (other.lost, other.won))
    assert text.count("<figure>") == text.count("<img src") == flipped > 4


def test_pictures_are_the_flipped_ones_and_no_more_than_so_many(evil, tmp_path, monkeypatch):
    from casestudy import compare

    monkeypatch.setattr(compare, "MOST_FLIPS", 1)
    found = compare_runs(opened(*evil))
    text = write_comparison(found, tmp_path / "page.html").read_text(encoding="utf-8")
    (other,) = found.against
    assert text.count("<figure>") == 2
    assert f"The 1 that cost most; {len(other.lost) - 1} more" in text
    assert f"{other.lost.iloc[0]['predicted']} by two" in text


def test_a_strangers_run_is_not_obeyed(runs, tmp_path, capsys, monkeypatch):
    """Links are refused; a zip that is none shows no pictures; predictions that contradict themselves are named."""
    monkeypatch.chdir(tmp_path)
    first = str(runs[0].path)
    (tmp_path / "secret.csv").write_text("secret")
    for file, content in (("letters.zip", b"PK\x05\x06" + bytes(18)), ("letters.zip", b"no zip")):
        copy = Path(shutil.copytree(runs[1].path, tmp_path / f"copy{len(content)}"))
        (copy / file).write_bytes(content)
        assert main(["compare", first, str(copy), "--out", f"{len(content)}.html"]) == 0
        assert "no picture at hand" in Path(f"{len(content)}.html").read_text(encoding="utf-8")
    (copy / "letters.zip").unlink()
    (copy / "letters.zip").symlink_to(tmp_path / "secret.csv")
    capsys.readouterr()
    assert main(["compare", first, str(copy)]) == 2
    assert "A run folder holds no links" in capsys.readouterr().err
    (copy / "letters.zip").unlink()
    table = RunFolder(copy).read_table("predictions.csv")
    RunFolder(copy).write_table("predictions.csv", pd.concat([table, table.head(1)]))
    with pytest.raises(DataError, match="one row a photograph"):
        compare_runs([RunFolder.open(first), RunFolder.open(copy)])
    RunFolder(copy).write_table("predictions.csv", table.drop(columns="p_B"))
    with pytest.raises(RunError, match=r"predictions\.csv must fit the labels"):
        compare_runs([RunFolder.open(first), RunFolder.open(copy)])


def test_data_name_the_photographs_of_the_first_run(runs, letters_zip, tmp_path, capsys):
    call = ["compare", str(runs[0].path), str(runs[1].path), "--out", str(tmp_path / "page.html")]
    assert main([*call, "--data", str(letters_zip)]) == 0
    assert "<img src" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (tmp_path / "page.html").unlink()
    assert main(call) == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<img src" not in text and "name those of the first run with --data" in text


def test_what_cannot_be_compared_is_one_line(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, two = (str(run.path) for run in runs[:2])
    Path("there.html").write_text("mine")
    shutil.copytree(runs[0].path, "runs/bare")
    Path("runs/bare/predictions.csv").unlink()
    for call, words in (
        ([one], "Two to 8 runs are compared, or as many models of one; received 1 model."),
        ([one] * 9, "Two to 8 runs are compared, or as many models of one; received 9 runs."),
        ([one, one], "Each run is compared once"),
        ([one, "runs/beer"], f"Name it: casestudy compare {one} runs/bare"),
        ([one, "runs/bare"], "This step reads predictions.csv; runs/bare lacks it."),
        ([one, two, "--out", "there.html"], "A page is never overwritten; there.html is there already."),
        ([one, two, "--data", "there.html"], "there.html is other data"),
    ):
        assert main(["compare", *call]) == 2, call
        said = capsys.readouterr()
        assert words in said.err and said.err.count("\n") == 1 and not said.out, said.err
    assert Path("there.html").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "there.html"]


def test_runs_of_one_name_are_told_apart(runs, tmp_path):
    places = [tmp_path / "a" / "first", tmp_path / "b" / "first"]
    for run, place in zip(runs, places, strict=False):
        shutil.copytree(run.path, place)
    assert compare_runs([RunFolder.open(place) for place in places]).names == ("a/first", "b/first")


def test_a_single_run_is_compared_by_its_models(runs, tmp_path, capsys):
    folder = tmp_path / "ladder"
    shutil.copytree(runs[0].path, folder)
    run = RunFolder(folder)
    study, record = run.record.wishes.study, run.record
    model = dataclasses.replace(study.model, dropout=0.5, image_size=None, weights="imagenet")
    first = Variant("first", model, study.phases[:1])
    variants = (first, Variant("left-out", study.model, study.phases), Variant("next", study.model, study.phases))
    wishes = dataclasses.replace(record.wishes, study=dataclasses.replace(study, variants=variants))
    run.write_record(dataclasses.replace(record, wishes=wishes))
    for name, other in (("first", runs[1]), ("next", runs[2])):
        shutil.copy(other.path / "predictions.csv", folder / f"predictions_{name}.csv")
    found = compare_runs([RunFolder.open(folder)])
    assert found.names == ("first", "next", "ours") and found.shared == 36
    tables = [read(run) for run in (*runs[1:], runs[0])]
    for one, table in zip(found.found, tables, strict=True):
        assert one.accuracy == pytest.approx(accuracy_score(table["label"], table["read"]))
    before, after = (tables[k]["read"] == tables[k]["label"] for k in (0, 2))
    assert set(found.against[1].won["name"]) == set(before.index[~before & after])
    assert found.settings["model.dropout"] == [0.5, 0.2, 0.2]
    assert found.settings["model.weights"] == ["imagenet", "none", "none"]  # as --weights says it
    assert found.settings["phases[1].name"] == [None, "fine-tune", "fine-tune"]
    assert "model.image_size" not in found.settings  # the study's, for all
    assert not any("left-out" in str(values) or "variants" in name for name, values in found.settings.items())
    page = tmp_path / "page.html"
    assert main(["compare", str(folder), "--out", str(page)]) == 0
    assert capsys.readouterr().out.startswith("model  accuracy")
    assert "<h1>3 models compared</h1>" in page.read_text(encoding="utf-8")


def test_runs_are_listed_with_their_scores(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 0
    assert (
        capsys.readouterr().out
        == f"No run is in runs or {Path('notebooks/runs')}. `casestudy run` makes one in runs.\n"
    )
    for name in ("runs/good", "runs/quick", "runs/broken", "runs/half", "notebooks/runs/first"):
        shutil.copytree(runs[0].path, name)
    quick = RunFolder(Path("runs/quick"))
    images = dataclasses.replace(quick.record.images, drawn="sample")
    quick.write_record(
        dataclasses.replace(quick.record, wishes=dataclasses.replace(quick.record.wishes, quick=True), images=images)
    )
    Path("runs/broken/run.json").write_text("{")
    Path("runs/half/metrics.json").unlink()
    Path("runs/none").mkdir()
    assert main(["runs"]) == 0
    lines = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [
        "runs/broken",
        "runs/good",
        "runs/half",
        "runs/quick",
        "notebooks/runs/first",
    ]
    assert lines[0][1].startswith("cannot be read: ")
    table = read(runs[0])
    score = f"{100 * accuracy_score(table['label'], table['read']):.1f} %"
    low, high = (f"{100 * end:.1f} %" for end in runs[0].scores()[0].interval)
    assert lines[1][1:] == ["small", "small_cnn", "2026-01-01", "whole", f"{score} ({low} to {high}), unseen signers"]
    assert lines[2][4:] == ["whole", "not finished"]
    assert lines[3][4] == "quick, drawn"
    assert main(["runs", "notebooks/runs"]) == 0
    assert capsys.readouterr().out.startswith("notebooks/runs/first  small  ")
    assert main(["runs", "runs/good/run.json"]) == 2
    assert "Runs are looked for in a folder" in capsys.readouterr().err
