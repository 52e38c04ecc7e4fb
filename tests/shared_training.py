"""A training in a process of its own: on one device, on logical devices, or with the workers of a TF_CONFIG.

python tests/shared_training.py MODEL DEVICES FILE [PRECISION], where DEVICES are how many parts the CPU is cut into (0:
take what TF_CONFIG names). The file holds the values of the history, the weights, and how many devices there were.
"""

import sys
from contextlib import nullcontext

import numpy as np

from casestudy.data import split_images
from casestudy.models import build_model, tf
from casestudy.proof import SIDE, drawn_images
from casestudy.study import ModelSpec, Phase, SplitSpec
from casestudy.training import Devices, train

VARIED = {"rotation": 0.05, "shift": 0.1, "mirror": True, "brightness": 0.1}
MODELS = {  # a frozen base and BatchNormalization; dropout within the base; penalties and 16-bit arithmetic
    "small_cnn": (
        ModelSpec("small_cnn", image_size=(SIDE, SIDE), weights=None, augmentation=VARIED, dropout=0.3),
        "head",
        "all",
    ),
    "plates_cnn": (ModelSpec("plates_cnn", image_size=(SIDE, SIDE), weights=None), "everything"),
    "dense": (ModelSpec("dense", image_size=(SIDE, SIDE), weights=None, options={"units": (16,)}), "everything"),
    "normalised": (ModelSpec("small_cnn", image_size=(SIDE, SIDE), weights=None, dropout=0.3), "everything"),
}


def main(name, number, file, precision="float32"):
    number = int(number)
    if number > 1:
        cpu, part = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [part] * number)
    spec, *parts = MODELS[name]
    splits = split_images(drawn_images(), SplitSpec("signer"), seed=7)
    with Devices.all() if number != 1 else nullcontext(Devices()) as devices:
        model = build_model(spec, splits.images, seed=7, precision=precision)
        for k, (trainable, batch) in enumerate(zip(parts, (len(splits.train) - 1, 7), strict=False)):
            # The last batch has one image, or is uneven; labels are smoothed once, weights decay once. Where kernels
            # are trained, steps are plain and small: Adam makes a whole step of what a rounding leaves of a gradient.
            more = {"optimizer": "adamw", "weight_decay": 1e-3} if trainable == "head" else {"optimizer": "sgd"}
            more |= {"label_smoothing": 0.1} if k else {}
            phase = Phase(f"{k}", trainable, epochs=2, learning_rate=10.0 ** -(3 + 2 * k), batch_size=batch, **more)
            training = train(model, splits, phase, seed=7)
        count = devices.number
    weights = {f"weight {k:02}": weight for k, weight in enumerate(model.get_weights())}
    np.savez(file, devices=count, history=training.history["value"].to_numpy(), **weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
