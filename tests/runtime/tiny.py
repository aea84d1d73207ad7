"""Small models for the tests of the runtime."""

import numpy as np

from loopwise.codec.text import ByteCodec, CharCodec, WordCodec
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.description import parse_description
from loopwise.runtime.language_model import LoadedLanguageModel
from loopwise.runtime.modules import Model
from loopwise.runtime.sequence_model import LoadedSequenceModel

CELLS = ("rnn", "lstm", "gru")
CODECS = {
    "bytes": ByteCodec(),
    "chars": CharCodec("\n abcdeé漢"),
    "words": WordCodec(["<unk>", "<eos>", "the", "cat", "sat", "mat"]),
}


def layer(cell, **changes):
    described = {
        "cell": cell,
        "input_size": 3,
        "hidden_size": 4,
        "proj_size": 0,
        "bias": True,
        "nonlinearity": "tanh",
        "layer_norm": False,
        "peephole": False,
        "zoneout": [0.0, 0.0] if cell == "lstm" else [0.0],
        "learn_initial_state": False,
        "residual": False,
    }
    assert changes.keys() <= described.keys()
    return described | changes


def description(*layers, vocabulary=7, tied=False):
    return {
        "kind": "language-model",
        "vocabulary": vocabulary,
        "embedding_size": layers[0]["input_size"],
        "layers": list(layers),
        "tied": tied,
    }


def draw(shapes, seed=0, dtype=np.float32, scale=1.0):
    rng = np.random.default_rng(seed)
    return {k: rng.normal(scale=scale, size=shape).astype(dtype) for k, shape in shapes.items()}


def language_model(*layers, vocabulary=7, tied=False, seed=0, dtype=np.float64):
    described = parse_description(description(*layers, vocabulary=vocabulary, tied=tied))
    return Model(described, draw(described.tensor_shapes(), seed, dtype))


def bundle(codec="bytes", cell="lstm", seed=0, dtype=np.float64):
    """Two layers that use most options, so that nothing about a state goes untested."""
    options = {"layer_norm": True, "learn_initial_state": True}
    model = description(
        layer(cell, input_size=4, proj_size=3, **options),
        layer(cell, input_size=3),
        vocabulary=CODECS[codec].size,
    )
    tensors = draw(parse_description(model).tensor_shapes(), seed, dtype)
    return Bundle("language-model", model, CODECS[codec].to_json(), tensors, {"epochs": 3})


def loaded(codec="bytes", cell="lstm", seed=0, dtype=np.float64):
    return LoadedLanguageModel(bundle(codec, cell, seed, dtype))


def sequence_description(kind="numbers", cell="lstm", **changes):
    """Numbers [3] in and out, or 5 symbols and classes, through two layers."""
    ends = {
        "numbers": {"inputs": "numbers", "input_size": 3, "embedding_size": 0},
        "symbols": {"inputs": "symbols", "input_size": 5, "embedding_size": 3},
    }[kind]
    outputs = "numbers" if kind == "numbers" else "classes"
    described = {"kind": "sequence-model", **ends, "outputs": outputs, "output_size": 2, **changes}
    size = described["embedding_size"] or described["input_size"]
    first = layer(cell, input_size=size, learn_initial_state=True)
    return {"layers": [first, layer(cell, input_size=4)], **described}


def sequence_model(kind="numbers", cell="lstm", dtype="float32", **changes):
    described = sequence_description(kind, cell, **changes)
    tensors = draw(parse_description(described).tensor_shapes())
    return LoadedSequenceModel(Bundle("sequence-model", described, {}, tensors, {}, dtype))
