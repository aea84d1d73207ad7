"""Translators as their users hold them: searches, scores, streams, and what is refused."""

import math

import numpy as np
import pytest

from loopwise.codec.search.options import Sampling
from loopwise.errors import BundleError, ConfigError, DataError
from loopwise.runtime.bundle import Bundle, read_bundle, write_bundle
from loopwise.runtime.load import load
from loopwise.runtime.translator import LoadedTranslator, ensemble
from runtime.tiny import layer
from runtime.translators import SOURCES, TARGETS, bundle, translator

UNITS = ("words", "bpe", "chars")


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_score_of_the_search_is_the_forced_one(unit, beam_size):
    model = translator(unit)
    for source, found in zip(
        SOURCES, model.translations(SOURCES, beam_size=beam_size, n_best=beam_size), strict=True
    ):
        assert len(found) == beam_size
        for each in found:
            if not each.cut and model.codec.target.encode(each.text).tolist() == list(each.ids):
                assert model.score(source, each.text)[0] == pytest.approx(
                    each.log_probability, abs=1e-4
                )
                length = len(each.ids) + 1
                assert each.score == pytest.approx(
                    each.log_probability / ((5 + length) / 6) ** 1.4, abs=1e-4
                )


@pytest.mark.parametrize("options", [{"input_feeding": True}, {"coverage": True}, {}])
def test_order_and_neighbours_never_matter(options):
    changes = dict(options)
    if options.get("input_feeding"):
        changes["decoder"] = [
            {**layer("lstm", input_size=12, hidden_size=7), "bidirectional": False}
        ]
    model = translator("chars", **changes)
    together = model.translations(SOURCES, n_best=2)
    backwards = model.translations(SOURCES[::-1], n_best=2)[::-1]
    for source, ours, theirs in zip(SOURCES, together, backwards, strict=True):
        (alone,) = model.translations(source, n_best=2)
        for other in (theirs, alone):
            assert [each.text for each in ours] == [each.text for each in other]
            np.testing.assert_allclose(
                [each.score for each in ours], [each.score for each in other], atol=1e-4
            )


def test_greedy_takes_the_likeliest_token():
    model = translator("chars")
    source, end = model.codec.source.encode(SOURCES[1]), model.codec.target.end
    read = model.model.read([source])
    ids: list[int] = []
    while len(ids) < 2 * len(source) + 20:
        decoder = model.model.begin(read)
        for token in [end, *ids]:
            readout, _ = decoder.step(np.zeros(1, np.int32), np.array([token]))
        best = int(model.model.predict(readout)[0].argmax())
        if best == end:
            break
        ids.append(best)
    (found,) = model.translations(SOURCES[1], beam_size=1, length_penalty=0.0)[0]
    assert list(found.ids) == ids


def test_nothing_stays_nothing_in_its_place():
    model = translator()
    texts = model.translate(["", SOURCES[0], "   ", SOURCES[1]], min_length=1)
    assert [bool(text) for text in texts] == [False, True, False, True]
    assert model.translate("") == ""
    assert model.translate([]) == []
    assert model.translations("  ") == [[]]
    assert model.translate(SOURCES[0], min_length=1) == texts[1]


def test_samples_are_the_same_in_any_company():
    model = translator("chars")
    options = {"sampling": Sampling(temperature=0.7, seed=5), "n_best": 3}
    together = model.translations(SOURCES, **options)
    again = model.translations(SOURCES, **options)
    assert [[e.text for e in each] for each in together] == [[e.text for e in x] for x in again]
    assert len({each.text for each in together[0]}) > 1
    with pytest.raises(ConfigError, match="beam_size"):
        model.translate("x", beam_size=3, sampling=Sampling())


def test_unknown_words_come_from_the_source():
    model = translator()
    model.model._head_bias[model.codec.target.unknown] += 50  # says nothing else
    (found,) = model.translations("der kleine hund", max_length=3)[0]
    words = ["der", "kleine", "hund"]
    assert found.text == " ".join(words[place] for _, place in found.alignment.pairs)


