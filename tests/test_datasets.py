"""Data sets are known by checksum, fetched from a server of this test's own, never overwritten."""

import hashlib
import os
import re
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from loopwise import datasets
from loopwise.cli.app import app
from loopwise.datasets import DATA_SETS, DataFile, DataSet
from loopwise.errors import ConfigError, DataError, MissingExtraError

CONTENT = {"one.txt": b"first\n", "two.txt": b"second\n"}


class QuietHandler(SimpleHTTPRequestHandler):
    requested: list[str] = []  # noqa: RUF012, a class of this test alone

    def log_message(self, format, *args):
        self.requested.append(self.path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server with the two files; gives its address."""
    monkeypatch.setenv("NO_PROXY", "*")
    folder = tmp_path / "web"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    QuietHandler.requested = []
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    thread.join()
    web.server_close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder that the environment names."""
    path = tmp_path / "data"
    monkeypatch.setenv(datasets.VARIABLE, str(path))
    return path


def tiny(address):
    files = tuple(
        DataFile(f"tiny/{name}", hashlib.sha256(content).hexdigest(), f"{address}/{name}")
        for name, content in CONTENT.items()
    )
    return DataSet("tiny", "two lines", "none", address, files)


def test_fetch_brings_every_file_and_makes_the_set_present(server, folder):
    assert datasets.status(tiny(server)) == "missing"
    paths = datasets.fetch(tiny(server))
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert paths == [folder / "tiny" / name for name in CONTENT]
    assert datasets.status(tiny(server)) == "present"


def test_fetch_asks_only_for_what_is_missing(server, folder):
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "one.txt").write_bytes(CONTENT["one.txt"])
    assert datasets.status(tiny(server)) == "missing"
    datasets.fetch(tiny(server))
    assert QuietHandler.requested == ["/two.txt"]


def test_an_altered_file_is_reported_and_never_overwritten(server, folder):
    (folder / "tiny").mkdir(parents=True)
    mine = folder / "tiny" / "two.txt"
    mine.write_bytes(b"my own notes")
    assert datasets.status(tiny(server)) == "altered"
    with pytest.raises(DataError, match=re.escape(str(mine))):
        datasets.fetch(tiny(server))
    assert mine.read_bytes() == b"my own notes"
    assert QuietHandler.requested == []


def test_a_download_with_another_content_is_refused(server, folder):
    honest = tiny(server)
    wrong = DataFile("tiny/one.txt", "0" * 64, f"{server}/one.txt")
    with pytest.raises(DataError, match=f"{server}/one.txt"):
        datasets.fetch(DataSet("tiny", "", "", "", (wrong, *honest.files[1:])))
    assert not (folder / "tiny" / "one.txt").exists()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "{server}/no-such-folder"])
def test_a_failing_network_is_an_error_that_names_the_address(server, folder, address):
    address = address.format(server=server)
    with pytest.raises(DataError, match=f"{address}/one.txt"):
        datasets.fetch(tiny(address))
    assert not (folder / "tiny" / "one.txt").exists()


def test_without_pooch_the_error_says_what_to_install(server, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"loopwise\[data\]"):
        datasets.fetch(tiny(server))


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_the_error_says_to_set_it(monkeypatch, value):
    monkeypatch.delenv(datasets.VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(datasets.VARIABLE, value)
    with pytest.raises(DataError, match="LOOPWISE_DATA is not set"):
        datasets.status(DATA_SETS["ptb"])


def test_a_file_is_no_data_folder(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(datasets.VARIABLE, str(tmp_path / "file"))
    with pytest.raises(DataError, match="not a folder"):
        datasets.root()


def test_an_unknown_name_meets_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'tinyshakespeare'"):
        datasets.find("tinyshakspeare")


def test_the_registry_is_sound():
    for name, known in DATA_SETS.items():
        assert known.name == name
        assert known.description
        assert known.licence
        for file in known.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.path.startswith(f"{name}/")
            assert file.url.startswith("https://")
            assert file.url.endswith(file.path.rpartition("/")[2])


@pytest.mark.skipif(
    not os.environ.get(datasets.VARIABLE), reason="LOOPWISE_DATA names no data folder"
)
@pytest.mark.parametrize("name", DATA_SETS)
def test_what_this_machine_has_is_what_the_registry_says(name):
    assert datasets.status(DATA_SETS[name]) in ("present", "missing")


def run(*arguments):
    return CliRunner().invoke(app, ["data", *arguments])


def test_the_command_lists_the_sets_with_and_without_a_folder(folder, monkeypatch):
    assert run().output.count("missing") == len(DATA_SETS)
    monkeypatch.delenv(datasets.VARIABLE)
    result = run()
    assert result.exit_code == 0
    assert "not set" in result.output
    assert all(name in result.output for name in DATA_SETS)


def test_the_command_downloads_and_shows_one_set(server, folder, monkeypatch):
    monkeypatch.setitem(DATA_SETS, "tiny", tiny(server))
    assert "one.txt: missing" in run("tiny").output
    result = run("tiny", "--download")
    assert result.exit_code == 0
    assert f"{folder / 'tiny' / 'two.txt'}: present" in result.output


def test_the_command_refuses_a_download_of_nothing():
    assert isinstance(run("--download").exception, ConfigError)
    assert isinstance(run("nothing").exception, ConfigError)


def test_a_series_that_comes_with_loopwise_is_listed_shown_and_written(tmp_path, monkeypatch):
    monkeypatch.delenv(datasets.VARIABLE, raising=False)
    assert run().output.count("included") == len(datasets.SAMPLES)
    assert "public domain" in run("sunspots").output
    path = tmp_path / "spots.csv"
    assert "309 points" in run("sunspots", "--out", str(path)).output
    assert path.read_text() == datasets.sample("sunspots").csv


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "a.csv"], r"--out a.csv: needs the NAME"),
        (["ptb", "--out", "a.csv"], r"sunspots and sea-temperature, not ptb"),
        (["sunspot"], r"no data set 'sunspot'; known are ptb, .* did you mean 'sunspots'"),
    ],
)
def test_what_cannot_be_written_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        raise run(*arguments).exception
