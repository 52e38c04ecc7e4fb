"""One digit changed in any file of a run folder is found, with the seal renewed too; what is not is named on a page."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casestudy.cli import main
from casestudy.errors import CaseStudyError, DataError, RunError
from casestudy.runs import RunFolder, verify_run
from casestudy.runs.again import compare
from casestudy.runs.files import table_text
from casestudy.runs.results import write_results
from casestudy.training import Machine

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE, TOLERANCE_16_BIT = Machine.TOLERANCE, Machine.TOLERANCE_16_BIT
FILES, SEAL = "files are the ones written", "run.json is as it was sealed"
ROWS = "{} says of each row what its probabilities say"
SCORE = "score {!r} follows from {}"
# Which file, which digit (the first that the expression finds), and a check that finds it with the seal renewed.
TABLE = [
    ("run.json", r'"seed": (3)', "splits.csv follows from the data, the study's rules and seed 4"),
    ("run.json", r'"epochs": (2)', "history.csv and training.json have the phases' epochs, rates and pace"),
    ("run.json", r'"learning_rate": 0\.0(1)', "history.csv and training.json have the phases' epochs, rates and pace"),
    ("run.json", r'"test": 0\.(4)', "predictions_head_random.csv is of the test part, each once"),
    ("run.json", r'"sha256": "[a-f]*(\d)', "the data are those of the run"),
    ("metrics.json", r'"accuracy": 0\.\d(\d)', SCORE.format("headline", "predictions.csv")),
    ("metrics.json", r'"loss": \d+\.\d{4}(\d)', SCORE.format("headline", "predictions.csv")),
    ("metrics.json", r'"interval": \[\s*\d\.(\d)', SCORE.format("head-random", "predictions_head_random.csv")),
    ("scores.csv", r"headline,.*?\.(\d)", "scores.csv follows from metrics.json"),
    ("timing.csv", r"head,\d*\.(\d)", "timing.csv follows from training.json"),
    ("training.json", r'"head": \d+\.(\d)', "timing.csv follows from training.json"),
    ("training.json", r'"parameters": (\d)', "training.json counts the parameters"),
    ("history.csv", r"head,1,learning_rate,0\.0(1)", "history.csv and training.json have the phases' epochs"),
    ("history.csv", r"head,(2),loss", "history.csv and training.json have the phases' epochs"),
    ("splits.csv", r"user_(\d),", "splits.csv follows from the data"),
    ("ledger.csv", r"user_(\d)/A", "ledger.csv is that of the photographs"),
    ("ledger.csv", r"__A(\d)", "ledger.csv is that of the photographs"),
    ("predictions.csv", r"\n[^,]*_(\d)__", "predictions.csv is of the test part, each once"),
    ("predictions.csv", r"\n(?:[^,]*,){6}\d\.\d(\d)", "predictions.csv is what model.keras makes of the data"),
    ("predictions.csv", r"\n(?:[^,]*,){4}0\.\d(\d)", ROWS.format("predictions.csv")),
    ("predictions_head.csv", r"\n(?:[^,]*,){4}0\.\d{3}(\d)", ROWS.format("predictions_head.csv")),
    ("predictions_head.csv", r"\n(?:[^,]*,){6}0\.(\d)", ROWS.format("predictions_head.csv")),
    ("predictions_head_random.csv", r"\n[^,]*_(\d)__", "predictions_head_random.csv is of the test part, each once"),
    ("near.csv", r"\n.*__[A-C](\d)\.", "near.csv is what the model sees in the data"),
    ("near.csv", r"\n.*?__[A-C](\d)\.", "near.csv is what the model sees in the data"),
    ("heat.csv", r",(\d)", "heat.csv is what the model sees in the data"),
    ("map.csv", r"\n[^,]*,[^,]*(\d),", "map.csv is what the model sees in the data"),
    *(
        (name, r"\n.*?\.(\d)|\n[^\n]*?(\d)", f"{name} follows from predictions.csv")
        for name in (
            *("per_label.csv", "per_signer.csv", "confusion.csv", "confusion_rates.csv", "most_confused.csv"),
            *("top_losses.csv", "samples.csv", "reliability.csv"),
        )
    ),
]
# What no digit of says otherwise than itself, once the seal is renewed: ARTICLES/promises.md has the same list.
NOT_CAUGHT = [
    "report.html (",
    "the pictures in plots/",
    ".local.json (",
    "in training.json: how fast it was, and how far layers moved",
    "in history.csv: losses and accuracies of training",
    "the probabilities in predictions_head….csv, of heads that are not kept, as long as each row goes together",
    "in heat.csv: how light a cell is, by one hundredth",
    "in run.json: when, on which machine, with which versions",
]


def changed(text: str, where: str) -> str:
    """Returns the text with one digit raised by one: the first that the expression finds."""
    found = re.search(where, text)
    assert found, where
    k = found.start(found.lastindex or 0)
    return text[:k] + str((int(text[k]) + 1) % 10) + text[k + 1 :]


def failing(run, **options) -> list[str]:
    return [
        f"{what} {detail}"
        for what, holds, detail in verify_run(RunFolder.resume(run.path), **options)
        if holds is False
    ]


def tamper(run, name, where) -> None:
    path = run.path / name
    path.write_bytes(changed(path.read_bytes().decode("utf-8"), where).encode())


@pytest.mark.parametrize(("name", "where", "check"), TABLE, ids=[f"{a} {b}" for a, b, _ in TABLE])
def test_one_digit_is_found(name, where, check, run_copy):
    tamper(run_copy, name, where)
    found = failing(run_copy)
    assert any(name in line for line in found), found  # SHA-256, or the seal for run.json
    assert any(line.startswith(SEAL if name == "run.json" else FILES) for line in found)
    run_copy.seal()
    found = failing(run_copy)
    assert not any(line.startswith((SEAL, FILES)) for line in found)
    assert any(line.startswith(check) for line in found), found


def test_every_file_has_its_digest_and_every_byte_counts(run_copy):
    """What the table above lacks is held by SHA-256 alone."""
    sealed = set(run_copy.record.files)
    for name in sorted(sealed):
        path = run_copy.path / name
        before = path.read_bytes()
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        whole = RunFolder.open(run_copy.path)
        from casestudy.runs.verify import _files

        assert [detail for what, holds, detail in _files(whole) if what == FILES and not holds] == [name]
        path.write_bytes(before)
    there = {p.relative_to(run_copy.path).as_posix() for p in run_copy.path.rglob("*") if p.is_file()}
    assert there - sealed == {"run.json", "report.html", ".local.json"}


def test_a_page_says_what_cannot_be_caught():
    page = " ".join((ROOT / "ARTICLES" / "promises.md").read_text(encoding="utf-8").split())
    told = page.partition("These say nothing against themselves: ")[2].partition("`--retrain` finds")[0]
    at = [told.find(one) for one in NOT_CAUGHT]
    assert -1 not in at and at == sorted(at)
    assert len(re.findall(r"; |, the pictures|, \.local", told.replace("; neither", ""))) == len(NOT_CAUGHT) - 1
    assert f"may differ by {TOLERANCE:g}, with 16-bit arithmetic by {TOLERANCE_16_BIT:g}" in page
    assert f"accuracies may differ by {Machine.TOLERANCE_RETRAINED:g}" in page


# One of each entry of the list, changed so that nothing else contradicts it.
UNSEEN = [
    ("report.html", r"(\d) points"),
    (".local.json", r"(\d)"),
    ("history.csv", r"head,1,loss,\d\.\d(\d)"),
    ("training.json", r'"Dense": \d\.\d(\d)'),
    ("heat.csv", r",[0-9a-f]([0-8])"),
    ("run.json", r'"started": "\d+-\d+-\d+T\d+:\d+:\d(\d)'),
    ("run.json", r'"keras": "\d+\.(\d)'),
]


@pytest.mark.parametrize(("name", "where"), UNSEEN, ids=[f"{a} {b}" for a, b in UNSEEN])
def test_what_the_list_names_is_indeed_not_caught(name, where, run_copy, letters_zip):
    tamper(run_copy, name, where)
    run_copy.seal()
    run = RunFolder.open(run_copy.path, data=letters_zip)
    assert [what for what, holds, _ in verify_run(run) if not holds] == []


def test_all_right_and_rewritten_by_the_package_itself(run_copy):
    """Accuracy 1.0 with everything consistent; the model beside it says otherwise."""
    table = run_copy.read_table("predictions.csv")
    for label in "ABC":
        table[f"p_{label}"] = (table["label"] == label).astype(float)
    table["predicted"], table["confidence"], table["loss"] = table["label"], 1.0, 0.0
    run_copy.write_table("predictions.csv", table)
    write_results(run_copy)
    run_copy.seal()
    assert run_copy.scores()[0].accuracy == 1.0
    found, *others = failing(run_copy)
    assert found.startswith("predictions.csv is what model.keras makes of the data")
    assert all("is what the model sees in the data" in line for line in others)  # of mistakes that are none now


def table_of(shares) -> pd.DataFrame:
    facts = {"name": [f"A/{k}, x.png" for k in range(len(shares))], "signer": "u", "label": "A"}
    return pd.DataFrame({**facts, "p_A": shares, "p_B": 1 - shares})


def test_a_changed_row_is_no_other_device():
    """Another device rounds every row otherwise; where most are the same to the last bit, it is no other device."""
    shares = np.linspace(0.1, 0.9, 20).astype("float32")
    one = shares.copy()
    one[7] += 2e-7
    assert compare(table_text(table_of(shares)), table_of(shares), TOLERANCE) == (True, "to the last bit")
    assert compare(table_text(table_of(one)), table_of(shares), TOLERANCE) == (False, "line 9")
    for apart, holds in ((0.9 * TOLERANCE, True), (1.1 * TOLERANCE, False)):
        assert compare(table_text(table_of(shares + np.float32(apart))), table_of(shares), TOLERANCE)[0] == holds
    other = table_of(shares + np.float32(1e-6)).assign(label="B")
    assert compare(table_text(other), table_of(shares), TOLERANCE) == (
        False,
        "line 2 is of another photograph, signer or label",
    )


def test_a_stranger_is_not_obeyed(run_copy, tmp_path, letters_zip, small_study, capsys):
    """Each of these once read, wrote or deleted something outside of the run folder."""
    victim = tmp_path / "VICTIM" / "checkpoints"
    victim.mkdir(parents=True)
    (victim / "mine.txt").write_text("mine")
    values = run_copy.read_json("run.json")
    variant = {"name": "../../VICTIM", "model": values["study"]["model"], "phases": values["study"]["phases"]}
    run_copy.write_json("run.json", values | {"study": values["study"] | {"variants": [variant]}})
    call = ["verify", str(run_copy.path), "--retrain", str(tmp_path / "again"), "--data", str(letters_zip)]
    assert main(call) == 2
    assert (victim / "mine.txt").read_text() == "mine"
    metrics = run_copy.read_json("metrics.json")
    run_copy.write_json("run.json", values)
    for name in ("../outside.csv", "/etc/passwd", "plots/x.csv"):
        scores = [metrics["scores"][0] | {"predictions": name}, *metrics["scores"][1:]]
        run_copy.write_json("metrics.json", metrics | {"scores": scores})
        assert main(["verify", str(run_copy.path)]) == 2
        assert name in capsys.readouterr().err
    run_copy.write_json("metrics.json", metrics)
    run_copy.write_json("run.json", values | {"files": {"../VICTIM/checkpoints/mine.txt": "0" * 64}})
    assert main(["verify", str(run_copy.path)]) == 2
    assert "lies in its folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["letters.zip", "plots/models.png", "folds"])
def test_links_are_refused(name, run_copy, letters_zip, tmp_path, capsys):
    try:
        (run_copy.path / name).symlink_to(tmp_path if name == "folds" else letters_zip)
    except OSError:
        pytest.skip("no links here")
    for command in ("report", "verify"):
        assert main([command, str(run_copy.path)]) == 2
        assert "holds no links" in capsys.readouterr().err


def test_places_on_this_machine_are_not_taken_from_a_run_folder(run_copy, letters_zip):
    """Neither a path in an old run.json nor a .local.json makes `report` and `verify` open a file."""
    values = run_copy.read_json("run.json")
    run_copy.write_json("run.json", values | {"data": values["data"] | {"path": str(letters_zip)}})
    with RunFolder.open(run_copy.path).photographs() as photographs:
        assert photographs.names == set()
    checks = verify_run(RunFolder.open(run_copy.path))
    assert [detail for what, holds, detail in checks if what.endswith("from model and data")] == [
        "the data are not in the folder; name them: --data letters.zip"
    ]
    other = letters_zip.with_name("other.zip")
    other.write_bytes(letters_zip.read_bytes() + b"!")
    with pytest.raises(DataError, match="is other data"):
        RunFolder.open(run_copy.path, data=other)


def test_weights_and_patterns_are_used_only_when_they_are_named(run_copy, tmp_path, letters_zip):
    values = run_copy.read_json("run.json")
    mine = tmp_path / "mine.weights.h5"
    mine.write_bytes(b"weights")
    run_copy.write_json("run.json", values | {"initial_weights": str(mine)})
    with pytest.raises(CaseStudyError, match=r"name the file: --weights mine\.weights\.h5"):
        verify_run(RunFolder.open(run_copy.path, data=letters_zip), retrain=tmp_path / "again")
    study = values["study"] | {"data": values["study"]["data"] | {"pattern": "(?P<label>(a+)+)$"}}
    run_copy.write_json("run.json", values | {"study": study})
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("a.png", b"?")
    with pytest.raises(RunError, match="--pattern"):
        list(verify_run(run_copy, retrain=tmp_path / "again", source=archive))
    assert not (tmp_path / "again").exists()


def test_an_honest_submission_is_whole_and_says_what_it_leaves_out(run_copy, tmp_path):
    from casestudy.grading.containers import READ

    folder = tmp_path / "unpacked"
    for path in run_copy.path.rglob("*"):
        name = path.relative_to(run_copy.path).as_posix()
        if path.is_file() and READ.fullmatch(f"run/{name}"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name)
    checks = verify_run(RunFolder.open(folder))
    assert [what for what, holds, _ in checks if holds is False] == []
    (said,) = [detail for what, _, detail in checks if what == "files that a submission leaves out on purpose"]
    assert {"model.keras", "plots/confusion.png", "top_losses.csv"} <= set(said.split(", "))
    (folder / "history.csv").unlink()
    assert FILES in [what for what, holds, _ in verify_run(RunFolder.open(folder)) if holds is False]


def test_nothing_that_is_handed_on_names_a_place(run_copy, letters_zip, tmp_path):
    """Neither the folders of this machine nor its user."""
    for name in ("run.json", "report.html", "metrics.json", "splits.csv", "ledger.csv"):
        text = (run_copy.path / name).read_text(encoding="utf-8")
        for place in (letters_zip.parent, run_copy.path.parent, Path.home(), ROOT):
            assert str(place) not in text, name
    assert json.loads((run_copy.path / ".local.json").read_text())["data"] == str(letters_zip.resolve())
    assert run_copy.record.data.to_json().keys() == {"name", "sha256"}


def test_without_tensorflow_it_says_what_it_did_not_check(run_copy, letters_zip):
    code = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'tensorflow' else find(name, *more)\n"
        "from casestudy.cli import main; code = main(sys.argv[1:])\n"
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    call = [sys.executable, "-c", code, "verify", str(run_copy.path), "--data", str(letters_zip)]
    done = subprocess.run(
        call, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "not checked  predictions.csv made again from model and data (TensorFlow is not installed)" in done.stdout
