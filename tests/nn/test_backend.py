"""Which implementation is in force."""

import threading
from unittest import mock

import pytest
import torch

from loopwise import engine
from loopwise.errors import ConfigError
from loopwise.nn import backend as choice
from loopwise.nn import native, solver
from loopwise.nn.backend import AVAILABLE, backend, current_backend
from loopwise.nn.layers import LSTM


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    monkeypatch.delenv("LOOPWISE_BACKEND", raising=False)


DEFAULT = "native" if engine.available() else "torch"


def test_the_engine_is_the_default_where_it_is():
    assert current_backend() == AVAILABLE[0] == DEFAULT


def test_environment(monkeypatch):
    monkeypatch.setenv("LOOPWISE_BACKEND", "reference")
    assert current_backend() == "reference"
    with backend("torch"):  # the block is nearer
        assert current_backend() == "torch"
    monkeypatch.setenv("LOOPWISE_BACKEND", "")
    assert current_backend() == DEFAULT


def test_blocks_nest_and_end():
    with backend("reference"):
        with backend("torch"):
            assert current_backend() == "torch"
        assert current_backend() == "reference"
    with pytest.raises(KeyError), backend("reference"):
        raise KeyError
    assert current_backend() == DEFAULT


def test_a_block_is_its_own_threads():
    seen = []
    with backend("reference"):
        thread = threading.Thread(target=lambda: seen.append(current_backend()))
        thread.start()
        thread.join()
    assert seen == [DEFAULT]


def test_layers_run_on_the_backend_in_force():
    layer = LSTM(3, 4)
    for name in AVAILABLE:
        kernels = native if name == "native" else solver
        function = "solve" if name == "native" else "compute"
        with (
            backend(name),
            mock.patch.object(kernels, function, wraps=getattr(kernels, function)) as called,
        ):
            layer(torch.zeros(2, 1, 3))
        assert called.call_count == 1
        assert name == "native" or called.call_args.args[1] == name


@pytest.mark.parametrize(
    ("name", "fragments"),
    [
        ("refrence", ["'refrence'", "native, torch, reference", "'reference'?"]),
        ("native", ["'native'", "no native engine", "torch, reference"]),
    ],
)
def test_unknown_and_absent_backends(monkeypatch, name, fragments):
    monkeypatch.setattr(choice, "AVAILABLE", ("torch", "reference"))
    monkeypatch.setenv("LOOPWISE_BACKEND", name)
    with pytest.raises(ConfigError, match="LOOPWISE_BACKEND") as by_environment:
        LSTM(3, 4)(torch.zeros(2, 1, 3))
    with pytest.raises(ConfigError, match="backend=") as by_block, backend(name):
        pass
    for raised in (by_environment, by_block):
        assert all(fragment in str(raised.value) for fragment in fragments), str(raised.value)
