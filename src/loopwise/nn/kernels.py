"""The kernels in torch operations."""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import cast

import torch
from torch import Tensor

from loopwise.nn import reference
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Hidden, Scan, Weights
from loopwise.nn.rows import run_rows
from loopwise.nn.state import State


def compute(problem: Problem, backend: str) -> Scan:
    """`recurrence` by one backend, in differentiable torch operations."""
    extras = problem.mask is not None or problem.keep or problem.trace
    fast = backend == "torch" and not extras and _torch_can(problem.cell, problem.weights)

    def run(inputs: Sequence[Tensor], fixed: Sequence[Tensor], state: State):
        x, *keep = inputs
        mask = fixed[0] if fixed else None
        if fast and x.numel():
            scan = _torch_scan(problem.cell, x, cast(Hidden, state), problem.weights)
        else:
            scan = reference.scan(
                problem.cell,
                x,
                cast(Hidden, state),
                problem.weights,
                mask=mask,
                keep=keep,
                trace=problem.trace,
            )
        gates = () if scan.gates is None else (scan.gates,)
        return (scan.output, *gates, *scan.states), scan.state

    outputs, state = run_rows(
        run,
        (problem.x, *problem.keep),
        () if problem.mask is None else (problem.mask,),
        problem.state,
        restart=problem.restart,
        lengths=problem.lengths,
        reset=problem.reset,
        reverse=problem.reverse,
    )
    y, *rest = outputs
    gates, states = (rest[0], tuple(rest[1:])) if problem.trace else (None, ())
    return Scan(y, cast(Hidden, state), states, gates)


def compute_step(cell: str, x: Tensor, state: Hidden, w: Weights, backend: str) -> Hidden:
    """One step of a single cell, which has no projection; `x` is [B, I]."""
    if backend != "torch" or not _torch_can(cell, w):
        return reference.STEPS[cell](reference.project_input(x, w), state, w, None)[0]
    if cell == "lstm":
        return torch.lstm_cell(x, state, w.ih, w.hh, w.bias_ih, w.bias_hh)
    kernels = {"gru": torch.gru_cell, "rnn_tanh": torch.rnn_tanh_cell}
    kernel = kernels.get(cell, torch.rnn_relu_cell)
    return (kernel(x, state[0], w.ih, w.hh, w.bias_ih, w.bias_hh),)


def _torch_can(cell: str, w: Weights) -> bool:
    """Whether torch's kernels know every weight in use."""
    plain = w.peephole is None and w.norm_ih is None and (w.hr is None or cell == "lstm")
    return plain and (w.bias_ih is None) == (w.bias_hh is None)


def _torch_scan(cell: str, x: Tensor, state: Hidden, w: Weights) -> Scan:
    """Torch's kernel for one layer.

    Its ``train`` only makes cuDNN keep what a backward needs; ``torch.jit.trace`` looks at the
    graph with gradients and without, and wants the same.
    """
    biases = [w.bias_ih, w.bias_hh] if w.bias_ih is not None else []
    params = [tensor for tensor in (w.ih, w.hh, *biases, w.hr) if tensor is not None]
    hx = tuple(part.unsqueeze(0).contiguous() for part in state)  # as cuDNN demands
    train = torch.is_grad_enabled() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    options = (bool(biases), 1, 0.0, train, False, False)
    if cell == "lstm":
        if w.hr is not None:
            _silence_warning_of_projections()
        y, h, c = torch.lstm(x, hx, params, *options)
        return Scan(y, (h[0], c[0]), (), None)
    kernel = {"gru": torch.gru, "rnn_tanh": torch.rnn_tanh, "rnn_relu": torch.rnn_relu}[cell]
    y, h = kernel(x, hx[0], params, *options)
    return Scan(y, (h[0],), (), None)


@cache
def _silence_warning_of_projections() -> None:
    """Let torch warn, once and unheard, that oneDNN has no projected LSTM: its own is meant."""
    sizes = [(8, 1), (8, 1), (1, 2)]
    params = [torch.zeros(size, device="cpu", dtype=torch.float32) for size in sizes]
    x, h, c = (torch.zeros(1, 1, n, device="cpu", dtype=torch.float32) for n in (1, 1, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.lstm(x, (h, c), params, False, 1, 0.0, False, False, False)
