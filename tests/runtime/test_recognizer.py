"""A deployed recognizer: whole recordings, streams that hear the same, times, words, language."""

import dataclasses
import math

import numpy as np
import pytest

from loopwise.codec.speech.files import read_utterances
from loopwise.errors import BundleError, ConfigError, DataError
from loopwise.export.precision import lower
from loopwise.runtime.recognition_stream import EndpointRules
from loopwise.runtime.recognizer import LoadedRecognizer
from loopwise.tasks.speech.sample import sample_of
from runtime.recognizers import recognizer
from tasks.speech.sounds import RATE, said, texts, write_manifest

SEARCHES = [
    {},
    {"beam_size": 1},
    {"language": "none"},
    {"among": "words"},
    {"hot_words": ("re mi",), "hot_bonus": 1.0},
]


def spoken(count=8, seed=5):
    lines = texts(count, seed)
    return lines, [said(line, seed=50 + i) for i, line in enumerate(lines)]


def test_it_finds_the_words():
    lines, sounds = spoken(20)
    heard = recognizer().transcribe(sounds)
    assert np.mean([ours == theirs for ours, theirs in zip(heard, lines, strict=True)]) >= 0.9


def test_recordings_beside_it_and_their_order_change_nothing():
    _, sounds = spoken()
    model = recognizer()
    together = model.recognitions(sounds)
    assert model.recognitions(sounds[::-1]) == together[::-1]
    for sound, found in zip(sounds, together, strict=True):
        (alone,) = model.recognitions(sound)
        assert alone.text == found.text
        assert [word.start for word in alone.words] == [word.start for word in found.words]


@pytest.mark.parametrize("options", SEARCHES, ids=str)
@pytest.mark.parametrize("cut", [97, 800, 10_000])
def test_a_stream_hears_what_the_whole_says(options, cut):
    _, sounds = spoken(4)
    model = recognizer()
    stream = model.stream(**options)
    for sound, whole in zip(sounds, model.recognitions(sounds, **options), strict=True):
        for at in range(0, len(sound), cut):
            stream.accept_waveform(sound[at : at + cut])
        found = stream.finish()
        assert (found.text, found.words) == (whole.text, pytest.approx(whole.words))
        assert found.score == pytest.approx(whole.score, abs=1e-3)


def test_other_rates_types_and_channels():
    model = recognizer()
    line = "do fa mi"
    assert model.transcribe(said(line, rate=2 * RATE), 2 * RATE) == line
    whole = said(line)
    assert model.transcribe((whole * 32767).astype(np.int16)) == line
    assert model.transcribe(np.stack([whole, whole], axis=1)) == line
    stream, twice = model.stream(), said(line, rate=2 * RATE)
    for at in range(0, len(twice), 500):
        stream.accept_waveform(twice[at : at + 500], 2 * RATE)
    assert stream.finish().text == line
    stream.accept_waveform(whole, RATE)
    with pytest.raises(DataError, match=r"rate=16000: the utterance began with 8000 Hz"):
        stream.accept_waveform(whole, 2 * RATE)


