"""A recognizer of tones that hears streams, trained once."""

import functools
import tempfile
from pathlib import Path

from loopwise.runtime.load import load
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.training import train
from tasks.speech.sounds import SMALL, write_manifest


@functools.cache
def recognizer(**settings):
    """Of tones, in one direction."""
    from rich.console import Console

    with tempfile.TemporaryDirectory() as folder:
        parts = [write_manifest(Path(folder), name, n, n) for name, n in (("a", 60), ("b", 20))]
        given = {"bidirectional": False, "lookahead": 2, "normalise": "running", **settings}
        config = SpeechConfig.from_settings("test", (), **{**SMALL, **given})
        data = config.data.model_copy(update={"train": (str(parts[0]),), "valid": (str(parts[1]),)})
        config = config.model_copy(update={"data": data})
        train(config, Path(folder) / "run", console=Console(quiet=True))
        return load(Path(folder) / "run")
