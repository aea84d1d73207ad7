"""The stream: its epochs, its place, its processes."""

import pytest
import torch

from loopwise.errors import DataError
from loopwise.tasks.synthetic.data import SequenceStream
from loopwise.tasks.synthetic.problems import Adding, Parity


def stream(problem=None, batch_size=4, epoch_sequences=23, **options) -> SequenceStream:
    return SequenceStream(problem or Parity(5), batch_size, epoch_sequences, **options)


def equal(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_epoch_has_as_many_batches_as_are_full():
    one = stream()
    for number in range(12):
        assert (one.epoch, one.starts_epoch) == (number // 5, number % 5 == 0)
        assert one.progress == pytest.approx(number / 5)
        assert one.next().inputs.shape == (5, 4)
    assert stream(world=2).batches == 2


def test_no_batch_comes_twice():
    one = stream(Adding(5))
    batches = [one.next() for _ in range(12)]
    assert not any(equal(a, b) for n, a in enumerate(batches) for b in batches[:n])


def test_a_place_leads_back():
    one, other = stream(), stream()
    for _ in range(7):
        one.next()
    other.load_state_dict(one.state_dict())
    assert other.progress == one.progress
    assert equal(one.next(), other.next())


def test_processes_draw_their_own_and_say_the_same():
    streams = [stream(Adding(5), rank=rank, world=2) for rank in (0, 1)]
    assert not equal(*(one.next() for one in streams))
    assert streams[0].state_dict() == streams[1].state_dict()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (stream(Parity(6)), r"problem was Parity\(length=5\), not Parity\(length=6\)"),
        (stream(batch_size=3), "sequences was 4, not 3"),
        (stream(world=2), "sequences was 4, not 8"),
        (stream(seed=2), "seed was 1, not 2"),
    ],
)
def test_a_place_in_another_stream_is_refused(other, message):
    with pytest.raises(DataError, match=f"the checkpoint is of other sequences: their {message}"):
        other.load_state_dict(stream().state_dict())


def test_an_epoch_without_a_batch_is_told():
    with pytest.raises(DataError, match=r"an epoch has 7 sequences .* 4 x 2 processes: raise"):
        stream(epoch_sequences=7, world=2)
