"""From a configuration to a finished run."""

import os
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console

from loopwise import engine
from loopwise.errors import ConfigError, DataError, FileError, LoopwiseError, MissingExtraError
from loopwise.runs import Run
from loopwise.tasks.lm.config import LMConfig
from loopwise.tasks.lm.data import Corpus, read_corpus
from loopwise.tasks.lm.task import LanguageModelling
from loopwise.train.loop import FitResult, fit
from loopwise.train.machine import require_machine
from loopwise.train.processes import World


def train(
    config: LMConfig,
    out: str | os.PathLike[str],
    corpus: Corpus | None = None,
    *,
    resume: bool = False,
    from_checkpoint: str | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> FitResult:
    """Train a language model and write a run. Nothing is written before the text is read.

    Args:
        config: all options.
        out: the run's directory.
        corpus: the text; None reads what ``config.data`` names.
        resume: continue from the run's latest checkpoint.
        from_checkpoint: continue from this one.
        overwrite: replace an earlier run at `out`.
        console: for messages; None for standard output.

    Raises:
        LoopwiseError: as `read_corpus`, `LanguageModelling`, `Run` and `fit` raise.
    """
    world, resume = World.current(), resume or from_checkpoint is not None
    require_machine(config.train)
    run = Run.open(out) if resume else Run(Path(out))
    task = _make_task(config, corpus or _read(config, world), world)
    first = world.rank == 0  # only this process writes
    if first and not resume:
        run = Run.create(out, overwrite=overwrite)
    with _owned(run, config) if first else nullcontext():
        if first:
            _describe(task, console or Console())
        return fit(
            task,
            config.train,
            run,
            resume=resume,
            from_checkpoint=from_checkpoint,
            console=console,
        )


def _read(config: LMConfig, world: World) -> Corpus:
    if config.data.from_stdin and world.size > 1:
        raise ConfigError("data: several processes cannot share standard input (-); give files")
    return read_corpus(config.data)


def _make_task(config: LMConfig, corpus: Corpus, world: World) -> LanguageModelling:
    try:
        return LanguageModelling(config, corpus, world)
    except RuntimeError as error:
        if isinstance(error, LoopwiseError) or "alloc" not in str(error).lower():
            raise
        sizes = f"hidden_size={config.model.hidden_size}, vocabulary of {corpus.codec.size:,}"
        raise ConfigError(f"model: no memory for {sizes}; make it smaller") from None


@contextmanager
def _owned(run: Run, config: LMConfig) -> Generator[None]:
    """Lock `run` and write `config`; what does not fit machine or checkpoint does not stay."""
    with run.locked():
        before = run.config_path.read_text(encoding="utf-8") if run.config_path.exists() else None
        run.write_config(config.to_toml())
        try:
            yield
        except (ConfigError, DataError, FileError, MissingExtraError) as error:
            if before is not None:
                run.write_config(before)
            elif not isinstance(error, FileError):  # a full disk leaves a run to continue
                run.config_path.unlink()
            raise


def _describe(task: LanguageModelling, console: Console) -> None:
    corpus, model = task.corpus, task.config.model
    parameters = sum(parameter.numel() for parameter in task.model.parameters())
    console.print(
        f"text: {len(corpus.train):,} tokens, {len(corpus.valid):,} for validation; "
        f"vocabulary: {corpus.codec.size:,} {corpus.codec.unit}\n"
        f"model: {model.num_layers} x {model.cell}, {parameters:,} parameters"
        + ("" if engine.available() else "\nno native engine, so slower: see loopwise doctor"),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
