"""The oracle: the reference in float64, and one table of tolerances for whatever is held to it."""

from unittest import mock

import torch
import torch._dynamo  # before anything is mocked: at its import it looks at what is mocked here

from loopwise.nn.backend import AVAILABLE, backend
from loopwise.nn.state import leaves, map_state

BACKENDS = AVAILABLE

TOLERANCES = {torch.float64: 1e-10, torch.float32: 3e-5, torch.bfloat16: 0.06}
"""largest error allowed, in units of 1 + the largest value of the tensor"""


def solve(layer, x, hx=None, *, on="torch", seed=3, **request):
    """Everything that a layer computes for a batch, by name.

    Outputs, final states, histories where asked for, and the gradients of a random projection of
    all of them by the input, the state and every parameter.
    """
    device, dtype = x.device, x.dtype
    x = x.detach().clone().requires_grad_()
    hx = None if hx is None else map_state(lambda s: s.detach().clone().requires_grad_(), hx)
    with backend(on):
        y, state, *history = layer(x, hx, **request)
        found = {"output": y}
        found |= {f"state {k}": part for k, part in enumerate(leaves(state))}
        for record in history:
            found |= {f"states {k}": part for k, part in enumerate(leaves(record.states))}
            found |= {} if record.gates is None else {"gates": record.gates}
        generator = torch.Generator().manual_seed(seed)
        total = torch.zeros((), dtype=torch.float64, device=device)
        for part in found.values():
            weight = torch.randn(part.shape, generator=generator, dtype=torch.float64)
            total = total + (part.double() * weight.to(device, dtype).double()).sum()
        inputs = {"input": x, **dict(layer.named_parameters())}
        inputs |= {} if hx is None else {f"hx {k}": part for k, part in enumerate(leaves(hx))}
        grads = torch.autograd.grad(total, list(inputs.values()), materialize_grads=True)
    found |= {f"gradient of {name}": g for name, g in zip(inputs, grads, strict=True)}
    return {name: part.detach() for name, part in found.items()}


def assert_agree(found, expected, tolerance=TOLERANCES[torch.float64]):
    """Compare two results of `solve`, tensor by tensor."""
    assert found.keys() == expected.keys()
    for name, want in expected.items():
        assert_near(found[name], want, tolerance, name)


def assert_near(found, expected, tolerance=TOLERANCES[torch.float64], name="value"):
    """Compare two tensors, scaled as `TOLERANCES` says; NaN never passes."""
    assert found.shape == expected.shape, f"{name}: {found.shape} is not {expected.shape}"
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    if not expected.numel():
        return
    error = ((found - expected).abs().max() / (1 + expected.abs().max())).item()
    assert error <= tolerance, f"{name}: error {error:.3g} is above {tolerance:.3g}"


class AsOperator(torch.nn.Module):
    """A layer whose recurrences go through the operator, outside of any compilation."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.named_parameters = layer.named_parameters

    def forward(self, *arguments, **options):
        with mock.patch("torch.compiler.is_compiling", return_value=True):
            return self.layer(*arguments, **options)
