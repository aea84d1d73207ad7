"""``loopwise train translation``: a translator from pairs of sentences."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwise.cli.grouping import grouped
from loopwise.cli.train.start import Start

if TYPE_CHECKING:
    from loopwise.tasks.translation.config import DataConfig, TranslationConfig

Paths = list[str] | None

OTHERS = {
    "train": ("source", "target"),
    "source": ("train",),
    "target": ("train",),
    "valid": ("valid_source", "valid_target"),
    "valid_source": ("valid",),
    "valid_target": ("valid",),
}
"""What an option that names files takes the place of."""


def _paths(option: str, text: str) -> Any:
    return typer.Option(option, metavar="FILE...", help=text)


@grouped
def translation(
    *,
    data: Annotated[
        Paths, _paths("--data", "Pairs: TSV or JSON lines, also .gz; - for standard input.")
    ] = None,
    source: Annotated[Paths, _paths("--source", "Instead: sentences, a line each.")] = None,
    target: Annotated[Paths, _paths("--target", "And their translations, a line each.")] = None,
    valid: Annotated[
        Paths, _paths("--valid", "Pairs to validate on; without them, some of --data.")
    ] = None,
    valid_source: Annotated[Paths, _paths("--valid-source", "Instead: sentences.")] = None,
    valid_target: Annotated[Paths, _paths("--valid-target", "And their translations.")] = None,
    start: Start,
) -> None:
    """Train a translator on pairs of sentences.

    A line of TSV is a sentence, a tab, and its translation. Several files may follow each option.
    All options, with their defaults, are printed by `loopwise config translation`.
    """
    from loopwise.tasks.translation.config import TranslationConfig

    options = start.options()
    files = {
        "train": data,
        "source": source,
        "target": target,
        "valid": valid,
        "valid_source": valid_source,
        "valid_target": valid_target,
    }
    given = {name: tuple(paths) for name, paths in files.items() if paths}

    def load(file: Path | None) -> "TranslationConfig":
        loaded = TranslationConfig.load(file, options)
        return loaded.model_copy(update={"data": _with_files(loaded.data, given)})

    resolved = start.resolve(load, _unsaid)
    start.require_input("translation", "pairs", gone=resolved.data.from_stdin and not given)
    start.train(resolved)


def _with_files(data: "DataConfig", given: dict[str, tuple[str, ...]]) -> "DataConfig":
    """The same with the files that the command line names instead of others."""
    gone = {other for name in given for other in OTHERS[name] if other not in given}
    files = {**dict.fromkeys(gone, ()), **given}
    where = ", ".join(f"--{name.replace('_', '-')}" for name in given).replace("--train", "--data")
    parsed = type(data).parse({**data.model_dump(), **files}, where=where or "data")
    return parsed.absolute()


def _unsaid(given: "TranslationConfig") -> list[str]:
    return [f"data.{name}" for name in OTHERS if not getattr(given.data, name)]
