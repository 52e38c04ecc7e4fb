"""The one door to TensorFlow and Keras: modules that train import them from here, and nothing else does.

TensorFlow reads its switches once, when it is first imported, so they are set here. oneDNN is off by default on AMD
processors, where turning it on trains a convolutional network about twice as fast; the log level keeps start-up noise
away from the user. What the user has set stays.

Keras draws initial weights from Python's own `random`, as any thread of the process may: beside one that does, such as
a worker's, the same seed gives another network. Here Keras gets a source of chance that nobody else draws from, with
the same numbers for the same seed.
"""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


@contextlib.contextmanager
def _without_startup_noise() -> Iterator[None]:
    # TensorFlow's C++ side writes to file descriptor 2 before it reads its own log level.
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all, as under pythonw
        yield
        return
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


with _without_startup_noise():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()  # the first look at the devices has lines of its own
    tf.get_logger().setLevel("ERROR")  # every fold is a model of its own; TensorFlow warns of each as retracing


class _Chance(random.Random):
    def seed(self, *given: Any) -> None:
        """Begins anew, and Python's own with it: whoever calls `keras.utils.set_random_seed` expects that."""
        super().seed(*given)
        if given and given[0] is not None:
            random.seed(*given)


keras.src.utils.rng_utils.random = keras.src.random.seed_generator.python_random = _Chance()

__all__ = ["keras", "tf"]
