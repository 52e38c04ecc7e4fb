"""A run folder has one process that works in it: a second one is told so, and a dead one is not waited for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from casestudy.errors import RunError
from casestudy.runs import RunFolder, Wishes
from casestudy.runs.owner import BEAT, SILENT, owned, refuse_others

ROOT = Path(__file__).parents[1]
HOLD = "import sys, time; from casestudy.runs.owner import owned\nwith owned(Path(sys.argv[1])): print(1, flush=True); "


@pytest.fixture
def other(tmp_path):
    """Another process that works in the folder."""
    code = f"from pathlib import Path; {HOLD}time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"1\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_gets_one_line_and_a_dead_ones_claim_is_gone(other, tmp_path, letters_zip, small_study):
    (claim,) = tmp_path.iterdir()
    with pytest.raises(RunError) as told, owned(tmp_path):
        pass
    said = str(told.value)
    assert f"it is process {other.pid} of " in said and said.endswith(f"If it is dead, remove {claim}.")
    assert list(tmp_path.iterdir()) == [claim]
    with pytest.raises(RunError, match="One process at a time"):  # nor does it begin anew what the other has begun
        RunFolder.begin(tmp_path, Wishes(small_study, 3), letters_zip)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert claim.exists()  # a killed process removes nothing
    run = RunFolder.begin(tmp_path, Wishes(small_study, 3), letters_zip)
    with owned(run.path), owned(run.path):
        (own,) = tmp_path.glob(".owner.*")
        assert str(os.getpid()) in own.name and own != claim
        refuse_others(run.path)
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", ".local.json"}


def test_of_another_machine_only_its_signs_of_life_are_seen(tmp_path):
    foreign = tmp_path / ".owner.zzzzzz-1.tmp"
    foreign.write_text("process 1 of elsewhere")
    now = time.time()
    for silent, dead in ((SILENT - 5, False), (SILENT + 5, True)):
        os.utime(foreign, (now - silent, now - silent))
        if dead:
            refuse_others(tmp_path)
        else:
            with pytest.raises(RunError, match="it is process 1 of elsewhere"):
                refuse_others(tmp_path)
    assert not foreign.exists()
    assert 3 * BEAT < SILENT  # one that is late is not dead


def test_an_owner_gives_signs_of_life(tmp_path, monkeypatch):
    from casestudy.runs import owner

    monkeypatch.setattr(owner, "BEAT", 0.01)
    with owned(tmp_path):
        (own,) = tmp_path.iterdir()
        os.utime(own, (1, 1))
        for _ in range(500):
            if own.stat().st_mtime > 1:
                break
            time.sleep(0.01)
        assert own.stat().st_mtime > 1
        own.unlink()  # as somebody does who takes it for dead
        time.sleep(0.05)
        assert not own.exists()
