"""The benchmark: its arithmetic, its table, every cheap part once, and the committed results."""

import json
import shutil
from types import SimpleNamespace

import pytest

from casestudy import ModelSpec
from casestudy.cleaning.decoders import find_decoders
from SCRIPTS.benchmark import bench as benches, cleaning_ways, parts, run as benchmark, training_ways
from SCRIPTS.benchmark.bench import Bench, Part
from SCRIPTS.benchmark.shared import LeftOut
from SCRIPTS.hands.rar5 import stored_rar5
from SCRIPTS.release.environment import ROOT


@pytest.fixture
def bench(tmp_path):
    options = SimpleNamespace(quick=True, repeats=1, budget=60, archive=None, cleanvision_python=None)
    return Bench(options, tmp_path)


def test_ratios_divide_neighbouring_runs_and_medians_are_of_all_runs():
    part = Part()
    for slow, fast in ((8.0, 2.0), (9.0, 3.0), (40.0, 4.0)):
        part.add("work", "slow", "s", slow)
        part.add("work", "fast", "s", fast)
    part.compare("work", "slow", "fast")
    assert part.rows() == [
        {"what": "work", "way": "slow", "unit": "s", "values": [8, 9, 40], "median": 9},
        {"what": "work", "way": "fast", "unit": "s", "values": [2, 3, 4], "median": 3},
        {"what": "work", "way": "slow / fast", "unit": "× (s)", "values": [4, 3, 10], "median": 4},
    ]


def test_a_part_that_is_measured_again_leaves_the_others_in_the_file(tmp_path, monkeypatch, capsys):
    def one(bench, part):
        """One."""
        part.add("work", "ours", "s", 1.5)

    def stopped(bench, part):
        """Another."""
        part.add("work", "ours", "s", 2.5)
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "PARTS", {"one": one, "other": stopped})
    out = tmp_path / "results.json"
    assert benchmark.main(["one", "--out", str(out)]) == 0
    assert benchmark.main(["other", "--out", str(out), "--quick"]) == 130
    results = json.loads(out.read_text(encoding="utf-8"))
    assert list(results["parts"]) == ["one", "other"]
    assert [part["rows"][0]["values"] for part in results["parts"].values()] == [[1.5], [2.5]]
    assert results["parts"]["other"]["notes"] == ["Stopped before its end."]
    assert [part["quick"] for part in results["parts"].values()] == [False, True]
    assert "1.5" in capsys.readouterr().out
    assert out.with_suffix(".md").read_text(encoding="utf-8") == benchmark.page(results)


