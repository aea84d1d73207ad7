"""What a word of a translation may see of a source that is still coming."""

import numpy as np

from loopwise.codec.sentences import train_translation_codec
from loopwise.runtime.waiting import seen, visible

CODEC = train_translation_codec(["abcd ef ghij kl"], ["mn opqr st uv wx"], unit="chars")
SOURCE = CODEC.source.encode("abcd ef ghij")  # with their spaces words of 5, 3, 5 characters
NOTHING = np.zeros(0, np.int32)


def test_words_see_words_and_the_end_sees_all():
    target = CODEC.target.encode("mn op st uv")
    expected = [5] * 3 + [8] * 3 + [13] * 3 + [13] * 3 + [13]
    assert seen(CODEC, SOURCE, target, 1).tolist() == expected
    assert seen(CODEC, SOURCE, target, 2).tolist() == [8] * 3 + [13] * 10
    assert seen(CODEC, SOURCE, target, 9).tolist() == [13] * 13


def test_where_there_is_nothing():
    assert seen(CODEC, SOURCE, NOTHING, 1).tolist() == [13]
    assert seen(CODEC, NOTHING, CODEC.target.encode("mn"), 1).tolist() == [1] * 4


def test_several_pairs():
    targets = [NOTHING, CODEC.target.encode("mn op")]
    found = visible(CODEC, [SOURCE, SOURCE], targets, 1)
    assert found.tolist() == [[13, 1, 1, 1, 1, 1, 1], [5, 5, 5, 8, 8, 8, 13]]
    assert visible(CODEC, [SOURCE, SOURCE], targets, 0) is None
