"""The linear layer with its cross-entropy, against torch's two operations."""

from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from torch.func import grad, vmap
from torch.nn import functional

from loopwise import engine
from loopwise.nn import cross_entropy
from loopwise.nn.backend import AVAILABLE, backend
from loopwise.nn.cross_entropy import linear_cross_entropy
from nn.oracle import assert_near

FEATURES = 7
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 0.01}

on_every_backend = pytest.mark.parametrize("on", AVAILABLE)
needs_engine = pytest.mark.skipif(not engine.available(), reason="no native engine here")


def draw(rows=6, classes=40, dtype=torch.float32, *, bias=True, ignored=0):
    """Features, weight, bias (or None), targets; the first `ignored` targets are negative."""
    x = torch.randn(rows, FEATURES).to(dtype).requires_grad_()
    weight = torch.randn(classes, FEATURES).to(dtype).requires_grad_()
    offset = torch.randn(classes).to(dtype).requires_grad_() if bias else None
    targets = torch.randint(classes, (rows,))
    targets[:ignored] = -torch.arange(1, ignored + 1)
    return x, weight, offset, targets


def definition(x, weight, bias, targets):
    """In float64, of the same numbers."""
    logits = functional.linear(x.double(), weight.double(), None if bias is None else bias.double())
    kept = targets >= 0
    return functional.cross_entropy(logits[kept], targets[kept], reduction="sum")


@contextmanager
def tiles():
    """The engine's own products, whatever the machine and the sizes."""
    with backend("native"), mock.patch.object(cross_entropy, "_tiles_pay", return_value=True):
        yield


def derive(function, x, weight, bias, targets, scale=1.0):
    """The value and the gradients."""
    inputs = [part for part in (x, weight, bias) if part is not None]
    value = function(x, weight, bias, targets)
    return [value.detach(), *torch.autograd.grad(value * scale, inputs)]


def assert_agree(found, expected, tolerance):
    for part, want in zip(found, expected, strict=True):
        assert_near(part, want, tolerance)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("classes", [1, 2, 15, 16, 17, 40, 257])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
@on_every_backend
def test_it_is_cross_entropy(on, bias, classes, dtype):
    problem = draw(classes=classes, dtype=dtype, bias=bias, ignored=2)
    with backend(on):
        found = derive(linear_cross_entropy, *problem, scale=0.5)
    assert found[0].dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert {part.dtype for part in found[1:]} == {dtype}
    assert_agree(found, derive(definition, *problem, scale=0.5), TOLERANCES[dtype])


