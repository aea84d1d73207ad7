"""Put loopwise's layers where a model has torch's."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from loopwise.nn.cells import GRUCell, LSTMCell, RNNCell, SingleCell
from loopwise.nn.layers import GRU, LSTM, RNN, Layer


@dataclass(frozen=True)
class Accelerated:
    """What `accelerate` did."""

    module: nn.Module
    """the module given, or its replacement where it was itself a recurrent layer"""
    replaced: tuple[str, ...]
    """names of the layers that were replaced"""
    left: dict[str, str]
    """names of the recurrent layers that were left as they are, each with the reason"""


def accelerate(module: nn.Module) -> Accelerated:
    """Replace every `torch.nn` RNN, LSTM, GRU and cell inside `module` in place.

    The replacements hold the very same parameters, so optimisers, state dicts and shared weights
    go on as before. Subclasses, parametrised layers and layers with hooks behave in ways that a
    replacement would lose: they are left, and named with the reason.

    Args:
        module: any module. If it is itself a recurrent layer, use `Accelerated.module` instead.

    Returns:
        what was replaced and what was left.
    """
    replaced: list[str] = []
    left: dict[str, str] = {}
    known: dict[nn.Module, nn.Module] = {}
    for name, child in list(module.named_modules(remove_duplicate=False)):
        if not isinstance(child, nn.RNNBase | nn.RNNCellBase):
            continue
        reason = _reason_to_leave(child)
        if reason is not None:
            left[name] = reason
            continue
        if child not in known:
            known[child] = _replacement(child)
        fresh = known[child]
        replaced.append(name)
        if not name:
            return Accelerated(fresh, ("",), left)
        parent, _, attribute = name.rpartition(".")
        setattr(module.get_submodule(parent), attribute, fresh)
    return Accelerated(module, tuple(replaced), left)


def _reason_to_leave(module: nn.Module) -> str | None:
    kinds = (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell)
    if nn.utils.parametrize.is_parametrized(module):
        return "its weights are parametrised; make it a loopwise layer before parametrising"
    if type(module) not in kinds:
        return f"{type(module).__name__} is a subclass, whose changes a replacement would lose"
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(module, hook) for hook in hooks):
        return "it has hooks"
    for name in getattr(module, "_flat_weights_names", ("weight_ih", "weight_hh")):
        if not isinstance(getattr(module, name), nn.Parameter):
            return f"its {name} is not a parameter"
    return None


def _replacement(module: nn.RNNBase | nn.RNNCellBase) -> nn.Module:
    fresh = same_layer(module) if isinstance(module, nn.RNNBase) else _same_cell(module)
    for name, _ in list(fresh.named_parameters()):
        setattr(fresh, name, getattr(module, name))
    return fresh.train(module.training)


def same_layer(module: nn.RNNBase) -> Layer:
    """The loopwise layer that computes what `module` does, with parameters on no device."""
    arguments: dict[str, Any] = {
        "num_layers": module.num_layers,
        "bias": module.bias,
        "batch_first": module.batch_first,
        "dropout": module.dropout,
        "bidirectional": module.bidirectional,
        "device": "meta",
    }
    sizes = (module.input_size, module.hidden_size)
    if isinstance(module, nn.RNN):
        return RNN(*sizes, nonlinearity=module.nonlinearity, **arguments)
    if isinstance(module, nn.LSTM):
        return LSTM(*sizes, proj_size=module.proj_size, **arguments)
    return GRU(*sizes, **arguments)


def _same_cell(module: nn.RNNCellBase) -> SingleCell:
    sizes = (module.input_size, module.hidden_size, module.bias)
    if isinstance(module, nn.RNNCell):
        return RNNCell(*sizes, nonlinearity=module.nonlinearity, device="meta")
    kind = LSTMCell if isinstance(module, nn.LSTMCell) else GRUCell
    return kind(*sizes, device="meta")
