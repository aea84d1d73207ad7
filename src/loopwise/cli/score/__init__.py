"""``loopwise score``: how likely lines, tokens or translations are to a model."""

from typing import Annotated

import typer

from loopwise.cli.grouping import grouped, refuse
from loopwise.cli.model import KINDS, is_translator, open_language_model, open_model_before
from loopwise.cli.options import Json, Model
from loopwise.cli.pairs import PairGroup
from loopwise.cli.score.text import score_text
from loopwise.cli.score.translations import score_translations


@grouped
def score(
    model: Model,
    *,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="For a language model: text. For a translator: pairs, TSV or JSON lines. Files, "
            ".gz, or - for standard input.  [default: -]",
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="The surprisal of every token instead.")
    ] = False,
    as_json: Json = False,
    pairs: PairGroup,
) -> None:
    r"""Log-probability of lines, translations, or tokens.

    Prints the natural logarithm of a line's probability, its end included, and the line. Every line
    stands alone, as if at the beginning of a text. With --tokens: a table of line number, token and
    surprisal. A model of bytes scores any file; what is not UTF-8 is shown as \xff. Of a translator
    it is the probability of the translation where the source is known: all of it, or as many words
    as the translator was trained to wait for.
    """
    files = files or []
    loaded = open_model_before(files, model, "score")
    if is_translator(loaded):
        score_translations(model, loaded, files, pairs, tokens, as_json)
        return
    language_model = open_language_model(model, loaded)
    refuse(f"{model}: {KINDS[loaded.bundle.task]}", [pairs])
    score_text(language_model, files or ["-"], tokens, as_json)
