"""A machine is proved by what its trainings say of one another; where they do not agree, it says what to send."""

import json
import subprocess
from pathlib import Path

import pytest

from casestudy import proof
from casestudy.cli import main
from casestudy.training import Machine

WELL = {"pace": 100.0, "memory": 5e8, "accuracy": 1.0, "digest": "a", "read": 0.0, "trained": 1e-7}


@pytest.fixture
def prove(monkeypatch):
    """Proves a machine whose trainings come out as given, one after the other; None for one that ends early."""

    def proved(*came, gpus=0, precision="float32"):
        from casestudy.models import tf

        left, calls = list(came), []

        def train(call, *, env, **options):
            calls.append((call[3], call[4], env.get("CUDA_VISIBLE_DEVICES")))
            if (one := left.pop(0)) is not None:
                Path(call[5]).write_text(json.dumps(one), encoding="utf-8")
            return subprocess.CompletedProcess(call, -6, "", "first\nthe driver\x1b said no\n")

        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
        monkeypatch.setattr(Machine, "here", lambda: Machine("a card" if gpus else "CPU", (64, 64), precision))
        monkeypatch.setattr(proof.subprocess, "run", train)
        return [(one.name, one.state, one.found) for one in proof.prove_machine()], calls

    return proved


def test_a_machine_without_gpu_trains_twice_on_its_processor_and_on_two_halves(prove):
    found, calls = prove(WELL, WELL, WELL)
    assert calls == [("CPU", "float32", "-1")] * 2 + [(proof.HALVES, "float32", "-1")]
    assert [name for name, *_ in found] == [
        *("on CPU", "on CPU", f"on {proof.HALVES}", "determinism", "agreement", "agreement"),
    ]
    assert {state for _, state, _ in found} == {"ok"}


def test_gpus_are_held_against_the_processor_and_together(prove):
    found, calls = prove(WELL, WELL, WELL, WELL, gpus=2, precision="mixed_float16")
    assert calls == [
        *[("GPU", "mixed_float16", None)] * 2,
        *[("CPU", "float32", "-1"), ("all 2 GPUs", "mixed_float16", None)],
    ]
    assert sum(name == "agreement" for name, *_ in found) == 3
    assert len(prove(WELL, WELL, WELL, gpus=1)[1]) == 3


@pytest.mark.parametrize(
    "number, other, precision, state",
    [
        (1, {"digest": "b"}, "float32", "needed"),
        (2, {"digest": "b"}, "float32", "ok"),  # another device rounds otherwise
        (2, {"read": 0.9e-3}, "float32", "ok"),
        (2, {"read": 1.1e-3}, "float32", "needed"),
        (2, {"read": 0.04}, "mixed_float16", "ok"),
        (2, {"read": 0.06}, "mixed_float16", "needed"),
        (2, {"accuracy": 0.91}, "float32", "ok"),
        (2, {"accuracy": 0.89}, "float32", "needed"),
        (2, {"trained": 0.5}, "float32", "ok"),
    ],
)
def test_what_does_not_agree_is_found(number, other, precision, state, prove):
    came = [WELL, WELL, WELL]
    came[number] = WELL | other
    found, _ = prove(*came, gpus=1, precision=precision)
    assert max(one for _, one, _ in found) == max(state, "ok") and len(found) == 6
    assert ("needed" in {one for _, one, _ in found}) == (state == "needed")


def test_a_training_that_ends_early_is_said_with_its_last_lines(prove, capsys, monkeypatch):
    found, calls = prove(WELL, None, WELL)
    assert len(calls) == 2
    assert found[-1] == ("on CPU", "needed", "ended by -6: first | the driver\x1b said no | ")
    monkeypatch.setattr(proof.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, -6, "", "no\x1b\n"))
    monkeypatch.setattr("casestudy.doctor.check_machine", list)
    assert main(["doctor", "--train"]) == 1
    said = capsys.readouterr().out
    assert "needed" in said and proof.REMEDY in said and "\x1b" not in said


def test_drawn_images_teach_what_they_are():
    images = proof.drawn_images()
    again = proof.drawn_images()
    assert (images.images == again.images).all() and images.images.dtype == "uint8"
    assert images.images.shape == (len(images), proof.SIDE, proof.SIDE, 3)
    assert len({(label, signer) for label, signer in zip(images.labels, images.signers, strict=True)}) == 12
