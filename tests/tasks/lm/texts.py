"""Small corpora and configurations."""

import numpy as np

from loopwise.codec.corpus import Source
from loopwise.tasks.lm.config import LMConfig
from loopwise.tasks.lm.data import Corpus, make_corpus

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "one", "big", "dog", "run", "over"]


def lines(count: int, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    return "".join(" ".join(rng.choice(WORDS, 6)) + "\n" for _ in range(count))


def config(**settings) -> LMConfig:
    small = {
        "embedding_size": 6,
        "hidden_size": 16,
        "batch_size": 4,
        "window": 8,
        "valid_batch": 1,
        "lr": 0.01,
        "epochs": 1,
        "log_every": 1,
        "threads": 1,
        "device": "cpu",
    }
    return LMConfig.from_settings("LanguageModel", ("train", "valid"), **{**small, **settings})


def corpus(settings: LMConfig, count: int = 60) -> Corpus:
    return make_corpus([Source("text", lines(count).encode())], None, settings.data)
