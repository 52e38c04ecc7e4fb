"""The network that learns from drawn hands: ResNet50V2 with two heads, one for the letter and one for the pose."""

from __future__ import annotations

import numpy as np

from casestudy.models import keras, tf
from SCRIPTS.hands.handshapes import LETTERS
from SCRIPTS.hands.pretrain_images import POSE


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """The same layer and the same variables; while training, mean, variance and result come from one kernel, which
    under bfloat16 makes a step on a CPU a quarter faster.

    What it keeps differs in one thing: the kernel's variance is that of the population that the n values of a channel
    were drawn from, n / (n - 1) times that of the values, which Keras keeps; results while training are the same.
    """

    def call(self, inputs, training=None, mask=None):
        if not training:
            return super().call(inputs, training=training, mask=mask)
        nothing = tf.constant([], tf.float32)
        gamma, beta = (tf.convert_to_tensor(value) for value in (self.gamma, self.beta))
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=tf.cast(gamma, tf.float32), offset=tf.cast(beta, tf.float32), mean=nothing,
            variance=nothing, epsilon=self.epsilon, is_training=True,
        )  # fmt: skip
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs


def build(precision: str) -> keras.Model:
    """The network: pixels (batch, side, side, 3) in 0–255 to letters' logits (batch, 26) and pose (batch, POSE)."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        plain = keras.applications.ResNet50V2(
            include_top=False, weights=None, input_shape=(None, None, 3), pooling="avg", name="base"
        )

        def fused(layer: keras.Layer) -> keras.Layer:
            is_norm = isinstance(layer, keras.layers.BatchNormalization)
            kind = FusedBatchNormalization if is_norm else layer.__class__
            return kind.from_config(layer.get_config())

        base = keras.models.clone_model(plain, clone_function=fused)
        # Every residual branch begins at nothing (as in Goyal et al. 2017, section 5.1): without this and the heads'
        # zeros the first thousand steps taught no letter.
        for layer in base.layers:
            if layer.name.endswith("_3_conv"):
                layer.kernel.assign(np.zeros(layer.kernel.shape))
        pixels = keras.Input((None, None, 3))
        features = base(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels))
        letters = keras.layers.Dense(len(LETTERS), kernel_initializer="zeros", dtype="float32", name="letters")(
            features
        )
        pose = keras.layers.Dense(POSE, kernel_initializer="zeros", dtype="float32", name="pose")(features)
        return keras.Model(pixels, [letters, pose])
    finally:
        keras.config.set_dtype_policy(policy)


def plain_base(model: keras.Model) -> keras.Model:
    """ResNet50V2 without its top, in float32, with the weights that the training has reached."""
    base = keras.applications.ResNet50V2(include_top=False, weights=None, input_shape=(None, None, 3))
    base.set_weights(base_of(model).get_weights())
    return base


def base_of(model: keras.Model) -> keras.Model:
    """The ResNet50V2 inside the network."""
    return next(layer for layer in model.layers if isinstance(layer, keras.Model))
