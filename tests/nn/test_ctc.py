"""The CTC loss, against the sum over all alignments."""

import pytest
import torch

from loopwise.errors import DataError, ShapeError
from loopwise.nn.ctc import ctc_loss, frames_needed
from nn.alignments import ctc_nats, draw_targets
from nn.oracle import assert_near

T, B, U, V = 5, 4, 2, 3


def draw(dtype=torch.float64, **sizes):
    s = {"steps": T, "rows": B, "places": U, "classes": V} | sizes
    targets, lengths, target_lengths = draw_targets(**s)
    lengths = torch.maximum(lengths, frames_needed(targets, target_lengths).clamp(min=1))
    logits = torch.randn(s["steps"], s["rows"], s["classes"], dtype=dtype, requires_grad=True)
    return logits, targets, lengths, target_lengths


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_sum_over_all_alignments(seed, dtype, tolerance):
    torch.manual_seed(seed)
    logits, *rest = draw(dtype)
    found, expected = ctc_loss(logits, *rest), ctc_nats(logits.double(), *rest)
    assert found.dtype == dtype
    assert_near(found, expected, tolerance)
    weights = torch.randn(B).to(dtype)
    for part, want in zip(
        torch.autograd.grad(found @ weights, logits),
        torch.autograd.grad(expected @ weights.double(), logits),
        strict=True,
    ):
        assert_near(part, want, tolerance)


def test_gradients_against_finite_differences():
    logits, *rest = draw()
    assert torch.autograd.gradcheck(lambda x: ctc_loss(x, *rest), logits)


def test_log_probabilities_are_as_good_as_logits():
    logits, *rest = draw()
    assert_near(ctc_loss(logits.log_softmax(-1), *rest), ctc_loss(logits, *rest), 1e-12)


def test_what_lies_beyond_a_row_never_matters():
    logits, targets, lengths, target_lengths = draw()
    frames = torch.arange(T)[:, None] < lengths
    junk = torch.where(frames[..., None], logits, 1e4).detach().requires_grad_()
    labels = torch.where(torch.arange(U)[:, None] < target_lengths, targets, -7)
    loss = ctc_loss(junk, labels, lengths, target_lengths)
    assert torch.equal(loss, ctc_loss(logits, targets, lengths, target_lengths))
    loss.sum().backward()
    assert not junk.grad[~frames].any()


def test_no_labels_are_all_blank():
    logits = torch.randn(3, 2, 4)
    none, lengths = torch.zeros(0, 2, dtype=torch.long), torch.tensor([3, 2])
    blank = logits.log_softmax(-1)[..., 0]
    expected = -torch.stack([blank[:, 0].sum(), blank[:2, 1].sum()])
    assert_near(ctc_loss(logits, none, lengths, torch.zeros(2, dtype=torch.long)), expected, 1e-6)


def test_autocast_and_bfloat16_are_computed_in_float32():
    logits, *rest = draw(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = ctc_loss(logits, *rest)
    assert torch.equal(found, ctc_loss(logits.float(), *rest))


def test_frames_needed():
    targets = torch.tensor([[1, 1, 1], [1, 2, 1], [1, 2, 3], [2, 2, 3]])
    assert frames_needed(targets, torch.tensor([4, 4, 2])).tolist() == [6, 6, 3]


@pytest.mark.parametrize(
    ("labels", "frames", "needed"), [([1, 2, 1], 2, 3), ([1, 1, 1], 4, 5), ([2, 2, 1], 3, 4)]
)
def test_too_few_frames(labels, frames, needed):
    targets = torch.tensor([[1, 2, 1], labels]).t()
    problem = torch.randn(9, 2, 3), targets, torch.tensor([9, frames]), torch.tensor([3, 3])
    with pytest.raises(DataError, match=rf"row 1 has {frames} frames, too few.*need {needed}"):
        ctc_loss(*problem)
    enough = ctc_loss(*problem[:2], torch.tensor([9, needed]), problem[3])
    assert enough.isfinite().all()


def test_wrong_shapes():
    logits, targets, lengths, target_lengths = draw()
    for wrong in (logits[0], logits[:, :2]):
        with pytest.raises(ShapeError, match=r"logits: expected shape \(T, B, V\)"):
            ctc_loss(wrong, targets, lengths, target_lengths)
