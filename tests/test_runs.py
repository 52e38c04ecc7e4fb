"""The run folder keeps what it is given, and says what it lacks."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from casestudy.errors import RunError
from casestudy.files import file_digest
from casestudy.runs.folder import RunFolder


def test_tables_come_back_as_they_went_in(tmp_path):
    run = RunFolder(tmp_path)
    table = pd.DataFrame(
        {
            "name": ["A/u__NA.jpg", 'A/"quoted", with comma.jpg', "A/ü\nnewline.jpg"],
            "signer": ["007", "NA", ""],
            "label": ["7", "None", "NaN"],
            "loss": [0.1 + 0.2, np.nan, 1e-300],
            "support": [1, 2, 3],
        }
    )
    run.write_table("deep/er/table.csv", table)
    again = run.read_table("deep/er/table.csv")
    for column in ("name", "signer", "label"):
        assert again[column].tolist() == table[column].tolist()
    assert again["loss"].tolist()[::2] == [0.1 + 0.2, 1e-300]
    assert np.isnan(again["loss"][1])
    assert again["support"].tolist() == [1, 2, 3]


def test_an_empty_table_keeps_its_columns(tmp_path):
    run = RunFolder(tmp_path)
    run.write_table("per_signer.csv", pd.DataFrame(columns=["signer", "accuracy"]))
    assert list(run.read_table("per_signer.csv").columns) == ["signer", "accuracy"]
    assert len(run.read_table("per_signer.csv")) == 0


def test_an_empty_cell_of_the_ledger_is_empty_text(finished_run):
    rows = finished_run.read_table("ledger.csv").to_dict("records")
    by_status = {row["status"]: row for row in rows}
    assert by_status["corrupt"]["duplicate_of"] == ""
    assert by_status["corrupt"]["note"] == ""
    assert by_status["duplicate"]["duplicate_of"] == "user_1/B0.png"


def test_json_is_versioned_strict_and_plain(tmp_path):
    run = RunFolder(tmp_path)
    run.write_json("metrics.json", {"a": np.float32(0.5), "b": np.int64(3), "ü": "ß"})
    text = (tmp_path / "metrics.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"schema_version": 1, "a": 0.5, "b": 3, "ü": "ß"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("metrics.json", {"a": float("nan")})
    with pytest.raises(TypeError):
        run.write_json("metrics.json", {"a": object()})
    assert (tmp_path / "metrics.json").read_text(encoding="utf-8") == text  # the old file stays whole
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_opening_needs_a_run(tmp_path):
    with pytest.raises(RunError, match=r"run\.json.*Run notebook 02_import_data first.*casestudy run"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text('{"schema_version": 99}')
    with pytest.raises(RunError, match="99"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text('{"schema_version": 1, "broken')
    with pytest.raises(RunError, match="must be JSON"):
        RunFolder.open(tmp_path)


def test_what_is_missing_or_broken_is_named(run_copy):
    with pytest.raises(RunError, match=r"nothing\.csv"):
        run_copy.read_table("nothing.csv")
    (run_copy.path / "splits.csv").write_bytes(b"")
    with pytest.raises(RunError, match=r"splits\.csv must be a CSV table"):
        run_copy.read_table("splits.csv")


def test_the_seal_holds_every_result(finished_run):
    files = finished_run.record.files
    assert finished_run.finished
    for name in ("letters.zip", "model.keras"):
        assert (name in files) == (finished_run.path / name).is_file()
    on_disk = {p.relative_to(finished_run.path).as_posix() for p in finished_run.path.rglob("*") if p.is_file()}
    assert set(files) == on_disk - {"run.json", "report.html"}
    for name, digest in files.items():
        assert hashlib.sha256((finished_run.path / name).read_bytes()).hexdigest() == digest
    assert file_digest(finished_run.path / "model.keras") == files["model.keras"]


def test_opening_may_need_what_a_step_left(run_copy):
    assert RunFolder.open(run_copy.path, needs="model.keras") == run_copy
    (run_copy.path / "model.keras").unlink()
    with pytest.raises(RunError, match=r"reads model\.keras.*Run notebook 04_train first"):
        RunFolder.open(run_copy.path, needs="model.keras")
    (run_copy.path / "folds" / "01-user_1").mkdir(parents=True)
    (run_copy.path / "folds" / "01-user_1" / "model.keras").write_bytes(b"one of several")
    assert RunFolder.open(run_copy.path, needs="model.keras") == run_copy


def test_a_notebook_shows_the_line_alone(tmp_path):
    """IPython asks an exception for its traceback; ours answers with one line."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.user_ns["there"] = str(tmp_path)
    shown = []
    shell._showtraceback = lambda kind, value, lines: shown.extend(lines)
    shell.run_cell("from casestudy import RunFolder; RunFolder.open(there)")
    assert len(shown) == 1
    assert shown[0].startswith("RunError: A run folder holds a run.json")
