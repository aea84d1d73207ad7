"""torch.nn's layers in other engines, where those are installed; ``make bench`` installs them."""

from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
from torch import nn

Array = np.ndarray
Call = Callable[[Array], tuple[Array, ...]]
"""Input [T, B, I] to output [T, 1, B, H] and new state; the next call goes on from there."""

INSTALLED = {
    name: version(name)
    for name in ("onnxruntime", "openvino")
    if find_spec("onnx") and find_spec(name)
}


def open_layer(name: str, layer: nn.RNNBase, steps: int, rows: int, threads: int) -> Call:
    """A layer, for so many steps of so many rows a call, by one of `INSTALLED`."""
    model = onnx_model(layer, steps, rows)
    run = {"onnxruntime": in_onnxruntime, "openvino": in_openvino}[name](model, threads)
    names = ("h", "c")[: 2 if layer.mode == "LSTM" else 1]
    state = {each: np.zeros((1, rows, layer.hidden_size), np.float32) for each in names}

    def call(x: Array) -> tuple[Array, ...]:
        results = run({"x": x, **state})
        state.update(zip(names, results[1:], strict=True))
        return results

    return call


def onnx_model(layer: nn.RNNBase, steps: int, rows: int) -> bytes:
    """The layer in ONNX; states go in and come out."""
    from onnx import TensorProto, helper

    cell = layer.mode.split("_")[0]

    def gates(name: str) -> Array:
        return in_order(cell, getattr(layer, name).detach().numpy())

    bias = np.concatenate([gates("bias_ih_l0"), gates("bias_hh_l0")])
    tensors = {"W": gates("weight_ih_l0"), "R": gates("weight_hh_l0"), "B": bias}
    names = ("h", "c") if cell == "LSTM" else ("h",)
    after = [f"{name}_after" for name in names]
    options = {"linear_before_reset": 1} if cell == "GRU" else {}
    node = helper.make_node(
        cell, ["x", "W", "R", "B", "", *names], ["y", *after], hidden_size=layer.hidden_size,
        **options,
    )  # fmt: skip

    def value(name: str, *shape: int):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    state = (1, rows, layer.hidden_size)
    graph = helper.make_graph(
        [node],
        "layer",
        [value("x", steps, rows, layer.input_size), *(value(name, *state) for name in names)],
        [value("y", steps, *state), *(value(name, *state) for name in after)],
        [
            helper.make_tensor(name, TensorProto.FLOAT, (1, *array.shape), array.flatten())
            for name, array in tensors.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def in_order(cell: str, weight: Array) -> Array:
    """Gates as onnx orders them, i o f c or z r h, of a weight or bias as torch does."""
    order = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}[cell]
    parts = np.split(weight, len(order))
    return np.concatenate([parts[k] for k in order])


def in_onnxruntime(model: bytes, threads: int) -> Callable[[dict[str, Array]], tuple[Array, ...]]:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    session = InferenceSession(model, options)
    return lambda feed: tuple(session.run(None, feed))


def in_openvino(model: bytes, threads: int) -> Callable[[dict[str, Array]], tuple[Array, ...]]:
    from openvino import Core

    core = Core()
    options = {
        "INFERENCE_NUM_THREADS": str(threads),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16, where the processor has it
    }
    compiled = core.compile_model(core.read_model(model), "CPU", options)
    request = compiled.create_infer_request()
    return lambda feed: tuple(request.infer(feed).to_tuple())
