"""One training on several devices is that of one: the same history and weights, but for how sums are rounded."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casestudy.errors import ClusterError

ROOT = Path(__file__).resolve().parents[1]
CLOSE = 1e-6  # of a value of the history, and of the length of all weights as one vector
STUDY = """
from casestudy.study import ModelSpec, Phase, SplitSpec, Study
ranges = {"rotation": 0.05, "shift": 0.1}
STUDY = Study(
    name="mine", title="mine", source="a test", split=SplitSpec("signer"),
    model=ModelSpec("small_cnn", image_size=(32, 32), weights=None, augmentation=ranges, dropout=0.3),
    phases=(
        Phase("head", "head", epochs=1, learning_rate=1e-3, batch_size=7),
        Phase("all", "all", epochs=8, learning_rate=1e-5, optimizer="sgd", batch_size=4),
    ),
)
"""


def begin(*arguments, **environment):
    """Begins a process of Python here that computes with one thread."""
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ended(process, code=0):
    """Returns what a process said, once it has ended with that code."""
    out, err = process.communicate(timeout=1200)
    assert process.returncode == code, err[-2000:]
    return out + err


def two_workers():
    """Returns the TF_CONFIG of the chief and of another worker, on ports of this machine that were free just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    names = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return [
        json.dumps({"cluster": {"worker": names}, "task": {"type": "worker", "index": index}}) for index in range(2)
    ]


def train(name, number, file, precision="float32", **environment):
    return begin(ROOT / "tests" / "shared_training.py", name, number, file, precision, **environment)


def apart(one, other):
    """Returns the largest relative difference of the values, or that of all weights, if it is larger."""
    names = [name for name in one.files if name.startswith("weight")]
    before, after = (np.concatenate([run[name].ravel().astype(float) for name in names]) for run in (one, other))
    far = np.abs(one["history"] - other["history"]) / np.abs(one["history"])
    return max(far.max(), np.linalg.norm(before - after) / np.linalg.norm(before))


@pytest.mark.parametrize(
    "name, number, precision, close",
    [
        ("small_cnn", 2, "float32", CLOSE),
        ("plates_cnn", 3, "float32", CLOSE),
        ("dense", 2, "float32", CLOSE),
        ("small_cnn", 2, "mixed_float16", 1e-3),  # a GPU's; eleven bits tell 5e-4 apart
    ],
)
def test_logical_devices_train_as_one(name, number, precision, close, tmp_path):
    """Augmentation, dropout, penalties, a last batch that is uneven or has fewer rows than there are devices."""
    ended(train(name, 1, tmp_path / "one.npz", precision))
    ended(train(name, number, tmp_path / "several.npz", precision))
    one, several = np.load(tmp_path / "one.npz"), np.load(tmp_path / "several.npz")
    assert (one["devices"], several["devices"]) == (1, number)
    assert 0 < apart(one, several) < close  # 0.0 would say that nothing was shared


def test_batch_normalization_that_is_trained_stays_on_one_device(tmp_path):
    ended(train("normalised", 1, tmp_path / "one.npz"))
    ended(train("normalised", 2, tmp_path / "two.npz"))
    assert apart(np.load(tmp_path / "one.npz"), np.load(tmp_path / "two.npz")) == 0.0


def test_two_workers_train_as_one(tmp_path):
    ended(train("small_cnn", 1, tmp_path / "one.npz"))
    workers = [train("small_cnn", 0, tmp_path / f"{k}.npz", TF_CONFIG=one) for k, one in enumerate(two_workers())]
    for worker in workers:
        ended(worker)
    one, chief, other = (np.load(tmp_path / f"{name}.npz") for name in ("one", 0, 1))
    assert chief["devices"] == other["devices"] == 2
    assert apart(chief, other) == 0.0
    assert 0 < apart(one, chief) < CLOSE


def test_a_run_goes_on_after_a_worker_was_lost(letters_zip, tmp_path):
    (tmp_path / "mine.py").write_text(STUDY, encoding="utf-8")
    command = ("-m", "casestudy", "run", tmp_path / "mine.py", f"--data={letters_zip}", "--debug")
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    ended(begin(*command, f"--out={alone}"))

    def both():
        return [begin(*command, f"--out={shared}", "--devices=all", TF_CONFIG=one) for one in two_workers()]

    chief, other = both()
    while not list(shared.glob("checkpoints/phase-2-best.arrays")):
        assert chief.poll() is None, chief.communicate()
        time.sleep(0.05)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    said = ended(chief, code=1)  # with --debug an error is shown whole
    assert "ClusterError: A training by 2 workers needs all of them; one is lost" in said

    chief, other = both()
    said, there = ended(chief), ended(other)
    assert "all 8/8" in said and "all 1/8" not in said and "head 1/1" not in said
    assert f"this worker has done its part of {shared}" in there
    for name in ("history.csv", "predictions.csv", "predictions_head.csv"):
        one, two = (pd.read_csv(run / name) for run in (alone, shared))
        numbers = one.select_dtypes("number").columns
        assert one.drop(columns=numbers).equals(two.drop(columns=numbers))
        np.testing.assert_allclose(two[numbers], one[numbers], rtol=1e-5)
    assert json.loads((shared / "run.json").read_text())["machine"]["device"] == "2 x CPU of 2 workers"
    files = [{path.relative_to(run) for path in run.rglob("*") if path.is_file()} for run in (alone, shared)]
    assert files[0] == files[1]

    said = ended(begin("-m", "casestudy", "verify", shared))  # the record is whole
    assert " 0 do not" in said


@pytest.mark.parametrize(
    "config, found",
    [
        ("", (1, 0)),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}', (2, 1)),
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": "0"}}', (2, 1)),
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}', (2, 0)),
    ],
)
def test_who_is_who_in_a_tf_config(config, found):
    from casestudy.training.devices import _workers

    assert _workers(config) == found


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_tf_config_that_names_nobody_is_refused_in_a_line(config, monkeypatch):
    from casestudy.training import Devices

    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ClusterError, match=r"^TF_CONFIG is JSON as") as error:
        Devices.all()
    assert "\n" not in str(error.value)


def test_what_is_not_shared_is_trained_as_ever(monkeypatch):
    from casestudy.training import Devices, Machine

    monkeypatch.delenv("TF_CONFIG", raising=False)
    before = Machine.here().device
    with Devices() as devices:
        assert (devices.strategy, devices.workers, devices.number) == (None, 1, 1)
        assert Devices.current() is devices and Machine.here().device == before
    assert Devices.current() is not devices


def test_this_machine_is_proved(tmp_path):
    from casestudy.proof import prove_machine

    found = list(prove_machine())
    assert [one.remedy for one in found] == [""] * len(found), found
    assert [one.name for one in found].count("agreement") >= 2
