"""The head of phase 1 alone, on cached features of a frozen base: what a random split hides, in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from casestudy.data import Splits
from casestudy.models import build_model, keras, origin_of
from casestudy.rows import Array, Chosen
from casestudy.study import ModelSpec, Phase
from casestudy.training.clock import Clock
from casestudy.training.epochs import compile_for, fit_epoch
from casestudy.training.schedules import is_over, learning_rate
from casestudy.training.stages import Stage, compute_features, estimate_batch_norms, set_trainable, split_model


def frozen_features(spec: ModelSpec, splits: Splits, *, seed: int, target: Path) -> Array:
    """Returns float32 (N, F): every image of the set, pooled after the frozen base, without augmentation."""
    model = build_model(spec, splits.images, seed=seed)
    if origin_of(model).weights is None:
        estimate_batch_norms(model, splits, seed=seed)
    set_trainable(model, "head")
    extractor, _ = split_model(model)
    everything = np.arange(len(splits.images))
    done = Clock.current().watch(spec, "head", len(everything))
    return compute_features(extractor, splits.images.images, everything, target, done=done)


def train_head(features: Array, splits: Splits, phase: Phase, *, dropout: float, seed: int) -> np.ndarray:
    """Returns float32 (len(splits.test), K): the probabilities of a head trained alone on cached features."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(features.shape[1:])
    x = keras.layers.Dropout(dropout)(inputs)
    head = keras.Model(inputs, keras.layers.Dense(len(splits.images.class_names), activation="softmax")(x))
    compile_for(head, phase)
    stage = Stage(head, [Chosen(features, splits.train)], Chosen(features, splits.validation))
    best, epoch = head.get_weights(), 0
    values: dict[str, list[float]] = {"loss": [], "val_loss": [], "val_accuracy": []}
    while not is_over(phase, losses := values["val_loss"], epoch):
        logs = fit_epoch(head, stage, splits, phase, learning_rate(phase, epoch, losses), entropy=(seed, 0, epoch))
        for name in logs.keys() & values.keys():
            values[name].append(logs[name])
        if phase.kept_epoch(values) == epoch:
            best = head.get_weights()
        epoch += 1
    head.set_weights(best)
    return np.asarray(head(features[splits.test]))
