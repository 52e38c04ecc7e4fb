"""The training behind `pretrain_signs`: the plan that decides the weights, the steps, the file and its report.

Apart from that command because the processes that draw import the command's module again, and need no TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from casestudy.errors import RunError
from casestudy.models import keras, tf
from casestudy.models.quantised import load_quantised, write_quantised
from casestudy.training import checkpoints
from casestudy.training.checkpoints import Progress
from SCRIPTS.articles.writing import write_json, write_text
from SCRIPTS.hands.handshapes import LETTERS
from SCRIPTS.hands.pretrain_images import POSE, Shelf, Stock, batches, draw_batch, draw_stock, load_stock
from SCRIPTS.hands.pretrain_network import base_of, build, plain_base
from SCRIPTS.hands.pretrain_stock import HANDS, HELD_OUT, HELD_OUT_HANDS, PLACES, shelves

WEIGHTS, CURVE, REPORT = "resnet50v2_signs.npz", "learning_curve.png", "pretraining.json"  # what a training leaves


@dataclass(frozen=True)
class Plan:
    """What decides the weights, besides the code: another plan is another training."""

    seed: int = 17
    stages: tuple[tuple[int, int], ...] = ((32, 800), (48, 800), (64, 1100), (96, 250))  # side in pixels, steps
    batch: int = 128
    peak_rate: float = 1e-3  # AdamW's, after a linear warm-up; then straight to 0, so that the last stage still learns
    warm_up: int = 60
    weight_decay: float = 0.02
    tidy: int = 900  # steps until pictures have all the trouble they can have; they begin with a fifth of it
    label_smoothing: float = 0.05
    pose_share: float = 1.0  # weight of the pose's mean squared error beside the letter's cross-entropy
    hands: int = HANDS  # drawn to train on, each of a signer of its own
    held_out_hands: int = HELD_OUT_HANDS
    places: int = PLACES
    held_out_images: int = 1024
    checkpoint_every: int = 200
    precision: str = "float32"

    @property
    def steps(self) -> int:
        return sum(count for _, count in self.stages)

    def side(self, step: int) -> int:
        """The pictures' side at a step, counted from 0."""
        for side, count in self.stages:
            if step < count:
                return side
            step -= count
        return self.stages[-1][0]

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warm_up:
            return self.peak_rate * (step + 1) / self.warm_up
        return self.peak_rate * (self.steps - step) / (self.steps - self.warm_up)


SMOKE = Plan(stages=((32, 12), (48, 4)), batch=32, warm_up=4, hands=40, held_out_hands=20, places=10,
             held_out_images=32, checkpoint_every=8)  # fmt: skip


def _drawn(plan: Plan, folder: Path) -> Shelf:
    return shelves(folder, plan.hands, plan.held_out_hands, plan.places)[0]


def _held_out(plan: Plan, folder: Path) -> Shelf:
    return shelves(folder, plan.hands, plan.held_out_hands, plan.places)[1]


def _trouble(plan: Plan, step: int) -> float:
    return min(1.0, 0.2 + 0.8 * step / plan.tidy)


