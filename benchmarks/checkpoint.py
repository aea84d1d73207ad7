"""What `checkpoint=True` saves and costs: memory and time of a training step.

Kept is what autograd holds between the forward and the backward pass, besides input and weights;
peak is by how much the process grows in a training step, measured in a process for each (Linux).
"""

import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path

import torch
from report import argument_parser, print_table, write_results
from timing import interleave
from torch import Tensor

import loopwise

SHAPES = [(512, 32, 256, 256), (64, 32, 256, 256)]
CELLS = ("LSTM", "GRU", "RNN")
QUICK_SHAPES = [(640, 16, 64, 64)]  # large enough for the process to grow
QUICK_CELLS = ("LSTM",)  # since the peak of each takes two processes


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each comparison")
    parser.add_argument("--peak", nargs=6, help="only print the growth of this process")
    arguments = parser.parse_args()
    if arguments.peak:
        cell, checkpoint, *shape = arguments.peak
        print(growth(cell, tuple(map(int, shape)), checkpoint == "True"))
        return
    seconds = 0.01 if arguments.quick else arguments.seconds
    rows: list[dict[str, object]] = []
    shapes, cells = (QUICK_SHAPES, QUICK_CELLS) if arguments.quick else (SHAPES, CELLS)
    for shape, cell in product(shapes, cells):
        layers = [layer(cell, shape, checkpoint) for checkpoint in (False, True)]
        x = torch.randn(shape[:3])
        plain, small = interleave([partial(train, each, x) for each in layers], seconds)
        kept = [kept_bytes(each, x) / 1e6 for each in layers]
        peak = [peak_megabytes(cell, shape, checkpoint) for checkpoint in (False, True)]
        rows.append(
            {
                "cell": cell,
                "shape": "T{} B{} I{} H{}".format(*shape),
                "plain_ms": round(1000 * plain, 3),
                "checkpoint_ms": round(1000 * small, 3),
                "time_ratio": round(small / plain, 2),
                "plain_kept_mb": round(kept[0], 3),
                "checkpoint_kept_mb": round(kept[1], 3),
                "plain_peak_mb": peak[0],
                "checkpoint_peak_mb": peak[1],
            }
        )
    print_table("checkpoint: a training step", rows)
    write_results(arguments.results, "checkpoint", rows, torch=torch.__version__)


def layer(cell: str, shape: tuple[int, ...], checkpoint: bool) -> loopwise.LSTM:
    """A layer of this shape (T, B, I, H)."""
    return getattr(loopwise, cell)(*shape[2:], checkpoint=checkpoint)


def train(layer: loopwise.LSTM, x: Tensor) -> None:
    """One step without an optimiser."""
    layer(x)[0].sum().backward()


def kept_bytes(layer: loopwise.LSTM, x: Tensor) -> int:
    """What autograd holds after the forward pass, besides input and weights."""
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _ = layer(x)
    for given in (x, *layer.parameters()):
        found.pop(given.untyped_storage().data_ptr(), None)
    return sum(found.values())


def peak_megabytes(cell: str, shape: tuple[int, ...], checkpoint: bool) -> float:
    """`growth` of a fresh process."""
    command = [sys.executable, __file__, "--peak", cell, str(checkpoint), *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return round(float(done.stdout), 1)


def growth(cell: str, shape: tuple[int, ...], checkpoint: bool) -> float:
    """By how many megabytes the process grows in a training step, after a small one."""
    each = layer(cell, shape, checkpoint)
    x = torch.randn(shape[:3])
    train(each, x[:2])
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    train(each, x)
    return status("VmHWM") - before


def status(name: str) -> float:
    """A figure of this process in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name}:")]
    return round(int(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    main()
