"""From a configuration to a finished run."""

from rich.console import Console

from loopwise.runs import Run
from loopwise.tasks.lm.config import LMConfig
from loopwise.tasks.lm.data import Corpus, read_corpus
from loopwise.tasks.lm.task import LanguageModelling
from loopwise.train.loop import FitResult, fit


def train(
    config: LMConfig,
    run: Run,
    corpus: Corpus | None = None,
    *,
    resume: bool = False,
    from_checkpoint: str | None = None,
    console: Console | None = None,
) -> FitResult:
    """Train a language model and write `run`.

    Args:
        config: all options.
        run: where to.
        corpus: the text; None reads what ``config.data`` names.
        resume: continue from the run's latest checkpoint.
        from_checkpoint: continue from this one.
        console: for messages; None for standard output.

    Raises:
        LoopwiseError: as `read_corpus`, `LanguageModelling` and `fit` raise.
    """
    task = LanguageModelling(config, corpus or read_corpus(config.data))
    return fit(
        task,
        config.train,
        run,
        resume=resume,
        from_checkpoint=from_checkpoint,
        console=console,
    )
