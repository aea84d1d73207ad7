"""loopwise's layers against torch.nn's, timed in turn in one process; forward also against others.

All compute the same thing from the same weights; that is checked before the clock starts. A ratio
above 1 means that loopwise is faster. "of_peak" is the share of what this machine can multiply and
add: products take 2 T B G H (I + H) operations forwards, three times as many in training. The
others are onnxruntime and OpenVINO, where they are installed. `--sweep` takes 60 shapes, odd ones
included, instead of the six of the table; `--quick` only shows that the script works.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from contenders import INSTALLED, open_layer
from machine import Machine, measure, rounded
from report import argument_parser, print_table, write_results
from timing import interleave
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import loopwise
from loopwise import engine

Shape = tuple[int, int, int, int]

SHAPES: list[Shape] = [
    (100, 1, 64, 64),
    (100, 32, 64, 128),
    (64, 32, 256, 256),
    (128, 64, 512, 512),
    (35, 20, 650, 650),
    (500, 16, 40, 256),
]
QUICK_SHAPES: list[Shape] = [(5, 2, 4, 8)]
RAGGED: Shape = (500, 16, 40, 256)
OPTIONS: list[dict[str, Any]] = [{"layer_norm": True}, {"recurrent_dropout": 0.2}, {"zoneout": 0.1}]
CELLS = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Result:
    """Median milliseconds of a call, how often loopwise's time the other's is, loopwise's GF/s."""

    cell: str
    shape: str
    what: str
    loopwise_ms: float
    against: str
    other_ms: float
    ratio: float
    gflops: float

    def row(self, machine: Machine | None, threads: int) -> dict[str, Any]:
        """Its figures, and what share of the machine they are."""
        if machine is None:
            return asdict(self)
        return asdict(self) | {"of_peak": rounded(self.gflops / machine.peak[threads])}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--sweep", action="store_true", help="60 shapes instead of six")
    parser.add_argument("--threads", type=int, default=0, help="0 = torch's choice")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each comparison")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    seconds = 0.01 if arguments.quick else arguments.seconds
    threads = torch.get_num_threads()
    machine = measure(threads, arguments.quick)
    shapes = QUICK_SHAPES if arguments.quick else sweep_shapes() if arguments.sweep else SHAPES
    results = [
        r
        for shape in shapes
        for cell in CELLS
        for against in (against_torch, against_others)
        for r in against(cell, shape, seconds)
    ]
    if not arguments.sweep:
        ragged = QUICK_SHAPES[0] if arguments.quick else RAGGED
        results += [r for cell in CELLS for r in with_lengths(cell, ragged, seconds)]
        results += [
            options_cost(o, QUICK_SHAPES[0] if arguments.quick else SHAPES[2], seconds)
            for o in OPTIONS
        ]
    rows = [result.row(machine, threads) for result in results]
    print_table("layers: medians in ms; ratio = other / loopwise", rows)
    summary = {what: summarise(results, what) for what in ("forward", "training")}
    for what, (mean, worst) in summary.items():
        print(f"{what}: geometric mean {mean:.2f} against torch, worst {worst:.2f}")
    write_results(
        arguments.results,
        "sweep" if arguments.sweep else "layers",
        rows,
        isa=engine.isa() if engine.available() else "",
        torch_threads=threads,
        torch=torch.__version__,
        machine_peaks=machine.peak if machine else {},
        **INSTALLED,
    )


def sweep_shapes() -> list[Shape]:
    """60 shapes: T 1-1000, B 1-256, H 8-1024, spread evenly over their logarithms."""
    draw = random.Random(1)

    def between(low: int, high: int) -> int:
        return round(math.exp(draw.uniform(math.log(low), math.log(high + 0.49))))

    shapes: list[Shape] = []
    while len(shapes) < 60:
        shape = between(1, 1000), between(1, 256), between(4, 1024), between(8, 1024)
        steps, rows, inputs, hidden = shape
        if steps * rows * hidden * (inputs + hidden) < 2e9:  # seconds, not minutes
            shapes.append(shape)
    return shapes


def summarise(results: Sequence[Result], what: str) -> tuple[float, float]:
    """Geometric mean and least of the ratios against torch."""
    ratios = [r.ratio for r in results if r.what == what and r.against == "torch"]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)), min(ratios)


