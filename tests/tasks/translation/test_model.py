"""The network in torch: equal to the one in NumPy, its masks, its losses."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from loopwise.nn.regularize import same_masks
from loopwise.runtime.translation_model import GrowingSource, TranslationModel
from loopwise.runtime.translation_network import head
from loopwise.tasks.translation.model import PairBatch, TranslationNetwork, describe
from tasks.translation.texts import config

SOURCES, TARGETS, END = 20, 15, 0
VARIANTS = {
    "plain": {},
    "additive": {"attention": "additive"},
    "dot": {"attention": "dot"},
    "coverage": {"coverage": True},
    "additive-coverage": {"attention": "additive", "coverage": True},
    "input-feeding": {"input_feeding": True},
    "all": {"input_feeding": True, "coverage": True, "attention": "additive", "tied": False},
    "deep": {"num_layers": 2, "decoder_layers": 2, "residual": True, "source_in_memory": False},
    "first-residual": {"residual": True, "last_size": 4},
    "gru": {"cell": "gru", "learn_initial_state": True},
    "gru-projected": {"cell": "gru", "proj_size": 6},
    "lstm-options": {"layer_norm": True, "peephole": True, "zoneout": 0.2, "proj_size": 6},
    "rnn": {"cell": "rnn", "nonlinearity": "relu", "heads": 1},
    "wait": {"bidirectional": False, "wait": 2},
}


def network(shared=True, **settings) -> TranslationNetwork:
    model = config(**settings).model
    described = describe(model, SOURCES, TARGETS, shared=shared)
    torch.manual_seed(3)
    net = TranslationNetwork(described, model).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return net


def batch(rows=5, longest=7, seed=1) -> PairBatch:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, (2, rows))
    lengths[:, 0] = longest
    source = rng.integers(0, SOURCES, (longest, rows))
    target = rng.integers(1, TARGETS, (longest, rows))
    inputs = np.concatenate([np.full((1, rows), END), target[:-1]])
    targets = target.copy()
    targets[lengths[1] - 1, np.arange(rows)] = END
    targets[np.arange(longest)[:, None] >= lengths[1]] = -1
    parts = (source, lengths[0], inputs, targets, lengths[1])
    return PairBatch(*map(torch.from_numpy, parts), None)


def unpadded(given: PairBatch):
    sources = [given.source[:n, i].numpy() for i, n in enumerate(given.source_lengths)]
    targets = [given.targets[: n - 1, i].numpy() for i, n in enumerate(given.target_lengths)]
    return sources, targets


def deployed(net: TranslationNetwork) -> TranslationModel:
    tensors = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    return TranslationModel(net.description, tensors)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_numpy_says_what_torch_says(variant, shared):
    net, given = network(shared, **VARIANTS[variant]), batch()
    assert set(net.state_dict()) == set(net.description.tensor_shapes())
    with torch.no_grad():
        nats = float(net(given).nats)
    sources, targets = unpadded(given)
    model = deployed(net)
    scored = model.score(model.read(sources), targets, END)
    assert -scored.log_probs.sum() == pytest.approx(nats, rel=1e-5)
    np.testing.assert_allclose(scored.attention.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_step_after_the_other_is_all_at_once(variant):
    model = deployed(network(**VARIANTS[variant]))
    given = batch()
    sources, targets = unpadded(given)
    scored = model.score(model.read(sources), targets, END)
    decoder = model.begin(model.read(sources))
    rows = np.arange(len(sources), dtype=np.int32)
    for t, tokens in enumerate(given.inputs.numpy()):
        readout, attention = decoder.step(rows, tokens)
        each = model.predict(readout)
        for row in rows:
            if t < given.target_lengths[row]:
                token = int(given.targets[t, row])
                assert each[row, token] == pytest.approx(scored.log_probs[t, row], abs=2e-5)
                np.testing.assert_allclose(attention[row], scored.attention[row, t], atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_and_neighbours_never_matter(variant):
    model = deployed(network(**VARIANTS[variant]))
    sources, targets = unpadded(batch())
    together = model.score(model.read(sources), targets, END)
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        alone = model.score(model.read([source]), [target], END)
        ours = together.log_probs[: len(target) + 1, row]
        np.testing.assert_allclose(alone.log_probs[:, 0], ours, atol=2e-5)


def test_a_source_read_word_by_word_is_the_source():
    model = deployed(network(bidirectional=False, wait=2))
    ids = np.array([3, 1, 4, 1, 5])
    growing = GrowingSource(model)
    for part in (ids[:1], ids[1:3], ids[3:]):
        growing.push(part)
    whole = model.read([ids])
    np.testing.assert_allclose(growing.read.memory.keys, whole.memory.keys, atol=1e-6)
    np.testing.assert_allclose(growing.read.memory.values, whole.memory.values, atol=1e-6)


@pytest.mark.parametrize("variant", ["wait", "coverage", "input-feeding"])
def test_what_is_not_visible_yet_changes_nothing(variant):
    settings = {**VARIANTS[variant], "bidirectional": False, "wait": 2}
    model = deployed(network(**settings))
    ids, target = np.array([3, 1, 4, 1, 5, 9]), np.array([2, 6, 5])
    visible = np.array([[2, 3, 4, 6]])
    first = model.score(model.read([ids]), [target], END, visible)
    other = ids.copy()
    other[4:] = [7, 8]
    second = model.score(model.read([other]), [target], END, visible)
    np.testing.assert_array_equal(first.log_probs[:3], second.log_probs[:3])
    assert first.log_probs[3] != second.log_probs[3]  # the end sees all


def test_torch_and_numpy_agree_on_what_is_visible():
    net, given = network(bidirectional=False, wait=2), batch()
    steps = torch.arange(len(given.targets))[:, None]
    given = given._replace(visible=torch.minimum(steps + 2, given.source_lengths))
    with torch.no_grad():
        nats = float(net(given).nats)
        assert nats != float(net(given._replace(visible=None)).nats)
    sources, targets = unpadded(given)
    model = deployed(net)
    scored = model.score(model.read(sources), targets, END, given.visible.T.numpy())
    assert -scored.log_probs.sum() == pytest.approx(nats, rel=1e-5)


def test_smoothing_is_the_mean_surprisal_of_all_tokens():
    net, given = network(), batch()
    reading = net(given)
    there = given.targets >= 0
    memory, start = net.encode(given.source, given.source_lengths)
    readout = net.decode(given, memory, start).readout[there]
    weight, bias = head(net.description, net.own())
    log_probs = functional.linear(readout, weight, bias).log_softmax(-1)
    targets = given.targets[there]
    share = 0.1
    smoothed = functional.cross_entropy(
        functional.linear(readout, weight, bias), targets, label_smoothing=share, reduction="sum"
    )
    torch.testing.assert_close(reading.nats + share * reading.smoothing, smoothed)
    torch.testing.assert_close(
        reading.smoothing, log_probs.gather(1, targets[:, None]).sum() - log_probs.mean(-1).sum()
    )


@pytest.mark.parametrize("variant", ["plain", "all"])
def test_every_weight_learns(variant):
    net = network(**VARIANTS[variant]).train()
    net(batch()).nats.backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_scheduled_sampling_reads_its_own_words():
    given = batch()
    own = network(scheduled_sampling=0.9).train()(given).nats
    true = network().train()(given).nats
    stepwise = network(scheduled_sampling=0.9).eval()(given).nats
    torch.testing.assert_close(stepwise, true)  # in evaluation nothing is drawn
    assert abs(own - true) > 1e-3


DROPOUTS = {
    "embedding": {"dropout_embedding": 0.5},
    "input": {"dropout_input": 0.5},
    "hidden": {"dropout_hidden": 0.5},
    "output": {"dropout_output": 0.5},
    "state": {"recurrent_dropout": 0.5},
    "weights": {"weight_drop": 0.5},
}


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("name", DROPOUTS)
def test_a_mask_is_of_a_sentence_step_by_step_as_all_at_once(name, locked):
    """What is drawn once a sentence; dropouts that are not locked are drawn each step."""
    net = network(decoder_layers=2, locked=locked, **{"dropout_hidden": 0.0, **DROPOUTS[name]})
    memory, start = net.encode(batch().source, batch().source_lengths)
    net.train()
    there = batch().targets >= 0
    with same_masks(net):
        at_once = net.decode(batch(), memory, start)
        net.config = net.config.model_copy(update={"scheduled_sampling": 1e-30})  # never
        stepwise = net.decode(batch(), memory, start)
    same = torch.allclose(stepwise.dropped[there], at_once.dropped[there], atol=1e-5)
    assert same == (locked or name in ("embedding", "state", "weights"))
    assert not torch.allclose(net.decode(batch(), memory, start).readout, stepwise.readout)


def test_dropout_is_of_training_alone():
    net = network(dropout_input=0.5, dropout_output=0.5, dropout_readout=0.5, dropout_embedding=0.2)
    given = batch()
    assert torch.equal(net(given).nats, net(given).nats)
    net.train()
    assert not torch.equal(net(given).nats, net(given).nats)
