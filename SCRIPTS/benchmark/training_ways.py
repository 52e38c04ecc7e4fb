"""The ways of training a network: the project's own, and Keras' transfer-learning guide as written."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from SCRIPTS.benchmark.shared import SAMPLE, SEED, Clock

BATCH = 32
AUGMENTATION = {"rotation": 0.06, "zoom": 0.2, "shift": 0.12, "brightness": 0.25, "contrast": 0.3}  # as studies.ASL


def prepare_training(work: str, size: int, images: int) -> dict:
    """Cleans the sample and writes pixels, labels, a random split and the weights that all start from."""
    import numpy as np

    from casestudy import Splits, SplitSpec, build_model, clean_archive, load_images, split_images
    from casestudy.training.stages import estimate_batch_norms

    clean_archive(SAMPLE, Path(work, "letters.zip"), progress=False)
    data = load_images(Path(work, "letters.zip"), image_size=(size, size), cache_dir=work)
    splits = split_images(data, SplitSpec("random", validation=0.15, test=0.25), seed=SEED)
    chosen = np.sort(np.random.default_rng(SEED).permutation(splits.train)[:images])
    held_out = np.sort(np.random.default_rng(SEED).permutation(splits.validation)[: max(images // 4, 8)])
    splits = Splits(data, "random", chosen, held_out, splits.test, splits.left_out)
    for augment in (False, True):
        start = build_model(_spec(augment), data, seed=SEED)
        estimate_batch_norms(start, splits, seed=SEED)  # as training does where weights begin at random
        np.savez(Path(work, _initial(augment)), *start.get_weights())
    pixels = {"x": data.images[chosen], "vx": data.images[held_out]}
    labels = {"y": data.labels[chosen], "vy": data.labels[held_out]}
    parts = {"train": chosen, "validation": held_out, "classes": len(data.class_names)}
    np.savez(Path(work, "data.npz"), **pixels, **labels, **parts)
    return {"train": len(chosen), "validation": len(held_out)}


def _spec(augment: bool):
    """ResNet50V2 without dropout, so that both ways take the same steps."""
    from casestudy import ModelSpec

    return ModelSpec("resnet50v2", weights=None, dropout=0.0, augmentation=AUGMENTATION if augment else {})


def _initial(augment: bool) -> str:
    return f"initial-{'augmented' if augment else 'plain'}.npz"


def train_ours(
    work: str, trainable: str, epochs: int, rate: float, augment: bool, cache: bool, views: int, out: str
) -> dict:
    """The project's `train`, by its own clock of the phase: features, compiling, checkpoints included."""
    import numpy as np

    from casestudy import Phase, Splits, build_model, load_images, train

    with np.load(Path(work, "data.npz")) as data:
        chosen, held_out, size = data["train"], data["validation"], data["x"].shape[1:3]
    images = load_images(Path(work, "letters.zip"), image_size=size, cache_dir=work)
    splits = Splits(images, "random", chosen, held_out, test=chosen[:0], left_out=chosen[:0])
    phase = Phase("phase", trainable, epochs, rate, batch_size=BATCH, views=views)
    clock = Clock()
    logging.getLogger("casestudy.training.phases").addHandler(_EpochMarks(clock))
    logging.getLogger("casestudy.training.phases").setLevel(logging.INFO)
    model = build_model(_spec(augment), images, seed=SEED)  # the same initial weights as in `prepare_training`
    run = train(model, splits, phase, seed=SEED, cache=cache)
    measured = {**clock.stop(), "seconds": run.seconds["phase"]}
    np.savez(Path(work, out), *model.get_weights())
    of = {name: list(rows["value"]) for name, rows in run.history.groupby("metric")}
    return {**measured, **_outcome(of)}


