"""All tasks by name, and runs as the tasks that they trained."""

from typing import get_args

import pytest
import torch

import loopwise
from loopwise.errors import CheckpointError, ConfigError, DataError, RunError
from loopwise.runs import Run
from loopwise.tasks.registry import TaskName, config_class, open_task, read_config
from loopwise.tasks.synthetic.problems import Name
from loopwise.train import checkpoints
from tasks.lm.texts import config as lm_config
from tasks.lm.texts import corpus, lines
from tasks.synthetic.runs import config, train


def weights(task) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in task.model.state_dict().items()}


def same(one, other) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.fixture
def text_run(tmp_path):
    """A run over a file."""
    (tmp_path / "t.txt").write_text(lines(60))
    settings = lm_config(max_steps=4)
    data = settings.data.model_copy(update={"train": (str(tmp_path / "t.txt"),)})
    train(settings.model_copy(update={"data": data}), tmp_path / "run")
    return tmp_path / "run"


def test_every_task_has_options_that_say_its_name():
    assert set(get_args(TaskName)) == {
        "lm",
        "forecast",
        "translation",
        "speech",
        *get_args(Name),
    }
    for name in get_args(TaskName):
        assert config_class(name).load().task == name


def test_a_synthetic_run_is_its_task_with_its_weights(tmp_path):
    options = config("parity", "train.checkpoint_every=2")
    train(options, tmp_path)
    task = open_task(tmp_path)
    latest = checkpoints.list_checkpoints(tmp_path / "checkpoints")[-1]
    stored = checkpoints.load(latest).tensors
    assert all(torch.equal(t, stored[f"model.{n}"]) for n, t in weights(task).items())
    assert (task.config, task.batches.progress) == (options, 0)
    batch = task.batches.next()
    assert torch.isfinite(task.loss(task.model, batch, None).loss)


def test_the_weights_are_those_of_the_checkpoint_that_is_named(tmp_path):
    train(config("adding", "train.checkpoint_every=2", "train.keep=9"), tmp_path)
    names = [path.stem for path in checkpoints.list_checkpoints(tmp_path / "checkpoints")]
    found = [weights(open_task(tmp_path, name)) for name in names]
    assert len(names) == 4
    assert not same(found[0], found[1])
    assert same(weights(open_task(tmp_path, "latest")), found[-1])
    best = checkpoints.best(tmp_path / "checkpoints").stem
    assert same(weights(open_task(tmp_path, "best")), found[names.index(best)])
    fresh = weights(open_task(tmp_path, None))
    assert not any(same(fresh, other) for other in found)
    with pytest.raises(CheckpointError, match="no checkpoint '99'"):
        open_task(tmp_path, "99")


def test_a_language_model_reads_its_text_again(text_run):
    task = open_task(text_run, "best")
    with torch.no_grad():
        found = task.validate(task.model.eval())
    assert found == loopwise.load(text_run).info["validation"]
    window = task.batches.next()
    assert task.loss(task.model, window, None).count == window.targets.numel()


def test_a_text_that_is_not_there_any_more_is_told(text_run, tmp_path):
    (tmp_path / "t.txt").unlink()
    with pytest.raises(DataError, match=r"t\.txt' does not exist"):
        open_task(text_run)


def test_a_text_that_was_no_file_is_told(tmp_path):
    from loopwise.tasks.lm.training import train as train_lm

    settings = lm_config(max_steps=1)
    train_lm(settings, tmp_path / "python", corpus(settings))
    with pytest.raises(DataError, match="was no file, but given from Python or standard input"):
        open_task(tmp_path / "python")


def test_a_run_that_was_not_trained_yet_has_no_weights_but_the_first(tmp_path):
    run = Run.create(tmp_path)
    run.write_config(config("copy").to_toml())
    with pytest.raises(RunError, match="has no checkpoint yet"):
        open_task(tmp_path)
    assert open_task(tmp_path, None).batches.starts_epoch


def test_weights_of_another_model_are_refused(tmp_path):
    train(config("copy"), tmp_path)
    Run(tmp_path).write_config(config("copy", "model.hidden_size=9").to_toml())
    with pytest.raises(ConfigError, match="the checkpoint is of another model"):
        open_task(tmp_path)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            'task = "dance"\n',
            r"task 'dance' is unknown; known are lm, forecast, translation, speech, adding",
        ),
        ("colour = 1\n", r"config\.toml: task None is unknown"),
        ("task =", r"config\.toml: cannot be read: "),
        ('task = "copy"\n[data]\nlength = 0\n', r"data\.length: must be greater than"),
    ],
)
def test_a_configuration_that_is_none_of_ours(written, message, tmp_path):
    run = Run.create(tmp_path)
    run.write_config(written)
    with pytest.raises(ConfigError, match=message):
        read_config(run)


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(RunError, match="not a run"):
        open_task(tmp_path / "none")
