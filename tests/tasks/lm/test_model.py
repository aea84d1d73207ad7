"""The torch model: where it drops, what it ties, how its state is carried."""

import pytest
import torch
from torch.nn import functional

from loopwise.nn.regularize import activation_penalty, drop_embeddings, locked_dropout
from loopwise.nn.state import leaves
from loopwise.tasks.lm.config import ModelConfig
from loopwise.tasks.lm.model import RecurrentLanguageModel, describe

CELLS = ("lstm", "gru", "rnn")
DROPOUTS = {
    "dropout_embedding": 0.5,
    "dropout_input": 0.5,
    "dropout_hidden": 0.5,
    "dropout_output": 0.5,
    "weight_drop": 0.5,
    "recurrent_dropout": 0.5,
    "zoneout": 0.5,
}


def model(**options) -> RecurrentLanguageModel:
    torch.manual_seed(0)
    small = {"embedding_size": 6, "hidden_size": 8, "num_layers": 2}
    config = ModelConfig(**{**small, **options})
    return RecurrentLanguageModel(describe(config, 11), config)


def ids(steps: int = 7, rows: int = 3) -> torch.Tensor:
    return torch.randint(11, (steps, rows), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_carried_from_window_to_window_reads_the_whole(cell):
    reader = model(cell=cell, learn_initial_state=True, residual=True).eval()
    whole, end = reader.logits(ids())
    first, state = reader.logits(ids()[:3])
    second, state = reader.logits(ids()[3:], state)
    torch.testing.assert_close(torch.cat((first, second)), whole)
    for carried, expected in zip(leaves(state), leaves(end), strict=True):
        torch.testing.assert_close(carried, expected)


@pytest.mark.parametrize("name", DROPOUTS)
@pytest.mark.parametrize("locked", [True, False])
def test_every_dropout_drops_in_training_alone(name, locked):
    reader = model(locked=locked, **{name: DROPOUTS[name]})
    plain = model()
    assert not torch.equal(reader.logits(ids())[0], reader.logits(ids())[0])
    if name != "zoneout":  # whose evaluation is an expectation, not absence
        torch.testing.assert_close(reader.eval().logits(ids())[0], plain.logits(ids())[0])
    assert torch.equal(reader.eval().logits(ids())[0], reader.logits(ids())[0])


def test_locked_dropout_keeps_one_mask_a_row_and_its_mean():
    torch.manual_seed(0)
    dropped = locked_dropout(torch.ones(5, 4, 1000), 0.25, training=True)
    assert torch.equal(dropped, dropped[:1].expand(5, -1, -1))
    assert not torch.equal(dropped[0, 0], dropped[0, 1])
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)


def test_a_dropped_token_is_zero_wherever_it_stands():
    torch.manual_seed(0)
    table = torch.nn.Embedding(11, 4)
    tokens = ids(50, 3)
    kept = drop_embeddings(table.weight, tokens, 0.5, training=True) / table(tokens)
    for token in range(11):
        assert len(kept[tokens == token].unique()) == 1
    assert kept.unique().tolist() == [0.0, 2.0]


def test_tied_weights_are_one_parameter():
    tied, loose = model(tied=True), model(last_size=6)
    names = {name for name, _ in tied.named_parameters()}
    assert {name for name, _ in loose.named_parameters()} - names == {"head.weight"}
    reading = tied(ids(), ids())
    expected = functional.linear(reading.dropped, tied.embedding.weight, tied.head.bias)
    assert torch.equal(tied.logits(ids())[0], expected)
    reading.nats.backward()
    unread = sorted(set(range(11)) - set(ids().flatten().tolist()))
    assert tied.embedding.weight.grad[unread].abs().sum() > 0 or not unread


def test_the_description_names_exactly_the_tensors():
    for options in ({}, {"cell": "gru", "layer_norm": True}, {"tied": True, "peephole": True}):
        made = model(learn_initial_state=True, **options)
        shapes = {name: tuple(t.shape) for name, t in made.state_dict().items()}
        assert shapes == made.description.tensor_shapes()


def test_init_scale_draws_weights_and_leaves_norms_and_initial_states():
    made = model(init_scale=0.01, layer_norm=True, learn_initial_state=True)
    for name, parameter in made.named_parameters():
        if "norm_weight" in name:
            assert (parameter == 1).all(), name
        elif "norm_bias" in name or "initial" in name:
            assert (parameter == 0).all(), name
        else:
            assert 0 < parameter.abs().max() <= 0.01, name
            assert parameter.unique().numel() == parameter.numel(), name


def test_penalties_are_their_definitions():
    torch.manual_seed(0)
    output, dropped = torch.randn(5, 3, 4), torch.randn(5, 3, 4)
    ar, tar = (dropped**2).mean(), ((output[1:] - output[:-1]) ** 2).mean()
    torch.testing.assert_close(activation_penalty(dropped, output, 2.0, 0.5), 2 * ar + 0.5 * tar)
    torch.testing.assert_close(activation_penalty(dropped, output, 2.0, 0.0), 2 * ar)
    torch.testing.assert_close(
        activation_penalty(dropped[:1], output[:1], 0.0, 1.0) + 1, torch.ones(())
    )


def test_forget_bias_is_the_bias_of_the_forget_gate():
    layer = model(forget_bias=2.0).layers[0]
    total = layer.bias_ih_l0 + layer.bias_hh_l0
    torch.testing.assert_close(total[8:16], torch.full((8,), 2.0))