def test_switches_of_this_shell_do_not_reach_a_way(bench, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    seen = {}

    def run(command, env, **_):
        seen.update(env)
        return SimpleNamespace(returncode=0, stdout='noise\n{"seconds": 1}\n')

    monkeypatch.setattr(benches.subprocess, "run", run)
    assert bench.run("any")["seconds"] == 1
    assert "TF_ENABLE_ONEDNN_OPTS" not in seen
    bench.run("any", env={"TF_ENABLE_ONEDNN_OPTS": "0"})
    assert seen["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_a_way_over_the_budget_or_failing_is_said_and_not_measured(bench):
    bench.options.budget = 0.001
    assert "over the budget" in bench.run("screen_pillow", folder=".", method="load")["left_out"]
    bench.options.budget = 60
    with pytest.raises(benches.Failed, match="screen_pillow stopped with TypeError"):
        bench.run("screen_pillow", unknown=1)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    written = cleaning_ways.draw_photographs(str(folder), 40)["bytes"]
    assert 14_000 < written / 40 < 26_000
    return folder


def test_both_ways_of_cleaning_keep_the_same_photographs(photographs, tmp_path):
    archive = tmp_path / "photographs.rar"
    files = sorted(path for path in photographs.rglob("*") if path.is_file())
    archive.write_bytes(stored_rar5([(path.relative_to(photographs).as_posix(), path.read_bytes()) for path in files]))
    ours = cleaning_ways.clean_ours(str(archive), str(tmp_path))
    theirs = cleaning_ways.clean_rarfile(str(archive), str(tmp_path))
    assert ours["count"] == theirs["count"] == 40
    assert ours["kept"] == theirs["kept"]
    assert len(list((tmp_path / "letters").rglob("*.jpg"))) == 40
    shutil.rmtree(tmp_path / "letters")
    program = next(one.program for one in find_decoders() if one.kind == "7zip")
    assert cleaning_ways.clean_unpacked(str(archive), str(tmp_path), [program, "x", "-y"])["kept"] == ours["kept"]


def test_the_cleaning_part_takes_each_way_of_each_archive(bench, monkeypatch):
    monkeypatch.setattr(parts.shutil, "which", lambda name: None)
    part = Part()
    parts.cleaning(bench, part)
    rows = {(row["what"], row["way"], row["unit"]): row["median"] for row in part.rows()}
    ratio = rows["58 of 200×200 in a ZIP", "ours / 7-Zip x, then Pillow", "× (s)"]
    seconds = [rows["58 of 200×200 in a ZIP", way, "s"] for way in ("ours", "7-Zip x, then Pillow")]
    assert ratio == pytest.approx(seconds[0] / seconds[1], rel=1e-3)
    assert "--archive" in part.notes[0]
    assert any("the same in all ways" in note for note in part.notes)
    pictures = bench.large_pictures()
    assert [name.split()[1] for name in pictures] == ["JPEG", "PNG", "progressive"]
    answer = bench.run("clean_ours", archive=pictures["a PNG of 800×600"], work=bench.folder("cleaned"))
    assert answer["count"] == 1 and answer["process_seconds"] > answer["seconds"]


def test_screening_finds_the_damage_that_pillow_lets_pass(photographs, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(photographs, folder)
    assert cleaning_ways.damage(str(folder), every=4) == {"damaged": 10}
    ours = cleaning_ways.screen_ours(str(folder))["found"]
    load = cleaning_ways.screen_pillow(str(folder), "load")["found"]
    assert cleaning_ways.screen_pillow(str(folder), "verify")["found"] == 0
    assert load < ours <= 10


def test_the_import_part_measures_fresh_interpreters(bench):
    part = Part()
    parts.imports(bench, part)
    rows = {row["what"]: row for row in part.rows()}
    assert list(rows) == ["start", "import casestudy", "import numpy", "casestudy --help"]
    assert all(len(row["values"]) == 3 for row in rows.values())
    assert min(rows["import casestudy"]["values"]) < 1


@pytest.mark.parametrize("phase", ["phase1", "phase2"])
def test_both_ways_of_a_phase_take_the_same_steps(bench, monkeypatch, phase):
    asked = []

    def run(way, env=None, **arguments):
        asked.append((way, env or {}, arguments))
        if way == "largest_difference":
            return {"difference": 0.0, "change": 0.5}
        ours = way == "train_ours" and arguments["cache"]
        return {
            "seconds": 2.0 if ours else 6.0, "epoch_seconds": [1.0], "epoch_cpu_seconds": [2.0],
            "val_accuracy": 0.5, "loss": [2.0, 1.0],
        }  # fmt: skip

    monkeypatch.setattr(bench, "run", run)
    bench.quick = False
    part = Part()
    getattr(parts, phase)(bench, part)
    ratios = {(row["what"], row["way"]): row["median"] for row in part.rows() if row["unit"] == "× (s)"}
    assert ratios and set(ratios.values()) == {3.0}
    steps = {}
    for way, env, arguments in asked:
        if way.startswith("train"):
            held = "ONEDNN_MAX_CPU_ISA" in env  # both ways are held to the narrow instructions, or neither
            key = (arguments["trainable"], arguments["augment"], held)
            steps.setdefault(key, {"plain": set(), "ours": set()})
            steps[key]["plain" if way == "train_plain" else "ours"].add((arguments["epochs"], arguments["rate"]))
            if way == "train_ours":
                assert "TF_ENABLE_ONEDNN_OPTS" not in env  # the package sets it by itself
    assert all(len(both["plain"]) == 1 and both["plain"] == both["ours"] for both in steps.values())


def test_ours_marks_its_epochs_and_begins_where_the_plain_way_does(tmp_path, monkeypatch):
    monkeypatch.setattr(training_ways, "_spec", lambda augment: ModelSpec("small_cnn", weights=None, dropout=0.0))
    assert training_ways.prepare_training(str(tmp_path), size=32, images=32)["train"] == 32
    asked = {"trainable": "all", "epochs": 3, "rate": 1e-9, "augment": False, "cache": True, "views": 1}
    found = training_ways.train_ours(str(tmp_path), **asked, out="ours.npz")
    assert len(found["epoch_seconds"]) == len(found["epoch_cpu_seconds"]) == 2  # of the epochs after the first
    assert found["loss"][0] > 0 and found["seconds"] > 0
    change = training_ways.largest_difference(str(tmp_path), "ours.npz", "ours.npz", "initial-plain.npz")["change"]
    assert 0 < change < 1e-6  # with such a rate, all that training did


def test_what_is_left_out_is_said_with_the_remedy():
    with pytest.raises(LeftOut, match="--cleanvision-python"):
        cleaning_ways.screen_cleanvision(".", [])


def test_every_part_is_in_the_committed_results_and_the_page_is_made_of_them():
    results = json.loads((ROOT / "ARTICLES" / "benchmark.json").read_text(encoding="utf-8"))
    assert list(results["parts"]) == list(benchmark.PARTS)
    for part in results["parts"].values():
        assert not part["quick"]
        assert part["rows"]
        assert not any("DIFFERENT" in note or "Stopped" in note for note in part["notes"])
    assert (ROOT / "ARTICLES" / "benchmark.md").read_text(encoding="utf-8") == benchmark.page(results)
