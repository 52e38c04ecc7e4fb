"""What this machine is good for."""

from __future__ import annotations

from dataclasses import dataclass

from casestudy.choices import ImageSize, Precision
from casestudy.records import Record


@dataclass(frozen=True)
class Machine(Record):
    """The image size and precision used where a study leaves them open, and on which device."""

    device: str
    image_size: ImageSize
    precision: Precision


def local_machine() -> Machine:
    """Returns the defaults for the best device here; mixed precision only on GPUs with tensor cores, never on a CPU."""
    from casestudy.models import tf  # only now: a record of a machine is read without TensorFlow

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return Machine("CPU", (64, 64), "float32")
    details = tf.config.experimental.get_device_details(gpus[0])
    fast_half = details.get("compute_capability", (0, 0)) >= (7, 0)
    return Machine(details.get("device_name", "GPU"), (224, 224), "mixed_float16" if fast_half else "float32")
