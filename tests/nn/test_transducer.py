"""The transducer's loss against the sum over all alignments, the engine against its definition."""

from unittest import mock

import pytest
import torch
from torch.func import grad
from torch.nn import functional

from loopwise import engine
from loopwise.errors import DataError, ShapeError
from loopwise.nn import joiner
from loopwise.nn.backend import AVAILABLE, backend
from loopwise.nn.joiner import joint_log_probs
from loopwise.nn.transducer import transducer_loss, transducer_loss_from_logits
from nn.alignments import draw_targets, transducer_nats
from nn.oracle import assert_near

TOLERANCES = {torch.float64: 1e-11, torch.float32: 5e-6}

on_every_backend = pytest.mark.parametrize("on", AVAILABLE)
needs_engine = pytest.mark.skipif(not engine.available(), reason="no native engine here")


def draw(steps=5, rows=3, places=3, features=7, classes=6, dtype=torch.float32, *, bias=True):
    """What the loss takes: four tensors that learn (the last may be None) and the transcripts."""

    def normal(*shape):
        return torch.randn(shape, dtype=dtype, requires_grad=True)

    learning = normal(steps, rows, features), normal(places + 1, rows, features)
    offset = normal(classes) if bias else None
    transcripts = draw_targets(steps, rows, places, classes)
    return *learning, normal(classes, features), offset, *transcripts


def derive(function, *problem, on="native"):
    """The loss of each row, and the gradients of a sum with unequal weights."""
    inputs = [part for part in problem if part is not None and part.requires_grad]
    with backend(on):
        nats = function(*problem)
        weights = torch.linspace(0.5, 2, len(nats), dtype=nats.dtype)
        return [nats.detach(), *torch.autograd.grad(nats @ weights, inputs)]


def exact(*problem):
    """By the definition in float64, of the same numbers."""
    wide = [
        part.detach().double().requires_grad_(part.requires_grad)
        if part is not None and part.is_floating_point()
        else part
        for part in problem
    ]
    return derive(transducer_loss, *wide, on="reference")


def logits_of(encoded, predicted, weight, bias):
    return functional.linear(torch.tanh(encoded[:, None] + predicted), weight, bias)


def by_enumeration(*problem):
    return transducer_nats(logits_of(*problem[:4]), *problem[4:])


def from_logits(*problem):
    return transducer_loss_from_logits(logits_of(*problem[:4]), *problem[4:])


def assert_agree(found, expected, tolerance=TOLERANCES[torch.float32]):
    for part, want in zip(found, expected, strict=True):
        assert_near(part, want, tolerance)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("loss", [transducer_loss, from_logits])
@pytest.mark.parametrize("seed", range(3))
@on_every_backend
def test_it_is_the_sum_over_all_alignments(on, seed, loss, dtype):
    torch.manual_seed(seed)
    problem = draw(dtype=dtype, bias=seed != 1)
    found = derive(loss, *problem, on=on)
    assert {part.dtype for part in found} == {dtype}
    assert_agree(found, derive(by_enumeration, *problem), TOLERANCES[dtype])


def test_gradients_against_finite_differences():
    *learning, targets, lengths, target_lengths = draw(dtype=torch.float64)

    def loss(*parts):
        return transducer_loss(*parts, targets, lengths, target_lengths)

    assert torch.autograd.gradcheck(loss, learning)
    assert torch.autograd.gradgradcheck(loss, learning)


@needs_engine
def test_the_engines_gradients_against_finite_differences():
    """In one direction, by central differences of the engine's own loss."""
    *learning, targets, lengths, target_lengths = draw()
    directions = [torch.randn_like(part) for part in learning]

    def loss(step):
        moved = [p + step * d for p, d in zip(learning, directions, strict=True)]
        return transducer_loss(*moved, targets, lengths, target_lengths).double().sum()

    with backend("native"):
        found = torch.autograd.grad(loss(0.0), learning)
        slope = (loss(1e-2) - loss(-1e-2)) / 2e-2
    along = sum((g.double() * d).sum() for g, d in zip(found, directions, strict=True))
    assert_near(along, slope, 1e-3)


@needs_engine
@pytest.mark.parametrize("classes", [2, 15, 16, 17, 70, 300])
@pytest.mark.parametrize("features", [1, 16, 33, 130])
def test_sizes(features, classes):
    problem = draw(20, 3, 7, features, classes)
    assert_agree(derive(transducer_loss, *problem), exact(*problem))


@needs_engine
@pytest.mark.parametrize(("steps", "places"), [(1, 0), (1, 6), (9, 0), (40, 1), (2, 40)])
def test_narrow_lattices(steps, places):
    problem = draw(steps, places=places)
    assert_agree(derive(transducer_loss, *problem), exact(*problem))


