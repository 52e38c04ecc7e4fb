"""Which part of a photograph a prediction rests on: Grad-CAM at the deepest layer that still has a map to show.

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) asks how much each cell of the base's last feature map pulled the
score of a label up. At 224 pixels that map is 7x7, but at 64 pixels ResNet50V2 ends at 2x2, which tells nothing. This
takes the deepest layer through which everything passes and which has enough cells, and weighs each cell by its own
gradient instead of the channel's mean (HiResCAM, Draelos and Carin 2020, arXiv:2011.08891). Where averages of the last
map go straight to the softmax layer, both are the same.
"""

from __future__ import annotations

import numpy as np
from tqdm.auto import tqdm

from casestudy.errors import DataError
from casestudy.models.backend import keras, tf
from casestudy.models.network import cut_points
from casestudy.study import HIDDEN

CELLS = 7  # a side: as fine as the paper's
BATCH = 64  # photographs at a time


def grad_cam(model: keras.Model, pixels: np.ndarray, labels: np.ndarray, *, cells: int = CELLS) -> np.ndarray:
    """Returns float32 (N, h, w) in [0, 1]: how much each part of a photograph speaks for a label.

    The hottest cell of each map is 1; a map is all 0 where nothing speaks for the label. What is explained is the score
    before the softmax, as in the paper, so that a prediction that is quite sure has a map, too. Augmentation and
    dropout do nothing here, and BatchNormalization uses its moving statistics.

    `pixels` are (N, height, width, C), 0-255, of any number type; `labels`, int (N,), tell what to explain of each:
    what was read, or what is true. A map has at least so many `cells` a side, or is the finest there is where none has.
    A DataError says that the model has no convolutional base.
    """
    base, layer = _explained(model, cells)
    before = keras.Model(base.input, layer.output)
    after = None if layer is base.layers[-1] else keras.Model(layer.output, base.output)
    scale, pool, head = (model.get_layer(name) for name in ("preprocessing", "pooling", "probabilities"))
    hidden = [layer for layer in model.layers if layer.name in HIDDEN]
    towards = np.asarray(head.kernel).T  # (K, F): how a score grows with the pooled map
    heat = np.zeros((len(pixels), *layer.output.shape[1:3]), dtype=np.float32)
    starts = range(0, len(pixels), BATCH)
    for start in tqdm(starts, desc="heat", unit="batch", delay=2, leave=False, disable=None):
        part = slice(start, start + BATCH)
        maps = before(scale(tf.constant(pixels[part], tf.float32)), training=False)  # (n, h, w, channels)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            pooled = pool(maps if after is None else after(maps, training=False))
            for between in hidden:
                pooled = between(pooled)
        gradients = tape.gradient(pooled, maps, tf.constant(towards[np.asarray(labels)[part]], pooled.dtype))
        speaks = tf.cast(maps, tf.float32) * tf.cast(gradients, tf.float32)
        heat[part] = tf.nn.relu(tf.reduce_sum(speaks, axis=-1)).numpy()
    highest = heat.max(axis=(1, 2), keepdims=True)
    return np.divide(heat, highest, out=heat, where=highest > 0)


def _explained(model: keras.Model, cells: int) -> tuple[keras.Model, keras.Layer]:
    """Returns the base, and its deepest layer whose map has enough cells a side."""
    base = next((layer for layer in model.layers if layer.name == "base"), None)
    if base is None or len(base.output.shape) != 4:
        raise DataError(
            f"Grad-CAM needs a convolutional base that ends in a feature map; the model {model.name} has none. "
            f"Explain one of resnet50v2, mobilenet_v2 or small_cnn."
        )
    maps = [
        layer
        for layer in cut_points(base)[1:]  # the first is the input itself
        if len(layer.output.shape) == 4 and not isinstance(layer, keras.layers.ZeroPadding2D)  # whose rim is no picture
    ]
    fine = [layer for layer in maps if min(layer.output.shape[1:3]) >= cells]
    return base, fine[-1] if fine else max(maps, key=lambda layer: min(layer.output.shape[1:3]))
