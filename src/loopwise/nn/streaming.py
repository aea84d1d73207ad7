"""A layer's weights as they are now, as streams over NumPy arrays."""

from typing import TYPE_CHECKING, Any

import torch

from loopwise import engine
from loopwise.errors import ConfigError
from loopwise.nn.options import Options
from loopwise.runtime.description import LayerDescription
from loopwise.runtime.modules import Stack
from loopwise.runtime.native import engine_takes, pack
from loopwise.runtime.precision import require_precision
from loopwise.runtime.shapes import INITIAL, parameter_shapes
from loopwise.runtime.steps import NumpySteps, Steps
from loopwise.runtime.stream import Numbers, Stream, fingerprint_of, require_streams

if TYPE_CHECKING:
    from loopwise.nn.layers import Layer


def open_streams(layer: "Layer", streams: int, dtype: str) -> Stream:
    """See `loopwise.nn.layers.Layer.stream`."""
    if layer.bidirectional:
        raise ConfigError("stream: a bidirectional layer needs the end before the beginning")
    require_precision(dtype)
    layers = [describe(layer.layer_options(k)) for k in range(layer.num_layers)]
    tensors = _tensors(layer, layers)
    steps = _steps(layers, tensors, require_streams(streams), dtype)
    numbers = next(iter(tensors.values())).dtype
    return Stream(
        steps, Numbers(layer.input_size, numbers), layers, numbers, fingerprint_of(tensors)
    )


def describe(options: Options) -> LayerDescription:
    """The options of a layer that deployment knows, as a bundle has them."""
    return LayerDescription(
        cell="rnn" if options.cell.startswith("rnn") else options.cell,  # pyright: ignore
        input_size=options.input_size,
        hidden_size=options.hidden_size,
        proj_size=options.proj_size,
        bias=options.bias,
        nonlinearity="relu" if options.cell == "rnn_relu" else "tanh",
        layer_norm=options.layer_norm,
        peephole=options.peephole,
        zoneout=options.zoneout or (0.0,) * len(options.state_sizes),
        learn_initial_state=options.learn_initial_state,
        residual=False,
    )


@torch.no_grad()
def _tensors(layer: "Layer", layers: list[LayerDescription]) -> dict[str, Any]:
    """By the names of a bundle, ``"k.weight_ih_l0"``; copies."""
    tensors: dict[str, torch.Tensor] = {}
    for k, described in enumerate(layers):
        for name in parameter_shapes(described):
            tensors[f"{k}.{name}_l0"] = getattr(layer, f"{name}_l{k}")
        if described.learn_initial_state:
            for name, _ in zip(INITIAL, described.state_sizes, strict=False):
                tensors[f"{k}.{name}"] = getattr(layer, name)[k : k + 1]
    dtype = torch.float64 if layer.weights(0).ih.dtype == torch.float64 else torch.float32
    return {
        name: tensor.detach().cpu().to(dtype, copy=True).numpy() for name, tensor in tensors.items()
    }


def _steps(
    layers: list[LayerDescription], tensors: dict[str, Any], streams: int, dtype: str
) -> Steps:
    if engine_takes(layers, tensors):
        return engine.streams(pack(layers, tensors, {}, dtype), streams)
    if dtype != "float32":
        raise ConfigError(f"dtype={dtype!r}: needs the native engine and a float32 layer")
    stack = Stack(layers, tensors)
    return NumpySteps(layers, stack.initial_state(1), stack.forward, streams)