@needs_engine
def test_a_long_lattice_keeps_its_accuracy():
    problem = draw(300, rows=1, places=60, features=3, classes=5)
    assert_agree(derive(transducer_loss, *problem), exact(*problem))


@needs_engine
@pytest.mark.parametrize("at_once", [1, 100_000])
def test_chunks_change_nothing(at_once):
    problem = draw(60, 3, 12, classes=40)
    with mock.patch.object(joiner, "LOGITS_AT_ONCE", at_once):
        found = derive(transducer_loss, *problem)
    assert_agree(found, exact(*problem))


@needs_engine
@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_no_bit(threads):
    problem = draw(40, 3, 12, 70, 100)
    before = torch.get_num_threads()
    found = []
    for count in (threads, 1):
        torch.set_num_threads(count)
        found.append(derive(transducer_loss, *problem))
    torch.set_num_threads(before)
    for part, want in zip(*found, strict=True):
        assert torch.equal(part, want)


@on_every_backend
def test_what_lies_beyond_a_row_never_matters(on):
    encoded, predicted, weight, bias, targets, lengths, target_lengths = draw(rows=5)
    frames = torch.arange(len(encoded))[:, None] < lengths
    places = torch.arange(len(predicted))[:, None] <= target_lengths
    junk = (
        torch.where(frames[..., None], encoded, 5.0).detach().requires_grad_(),
        torch.where(places[..., None], predicted, -5.0).detach().requires_grad_(),
    )
    labels = torch.where(places[1:], targets, -9)
    rest = weight, bias, labels, lengths, target_lengths
    found = derive(transducer_loss, *junk, *rest, on=on)
    assert not found[1][~frames].any()
    assert not found[2][~places].any()
    rest = weight, bias, targets, lengths, target_lengths
    assert_agree(found, derive(transducer_loss, encoded, predicted, *rest, on=on), 1e-6)


@on_every_backend
def test_rows_do_not_see_each_other(on):
    problem = draw(rows=4)
    with backend(on):
        together = transducer_loss(*problem)
        encoded, predicted, weight, bias, targets, lengths, target_lengths = problem
        for b in range(4):
            T, U = int(lengths[b]), int(target_lengths[b])
            alone = transducer_loss(
                encoded[:T, b : b + 1], predicted[: U + 1, b : b + 1], weight, bias,
                targets[:U, b : b + 1], lengths[b : b + 1], target_lengths[b : b + 1],
            )  # fmt: skip
            assert_near(alone[0], together[b], 1e-6)


@on_every_backend
def test_a_certain_transcript(on):
    """One way has all the probability: the loss and the gradient of the rest are zero."""
    logits = torch.full((2, 2, 1, 3), -1e4)
    logits[0, 0, 0, 2] = logits[0, 1, 0, 0] = logits[1, 1, 0, 0] = 1e4
    logits.requires_grad_()
    with backend(on):
        nats = transducer_loss_from_logits(
            logits, torch.tensor([[2]]), torch.tensor([2]), torch.tensor([1])
        )
        nats.sum().backward()
    assert nats.item() == 0
    assert not logits.grad.any()


@on_every_backend
def test_not_a_number_comes_out_of_its_row(on):
    problem = list(draw(20, rows=3, features=40))
    clean = derive(transducer_loss, *problem, on=on)
    problem[0] = problem[0].detach().clone()
    problem[0][0, 1, 2] = torch.nan
    problem[0].requires_grad_()
    found = derive(transducer_loss, *problem, on=on)
    assert found[0].isnan().tolist() == [False, True, False]
    assert found[1][0, 1].isnan().all()
    assert_near(found[1][:, [0, 2]], clean[1][:, [0, 2]], 1e-6)
    assert_near(found[0][[0, 2]], clean[0][[0, 2]], 1e-6)


@on_every_backend
def test_large_numbers_do_not_overflow(on):
    encoded, predicted, weight, bias, *rest = draw()
    problem = encoded, predicted, (300 * weight).detach().requires_grad_(), bias, *rest
    assert_agree(derive(transducer_loss, *problem, on=on), exact(*problem))


@needs_engine
def test_only_what_learns_is_differentiated():
    problem = draw()
    expected = exact(*problem)
    for i in range(4):
        parts = [p if k == i else p.detach() for k, p in enumerate(problem)]
        assert_agree(derive(transducer_loss, *parts)[1:], [expected[1 + i]])


@on_every_backend
def test_second_derivatives(on):
    problem = draw()

    def twice(parts):
        nats = transducer_loss(*parts)
        inputs = [part for part in parts if part.is_floating_point()]
        first = torch.autograd.grad(nats.sum(), inputs, create_graph=True)
        return torch.autograd.grad(sum(part.square().sum() for part in first), inputs)

    with backend(on):
        found = twice(problem)
    wide = [p.detach().double().requires_grad_() if p.is_floating_point() else p for p in problem]
    assert_agree(found, twice(wide), 2e-5)


