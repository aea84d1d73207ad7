"""``loopwise evaluate`` of a translator: how near its translations come to those given."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from loopwise.cli.evaluate.shared import Batch, Stream
from loopwise.cli.grouping import refuse
from loopwise.cli.model import note_of_whole
from loopwise.cli.pairs import TRANSLATOR, PairGroup, read_pairs_of
from loopwise.cli.searching import SearchGroup, search_options
from loopwise.errors import ConfigError

if TYPE_CHECKING:
    from loopwise.codec.pairs import Pairs
    from loopwise.codec.search.options import SearchOptions
    from loopwise.codec.translation_metrics import Latency, TranslationScore
    from loopwise.runtime.translator import LoadedTranslator

Tokenize = Literal["13a", "none", "intl", "char", "zh"]


def _option(text: str, metavar: str | None = None, least: int | None = None) -> Any:
    return typer.Option(help=text, metavar=metavar, min=least, rich_help_panel=TRANSLATOR)


@dataclass(frozen=True)
class TranslationGroup:
    """How translations are made and compared."""

    tokenize: Annotated[
        Tokenize | None,
        _option("How BLEU cuts words: 13a, or none for text in tokens.  [default: 13a]"),
    ] = None
    lowercase: Annotated[
        bool,
        typer.Option(
            "--lowercase", help="BLEU and chrF pass over case.", rich_help_panel=TRANSLATOR
        ),
    ] = False
    batch: Batch = None
    stream: Stream = False
    wait: Annotated[
        int | None,
        _option("With --stream: words of the source to wait for.  [default: as in training]", "K"),
    ] = None
    save_translations: Annotated[
        Path | None, _option("Write the translations there, a line each.", "FILE")
    ] = None


@dataclass(frozen=True)
class Outcome:
    """What a translator made of sentences.

    Attributes:
        texts: the translations.
        seconds: that they took.
        latency: how far they lagged; None of whole sentences.
        wait: words of the source that were waited for; None of whole sentences.
    """

    texts: list[str]
    seconds: float
    latency: "Latency | None" = None
    wait: int | None = None


def evaluate_translations(
    path: Path,
    model: "LoadedTranslator",
    files: list[str],
    group: PairGroup,
    options: TranslationGroup,
    search: SearchGroup,
    as_json: bool,
) -> None:
    """Print BLEU, chrF and perplexity; of translations word by word also how far they lag.

    Raises:
        ConfigError: options that do not fit each other or the model.
        DataError: pairs that cannot be read.
        MissingExtraError: what measures is not installed.
    """
    from loopwise.codec.translation_metrics import translation_score

    if options.wait is not None and not options.stream:
        raise ConfigError("--wait: needs --stream: give it as well")
    _require_place(options.save_translations)
    if options.stream:
        refuse("--stream: takes each time the likeliest word", [search])
        if options.batch is not None:
            raise ConfigError("--stream: one sentence at a time: leave out --batch")
    wanted = search_options(search)
    pairs = read_pairs_of(path, files, group)
    if options.stream:
        outcome = _word_by_word(path, model, pairs, options.wait)
    else:
        note_of_whole(path, model)
        outcome = _whole(model, pairs, options.batch or 64, wanted)
    if options.save_translations is not None:
        lines = "".join(f"{text}\n" for text in outcome.texts)
        options.save_translations.write_text(lines, encoding="utf-8")
    score = translation_score(
        outcome.texts,
        pairs.targets,
        tokenize=options.tokenize or "13a",
        lowercase=options.lowercase,
    )
    perplexity = _perplexity(model, pairs, outcome.wait or 0)
    if as_json:
        print(json.dumps(_json(pairs, outcome, score, perplexity), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(pairs, outcome, score, perplexity)))
        if options.save_translations is not None:
            print(f"translations: {options.save_translations}")


def _require_place(file: Path | None) -> None:
    """Refuse a file that cannot be written before the work is done."""
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        raise ConfigError(f"--save-translations {file}: not a file in a folder that is there")


def _whole(
    model: "LoadedTranslator", pairs: "Pairs", batch: int, search: "SearchOptions"
) -> Outcome:
    begin = perf_counter()
    found = model.translations(pairs.sources, batch_size=batch, **search)
    return Outcome([each[0].text if each else "" for each in found], perf_counter() - begin)


def _word_by_word(
    path: Path, model: "LoadedTranslator", pairs: "Pairs", wait: int | None
) -> Outcome:
    from loopwise.codec.translation_metrics import latency

    try:
        stream = model.stream(wait)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    texts: list[str] = []
    delays: list[list[int]] = []
    begin = perf_counter()
    for source in pairs.sources:
        texts.append(stream.translate(source))
        delays.append(stream.delays)
    seconds = perf_counter() - begin
    lengths = [[len(text.split()) for text in side] for side in (pairs.sources, pairs.targets)]
    used = model.wait if wait is None else wait
    return Outcome(texts, seconds, latency(delays, *lengths), used)


def _perplexity(model: "LoadedTranslator", pairs: "Pairs", wait: int) -> float:
    """Of the translations given, a token, their ends included; seeing what was seen for BLEU."""
    from loopwise.codec.metrics import perplexity

    found = model.log_probs(pairs.sources, pairs.targets, wait)
    return perplexity(-sum(float(each.sum()) for each in found) / sum(map(len, found)))


def _lines(
    pairs: "Pairs", outcome: Outcome, score: "TranslationScore", perplexity: float
) -> list[str]:
    dropped = f"; {pairs.dropped}" if pairs.dropped.total else ""
    rate = len(pairs) / outcome.seconds
    precisions = "/".join(f"{each:.1f}" for each in score.precisions)
    rows = [
        f"{pairs.name}: {len(pairs):,} pairs{dropped}",
        f"BLEU        {score.bleu:.2f}   {precisions}, brevity {score.brevity_penalty:.3f}",
        f"chrF        {score.chrf:.2f}",
        f"perplexity  {perplexity:.3f}",
    ]
    if outcome.latency is not None:
        lag = outcome.latency
        rows += [
            f"waits for   {outcome.wait} words",
            f"lagging     {lag.average_lagging:.2f} words",
            f"adaptive    {lag.length_adaptive:.2f} words, not less for long translations",
            f"proportion  {lag.average_proportion:.3f}",
        ]
    return [
        *rows,
        f"speed       {rate:,.1f} sentences a second",
        f"BLEU is {score.bleu_signature}",
        f"chrF is {score.chrf_signature}",
    ]


def _json(
    pairs: "Pairs", outcome: Outcome, score: "TranslationScore", perplexity: float
) -> dict[str, Any]:
    found: dict[str, Any] = {"pairs": len(pairs), **asdict(score), "perplexity": perplexity}
    if outcome.latency is not None:
        found |= {"wait": outcome.wait, "latency": asdict(outcome.latency)}
    found |= {"seconds": outcome.seconds, "sentences_per_second": len(pairs) / outcome.seconds}
    return found | {"dropped": asdict(pairs.dropped)}
