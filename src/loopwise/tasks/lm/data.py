"""From files to the token arrays that training and validation read."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.corpus import Source, read_sources
from loopwise.codec.text import TextCodec, train_codec
from loopwise.errors import DataError
from loopwise.tasks.lm.config import DataConfig

Tokens = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Corpus:
    """Text as tokens, with the codec that made them."""

    codec: TextCodec
    train: Tokens
    """[N], token ids"""
    valid: Tokens
    """[M], token ids"""
    valid_characters: int
    """characters of the validation text (in text that is not UTF-8: bytes that may begin one)"""
    train_name: str
    """where the training text is from, for messages"""
    valid_name: str
    """where the validation text is from, for messages"""

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that name the training tokens and their meaning."""
        return self._fingerprint(self.train)

    @property
    def valid_fingerprint(self) -> str:
        """The same of the validation tokens."""
        return self._fingerprint(self.valid)

    def _fingerprint(self, tokens: Tokens) -> str:
        digest = hashlib.blake2b(json.dumps(self.codec.to_json()).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(tokens).data)
        return digest.hexdigest()


def read_corpus(config: DataConfig) -> Corpus:
    """Read the files that `config` names.

    Raises:
        DataError: nothing to read, a file that cannot be read, or text that does not fit the unit.
    """
    if not config.train:
        raise DataError("no text to train on: give --data PATH (files, folders, globs, or -)")
    held_out = read_sources(config.valid) if config.valid else None
    return make_corpus(read_sources(config.train), held_out, config)


def make_corpus(
    train: Sequence[Source], valid: Sequence[Source] | None, config: DataConfig
) -> Corpus:
    """Encode sources; without validation sources the end of the joined text is held out.

    The vocabulary comes from the training part alone.

    Raises:
        DataError: the text does not fit the unit, or cannot be divided.
    """
    if config.unit != "bytes":
        for source in (*train, *(valid or ())):
            source.text()  # refuses what is not UTF-8 while file and offset are known
    if valid is None:
        head, tail = _hold_out(join(train), config)
        train, valid = [head], [tail]
    codec = train_codec(
        config.unit, train, vocab_size=config.vocab_size, min_count=config.min_count
    )
    return Corpus(
        codec,
        np.concatenate([codec.encode(source) for source in _closed(train)]),
        np.concatenate([codec.encode(source) for source in _closed(valid)]),
        sum(source.characters for source in _closed(valid)),
        _name(train),
        _name(valid),
    )


def reread_held_out(config: DataConfig) -> Source:
    """The text that a training with `config` validated on.

    Raises:
        DataError: it was no file, or cannot be read.
    """
    paths = config.valid or config.train
    if not paths or "-" in paths:
        raise DataError("the validation text was no file, but given from Python or standard input")
    sources = read_sources(paths)
    return held_out(sources, sources if config.valid else None, config)


def held_out(train: Sequence[Source], valid: Sequence[Source] | None, config: DataConfig) -> Source:
    """The validation text of `make_corpus`, as one source."""
    return _hold_out(join(train), config)[1] if valid is None else join(valid)


def _hold_out(source: Source, config: DataConfig) -> tuple[Source, Source]:
    data = source.data
    cut = _cut(data, config)
    if not 0 < cut < len(data):
        raise DataError(
            f"{source.name}: too short to hold out the end for validation ({len(data)} bytes); "
            "give more text, or --valid FILE"
        )
    return Source(source.name, data[:cut]), Source(
        f"the end of {source.name}, held out", data[cut:]
    )


def _cut(data: bytes, config: DataConfig) -> int:
    """Where the end to hold out begins: at a line if one begins near, else between units."""
    aim = min(max(round(len(data) * (1 - config.valid_fraction)), 1), len(data) - 1)
    lines = (data.rfind(b"\n", 0, aim) + 1, data.find(b"\n", aim) + 1)
    line = min(
        (cut for cut in lines if 0 < cut < len(data)), key=lambda cut: abs(cut - aim), default=0
    )
    if abs(line - aim) <= min(aim, len(data) - aim) / 2:
        return line
    if config.unit == "words":
        after = re.compile(rb"\S\s+(?=\S)").search(data, max(aim - 1, 0))
        return after.end() if after else line
    while aim > 0 and data[aim] & 0xC0 == 0x80:  # not inside a character
        aim -= 1
    return aim


def join(sources: Sequence[Source]) -> Source:
    """One text of several, each but the last ending its line."""
    if len(sources) == 1:
        return sources[0]
    return Source(_name(sources), b"".join(source.data for source in _closed(sources)))


def _name(sources: Sequence[Source]) -> str:
    first, *more = (source.name for source in sources)
    return f"{first} and {len(more)} more" if more else first


def _closed(sources: Sequence[Source]) -> list[Source]:
    """End each source but the last with a newline, so that no line runs on into the next file."""
    *inner, last = sources
    return [s if s.data.endswith(b"\n") else Source(s.name, s.data + b"\n") for s in inner] + [last]
