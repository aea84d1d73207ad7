"""N-gram models from sentences."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from loopwise.codec.ngram.model import BEGIN, END, SPECIAL, Entry, Gram, NGram
from loopwise.codec.numbers import is_integer
from loopwise.errors import ConfigError, DataError

SMOOTHINGS = ("kneser-ney", "witten-bell")

Counts: TypeAlias = dict[Gram, Counter[int]]
"""How often words follow others."""
Shares: TypeAlias = Callable[[Counter[int]], tuple[dict[int, float], float]]
"""From how often words follow to their probabilities and what is left to the order below."""


def estimate(
    sentences: Iterable[Sequence[str]],
    order: int = 3,
    *,
    smoothing: str = "kneser-ney",
    words: Iterable[str] = (),
) -> NGram:
    """The model of some sentences.

    Every order is interpolated with the one below, the lowest with a uniform distribution over the
    vocabulary, ``<unk>`` and ``</s>``. Kneser-Ney is the modified one of Chen and Goodman (1998):
    orders below the highest count in how many contexts words were seen, and 1, 2 and more are
    discounted by what the counts of counts say; where these are too few, by 0.5, 1 and 1.5.
    Witten-Bell (1991) leaves to the order below a share that grows with how many words followed.

    Args:
        sentences: as words.
        order: the most words in a row that are counted, at least 1.
        smoothing: ``"kneser-ney"`` or ``"witten-bell"``.
        words: more of the vocabulary, that need not be in the sentences.

    Raises:
        ConfigError: if `order` or `smoothing` is not allowed.
        DataError: if there are no sentences, or a word is one of ``<unk>``, ``<s>``, ``</s>``.
    """
    if not (is_integer(order) and order >= 1):
        raise ConfigError(f"order={order!r}: must be at least 1 and whole")
    if smoothing not in SMOOTHINGS:
        raise ConfigError(f"smoothing={smoothing!r}: must be one of {', '.join(SMOOTHINGS)}")
    texts = [list(sentence) for sentence in sentences]
    if not texts:
        raise DataError("n-gram: there are no sentences to count")
    vocabulary = _vocabulary(texts, words)
    numbers = {word: number for number, word in enumerate(vocabulary)}
    lines = [[numbers[BEGIN], *(numbers[word] for word in text), numbers[END]] for text in texts]
    counts = [_counted(lines, each) for each in range(1, order + 1)]
    if smoothing == "kneser-ney":
        counts = [*map(_contexts, counts[1:], counts[:-1]), counts[-1]]
    shares = [_discounting(each) if smoothing == "kneser-ney" else _witten_bell for each in counts]
    return _interpolated(vocabulary, counts, shares)


def _vocabulary(texts: Sequence[Sequence[str]], words: Iterable[str]) -> list[str]:
    found: dict[str, None] = dict.fromkeys(SPECIAL)
    for word in [*(word for text in texts for word in text), *words]:
        if word in SPECIAL:
            raise DataError(f"n-gram: {word!r} is a word of every model and cannot be in a text")
        found[word] = None
    return list(found)


def _counted(lines: Sequence[Sequence[int]], order: int) -> Counts:
    """How often each word follows ``order - 1`` others; the beginning follows nothing."""
    counts: Counts = defaultdict(Counter)
    for line in lines:
        for i in range(1, len(line)):
            if i >= order - 1:
                counts[tuple(line[i - order + 1 : i])][line[i]] += 1
    return counts


def _contexts(higher: Counts, own: Counts) -> Counts:
    """After how many different words each gram was seen; those at the beginning keep their own."""
    begin = SPECIAL.index(BEGIN)
    counts: Counts = defaultdict(Counter)
    for context, following in own.items():
        if context[:1] == (begin,):
            counts[context] = following
    for (_, *context), following in higher.items():
        for word in following:
            counts[tuple(context)][word] += 1
    return counts


def _discounting(counts: Counts) -> Shares:
    """Equation 26 of Chen and Goodman (1998)."""
    often = Counter(count for following in counts.values() for count in following.values())
    discounts = _discounts([often[count] for count in (1, 2, 3, 4)])

    def shares(following: Counter[int]) -> tuple[dict[int, float], float]:
        total = sum(following.values())
        taken = {word: discounts[min(count, 3) - 1] for word, count in following.items()}
        left = sum(taken.values()) / total
        return {word: (count - taken[word]) / total for word, count in following.items()}, left

    return shares


def _discounts(often: Sequence[int]) -> list[float]:
    """What is taken from counts of 1, 2 and more, of which there are so many (1, 2, 3, 4)."""
    fallback = [0.5, 1.0, 1.5]
    if 0 in often:
        return fallback
    ratio = often[0] / (often[0] + 2 * often[1])
    found = [k - (k + 1) * ratio * often[k] / often[k - 1] for k in (1, 2, 3)]
    return found if all(0 < each < k for k, each in enumerate(found, 1)) else fallback


def _witten_bell(following: Counter[int]) -> tuple[dict[int, float], float]:
    kinds = len(following)
    total = sum(following.values()) + kinds
    return {word: count / total for word, count in following.items()}, kinds / total


def _interpolated(
    vocabulary: Sequence[str], counts: Sequence[Counts], shares: Sequence[Shares]
) -> NGram:
    unigrams, left = shares[0](counts[0][()])
    begin = vocabulary.index(BEGIN)
    uniform = left / (len(vocabulary) - 1)
    probabilities: dict[Gram, float] = {
        (word,): unigrams.get(word, 0.0) + uniform
        for word in range(len(vocabulary))
        if word != begin
    }
    backoffs: dict[Gram, float] = {}
    orders = [dict.fromkeys([*probabilities, (begin,)])]
    for each, share in zip(counts[1:], shares[1:], strict=True):
        grams: dict[Gram, None] = {}
        for context, following in each.items():
            seen, backoffs[context] = share(following)
            for word, own in seen.items():
                gram = (*context, word)
                grams[gram] = None
                below = _probability(gram[1:], probabilities, backoffs)
                probabilities[gram] = own + backoffs[context] * below
        orders.append(grams)
    return NGram(
        vocabulary,
        [
            {gram: _entry(probabilities.get(gram), backoffs.get(gram)) for gram in sorted(each)}
            for each in orders
        ],
    )


def _probability(
    gram: Gram, probabilities: Mapping[Gram, float], backoffs: Mapping[Gram, float]
) -> float:
    found = probabilities.get(gram)
    if found is not None:
        return found
    return backoffs.get(gram[:-1], 1.0) * _probability(gram[1:], probabilities, backoffs)


def _entry(probability: float | None, backoff: float | None) -> Entry:
    """The beginning has no probability, as no word leads to it; ARPA files say 10^-99."""
    log = -99 * math.log(10) if probability is None else math.log(probability)
    return Entry(log, 0.0 if backoff is None else math.log(backoff))
