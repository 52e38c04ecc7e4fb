"""One epoch of a phase: its optimizer, its batches in the order that the seed decides, and what it comes to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
from tqdm.auto import tqdm

from casestudy.data import Splits
from casestudy.models import keras, tf
from casestudy.rows import Array, Chosen, reading_order
from casestudy.study import Phase
from casestudy.training.schedules import one_cycle
from casestudy.training.stages import PREDICT_BATCH, Stage, reseed


def compile_for(model: keras.Model, phase: Phase) -> None:
    rates = {"learning_rate": phase.learning_rate, "weight_decay": phase.weight_decay}
    settings = {name: float(rate) for name, rate in rates.items() if rate is not None}  # Keras refuses whole numbers
    optimizer = keras.optimizers.get({"class_name": phase.optimizer, "config": settings})
    if "weight_decay" in settings:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=_smoothed(phase.label_smoothing) if phase.label_smoothing else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA on a CPU bypasses oneDNN
    )
    model.optimizer.build(model.trainable_variables)


def _smoothed(share: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns the cross-entropy with that share of the truth spread over all labels (Szegedy et al. 2016)."""

    def loss(labels: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        truth = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), probabilities.shape[-1])
        return keras.losses.categorical_crossentropy(truth, probabilities, label_smoothing=share)

    return loss


def fit_epoch(
    model: keras.Model, stage: Stage, splits: Splits, phase: Phase, rate: float, *, entropy: tuple[int, int, int]
) -> dict[str, float]:
    labels, pixels = splits.images.labels, splits.images.images
    order = reading_order(splits.train, pixels, np.random.default_rng(entropy))
    reseed(model, *entropy)
    stage.model.optimizer.learning_rate.assign(rate)
    chosen, held_out = splits.train[order], splits.validation
    if stage.train is None or stage.validation is None:
        training = _dataset(pixels, chosen, labels[chosen], phase.batch_size)
        validation = _dataset(pixels, held_out, labels[held_out], PREDICT_BATCH)
    else:
        view = stage.train[entropy[2] % len(stage.train)]
        training = _dataset(view, order, labels[chosen], phase.batch_size)
        validation = _dataset(stage.validation, np.arange(len(held_out)), labels[held_out], PREDICT_BATCH)

    def before_step(batch: int, logs: object) -> None:
        if phase.schedule == "one-cycle":
            done = (entropy[2] + batch / len(training)) / phase.epochs
            stage.model.optimizer.learning_rate.assign(one_cycle(phase.learning_rate, done))

    with tqdm(total=len(training), desc=phase.name, unit="step", delay=2, leave=False, disable=None) as bar:

        def after_step(batch: int, logs: object) -> None:
            stage.ends.append(time.perf_counter())
            bar.update()

        step = keras.callbacks.LambdaCallback(
            on_train_batch_begin=before_step,
            on_train_batch_end=after_step,
            on_test_batch_end=lambda batch, logs: stage.ends.append(time.perf_counter()),
        )
        judged = validation if len(held_out) else None
        # The order is decided above; asked to shuffle a tf.data.Dataset, as it is by default, Keras warns.
        fitted = stage.model.fit(training, validation_data=judged, verbose=0, callbacks=[step], shuffle=False)
    return {name: float(values[0]) for name, values in fitted.history.items()}


def _dataset(source: Array | Chosen, indices: np.ndarray, labels: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Returns batches in the order of `indices`, read while the step before them runs."""

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(indices), batch_size):
            part = slice(start, start + batch_size)
            yield source[indices[part]].astype("float32"), labels[part]

    signature = (tf.TensorSpec((None, *source.shape[1:]), tf.float32), tf.TensorSpec((None,), tf.int64))
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False  # its tuning thread stalls the end of `fit` for seconds on small machines
    counted = data.apply(tf.data.experimental.assert_cardinality(math.ceil(len(indices) / batch_size)))
    return counted.prefetch(2).with_options(options)
