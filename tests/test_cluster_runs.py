"""A run on a cluster ends with the bytes of one without, a worker killed in the middle or not."""

import os
import signal
import threading
import time
from dataclasses import replace

import pytest

from casestudy.runs import Wishes, run_study
from casestudy.study import Phase, SplitSpec, Variant

TIMES = ("training.json", "timing.csv", "run.json", "comparison.csv")  # seconds are in them, and digests of those


def results(run):
    """Returns the bytes of every table, and of every network those of its weights, by their names."""
    from casestudy.models import load_model

    found = {}
    for path in sorted(run.path.rglob("*.csv")):
        if path.name not in TIMES:
            found[path.relative_to(run.path).as_posix()] = path.read_bytes()
    for path in sorted(run.path.rglob("model.keras")):
        weights = load_model(path).get_weights()  # its file holds the date, too, and names by which layers are counted
        found[path.relative_to(run.path).as_posix()] = b"".join(weight.tobytes() for weight in weights)
    return found


PHASE = Phase("head", "head", epochs=2, learning_rate=1e-2)


def kill_a_worker(folder, killed):
    """Waits until a worker has begun a fold, and kills it without a word."""
    import psutil

    for _ in range(3000):
        begun = [path for path in folder.glob("**/checkpoints/*.arrays") if path.is_file()]
        workers = [one for one in psutil.Process().children(recursive=True) if one.cpu_times().user > 1]
        if begun and workers:
            os.kill(workers[-1].pid, signal.SIGKILL)
            killed.append(workers[-1].pid)
            return
        time.sleep(0.01)


def test_folds_have_the_same_bytes_with_workers_though_one_is_killed(small_study, letters_zip, tmp_path):
    pytest.importorskip("distributed")
    wishes = Wishes(replace(small_study, phases=(PHASE,), split=SplitSpec("leave-one-signer-out")), 3)
    alone = run_study(wishes, letters_zip, tmp_path / "alone")
    killed = []
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path / "run", killed))
    killer.start()
    run = run_study(wishes, letters_zip, tmp_path / "run", cluster="local:2")
    killer.join()
    assert killed and run.finished
    there, here = results(alone), results(run)
    assert len(run.trainings()) == 5 and there.keys() == here.keys() and len(there) > 25
    assert [name for name in there if there[name] != here[name]] == []
    assert not any(path.name.startswith((".owner", ".seen", "checkpoints")) for path in run.path.rglob("*"))


def test_models_of_a_run_are_trained_side_by_side(small_study, letters_zip, tmp_path):
    pytest.importorskip("distributed")
    other = Variant("other", small_study.model, (replace(PHASE, epochs=1),))
    wishes = Wishes(replace(small_study, phases=(PHASE,), variants=(other,)), 3, compare_splits=True)
    alone = results(run_study(wishes, letters_zip, tmp_path / "alone"))
    here = results(run_study(wishes, letters_zip, tmp_path / "run", cluster="local:2"))
    assert {"random/model.keras", "variants/other/model.keras", "predictions_head.csv"} < here.keys()
    assert alone == here
