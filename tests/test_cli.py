"""The command line: one line for an error, no TensorFlow before training, and whole runs through `main`."""

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from casestudy.cli import commands as cli, main
from casestudy.cli.commands import build_parser
from casestudy.errors import DataError, RunError
from casestudy.runs import Options, RunFolder
from casestudy.studies import STUDIES

COMMANDS = ("run", "clean", "report", "compare", "runs", "verify", "studies", "doctor")


@pytest.mark.parametrize("command", [(), *[(name,) for name in COMMANDS]])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as done:
        main([*command, "--help"])
    assert done.value.code == 0
    said = capsys.readouterr().out
    assert "usage: casestudy" in said
    if not command:
        assert all(name in said for name in COMMANDS)


def test_version(capsys):
    import casestudy

    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert casestudy.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "call",
    [
        ["verify", "NOWHERE"],
        ["report", "NOWHERE"],
        ["run", "--data", "NOWHERE", "--out", "OUT"],
        ["clean", "NOWHERE", "--out", "OUT.zip"],
        ["run", "--epochs", "1,2,3"],
        ["run", "--epochs", "1,x"],
        ["run", "--epochs", "0,1"],
        ["run", "--fraction", "0"],
        ["run", "--fraction", "1.5"],
        ["run", "--fraction", "nan"],
        ["run", "--learning-rate=-1,1"],
        ["run", "--learning-rate", "1e-3,nan"],
        ["run", "--image-size", "4"],
        ["run", "--image-size", "large"],
        ["run", "--fine-tune", "top:0"],
        ["run", "--fine-tune", "bottom"],
        ["run", "--weights", "nowhere.h5"],
        ["run", "--weights", "nowhere.npz"],
        ["run", "--weights", "signs", "--model", "small_cnn"],
        ["run", "nonesuch"],
        ["run", "--split", "fair"],
    ],
    ids=" ".join,
)
def test_an_error_is_one_line_and_exit_2(call, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(call) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    assert said.err.startswith("casestudy: ")
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_bad_call_is_exit_2_too(capsys):
    for call in (["dance"], ["verify"]):
        with pytest.raises(SystemExit) as done:
            main(call)
        assert done.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_debug_shows_where_it_happened(tmp_path):
    with pytest.raises(RunError):
        main(["verify", str(tmp_path), "--debug"])


def test_a_file_that_cannot_be_written_is_one_line(capsys, monkeypatch):
    def full(args):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(cli, "_studies", full)
    assert main(["studies"]) == 2
    said = capsys.readouterr().err
    assert "the disk is full" in said
    assert len(said.strip().splitlines()) == 1


def test_ctrl_c_is_no_traceback(capsys, monkeypatch):
    def stop(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_studies", stop)
    assert main(["studies"]) == 130
    assert "call the same command again" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["-m casestudy studies", "-m casestudy audit", "DATA/clean_data.py --dry-run"])
def test_whoever_has_read_enough_gets_no_complaint(words, tmp_path):
    called = [sys.executable, *words.split()]
    if "--dry-run" in words:
        Image.new("RGB", (20, 20)).save(tmp_path / "A1.jpg")
        called += [str(tmp_path), "--quiet", "--json"]
    with subprocess.Popen(
        called, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()  # before it has said a word, as `| true` does
        assert (process.stderr.read(), process.wait()) == ("", 141)


def changed(*arguments):
    return Options.parse(vars(build_parser().parse_args(["run", *arguments]))).wishes().study


def test_options_change_the_study_and_nothing_else(tmp_path):
    asl = STUDIES["asl"]
    assert changed() == asl
    assert [p.epochs for p in changed("--epochs", "3,2").phases] == [3, 2]
    assert [p.learning_rate for p in changed("--learning-rate", "1e-2,1e-5").phases] == [1e-2, 1e-5]
    assert changed("--image-size", "64x96").model.image_size == (64, 96)
    assert changed("--image-size", "64").model.image_size == (64, 64)
    assert changed("--weights", "none").model.weights is None
    mine = tmp_path / "my.weights.h5"
    mine.touch()
    assert changed("--weights", str(mine)).model.weights == str(mine)
    assert changed("--weights", "auto", "--model", "small_cnn").model.weights == "auto"
    assert changed("--split", "random").split.protocol == "random"
    assert changed("--split", "random").split.test == asl.split.test
    assert [p.trainable for p in changed("--fine-tune", "top:35").phases] == ["head", "top:35"]
    assert changed("--mirror").model.augmentation == {**asl.model.augmentation, "mirror": True}
    assert changed("--crop", "none").crop == "none"
    assert changed("--fraction", "0.1").split == dataclasses.replace(asl.split, fraction=0.1)
    quick = changed("--quick")
    assert max(p.epochs for p in quick.phases) == 2
    assert [p.epochs for p in changed("--quick", "--epochs", "5,4").phases] == [5, 4]
    with pytest.raises(DataError, match="2 phases"):
        changed("--epochs", "3")


def test_other_models_train_no_longer_than_asked_for():
    before, after = STUDIES["dense-baseline"], changed("dense-baseline", "--epochs", "20,2")
    epochs = {v.name: [phase.epochs for phase in v.phases] for v in after.variants}
    assert {v.name: [phase.epochs for phase in v.phases] for v in before.variants}["dense"] == [30]
    assert epochs["dense"] == [20]
    assert epochs["mobilenet-v2"] == [15, 2]


def test_studies_are_listed(capsys):
    assert main(["studies"]) == 0
    said = capsys.readouterr().out
    for name, study in STUDIES.items():
        assert name in said
        assert study.title in said


LIGHT = """
import contextlib, io, sys
heavy = {"tensorflow", "keras"}
import casestudy
assert not {"numpy", "pandas"} & set(sys.modules), "import casestudy alone"
from casestudy.cli import main
run, folder = sys.argv[1:]
for call in (["--help"], ["run", "--help"], ["studies"], ["doctor"], ["clean", folder, "--out", folder + ".zip"],
             ["report", run], ["runs", run], ["compare", run, run + "/../other", "--out", folder + ".html"],
             ["verify", run]):
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(call)
        except SystemExit as done:
            code = done.code
    assert code == 0, (call, code)
    assert not heavy & set(sys.modules), call
    if call[-1] == "--help":
        assert not {"numpy", "pandas"} & set(sys.modules), call
print("light")
"""


@pytest.fixture
def photos(tmp_path, encode, draw):
    """Per-user folders as a camera leaves them, in a place with a space and an umlaut; one file is damaged."""
    folder = tmp_path / "my photos ü" / "photos"
    for signer in range(1, 5):
        (folder / f"user_{signer}").mkdir(parents=True)
        for label in "ABC":
            for take in range(3):
                data = encode(draw(label, signer, take, size=48), "JPEG", quality=90)
                (folder / f"user_{signer}" / f"{label}{take}.jpg").write_bytes(data)
    (folder / "user_1" / "A9.jpg").write_bytes(b"")
    return folder


def test_only_training_loads_tensorflow(run_copy, photos):
    shutil.copytree(run_copy.path, run_copy.path.parent / "other")
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(run_copy.path), str(photos)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "light", done.stderr[-2000:]


def test_verify_says_what_fails(run_copy, capsys):
    call = ["verify", str(run_copy.path), "--data", str(run_copy.letters)]
    assert main(call) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.startswith("ok ") for line in lines)
    assert last == f"{len(lines)} hold, 0 do not, 0 not checked. Seal: {run_copy.record.seal}"
    assert main(call[:2]) == 0  # without the data
    without = capsys.readouterr().out.splitlines()
    assert [line for line in without if "--data letters.zip" in line and line.startswith("not checked")]
    (run_copy.path / "model.keras").write_bytes(b"another")
    assert main(call) == 1
    failing = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert len(failing) == 3  # the file, what it reads, and what it sees
    assert all("model.keras" in line for line in failing)


def test_report_says_where_it_is(run_copy, capsys):
    (run_copy.path / "report.html").unlink()
    assert main(["report", str(run_copy.path)]) == 0
    assert capsys.readouterr().out.strip() == str(run_copy.path / "report.html")
    assert (run_copy.path / "report.html").is_file()


def test_from_photographs_to_report(photos, capsys):
    """The study as it is, on a small network and with both protocols trained in full."""
    out = photos.parent / "run ß"
    call = ["run", "asl", "--data", str(photos), "--out", str(out), "--model", "small_cnn", "--weights", "none"]
    call += ["--epochs", "1,1", "--image-size", "32", "--compare-splits", "--seed", "5"]
    assert main(call) == 0
    said = capsys.readouterr().out
    run = RunFolder.open(out)
    scores = run.read_json("metrics.json")["scores"]
    assert [(s["name"], s["protocol"]) for s in scores] == [
        ("headline", "signer"),
        ("head", "signer"),
        ("head-random", "random"),
        ("random", "random"),
    ]
    for score in scores:
        assert f"{100 * score['accuracy']:.1f} %" in said
    for label in "ABC":
        assert re.search(rf"^  {label} ", said, re.M)
    assert str(out / "report.html") in said
    assert f"casestudy demo '{out}'" in said  # a shell takes it as one word
    assert "random initialisation" in said
    ledger = run.read_table("ledger.csv")
    assert ledger["status"].isin(["kept", "corrupt"]).all()
    assert len(ledger) == 37
    assert (out / "letters.zip").is_file()
    assert (out / "random" / "model.keras").is_file()
    assert main(["verify", str(out)]) == 0
    assert main(call) == 0  # at once, from the files
    assert capsys.readouterr().out.rstrip().endswith(said.strip())
    assert main([*call, "--mirror"]) == 2
    assert "differs in study.model.augmentation.mirror" in capsys.readouterr().err


def test_every_signer_left_out_once(letters_zip, small_study, tmp_path, capsys, monkeypatch):
    import dataclasses

    import pandas as pd

    short = dataclasses.replace(small_study, phases=small_study.phases[:1])
    monkeypatch.setitem(STUDIES, "small", dataclasses.replace(short, name="small"))
    out = tmp_path / "run"
    call = ["run", "small", "--data", str(letters_zip), "--out", str(out), "--split", "leave-one-signer-out"]
    assert main([*call, "--epochs", "1", "--quiet"]) == 0
    run = RunFolder.open(out)
    tested = run.read_table("predictions.csv")
    assert len(tested) == 45
    assert tested["name"].is_unique
    folds = sorted(path.name for path in (out / "folds").iterdir())
    assert folds == [f"0{k}-user_{k}" for k in range(1, 6)]
    apart = pd.concat([run.read_table(f"folds/{fold}/predictions.csv") for fold in folds], ignore_index=True)
    pd.testing.assert_frame_equal(apart, tested)
    for fold in folds:
        assert set(run.read_table(f"folds/{fold}/predictions.csv")["signer"]) == {fold[3:]}
    score = run.read_json("metrics.json")["scores"][0]
    assert score["protocol"] == "leave-one-signer-out"
    assert score["interval_method"] == "t over 5 people"
    assert set(run.read_table("per_signer.csv")["signer"]) == {fold[3:] for fold in folds}
    assert main(["verify", str(out)]) == 0
    capsys.readouterr()


def test_at_random(letters_zip, small_study, tmp_path, capsys, monkeypatch):
    import dataclasses

    short = dataclasses.replace(small_study, phases=small_study.phases[:1])
    monkeypatch.setitem(STUDIES, "small", dataclasses.replace(short, name="small"))
    out = tmp_path / "run"
    call = ["run", "small", "--data", str(letters_zip), "--out", str(out), "--split", "random", "--epochs", "1"]
    assert main(call) == 0
    said = capsys.readouterr().out
    assert "that training never saw" not in said
    assert "The split is random" in said
    run = RunFolder.open(out)
    assert [score["name"] for score in run.read_json("metrics.json")["scores"]] == ["headline"]
    parts = run.read_table("splits.csv")
    copies = parts[parts["name"].isin([f"B/user_{k}__B0.png" for k in (1, 2, 3)])]
    assert len(set(copies["part"])) == 1
    assert main(["verify", str(out)]) == 0


def test_what_a_call_says_reaches_what_is_called(run_copy, tmp_path, monkeypatch):
    """A seed of 0 is a seed; a password and other data are passed on."""
    import casestudy
    from casestudy import runs

    called = []

    def record(result):
        return lambda *args, **options: called.append((args, options)) or result

    monkeypatch.setattr("casestudy.cli.commands.check_cluster", lambda cluster: None)  # which needs Dask
    monkeypatch.setattr(casestudy, "run_study", record(run_copy))
    monkeypatch.setattr(casestudy, "write_report", record(None))
    (tmp_path / "photos.rar").write_bytes(b"")
    call = ["run", "--data", str(tmp_path / "photos.rar"), "--password", "secret", "--seed", "0", "--out", "out"]
    assert main([*call, "--weights", "none", "--cluster", "local:2"]) == 0
    (wishes, data, out), options = called[0]
    assert (wishes.seed, data, out) == (0, tmp_path / "photos.rar", Path("out"))
    assert options == {"password": "secret", "cluster": "local:2", "devices": None}
    called.clear()
    from casestudy.runs.verify import Checks

    monkeypatch.setattr(casestudy, "verify_run", record(Checks(run_copy)))
    again = ["--retrain", str(tmp_path / "again"), "--data", str(run_copy.letters), "--pattern", "(?P<label>.)"]
    assert main(["verify", str(run_copy.path), *again, "--weights", "own.npz"]) == 0
    asked = {"retrain": tmp_path / "again", "source": run_copy.letters, "weights": [Path("own.npz")]}
    assert called[0][1] == asked | {"pattern": "(?P<label>.)"}
    called.clear()
    monkeypatch.setattr(runs, "tune", record("search.json"))
    seed = STUDIES["emnist"].seed
    calls = (([], seed, None), (["--seed=0", "--cluster=local:2"], 0, "local:2"), (["--jobs", "2"], seed, "jobs:2"))
    for words, seed, cluster in calls:
        assert main(["tune", "emnist", "--data", str(tmp_path / "photos.rar"), *words]) == 0
        assert called[-1][1] == {"seed": seed, "trials": 20, "cluster": cluster}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("ENOSPC", "the disk is full"),
        ("EROFS", "can only be read"),
        ("EACCES", "no right"),
        ("EIO", "could not be read"),
    ],
)
def test_what_keeps_a_file_from_being_written_has_its_own_line(number, said, run_copy, monkeypatch, capsys):
    import errno

    import casestudy

    def fails(*args, **options):
        raise OSError(getattr(errno, number), "as the system says it", "runs/first/report.html")

    monkeypatch.setattr(casestudy, "write_report", fails)
    assert main(["report", str(run_copy.path)]) == 2
    told = capsys.readouterr().err
    assert said in told and "runs/first/report.html" in told and told.count("\n") == 1