@on_every_backend
def test_transforms(on):
    encoded, *rest = draw()
    rest = [part.detach() for part in rest]
    with backend(on):
        found = grad(lambda e: transducer_loss(e, *rest).sum())(encoded.detach())
        expected = torch.autograd.grad(transducer_loss(encoded, *rest).sum(), encoded)[0]
    assert_near(found, expected, 5e-6)


@on_every_backend
def test_autocast_and_bfloat16_are_computed_in_float32(on):
    problem = [p.bfloat16() if p.is_floating_point() else p.int() for p in draw()]
    wide = [p.float() if p.is_floating_point() else p.long() for p in problem]
    with backend(on):
        with torch.autocast("cpu", torch.bfloat16):
            found = transducer_loss(*problem)
        assert found.dtype == torch.float32
        assert torch.equal(found, transducer_loss(*wide))


@needs_engine
def test_the_operators():
    """Their fakes and gradients, as torch checks them."""
    problem = draw()
    *_, lengths, target_lengths = problem
    ops, check = torch.ops.loopwise, torch.library.opcheck
    check(ops.joint_log_probs.default, problem)
    check(ops.joint_log_probs.default, (*problem[:3], None, *problem[4:]))
    log_probs = joint_log_probs(*problem).detach()
    inputs = [p.detach() for p in problem]
    check(
        ops.joint_log_probs_backward.default,
        (torch.randn_like(log_probs), [True, False, True, False], *inputs),
    )
    check(ops.transducer_lattice.default, (log_probs.requires_grad_(), lengths, target_lengths))


@needs_engine
def test_compiled():
    problem = draw()
    compiled = torch.compile(transducer_loss, fullgraph=True, backend="aot_eager")
    assert_agree(derive(compiled, *problem), derive(transducer_loss, *problem), 1e-7)


def test_what_cannot_be_aligned_is_refused():
    encoded, predicted, weight, bias, targets, lengths, target_lengths = draw()

    def refuses(error, message, **changed):
        given = {
            "encoded": encoded, "predicted": predicted, "weight": weight, "bias": bias,
            "targets": targets, "lengths": lengths, "target_lengths": target_lengths,
        }  # fmt: skip
        with pytest.raises(error, match=message):
            transducer_loss(**given | changed)

    refuses(ShapeError, r"encoded: expected shape \(T, B, J\)", encoded=encoded[0])
    refuses(ShapeError, r"encoded: expected .* none of them 0", encoded=encoded[:0])
    refuses(ShapeError, r"predicted: expected shape \(4, 3, 7\)", predicted=predicted[1:])
    refuses(ShapeError, r"weight: expected shape \(6, 7\)", weight=weight[:, 1:])
    refuses(ShapeError, r"bias: expected shape \(6,\)", bias=bias[1:])
    refuses(ShapeError, r"targets: expected shape \(3, 3\)", targets=targets[:, 1:])
    refuses(ShapeError, r"targets: expected integers", targets=targets.float())
    refuses(ShapeError, r"lengths: expected shape \(3,\)", lengths=lengths[1:])
    refuses(DataError, r"lengths: row 1 has 0; allowed are 1 to 5", lengths=torch.tensor([5, 0, 1]))
    refuses(DataError, r"lengths: row 2 has 6", lengths=torch.tensor([5, 1, 6]))
    refuses(DataError, r"target_lengths: row 0 has 4", target_lengths=torch.tensor([4, 0, 1]))
    for wrong in (0, 6, -1):
        labels = targets.clone()
        labels[1, 0] = wrong
        refuses(DataError, rf"row 0 has {wrong} in place 1; allowed are 1 to 5", targets=labels)
    with pytest.raises(ShapeError, match=r"logits: expected shape \(5, 4, 3, 6\)"):
        transducer_loss_from_logits(torch.zeros(5, 3, 3, 6), targets, lengths, target_lengths)


@needs_engine
def test_the_engine_itself_refuses_what_would_lead_it_astray():
    names = ["encoded", "predicted", "weight", "bias", "targets", "lengths", "target_lengths"]
    given = {n: p.detach().numpy() for n, p in zip(names, draw(), strict=True)}
    log_probs = torch.zeros(3, 5, 4, 2).numpy()
    for name in ("targets", "lengths", "target_lengths"):
        for value in (-1, 7):
            wrong = given | {name: given[name] * 0 + value}
            with pytest.raises(ValueError, match=name):
                engine.joiner(1, 1, log_probs=log_probs, **wrong)
    with pytest.raises(ValueError, match="give one"):
        engine.joiner(1, 1, **given)
    with pytest.raises(ValueError, match="lengths"):
        engine.lattice(1, log_probs=log_probs, nats=torch.zeros(3).numpy())
