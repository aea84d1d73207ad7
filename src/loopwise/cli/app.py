"""The commands, gathered, and how their errors reach a person."""

import io
import os
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from loopwise.cli import (
    config,
    data,
    diagnose,
    doctor,
    evaluate,
    export,
    forecast,
    generate,
    inspect,
    score,
    train,
    transcribe,
    translate,
)
from loopwise.cli.grouping import Grouped
from loopwise.errors import DataWarning, LoopwiseError, missing_extra


class InOrder(TyperGroup):
    """Lists the commands in the order of their use."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, as the help shows them."""
        return [
            "train",
            "diagnose",
            "inspect",
            "evaluate",
            "forecast",
            "translate",
            "transcribe",
            "generate",
            "score",
            "export",
            "config",
            "data",
            "doctor",
        ]


app = typer.Typer(
    name="loopwise",
    cls=InOrder,
    help="Recurrent networks from raw sequences to a streaming deployment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(train.app, name="train")
app.command()(diagnose.diagnose)
app.command()(inspect.inspect)
app.command(cls=Grouped)(evaluate.evaluate)
app.command()(forecast.forecast)
app.command(cls=Grouped)(translate.translate)
app.command(cls=Grouped)(transcribe.transcribe)
app.command()(generate.generate)
app.command(cls=Grouped)(score.score)
app.command()(export.export)
app.command()(config.config)
app.command()(data.data)
app.command()(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        import loopwise

        print(f"loopwise {loopwise.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Recurrent networks from raw sequences to a streaming deployment."""


def main() -> None:
    """Run the command line.

    Exit status: 0; 1 after a mistake or with a file that cannot be used; 2 where the command line
    itself is wrong; 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 shows escapes
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", DataWarning)
                warnings.showwarning = _warn
                app()
        finally:
            sys.stdout.flush()  # at exit it would be too late to catch a closed pipe
    except LoopwiseError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        _fail(str(missing_extra(error, "this command")))
    except BrokenPipeError:
        # The reader, such as `head`, has what it wanted. Keep the interpreter from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:  # a disk or a permission that no module expected to fail
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _warn(message: Warning | str, kind: type[Warning], *_: object) -> None:
    name = "" if issubclass(kind, DataWarning) else f"{kind.__name__}: "
    print(f"warning: {name}{message}", file=sys.stderr)


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1) from None
