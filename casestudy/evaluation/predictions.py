"""What a model makes of images, as one table: the true label beside the probabilities of the same photograph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from casestudy.data import ImageSet

if TYPE_CHECKING:
    import keras

PREDICT_BATCH = 64
SMALLEST_PROBABILITY = 1e-7  # Keras' own epsilon: a loss stays finite
PREFIX = "p_"  # column of a label's probability


def predict(model: keras.Model, images: ImageSet, indices: np.ndarray) -> pd.DataFrame:
    """Returns one row an image: name, signer, label, predicted, confidence, loss, then p_<label> (float32) for each."""
    return prediction_table(images, indices, predict_probabilities(model, images, indices))


def predict_probabilities(model: keras.Model, images: ImageSet, indices: np.ndarray) -> np.ndarray:
    """Returns float32 (len(indices), K): what the model makes of each image."""
    from casestudy.models import inference_model  # only now: numbers alone need no TensorFlow

    model = inference_model(model)
    starts = range(0, len(indices), PREDICT_BATCH)
    batches = (images.images[indices[start : start + PREDICT_BATCH]].astype("float32") for start in starts)
    return np.concatenate([model.predict_on_batch(batch) for batch in batches]).astype("float32")


def prediction_table(images: ImageSet, indices: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Returns the table of `predict` for probabilities float32 (N, K) that belong to `indices`."""
    names, truth = np.array(images.class_names), images.labels[indices]
    own = probabilities[np.arange(len(indices)), truth].astype("float64")
    facts = {
        **{name: column[indices] for name, column in images.truth().items()},
        "predicted": names[probabilities.argmax(axis=1)],
        "confidence": probabilities.max(axis=1),
        "loss": cross_entropy(own),
    }
    columns = pd.DataFrame(probabilities, columns=[PREFIX + name for name in images.class_names])
    return pd.concat([pd.DataFrame(facts), columns], axis=1)


def cross_entropy(probability_of_truth: np.ndarray) -> np.ndarray:
    """Returns -log p in nats, p held at or above Keras' epsilon.

    >>> cross_entropy(np.array([1.0, 0.5, 0.0])).round(3).tolist()
    [0.0, 0.693, 16.118]
    """
    return 0.0 - np.log(np.maximum(probability_of_truth, SMALLEST_PROBABILITY))


def judge(
    predictions: pd.DataFrame, class_names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns probabilities float32 (N, K), true and read label int64 (N,), and loss float64 (N,) of a table's rows."""
    probabilities = predictions[[PREFIX + name for name in class_names]].to_numpy(dtype="float32")
    position = {name: k for k, name in enumerate(class_names)}
    truth = predictions["label"].map(position).to_numpy(dtype="int64")
    own = probabilities[np.arange(len(truth)), truth].astype("float64")
    return probabilities, truth, probabilities.argmax(axis=1), cross_entropy(own)
