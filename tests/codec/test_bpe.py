import json
import subprocess
import sys

import pytest

from loopwise.codec.corpus import Source
from loopwise.codec.text import codec_from_json, train_codec
from loopwise.errors import DataError, MissingExtraError

SOURCES = [Source("corpus", ("low lower lowest\nnew newer newest\n" * 20).encode())]


def test_training_merges_frequent_pairs_up_to_vocab_size():
    codec = train_codec("bpe", SOURCES, vocab_size=270)
    assert codec.size == 270
    assert len(codec.encode_text("low newest")) < len("low newest")
    assert train_codec("bpe", SOURCES, vocab_size=256).encode_text("low").size == 3


def test_training_again_gives_the_same_codec():
    assert (
        train_codec("bpe", SOURCES, vocab_size=300).to_json()
        == train_codec("bpe", SOURCES, vocab_size=300).to_json()
    )


def test_pairs_rarer_than_min_count_are_not_merged():
    assert train_codec("bpe", SOURCES, min_count=1000).size == 256


def test_no_token_reaches_beyond_a_line_end():
    codec = train_codec("bpe", [Source("gaps", b"a\n\n\n  \n b\n" * 50)])
    tokens = [codec.decode([i]) for i in range(codec.size)]
    assert [token for token in tokens if "\n" in token[:-1]] == []


def test_names_of_special_tokens_are_ordinary_text():
    codec = train_codec("bpe", SOURCES)
    assert codec.decode(codec.encode_text("<s>[UNK]<|endoftext|>")) == "<s>[UNK]<|endoftext|>"


def test_a_character_split_over_tokens_is_held_back():
    codec = train_codec("bpe", SOURCES)
    ids = codec.encode_text("é").tolist()
    assert [codec.token(i) for i in ids] == ["\\xc3", "\\xa9"]
    decoder = codec.decoder()
    assert [decoder.push(i) for i in ids] == ["", "é"]


BYTES = json.loads(train_codec("bpe", SOURCES, vocab_size=256).to_json()["tokenizer"])
VOCABULARY = BYTES["model"]["vocab"]
SPLIT = {"type": "Split", "pattern": {"Regex": "(?:a*)*$"}, "behavior": "Removed", "invert": False}
TOKEN = {"id": 0, "content": "!", "single_word": False, "lstrip": False, "rstrip": False}
PAD = {"strategy": {"Fixed": 60_000_000}, "direction": "Right", "pad_to_multiple_of": None}
PAD |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "!"}
CUT = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 2}


def described(tokenizer):
    text = tokenizer if isinstance(tokenizer, str) else json.dumps(tokenizer)
    return {"format": 1, "unit": "bpe", "tokenizer": text}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", "2.0"),
        ("padding", PAD),  # would abort the interpreter for want of memory
        ("truncation", CUT),  # would panic
        ("truncation", {**CUT, "stride": 0}),  # would cut texts silently
        ("normalizer", {"type": "Lowercase"}),
        ("pre_tokenizer", SPLIT),
        ("pre_tokenizer", None),
        ("pre_tokenizer", {**BYTES["pre_tokenizer"], "add_prefix_space": True}),
        ("post_processor", BYTES["pre_tokenizer"]),
        ("decoder", None),
        ("added_tokens", [{**TOKEN, "normalized": False, "special": True}]),
        ("colour", 1),
    ],
)
def test_a_tokenizer_with_other_options_is_refused_unseen(key, value, monkeypatch):
    monkeypatch.setattr("loopwise.codec.bpe._load", pytest.fail)
    with pytest.raises(DataError, match=f"'{key}' of the tokenizer is not as loopwise sets it"):
        codec_from_json(described({**BYTES, key: value}))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("type", "WordLevel", "'type' of the tokenizer is not"),
        ("dropout", 0.5, "'dropout' of the tokenizer is not"),
        ("unk_token", "!", "'unk_token' of the tokenizer is not"),
        ("byte_fallback", True, "'byte_fallback' of the tokenizer is not"),
        ("vocab", [], "vocabulary of the tokenizer is not an object"),
        ("vocab", {"a": 0, "b": 2}, "ids of the tokenizer are not 0, 1, 2"),
        ("vocab", {"a": 0, "b": True}, "ids of the tokenizer are not 0, 1, 2"),
        ("vocab", {"a": 0, "b": "1"}, "ids of the tokenizer are not 0, 1, 2"),
        ("vocab", {"a": 0, "日": 1}, "'日' in a token stands for no byte"),
        ("vocab", {"a": 0, "b": 1}, r"254 bytes have no token, b'\\x00' first"),
        ("vocab", {**VOCABULARY, "": 256}, "a token is empty"),
        ("merges", {}, "merges of the tokenizer are not a list"),
        ("merges", [["a", "b"]], r"merge 0, \['a', 'b'\], is no pair"),
        ("merges", ["a b"], "merge 0, 'a b', is no pair"),
        ("merges", [["a", 1]], r"merge 0, \['a', 1\], is no pair"),
    ],
)
def test_a_foreign_model_is_refused_unseen(key, value, message, monkeypatch):
    monkeypatch.setattr("loopwise.codec.bpe._load", pytest.fail)
    with pytest.raises(DataError, match=message):
        codec_from_json(described({**BYTES, "model": {**BYTES["model"], key: value}}))


@pytest.mark.parametrize("text", ["", "[]", '"x"', "[" * 200_000, '{"model": [1]}', "{}"], ids=len)
def test_what_is_no_tokenizer_is_refused(text):
    with pytest.raises(DataError, match="'tokenizer' is not a tokenizer"):
        codec_from_json(described(text))


def test_without_tokenizers_the_error_names_the_extra(monkeypatch):
    trained = train_codec("bpe", SOURCES).to_json()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for attempt in (lambda: train_codec("bpe", SOURCES), lambda: codec_from_json(trained)):
        with pytest.raises(MissingExtraError, match=r"pip install 'loopwise\[text\]'"):
            attempt()


def test_the_codecs_load_neither_tokenizers_nor_torch():
    code = (
        "import sys, loopwise.codec.text, loopwise.codec.search.sequences, loopwise.codec.metrics\n"
        "import loopwise.codec.sentences, loopwise.codec.pair_files\n"
        "import loopwise.codec.translation_metrics\n"
        "assert not {'tokenizers', 'sacrebleu', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
