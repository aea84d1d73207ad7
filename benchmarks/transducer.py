"""The transducer's loss with all gradients: the engine beside plain torch, time and memory.

Plain torch has all logits in memory. Peak is by how much the process grows in a training step,
measured in a process for each (Linux).
"""

import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from checkpoint import status
from report import argument_parser, print_table, write_results
from timing import interleave
from torch import Tensor

from loopwise.nn.backend import backend
from loopwise.nn.transducer import transducer_loss

SHAPES = [
    (75, 8, 40, 256, 30),
    (75, 8, 40, 320, 128),
    (75, 8, 30, 320, 1000),
    (250, 8, 60, 256, 30),
]
QUICK_SHAPES = [(40, 4, 20, 64, 300)]  # large enough for the process to grow
BACKENDS = ("native", "torch")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each comparison")
    parser.add_argument("--peak", nargs=6, help="only print the growth of this process")
    arguments = parser.parse_args()
    if arguments.peak:
        on, *shape = arguments.peak
        print(growth(on, tuple(map(int, shape))))
        return
    seconds = 0.01 if arguments.quick else arguments.seconds
    rows: list[dict[str, object]] = []
    for shape in QUICK_SHAPES if arguments.quick else SHAPES:
        problem = draw(shape)
        calls = [partial(call, on, problem) for call in (value, train) for on in BACKENDS]
        forward, forward_torch, training, training_torch = interleave(calls, seconds)
        peak, peak_torch = [peak_megabytes(on, shape) for on in BACKENDS]
        rows.append(
            {
                "shape": "T{} B{} U{} J{} V{}".format(*shape),
                "forward_ms": round(1000 * forward, 3),
                "torch_forward_ms": round(1000 * forward_torch, 3),
                "training_ms": round(1000 * training, 3),
                "torch_training_ms": round(1000 * training_torch, 3),
                "ratio": round(training_torch / training, 2),
                "peak_mb": peak,
                "torch_peak_mb": peak_torch,
            }
        )
    print_table("transducer: the loss and its gradients", rows)
    write_results(arguments.results, "transducer", rows, torch=torch.__version__)


def draw(shape: tuple[int, ...]) -> list[Tensor]:
    """What the loss takes, rows from half to whole length; T, B, U, J, V."""
    T, B, U, J, V = shape
    parts = [torch.randn(T, B, J), torch.randn(U + 1, B, J), torch.randn(V, J) / J**0.5]
    learning = [part.requires_grad_() for part in (*parts, torch.zeros(V))]
    lengths = [torch.linspace(most // 2, most, B).long() for most in (T, U)]
    return [*learning, torch.randint(1, V, (U, B)), *lengths]


def value(on: str, problem: list[Tensor]) -> None:
    with backend(on), torch.no_grad():
        transducer_loss(*problem)


def train(on: str, problem: list[Tensor]) -> None:
    with backend(on):
        torch.autograd.grad(transducer_loss(*problem).sum(), problem[:4])


def peak_megabytes(on: str, shape: tuple[int, ...]) -> float:
    """`growth` of a fresh process."""
    command = [sys.executable, __file__, "--peak", on, *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return round(float(done.stdout), 1)


def growth(on: str, shape: tuple[int, ...]) -> float:
    """By how many megabytes the process grows in a training step, after a small one."""
    train(on, draw((2, 1, 1, *shape[3:])))
    problem = draw(shape)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    train(on, problem)
    return status("VmHWM") - before


if __name__ == "__main__":
    main()
