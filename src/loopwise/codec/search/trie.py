"""Pronunciations as a tree: words that begin alike share its branches."""

from collections.abc import Mapping, Sequence

from loopwise.errors import DataError


class TrieNode:
    """Where a beginning of pronunciations leads to.

    Attributes:
        unit: the last one of the beginning; -1 at the root.
        children: by the unit that follows.
        words: numbers of the words that are spoken so.
    """

    __slots__ = ("children", "unit", "words")

    def __init__(self, unit: int):
        self.unit = unit
        self.children: dict[int, TrieNode] = {}
        self.words: tuple[int, ...] = ()


def trie(pronunciations: Mapping[str, Sequence[Sequence[int]]], size: int) -> TrieNode:
    """The root of the tree; words are numbered in the order of the mapping.

    Args:
        pronunciations: of each word, one or several, as ids of units.
        size: of the vocabulary, the blank among it.

    Raises:
        DataError: if there is no word, or a word has no pronunciation, or one that is empty or has
            an id that is not in ``[1, size)``; names the word.
    """
    if not pronunciations:
        raise DataError("lexicon: has no words")
    root = TrieNode(-1)
    for number, (word, variants) in enumerate(pronunciations.items()):
        if not variants:
            raise DataError(f"lexicon: {word!r} has no pronunciation")
        for units in variants:
            node = _leaf(root, word, units, size)
            if number not in node.words:
                node.words += (number,)
    return root


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
