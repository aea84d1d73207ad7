"""The options: defaults of each task, and those that follow the length."""

import pytest

from loopwise.errors import ConfigError
from loopwise.tasks.synthetic.config import CONFIGS
from tasks.synthetic.runs import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_written_configuration_reads_back(name, tmp_path):
    config = CONFIGS[name].load(None, ["data.length=7", "model.num_layers=2"])
    assert config.task == name
    (tmp_path / "c.toml").write_text(config.to_toml())
    assert CONFIGS[name].load(tmp_path / "c.toml") == config


def test_gates_that_remember_by_default_do_so_for_the_length():
    recall = CONFIGS["delayed-recall"]
    assert recall.load().model.chrono == recall.load().data.length
    assert recall.load(None, ["data.length=300"]).model.chrono == 300
    assert recall.load(None, ["data.length=1"]).model.chrono == 2
    assert recall.load(None, ["data.length=300", "model.chrono=20"]).model.chrono == 20
    assert recall.load(None, ["data.length=300", "model.cell=rnn"]).model.chrono == 0
    with pytest.raises(ConfigError, match=r"data\.length: must be a whole number"):
        recall.load(None, ["data.length=long"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.lenght=3", r"unknown key 'data\.lenght'; did you mean 'data\.length'"),
        ("model.tied=true", r"unknown key 'model\.tied'"),
        ("train.window=3", r"unknown key 'train\.window'"),
        ("data.length=1", r"length 1: adding needs a step in each half"),
        ("task=copy", r"this configuration is for the task 'copy'; expected 'adding'"),
    ],
)
def test_mistakes(setting, message):
    with pytest.raises(ConfigError, match=message):
        CONFIGS["adding"].load(None, [setting])
