"""Bundles with the weights of checkpoints: of one, and the mean of several."""

import numpy as np
import pytest

from loopwise.errors import BundleError, CheckpointError, ConfigError, RunError
from loopwise.runs import Run
from loopwise.runtime.bundle import read_bundle, write_bundle
from loopwise.tasks.weights import average_of, bundle_of
from loopwise.train import checkpoints
from tasks.synthetic.runs import config, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with three checkpoints."""
    path = tmp_path_factory.mktemp("run")
    train(config("parity", "train.checkpoint_every=2", "train.keep=3"), path)
    return path


def stored(run):
    paths = checkpoints.list_checkpoints(run / "checkpoints")
    return paths, [checkpoints.load(path).tensors for path in paths]


def test_weights_of_one_checkpoint(run):
    paths, tensors = stored(run)
    for path, weights in zip(paths, tensors, strict=True):
        found = bundle_of(run, path.stem).tensors
        for name, array in found.items():
            np.testing.assert_array_equal(array, weights[f"model.{name}"].numpy())
    assert bundle_of(run).fingerprint == read_bundle(run).fingerprint


@pytest.mark.parametrize("count", [2, 3])
def test_the_mean_of_the_last(run, count):
    paths, tensors = stored(run)
    found = average_of(run, count)
    for name, array in found.tensors.items():
        each = [weights[f"model.{name}"].double().numpy() for weights in tensors[-count:]]
        np.testing.assert_allclose(array, np.mean(each, axis=0), rtol=1e-6, atol=1e-9)
        assert array.dtype == np.float32
    assert found.info["average"] == [int(path.stem[5:]) for path in paths[-count:]]
    assert "validation" not in found.info
    assert "validation" in read_bundle(run).info


def test_an_average_can_be_written(run, tmp_path):
    write_bundle(tmp_path / "m.safetensors", average_of(run, 2))
    assert read_bundle(tmp_path / "m.safetensors").fingerprint == average_of(run, 2).fingerprint


def test_mistakes(run, tmp_path):
    with pytest.raises(ConfigError, match="average=1: must be at least 2"):
        average_of(run, 1)
    many = len(stored(run)[0]) + 1
    said = rf"has {many - 1} checkpoints, not {many}: .* train\.keep={many}"
    with pytest.raises(CheckpointError, match=said):
        average_of(run, many)
    with pytest.raises(RunError, match="not a run"):
        average_of(tmp_path, 2)
    Run.create(tmp_path / "young").write_config(config("copy").to_toml())
    with pytest.raises(BundleError, match="no such file"):
        average_of(tmp_path / "young", 2)
    with pytest.raises(CheckpointError, match="no checkpoint '77'"):
        bundle_of(run, "77")
