"""``loopwise train``: one subcommand per task."""

import typer

from loopwise.cli.train import synthetic
from loopwise.cli.train.forecast import forecast
from loopwise.cli.train.lm import lm
from loopwise.cli.train.many import ManyPaths
from loopwise.cli.train.speech import speech
from loopwise.cli.train.translation import translation

app = typer.Typer(help="Train a model.", no_args_is_help=True)


@app.callback()
def tasks() -> None:
    """Train a model."""


app.command(cls=ManyPaths)(lm)
app.command()(forecast)
app.command(cls=ManyPaths)(translation)
app.command(cls=ManyPaths)(speech)
synthetic.add_to(app)
