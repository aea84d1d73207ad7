"""Small networks of recognizers with weights that do something, and batches for them."""

import numpy as np
import torch

from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.model import RecognitionNetwork, SpeechBatch, Texts, describe

FEATURES, UNITS = 5, 7

VARIANTS = {
    "ctc": {},
    "one-way": {"bidirectional": False},
    "looks-ahead": {"bidirectional": False, "lookahead": 3, "stride": 2},
    "convolution": {"width": 5, "stride": 2, "channels": 9},
    "overlapping": {"width": 6, "stride": 4, "bidirectional": False},
    "transducer": {"transducer": 1.0, "bidirectional": False},
    "joint": {"transducer": 0.5, "lookahead": 1, "bidirectional": False},
    "gru": {"cell": "gru", "learn_initial_state": True, "transducer": 0.5},
    "two": {"members": 2, "width": 5, "channels": 9},
    "three-one-way": {"members": 3, "bidirectional": False, "lookahead": 2, "transducer": 0.5},
    "lstm-options": {"layer_norm": True, "peephole": True, "zoneout": 0.2, "residual": True},
}


def network(auxiliary: int = 0, **settings) -> RecognitionNetwork:
    plain = {
        "hidden_size": 6,
        "num_layers": 2,
        "predictor_size": 5,
        "predictor_embedding": 4,
        "joint_size": 6,
    }
    config = SpeechConfig.from_settings("test", (), **{**plain, **settings}).model
    torch.manual_seed(3)
    net = RecognitionNetwork(describe(config, FEATURES, UNITS), config, auxiliary).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return net


def batch(rows: int = 4, longest: int = 30, seed: int = 1) -> SpeechBatch:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(longest - 10, longest + 1, rows)
    lengths[0] = longest
    frames = rng.normal(size=(longest, rows, FEATURES)).astype(np.float32)
    frames[np.arange(longest)[:, None] >= lengths] = 0
    return SpeechBatch(
        torch.from_numpy(frames), torch.from_numpy(lengths), texts(rng, rows), texts(rng, rows)
    )


def texts(rng: np.random.Generator, rows: int) -> Texts:
    lengths = rng.integers(0, 4, rows)
    units = rng.integers(1, UNITS, (3, rows))
    units[np.arange(3)[:, None] >= lengths] = 0
    return Texts(torch.from_numpy(units), torch.from_numpy(lengths))


def utterances(given: SpeechBatch) -> list[np.ndarray]:
    """The frames [T, F] of each utterance."""
    return [given.frames[:n, i].numpy() for i, n in enumerate(given.lengths)]
