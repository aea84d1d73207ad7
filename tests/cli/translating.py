"""Files of pairs, and the options of a small translator."""

from tasks.translation.texts import sentences

SMALL = {
    "data.unit": "words",
    "model.hidden_size": 24,
    "model.embedding_size": 16,
    "model.heads": 2,
    "model.dropout_input": 0.0,
    "model.dropout_hidden": 0.0,
    "model.dropout_output": 0.0,
    "model.dropout_readout": 0.0,
    "train.batch_tokens": 200,
    "train.epochs": 8,
    "train.lr": 0.01,
    "train.threads": 1,
    "train.device": "cpu",
}


def sets(**changes: object) -> list[str]:
    """The options; a double underscore stands for the dot of a key."""
    settings = {**SMALL, **{name.replace("__", "."): value for name, value in changes.items()}}
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


WAITING = {"model__wait": 1, "model__bidirectional": "false"}


def tsv(count: int = 300, seed: int = 1) -> str:
    """Lines of a sentence, a tab and its translation."""
    return "".join(f"{source}\t{target}\n" for source, target in sentences(count, seed=seed))
