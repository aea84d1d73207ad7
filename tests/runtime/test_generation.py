"""Generation: pieces join to the text, stops are clean, seeds fix it, the unknown stays away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.search.options import Sampling
from loopwise.errors import ConfigError, DataError
from loopwise.runtime.generation import sample_pieces, until
from loopwise.runtime.language_model import LoadedLanguageModel
from runtime.tiny import CODECS, bundle, loaded

MODELS = {codec: loaded(codec) for codec in CODECS}


def biased(codec, token):
    """A model that always wants the same token next."""
    content = bundle(codec)
    content.tensors["head.bias"][token] = 1e3
    return LoadedLanguageModel(content)


@pytest.mark.parametrize("codec", CODECS)
def test_greedy_is_the_argmax_of_a_session(codec):
    model = MODELS[codec]
    session, ids = model.stream(), model.codec.encode_text("the c").tolist()
    logits = session.push(np.array(ids))[-1]
    for _ in range(12):
        if model.codec.unknown is not None:
            logits[model.codec.unknown] = -np.inf
        ids.append(int(logits.argmax()))
        logits = session.push(ids[-1])
    prompt = model.codec.decode(model.codec.encode_text("the c"))
    expected = model.codec.decode(ids).removeprefix(prompt)
    assert model.generate("the c", 12, temperature=0) == expected


@pytest.mark.parametrize("codec", CODECS)
def test_pieces_join_to_the_text_and_seeds_fix_it(codec):
    model = MODELS[codec]
    text = model.generate("the ", 40, seed=4)
    pieces = list(model.generate_pieces("the ", 40, seed=4))
    assert "".join(pieces) == text
    assert all(pieces)
    assert len(pieces) > 5
    assert text != model.generate("the ", 40, seed=5)
    assert model.generate("the ", 40) != model.generate("the ", 40)


def test_the_model_is_not_run_beyond_the_last_token():
    model = MODELS["bytes"]
    session, expected = model.stream(), model.stream()
    text = "".join(sample_pieces(session, model.codec, "ab", 1, Sampling()))
    assert len(text) == 1
    expected.feed(model.codec.encode_text("ab"))
    assert session.snapshot() == expected.snapshot()


def test_empty_prompt_is_the_start():
    model = MODELS["chars"]
    assert model.generate("", 30, seed=1) == model.generate("\n", 30, seed=1)


@pytest.mark.parametrize("codec", ["chars", "words"])
def test_unknown_is_never_drawn(codec):
    model = biased(codec, 0)
    unknown = model.codec.decode([0])
    assert unknown not in model.generate("the", 100, seed=0)
    assert unknown not in model.generate("the", 100, temperature=0)


def test_words_after_a_prompt_are_spaced():
    model = biased("words", 3)
    assert model.generate("the", 2, seed=0) == " cat cat"
    for prompt in ("the\n", "the ", "the\t", " ", ""):
        assert model.generate(prompt, 2, seed=0) == "cat cat"


def test_characters_split_over_tokens_come_whole():
    model = biased("bytes", 0xC3)
    pieces = list(model.generate_pieces("é", 3, seed=0))
    assert "".join(pieces) == "\N{REPLACEMENT CHARACTER}" * 3
    assert model.generate("é", 0) == ""


def test_stop_ends_before_it():
    model = MODELS["chars"]
    text = model.generate("a", 300, seed=2)
    stop = text[150:153]
    assert model.generate("a", 300, seed=2, stop=stop) == text[: text.index(stop)]
    assert model.generate("a", 300, seed=2, stop="not there") == text


@given(st.lists(st.text("ab", max_size=4)), st.text("ab", min_size=1, max_size=4))
def test_until_is_the_text_before_the_stop(pieces, stop):
    text = "".join(pieces)
    assert "".join(until(stop, pieces)) == text.split(stop)[0]


@given(st.lists(st.text("ab", max_size=4)), st.text("ab", min_size=1, max_size=4))
def test_until_holds_back_no_more_than_it_must(pieces, stop):
    read = ""

    def reading():
        nonlocal read
        for piece in pieces:
            read += piece
            yield piece

    printed = ""
    for piece in until(stop, reading()):
        printed += piece
        held = read[len(printed) :]
        ended = stop in read or read == "".join(pieces)
        assert ended or stop.startswith(held)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"length": -1}, "length=-1"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"seed": -1}, "seed=-1"),
        ({"length": 2.5}, "length=2.5"),
        ({"seed": "1"}, "seed='1'"),
        ({"stop": ""}, "stop=''"),
    ],
)
def test_options_are_checked_at_the_call(wrong, match):
    with pytest.raises(ConfigError, match=match):
        MODELS["bytes"].generate_pieces("a", **wrong)


@pytest.mark.parametrize("wrong", [{"prompt": 3}, {"prompt": b"a"}, {"prompt": None}, {"stop": 3}])
def test_what_is_no_string_is_told_at_the_call(wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(DataError, match=f"^{name}={value!r}: must be a string$"):
        MODELS["bytes"].generate_pieces(**wrong)


def test_an_unknown_option_is_told_at_the_call():
    with pytest.raises(TypeError, match="unexpected keyword argument 'temprature'"):
        MODELS["bytes"].generate_pieces(temprature=0.5)
