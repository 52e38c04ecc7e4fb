"""One training on several devices: each takes its rows of every batch, and what they come to is added up.

The network lies on one device, as ever: only what is computed of a batch is shared out. So a batch is as large as the
study says, its loss is the mean over all of it, its augmentation and dropout are drawn for all of it, and what follows
(optimizer, checkpoints, files) knows of no devices. The workers that TF_CONFIG names have a network each, and take the
same steps; `fit` of Keras 3 cannot do that for a model of their strategy (keras#20585), but takes a step of our own.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any
from unittest.mock import patch

from casestudy.errors import ClusterError
from casestudy.models import keras, tf
from casestudy.words import counted

log = logging.getLogger(__name__)

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)
_DEVICES: ContextVar[Devices] = ContextVar("devices")


class Devices:
    """What a training is shared out to; inside `with`, trainings are."""

    def __init__(self, strategy: Any = None, workers: int = 1, index: int = 0) -> None:
        self.strategy, self.workers, self.chief = strategy, workers, index == 0
        self.number: int = strategy.num_replicas_in_sync if strategy else 1  # of devices, those of all workers

    @classmethod
    def all(cls) -> Devices:
        """Returns all devices there are: of the workers that TF_CONFIG names, or the GPUs (else CPUs) of this process.

        Waits for all workers. A ClusterError says that TF_CONFIG names none, or that TensorFlow was at work before.
        """
        workers, index = _workers(os.environ.get("TF_CONFIG", ""))
        if workers > 1:
            log.info("worker %d of %d waits for the others", index + 1, workers)
            try:
                return cls(tf.distribute.MultiWorkerMirroredStrategy(), workers, index)
            except (RuntimeError, ValueError, tf.errors.OpError) as error:
                why = " ".join(str(error).split())[:120]
                raise ClusterError(
                    f"Workers find one another before any other work; these did not ({why}). Look at the addresses in "
                    f"TF_CONFIG, and start the same command on all of them."
                ) from None
        local = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return cls(tf.distribute.MirroredStrategy([one.name for one in local]) if len(local) > 1 else None)

    @staticmethod
    def current() -> Devices:
        """Returns what a training is shared out to now; outside of `with` the one device that TensorFlow takes."""
        return _DEVICES.get(None) or Devices()

    def __enter__(self) -> Devices:
        self._token: Token[Devices] = _DEVICES.set(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        _DEVICES.reset(self._token)
        if self.workers > 1 and isinstance(error, LOST):
            raise ClusterError(
                f"A training by {counted(self.workers, 'worker')} needs all of them; one is lost "
                f"({type(error).__name__}). Start the same command on each of them again: it goes "
                f"on after the last whole epoch."
            ) from None
        if error is None:
            self.meet()  # who ended earlier would be taken for lost

    def named(self, device: str) -> str:
        """Returns what run.json calls them, if each is such a device."""
        of = f" of {counted(self.workers, 'worker')}" * (self.workers > 1)
        return f"{self.number} x {device}{of}" if self.number > 1 else device

    def meet(self) -> None:
        """Waits until every worker is here."""
        if self.workers > 1:
            self.give([tf.Variable(0.0)])

    def give(self, variables: list) -> None:
        """Gives variables the values that they have at the chief, on every worker."""
        if self.workers == 1:
            return

        def own() -> list:
            first = _replica().replica_id_in_sync_group == 0
            exact = [tf.cast(tf.convert_to_tensor(one), tf.float64) for one in variables]  # seeds and counts, too
            return [tf.where(first, one, tf.zeros_like(one)) for one in exact]

        for variable, value in zip(variables, tf.function(lambda: self._sums(own), autograph=False)(), strict=True):
            variable.assign(tf.cast(value, variable.dtype))

    def agree(self, values: dict[str, float]) -> dict[str, float]:
        """Returns the chief's values on every worker: another processor may round otherwise, and end a phase sooner."""
        if self.workers > 1:
            told = [tf.Variable(value, dtype=tf.float64) for value in values.values()]
            self.give(told)
            return dict(zip(values, map(float, told), strict=True))
        return values

    def by_rows(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns the function of a batch (n, …), compiled, with the rows of its result (n, …) from all devices."""
        if self.strategy is None:
            return tf.function(function, reduce_retracing=True)

        def shared(batch: tf.Tensor) -> tf.Tensor:
            def own() -> list:
                rows = _Rows(batch)
                return [rows.pad(function(rows.of(batch)))]

            return self._sums(own)[0]

        return tf.function(shared, reduce_retracing=True, autograph=False)

    def share(self, model: keras.Model) -> None:
        """Lets `fit` of a compiled model share out each batch.

        A network whose BatchNormalization normalises by the batch has to see all of it: it stays on one device.
        """
        if self.strategy is None:
            return
        if any(isinstance(one, keras.layers.BatchNormalization) and one.trainable for one in model._flatten_layers()):
            log.warning("BatchNormalization that is trained sees the whole batch: this phase runs on one device")
            return
        losses, (augment, rest) = keras.losses.get(model.loss), _augmentation_of(model)
        dropouts = [one for one in model._flatten_layers() if isinstance(one, keras.layers.Dropout) and one.rate]

        def judge(pixels: tf.Tensor, labels: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
            def own() -> list:
                rows, variables = _Rows(pixels), model.trainable_variables
                with _dropout(rows, seeds), tf.GradientTape() as tape:
                    found = rest(rows.of(pixels), training=training)
                    counted = rows.counted(losses(rows.of(labels), found))
                    loss = tf.reduce_sum(counted) / tf.cast(rows.whole, tf.float32)
                    loss += sum(rest.losses) / self.number
                    scaled = model.optimizer.scale_loss(loss)
                return [loss, rows.pad(found), *(tape.gradient(scaled, variables) if training else [])]

            seeds = {one.seed_generator: one.seed_generator.next() for one in dropouts} if training else {}
            loss, found, *gradients = self._sums(own)
            if training:
                model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            mean = next(metric for metric in model.metrics if metric.name == "loss")
            mean.update_state(loss, sample_weight=tf.shape(labels)[0])
            return model.compute_metrics(pixels, labels, found)

        model.train_step = lambda data: judge(augment(data[0]), data[1], training=True)
        model.test_step = lambda data: judge(data[0], data[1], training=False)

    def _sums(self, own: Callable[[], list]) -> list:
        """Returns the sum of each tensor that the devices compute; all of them have the same shapes."""
        totals = self.strategy.run(lambda: _replica().all_reduce(tf.distribute.ReduceOp.SUM, own()))
        return [self.strategy.experimental_local_results(one)[0] for one in totals]


class _Rows:
    """The rows of a batch that are one device's: as many as another's, or one fewer.

    Where there is none for it, it computes one row all the same, which does not count: not every kernel takes no rows.
    """

    def __init__(self, batch: tf.Tensor) -> None:
        self.whole = tf.shape(batch)[0]
        number, own = _replica().num_replicas_in_sync, tf.cast(_replica().replica_id_in_sync_group, tf.int32)
        self.start, self.stop = own * self.whole // number, (own + 1) * self.whole // number

    def of(self, batch: tf.Tensor) -> tf.Tensor:
        return batch[self.start : tf.maximum(self.stop, self.start + 1)]

    def counted(self, rows: tf.Tensor) -> tf.Tensor:
        return rows[: self.stop - self.start]

    def pad(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns zeros for all rows of the batch but these."""
        around = [[self.start, self.whole - self.stop], *[[0, 0]] * (len(rows.shape) - 1)]
        return tf.pad(self.counted(rows), around)


def _replica() -> Any:
    return tf.distribute.get_replica_context()


def _augmentation_of(model: keras.Model) -> tuple[Callable[[tf.Tensor], tf.Tensor], keras.Model]:
    """Returns what augments a batch, in training, and the rest of the model, which shares its layers."""
    names = [layer.name for layer in model.layers]
    if "augmentation" not in names:
        return (lambda pixels: pixels), model
    at = names.index("augmentation")
    x = pixels = keras.Input(model.input.shape[1:])
    for layer in model.layers[at + 1 :]:
        x = layer(x, training=False) if layer.name == "base" else layer(x)
    return (lambda pixels: model.layers[at](pixels, training=True)), keras.Model(pixels, x)


class _Drawn(keras.random.SeedGenerator):
    """A seed that was drawn already: the same for all devices."""

    def __init__(self, seed: tf.Tensor) -> None:
        self.drawn = seed

    def next(self, ordered: bool = True) -> tf.Tensor:
        return self.drawn


@contextmanager
def _dropout(rows: _Rows, seeds: dict) -> Iterator[None]:
    """Lets each device drop what one device would have dropped in its rows of the whole batch."""
    source = keras.src.backend.random
    drop = source.dropout

    def dropped(inputs: tf.Tensor, rate: float, noise_shape: None = None, seed: Any = None) -> tf.Tensor:
        ones = tf.ones([rows.whole, *inputs.shape[1:]], inputs.dtype)
        return inputs * rows.of(drop(ones, rate, noise_shape, seed=_Drawn(seeds[seed])))

    with patch.object(source, "dropout", dropped):
        yield


def _workers(config: str) -> tuple[int, int]:
    """Returns how many workers a TF_CONFIG names, and which one this is, from 0 for the chief."""
    if not config:
        return 1, 0
    try:
        values = json.loads(config)
        names = [(kind, k) for kind in ("chief", "worker") for k in range(len(values["cluster"].get(kind, ())))]
        return len(names), names.index((values["task"]["type"], int(values["task"]["index"])))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        form = '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
        raise ClusterError(f"TF_CONFIG is JSON as {form}; received {config!r:.80} ({error}). Change it.") from None
