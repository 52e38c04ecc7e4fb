"""A model's weights in a quarter of the space: kernels as int8, with a scale for each output channel.

The file is an .npz, uncompressed and without pickles, of arrays in the order of the model's weights: `000` is a float32
vector or an int8 kernel, whose float32 scales then are `000.scale`; `about` is JSON with the schema and each weight's
role. Order, role and shape say what belongs where. Layer names do not: Keras numbers them anew in every session.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from casestudy.errors import WeightsError
from casestudy.files import atomic_path
from casestudy.listing import quantise

if TYPE_CHECKING:
    import keras  # for its type alone: a model of any backend will do, as pretraining may use another than TensorFlow

SCHEMA_VERSION = 1


def write_quantised(base: keras.Model, path: str | os.PathLike[str]) -> Path:
    """Returns the path of the file, written with the model's weights; the same weights give the same bytes.

    Arrays of two dimensions and more become int8; biases and the vectors of BatchNormalization stay float32. A
    WeightsError says that a weight is not a finite number.
    """
    target, roles = Path(path), [weight.name for weight in base.weights]
    arrays: dict[str, Any] = {"about": np.array(json.dumps({"schema_version": SCHEMA_VERSION, "roles": roles}))}
    for k, value in enumerate(base.get_weights()):
        if not np.isfinite(value).all():
            raise WeightsError(f"Weights must be finite numbers; {base.weights[k].path} is not. Train anew.")
        if value.ndim < 2:
            arrays[f"{k:03}"] = value.astype("float32")
        else:
            arrays[f"{k:03}"], arrays[f"{k:03}.scale"] = quantise(value)
    with atomic_path(target) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # NumPy writes no time of day into it
    return target


def load_quantised(base: keras.Model, path: str | os.PathLike[str], *, sha256: str | None = None) -> None:
    """Gives a model the weights that `write_quantised` stored; where they do not fit it stays as it was.

    The image size may be another one. The file must have the `sha256`, in hexadecimal; None accepts any. A WeightsError
    says that there is no such file, that it is not the one pinned, or that it belongs to another architecture.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"Quantised weights are an .npz file; there is none at {file}. Check the path.")
    data = file.read_bytes()
    if sha256 and (digest := hashlib.sha256(data).hexdigest()) != sha256:
        raise WeightsError(
            f"The weights must have SHA-256 {sha256[:12]}…; {file} has {digest[:12]}…: it is damaged or not the "
            f"published file. Restore it from the repository (git checkout), or start with --weights none."
        )
    try:
        roles, values = _read(data)
    except Exception as error:  # a foreign file can break the readers of zip, NumPy and JSON in any of their ways
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise WeightsError(
            f"Quantised weights are a file of schema {SCHEMA_VERSION} by write_quantised; {file} is none ({reason}). "
            f"Use one that is, or a .weights.h5 file."
        ) from error
    found = [f"{role} {value.shape}" for role, value in zip(roles, values, strict=True)]
    expected = [f"{weight.name} {tuple(weight.shape)}" for weight in base.weights]
    for k, (theirs, ours) in enumerate(zip_longest(found, expected, fillvalue="none")):
        if theirs != ours:
            raise WeightsError(
                f"The weights must be of the model's own architecture; number {k} in {file} is {theirs}, the model's "
                f"is {ours}. Use a file written from the same model without its top."
            )
    base.set_weights(values)


def _read(data: bytes) -> tuple[list[str], list[np.ndarray]]:
    """Returns role and float32 value of every weight in a file's bytes."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        about = json.loads(str(stored["about"]))
        if about["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"its schema is {about['schema_version']}")
        names = [f"{k:03}" for k in range(len(about["roles"]))]
        return about["roles"], [stored[name] * stored.get(f"{name}.scale", np.float32(1)) for name in names]
