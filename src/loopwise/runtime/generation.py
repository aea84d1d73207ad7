"""Text from a stream, piece by piece."""

from collections.abc import Iterable, Iterator

import numpy as np

from loopwise.codec.search.options import Sampling
from loopwise.codec.search.sample import sample
from loopwise.codec.text import TextCodec
from loopwise.runtime.stream import Stream


def sample_pieces(
    stream: Stream,
    codec: TextCodec,
    prompt: str,
    length: int,
    sampling: Sampling,
) -> Iterator[str]:
    """Continue a text by tokens drawn from the model; the unknown token is never drawn.

    Args:
        stream: it reads the prompt, or ``codec.start`` where that holds no token, from its state.
        codec: the model's codec.
        prompt: the text before; it is not repeated.
        length: number of tokens.
        sampling: how to draw.

    Returns:
        Pieces of text as they become certain, some of them empty.
    """
    ids = codec.encode_text(prompt)
    decoder = codec.decoder(after=prompt)
    rng = np.random.default_rng(sampling.seed)
    unread = ids if len(ids) else [codec.start]
    for _ in range(length):
        logits = stream.feed(unread)
        if codec.unknown is not None:
            logits[codec.unknown] = -np.inf
        token = sample(logits, sampling, rng)
        yield decoder.push(token)
        unread = [token]
    yield decoder.finish()


def until(stop: str, pieces: Iterable[str]) -> Iterator[str]:
    """Pass pieces of text on and end before the first ``stop``, which may span pieces.

    Text that may be the beginning of ``stop`` is held back until it is certain that it is not.
    """
    held = ""
    for piece in pieces:
        held += piece
        if (at := held.find(stop)) >= 0:
            yield held[:at]
            return
        certain = len(held) - _overlap(held, stop)
        yield held[:certain]
        held = held[certain:]
    yield held


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of the text with which ``stop`` begins."""
    longest = min(len(text), len(stop) - 1)
    return next(n for n in range(longest, -1, -1) if text.endswith(stop[:n]))
