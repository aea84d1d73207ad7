"""A deployed recognizer: whole recordings, streams that hear the same, times, words, language."""

import dataclasses

import numpy as np
import pytest

from loopwise.errors import BundleError, ConfigError, DataError
from loopwise.runtime.recognition_stream import EndpointRules
from loopwise.runtime.recognizer import LoadedRecognizer
from runtime.recognizers import recognizer
from tasks.speech.sounds import RATE, said, texts

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
        ({"language_weight": np.nan}, "language_weight=nan: must be a finite number"),
        ({"beam_size": 1, "among": "words"}, "it knows no words, language or hot words"),
    ],
)
def test_options_that_are_not_allowed(options, message):
    with pytest.raises(ConfigError, match=message):
        recognizer().transcribe(said("do"), **options)


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