@needs_engine
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("at_once", [1, 39, 100, 10_000])
def test_chunks_change_nothing(at_once, dtype):
    problem = draw(rows=11, dtype=dtype, ignored=1)
    with (
        mock.patch.object(cross_entropy, "LOGITS_AT_ONCE", at_once),
        mock.patch.object(engine, "surprisal", wraps=engine.surprisal) as surprisal,
        backend("native"),
    ):
        found = derive(linear_cross_entropy, *problem)
    assert surprisal.call_count == -(-11 // max(1, at_once // 40))
    assert_agree(found, derive(definition, *problem), TOLERANCES[dtype])


@needs_engine
@pytest.mark.parametrize("classes", [1, 2, 17, 255, 256, 257, 1000])
@pytest.mark.parametrize("rows", [1, 15, 16, 17, 300])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
def test_the_engines_products(bias, rows, classes):
    problem = draw(rows, classes, bias=bias, ignored=rows // 3)
    with tiles(), mock.patch.object(engine, "surprisal") as other:
        found = derive(linear_cross_entropy, *problem, scale=0.5)
    assert not other.called
    assert_agree(found, derive(definition, *problem, scale=0.5), 1e-6)


@needs_engine
@pytest.mark.parametrize("at_once", [1, 700, 11_000, 100_000])
def test_the_engines_chunks_change_nothing(at_once):
    problem = draw(rows=40, classes=700, ignored=1)
    with tiles(), mock.patch.object(cross_entropy, "LOGITS_AT_ONCE", at_once):
        found = derive(linear_cross_entropy, *problem)
    assert_agree(found, derive(definition, *problem), 1e-6)


@needs_engine
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_engines_products_on_threads(threads):
    """Of the sums over classes only that of the input's gradient depends on who has which."""
    problem = draw(rows=40, classes=900)
    before = torch.get_num_threads()
    found = []
    with tiles():
        for count in (threads, 3):
            torch.set_num_threads(count)
            found.append(derive(linear_cross_entropy, *problem))
    torch.set_num_threads(before)
    one, three = found
    assert_near(one[1], three[1], 1e-6)
    for part, want in zip((one[0], *one[2:]), (three[0], *three[2:]), strict=True):
        assert torch.equal(part, want)


@needs_engine
@pytest.mark.parametrize("place", ["x", "weight", "bias", "logits"])
def test_numbers_that_are_not_finite_are_left_to_torch(place):
    """They have no parts, and a sum of them is not to spoil the rows beside."""
    x, weight, bias, targets = (part.detach() for part in draw(rows=20, classes=300))
    if place == "logits":
        x[2] = weight[7] = 3e38
    else:
        {"x": x[2], "weight": weight[7], "bias": bias}[place][3] = torch.inf
    problem = (*(part.requires_grad_() for part in (x, weight, bias)), targets)
    with tiles():
        found = derive(linear_cross_entropy, *problem)
    with backend("torch"):
        expected = derive(linear_cross_entropy, *problem)
    for part, want in zip(found, expected, strict=True):
        torch.testing.assert_close(part, want, equal_nan=True, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("on", [*AVAILABLE, "tiles"])
@pytest.mark.parametrize("scale", [0.1, 30])
def test_tied_weights(on, scale):
    """Those of an embedding, which reads them too: both gradients are added."""
    _, weight, bias, targets = draw(rows=20, classes=300)
    weight = (scale * weight).detach().requires_grad_()
    ids = torch.randint(300, (20,))

    def tied(function):
        value = function(functional.embedding(ids, weight), weight, bias, targets)
        return torch.autograd.grad(value, [weight, bias])

    with tiles() if on == "tiles" else backend(on):
        found = tied(linear_cross_entropy)
    assert_agree(found, tied(definition), 1e-5)


@on_every_backend
def test_leading_dimensions_and_other_layouts(on):
    x, weight, bias, targets = draw(rows=6)
    with backend(on):
        flat = linear_cross_entropy(x, weight, bias, targets)
        folded = linear_cross_entropy(
            x.detach().t().reshape(FEATURES, 2, 3).permute(1, 2, 0),
            weight.detach().t().contiguous().t(),
            bias,
            targets.reshape(2, 3),
        )
    assert_near(folded, flat, 1e-6)


@on_every_backend
def test_all_ignored_and_no_rows(on):
    with backend(on):
        for problem in (draw(ignored=6), draw(rows=0)):
            assert all(not part.any() for part in derive(linear_cross_entropy, *problem))


@on_every_backend
@pytest.mark.parametrize("classes", [3, 40])
def test_large_logits_do_not_overflow(on, classes):
    x, weight, bias, targets = draw(classes=classes)
    problem = (1000 * x).detach().requires_grad_(), weight, bias, targets
    with backend(on):
        assert_agree(derive(linear_cross_entropy, *problem), derive(definition, *problem), 1e-6)


@on_every_backend
def test_a_certain_prediction(on):
    """Surprisals near zero keep their accuracy relative to 1, and probabilities of zero are met."""
    x = torch.eye(3).requires_grad_()
    weight = torch.tensor([[200.0, 0, 0], [0, 12.0, 0], [0, 0, -200.0]]).requires_grad_()
    targets = torch.arange(3)
    with backend(on):
        found = derive(linear_cross_entropy, x, weight, None, targets)
    assert_agree(found, derive(definition, x, weight, None, targets), 1e-6)


@on_every_backend
def test_not_a_number_comes_out_of_its_row(on):
    x, weight, bias, targets = draw()
    bad = x.detach().clone()
    bad[2, 3] = torch.nan
    with backend(on):
        value, d_x = derive(linear_cross_entropy, bad.requires_grad_(), weight, bias, targets)[:2]
        clean = derive(linear_cross_entropy, x, weight, bias, targets)[1]
    assert value.isnan()
    assert d_x[2].isnan().all()
    assert_near(d_x[[0, 1, 3, 4, 5]], clean[[0, 1, 3, 4, 5]], 1e-6)


@on_every_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_autocast(on, dtype):
    """The products in bfloat16, the exponentials and sums in float32; float64 stays itself."""
    problem = draw(rows=20, dtype=dtype)
    with backend(on), torch.autocast("cpu", torch.bfloat16):
        found = derive(linear_cross_entropy, *problem)
        assert found[0].dtype == dtype
    assert {part.dtype for part in found[1:]} == {dtype}
    tolerance = TOLERANCES[torch.bfloat16 if dtype == torch.float32 else dtype]
    assert_agree(found, derive(definition, *problem), tolerance)


@on_every_backend
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
def test_second_derivatives(on, bias):
    x, weight, offset, targets = draw(bias=bias)
    inputs = [part for part in (x, weight, offset) if part is not None]

    def derive_twice(function):
        value = function(x, weight, offset, targets)
        first = torch.autograd.grad(value, inputs, create_graph=True)
        total = sum(part.double().square().sum() for part in first)
        return torch.autograd.grad(total, inputs)

    with backend(on):
        found = derive_twice(linear_cross_entropy)
    assert_agree(found, derive_twice(definition), 1e-5)


@on_every_backend
def test_a_graph_may_be_used_again(on):
    x, weight, bias, targets = draw()
    with backend(on):
        value = linear_cross_entropy(x, weight, bias, targets)
    found = [
        torch.autograd.grad(value * scale, [x, weight, bias], retain_graph=True)
        for scale in (1.0, 1.0, 3.0)
    ]
    for one, two, three in zip(*found, strict=True):
        assert_near(two, one, 1e-6)
        assert_near(three, 3 * one, 1e-6)


@on_every_backend
def test_a_change_before_the_backward_is_found(on):
    x, weight, bias, targets = draw()
    with backend(on):
        value = linear_cross_entropy(x, weight, bias, targets)
    with torch.no_grad():
        weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@needs_engine
@pytest.mark.parametrize("learning", [None, 0, 1, 2], ids=["nothing", "x", "weight", "bias"])
def test_only_what_learns_is_differentiated(learning):
    problem = draw()
    targets = problem[3]
    parts = [part.detach() for part in problem[:3]]
    if learning is not None:
        parts[learning].requires_grad_()
    with backend("native"):
        value = linear_cross_entropy(*parts, targets)
    assert value.requires_grad == (learning is not None)
    if learning is not None:
        value.backward()
        want = derive(definition, *problem)[1 + learning]
        assert_near(parts[learning].grad, want, 1e-6)


@needs_engine
def test_a_value_without_gradients_is_the_same():
    problem = draw(rows=11)
    with backend("native"):
        value = linear_cross_entropy(*problem)
        with torch.no_grad():
            assert torch.equal(linear_cross_entropy(*problem), value)


@needs_engine
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_threads_change_no_surprisal(dtype):
    logits = torch.randn(50, 1001).to(dtype)
    targets = torch.randint(1001, (50,)).numpy()

    def run(count):
        mine, nats = logits.clone(), torch.empty(50)
        bits = mine.view(torch.uint16) if dtype == torch.bfloat16 else mine
        engine.surprisal(count, 1.0, logits=bits.numpy(), targets=targets, nats=nats.numpy())
        return mine, nats

    for found, want in zip(run(3), run(1), strict=True):
        assert torch.equal(found, want)


@on_every_backend
def test_transforms(on):
    """Gradients row by row, which the engine leaves to torch."""
    problem = draw()
    x, weight, bias, targets = (part.detach() for part in problem)
    with backend(on):
        rows = vmap(grad(linear_cross_entropy), in_dims=(0, None, None, 0))(
            x[:, None], weight, bias, targets[:, None]
        )
    assert_near(rows[:, 0], derive(definition, *problem)[1], 1e-6)


@on_every_backend
def test_targets_beyond_the_classes_are_refused(on):
    x, weight, bias, targets = draw(classes=5)
    targets[3] = 5
    with backend(on), pytest.raises((ValueError, IndexError)):
        linear_cross_entropy(x, weight, bias, targets)


@needs_engine
def test_no_gradient_is_found_where_nothing_learns():
    x, weight = torch.randn(5, 4), torch.randn(7, 4, requires_grad=True)
    targets = torch.arange(5)
    with mock.patch.object(torch, "mm", wraps=torch.mm) as product:
        learning = linear_cross_entropy(x, weight, None, targets)
        assert product.call_count == 1
        with torch.no_grad():
            reading = linear_cross_entropy(x, weight, None, targets)
        assert product.call_count == 1
    assert torch.equal(reading, learning.detach())