def test_alignment_of_words():
    model = translator("chars")
    aligned = model.align("ein haus", "a house")
    assert aligned.weights.shape == (len(" a house"), len(" ein haus"))
    np.testing.assert_allclose(aligned.weights.sum(1), 1, rtol=1e-5)
    table = aligned.by_words
    assert table.shape == (2, 2)
    np.testing.assert_allclose(table.sum(1), 1, rtol=1e-5)
    first = aligned.weights[:2, :4].sum(1).mean()  # " a" at " ein"
    assert table[0, 0] == pytest.approx(first)
    assert str(aligned) == " ".join(f"{s}-{t}" for t, s in aligned.pairs)


def test_surprisals_sum_to_the_score():
    model = translator("bpe")
    tokens = model.score_tokens(SOURCES[1], TARGETS[1])
    assert sum(token.nats for token in tokens) == pytest.approx(
        -model.score(SOURCES[1], TARGETS[1])[0]
    )
    assert tokens[-1].token == "\\n"
    assert model.score(SOURCES, TARGETS) == pytest.approx(
        [model.score(s, t)[0] for s, t in zip(SOURCES, TARGETS, strict=True)], abs=1e-4
    )
    with pytest.raises(DataError, match="4 sources and 1 targets; give as many"):
        model.score(SOURCES, "a")


@pytest.mark.parametrize("unit", UNITS)
def test_a_stream_that_waits_for_all_translates_greedily(unit):
    model = translator(unit, forwards=True)
    for source in SOURCES:
        stream = model.stream(wait=99)
        assert stream.push(source) == []
        words = stream.finish()
        assert " ".join(words) == model.translate(source, beam_size=1, length_penalty=0.0)
        assert stream.delays == [len(source.split())] * len(words)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("wait", [1, 2, 3])
def test_a_word_comes_after_as_many_as_it_waits_for(unit, wait):
    model = translator(unit, forwards=True, seed=3)
    for source in SOURCES:
        stream = model.stream(wait)
        found: list[str] = []
        for number, word in enumerate(source.split(), start=1):
            found += stream.push(word)
            assert len(found) <= max(number - wait + 1, 0)
        found += stream.finish()
        for place, delay in enumerate(stream.delays):
            assert delay >= min(place + wait, len(source.split()))
        assert len(stream.delays) == len(found)
        whole = model.stream(wait)
        assert whole.push(source) + whole.finish() == found


def test_a_word_depends_on_no_word_to_come():
    model = translator("chars", forwards=True, seed=3)
    one, other = (model.stream(2) for _ in range(2))
    assert one.push("der kleine") == other.push("der kleine")
    assert one.push("hund") == other.push("hund")


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("wait", [1, 2, 3])
def test_a_translation_is_scored_by_what_a_stream_had_read(unit, wait):
    model = translator(unit, forwards=True, seed=3)
    for source, target in zip(SOURCES, TARGETS, strict=True):
        (scored,) = model.log_probs(source, target, wait)
        words, target_codec = source.split(), model.codec.target
        places = target_codec.words(target_codec.encode(target)).tolist()
        for t, place in enumerate([*places, len(words)]):
            read = " ".join(words[: place + wait])
            assert scored[t] == pytest.approx(model.log_probs(read, target, 0)[0][t], abs=1e-5)


