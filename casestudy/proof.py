"""What this machine computes, proved: a small training on each of its devices, and whether they agree.

Each training is a process of its own, so that one which TensorFlow or a driver ends is a finding, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from casestudy.data import ImageSet, split_images
from casestudy.doctor import Checked
from casestudy.evaluation import predict_probabilities
from casestudy.study import ModelSpec, Phase, SplitSpec
from casestudy.words import counted, duration

LABELS, SIGNERS, TAKES, SIDE = ("A", "B", "C"), 4, 12, 48
SPEC = ModelSpec("small_cnn", image_size=(SIDE, SIDE), weights=None, augmentation={"rotation": 0.02}, dropout=0.2)
PHASES = (Phase("head", "head", epochs=3, learning_rate=1e-2), Phase("all", "all", epochs=6, learning_rate=1e-3))
LONGEST = 1800  # seconds for a training that takes a quarter of a minute on two idle processors
HALVES = "two halves of the CPU"  # which share each batch, as two GPUs would
REMEDY = "Report it: send all these lines, and what `casestudy doctor` says."


def prove_machine() -> Iterator[Checked]:
    """Yields what comes out of each training, then whether they agree within the tolerances that `verify` states."""
    from casestudy.models import tf
    from casestudy.training import Machine

    gpus, here = len(tf.config.list_physical_devices("GPU")), Machine.here()
    several = [f"all {counted(gpus, 'GPU')}"] if gpus > 1 else []
    kinds = ["GPU", "GPU", "CPU", *several] if gpus else ["CPU", "CPU", HALVES]
    found: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="casestudy-") as folder:
        for number, kind in enumerate(kinds):
            out = Path(folder) / f"{number}.json"
            hidden = {"CUDA_VISIBLE_DEVICES": "-1"} if "CPU" in kind else {}
            precision = here.precision if "GPU" in kind else "float32"  # as a run there has it
            call = [sys.executable, "-m", "casestudy.proof", kind, precision, str(out)]
            try:
                done = subprocess.run(
                    call, env=os.environ | hidden, capture_output=True, text=True, errors="replace", timeout=LONGEST
                )
                said = f"ended by {done.returncode}: " + " | ".join(done.stderr.split("\n")[-6:])
            except subprocess.TimeoutExpired:
                said = f"not done after {duration(LONGEST)}"
            if not out.is_file():
                yield Checked(f"on {kind}", said, REMEDY, needed=True)
                return
            found.append(one := json.loads(out.read_text(encoding="utf-8")))
            told = f"images/s {one['pace']:,.0f}, MB {one['memory'] / 1e6:,.0f}, accuracy {one['accuracy']:.3f}"
            yield Checked(f"on {kind}", f"{precision}: {told}")
    same = found[0]["digest"] == found[1]["digest"]
    yield _judged("determinism", f"{'the same' if same else 'other'} weights twice on {kinds[0]}", same)
    for kind, one in zip(kinds[1:], found[1:], strict=True):
        if kind == "CPU":
            apart, allowed = one["read"], here.tolerance
            told = f"a network of {kinds[0]} read on {kind}: probabilities {apart:.1g} apart, {allowed:g} is allowed"
            yield _judged("agreement", told, apart <= allowed)
        if kind != kinds[0]:
            apart, allowed = abs(one["accuracy"] - found[0]["accuracy"]), Machine.TOLERANCE_RETRAINED
            told = f"trained on {kind}: probabilities {one['trained']:.1g} and accuracies {apart:.3g} apart"
            yield _judged("agreement", f"{told}, of accuracies {allowed:g} is allowed", apart <= allowed)


def _judged(name: str, told: str, holds: bool) -> Checked:
    return Checked(name, told, "" if holds else REMEDY, needed=True)


def drawn_images() -> ImageSet:
    """Returns bars that lie, stand or cross, one for each label, in the colours of each signer, on noise."""
    chance = np.random.default_rng(7)
    facts = [(label, signer) for signer in range(SIGNERS) for label in range(len(LABELS)) for _ in range(TAKES)]
    pixels = chance.normal(100, 25, (len(facts), SIDE, SIDE, 3))
    for picture, (label, signer) in zip(pixels, facts, strict=True):
        at = chance.integers(SIDE // 4, SIDE // 2)
        for bar in (picture[at : at + 9], picture[:, at : at + 9])[label % 2 : 2 if label else 1]:
            bar += np.roll((110, 70, 30), signer)
    return ImageSet(
        images=pixels.clip(0, 255).astype(np.uint8),
        labels=np.array([label for label, _ in facts], dtype=np.int64),
        class_names=LABELS,
        signers=np.array([f"user_{signer}" for _, signer in facts]),
        names=np.array([f"{k}.png" for k in range(len(facts))]),
        groups=np.arange(len(facts), dtype=np.int64),
        cropped=False,
        digest="proof",
    )


def _train(kind: str, precision: Any, out: Path) -> None:
    """Trains here and writes what came out; what the first process leaves of its network is read by those after it."""
    from casestudy.models import build_model, inference_model, load_model, tf
    from casestudy.training import Devices, train

    if kind == HALVES:
        half = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [half, half])
    splits = split_images(drawn_images(), SplitSpec("signer"), seed=7)
    with Devices.all() if kind not in ("CPU", "GPU") else Devices():
        model = build_model(SPEC, splits.images, seed=7, precision=precision)
        for phase in PHASES:
            training = train(model, splits, phase, seed=7)
    read, kept = predict_probabilities(model, splits.images, splits.test), out.parent / "first.npy"
    if not kept.exists():
        inference_model(model).save(out.parent / "first.keras")
        np.save(kept, read)
    other = predict_probabilities(load_model(out.parent / "first.keras"), splits.images, splits.test)
    values = {
        "pace": training.images_per_second["all"],
        "memory": _memory(kind),
        "accuracy": float((read.argmax(1) == splits.images.labels[splits.test]).mean()),
        "digest": hashlib.sha256(b"".join(one.tobytes() for one in model.get_weights())).hexdigest(),
        "read": float(np.abs(other - np.load(kept)).max()),  # how far the first network's are apart, read here
        "trained": float(np.abs(read - np.load(kept)).max()),  # and those of the network trained here
    }
    out.write_text(json.dumps(values), encoding="utf-8")


def _memory(kind: str) -> int:
    """Returns the most bytes that were taken: of the first GPU, or of this process; 0 where nobody says."""
    if "GPU" in kind:
        from casestudy.models import tf

        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    _train(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