def _optimizer(model: keras.Model, plan: Plan) -> keras.Optimizer:
    optimizer = keras.optimizers.AdamW(
        plan.peak_rate, weight_decay=plan.weight_decay, epsilon=1e-6, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    optimizer.build(model.trainable_variables)
    return optimizer


def train(plan: Plan, folder: Path, workers: int) -> tuple[keras.Model, Progress]:
    """The trained network and its history; goes on from the checkpoint in `folder` where there is one."""
    for shelf in (_drawn(plan, folder), _held_out(plan, folder)):
        draw_stock(shelf, workers)
    unseen = load_stock(_held_out(plan, folder))
    keras.utils.set_random_seed(plan.seed)
    model = build(plan.precision)
    optimizer = _optimizer(model, plan)
    progress = restore(plan, folder, model, optimizer)
    step_of = _compiled_step(model, optimizer, plan)
    first = progress.phase
    wanted = [
        ((plan.seed, step), plan.batch, plan.side(step), _trouble(plan, step)) for step in range(first, plan.steps)
    ]
    spent = progress.seconds.pop() if progress.seconds else 0.0
    progress.seconds.append(spent)
    started, sums = time.perf_counter(), []
    bar = tqdm(total=plan.steps, initial=first, desc="training", unit="step", smoothing=0.05)
    made = batches(_drawn(plan, folder), wanted, workers)
    for step, (images, letters, poses) in enumerate(made, start=first):
        optimizer.learning_rate.assign(plan.rate(step))
        sums.append([float(value) for value in step_of(images, letters, poses)])
        bar.update()
        if not math.isfinite(sums[-1][0]):
            sys.exit(f"The loss must stay a number; at step {step + 1} it became {sums[-1][0]}. Lower peak_rate.")
        if (step + 1) % plan.checkpoint_every and step + 1 < plan.steps:
            continue
        side = plan.side(step)
        values = dict(zip(("loss", "letter_loss", "pose_loss", "accuracy"), np.mean(sums, axis=0), strict=True))
        values |= held_out_scores(model, unseen, plan, side)
        sums = []
        progress.seconds[0] = values["seconds"] = spent + time.perf_counter() - started
        progress.history += [{"phase": f"{side} px", "epoch": step + 1, "metric": metric, "value": float(value)}
                             for metric, value in values.items()]  # fmt: skip
        progress.phase = step + 1
        checkpoints.save(folder / "checkpoint.arrays", model.variables + optimizer.variables, progress)
        write_text(folder / "history.csv", pd.DataFrame(progress.history).to_csv(index=False, lineterminator="\n"))
        bar.write(f"step {step + 1}: " + ", ".join(f"{name} {value:.3f}" for name, value in values.items()))
    bar.close()
    return model, progress


def trained(plan: Plan, folder: Path, workers: int) -> tuple[keras.Model, Progress]:
    """The network as the last checkpoint in `folder` has it, and its history, without any training.

    Raises:
        RunError: There is no checkpoint, or it is another plan's.
    """
    model = build(plan.precision)
    progress = restore(plan, folder, model, _optimizer(model, plan))
    if not progress.phase:
        raise RunError(f"--export needs a checkpoint; {folder} holds none. Train first, without --export.")
    draw_stock(_held_out(plan, folder), workers)  # to measure on, where it is no longer there
    return model, progress


def restore(plan: Plan, folder: Path, model: keras.Model, optimizer: keras.Optimizer) -> Progress:
    """How far the training in `folder` has come, with its values given to the model and the optimizer."""
    recipe = hashlib.sha256(json.dumps(asdict(plan)).encode()).hexdigest()
    path = folder / "checkpoint.arrays"
    progress = Progress.load(path, 0, recipe)
    if progress.phase:
        checkpoints.restore(path, model.variables + optimizer.variables)
    return progress


def _compiled_step(model: keras.Model, optimizer: keras.Optimizer, plan: Plan):
    variables = model.trainable_variables

    # One trace for every size of picture: tracing takes longer than hundreds of steps of a smoke test.
    @tf.function(input_signature=[
        tf.TensorSpec((None, None, None, 3), tf.uint8),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((None, POSE), tf.float32),
    ])  # fmt: skip
    def step(images, letters, poses):
        with tf.GradientTape() as tape:
            logits, pose = model(tf.cast(images, tf.float32), training=True)
            named = tf.cast(letters >= 0, tf.float32)
            known = tf.maximum(letters, 0)
            target = tf.one_hot(known, len(LETTERS)) * (1 - plan.label_smoothing) + plan.label_smoothing / len(LETTERS)
            losses = tf.nn.softmax_cross_entropy_with_logits(target, logits)
            letter_loss = tf.reduce_sum(losses * named) / tf.maximum(tf.reduce_sum(named), 1.0)
            pose_loss = tf.reduce_mean(tf.square(pose - poses))
            loss = letter_loss + plan.pose_share * pose_loss
        optimizer.apply(tape.gradient(loss, variables), variables)
        right = tf.cast(tf.argmax(logits, axis=1) == known, tf.float32) * named
        return loss, letter_loss, pose_loss, tf.reduce_sum(right) / tf.maximum(tf.reduce_sum(named), 1.0)

    return step


def held_out_scores(model: keras.Model, unseen: Stock, plan: Plan, side: int) -> dict[str, float]:
    """Accuracy on named hands and pose error on all hands of signers that training never drew."""
    images, letters, poses = draw_batch(unseen, (plan.seed, HELD_OUT), plan.held_out_images, side)
    parts = [model(images[k : k + 128].astype(np.float32), training=False) for k in range(0, len(images), 128)]
    logits, pose = (np.concatenate([np.asarray(part[k], dtype=np.float32) for part in parts]) for k in (0, 1))
    named = letters >= 0
    return {
        "held_out_accuracy": float((logits.argmax(axis=1) == letters)[named].mean()),
        "held_out_pose_loss": float(np.square(pose - poses).mean()),
    }


def export(plan: Plan, folder: Path, model: keras.Model, progress: Progress) -> dict[str, object]:
    """Writes the weights file and says what rounding to int8 changed on held-out hands."""
    path = write_quantised(plain_base(model), folder / WEIGHTS)
    side, unseen = plan.stages[-1][0], load_stock(_held_out(plan, folder))
    exact = build("float32")
    exact.set_weights(model.get_weights())
    before = held_out_scores(exact, unseen, plan, side)
    rounded = plain_base(model)
    load_quantised(rounded, path)
    base_of(exact).set_weights(rounded.get_weights())
    after = held_out_scores(exact, unseen, plan, side)
    data = path.read_bytes()
    report = {
        "schema_version": 1,
        "plan": asdict(plan),
        "steps": progress.phase,
        "images": progress.phase * plan.batch,
        "training_seconds": round(progress.seconds[0]),
        "held_out": {"float32": before, "int8": after},
        "history": progress.history,
        "file": {"name": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
    }
    write_json(folder / REPORT, report)
    return report
