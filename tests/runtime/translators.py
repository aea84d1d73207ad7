"""Small translators for the tests of the runtime."""

import numpy as np

from loopwise.codec.sentences import train_translation_codec
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.description import parse_description
from loopwise.runtime.translator import LoadedTranslator
from runtime.tiny import draw, layer

SOURCES = ["ein haus", "der hund sieht ein haus", "ein hund", "der kleine hund schläft"]
TARGETS = ["a house", "the dog sees a house", "a dog", "the little dog sleeps"]


def description(codec, *, forwards=False, **changes):
    size, both = 6, not forwards
    encoder = {**layer("lstm", input_size=size, hidden_size=5), "bidirectional": both}
    described = {
        "kind": "translator",
        "source_vocabulary": codec.source.size,
        "target_vocabulary": codec.target.size,
        "shared": codec.shared,
        "embedding_size": size,
        "encoder": [encoder],
        "source_in_memory": True,
        "attention": "general",
        "attention_size": 8,
        "heads": 2,
        "coverage": False,
        "start": "learned" if forwards else "mean",
        "decoder": [{**layer("lstm", input_size=size, hidden_size=7), "bidirectional": False}],
        "input_feeding": False,
        "readout_size": size,
        "tied": True,
        "wait": 2 if forwards else 0,
    }
    assert changes.keys() <= described.keys()
    return described | changes


def bundle(unit="words", seed=0, dtype=np.float32, **changes):
    codec = train_translation_codec(SOURCES, TARGETS, unit=unit)
    described = description(codec, **changes)
    tensors = draw(parse_description(described).tensor_shapes(), seed, dtype, 0.8)
    return Bundle("translator", described, codec.to_json(), tensors, {"epochs": 3})


def translator(unit="words", **options):
    return LoadedTranslator(bundle(unit, **options))
