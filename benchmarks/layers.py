"""loopwise's layers against torch.nn's, timed in turn in one process.

Both compute the same thing from the same weights; that is checked before the clock starts. A ratio
above 1 means that loopwise is faster. `--quick` only shows that the script works.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import torch
from report import parse_arguments, print_table, write_results
from timing import interleave
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import loopwise

SHAPES = [(100, 1, 64, 64), (100, 32, 64, 128), (64, 32, 256, 256), (35, 20, 650, 650)]
QUICK_SHAPES = [(5, 2, 4, 8)]
CELLS = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Result:
    """Median milliseconds of a call, and how often torch's time loopwise's is."""

    cell: str
    shape: str
    what: str
    loopwise_ms: float
    torch_ms: float
    ratio: float


def main() -> None:
    arguments = parse_arguments(__doc__)
    shapes, seconds = (QUICK_SHAPES, 0.01) if arguments.quick else (SHAPES, 1.0)
    results = [
        result for shape in shapes for cell in CELLS for result in measure(cell, shape, seconds)
    ]
    rows = [asdict(result) for result in results]
    print_table("layers: medians in ms; ratio = torch / loopwise", rows)
    write_results(
        arguments.results,
        "layers",
        rows,
        torch_threads=torch.get_num_threads(),
        torch=torch.__version__,
    )


def measure(cell: str, shape: tuple[int, int, int, int], seconds: float) -> list[Result]:
    """All measurements of one cell at one shape T, B, I, H."""
    steps, rows, inputs, hidden = shape
    torch.manual_seed(1)
    theirs = getattr(nn, cell)(inputs, hidden)
    ours = getattr(loopwise, cell)(inputs, hidden)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(steps, rows, inputs)
    lengths = torch.randint(1, steps + 1, (rows,))
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=1e-4, atol=1e-4)

    cases: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {
        "plain": (lambda: ours(x)[0], lambda: theirs(x)[0]),
        "lengths": (
            lambda: ours(x, lengths=lengths)[0],
            lambda: theirs(pack_padded_sequence(x, lengths, enforce_sorted=False))[0].data,
        ),
    }
    label = f"T{steps} B{rows} I{inputs} H{hidden}"
    results: list[Result] = []
    for name, pair in cases.items():
        for what, wrap in (("forward", forward), ("forward+backward", forward_backward)):
            mine, other = interleave([partial(wrap, call) for call in pair], seconds)
            times = (round(1000 * mine, 3), round(1000 * other, 3))
            results.append(Result(cell, label, f"{name} {what}", *times, round(other / mine, 2)))
    return results


def forward(call: Callable[[], Tensor]) -> None:
    with torch.no_grad():
        call()


def forward_backward(call: Callable[[], Tensor]) -> None:
    call().sum().backward()  # gradients add up in the weights, at the same cost for both


if __name__ == "__main__":
    main()
