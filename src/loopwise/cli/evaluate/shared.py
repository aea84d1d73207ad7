"""Options of ``loopwise evaluate`` that models of several kinds take."""

from typing import Annotated, Literal

import typer

PANEL = "Of a translator or a recognizer"

Invalid = Annotated[
    Literal["error", "skip"] | None,
    typer.Option(
        help="What cannot be used: error, or skip (and count).  [default: error]",
        rich_help_panel=PANEL,
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Sentences or utterances that are read side by side.  [default: 64 or 16]",
        min=1,
        rich_help_panel=PANEL,
    ),
]
Stream = Annotated[
    bool,
    typer.Option(
        "--stream",
        help="Translate word by word, or listen bit by bit, and say how far it lags.",
        rich_help_panel=PANEL,
    ),
]
