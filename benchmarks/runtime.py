"""One step of a deployed language model: an id in, logits out, in microseconds.

The model is an LSTM over bytes with random weights, which cost the same as trained ones. `--quick`
only shows that the script works.
"""

from dataclasses import asdict

import numpy as np
from report import parse_arguments, print_table, write_results
from timing import interleave

from loopwise.codec.bytelevel import ByteCodec
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.description import LanguageModelDescription, LayerDescription
from loopwise.runtime.language_model import LoadedLanguageModel

CELLS = ("lstm", "gru", "rnn")
SIZES = (64, 256, 512)
QUICK_SIZES = (8,)
STEPS = 100


def main() -> None:
    arguments = parse_arguments(__doc__)
    sizes, seconds = (QUICK_SIZES, 0.01) if arguments.quick else (SIZES, 1.0)
    rows = [measure(size, seconds) for size in sizes]
    print_table(f"runtime: median microseconds of a step, batch 1, over {STEPS} steps", rows)
    write_results(arguments.results, "runtime", rows, numpy=np.__version__)


def measure(hidden_size: int, seconds: float) -> dict[str, float]:
    """Microseconds of a step of each cell, timed in turn."""
    sessions = [model(cell, hidden_size).stream() for cell in CELLS]

    def steps(session):
        for _ in range(STEPS):
            session.push(0)

    times = interleave([lambda s=session: steps(s) for session in sessions], seconds)
    micros = (round(1e6 * each / STEPS, 1) for each in times)
    return {"hidden_size": hidden_size, **dict(zip(CELLS, micros, strict=True))}


def model(cell: str, size: int) -> LoadedLanguageModel:
    """A model with random weights, as `loopwise.load` would give it."""
    layer = LayerDescription(
        cell=cell,
        input_size=size,
        hidden_size=size,
        proj_size=0,
        bias=True,
        nonlinearity="tanh",
        layer_norm=False,
        peephole=False,
        zoneout=(0.0, 0.0) if cell == "lstm" else (0.0,),
        learn_initial_state=False,
        residual=False,
    )
    described = LanguageModelDescription("language-model", 256, size, (layer,), tied=False)
    rng = np.random.default_rng(1)
    tensors = {
        name: rng.normal(scale=0.1, size=shape).astype(np.float32)
        for name, shape in described.tensor_shapes().items()
    }
    description = asdict(described)
    return LoadedLanguageModel(
        Bundle("language-model", description, ByteCodec().to_json(), tensors, {})
    )


if __name__ == "__main__":
    main()
