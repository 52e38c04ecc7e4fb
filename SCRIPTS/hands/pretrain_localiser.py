"""Trains the small network that finds the hand of a photograph, on drawn scenes, and writes its weights.

    python -m SCRIPTS.hands.pretrain_localiser --out FOLDER            draw, train, write; an hour on 2 cores
    python -m SCRIPTS.hands.pretrain_localiser --out FOLDER --publish  take the file into DATA/weights, with its SHA-256
    python -m SCRIPTS.hands.pretrain_localiser --smoke                 a few steps of everything

The hands and places are `pretrain_signs`'s: with the same FOLDER they are drawn once. Stopped, it begins again.
Drawing and training share the cores, and AVX512-BF16 halves the training's part.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from casestudy.cleaning import CommandParser
from casestudy.data.localiser import FILE, LEAST, SIDE, STAGES, STEP, Localiser
from casestudy.errors import CaseStudyError, RunError
from casestudy.files import atomic_path, file_digest
from casestudy.words import percent
from SCRIPTS.articles.writing import read_json, replaced, write_json, write_text
from SCRIPTS.hands.localiser_images import draw_scenes
from SCRIPTS.hands.pretrain_images import Draw, Shelf, batches, draw_stock, load_stock
from SCRIPTS.hands.pretrain_stock import HANDS, HELD_OUT, HELD_OUT_HANDS, PLACES, shelves
from SCRIPTS.hands.rooms import draw_rooms
from SCRIPTS.release.environment import ROOT

CARD = ROOT / "DATA" / "weights" / "README.md"
BEGIN, END = "<!-- localiser:start -->", "<!-- localiser:end -->"
PIN = ROOT / "casestudy" / "data" / "localiser.py"
NAME, REPORT = FILE.name, "hand_localiser.json"
CELLS, CHANNELS = SIDE // STEP, (24, 48, 96)  # of each of STAGES
KINDS = {"alone": 1.0, "signers": 0.0}  # of held-out scenes, by their shares of hands without anybody


@dataclass(frozen=True)
class Plan:
    """What decides the weights, besides the code."""

    seed: int = 23
    steps: int = 4000
    batch: int = 64
    peak_rate: float = 2e-3  # AdamW's: up for a tenth of the steps, then a cosine to 0
    weight_decay: float = 0.02
    precision: str = "mixed_bfloat16"  # of the arithmetic; weights are float32
    box_share: float = 4.0  # weight of the box's error beside the cell's cross-entropy
    hands: int = HANDS
    held_out_hands: int = HELD_OUT_HANDS
    places: int = PLACES
    held_out_scenes: int = 1024

    def rate(self, step: int) -> float:
        rise = self.steps / 10
        if step < rise:
            return self.peak_rate * (step + 1) / rise
        return self.peak_rate * 0.5 * (1 + np.cos(np.pi * (step - rise) / (self.steps - rise)))


SMOKE = Plan(steps=4, batch=8, hands=20, held_out_hands=10, places=20, held_out_scenes=16)


def build():
    """The network in Keras: pixels float32 (batch, SIDE, SIDE, 3) in 0–255 to cells (batch, CELLS, CELLS, 5)."""
    from casestudy.models import keras

    layers = keras.layers

    def convolved(x, channels: int, name: str, stride: int = 1, dilation: int = 1):
        x = layers.ZeroPadding2D(dilation)(x)  # the same on all sides, which "same" is not where the stride is 2
        x = layers.Conv2D(channels, 3, stride, dilation_rate=dilation, use_bias=False, name=name)(x)
        return layers.BatchNormalization(momentum=0.97, name=f"{name}.norm")(x)

    pixels = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    for k, (channels, pairs) in enumerate(zip(CHANNELS, STAGES, strict=True)):
        x = layers.ReLU()(convolved(x, channels, f"down{k}", stride=2))
        for n, dilation in enumerate(pairs):
            inner = layers.ReLU()(convolved(x, channels, f"pair{k}{n}a", dilation=dilation))
            x = layers.ReLU()(layers.Add()([x, convolved(inner, channels, f"pair{k}{n}b", dilation=dilation)]))
    scene = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.ReLU()(layers.Add()([x, layers.Dense(CHANNELS[-1], name="scene")(scene)]))
    return keras.Model(pixels, layers.Dense(5, name="cells", dtype="float32")(x))


def arrays_of(model) -> dict[str, np.ndarray]:
    """Returns the file's arrays: BatchNormalization multiplied into the kernels, all as float16."""
    arrays = {}
    for layer in model.layers:
        if not layer.weights or layer.name.endswith(".norm"):
            continue
        if layer.name in ("scene", "cells"):
            kernel, bias = layer.get_weights()
        else:
            norm = model.get_layer(f"{layer.name}.norm")
            gamma, beta, mean, variance = norm.get_weights()
            scale = gamma / np.sqrt(variance + norm.epsilon)
            kernel, bias = layer.get_weights()[0] * scale, beta - mean * scale
        arrays |= {f"{layer.name}.kernel": kernel.astype("float16"), f"{layer.name}.bias": bias.astype("float16")}
    return arrays


