"""Options of the search for translations, as several commands take them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from loopwise.cli.grouping import given, option_names
from loopwise.errors import ConfigError

if TYPE_CHECKING:
    from loopwise.codec.search.options import SearchOptions

SEARCH = "Search"
SAMPLING = "Sampling"


def _option(text: str, panel: str = SEARCH) -> Any:
    return typer.Option(help=text, metavar="N", rich_help_panel=panel)


@dataclass(frozen=True)
class SearchGroup:
    """How the likeliest translations are sought; see `loopwise.codec.search.options.Search`."""

    beam: Annotated[
        int | None, _option("Hypotheses that are followed; 1 is greedy.  [default: 5]")
    ] = None
    length_penalty: Annotated[
        float | None, _option("The larger, the longer are translations.  [default: 1.0]")
    ] = None
    coverage_penalty: Annotated[
        float | None, _option("The larger, the less of the source is left out.  [default: 0.0]")
    ] = None
    block_ngram: Annotated[
        int | None, _option("No N tokens come twice; 0 allows all.  [default: 0]")
    ] = None
    min_length: Annotated[int | None, _option("Tokens, at least.  [default: 0]")] = None
    max_length: Annotated[
        int | None, _option("Tokens, at most.  [default: twice the source's and 20 more]")
    ] = None


@dataclass(frozen=True)
class SamplingGroup:
    """How translations are drawn; see `loopwise.codec.search.options.Sampling`."""

    sample: Annotated[
        bool,
        typer.Option("--sample", help="Draw tokens instead of a beam.", rich_help_panel=SAMPLING),
    ] = False
    temperature: Annotated[
        float | None, _option("0 takes the likeliest token.  [default: 1.0]", SAMPLING)
    ] = None
    top_k: Annotated[
        int | None, _option("Only among the k likeliest; 0 = all.  [default: 0]", SAMPLING)
    ] = None
    top_p: Annotated[
        float | None, _option("Only among the likeliest of this mass.  [default: 1.0]", SAMPLING)
    ] = None
    seed: Annotated[int | None, _option("Equal seeds give equal translations.", SAMPLING)] = None


def search_options(
    search: SearchGroup, sampling: SamplingGroup | None = None, n_best: int | None = None
) -> "SearchOptions":
    """The options given, as `Translating.translate` takes them.

    Raises:
        ConfigError: a value that is not allowed, or options of sampling without ``--sample``.
    """
    from loopwise.codec.search.options import Sampling
    from loopwise.runtime.translator import as_search

    options = given(search)
    if "beam" in options:
        options["beam_size"] = options.pop("beam")
    if n_best is not None:
        options["n_best"] = n_best
    drawing = {} if sampling is None else given(sampling)
    if drawing.pop("sample", False):
        options["sampling"] = Sampling(**drawing)
    elif drawing:
        raise ConfigError(f"{option_names(drawing)}: needs --sample: give it as well")
    wanted = cast("SearchOptions", options)
    as_search(wanted)
    return wanted
