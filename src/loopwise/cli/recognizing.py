"""Options of the search for what is said, as several commands take them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from loopwise.cli.grouping import given

if TYPE_CHECKING:
    from loopwise.runtime.decoding import DecodingOptions

PANEL = "Search for what is said"


def _option(text: str, metavar: str | None = "N") -> Any:
    return typer.Option(help=text, metavar=metavar, rich_help_panel=PANEL)


@dataclass(frozen=True)
class RecognizingGroup:
    """How what is said is sought; see `loopwise.runtime.decoding.Decoding`."""

    beam_size: Annotated[
        int | None,
        _option("Texts that are followed; 1 takes the likeliest unit each time.  [default: 16]"),
    ] = None
    among: Annotated[
        Literal["auto", "words", "units"] | None,
        _option(
            "Words that are known, or any units; auto: words where units are phones.  "
            "[default: auto]",
            None,
        ),
    ] = None
    method: Annotated[
        Literal["auto", "ctc", "transducer"] | None,
        _option("Which part of a model that has both.  [default: auto]", None),
    ] = None
    language: Annotated[
        str | None,
        _option(
            "own: the n-grams in the bundle, where words are sought; none; or the RUN of a "
            "language model of the words or units that are sought.  [default: own]",
            "MODEL",
        ),
    ] = None
    language_weight: Annotated[
        float | None, _option("Of what the language model says.  [default: 0.5]")
    ] = None
    word_bonus: Annotated[
        float | None,
        _option(
            "For each word, or unit, that is sought: the larger, the more are heard; in nats.  "
            "[default: 0.0]"
        ),
    ] = None
    hot_word: Annotated[
        list[str] | None,
        _option("A word or phrase that is expected; may be given several times.", "PHRASE"),
    ] = None
    hot_words: Annotated[Path | None, _option("A file of such phrases, a line each.", "FILE")] = (
        None
    )
    hot_bonus: Annotated[
        float | None, _option("For each of them that is said, in nats.  [default: 2.0]")
    ] = None


def decoding_options(group: RecognizingGroup) -> "DecodingOptions":
    """The options given, as `LoadedRecognizer.transcribe` takes them.

    Raises:
        ConfigError: a value that is not allowed.
        DataError: hot words that cannot be read.
    """
    from loopwise.codec.lines import read_lines
    from loopwise.runtime.decoding import Decoding

    options = given(group)
    phrases = options.pop("hot_word", [])
    if "hot_words" in options:
        phrases = [*phrases, *filter(str.strip, read_lines([str(options["hot_words"])]))]
    if phrases:
        options["hot_words"] = [" ".join(phrase.split()) for phrase in phrases]
    Decoding(**options)
    return cast("DecodingOptions", options)
