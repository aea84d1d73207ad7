import pytest

from cli.calling import call, sets
from tasks.lm.texts import lines


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
