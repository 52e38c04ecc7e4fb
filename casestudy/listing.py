"""A network as a list of operations and their numbers, rounded: for what runs it without Keras, such as a page.

Nothing here needs Keras: its layers are told by their names and asked for what they hold. An operation is a dict of its
kind, the numbers of the results that go in (`from`; 0 is the picture, float32 (1, height, width, C) of 0-255, k the
k-th operation's), and its settings. Arrays among these become places in one row of bytes; see `packed`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from casestudy.errors import DataError

# Parameters up to which kernels are float16: small networks suffer from int8, and are small anyway.
MOST_HALF = 5_000_000
FOLDED = ("conv", "depthwise", "dense")  # a BatchNormalization that follows one of these becomes part of it
ACTIVATIONS = {"relu": {}, "relu6": {"most": 6.0}}
ALONE = {"strides": [1, 1], "dilation": [1, 1], "pad": "valid"}  # each place by itself, without its neighbours
NOTHING = ("InputLayer", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization")


def quantise(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns int8 values from -127 to 127 and float32 scales, one an output channel: together, nearly the kernel.

    The largest value of a channel decides its scale, and no value moves by more than half of it.

    >>> values, scale = quantise(np.array([[127.0, 0.0, -63.5], [-0.5, 0.0, 0.25]]))
    >>> values.tolist(), scale.tolist()
    ([[127, 0, -127], [0, 0, 0]], [[1.0, 1.0, 0.5]])
    """
    kernel = kernel.astype("float32")
    # A depthwise kernel, (height, width, channels, 1), has its output channels last but one.
    channels = (2, 3) if kernel.shape[3:] == (1,) else (kernel.ndim - 1,)
    others = tuple(axis for axis in range(kernel.ndim) if axis not in channels)
    scale = np.abs(kernel).max(axis=others, keepdims=True) / np.float32(127)
    scale[scale < np.finfo("float32").tiny] = 1  # a channel of zeros
    return np.rint(kernel / scale).astype("int8"), scale


class Listing:
    """The list while it is written; each method adds an operation and returns the number of its result."""

    def __init__(self, half: bool = True) -> None:
        self.operations: list[dict[str, Any]] = []
        self.half = half  # kernels are float16, or else int8 with a scale for each output channel

    def add(self, kind: str, *inputs: int, **settings: Any) -> int:
        self.operations.append({"kind": kind, "from": list(inputs), **settings})
        return len(self.operations)

    def weighted(self, kind: str, x: int, kernel: np.ndarray, bias: np.ndarray, **settings: Any) -> int:
        ones = np.ones(kernel.shape[-1], "float32")
        values, scale = (kernel.astype("float16"), ones) if self.half else quantise(kernel)
        if kind == "depthwise":  # one scale for each output channel, where an input channel has several, too
            scale = np.broadcast_to(scale, (1, 1, *kernel.shape[2:]))
        return self.add(kind, x, kernel=values, scale=scale.ravel(), bias=bias.astype("float32"), **settings)

    def affine(self, x: int, scale: np.ndarray, shift: np.ndarray) -> int:
        return self.add("affine", x, scale=scale.astype("float32"), bias=shift.astype("float32"))

    def convolved(self, x: int, kernel: np.ndarray, bias: np.ndarray, stride: int = 1, dilation: int = 1) -> int:
        how = {"strides": [stride] * 2, "dilation": [dilation] * 2, "pad": dilation}
        return self.weighted("conv", x, kernel, bias, **how)

    def each(self, x: int, kernel: np.ndarray, bias: np.ndarray) -> int:
        return self.weighted("conv", x, kernel[None, None], bias, **ALONE)

    def mean(self, x: int, keep: bool = True) -> int:
        return self.add("mean", x, keep=keep)

    def sum(self, x: int, y: int) -> int:
        return self.add("add", x, y)

    def relu(self, x: int) -> int:
        return self.add("relu", x)

    def packed(self) -> tuple[list[dict[str, Any]], bytes]:
        """Returns the operations, an array as {"type", "shape", "at"}, and the bytes where it lies, little-endian.

        The same array has one place. Each begins at a multiple of four bytes.
        """
        places: dict[bytes, int] = {}
        pieces: list[bytes] = []
        length = 0

        def placed(value: Any) -> Any:
            nonlocal length
            if not isinstance(value, np.ndarray):
                return value
            data = value.astype(value.dtype.newbyteorder("<")).tobytes()
            data += bytes(-len(data) % 4)
            if data not in places:
                places[data] = length
                pieces.append(data)
                length += len(data)
            return {"type": value.dtype.name, "shape": list(value.shape), "at": places[data]}

        listed = [{name: placed(value) for name, value in one.items()} for one in _folded(self.operations)]
        return listed, b"".join(pieces)


