"""What is deployed computes what was trained, for every cell and option."""

import itertools

import numpy as np
import pytest
import torch

from loopwise.codec.text import train_codec
from loopwise.export.bundle import to_bundle
from loopwise.runtime.bundle import read_bundle, write_bundle
from loopwise.runtime.language_model import LoadedLanguageModel
from loopwise.tasks.lm.config import ModelConfig
from loopwise.tasks.lm.model import RecurrentLanguageModel, describe

CODEC = train_codec("bytes", [])
OPTIONS = {
    "plain": {},
    "layer_norm": {"layer_norm": True},
    "zoneout": {"zoneout": 0.3},
    "proj_size": {"proj_size": 5},
    "learn_initial_state": {"learn_initial_state": True},
    "residual": {"residual": True, "embedding_size": 8},
    "tied": {"tied": True},
    "peephole": {"peephole": True},
    "relu": {"nonlinearity": "relu"},
    "all": {
        "layer_norm": True,
        "zoneout": 0.3,
        "proj_size": 6,
        "learn_initial_state": True,
        "residual": True,
        "tied": True,
    },
}
ONLY = {"peephole": "lstm", "relu": "rnn"}
CASES = [
    (cell, name)
    for cell, name in itertools.product(("rnn", "lstm", "gru"), OPTIONS)
    if ONLY.get(name, cell) == cell
]


def random_model(cell: str, **options) -> RecurrentLanguageModel:
    defaults = {"embedding_size": 6, "hidden_size": 8, "num_layers": 2}
    config = ModelConfig(cell=cell, **{**defaults, **options})
    model = RecurrentLanguageModel(describe(config, CODEC.size), config).eval()
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.5, 0.5)
    return model


def deployed(model: RecurrentLanguageModel, tmp_path, **info) -> LoadedLanguageModel:
    write_bundle(tmp_path / "b.safetensors", to_bundle("language-model", model, CODEC, info))
    return LoadedLanguageModel(read_bundle(tmp_path / "b.safetensors"))


@pytest.mark.parametrize(("cell", "name"), CASES)
def test_runtime_and_torch_agree_on_the_logits_of_a_sequence(cell, name, tmp_path):
    model = random_model(cell, **OPTIONS[name])
    ids = np.random.default_rng(0).integers(0, CODEC.size, (12, 3))
    with torch.no_grad():
        expected = model.logits(torch.from_numpy(ids))[0].numpy()
    runtime = deployed(model, tmp_path)._model
    hidden, _ = runtime.hidden(ids, runtime.initial_state(3))
    np.testing.assert_allclose(runtime.outputs(hidden), expected, rtol=1e-5, atol=1e-5)


def test_the_comparison_can_fail(tmp_path):
    model = random_model("lstm")
    runtime = deployed(model, tmp_path)._model
    with torch.no_grad():
        model.layers[1].bias_hh_l0[3] += 0.01
        expected = model.logits(torch.zeros(4, 1, dtype=torch.long))[0].numpy()
    hidden, _ = runtime.hidden(np.zeros((4, 1), int), runtime.initial_state(1))
    assert np.abs(runtime.outputs(hidden) - expected).max() > 1e-4


def test_a_bundle_is_a_copy(tmp_path):
    model = random_model("gru")
    bundle = to_bundle("language-model", model, CODEC, {})
    before = bundle.fingerprint
    with torch.no_grad():
        model.head.bias.zero_()
    del bundle.__dict__["fingerprint"]
    assert bundle.fingerprint == before


def test_info_is_what_json_holds_with_version_and_date(tmp_path):
    given = {"validation": {"loss": 1.5, "perplexity": float("inf")}, 3: [float("nan"), (1, 2)]}
    info = deployed(random_model("rnn"), tmp_path, **{str(k): v for k, v in given.items()}).info
    assert info["validation"] == {"loss": 1.5, "perplexity": None}
    assert info["3"] == [None, [1, 2]]
    assert info["loopwise"]
    assert info["created"].endswith("+00:00")


def test_double_precision_is_stored_as_float32(tmp_path):
    model = random_model("lstm").double()
    assert {
        t.dtype.name for t in to_bundle("language-model", model, CODEC, {}).tensors.values()
    } == {"float32"}
