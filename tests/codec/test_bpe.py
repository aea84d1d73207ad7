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


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ({"a": 0, "b": 2}, "ids of the tokenizer are not 0, 1, 2"),
        ({"a": 0, "日": 1}, "'日' in a token stands for no byte"),
        ({"a": 0, "b": 1}, r"254 bytes have no token, b'\\x00' first"),
    ],
)
def test_a_foreign_tokenizer_is_an_error(vocabulary, message):
    tokenizer = {"version": "1.0", "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}
    described = {"format": 1, "unit": "bpe", "tokenizer": json.dumps(tokenizer)}
    with pytest.raises(DataError, match=message):
        codec_from_json(described)


def test_without_tokenizers_the_error_names_the_extra(monkeypatch):
    described = train_codec("bpe", SOURCES).to_json()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for attempt in (lambda: train_codec("bpe", SOURCES), lambda: codec_from_json(described)):
        with pytest.raises(MissingExtraError, match=r"pip install 'loopwise\[text\]'"):
            attempt()


def test_the_codecs_load_neither_tokenizers_nor_torch():
    code = (
        "import sys, loopwise.codec.text, loopwise.codec.search, loopwise.codec.metrics\n"
        "assert not {'tokenizers', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
