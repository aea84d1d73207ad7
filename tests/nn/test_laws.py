"""Laws that hold for every layer, searched for counterexamples."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwise.nn.backend import backend
from loopwise.nn.state import leaves, map_state
from nn.cases import OWN
from nn.oracle import BACKENDS, assert_near
from strategies import problems

laws = settings(max_examples=60)
backends = st.sampled_from(BACKENDS)


def assert_states_near(found, expected):
    for part, want in zip(leaves(found), leaves(expected), strict=True):
        assert_near(part, want)


@laws
@given(problems(), st.data(), backends)
def test_whole_is_chunk_and_chunk(drawn, data, on):
    layer = drawn.make(num_layers=2)
    batch = drawn.data(layer)
    cut = data.draw(st.integers(0, drawn.steps))
    with backend(on):
        y, state = layer(batch.x, batch.hx, reset=batch.reset, lengths=batch.lengths)
        head, tail = batch.lengths.clamp(max=cut), (batch.lengths - cut).clamp(min=0)
        first, middle = layer(batch.x[:cut], batch.hx, reset=batch.reset[:cut], lengths=head)
        second, last = layer(batch.x[cut:], middle, reset=batch.reset[cut:], lengths=tail)
    assert_near(torch.cat((first, second)), y)
    assert_states_near(last, state)


@laws
@given(problems(), backends)
def test_sequence_is_repeated_step(drawn, on):
    layer = drawn.make()
    batch = drawn.data(layer)
    with backend(on):
        y, state = layer(batch.x, batch.hx)
        now, outputs = batch.hx, []
        for x_t in batch.x:
            y_t, now = layer(x_t[None], now)
            outputs.append(y_t)
    assert_near(torch.cat(outputs), y)
    assert_states_near(now, state)


@laws
@given(problems(), st.randoms(use_true_random=False), backends)
def test_permuting_the_batch_permutes_the_outputs(drawn, random, on):
    layer = drawn.make(bidirectional=True)
    batch = drawn.data(layer)
    order = torch.tensor(random.sample(range(drawn.rows), drawn.rows))
    with backend(on):
        y, state = layer(batch.x, batch.hx, lengths=batch.lengths, reset=batch.reset)
        permuted, last = layer(
            batch.x[:, order],
            map_state(lambda s: s[:, order], batch.hx),
            lengths=batch.lengths[order],
            reset=batch.reset[:, order],
        )
    assert_near(permuted, y[:, order])
    assert_states_near(last, map_state(lambda s: s[:, order], state))


@laws
@given(problems(), st.sampled_from([1e6, float("inf"), float("nan")]), backends)
def test_padding_never_matters(drawn, filling, on):
    layer = drawn.make(bidirectional=True, num_layers=2)
    batch = drawn.data(layer)
    padding = torch.arange(drawn.steps)[:, None] >= batch.lengths
    filled = batch.x.masked_fill(padding[..., None], filling).requires_grad_()
    request = {"lengths": batch.lengths, "reset": batch.reset}
    with backend(on):
        y, state = layer(batch.x, batch.hx, **request)
        found, last = layer(filled, batch.hx, **request)
    assert torch.equal(found, y)
    assert all(torch.equal(a, b) for a, b in zip(leaves(last), leaves(state), strict=True))
    if any(drawn.lengths):
        found.sum().backward()
        assert filled.grad.isfinite().all()
        assert not filled.grad[padding].any()


@laws
@given(problems(), backends)
def test_backward_direction_is_the_reversed_input(drawn, on):
    """With the same weights, the reverse direction of x is the forward direction of x reversed."""
    layer, single = drawn.make(bidirectional=True), drawn.make()
    weights = layer.state_dict()
    for name in single.state_dict():
        both = f"{name}_reverse" if f"{name}_reverse" in weights else name
        if name.startswith("cells.0."):
            both = name.replace("cells.0.", "cells.1.")
        part = weights[both]
        single.state_dict()[name].copy_(part[1:] if name.startswith("initial_") else part)
    batch = drawn.data(layer)
    with backend(on):
        y, state = layer(batch.x, batch.hx)
        hx = map_state(lambda s: s[1:], batch.hx)
        turned, last = single(batch.x.flip(0), hx)
    assert_near(y[..., y.shape[-1] // 2 :], turned.flip(0))
    assert_states_near(map_state(lambda s: s[1:], state), last)


@laws
@given(problems(), st.data(), backends)
def test_concatenated_sequences_with_resets_are_separate_runs(drawn, data, on):
    layer = drawn.make(bidirectional=True)
    batch = drawn.data(layer)
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    pieces = [batch.x[:1].repeat(n, 1, 1) * (k + 1) for k, n in enumerate(sizes)]
    joined = torch.cat(pieces)
    reset = torch.zeros(joined.shape[:2], dtype=torch.bool)
    reset[[sum(sizes[:k]) for k in range(len(sizes))]] = True
    with backend(on):
        y, _ = layer(joined, reset=reset)
        apart = [layer(piece)[0] for piece in pieces]
    assert_near(y, torch.cat(apart))


@laws
@given(problems(), backends)
def test_lengths_are_running_each_row_alone(drawn, on):
    layer = drawn.make(bidirectional=True, num_layers=2)
    batch = drawn.data(layer)
    with backend(on):
        y, state = layer(batch.x, batch.hx, lengths=batch.lengths, reset=batch.reset)
        for row, length in enumerate(drawn.lengths):
            one = slice(row, row + 1)
            hx = map_state(lambda s: s[:, one], batch.hx)  # noqa: B023
            alone, last = layer(batch.x[:length, one], hx, reset=batch.reset[:length, one])
            assert_near(y[:length, one], alone)
            assert not y[length:, one].any()
            assert_states_near(map_state(lambda s: s[:, one], state), last)  # noqa: B023


@laws
@given(problems(OWN), backends)
def test_history_is_the_same_on_every_path(drawn, on):
    layer = drawn.make(bidirectional=True)
    batch = drawn.data(layer)
    request = {"lengths": batch.lengths, "reset": batch.reset}
    with backend(on):
        y, state = layer(batch.x, batch.hx, **request)
        traced, last, history = layer(batch.x, batch.hx, return_all="gates", **request)
    assert_near(traced, y)
    assert_states_near(last, state)
    outside = torch.arange(drawn.steps)[:, None] >= batch.lengths
    assert not history.gates[:, outside].any()
