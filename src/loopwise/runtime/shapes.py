"""The tensors of a recurrent layer, for training and deployment alike: their names and shapes."""

from typing import Protocol

Shapes = dict[str, tuple[int, ...]]

GATES = {"rnn": 1, "rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
"""Gates by cell; a name may say an rnn's nonlinearity or not."""

FIELDS = {
    "weight_ih": "ih",
    "weight_hh": "hh",
    "bias_ih": "bias_ih",
    "bias_hh": "bias_hh",
    "weight_hr": "hr",
    "weight_peephole": "peephole",
    "norm_weight_ih": "norm_ih",
    "norm_weight_hh": "norm_hh",
    "norm_weight_c": "norm_c",
    "norm_bias_c": "norm_c_bias",
}
"""Weights by the names of their parameters: what each is to a cell."""

MATRICES = frozenset(
    f"weight{which}"
    for which in (
        "",
        *(f"_{part}_l0{end}" for part in ("ih", "hh", "hr") for end in ("", "_reverse")),
    )
)
"""Ends of the names, in a bundle, of what has a row for each output, or for each token."""

INITIAL = ("initial_h", "initial_c")
"""Names of a learned initial state's tensors, as many as the state has."""


class _Layer(Protocol):
    @property
    def cell(self) -> str: ...
    @property
    def input_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def proj_size(self) -> int: ...
    @property
    def bias(self) -> bool: ...
    @property
    def layer_norm(self) -> bool: ...
    @property
    def peephole(self) -> bool: ...


def output_size(layer: _Layer) -> int:
    """The size of a layer's output at one step in one direction: P with a projection, else H."""
    return layer.proj_size or layer.hidden_size


def state_sizes(layer: _Layer) -> tuple[int, ...]:
    """The sizes of the tensors of a layer's state: (h, c) in an lstm, (h,) in the others.

    A projected gru keeps its state whole.
    """
    if layer.cell == "lstm":
        return output_size(layer), layer.hidden_size
    return (layer.hidden_size if layer.cell == "gru" else output_size(layer),)


def parameter_shapes(layer: _Layer) -> Shapes:
    """Name -> shape of a layer's parameters in one direction: torch's names in torch's order.

    Those that torch lacks come last. The suffix of layer and direction, such as ``_l0``, is left
    out, and so is the learned initial state, which the layers of a stack share.
    """
    hidden, gates = layer.hidden_size, GATES[layer.cell] * layer.hidden_size
    shapes: Shapes = {"weight_ih": (gates, layer.input_size)}
    shapes["weight_hh"] = (gates, output_size(layer))
    if layer.bias:
        shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
    if layer.proj_size:
        shapes["weight_hr"] = (layer.proj_size, hidden)
    if layer.peephole:
        shapes["weight_peephole"] = (3, hidden)
    if layer.layer_norm:
        shapes |= {"norm_weight_ih": (gates,), "norm_weight_hh": (gates,)}
        if layer.cell == "lstm":
            shapes |= {"norm_weight_c": (hidden,), "norm_bias_c": (hidden,)}
    return shapes
