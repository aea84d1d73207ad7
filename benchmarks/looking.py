"""What looking inside costs: a diagnosis and a watched step, in training steps."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from report import argument_parser, print_table, write_results
from timing import interleave
from torch import nn

import loopwise
from loopwise.diagnose.report import Training
from loopwise.tasks.lm.config import ModelConfig
from loopwise.tasks.lm.model import RecurrentLanguageModel, describe
from loopwise.train.watch import Watch

# tokens of a window, rows, vocabulary, options of the model
MODELS = {
    "words, LSTM 2 x 200": (
        20,
        20,
        10_000,
        ("embedding_size=200", "hidden_size=200", "num_layers=2"),
    ),
    "words, LSTM 650": (35, 20, 10_000, ("embedding_size=650", "hidden_size=650")),
    "characters, LSTM 512": (64, 32, 256, ("hidden_size=512",)),
    "characters, GRU 256": (128, 32, 256, ("hidden_size=256", "cell=gru")),
    "characters, RNN 256": (128, 32, 256, ("hidden_size=256", "cell=rnn")),
}
QUICK_MODELS = {"tiny": (8, 2, 16, ("hidden_size=8",))}


class Loss(nn.Module):
    """A language model whose output is its loss."""

    def __init__(self, vocabulary: int, options: tuple[str, ...]):
        super().__init__()
        config = ModelConfig.load(None, options)
        self.model = RecurrentLanguageModel(describe(config, vocabulary), config)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.model(ids, targets).nats / targets.numel()


def contenders(name: str, models: dict) -> list[Callable[[], object]]:
    steps, rows, vocabulary, options = models[name]
    torch.manual_seed(0)
    model = Loss(vocabulary, options)
    text = np.random.default_rng(0).integers(vocabulary, size=(steps + 1, rows))
    batch = (torch.from_numpy(text[:-1]), torch.from_numpy(text[1:]))
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)

    def step() -> float:
        loss = model(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    watch = Watch(1, None)

    def watched_step() -> None:
        with watch.over(0, model):
            loss = step()
        watch.record(loss, Training(1, None))

    return [step, partial(loopwise.diagnose, model, batch), watched_step]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each comparison")
    arguments = parser.parse_args()
    models = QUICK_MODELS if arguments.quick else MODELS
    rows: list[dict[str, object]] = []
    for name in models:
        step, diagnosis, watched = interleave(
            contenders(name, models), 0.01 if arguments.quick else arguments.seconds
        )
        rows.append(
            {
                "model": name,
                "step_ms": round(1000 * step, 2),
                "diagnosis_steps": round(diagnosis / step, 2),
                "watched_steps": round(watched / step, 2),
                "share_at_every_100th": round((watched / step - 1) / 100, 4),
            }
        )
    print_table("looking inside, in steps of training", rows)
    write_results(arguments.results, "looking", rows, torch=torch.__version__)


if __name__ == "__main__":
    main()
