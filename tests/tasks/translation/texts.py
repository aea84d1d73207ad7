"""A small language whose translation is known: numbers in words, upside down."""

import numpy as np

from loopwise.codec.pairs import Pairs, list_pairs
from loopwise.tasks.translation.config import TranslationConfig

WORDS = {
    "null": "zero",
    "eins": "one",
    "zwei": "two",
    "drei": "three",
    "vier": "four",
    "fünf": "five",
    "sechs": "six",
}


def sentences(number: int, longest: int = 5, seed: int = 1) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    german = list(WORDS)
    rows = [rng.choice(german, rng.integers(1, longest + 1)) for _ in range(number)]
    return [(" ".join(row), " ".join(WORDS[word] for word in row)) for row in rows]


def pairs(number: int, longest: int = 5, seed: int = 1) -> Pairs:
    return list_pairs(sentences(number, longest, seed))


def config(**settings) -> TranslationConfig:
    small = {
        "unit": "words",
        "hidden_size": 12,
        "embedding_size": 8,
        "heads": 2,
        "batch_tokens": 60,
        "threads": 1,
        "valid_bleu": 0,
        "dropout_input": 0.0,
        "dropout_output": 0.0,
        "dropout_readout": 0.0,
    }
    return TranslationConfig.from_settings("test", **{**small, **settings})