def test_times_are_inside_and_in_order():
    _, sounds = spoken()
    for sound, found in zip(sounds, recognizer().recognitions(sounds), strict=True):
        times = [time for word in found.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert all(0 <= time <= len(sound) / RATE for time in times)
        assert all(0 <= word.confidence <= 1 for word in (*found.words, *found.tokens))
        assert found.text == " ".join(word.text for word in found.words)


def test_words_are_where_they_are_spoken():
    (found,) = recognizer().recognitions(said("do so"))
    first, second = found.words
    assert 0.05 <= first.start <= 0.35  # it is spoken from 0.1 to 0.26 s, the other from 0.32
    assert 0.27 <= second.start <= 0.6


def test_partial_results_come_while_it_is_spoken():
    model, sound = recognizer(), said("do re mi fa")
    stream, seen = model.stream(), []
    for at in range(0, len(sound), 400):
        stream.accept_waveform(sound[at : at + 400])
        seen.append(stream.partial().text)
    whole = stream.finish().text
    assert seen[0] == ""
    assert any(part and part != whole and whole.startswith(part) for part in seen)
    assert stream.partial().text == ""
    assert stream.seconds == 0


def test_an_endpoint_comes_after_silence():
    rules = EndpointRules(silence_before=1.0, silence_after=0.5, longest=5.0)
    silence = np.random.default_rng(1).normal(0, 0.003, RATE // 10).astype(np.float32)
    stream = recognizer().stream(rules)

    def until_end(most):
        for pieces in range(1, most):
            stream.accept_waveform(silence)
            if stream.is_endpoint():
                return pieces / 10
        raise AssertionError

    assert until_end(20) == pytest.approx(1.0, abs=0.2)
    stream.finish()
    stream.accept_waveform(said("do re"))
    assert not stream.is_endpoint()
    assert 0.2 < until_end(20) < 1.0
    assert stream.finish().text == "do re"
    with pytest.raises(ConfigError, match="silence_after=0: must be above 0"):
        EndpointRules(silence_after=0)


def test_an_utterance_may_be_too_long():
    stream = recognizer().stream(EndpointRules(longest=0.8))
    stream.accept_waveform(said("do re mi fa"))
    assert stream.is_endpoint()


def test_reset_forgets():
    model, stream = recognizer(), recognizer().stream()
    stream.accept_waveform(said("fa fa"))
    stream.reset()
    stream.accept_waveform(said("do"))
    assert stream.finish() == model.recognitions(said("do"))[0]


def test_hot_words_are_heard_rather():
    model, sound = recognizer(), said("do re")
    plain = model.recognitions(sound, language="none")[0]
    hot = model.recognitions(sound, language="none", hot_words=("mi",), hot_bonus=200.0)[0]
    assert "mi" not in plain.text
    assert "mi" in hot.text
    with pytest.raises(DataError, match="xylophone"):
        model.transcribe(sound, hot_words=("xylophone",))


def test_a_bonus_counts_words_with_and_without_a_language():
    model, sound = recognizer(), said("do re mi")
    for language in ("own", "none"):
        for among in ("units", "words"):
            options = {"language": language, "among": among}
            few = model.transcribe(sound, word_bonus=-1000.0, **options).split()
            many = model.transcribe(sound, word_bonus=20.0, **options).split()
            assert len(few) <= 1 < 3 < len(many)


def test_a_bonus_counts_units_that_are_no_words():
    model, sound = recognizer(unit="chars"), said("do re mi")
    few, as_heard, many = (
        len(model.transcribe(sound, word_bonus=bonus)) for bonus in (-1000.0, 0.0, 20.0)
    )
    assert few < as_heard < many


def test_the_language_decides_between_what_sounds_alike():
    class Only:
        """Expects one word all the time."""

        def __init__(self, number, size):
            self.scores = np.full(size + 1, -1e4)
            self.scores[[number, -1]] = 0.0

        def start(self):
            from loopwise.codec.search.scorer import Scored

            return Scored(None, self.scores)

        def advance(self, states, units):
            return [self.start() for _ in states]

    model = recognizer()
    number = model.codec.units.symbols.index("so")
    found = model.transcribe(said("do"), language=Only(number, model.codec.units.size))
    assert set(found.split()) <= {"so"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size=0"),
        ({"among": "sentences"}, "among='sentences': must be auto, words or units"),
        ({"method": "transducer"}, "method='transducer': this model was trained without it"),
        ({"language_weight": np.nan}, "language_weight=nan: must be a number from -1000 to 1000"),
        ({"beam_size": 1, "among": "words"}, "it knows no words, language, bonus or hot words"),
        ({"beam_size": 1, "word_bonus": 1.0}, "it knows no words, language, bonus or hot words"),
        ({"beam_size": 1, "language_weight": 0.4}, "it knows no words, language, bonus"),
        ({"hot_words": "do"}, "hot_words='do': must be a list of phrases"),
        ({"hot_words": 5}, "hot_words=5: must be a list of phrases"),
        ({"hot_words": [" "]}, "hot_words: ' ' is no phrase"),
        ({"hot_bonus": 1e308}, r"hot_bonus=1e\+308: must be a number from -1000 to 1000"),
        ({"word_bonus": "1"}, "word_bonus='1': must be a number"),
        ({"language": 5}, "language=5: must be own, none, a language model, its path or a Scorer"),
    ],
)
def test_options_that_are_not_allowed(options, message):
    with pytest.raises(ConfigError, match=message):
        recognizer().transcribe(said("do"), **options)


def test_a_hot_word_that_cannot_be_spelled_is_named():
    with pytest.raises(DataError, match=r"hot word 'do hum': .*'hum'"):
        recognizer().transcribe(said("do"), hot_words=["do hum"])
    with pytest.raises(DataError, match="hot word 'hum': 'hum' is not among the words"):
        recognizer().transcribe(said("do"), hot_words=["hum"], among="words")


@pytest.mark.parametrize("rate", [0, -5, 0.001, 1e12, np.nan, "16000"])
def test_a_rate_that_sound_cannot_have(rate):
    stream = recognizer().stream()
    for hear in (recognizer().transcribe, stream.accept_waveform):
        with pytest.raises(ConfigError, match=r"must be a number from 1,000 to 1,000,000, in Hz"):
            hear(said("do"), rate)
    stream.accept_waveform(said("do"))  # nothing was taken
    assert stream.finish().text == "do"


def test_what_is_no_sound_is_told():
    for given in (None, 5):
        with pytest.raises(DataError, match=f"audio: {given}; wanted is a file, an array"):
            recognizer().transcribe(given)
    stream = recognizer().stream()
    with pytest.raises(DataError, match="samples: no array"):
        stream.accept_waveform([[1.0, 2.0], [3.0]])
    with pytest.raises(ConfigError, match="rules=3: must be EndpointRules"):
        recognizer().stream(3)


def test_what_cannot_be_heard_says_why(tmp_path):
    with pytest.raises(DataError, match="10 samples are too short for one frame"):
        recognizer().transcribe(np.zeros(10, np.float32))
    (tmp_path / "no.wav").write_text("no sound")
    with pytest.raises(DataError, match=r"no\.wav"):
        recognizer().transcribe(tmp_path / "no.wav")


def test_a_codec_that_does_not_fit_is_refused():
    bundle = recognizer().bundle
    features = bundle.codec["features"]
    options = {**features["options"], "bins": 17}
    features = {**features, "options": options, "mean": [], "deviation": []}
    codec = {**bundle.codec, "features": features}
    with pytest.raises(BundleError, match="the network has 16 features, its codec 17"):
        LoadedRecognizer(dataclasses.replace(bundle, codec=codec))
    with pytest.raises(BundleError, match="a codec of speech"):
        LoadedRecognizer(dataclasses.replace(bundle, codec={}))


def test_what_is_kept_does_not_grow_in_silence():
    stream = recognizer().stream()
    silence = np.zeros(RATE, np.float32)
    sizes = []
    for _ in range(60):
        stream.accept_waveform(silence)
        sizes.append(len(stream._search._live))
    assert max(sizes[30:]) <= max(sizes[:30])


def test_what_a_transducer_alone_puts_out_is_how_it_would_begin():
    model = recognizer(transducer=1.0)
    frames = [model.frames(said(text)) for text in ("do", "re mi")]
    outputs = model.outputs(frames)
    assert [len(each) for each in outputs] == [-(-len(each) // 4) for each in frames]
    for each, heard in zip(outputs, model.recognised(frames, beam_size=1), strict=True):
        np.testing.assert_allclose(np.exp(each).sum(1), 1, atol=1e-5)
        first = each.argmax(1).nonzero()[0][0]  # the blank is 0
        assert model.codec.units.symbols[each[first].argmax()] == heard.text.split()[0]
        assert heard.tokens[0].start == pytest.approx(first * model.step)
    with pytest.raises(ConfigError, match="a transducer alone"):
        model.log_probs(frames)


def test_a_transducer_alone_is_measured_in_fewer_bits(tmp_path):
    sample = sample_of(read_utterances(write_manifest(tmp_path, "a", 6, 3)))
    lowered = lower(recognizer(transducer=1.0).bundle, "int8", sample, math.inf)
    found = lowered.info["precision"]
    assert found["outputs"] > 100
    assert 0 < found["mean_difference"] < 0.1


def test_frames_that_are_none_are_not_taken():
    stream = ready_recognizer().stream()
    frames = np.random.default_rng(0).normal(size=(30, 16)).astype(np.float32)
    stream.accept_frames(frames[:10])
    for wrong, told in (
        (np.full((3, 16), np.nan), "frame 0 holds a value that is not finite"),
        (frames[:, :7], r"float32 \[30, 7\]; wanted are real numbers \[T, 16\]"),
        ("do", "wanted are real numbers"),
    ):
        with pytest.raises(DataError, match=told):
            stream.accept_frames(wrong)
    stream.accept_frames(frames[10:].tolist())
    (whole,) = ready_recognizer().recognised([frames])
    assert stream.finish().score == pytest.approx(whole.score, abs=1e-3)
    with pytest.raises(ConfigError, match=r"ready \(features\.kind=ready\)"):
        stream.accept_waveform(said("do"))
    with pytest.raises(ConfigError, match=r"ready \(features\.kind=ready\)"):
        ready_recognizer().transcribe(said("do"))


def ready_recognizer():
    """Untrained, as good as any for what it refuses."""
    bundle = recognizer().bundle
    features = bundle.codec["features"]
    options = {**features["options"], "ready": True}
    options |= {"normalise": "none"}
    codec = {**bundle.codec, "features": {**features, "options": options}}
    return LoadedRecognizer(dataclasses.replace(bundle, codec=codec))