def targets(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns how much of the truth each cell holds, and "nobody" last, (N, CELLS ** 2 + 1); and the boxes, 0 for NaN.

    The cells near the middle of a hand share it: a Gaussian of 0.7 cells.
    """
    there = ~np.isnan(boxes).any(axis=1)
    boxes = np.where(there[:, None], boxes, 0).astype(np.float32)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 * CELLS
    cells = np.arange(CELLS) + 0.5
    near = [np.exp(-((cells - middle[:, axis, None]) ** 2) / (2 * 0.7**2)) for axis in (0, 1)]
    shares = (near[1][:, :, None] * near[0][:, None, :]).reshape(len(boxes), -1) * there[:, None]
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)
    return np.concatenate([shares, ~there[:, None]], axis=1).astype(np.float32), boxes


def compiled_step(model, optimizer, plan: Plan):
    from casestudy.models import tf

    @tf.function
    def step(images, shares, boxes):
        with tf.GradientTape() as tape:
            out = tf.reshape(model(tf.cast(images, tf.float32), training=True), (-1, CELLS**2, 5))
            scores = tf.concat([out[..., 0], tf.zeros_like(out[:, :1, 0])], axis=1)
            where = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(shares, scores))
            index = tf.range(CELLS**2)
            column, row = (tf.cast(value, tf.float32) + 0.5 for value in (index % CELLS, index // CELLS))
            x, y = (column + out[..., 1]) / CELLS, (row + out[..., 2]) / CELLS
            # The middle in sizes of the hand, and the logarithm of the size: small hands count as large ones do.
            sides = tf.maximum(boxes[:, None, 2:] - boxes[:, None, :2], 0.02)
            middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
            off = tf.stack([x, y], axis=-1) - middle
            errors = tf.concat([off / sides, out[..., 3:5] - tf.math.log(sides)], axis=-1)
            size = tf.abs(errors)
            smooth = tf.reduce_sum(tf.where(size < 0.2, size**2 / 0.4, size - 0.1), axis=-1)
            box = tf.reduce_mean(tf.reduce_sum(smooth * shares[:, :-1], axis=1))
            loss = where + plan.box_share * box
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, where, box

    return step


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the intersection over union of boxes (N, 4) with boxes (N, 4)."""
    inner = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    common = np.clip(inner, 0, None).prod(axis=1)
    areas = [np.clip(one[:, 2:] - one[:, :2], 0, None).prod(axis=1) for one in (a, b)]
    return common / np.maximum(areas[0] + areas[1] - common, 1e-9)


def measure(localiser: Localiser, images: np.ndarray, boxes: np.ndarray) -> dict[str, object]:
    """Returns how well hands of signers never drawn for training are found, by the code that users run."""
    from PIL import Image

    found = [localiser.find(Image.fromarray(image)) for image in images]
    there = ~np.isnan(boxes).any(axis=1)
    confidence = np.array([one.confidence for one in found])
    placed = np.array([one.box for one in found]) / images.shape[1]
    shares = overlap(placed[there], boxes[there])
    sure = {least: confidence >= least for least in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)}
    return {
        "scenes": len(images),
        "mean_overlap": float(shares.mean()),
        "found": float((shares >= 0.5).mean()),  # half of what both boxes cover is common
        "at_least_so_sure": {  # shares: of hands; of hands that are right, too; of scenes without a hand
            f"{least:.1f}": [float(of.mean()) for of in (one[there], one[there] & (shares >= 0.5), one[~there])]
            for least, one in sure.items()
        },
    }


def scenes_of(shelf: Shelf) -> Draw:
    return partial(draw_scenes, shelf=shelf)


def held_out_scenes(plan: Plan, shelf: Shelf) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
    """Yields scenes of both kinds by name, twice as large as the network sees them: a closer look has more to see."""
    for kind, alone in KINDS.items():
        job = (plan.seed, HELD_OUT), plan.held_out_scenes, 2 * SIDE
        yield kind, scenes_of(shelf)(load_stock(shelf), *job, alone=alone)


