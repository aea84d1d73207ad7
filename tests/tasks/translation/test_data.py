"""Pairs into batches: what is held out, what a batch holds, where the stream is."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwise.codec.pairs import list_pairs
from loopwise.codec.sentences import train_translation_codec
from loopwise.errors import DataError
from loopwise.tasks.bucketing import Buckets
from loopwise.tasks.translation.data import PairStream, make_batch
from loopwise.tasks.translation.pairs import hold_out
from tasks.translation.texts import pairs


def codec(of, unit="words"):
    return train_translation_codec(of.sources, of.targets, unit=unit)


def stream(of, **options):
    wait = options.pop("wait", 0)
    return PairStream(codec(of), of, Buckets(**{"most": 40, "size": 8, **options}), wait=wait)


def epoch(batches, number=0):
    found = []
    while batches.epoch == number:
        found.append(batches.next())
    return found


def rows(batch):
    for i in range(batch.source.shape[1]):
        source = batch.source[: batch.source_lengths[i], i]
        target = batch.targets[: batch.target_lengths[i], i]
        yield tuple(source.tolist()), tuple(target.tolist())


def test_an_epoch_has_every_pair_once():
    of = pairs(100)
    batches = stream(of)
    made = codec(of)
    wanted = sorted(
        (tuple(s.tolist()), (*t.tolist(), made.target.end))
        for s, t in zip(
            made.source.encode_all(of.sources), made.target.encode_all(of.targets), strict=True
        )
    )
    first, second = epoch(batches, 0), epoch(batches, 1)
    for found in (first, second):
        assert sorted(itertools.chain(*map(rows, found))) == wanted
    assert [b.source.tolist() for b in first] != [b.source.tolist() for b in second]


def test_batches_keep_to_their_limits():
    of = pairs(200, longest=12)
    for batch in epoch(stream(of, most=50, size=6)):
        count = batch.source.shape[1]
        tokens = int(batch.source_lengths.sum() + batch.target_lengths.sum())
        assert count <= 6
        assert tokens <= 50 or count == 1
    long = list_pairs([("a " * 60, "b " * 60)] * 3)
    assert [b.source.shape[1] for b in epoch(stream(long))] == [1, 1, 1]


def test_processes_share_an_epoch():
    of = pairs(100)
    parts = [epoch(stream(of, rank=rank, world=3)) for rank in range(3)]
    assert len({len(part) for part in parts}) == 1
    found = sorted(row for part in parts for batch in part for row in rows(batch))
    whole = sorted(row for batch in epoch(stream(of)) for row in rows(batch))
    assert len(whole) - len(found) < 3 * 8  # what does not fill a batch of each is left out
    remaining = list(whole)
    for row in found:
        remaining.remove(row)  # each is one of the whole's


@settings(max_examples=25, deadline=None)
@given(place=st.integers(0, 60))
def test_a_stream_returns_to_its_place(place):
    of = pairs(60)
    batches = stream(of)
    for _ in range(place):
        batches.next()
    state = batches.state_dict()
    ahead = [batches.next().inputs.tolist() for _ in range(5)]
    again = stream(of)
    again.load_state_dict(state)
    assert [again.next().inputs.tolist() for _ in range(5)] == ahead


def test_a_place_in_other_batches_is_refused():
    state = stream(pairs(60)).state_dict()
    with pytest.raises(DataError, match=r"its pairs were .* continue with the same pairs"):
        stream(pairs(61)).load_state_dict(state)
    with pytest.raises(DataError, match="its tokens were 40, not 50"):
        stream(pairs(60), most=50).load_state_dict(state)


def test_merges_are_left_out_anew_in_each_epoch():
    of = list_pairs([("abcabcabc abc", "xyzxyz xyz")] * 20)
    made = train_translation_codec(of.sources, of.targets, unit="bpe")
    lengths = []
    batches = PairStream(made, of, Buckets(10_000, 100), dropout=0.5)
    for number in range(2):
        (batch,) = epoch(batches, number)
        lengths.append(batch.source_lengths.tolist())
        for source, target in rows(batch):
            assert made.source.decode(source) == "abcabcabc abc"
            assert made.target.decode(target) == "xyzxyz xyz"
    assert lengths[0] != lengths[1]
    again = PairStream(made, of, Buckets(10_000, 100), dropout=0.5)
    again.load_state_dict({**again.state_dict(), "epoch": 1, "place": 0})
    assert again.next().source_lengths.tolist() == lengths[1]


def test_a_batch_is_padded_at_the_end():
    of = list_pairs([("a b c", "x"), ("a", "x y")])
    made = codec(of)
    batch = make_batch(made, made.source.encode_all(of.sources), made.target.encode_all(of.targets))
    end = made.target.end
    x, y = (int(made.target.encode(word)[0]) for word in "xy")
    assert batch.inputs.T.tolist() == [[end, x, 0], [end, x, y]]
    assert batch.targets.T.tolist() == [[x, end, -1], [x, y, end]]
    assert batch.source_lengths.tolist() == [3, 1]
    assert batch.target_lengths.tolist() == [2, 3]
    assert batch.visible is None


def test_a_batch_says_what_may_be_seen():
    of = list_pairs([("a b c", "x"), ("a c", "x y")])
    made = codec(of)
    ids = made.source.encode_all(of.sources), made.target.encode_all(of.targets)
    assert make_batch(made, *ids, wait=1).visible.T.tolist() == [[1, 3, 1], [1, 2, 2]]
    assert make_batch(made, *ids, wait=2).visible.T.tolist() == [[2, 3, 1], [2, 2, 2]]


def test_held_out_sentences_are_not_learned_from():
    sentences = [(f"a {i % 40}", f"b {i}") for i in range(200)]
    train, valid = hold_out(list_pairs(sentences), 0.1)
    assert len(train) + len(valid) == 200
    assert len(set(valid.sources)) == 4
    assert not set(train.sources) & set(valid.sources)
    shuffled = [sentences[i] for i in np.random.default_rng(1).permutation(200)]
    assert set(hold_out(list_pairs(shuffled), 0.1)[1].sources) == set(valid.sources)
    with pytest.raises(DataError, match="1 different source sentences; at least 2"):
        hold_out(list_pairs([("a", "b")] * 5), 0.1)
