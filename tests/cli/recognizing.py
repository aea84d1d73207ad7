"""The options of small recognizers."""

from tasks.speech.sounds import RATE

SMALL = {
    "data.unit": "words",
    "features.rate": RATE,
    "features.bins": 16,
    "augment.stretch": 0.05,
    "augment.warp": 0.0,
    "augment.time_masks": 0,
    "model.hidden_size": 32,
    "model.num_layers": 1,
    "model.dropout_hidden": 0.0,
    "model.dropout_output": 0.0,
    "train.epochs": 16,
    "train.lr": 0.02,
    "train.threads": 1,
    "train.device": "cpu",
}
LISTENING = {"model__bidirectional": "false", "model__lookahead": 2, "train__epochs": 18}
READY = {"features__kind": "ready", "features__coefficients": 16, "features__bins": 40}


def sets(**changes: object) -> list[str]:
    """The options; a double underscore stands for the dot of a key."""
    settings = {**SMALL, **{name.replace("__", "."): value for name, value in changes.items()}}
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