def train(plan: Plan, folder: Path, workers: int) -> dict[str, object]:
    """Trains, writes the file, and returns its report."""
    from casestudy.models import keras

    drawn, held_out = shelves(folder, plan.hands, plan.held_out_hands, plan.places)
    for shelf in (drawn, held_out):
        draw_stock(shelf, workers)
        draw_rooms(shelf, workers)
    keras.utils.set_random_seed(plan.seed)
    keras.mixed_precision.set_global_policy(plan.precision)
    model = build()
    keras.mixed_precision.set_global_policy("float32")
    optimizer = keras.optimizers.AdamW(plan.peak_rate, weight_decay=plan.weight_decay, global_clipnorm=5.0)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    optimizer.build(model.trainable_variables)
    step_of, started, last = compiled_step(model, optimizer, plan), time.perf_counter(), []
    wanted = [((plan.seed, step), plan.batch, SIDE, min(1.0, 0.3 + step / plan.steps)) for step in range(plan.steps)]
    with tqdm(total=plan.steps, desc="training", unit="step") as bar:
        for step, (images, boxes) in enumerate(batches(drawn, wanted, workers, scenes_of(drawn))):
            optimizer.learning_rate.assign(plan.rate(step))
            last.append([float(value) for value in step_of(images, *targets(boxes))])
            bar.update()
            if (step + 1) % 100 == 0 or step + 1 == plan.steps:
                loss, where, box = np.mean(last, axis=0)
                bar.write(f"step {step + 1}: loss {loss:.3f}, where {where:.3f}, box {box:.4f}")
                last = []
    arrays = arrays_of(model)
    with atomic_path(folder / NAME) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
    report = {
        "schema_version": 1,
        "plan": asdict(plan),
        "seconds": round(time.perf_counter() - started),
        "parameters": sum(array.size for array in arrays.values()),
        "held_out": {kind: measure(Localiser(arrays), *drawn) for kind, drawn in held_out_scenes(plan, held_out)},
        "file": {"name": NAME, "bytes": (folder / NAME).stat().st_size, "sha256": file_digest(folder / NAME)},
    }
    write_json(folder / REPORT, report)
    return report


def table(report: dict) -> str:
    """The card's table in Markdown, every number from the training's own report."""
    plan, held_out = report["plan"], report["held_out"].values()
    mean = [one["mean_overlap"] for one in held_out]
    hands, right, nothing = zip(*(one["at_least_so_sure"][f"{LEAST:.1f}"] for one in held_out), strict=True)

    def both(shares: Iterable[float]) -> str:
        return " | ".join(map(percent, shares))

    rows = {
        "scenes seen": f"{plan['steps'] * plan['batch']:,} of {plan['hands']:,} hands |",
        "scenes of signers never drawn for training": " | ".join(f"{one['scenes']:,}" for one in held_out),
        "common to its box and the true one, of what both cover, on average": both(mean),
        f"hands that it is sure of (confidence {LEAST:g} or more)": both(hands),
        "hands that it is sure of, and half of what both boxes cover is common": both(right),
        "scenes without a hand in which it is sure of one": both(nothing),
        "time": f"{report['seconds'] / 60:.0f} minutes, with the measuring |",
        "parameters": f"{report['parameters']:,} |",
        "file": f"{report['file']['bytes'] / 1e6:.1f} MB, SHA-256 `{report['file']['sha256']}` |",
    }
    head = ["| what | a hand alone | a hand on somebody's arm |", "|---|---|---|"]
    return "\n".join([*head, *(f"| {name} | {values} |" for name, values in rows.items())])


def publish(folder: Path) -> None:
    """Takes file and report into DATA/weights, its table into the card, its SHA-256 into the code that loads it."""
    report = read_json(folder / REPORT)
    digest = file_digest(folder / NAME)
    if digest != report["file"]["sha256"]:
        raise RunError(f"{folder / NAME} is not the file of {REPORT} beside it. Train again.")
    with atomic_path(ROOT / FILE) as partial:
        partial.write_bytes((folder / NAME).read_bytes())
    write_json(ROOT / FILE.parent / REPORT, report)
    write_text(CARD, replaced(CARD.read_text(encoding="utf-8"), table(report), BEGIN, END))
    pinned = re.sub(r'(?m)^SHA256 = "[0-9a-f]*"', f'SHA256 = "{digest}"', PIN.read_text(encoding="utf-8"))
    write_text(PIN, pinned)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 2 something is not as it must be."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for what is drawn and trained")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that draw")
    parser.add_argument("--publish", action="store_true", help="take the trained file into DATA/weights")
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, in a folder of its own")
    options = parser.parse_args(arguments)
    if not (options.smoke or options.out):
        parser.error("a training needs a folder; --out is not there. Name one, or use --smoke")
    try:
        if options.publish:
            publish(options.out)
            return 0
        with tempfile.TemporaryDirectory(prefix="localiser-") as scratch:
            plan, folder = (SMOKE, Path(scratch)) if options.smoke else (Plan(), options.out)
            report = train(plan, folder, options.workers)
    except (CaseStudyError, OSError) as error:
        print(f"pretrain_localiser: {error}", file=sys.stderr)
        return 2
    print(report["held_out"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
