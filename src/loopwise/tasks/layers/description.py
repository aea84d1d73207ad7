"""Recurrent layers as a bundle describes them, from their options. No torch here."""

from loopwise.runtime.description import LayerDescription
from loopwise.tasks.layers.config import LayersConfig


def describe_layers(
    config: LayersConfig, input_size: int, *, bidirectional: bool = False
) -> tuple[LayerDescription, ...]:
    """The layers as a bundle will describe them, for inputs of `input_size` features."""
    layers: list[LayerDescription] = []
    size = input_size
    for units in config.sizes:
        output = (config.proj_size or units) * (1 + bidirectional)
        layers.append(
            LayerDescription(
                cell=config.cell,
                input_size=size,
                hidden_size=units,
                proj_size=config.proj_size,
                bias=True,
                nonlinearity=config.nonlinearity if config.cell == "rnn" else "tanh",
                layer_norm=config.layer_norm,
                peephole=config.peephole,
                zoneout=(config.zoneout,) * (2 if config.cell == "lstm" else 1),
                learn_initial_state=config.learn_initial_state,
                residual=config.residual and size == output,
                bidirectional=bidirectional,
            )
        )
        size = output
    return tuple(layers)
