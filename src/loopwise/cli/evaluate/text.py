"""``loopwise evaluate`` of a language model: its perplexity on files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwise.errors import ConfigError, missing_extra

if TYPE_CHECKING:
    from loopwise.codec.metrics import TextScore
    from loopwise.runtime.cache import NeuralCache
    from loopwise.runtime.language_model import LoadedLanguageModel

PANEL = "Of a language model"
UNKNOWN_NOTE = (
    "Unknown tokens stand for text that the model cannot tell apart: compare bits per character "
    "and byte only where there are none."
)


def _option(text: str, metavar: str | None = None) -> Any:
    return typer.Option(help=text, metavar=metavar, rich_help_panel=PANEL)


@dataclass(frozen=True)
class TextGroup:
    """How a language model adapts to the text that it reads."""

    cache: Annotated[int | None, _option("Neural cache over the last N tokens.", "N")] = None
    cache_theta: Annotated[float | None, _option("Flatness of the cache.  [default: 0.3]")] = None
    cache_weight: Annotated[float | None, _option("Share of the cache.  [default: 0.1]")] = None
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic",
            help="Dynamic evaluation: go on learning while reading.",
            rich_help_panel=PANEL,
        ),
    ] = False
    dynamic_lr: Annotated[float | None, _option("Learning rate of --dynamic.  [default: 0.1]")] = (
        None
    )
    dynamic_decay: Annotated[
        float | None,
        _option("Pull of --dynamic back to the trained weights, per step.  [default: 0.0]"),
    ] = None

    @property
    def memory(self) -> "NeuralCache | None":
        """The cache, if there is to be one."""
        from loopwise.runtime.cache import NeuralCache

        return NeuralCache(self.cache, **self.of_cache) if self.cache else None

    @property
    def of_cache(self) -> dict[str, Any]:
        """What is said of the cache, by the names of `NeuralCache`."""
        return _said(theta=self.cache_theta, interpolation=self.cache_weight)

    @property
    def of_dynamic(self) -> dict[str, Any]:
        """What is said of dynamic evaluation, by the names of `DynamicEvaluation`."""
        return _said(lr=self.dynamic_lr, decay=self.dynamic_decay)

    def check(self) -> None:
        """Raise ConfigError for options that exclude or miss each other."""
        if self.dynamic and self.cache:
            raise ConfigError("--dynamic and --cache cannot be combined: give one of them")
        if self.of_cache and not self.cache:
            raise ConfigError("--cache-theta and --cache-weight need --cache N: give it as well")
        if self.of_dynamic and not self.dynamic:
            raise ConfigError("--dynamic-lr and --dynamic-decay need --dynamic: give it as well")


def _said(**options: float | None) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def evaluate_text(
    path: Path,
    loaded: "LoadedLanguageModel",
    files: list[str],
    options: TextGroup,
    as_json: bool,
) -> None:
    """Print perplexity, bits per character and per byte of each file.

    Raises:
        ConfigError: no file, or options that do not fit each other.
        DataError: a file that cannot be read.
    """
    from loopwise.codec.corpus import read_sources
    from loopwise.codec.metrics import TextScore

    options.check()
    if not files:
        raise ConfigError(f"{path}: a language model: give FILE..., the text to evaluate it on")
    sources = read_sources(files)
    if options.dynamic:
        try:
            from loopwise.tasks.lm.dynamic import DynamicEvaluation
        except ModuleNotFoundError as error:
            raise missing_extra(error, "--dynamic") from error
        learner = DynamicEvaluation(loaded.bundle, **options.of_dynamic)
        scores = [(source.name, learner.score_source(source)) for source in sources]
    else:
        memory = options.memory
        scores = [(source.name, loaded.score_source(source, cache=memory)) for source in sources]
    total = sum((score for _, score in scores), TextScore())
    if as_json:
        each = [{"file": name, **_figures(score)} for name, score in scores]
        print(json.dumps({**_figures(total), "files": each}, indent=2, ensure_ascii=False))
    else:
        _print_table([*scores, ("total", total)] if len(scores) > 1 else scores)


def _figures(score: "TextScore") -> dict[str, Any]:
    return {
        "perplexity": score.perplexity,
        "bits_per_character": score.bits_per_character,
        "bits_per_byte": score.bits_per_byte,
        "unknown_rate": score.unknown_rate,
        "nats": score.nats,
        "tokens": score.tokens,
        "characters": score.characters,
        "bytes": score.bytes,
    }


def _print_table(scores: "list[tuple[str, TextScore]]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    table.add_column("file", overflow="fold")
    for heading in ("perplexity", "bits/char", "bits/byte", "unknown", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    for name, score in scores:
        table.add_row(
            Text(name),  # no markup in it
            f"{score.perplexity:.3f}",
            f"{score.bits_per_character:.4f}",
            f"{score.bits_per_byte:.4f}",
            f"{100 * score.unknown_rate:.2f} %",
            f"{score.tokens:,}",
        )
    Console().print(table)
    if any(score.unknown for _, score in scores):
        print(UNKNOWN_NOTE)
