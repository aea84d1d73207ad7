"""``loopwise generate``: text from a model, as it is sampled."""

from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.cli.model import open_language_model
from loopwise.cli.options import Model
from loopwise.codec.search.options import LENGTH, Sampling
from loopwise.errors import DataError

if TYPE_CHECKING:
    from loopwise.codec.text import TextCodec


def generate(
    model: Model,
    prompt: Annotated[str, typer.Option(help="Text to go on from.")] = "",
    length: Annotated[int, typer.Option(help="Tokens to sample.", min=0)] = LENGTH,
    temperature: Annotated[
        float, typer.Option(help="0 takes the likeliest token.")
    ] = Sampling.temperature,
    top_k: Annotated[
        int, typer.Option(help="Only among the k likeliest; 0 = all.")
    ] = Sampling.top_k,
    top_p: Annotated[
        float, typer.Option(help="Only among the likeliest of this mass.")
    ] = Sampling.top_p,
    seed: Annotated[int | None, typer.Option(help="Equal seeds give equal texts.")] = Sampling.seed,
    stop: Annotated[str | None, typer.Option(help="End before this text.")] = None,
) -> None:
    """Continue a text, token by token.

    Prints the prompt and what the model makes of it. Without a prompt it begins a text. At
    temperature 0, --top-k, --top-p and --seed change nothing.
    """
    loaded = open_language_model(model)
    _require_known(loaded.codec, prompt)
    pieces = loaded.generate_pieces(
        prompt,
        length,
        stop=stop,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
    print(prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


def _require_known(codec: "TextCodec", prompt: str) -> None:
    """A model goes astray after a token that it has never seen; say so instead."""
    parts = prompt.split() if codec.unit == "words" else list(prompt)
    if codec.unknown is None or not parts:
        return
    written = codec.token(codec.unknown)  # `<unk>` itself may be meant
    strange = [p for p in parts if p != written and codec.unknown in codec.encode_text(p)]
    if strange:
        names = ", ".join(repr(part) for part in dict.fromkeys(strange))
        instead = f", or write {written}" if codec.unit == "words" else ""
        raise DataError(
            f"--prompt: {names}: not among the {codec.size:,} {codec.unit} of this model; "
            f"use others{instead}"
        )
