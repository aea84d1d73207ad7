"""One step of a stream, called from Python: microseconds, on one thread.

Layers of H units with H inputs, one sequence, in turn with torch, and with onnxruntime and OpenVINO
where they are installed. "of read": a step reads its weights once, at this share of the speed at
which this machine reads as many bytes again and again. Then many streams in one call. `--quick`
only shows that the script works.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from contenders import INSTALLED, open_layer
from machine import Machine, measure, rounded
from report import argument_parser, print_table, write_results
from timing import durations
from torch import nn

import loopwise
from loopwise import engine

CELLS = ("LSTM", "GRU", "RNN")
SIZES = (64, 256, 512, 1024)
DTYPES = {"float32": 4, "bfloat16": 2, "int8": 1}
"""And the bytes of a weight."""
COUNTS = (*range(1, 18), 24, 32, 48, 64)


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    sizes, seconds = ((8,), 0.01) if arguments.quick else (SIZES, 1.0)
    machine = measure(1, arguments.quick)
    rows = [single(cell, size, seconds, machine) for size in sizes for cell in CELLS]
    print_table("streaming, one stream: microseconds a step, median (p99)", rows)
    many = [
        neighbours(cell, 8 if arguments.quick else 256, dtype, seconds)
        for cell in CELLS
        for dtype in DTYPES
    ]
    print_table("streaming, many in a call: microseconds for each of them", many)
    write_results(
        arguments.results,
        "streaming",
        [*rows, *many],
        isa=engine.isa() if engine.available() else "",
        torch=torch.__version__,
        machine_reads=machine.read if machine else {},
        **INSTALLED,
    )


def single(cell: str, size: int, seconds: float, machine: Machine | None) -> dict[str, Any]:
    """A step of one stream by each contender, timed in turn."""
    torch.manual_seed(1)
    layer, theirs = getattr(loopwise, cell)(size, size).eval(), getattr(nn, cell)(size, size)
    theirs.load_state_dict(layer.state_dict())
    x = np.random.default_rng(1).normal(size=size).astype(np.float32)
    calls: dict[str, Callable[[], object]] = {}
    for dtype in DTYPES:
        push = layer.stream(dtype=dtype).push
        calls[dtype] = lambda push=push: push(x)
    calls["torch"] = torch_step(theirs, x)
    for name in INSTALLED:
        step = open_layer(name, theirs, steps=1, rows=1, threads=1)
        calls[name] = lambda step=step: step(x[None, None])
    times = dict(zip(calls, quantiles(list(calls.values()), seconds), strict=True))
    own = times["float32"][0]
    row: dict[str, Any] = {"cell": cell, "H": size}
    row |= {name: f"{p50:.2f} ({p99:.2f})" for name, (p50, p99) in times.items()}
    row |= {f"{name} / own": round(times[name][0] / own, 1) for name in calls if name not in DTYPES}
    row["int8 gain"] = round(own / times["int8"][0], 1)
    if machine:
        numbers = theirs.weight_ih_l0.numel() + theirs.weight_hh_l0.numel()
        for name, width in DTYPES.items():
            share = machine.share_of_read(width * numbers, times[name][0] / 1e6)
            row[f"{name} of read"] = rounded(share)
    return row


def neighbours(cell: str, size: int, dtype: str, seconds: float) -> dict[str, Any]:
    """What each of n streams costs in a call."""
    layer = getattr(loopwise, cell)(size, size).eval()
    streams = layer.stream(max(COUNTS), dtype=dtype)
    x = np.random.default_rng(1).normal(size=(max(COUNTS), size)).astype(np.float32)
    ids = np.arange(max(COUNTS), dtype=np.int32)
    calls = [lambda n=n: streams.step(ids[:n], x[:n]) for n in COUNTS]
    times = quantiles(calls, 3 * seconds)
    shares = {str(n): round(p50 / n, 2) for n, (p50, _) in zip(COUNTS, times, strict=True)}
    return {"cell": cell, "H": size, "dtype": dtype, **shares}


def torch_step(layer: nn.Module, x: np.ndarray) -> Callable[[], object]:
    state, tensor = None, torch.from_numpy(x)[None]

    def step() -> None:
        nonlocal state
        with torch.inference_mode():
            _, state = layer(tensor, state)

    return step


def quantiles(calls: Sequence[Callable[[], object]], seconds: float) -> list[tuple[float, float]]:
    """(p50, p99) of each call in microseconds."""
    found = [1e6 * np.percentile(each, (50, 99)) for each in durations(calls, seconds)]
    return [(float(p50), float(p99)) for p50, p99 in found]


if __name__ == "__main__":
    main()
