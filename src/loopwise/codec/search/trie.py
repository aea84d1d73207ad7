"""Pronunciations as a tree: words that begin alike share its branches."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.errors import DataError


class TrieNode:
    """Where a beginning of pronunciations leads to.

    Attributes:
        unit: the last one of the beginning; -1 at the root.
        children: by the unit that follows.
        words: numbers of the words that are spoken so.
        index: the node's number, by which `Trie.best` has it.
    """

    __slots__ = ("children", "index", "unit", "words")

    def __init__(self, unit: int):
        self.unit = unit
        self.children: dict[int, TrieNode] = {}
        self.words: tuple[int, ...] = ()
        self.index = 0


class Trie:
    """The tree; words are numbered in the order of the mapping.

    Args:
        pronunciations: of each word, one or several, as ids of units.
        size: of the vocabulary, the blank among it.

    Attributes:
        root: the node before the first unit.

    Raises:
        DataError: if there is no word, or a word has no pronunciation, or one that is empty or has
            an id that is not in ``[1, size)``; names the word.
    """

    def __init__(self, pronunciations: Mapping[str, Sequence[Sequence[int]]], size: int):
        if not pronunciations:
            raise DataError("lexicon: has no words")
        self.root = TrieNode(-1)
        for number, (word, variants) in enumerate(pronunciations.items()):
            if not variants:
                raise DataError(f"lexicon: {word!r} has no pronunciation")
            for units in variants:
                node = _leaf(self.root, word, units, size)
                if number not in node.words:
                    node.words += (number,)
        self._order, self._bounds = _ranges(self.root)

    def best(self, scores: NDArray[Any]) -> NDArray[Any]:
        """For each node, by its index, the best of the words that begin so.

        Args:
            scores: of each word.
        """
        return np.maximum.reduceat(scores[self._order], self._bounds)[::2]


def _ranges(root: TrieNode) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Words, one behind another so that those of each node are in a row, and the rows' bounds.

    The node with index i has the words from bound 2 i to before bound 2 i + 1.
    """
    order: list[int] = []
    bounds: list[int] = []
    stack: list[tuple[TrieNode, bool]] = [(root, False)]
    while stack:
        node, left = stack.pop()
        if left:
            bounds[2 * node.index + 1] = len(order)
            continue
        node.index = len(bounds) // 2
        bounds += [len(order), 0]
        order += node.words
        stack.append((node, True))
        stack += [(child, False) for child in node.children.values()]
    order.append(order[-1])  # a bound must be a place in the row
    return np.array(order), np.array(bounds)


def _leaf(root: TrieNode, word: str, units: Sequence[int], size: int) -> TrieNode:
    if not len(units):
        raise DataError(f"lexicon: {word!r} has an empty pronunciation")
    node = root
    for unit in units:
        unit = int(unit)
        if not 0 < unit < size:
            raise DataError(f"lexicon: {word!r} has unit {unit}; units here are 1 to {size - 1}")
        node = node.children.setdefault(unit, TrieNode(unit))
    return node
