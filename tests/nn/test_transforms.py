"""torch.func through the layers, and parametrisations on them."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vjp, vmap
from torch.nn.utils import parametrizations

from loopwise.nn.layers import GRU, LSTM, RNN
from loopwise.nn.state import leaves, map_state, rebuild
from nn.cases import CASES, INPUT, OWN, Case, ids, randomise, sample
from nn.oracle import assert_near

# Torch scripts its decompositions at the first use of forward mode, and warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

every_case = pytest.mark.parametrize("case", CASES, ids=ids(CASES))


@every_case
def test_vmap_over_sequences(case):
    """A batch inside of a vmap: as many calls, one by one."""
    layer = case.make(bidirectional=True)
    data = sample(layer, rows=6)

    def run(x, hx):
        y, state, history = layer(x, hx, lengths=[3, 0, 5], return_all="states")
        return y, state, history.states

    x = data.x.unflatten(1, (2, 3))
    hx = map_state(lambda s: s.unflatten(1, (2, 3)), data.hx)
    y, state, states = vmap(run, in_dims=(1, 1), out_dims=1)(x, hx)
    for k in range(2):
        want, last, steps = run(x[:, k], map_state(lambda s: s[:, k], hx))  # noqa: B023
        assert_near(y[:, k], want)
        for part, single in zip(leaves(state), leaves(last), strict=True):
            assert_near(part[:, k], single)
        for part, single in zip(leaves(states), leaves(steps), strict=True):
            assert_near(part[:, k], single)


@every_case
def test_per_sample_gradients(case):
    layer = case.make()
    data = sample(layer)
    parameters = {name: p.detach() for name, p in layer.named_parameters()}

    def loss(parameters, x):
        return functional_call(layer, parameters, (x[:, None],))[0].square().sum()

    found = vmap(grad(loss), in_dims=(None, 1))(parameters, data.x)
    for row in range(data.x.shape[1]):
        want = grad(loss)(parameters, data.x[:, row])
        for name, part in found.items():
            assert_near(part[row], want[name])


@every_case
def test_forward_mode_is_the_transpose_of_backward_mode(case):
    """<w, J v> = <J' w, v>, for input and state together."""
    layer = case.make(bidirectional=True)
    data = sample(layer)
    parts = list(leaves(data.hx))

    def run(x, *hx):
        y, last = layer(x, rebuild(data.hx, iter(hx)), reset=data.reset)
        return y, *leaves(last)

    tangents = [torch.randn_like(part) for part in (data.x, *parts)]
    outputs, forward = jvp(run, (data.x, *parts), tuple(tangents))
    cotangents = tuple(torch.randn_like(part) for part in outputs)
    backward = vjp(run, data.x, *parts)[1](cotangents)
    left = sum((w * jv).sum() for w, jv in zip(cotangents, forward, strict=True))
    right = sum((wj * v).sum() for wj, v in zip(backward, tangents, strict=True))
    assert_near(left, right)


def test_jacobians_agree():
    layer = Case(LSTM).make()
    x = sample(layer, steps=3, rows=1).x

    def run(x):
        return layer(x)[0]

    assert_near(jacfwd(run)(x), jacrev(run)(x))


def test_forward_mode_of_autograd():
    """``torch.autograd.forward_ad``, which torch's kernels refuse, goes through the reference."""
    layer = Case(GRU).make()
    x = sample(layer).x
    tangent = torch.randn_like(x)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, tangent)
        moved = torch.autograd.forward_ad.unpack_dual(layer(dual)[0]).tangent
    assert_near(moved, jvp(lambda x: layer(x)[0], (x,), (tangent,))[1])


def test_training_noise_under_vmap():
    layer = Case(LSTM, {"recurrent_dropout": 0.5, "zoneout": 0.2, "weight_drop": 0.5}).make()
    x = torch.ones(2, 5, 3, INPUT, dtype=torch.float64)
    y, _ = vmap(layer.train(), randomness="different")(x)
    assert not torch.equal(y[0], y[1])


ENSEMBLE = [case for case in OWN if not case.options][:3]


@pytest.mark.parametrize("case", ENSEMBLE, ids=ids(ENSEMBLE))
def test_ensembles(case):
    """vmap over stacked parameters."""
    members = [case.make(seed=seed) for seed in range(3)]
    parameters, _ = torch.func.stack_module_state(members)
    x = sample(members[0]).x
    base = case.make().to("meta")
    y = vmap(lambda p: functional_call(base, p, (x,))[0])(parameters)
    for k, member in enumerate(members):
        assert_near(y[k], member(x)[0])


@pytest.mark.parametrize("name", ["weight_hh_l0", "weight_ih_l0"])
@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_weight_norm_stays_alive(kind, name):
    layer = Case(kind).make()
    x = sample(layer).x
    plain = layer(x)[0]
    parametrizations.weight_norm(layer, name)
    assert_near(layer(x)[0], plain)
    magnitude = layer.parametrizations[name].original0
    layer(x)[0].square().sum().backward()
    assert magnitude.grad.any()
    with torch.no_grad():
        magnitude.mul_(2)
    assert not torch.allclose(layer(x)[0], plain)


def test_spectral_norm_stays_alive():
    layer = randomise(Case(LSTM).make(), seed=4)
    x = sample(layer).x
    parametrizations.spectral_norm(layer, "weight_hh_l0", n_power_iterations=50)
    layer.train()
    for _ in range(3):
        y, _ = layer(x)
    assert_near(torch.linalg.matrix_norm(layer.weight_hh_l0, 2), torch.tensor(1.0), 1e-6)
    y.square().sum().backward()
    original = layer.parametrizations["weight_hh_l0"].original
    assert original.grad.any()
    before = layer.eval()(x)[0]
    nn.init.orthogonal_(original)
    assert not torch.allclose(layer(x)[0], before)


def test_a_parametrised_weight_is_computed_once_a_call():
    """A spectral norm moves on at each look in training: one look a call, as with any layer."""
    looks = []

    class Counted(nn.Module):
        def forward(self, weight):
            looks.append(1)
            return weight

    layer = Case(LSTM).make()
    nn.utils.parametrize.register_parametrization(layer, "weight_ih_l0", Counted())
    x = sample(layer).x
    looks.clear()
    layer(x)
    assert looks == [1]
