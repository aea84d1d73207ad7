"""The network in torch: equal to the one in NumPy, whatever the padding; its losses."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from loopwise.errors import ConfigError
from loopwise.runtime.acoustic_model import AcousticModel
from loopwise.runtime.acoustics import look_ahead, read_frames, steps_of
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.model import (
    Member,
    RecognitionNetwork,
    SpeechBatch,
    Texts,
    disagreement,
)
from tasks.speech.networks import VARIANTS, batch, network, utterances


def deployed(net: RecognitionNetwork) -> AcousticModel:
    wanted = net.description.tensor_shapes()
    tensors = {k: v.numpy().copy() for k, v in net.state_dict().items() if k in wanted}
    assert {name: tensor.shape for name, tensor in tensors.items()} == wanted
    return AcousticModel(net.description, tensors)


def seen(net: Member, given: SpeechBatch) -> torch.Tensor:
    d, own = net.description, net.own()
    lengths = steps_of(d, given.lengths)
    read = net.layers(read_frames(d, own, given.frames), lengths=lengths)
    return look_ahead(d, own, read.dropped)


@pytest.mark.parametrize("name", VARIANTS)
def test_numpy_sees_what_torch_sees(name):
    net, given = network(**VARIANTS[name]), batch()
    with torch.no_grad():
        expected = torch.cat([seen(member, given) for member in net.members], -1).numpy()
    found, lengths = deployed(net).see(utterances(given))
    for row, steps in enumerate(lengths):
        np.testing.assert_allclose(found[:steps, row], expected[:steps, row], atol=2e-6)


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_utterances_beside_it_change_nothing(name):
    net, given = network(auxiliary=7, **VARIANTS[name]), batch()
    parts = zip(*(net(alone(given, row)) for row in range(4)), strict=True)
    for whole, own in zip(net(given), parts, strict=True):
        each = zip(*(part[:3] for part in own), strict=True)
        for ours, theirs in zip(whole[:3], each, strict=True):
            if ours is None:
                assert theirs == (None,) * 4
            else:
                torch.testing.assert_close(ours, sum(theirs), rtol=1e-5, atol=1e-4)


def alone(given: SpeechBatch, row: int) -> SpeechBatch:
    def text(of: Texts) -> Texts:
        return Texts(of.units[: of.lengths[row], [row]], of.lengths[[row]])

    length = given.lengths[[row]]
    frames = given.frames[:length, [row]]
    return SpeechBatch(frames, length, text(given.texts), text(given.auxiliary))


@torch.no_grad()
def test_the_losses_are_those_of_the_heads():
    net, given = network(transducer=0.5), batch()
    (reading,), model = net(given), deployed(net)
    found, lengths = model.see(utterances(given))
    log_probs = torch.from_numpy(model.log_probs(found))
    own = (given.texts.units.T, torch.from_numpy(lengths), given.texts.lengths)
    expected = functional.ctc_loss(log_probs, *own, reduction="sum")
    torch.testing.assert_close(reading.ctc, expected, rtol=1e-5, atol=1e-4)
    predictor = model.predictor()
    nats = 0.0
    for row, steps in enumerate(lengths):
        said = given.texts.units[: given.texts.lengths[row], row].tolist()
        states = [predictor.start()]
        for unit in said:
            states += predictor.advance(states[-1:], [unit])
        frames = model.joint_frames(found[:steps, row])
        lattice = np.stack([predictor.join(frame, states) for frame in frames])
        nats -= forward(lattice, said)
    assert float(reading.transducer) == pytest.approx(nats, rel=1e-5)


@torch.no_grad()
def test_several_say_what_each_says_in_the_mean():
    net = network(members=3, transducer=0.5, bidirectional=False)
    alone = network(transducer=0.5, bidirectional=False)
    several, each = deployed(net), []
    for member in net.members:
        alone.members[0].load_state_dict(member.state_dict())
        each.append(deployed(alone))
    frames = utterances(batch())

    def mean(parts):
        product = np.exp(np.mean(parts, 0))
        return np.log(product / product.sum(-1, keepdims=True))

    parts = [model.see(frames)[0] for model in each]
    own = [model.log_probs(part) for model, part in zip(each, parts, strict=True)]
    found = several.see(frames)[0]
    assert not np.allclose(own[0], own[1], atol=0.01)
    np.testing.assert_allclose(several.log_probs(found), mean(own), atol=1e-5)
    joint, joints = several.joint_frames(found)[2, 0], []
    predictor = several.predictor()
    for model, part in zip(each, parts, strict=True):
        states = [model.predictor().start()]
        states += model.predictor().advance(states, [3])
        joints.append(model.predictor().join(model.joint_frames(part)[2, 0], states))
    states = [predictor.start()]
    states += predictor.advance(states, [3])
    np.testing.assert_allclose(predictor.join(joint, states), mean(joints), atol=1e-5)


def test_disagreement_is_the_divergence_from_what_all_say_together():
    net, given = network(members=3), batch()
    readings = net(given)
    several, frames = deployed(net), utterances(given)
    together, lengths = several.see(frames)
    target = several.log_probs(together)
    expected = 0.0
    for member in several.members:
        own = member.log_probs(member.see(frames)[0])
        apart = (np.exp(target) * (target - own)).sum(-1)
        expected += sum(apart[:steps, row].sum() for row, steps in enumerate(lengths))
    for reading in readings:
        reading.logits.retain_grad()
    found = disagreement(readings)
    assert found.item() == pytest.approx(expected, rel=1e-4)
    assert expected > 0.1
    found.backward()
    for reading in readings:  # none through what all say together
        apart = reading.logits.detach().softmax(-1).numpy() - np.exp(target)
        for row, steps in enumerate(lengths):
            ours = reading.logits.grad[:, row].numpy()
            np.testing.assert_allclose(ours[:steps], apart[:steps, row], atol=1e-5)
            assert not ours[steps:].any()
    assert disagreement([readings[0]] * 3).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("members", "transducer"), [(1, 0.0), (2, 1.0)])
def test_agreement_is_between_several_outputs_of_ctc(members, transducer):
    with pytest.raises(ConfigError, match="agreement: is between the CTC outputs"):
        SpeechConfig.from_settings(
            "test", (), agreement=0.5, members=members, transducer=transducer
        )


def forward(log_probs: np.ndarray, said: list[int]) -> float:
    """The log-probability of a text: log_probs [T, U + 1, V] of each node of the lattice."""
    frames, places = log_probs.shape[:2]
    alpha = np.full((frames + 1, places), -np.inf)
    alpha[0, 0] = 0
    for t in range(frames):
        for u in range(places):
            if u:
                up = alpha[t, u - 1] + log_probs[t, u - 1, said[u - 1]]
                alpha[t, u] = np.logaddexp(alpha[t, u], up)
            alpha[t + 1, u] = alpha[t, u] + log_probs[t, u, 0]
    return float(alpha[frames, -1])


@pytest.mark.parametrize(
    "name", [n for n, v in VARIANTS.items() if v.get("bidirectional") is False]
)
@pytest.mark.parametrize("cut", [1, 3, 7, 100])
def test_a_stream_sees_what_the_whole_shows(name, cut):
    model = deployed(network(**VARIANTS[name]))
    stream = model.stream()
    for frames in utterances(batch()):
        expected, lengths = model.see([frames])
        pieces = [stream.push(frames[at : at + cut]) for at in range(0, len(frames), cut)]
        found = np.concatenate([*pieces, stream.finish()])
        assert len(found) == lengths[0]
        np.testing.assert_allclose(found, expected[:, 0], atol=2e-6)


def test_what_is_said_before_is_never_altered():
    predictor = deployed(network(transducer=1.0)).predictor()
    start = predictor.start()
    first = predictor.advance([start, start], [1, 2])
    again = predictor.advance([first[1], start], [3, 1])
    np.testing.assert_allclose(again[1].joint, first[0].joint, atol=1e-6)
    assert not np.allclose(again[0].joint, first[0].joint, atol=1e-3)


def test_every_parameter_learns():
    net = network(auxiliary=7, transducer=0.5, channels=8, bidirectional=False, lookahead=1).train()
    (reading,) = net(batch())
    (reading.ctc + reading.transducer + reading.auxiliary).backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert still == []