def against_torch(cell: str, shape: Shape, seconds: float) -> list[Result]:
    """Inference and training of whole batches."""
    ours, theirs, x = pair(cell, shape)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=1e-3, atol=1e-3)
    calls = [lambda: ours(x)[0], lambda: theirs(x)[0]]
    results: list[Result] = []
    for what, wrap in (("forward", forward), ("training", training)):
        mine, other = interleave([partial(wrap, call) for call in calls], seconds)
        results.append(result(cell, shape, what, mine, "torch", other))
    return results


def against_others(cell: str, shape: Shape, seconds: float) -> list[Result]:
    """Inference of whole batches, against what is installed of other engines."""
    if not INSTALLED:
        return []
    ours, theirs, x = pair(cell, shape)
    given, expected = x.numpy(), theirs(x)[0].detach().numpy()
    calls = [partial(forward, lambda: ours(x)[0])]
    for name in INSTALLED:
        other = open_layer(name, theirs, *shape[:2], torch.get_num_threads())
        np.testing.assert_allclose(other(given)[0][:, 0], expected, rtol=1e-3, atol=1e-3)
        calls.append(partial(other, given))
    mine, *others = interleave(calls, seconds, pause=0.01)
    return [
        result(cell, shape, "forward", mine, name, other)
        for name, other in zip(INSTALLED, others, strict=True)
    ]


def with_lengths(cell: str, shape: Shape, seconds: float) -> list[Result]:
    """Batches that are half full: against torch's packed sequences, and against full batches."""
    ours, theirs, x = pair(cell, shape)
    steps, rows = shape[:2]
    lengths = torch.linspace(1, steps, rows).round().long()  # half of the positions
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    results: list[Result] = []
    for what, wrap in (("forward", forward), ("training", training)):
        mine, other, full = interleave(
            [
                partial(wrap, lambda: ours(x, lengths=lengths)[0]),
                partial(wrap, lambda: theirs(packed)[0].data),
                partial(wrap, lambda: ours(x)[0]),
            ],
            seconds,
        )
        for against, time in (("torch, packed", other), ("loopwise, full", full)):
            found = result(cell, shape, f"half full, {what}", mine, against, time)
            filled = int(lengths.sum()) / (steps * rows)
            results.append(replace(found, gflops=rounded(found.gflops * filled)))
    return results


def options_cost(options: dict[str, Any], shape: Shape, seconds: float) -> Result:
    """Training with an option against the plain LSTM."""
    plain, _, x = pair("LSTM", shape)
    with_option = loopwise.LSTM(*shape[2:], **options)
    calls = [lambda: with_option(x)[0], lambda: plain(x)[0]]
    mine, other = interleave([partial(training, call) for call in calls], seconds)
    return result("LSTM", shape, f"training, {options}", mine, "loopwise, plain", other)


def pair(cell: str, shape: Shape) -> tuple[loopwise.LSTM, nn.LSTM, Tensor]:
    """loopwise's layer and torch's with the same weights, and an input."""
    steps, rows, inputs, hidden = shape
    torch.manual_seed(1)
    theirs = getattr(nn, cell)(inputs, hidden)
    ours = getattr(loopwise, cell)(inputs, hidden)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs, torch.randn(steps, rows, inputs)


def result(cell: str, shape: Shape, what: str, mine: float, against: str, other: float) -> Result:
    label = "T{} B{} I{} H{}".format(*shape)
    steps, rows, inputs, hidden = shape
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[cell]
    work = 2e-9 * steps * rows * gates * hidden * (inputs + hidden)
    if "training" in what:
        work *= 3
    times = round(1000 * mine, 3), round(1000 * other, 3)
    ratio, speed = round(other / mine, 2), rounded(work / mine)
    return Result(cell, label, what, times[0], against, times[1], ratio, speed)


def forward(call: Callable[[], Tensor]) -> None:
    with torch.no_grad():
        call()


def training(call: Callable[[], Tensor]) -> None:
    call().sum().backward()  # gradients add up in the weights, at the same cost for both


if __name__ == "__main__":
    main()
