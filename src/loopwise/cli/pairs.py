"""Pairs of sentences as commands of a translator take them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loopwise.errors import ConfigError
from loopwise.runs import Run

if TYPE_CHECKING:
    from loopwise.codec.pairs import Pairs
    from loopwise.tasks.translation.config import DataConfig

TRANSLATOR = "Of a translator"
"""Heading of options, where a command has those of other models, too."""


@dataclass(frozen=True)
class PairGroup:
    """Where pairs are, if not in files of both sides, and what becomes of those that are none."""

    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Instead of FILE...: sentences, a line each.",
            rich_help_panel=TRANSLATOR,
        ),
    ] = None
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="And their translations, a line each.", rich_help_panel=TRANSLATOR
        ),
    ] = None
    invalid: Annotated[
        Literal["error", "skip"] | None,
        typer.Option(
            help="Pairs that cannot be used: error, or skip (and count).  [default: error]",
            rich_help_panel=TRANSLATOR,
        ),
    ] = None


def read_pairs_of(path: Path, files: list[str], group: PairGroup) -> "Pairs":
    """The pairs that a command is given; columns and keys are as in the run's training.

    Raises:
        ConfigError: no files, or files of one side or of both kinds.
        DataError: pairs that cannot be read.
    """
    from loopwise.codec.pair_files import read_pairs, read_parallel
    from loopwise.codec.pairs import PairFilter

    wanted = PairFilter(group.invalid or "error")
    source, target = group.source or [], group.target or []
    if bool(source) != bool(target):
        raise ConfigError("--source and --target: give both, or FILE... of pairs")
    if bool(files) == bool(source):
        given = "both" if files else "neither"
        raise ConfigError(
            f"{path}: a translator: give FILE... of pairs, or --source and --target; given is "
            f"{given}"
        )
    if source:
        return read_parallel(source, target, wanted)
    trained = _trained_on(path)
    if trained is None:
        return read_pairs(files, wanted)
    return read_pairs(files, wanted, columns=trained.columns, keys=trained.keys)


def _trained_on(path: Path) -> "DataConfig | None":
    """What a run's options say about its pairs; None for a bundle."""
    if not path.is_dir():
        return None
    from loopwise.tasks.registry import read_config
    from loopwise.tasks.translation.config import TranslationConfig

    config = read_config(Run.open(path))
    return config.data if isinstance(config, TranslationConfig) else None
