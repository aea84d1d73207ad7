"""The parameters of a cell: names and shapes in one place, for layers and single cells alike."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from loopwise.nn import init
from loopwise.nn.options import Options
from loopwise.nn.reference import GATES, Weights

_ONES = ("norm_weight_ih", "norm_weight_hh", "norm_weight_c")


def parameter_shapes(options: Options) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """(name, shape, field of `Weights`) of each parameter, torch's first and in torch's order."""
    hidden, gates = options.hidden_size, GATES[options.cell] * options.hidden_size
    yield "weight_ih", (gates, options.input_size), "ih"
    yield "weight_hh", (gates, options.output_size), "hh"
    if options.bias:
        yield "bias_ih", (gates,), "bias_ih"
        yield "bias_hh", (gates,), "bias_hh"
    if options.proj_size:
        yield "weight_hr", (options.proj_size, hidden), "hr"
    if options.peephole:
        yield "weight_peephole", (3, hidden), "peephole"
    if options.layer_norm:
        yield "norm_weight_ih", (gates,), "norm_ih"
        yield "norm_weight_hh", (gates,), "norm_hh"
        if options.cell == "lstm":
            yield "norm_weight_c", (hidden,), "norm_c"
            yield "norm_bias_c", (hidden,), "norm_c_bias"


def register(
    module: nn.Module,
    options: Options,
    suffix: str = "",
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Give `module` the parameters of one cell, each name ending in `suffix`; values unset."""
    for name, shape, _ in parameter_shapes(options):
        value = torch.empty(shape, device=device, dtype=dtype)
        module.register_parameter(name + suffix, nn.Parameter(value))


def weights(module: nn.Module, options: Options, suffix: str = "") -> Weights:
    """The live parameters of one cell of `module`, as they are now, parametrised or not."""
    return Weights(
        **{field: getattr(module, name + suffix) for name, _, field in parameter_shapes(options)}
    )


@torch.no_grad()
def reset(module: nn.Module, options: Options, suffix: str = "") -> None:
    """Draw the values of one cell: as torch does, then what `options` ask beyond it."""
    bound = 1 / math.sqrt(options.hidden_size)
    for name, _, _ in parameter_shapes(options):
        tensor: Tensor = getattr(module, name + suffix)
        if name in _ONES:
            nn.init.ones_(tensor)
        elif name == "norm_bias_c":
            nn.init.zeros_(tensor)
        else:
            nn.init.uniform_(tensor, -bound, bound)
    w = weights(module, options, suffix)
    if options.init == "orthogonal":
        init.orthogonal_(w.hh, GATES[options.cell])
    if w.bias_ih is not None and w.bias_hh is not None:
        if options.forget_bias is not None:
            init.forget_bias_(options.cell, w.bias_ih, w.bias_hh, options.forget_bias)
        if options.chrono is not None:
            init.chrono_(options.cell, w.bias_ih, w.bias_hh, options.chrono)