def test_a_translation_is_scored_as_in_training_unless_told_otherwise():
    model = translator(forwards=True)
    assert model.wait == 2
    pair = SOURCES[1], TARGETS[1]
    assert model.score(*pair) == model.score(*pair, wait=2) != model.score(*pair, wait=1)
    whole, alignment = model.score(*pair, wait=0), model.align(*pair)
    assert whole == model.score(*pair, wait=99) != model.score(*pair)
    np.testing.assert_allclose(alignment.weights[0, 2:], 0, atol=1e-6)
    nats = [token.nats for token in model.score_tokens(*pair, wait=1)]
    np.testing.assert_allclose(nats, -model.log_probs(*pair, wait=1)[0])
    (found,) = model.translations(SOURCES[1])[0]
    assert model.score(SOURCES[1], found.text, wait=0)[0] == pytest.approx(
        found.log_probability, abs=1e-4
    )
    with pytest.raises(ConfigError, match="reads the whole sentence before its first word"):
        translator().score(*pair, wait=2)
    with pytest.raises(ConfigError, match="wait=-1: must be at least 1"):
        model.score(*pair, wait=-1)


def test_a_stream_begins_anew_after_each_sentence():
    model = translator(forwards=True)
    stream = model.stream(1)
    first = [stream.push(SOURCES[1]), stream.finish()]
    stream.push(SOURCES[3])
    stream.finish()
    assert [stream.push(SOURCES[1]), stream.finish()] == first
    assert stream.finish() == []


def test_a_stream_needs_an_encoder_that_reads_forwards():
    with pytest.raises(ConfigError, match="reads the whole sentence before its first word"):
        translator().stream(3)
    with pytest.raises(ConfigError, match="wait=0: must be at least 1"):
        translator(forwards=True).stream(0)


def test_an_ensemble_has_the_mean_of_the_probabilities():
    models = [translator("chars", seed=seed) for seed in range(2)]
    (found,) = ensemble(models).translations(SOURCES[1])[0]
    each = [np.exp(model.log_probs(SOURCES[1], found.text)[0]) for model in models]
    assert math.log(np.prod(np.mean(each, axis=0))) == pytest.approx(
        found.log_probability, rel=1e-4
    )
    same = ensemble([models[0], models[0]])
    assert same.translate(SOURCES) == models[0].translate(SOURCES)
    with pytest.raises(ConfigError, match="translator 2 has another vocabulary"):
        ensemble([models[0], translator("words")])
    with pytest.raises(ConfigError, match="no translators"):
        ensemble([])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_a_bundle_is_the_translator(tmp_path, dtype):
    made = bundle("bpe")
    made = Bundle(made.task, made.model, made.codec, made.tensors, made.info, dtype)
    write_bundle(tmp_path / "b.safetensors", made)
    loaded = load(tmp_path / "b.safetensors")
    assert isinstance(loaded, LoadedTranslator)
    assert len(loaded.translate(SOURCES)) == 4
    if dtype == "float32":
        assert loaded.translate(SOURCES) == translator("bpe").translate(SOURCES)
    exact = translator("bpe").score(SOURCES, TARGETS)
    np.testing.assert_allclose(loaded.score(SOURCES, TARGETS), exact, rtol=0.05)
    loaded.save(tmp_path / "again.safetensors")
    assert read_bundle(tmp_path / "again.safetensors").fingerprint == loaded.bundle.fingerprint


def test_a_codec_of_another_size_is_refused():
    made, other = bundle("words"), bundle("chars")
    with pytest.raises(BundleError, match="the codec has"):
        LoadedTranslator(Bundle("translator", made.model, other.codec, made.tensors, {}))
    with pytest.raises(BundleError, match="unit"):
        LoadedTranslator(Bundle("translator", made.model, {"unit": "words"}, made.tensors, {}))


def test_what_is_no_sentence_or_no_option_is_refused():
    model = translator()
    with pytest.raises(DataError, match=r"sentences\[1\]: must be a string"):
        model.translate(["a", 3])
    with pytest.raises(DataError, match="not bytes"):
        model.translate([b"a"])
    with pytest.raises(ConfigError, match="beam= is no option; known are beam_size"):
        model.translate("a", beam=3)
    with pytest.raises(ConfigError, match="n_best=9"):
        model.translate("a", n_best=9)