class _EpochMarks(logging.Handler):
    """Marks an epoch when the library reports one: "phase 1/10: loss …"."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("phase "):
            self._clock.mark()


def train_plain(work: str, trainable: str, epochs: int, rate: float, augment: bool, jit: bool | str, out: str) -> dict:
    """Keras' transfer-learning guide as written: tf.data, `compile`, `fit`, nothing set that the guide does not set.

    What equal results need is added: the same initial weights and order of images, BatchNormalization frozen, no
    dropout, and the weights of the best epoch brought back, all in Keras' own words.
    """
    import numpy as np

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    with np.load(Path(work, "data.npz")) as data:
        x, y, vx, vy = (tf.constant(data[name]) for name in ("x", "y", "vx", "vy"))
        classes = int(data["classes"])
    base = keras.applications.ResNet50V2(include_top=False, weights=None, input_shape=x.shape[1:])
    inputs = keras.Input(x.shape[1:])
    features = base(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs), training=False)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    outputs = keras.layers.Dense(classes, activation="softmax")(pooled)
    model = keras.Model(inputs, outputs)
    with np.load(Path(work, _initial(augment))) as initial:
        model.set_weights([initial[name] for name in initial.files])
    base.trainable = trainable != "head"
    frozen = len(base.layers) - int(trainable.partition(":")[2] or len(base.layers))
    for k, layer in enumerate(base.layers):
        layer.trainable = base.trainable and k >= frozen and not isinstance(layer, keras.layers.BatchNormalization)

    varied = keras.Sequential(_augmentation_layers(keras.layers) if augment else [])
    orders = [np.random.default_rng((SEED, 0, epoch)).permutation(len(y)) for epoch in range(epochs)]

    def one_epoch(order: tf.Tensor) -> tf.data.Dataset:
        one = tf.data.Dataset.from_tensor_slices(order)
        one = one.map(lambda k: (tf.cast(x[k], tf.float32), y[k]), num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH)
        return one.map(lambda a, b: (varied(a, training=True), b), tf.data.AUTOTUNE) if augment else one

    training = tf.data.Dataset.from_tensor_slices(np.stack(orders)).flat_map(one_epoch).prefetch(tf.data.AUTOTUNE)
    validation = tf.data.Dataset.from_tensor_slices((vx, vy)).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    best = keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)
    clock = Clock()
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock.mark())
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"], jit_compile=jit)
    history = model.fit(
        training,
        validation_data=validation,
        epochs=epochs,
        steps_per_epoch=-(-len(y) // BATCH),
        callbacks=[best, watch],
        verbose=0,
    ).history
    measured = clock.stop()
    np.savez(Path(work, out), *model.get_weights())
    return {**measured, **_outcome(history)}


def _augmentation_layers(layers) -> list:
    turn, zoom, shift = (AUGMENTATION[name] for name in ("rotation", "zoom", "shift"))
    return [
        layers.RandomRotation(turn, fill_mode="nearest"),
        layers.RandomZoom((-zoom, zoom), fill_mode="nearest"),
        layers.RandomTranslation(shift, shift, fill_mode="nearest"),
        layers.RandomBrightness(AUGMENTATION["brightness"], value_range=(0, 255)),
        layers.RandomContrast(AUGMENTATION["contrast"], value_range=(0, 255)),
    ]


def _outcome(history: dict[str, list[float]]) -> dict:
    best = min(range(len(history["val_loss"])), key=history["val_loss"].__getitem__)
    return {
        "loss": history["loss"],
        "val_loss": history["val_loss"],
        "val_accuracy": history["val_accuracy"][best],
    }


def largest_difference(work: str, one: str, other: str, start: str) -> dict:
    """Returns the largest |ΔW| between two sets of weights, and the largest change that training made."""
    import numpy as np

    a, b, c = (list(np.load(Path(work, name)).values()) for name in (one, other, start))

    def largest(these: list, those: list) -> float:
        return max(float(np.abs(p - q).max()) for p, q in zip(these, those, strict=True))

    return {"difference": largest(a, b), "change": largest(a, c)}


WAYS = (prepare_training, train_ours, train_plain, largest_difference)
