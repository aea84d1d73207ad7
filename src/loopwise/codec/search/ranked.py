"""From what a search follows to the texts that it has found."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from loopwise.codec.search.grammar import Grammar, Reading, State
from loopwise.codec.search.spoken import Spoken


class Link(NamedTuple):
    """The last unit of a path, and what comes before it.

    Attributes:
        before: None at the first unit.
        state: the text with this unit.
        start: the frame in which it begins.
        end: the frame before which it ends.
        peak: its greatest log probability in these.
    """

    before: "Link | None"
    state: Any
    start: int
    end: int
    peak: float


class Followed(NamedTuple):
    """A text that a search follows.

    Attributes:
        state: the text.
        total: the log probability of all paths through it.
        link: the last unit of the best path; None of an empty one.
    """

    state: State
    total: float
    link: Link | None


def log_add(a: float, b: float) -> float:
    """The logarithm of ``exp(a) + exp(b)``; several times as fast as NumPy's for one number."""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


def ranked(
    grammar: Grammar, followed: Iterable[Followed], count: int, *, final: bool
) -> list[Spoken]:
    """The best texts, at most `count`.

    Args:
        grammar: of the states.
        followed: the most likely state first.
        count: at least 1.
        final: whether the texts end here. If none may, as in the midst of a word, all are taken as
            far as they are whole.
    """
    found = list(followed)
    texts = _texts(grammar, found, final=final)
    if not texts:
        texts = _texts(grammar, found, final=False)
    texts.sort(key=lambda text: text.score, reverse=True)
    return [_spoken(grammar, text) for text in texts[:count]]


class _Text(NamedTuple):
    """A text, the log probability of all its states and, with the language's share, its score."""

    reading: Reading
    total: float
    score: float
    link: Link | None


def _texts(grammar: Grammar, followed: list[Followed], *, final: bool) -> list[_Text]:
    texts: dict[Any, _Text] = {}
    readings = grammar.read([each.state for each in followed], final=final)
    for each, several in zip(followed, readings, strict=True):
        for reading in several:
            same, score = texts.get(reading.text), each.total + reading.score
            texts[reading.text] = (
                _Text(reading, each.total, score, each.link)
                if same is None
                else same._replace(
                    total=log_add(same.total, each.total), score=log_add(same.score, score)
                )
            )
    return list(texts.values())


def _spoken(grammar: Grammar, text: _Text) -> Spoken:
    links: list[Link] = []
    link = text.link
    while link is not None:
        links.append(link)
        link = link.before
    links.reverse()
    starts = [each.start for each in links]
    bounds = [*starts[1:], math.inf]  # a transducer may say several units in a frame
    return Spoken(
        tuple(each.state.unit for each in links),
        tuple(starts),
        tuple(int(min(each.end, bound)) for each, bound in zip(links, bounds, strict=False)),
        tuple(min(1.0, math.exp(each.peak)) for each in links),
        text.reading.words,
        tuple(grammar.word(each.state) for each in links),
        text.total,
        text.score,
    )
