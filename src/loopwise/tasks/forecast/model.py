"""The forecasting network as a torch module: parameters and layers around the shared definition."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwise.codec.series.windows import Windows
from loopwise.nn.ensemble import Ensemble
from loopwise.runtime.description import ForecasterDescription
from loopwise.runtime.forecast_network import Raw, Read, forward
from loopwise.runtime.lags import Index
from loopwise.tasks.forecast.config import ModelConfig
from loopwise.tasks.layers.modules import RecurrentLayers, add_tensor

FIRST_SAY = 2.0
"""The logit of the linear map among what the decoder mixes, before training."""

SPREAD_OUT = ("quantiles", "normal", "student-t")
FIRST_SPREAD = -2.0
"""What stands for the spread of these outputs before training: about an eighth of a window's."""


class Member(nn.Module):
    """One network.

    Args:
        description: as a bundle has it.
        config: what matters in training alone: dropout and initialisation.
    """

    def __init__(self, description: ForecasterDescription, config: ModelConfig):
        super().__init__()
        self.description, self.dropout = description, config.dropout
        self.layers = RecurrentLayers(description.layers, config, description.dilations)
        for name, shape in description.member_shapes().items():
            if not name.startswith("layers."):
                trained = not name.startswith("linear.")
                add_tensor(self, name, torch.empty(shape), trained=trained)
        self._initialise()

    def forward(self, windows: Windows, origins: int, chosen: Index | None) -> Raw:
        """As `loopwise.runtime.forecast_network.forward`; in training nothing yields to the map."""
        read, tensors = Read(self._read, self._drop, _gelu), self._own()
        if self.training and self.description.linear:
            tensors["linear.share"] = torch.zeros_like(tensors["linear.share"])
        return forward(self.description, tensors, windows, read, origins, chosen)

    def _own(self) -> dict[str, Tensor]:
        """The tensors without those of the layers."""
        named = [*self.named_parameters(), *self.named_buffers()]
        return {name: tensor for name, tensor in named if not name.startswith("layers.")}

    def _read(self, x: Tensor) -> Tensor:
        return self.layers(x).dropped

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)

    @torch.no_grad()
    def _initialise(self) -> None:
        for name, weight in self._own().items():
            if name in ("steps.weight", "channels.weight") or name.startswith("categories"):
                weight.normal_(0, 0.1)
            elif name == "smoothing.weight":
                weight.copy_(torch.tensor([-0.5, -0.5]))
            elif weight.ndim == 1:
                weight.zero_()
                if name == "head.bias":
                    self._set_out(weight)
            elif name != "linear.weight":
                bound = 1 / math.sqrt(weight.shape[1])
                weight.uniform_(-bound, bound)

    def _set_out(self, bias: Tensor) -> None:
        """Begin with the linear map and with forecasts about as sure as they will be."""
        d = self.description
        if d.decoder == "linear":
            return
        if d.linear:
            bias[d.lags] = FIRST_SAY
        for n in range(d.output.size):
            if n not in d.output.locations and d.output.name in SPREAD_OUT:
                bias[d.candidates + n] = FIRST_SPREAD


def _gelu(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


class ForecastNetwork(nn.Module):
    """Members side by side, each with weights of its own.

    Args:
        description: as a bundle has it.
        config: what matters in training alone.
    """

    def __init__(self, description: ForecasterDescription, config: ModelConfig):
        super().__init__()
        self.description = description
        self.members = Ensemble(Member(description, config) for _ in range(description.members))

    @torch.no_grad()
    def set_linear(self, weight: Tensor) -> None:
        """Give all members the linear map [h, W + 1]."""
        for member in self.members:
            member.get_buffer("linear.weight").copy_(weight)

    @torch.no_grad()
    def set_share(self, share: float) -> None:
        """Let all members leave so much of the location to the linear map, 0 to 1."""
        for member in self.members:
            member.get_buffer("linear.share").fill_(share)

    def forward(
        self, windows: Sequence[Windows], origins: int = 1, chosen: Index | None = None
    ) -> list[Raw]:
        """What each member makes of its own windows."""
        return [
            member(own, origins, chosen) for member, own in zip(self.members, windows, strict=True)
        ]
