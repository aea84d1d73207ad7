import pytest

from cli import recognizing, translating
from cli.calling import call, sets
from tasks.lm.texts import lines
from tasks.speech import sounds


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """A folder of two texts."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "a.txt").write_text(lines(30))
    (folder / "b.txt").write_text(lines(30, seed=1))
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory, text):
    """A run over characters."""
    out = tmp_path_factory.mktemp("runs") / "chars"
    settings = sets(data__unit="chars", train__epochs=3)
    called = call("train", "lm", "--out", out, "--data", text, *settings)
    assert called.status == 0, called.err
    return out


@pytest.fixture(scope="session")
def words(tmp_path_factory, text):
    """A run over words."""
    out = tmp_path_factory.mktemp("runs") / "words"
    settings = sets(data__unit="words", train__epochs=1)
    called = call("train", "lm", "--out", out, "--data", text, *settings)
    assert called.status == 0, called.err
    return out


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """A folder with pairs in one file and in two."""
    folder = tmp_path_factory.mktemp("pairs")
    text = translating.tsv()
    (folder / "p.tsv").write_text(text)
    for column, name in enumerate(("p.de", "p.en")):
        sides = [line.split("\t")[column] for line in text.splitlines()]
        (folder / name).write_text("\n".join(sides) + "\n")
    return folder


def _translator(folder, pairs, **changes):
    settings = translating.sets(**changes)
    called = call("train", "translation", "--out", folder, "--data", pairs / "p.tsv", *settings)
    assert called.status == 0, called.err
    return folder


@pytest.fixture(scope="session")
def translator(tmp_path_factory, pairs):
    """A run over words."""
    return _translator(tmp_path_factory.mktemp("runs") / "numbers", pairs, train__keep=3)


@pytest.fixture(scope="session")
def waiting(tmp_path_factory, pairs):
    """A run that translates word by word."""
    folder = tmp_path_factory.mktemp("runs") / "waiting"
    return _translator(folder, pairs, **translating.WAITING)


@pytest.fixture(scope="session")
def utterances(tmp_path_factory):
    """A folder of recordings with manifests, ``train.jsonl`` and ``test.jsonl``."""
    folder = tmp_path_factory.mktemp("utterances")
    sounds.write_manifest(folder, "train", 60, seed=1)
    sounds.write_manifest(folder, "test", 8, seed=2)
    return folder


def _recognizer(folder, manifest, **changes):
    settings = recognizing.sets(**changes)
    called = call("train", "speech", "--out", folder, "--data", manifest, *settings)
    assert called.status == 0, called.err
    return folder


@pytest.fixture(scope="session")
def recognizer(tmp_path_factory, utterances):
    """A run over words that reads whole utterances."""
    folder = tmp_path_factory.mktemp("runs") / "tones"
    return _recognizer(folder, utterances / "train.jsonl")


@pytest.fixture(scope="session")
def listener(tmp_path_factory, utterances):
    """A run that listens to streams."""
    folder = tmp_path_factory.mktemp("runs") / "listening"
    return _recognizer(folder, utterances / "train.jsonl", **recognizing.LISTENING)


@pytest.fixture(scope="session")
def ready(tmp_path_factory, utterances):
    """A run of few steps that listens to features, and a manifest of some: ``test.jsonl``."""
    folder = tmp_path_factory.mktemp("ready")
    for name in ("train", "test"):
        sounds.write_features(utterances / f"{name}.jsonl", folder, bins=16)
    options = recognizing.LISTENING | recognizing.READY | {"train__epochs": 8}
    _recognizer(folder / "run", folder / "train.jsonl", **options)
    return folder
