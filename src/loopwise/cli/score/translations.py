"""``loopwise score`` of a translator: pairs of sentences and the tokens of translations."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from loopwise.cli.pairs import PairGroup, read_pairs_of
from loopwise.cli.score.text import AT_ONCE, print_tokens

if TYPE_CHECKING:
    from loopwise.codec.pairs import Pairs
    from loopwise.runtime.translator import LoadedTranslator


def score_translations(
    path: Path,
    model: "LoadedTranslator",
    files: list[str],
    group: PairGroup,
    tokens: bool,
    as_json: bool,
) -> None:
    """Print the log-probability of each pair's translation, or the surprisal of each token.

    Raises:
        ConfigError: files of one side alone, or of both kinds.
        DataError: pairs that cannot be read.
    """
    pairs = read_pairs_of(path, files or ([] if group.source or group.target else ["-"]), group)
    if pairs.dropped.total:
        print(f"{pairs.name}: {pairs.dropped}", file=sys.stderr)
    if tokens:
        print_tokens(_tokens(model, pairs), as_json)
        return
    for at in range(0, len(pairs), AT_ONCE):
        sources, targets = (side[at : at + AT_ONCE] for side in (pairs.sources, pairs.targets))
        scores = model.score(sources, targets)
        for source, target, nats in zip(sources, targets, scores, strict=True):
            record = {"source": source, "target": target, "log_probability": nats}
            plain = f"{nats:.4f}\t{source}\t{target}"
            print(json.dumps(record, ensure_ascii=False) if as_json else plain)
        sys.stdout.flush()


def _tokens(model: "LoadedTranslator", pairs: "Pairs") -> Iterator[tuple[int, str, float]]:
    """By the lines of the file, which those that were left out count in."""
    for line, source, target in zip(pairs.lines, pairs.sources, pairs.targets, strict=True):
        for token in model.score_tokens(source, target):
            yield line, token.token, token.nats
