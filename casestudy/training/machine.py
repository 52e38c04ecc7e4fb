"""What this machine is good for."""

from __future__ import annotations

from dataclasses import dataclass

from casestudy.choices import SIDES, ImageSize, Precision
from casestudy.records import Record


@dataclass(frozen=True)
class Machine(Record):
    """The image size and precision used where a study leaves them open, and on which device."""

    device: str
    image_size: ImageSize
    precision: Precision

    # Of a probability, between devices. Measured with ResNet50V2 on a CPU, in other kernels and batches: float32 2e-6,
    # bfloat16 0.009. A GPU that multiplies float32 as TF32 keeps three digits.
    TOLERANCE, TOLERANCE_16_BIT = 1e-3, 0.05
    TOLERANCE_RETRAINED = 0.1  # of an accuracy, between two trainings on machines of two kinds; other kernels: 0.0

    @classmethod
    def here(cls) -> Machine:
        """Returns the defaults for the best device here, or for all that share a training (see `devices`).

        Mixed precision only on GPUs with tensor cores, never on a CPU.
        """
        from casestudy.models import tf  # only now: a record of a machine is read without TensorFlow
        from casestudy.training.devices import Devices

        gpus, named = tf.config.list_physical_devices("GPU"), Devices.current().named
        if not gpus:
            return cls(named("CPU"), (SIDES["CPU"],) * 2, "float32")
        details = tf.config.experimental.get_device_details(gpus[0])
        fast_half = details.get("compute_capability", (0, 0)) >= (7, 0)
        return cls(
            named(details.get("device_name", "GPU")), (SIDES["GPU"],) * 2, "mixed_float16" if fast_half else "float32"
        )

    @property
    def tolerance(self) -> float:
        """How far probabilities may lie from those of another device, of one network for the same pictures."""
        return self.TOLERANCE if self.precision == "float32" else self.TOLERANCE_16_BIT
