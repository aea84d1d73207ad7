"""Probabilities of words after the few words before them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.base import json_field
from loopwise.errors import DataError

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
SPECIAL = (UNKNOWN, BEGIN, END)
"""Words 0, 1 and 2 of every model."""
_UNKNOWN, _BEGIN, _END = range(len(SPECIAL))

Gram: TypeAlias = tuple[int, ...]


class Entry(NamedTuple):
    """Of words in a row.

    Attributes:
        log: natural logarithm of the probability of the last one after the others.
        backoff: what is added where the word that follows all of them was never seen there, and is
            looked up after one word less.
    """

    log: float
    backoff: float


class NGram:
    """A backoff model (Katz, 1987) of words, or of any other units that have names.

    Args:
        words: the vocabulary; ``<unk>``, ``<s>`` and ``</s>`` come first.
        grams: of each order from 1, the words in a row that were seen, by their numbers. The first
            has every word.

    Attributes:
        order: the most words in a row.

    Raises:
        DataError: if the special words do not come first, a word is repeated or has no
            probability, or if words in a row have another order, unknown words or numbers that are
            no logarithms of probabilities.
    """

    def __init__(self, words: Sequence[str], grams: Sequence[Mapping[Gram, Entry]]):
        self.words = tuple(words)
        self.grams = tuple(dict(each) for each in grams)
        self.order = len(self.grams)
        self._numbers = {word: number for number, word in enumerate(self.words)}
        self._check()
        self._entries = {gram: entry for each in self.grams for gram, entry in each.items()}
        self._following: dict[Gram, tuple[list[int], list[float]]] = {}
        for (*context, word), entry in self._entries.items():
            following = self._following.setdefault(tuple(context), ([], []))
            following[0].append(word)
            following[1].append(entry.log)

    def number(self, word: str) -> int:
        """The word's number, that of ``<unk>`` if it is not in the vocabulary."""
        return self._numbers.get(word, _UNKNOWN)

    def start(self) -> Gram:
        """The context before a sentence."""
        return (_BEGIN,)[: self.order - 1]

    def follow(self, context: Gram, word: int) -> Gram:
        """The context after one word more; what no longer matters is dropped."""
        longer = (*context, word)
        return longer[max(0, len(longer) - self.order + 1) :]

    def log(self, context: Gram, word: int) -> float:
        """Natural logarithm of the probability of a word after others, at most order - 1."""
        entries, backoff = self._entries, 0.0
        for first in range(len(context) + 1):
            before = context[first:]
            found = entries.get((*before, word))
            if found is not None:
                return backoff + found.log
            skipped = entries.get(before)
            if skipped is not None:
                backoff += skipped.backoff
        raise DataError(f"word {word}: numbers here are 0 to {len(self.words) - 1}")

    def logs(self, context: Gram) -> NDArray[np.float64]:
        """Natural logarithms of the probabilities ``[V]`` of all words after others."""
        below = self.logs(context[1:]) if context else np.empty(len(self.words))
        entry = self._entries.get(context)
        if entry is not None:
            below += entry.backoff
        words, logs = self._following.get(context, ((), ()))
        below[list(words)] = logs
        return below

    def end(self, context: Gram) -> float:
        """Natural logarithm of the probability that the sentence ends."""
        return self.log(context, _END)

    def log_probability(self, sentence: Sequence[str]) -> float:
        """Natural logarithm of a sentence's probability, its end included."""
        context, total = self.start(), 0.0
        for word in map(self.number, sentence):
            total += self.log(context, word)
            context = self.follow(context, word)
        return total + self.end(context)

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """Of sentences, at least one; ends count as words."""
        logs = [(self.log_probability(sentence), len(sentence) + 1) for sentence in sentences]
        if not logs:
            raise DataError("perplexity: of no sentences")
        return math.exp(-sum(log for log, _ in logs) / sum(count for _, count in logs))

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs to rebuild the model, as JSON values."""
        return {
            "words": list(self.words),
            "grams": [
                [[*gram, entry.log, entry.backoff] for gram, entry in each.items()]
                for each in self.grams
            ],
        }

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> "NGram":
        """The model that `to_json` described; raises DataError if it cannot be one."""
        words = json_field(described, "words", list)
        orders = json_field(described, "grams", list)
        if not all(isinstance(word, str) for word in words):
            raise DataError("n-gram: words must be strings")
        return cls(words, [_rows(each, order) for order, each in enumerate(orders, 1)])

    def _check(self) -> None:
        if self.words[: len(SPECIAL)] != SPECIAL:
            raise DataError(f"n-gram: the words must begin with {', '.join(SPECIAL)}")
        if len(self._numbers) != len(self.words):
            twice = next(w for i, w in enumerate(self.words) if self._numbers[w] != i)
            raise DataError(f"n-gram: the word {twice!r} comes twice")
        for order, each in enumerate(self.grams, 1):
            for gram, entry in each.items():
                self._check_gram(order, gram, entry)
        missing = [w for w, n in self._numbers.items() if (n,) not in (self.grams or [{}])[0]]
        if missing:
            raise DataError(f"n-gram: the word {missing[0]!r} has no probability")

    def _check_gram(self, order: int, gram: Gram, entry: Entry) -> None:
        if len(gram) != order or not all(0 <= word < len(self.words) for word in gram):
            raise DataError(f"n-gram: order {order} has {list(gram)}")
        if not (entry.log <= 1e-6 and entry.backoff < math.inf):  # false for NaN too
            named = " ".join(self.words[word] for word in gram)
            raise DataError(f"n-gram: {named!r} has {tuple(entry)}, no logarithm of a probability")


def _rows(rows: object, order: int) -> dict[Gram, Entry]:
    grams: dict[Gram, Entry] = {}
    for row in cast(list[Any], rows if isinstance(rows, list) else [rows]):
        numbers = cast(list[Any], row if isinstance(row, list) else [])
        gram, values = numbers[:order], numbers[order:]
        if len(values) != 2 or not (
            all(type(word) is int for word in gram)
            and all(type(value) in (int, float) for value in values)
        ):
            raise DataError(f"n-gram: order {order} has the row {row!r}")
        grams[tuple(gram)] = Entry(float(values[0]), float(values[1]))
    return grams
