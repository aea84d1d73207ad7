"""BLEU and chrF against sacrebleu, latency against its definitions."""

import math
import sys

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.translation_metrics import (
    Latency,
    average_lagging,
    average_proportion,
    latency,
    length_adaptive_average_lagging,
    sentence_scores,
    translation_score,
)
from loopwise.errors import ConfigError, DataError, MissingExtraError

HYPOTHESES = ["The cat sat on the mat.", "", "a man rides a Bike !", "two dogs , running"]
REFERENCES = ["The cat is on the mat.", "nothing", "A man rides a bike!", "two dogs are running ."]


@pytest.mark.parametrize("tokenize", ["13a", "none", "intl", "char", "zh"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_a_corpus_is_scored_as_by_sacrebleu(tokenize, lowercase):
    found = translation_score(HYPOTHESES, REFERENCES, tokenize=tokenize, lowercase=lowercase)
    bleu = sacrebleu.corpus_bleu(
        HYPOTHESES, [REFERENCES], tokenize=tokenize, lowercase=lowercase, force=True
    )
    assert (found.bleu, found.precisions) == (bleu.score, tuple(bleu.precisions))
    assert found.brevity_penalty == bleu.bp
    assert (found.hypothesis_tokens, found.reference_tokens) == (bleu.sys_len, bleu.ref_len)
    chrf = sacrebleu.CHRF(lowercase=lowercase).corpus_score(HYPOTHESES, [REFERENCES])
    assert found.chrf == chrf.score
    case = "lc" if lowercase else "mixed"
    version = sacrebleu.__version__
    assert found.bleu_signature == (
        f"nrefs:1|case:{case}|eff:no|tok:{tokenize}|smooth:exp|version:{version}"
    )
    assert found.chrf_signature == (
        f"nrefs:1|case:{case}|eff:yes|nc:6|nw:0|space:no|version:{version}"
    )


def test_sentences_are_scored_as_by_sacrebleu():
    found = sentence_scores(HYPOTHESES, REFERENCES)
    for score, hypothesis, reference in zip(found, HYPOTHESES, REFERENCES, strict=True):
        assert score.bleu == sacrebleu.sentence_bleu(hypothesis, [reference]).score
        assert score.chrf == sacrebleu.sentence_chrf(hypothesis, [reference]).score
    assert found[1].bleu == found[1].chrf == 0


def test_the_reference_itself_is_perfect_and_tokenised_text_is_no_matter(caplog):
    tokenised = ["a man , who sleeps ."] * 200
    found = translation_score(tokenised, tokenised)
    assert (found.bleu, found.chrf) == (pytest.approx(100), pytest.approx(100))
    assert caplog.records == []


@pytest.mark.parametrize("measure", [translation_score, sentence_scores])
@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a"], ["a", "b"], "1 hypotheses and 2 references; each needs one"),
        ([], [], "no translation to measure"),
        ("a", ["a"], "hypotheses: must be a sequence of strings"),
        (["a"], [None], r"references\[0\]: must be a string, not NoneType"),
    ],
)
def test_what_cannot_be_measured(measure, hypotheses, references, message):
    with pytest.raises(DataError, match=message):
        measure(hypotheses, references)


@pytest.mark.parametrize("tokenize", ["flores200", "spm", "ja-mecab", "14a"])
def test_tokenizers_that_would_be_downloaded_are_refused(tokenize):
    with pytest.raises(ConfigError, match=f"tokenize='{tokenize}': must be one of '13a', 'none'"):
        translation_score(["a"], ["a"], tokenize=tokenize)


def test_without_sacrebleu_the_error_names_the_extra(monkeypatch):
    for module in ("sacrebleu", "sacrebleu.metrics.bleu"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"Measuring .* pip install 'loopwise\[text\]'"):
        translation_score(["a"], ["a"])


def wait_k(k, source, target):
    return [min(k + t, source) for t in range(target)]


@pytest.mark.parametrize("length", [1, 4, 9])
def test_wait_k_on_equal_lengths_lags_by_k(length):
    for k in range(1, length + 1):
        delays = wait_k(k, length, length)
        assert average_lagging(delays, length) == pytest.approx(k)
        assert length_adaptive_average_lagging(delays, length, length) == pytest.approx(k)


def test_waiting_for_all_lags_by_the_whole_source():
    assert average_lagging([7] * 5, 7) == length_adaptive_average_lagging([7] * 5, 7, 9) == 7
    assert average_proportion([7] * 5, 7) == 1


def test_wait_k_reads_half_of_a_long_source_on_average():
    assert average_proportion(wait_k(1, 999, 999), 999) == pytest.approx(500 / 999)


def test_lagging_of_unequal_lengths_by_hand():
    delays = [2, 3, 4, 4, 4, 4]  # tau = 3, r = 6 / 4
    assert average_lagging(delays, 4) == pytest.approx((2 + (3 - 2 / 3) + (4 - 4 / 3)) / 3)
    assert length_adaptive_average_lagging(delays, 4, 8) == pytest.approx(
        (2 + (3 - 1 / 2) + (4 - 1)) / 3
    )
    assert average_lagging([1, 1], 4) == pytest.approx((1 + (1 - 2)) / 2)  # never at the end


@st.composite
def translations(draw):
    source = draw(st.integers(1, 9))
    delays = sorted(draw(st.lists(st.integers(0, source), min_size=1, max_size=9)))
    return delays, source, draw(st.integers(0, 12))


@given(translations())
def test_latency_is_as_defined(given):
    delays, source, reference = given
    tau = next((t for t, g in enumerate(delays, 1) if g == source), len(delays))
    for found, target in (
        (average_lagging(delays, source), len(delays)),
        (
            length_adaptive_average_lagging(np.array(delays), source, reference),
            max(len(delays), reference),
        ),
    ):
        r = target / source
        assert found == pytest.approx(
            sum(g - (t - 1) / r for t, g in enumerate(delays[:tau], 1)) / tau, abs=1e-12
        )
    proportion = sum(delays) / (source * len(delays))
    assert average_proportion(delays, source) == pytest.approx(proportion)


def test_a_corpus_has_the_means_over_what_is_translated():
    found = latency([[1, 2], [], [3]], [2, 5, 3], [2, 5, 1])
    assert found == Latency(2.0, 2.0, (0.75 + 1) / 2, sentences=2, empty=1)


def test_no_target_word_has_no_latency():
    assert math.isnan(average_lagging([], 3))
    assert math.isnan(average_proportion([], 3))
    with pytest.raises(DataError, match="no translated sentence"):
        latency([[]], [3], [2])


@pytest.mark.parametrize(
    ("delays", "source", "message"),
    [
        ([2, 1], 3, r"delays\[1\]=1: must be a whole number in 2 to 3"),
        ([4], 3, r"delays\[0\]=4: must be a whole number in 0 to 3"),
        ([-1], 3, r"delays\[0\]=-1"),
        ([1.5], 3, r"delays\[0\]=1.5"),
        ([0], 0, "source_length=0: must be at least 1"),
    ],
)
def test_delays_that_cannot_be(delays, source, message):
    with pytest.raises(DataError, match=message):
        average_lagging(delays, source)
    with pytest.raises(DataError, match=message):
        average_proportion(delays, source)


def test_a_corpus_needs_as_many_lengths():
    with pytest.raises(DataError, match="delays of 1 sentences, 2 lengths of sources and 1 of"):
        latency([[1]], [1, 2], [1])
