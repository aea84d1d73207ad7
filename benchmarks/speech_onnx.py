"""A recognizer's network in ONNX, and in onnxruntime: patches of frames to log-probabilities."""

from collections.abc import Mapping

import numpy as np
from contenders import Array, in_onnxruntime, in_order

from loopwise.runtime.description import LayerDescription, RecognizerDescription

Tensors = Mapping[str, Array]


class OnnxNetwork:
    """The network, of one utterance.

    Args:
        description: of a network that `is_plain`.
        tensors: its own.
        threads: of onnxruntime.
    """

    def __init__(self, description: RecognizerDescription, tensors: Tensors, threads: int):
        self._run = in_onnxruntime(onnx_model(description, tensors), threads)
        self._start = {
            name: np.zeros((1, 1, size), np.float32) for name, size in _states(description).items()
        }
        self._state = self._start

    def read(self, patches: Array) -> Array:
        """Patches [K, 1, w F] of a whole utterance to log-probabilities [K, 1, V]."""
        return self._run({"patches": patches, **self._start})[0]

    def push(self, patches: Array) -> Array:
        """Those of a stream; the next call goes on from there."""
        log_probs, *after = self._run({"patches": patches, **self._state})
        self._state = dict(zip(self._state, after, strict=True))
        return log_probs


def is_plain(description: RecognizerDescription) -> bool:
    """Whether it is one network of nothing but LSTM layers and the head of CTC."""
    d = description
    plain = d.members == 1 and d.ctc and not d.channels and not d.lookahead
    return plain and all(map(_is_plain, d.layers))


def _is_plain(layer: LayerDescription) -> bool:
    options = (
        layer.proj_size, layer.layer_norm, layer.peephole, any(layer.zoneout), layer.residual,
        layer.learn_initial_state,
    )  # fmt: skip
    return layer.cell == "lstm" and layer.bias and not any(options)


def onnx_model(description: RecognizerDescription, tensors: Tensors) -> bytes:
    """The network for any number of steps; states of layers that read forwards go in and out."""
    from onnx import TensorProto, helper, numpy_helper

    states = _states(description)
    held, nodes, x = dict[str, Array](), [], "patches"
    for n, layer in enumerate(description.layers):
        held |= {f"{name}{n}": array for name, array in _weights(layer, tensors, n).items()}
        # of one utterance the directions [K, D, 1, H] already stand side by side
        held[f"shape{n}"] = np.array([0, 1, layer.output_size])
        before = [f"h{n}", f"c{n}"] if states else ["", ""]
        after = [f"{name}_after" for name in before if name]
        direction = "bidirectional" if layer.bidirectional else "forward"
        nodes += [
            helper.make_node(
                "LSTM", [x, f"W{n}", f"R{n}", f"B{n}", "", *before], [f"both{n}", *after],
                hidden_size=layer.hidden_size, direction=direction,
            ),
            helper.make_node("Reshape", [f"both{n}", f"shape{n}"], [f"y{n}"]),
        ]  # fmt: skip
        x = f"y{n}"
    held |= {"head": tensors["head.weight"].T, "bias": tensors["head.bias"]}
    nodes += [
        helper.make_node("MatMul", [x, "head"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=-1),
    ]

    def value(name: str, *shape: int | str):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "recognizer",
        [
            value("patches", "K", 1, description.patch_size),
            *(value(name, 1, 1, size) for name, size in states.items()),
        ],
        [
            value("log_probs", "K", 1, description.units),
            *(value(f"{name}_after", 1, 1, size) for name, size in states.items()),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(v), name) for name, v in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def _weights(layer: LayerDescription, tensors: Tensors, n: int) -> dict[str, Array]:
    """[D, 4 H, ...] of each direction."""

    def gates(name: str) -> Array:
        each = (tensors[f"layers.{n}.{name}{suffix}"] for suffix in layer.suffixes)
        return np.stack([in_order("LSTM", weight) for weight in each])

    bias = np.concatenate([gates("bias_ih"), gates("bias_hh")], axis=1)
    return {"W": gates("weight_ih"), "R": gates("weight_hh"), "B": bias}


def _states(description: RecognizerDescription) -> dict[str, int]:
    """Sizes of what a stream keeps; none of layers that read both ways."""
    if description.bidirectional:
        return {}
    layers = enumerate(description.layers)
    return {f"{part}{n}": layer.hidden_size for n, layer in layers for part in "hc"}
