"""A model as its training finds it: weights by the seed, and BatchNormalization that normalises."""

from __future__ import annotations

import numpy as np

from casestudy.data import Splits
from casestudy.models import batch_norms, build_model, keras, tf
from casestudy.study import ModelSpec
from casestudy.training.stages import PREDICT_BATCH

ESTIMATION_IMAGES = 512  # enough for a stable mean and variance of each channel


def initial_model(
    spec: ModelSpec, splits: Splits, *, weights: str | None, seed: int, precision: str = "float32"
) -> keras.Model:
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    images = splits.images
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        shape, count = images.images.shape[1:], len(images.class_names)
        model = build_model(spec, input_shape=shape, num_classes=count, weights=weights)
    finally:
        keras.config.set_dtype_policy(policy)
    base = model.get_layer("base")
    if weights is None and batch_norms(base):
        chosen = np.random.default_rng(seed).permutation(splits.train)[:ESTIMATION_IMAGES]
        parts = np.split(chosen, range(PREDICT_BATCH, len(chosen), PREDICT_BATCH))
        scale = model.get_layer("preprocessing")
        estimate_batch_norm(base, [scale(images.images[part].astype("float32")) for part in parts])
    return model


def estimate_batch_norm(base: keras.Model, batches: list[np.ndarray]) -> None:
    """Sets each moving mean and variance of `base` to its average over the batches, in place.

    Randomly initialised BatchNormalization claims mean 0 and variance 1 for every channel; frozen like that it would
    normalise nothing. `batches` holds float (n, height, width, C) arrays, scaled as the base expects.
    """
    layers = batch_norms(base)
    momenta = [layer.momentum for layer in layers]
    for k, batch in enumerate(batches):
        for layer in layers:
            layer.momentum = k / (k + 1)  # a running mean: every batch counts the same
        base(batch, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