def _folded(operations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the list in which a scaling of each channel is part of the layer before it, where only it reads that."""
    uses = Counter(number for one in operations for number in one["from"])
    found: list[dict[str, Any]] = []
    place = {0: 0}
    for number, one in enumerate(operations, 1):
        source = one["from"][0]
        before = found[place[source] - 1] if source else {}
        if one["kind"] == "affine" and before.get("kind") in FOLDED and uses[source] == 1:
            before["bias"] = before["bias"] * one["scale"] + one["bias"]
            before["scale"] = before["scale"] * one["scale"]
            place[number] = place[source]
        else:
            found.append({**one, "from": [place[k] for k in one["from"]]})
            place[number] = len(found)
    return found


def list_network(model: Any) -> Listing:
    """Returns what a Keras network does with one picture when it is used; layers of training alone are left out.

    A DataError names a layer that cannot be listed.
    """
    listing = Listing(half=model.count_params() <= MOST_HALF)
    _walk(listing, model, [0])
    return listing


def _walk(listing: Listing, model: Any, inputs: list[int]) -> int:
    """Lists a network of layers; returns the number of its result."""
    if type(model).__name__ == "Sequential":
        for layer in model.layers:
            inputs = [_layer(listing, layer, inputs)]
        return inputs[0]
    known = {id(tensor): number for tensor, number in zip(model.inputs, inputs, strict=True)}
    for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True):  # deepest first: those that others read
        for node in nodes:
            if not node.is_input:
                number = _layer(listing, node.operation, [known[id(one)] for one in node.arguments.keras_tensors])
                known |= {id(tensor): number for tensor in node.outputs}
    return known[id(model.outputs[0])]


def _layer(listing: Listing, layer: Any, inputs: list[int]) -> int:
    """Lists one layer; returns the number of its result."""
    kind, x = type(layer).__name__, inputs[0]
    if kind in NOTHING or kind.startswith("Random"):
        return x
    if hasattr(layer, "layers"):
        return _walk(listing, layer, inputs)
    if getattr(layer, "data_format", "channels_last") == "channels_last" and getattr(layer, "groups", 1) == 1:
        number = _listed(listing, kind, layer, inputs)
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if number and activation in ACTIVATIONS:
            return listing.add("relu", number, **ACTIVATIONS[activation])
        if number and activation == "softmax":
            return listing.add("softmax", number)
        if number and activation == "linear":
            return number
    raise DataError(
        f"A page runs networks of the usual layers; {layer.name} ({kind}) is none that it knows. Read photographs "
        f"with this one in Python: casestudy read RUN PHOTO."
    )


def _listed(listing: Listing, kind: str, layer: Any, inputs: list[int]) -> int:
    """Lists what a layer does before its activation; returns the number of the result, 0 where it is not known."""
    x = inputs[0]
    match kind:
        case "Activation":
            return x
        case "ReLU":
            slope, most = float(layer.negative_slope), layer.max_value
            limit = {} if most is None else {"most": float(most)}
            return 0 if layer.threshold or (slope and limit) else listing.add("relu", x, slope=slope, **limit)
        case "LeakyReLU":
            return listing.add("relu", x, slope=float(layer.negative_slope))
        case "Softmax" if layer.axis == -1:
            return listing.add("softmax", x)
        case "Rescaling":
            return listing.affine(x, np.atleast_1d(layer.scale), np.atleast_1d(layer.offset))
        case "BatchNormalization":
            scale = 1 / np.sqrt(layer.moving_variance.numpy().astype("float64") + layer.epsilon)
            scale *= layer.gamma.numpy() if layer.scale else 1
            shift = (layer.beta.numpy() if layer.center else 0) - layer.moving_mean.numpy() * scale
            return listing.affine(x, scale, shift)
        case "Conv2D" | "DepthwiseConv2D" | "SeparableConv2D" | "Conv2DTranspose" | "Dense":
            return _weighted(listing, kind, layer, x)
        case "MaxPooling2D" | "AveragePooling2D":
            pool = "max" if kind.startswith("Max") else "average"
            size, strides = list(layer.pool_size), list(layer.strides)
            return listing.add("pool", x, pool=pool, size=size, strides=strides, pad=layer.padding)
        case "GlobalAveragePooling2D" | "GlobalMaxPooling2D" if not layer.keepdims:
            return listing.mean(x, keep=False) if kind == "GlobalAveragePooling2D" else listing.add("max", x)
        case "ZeroPadding2D":
            return listing.add("pad", x, by=[[0, 0], *map(list, layer.padding), [0, 0]])
        case "Add":
            total = x
            for other in inputs[1:]:
                total = listing.sum(total, other)
            return total
        case "Average" if len(inputs) == 2:
            return listing.affine(listing.sum(*inputs), np.array([0.5]), np.zeros(1))
        case "Concatenate" if layer.axis == -1:
            return listing.add("concat", *inputs)
        case "Flatten":
            return listing.add("flatten", x)
        case "Flip" if layer.axis == 2:
            return listing.add("mirror", x)
        case "Resizing" if layer.interpolation == "bilinear" and not (
            layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio or layer.antialias
        ):
            return listing.add("resize", x, size=[layer.height, layer.width])
    return 0


def _weighted(listing: Listing, kind: str, layer: Any, x: int) -> int:
    """Lists a layer with a kernel."""
    kernels = [one.numpy() for one in layer.weights if "kernel" in one.name]
    if kind == "Conv2DTranspose":
        channels = kernels[0].shape[2]  # (height, width, out, in)
    else:
        channels = int(np.prod(kernels[-1].shape[2:])) if kind == "DepthwiseConv2D" else kernels[-1].shape[-1]
    bias = layer.bias.numpy() if layer.use_bias else np.zeros(channels)
    if kind == "Dense":
        return listing.weighted("dense", x, kernels[0], bias)
    how = {"strides": list(layer.strides), "dilation": list(layer.dilation_rate), "pad": layer.padding}
    if kind == "Conv2DTranspose":
        known = layer.output_padding is None and how["dilation"] == [1, 1]
        return listing.weighted("enlarge", x, kernels[0], bias, **how, filters=channels) if known else 0
    if kind == "SeparableConv2D":
        x = listing.weighted("depthwise", x, kernels[0], np.zeros(int(np.prod(kernels[0].shape[2:]))), **how)
        how = ALONE
    return listing.weighted("depthwise" if kind == "DepthwiseConv2D" else "conv", x, kernels[-1], bias, **how)
