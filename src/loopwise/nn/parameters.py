"""The parameters of a cell as a module holds them, for layers and single cells alike."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from loopwise.nn import init
from loopwise.nn.options import Options
from loopwise.nn.reference import Weights
from loopwise.runtime.shapes import FIELDS, GATES, parameter_shapes

_ONES = ("norm_weight_ih", "norm_weight_hh", "norm_weight_c")


def register(
    module: nn.Module,
    options: Options,
    suffix: str = "",
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Give `module` the parameters of one cell, each name ending in `suffix`; values unset."""
    for name, shape in parameter_shapes(options).items():
        value = torch.empty(shape, device=device, dtype=dtype)
        module.register_parameter(name + suffix, nn.Parameter(value))


def names(options: Options, suffix: str = "") -> dict[str, str]:
    """The names of a cell's parameters by field of `Weights`."""
    return {FIELDS[name]: name + suffix for name in parameter_shapes(options)}


def weights(module: nn.Module, names: Mapping[str, str]) -> Weights:
    """The live parameters of one cell of `module`, as they are now, parametrised or not."""
    own = module._parameters  # without a detour  # pyright: ignore[reportPrivateUsage]
    return Weights(
        **{
            field: getattr(module, name) if (part := own.get(name)) is None else part
            for field, name in names.items()
        }
    )


@torch.no_grad()
def reset(module: nn.Module, options: Options, suffix: str = "") -> None:
    """Draw the values of one cell: as torch does, then what `options` ask beyond it."""
    bound = 1 / math.sqrt(options.hidden_size)
    for name in parameter_shapes(options):
        tensor: Tensor = getattr(module, name + suffix)
        if name in _ONES:
            nn.init.ones_(tensor)
        elif name == "norm_bias_c":
            nn.init.zeros_(tensor)
        else:
            nn.init.uniform_(tensor, -bound, bound)
    w = weights(module, names(options, suffix))
    if options.init == "orthogonal":
        init.orthogonal_(w.hh, GATES[options.cell])
    if w.bias_ih is not None and w.bias_hh is not None:
        if options.forget_bias is not None:
            init.forget_bias_(options.cell, w.bias_ih, w.bias_hh, options.forget_bias)
        if options.chrono is not None:
            init.chrono_(options.cell, w.bias_ih, w.bias_hh, options.chrono)
