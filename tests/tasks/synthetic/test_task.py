"""The tasks in the loop: loss, validation, bundles, resuming, processes, learning."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import loopwise
from loopwise.errors import ConfigError, DataError
from loopwise.runs import Run
from loopwise.tasks.synthetic.measure import answers, evaluate
from loopwise.tasks.synthetic.problems import held_out
from loopwise.tasks.synthetic.task import SyntheticTask
from loopwise.train import checkpoints
from loopwise.train.processes import World
from tasks.synthetic.runs import NAMES, config, train

OUTS = ("whole", "cut")
SHORT = (
    "data.epoch_sequences=3200",
    "data.valid_sequences=200",
    "model.hidden_size=32",
    "train.batch_size=32",
    "train.lr=0.01",
    "train.epochs=8",
)
TIMES = {"seconds", "targets_per_second"}
OPTIONS = {
    "plain": [],
    "embedded": ["model.embedding_size=3"],
    "lstm": [
        "model.cell=lstm",
        "model.layer_norm=true",
        "model.peephole=true",
        "model.proj_size=3",
    ],
    "layers": ["model.num_layers=3", "model.residual=true", "model.zoneout=0.2"],
    "rnn": ["model.cell=rnn", "model.learn_initial_state=true", "model.init=orthogonal"],
}


def task(name: str, *settings: str, world: World | None = None) -> SyntheticTask:
    return SyntheticTask(config(name, *settings), world or World())


def records(path) -> list[dict]:
    return [{k: v for k, v in r.items() if k not in TIMES} for r in Run(path).records()]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_answers_as_the_model_it_is_of(name, options, tmp_path):
    if options == "embedded" and name == "adding":
        pytest.skip("numbers are not embedded")
    made = task(name, *OPTIONS[options])
    made.model.eval()
    made.export(tmp_path / "b.safetensors")
    loaded = loopwise.load(tmp_path / "b.safetensors")
    sequences = held_out(made.problem, 7, 5)
    with torch.no_grad():
        x = torch.from_numpy(sequences.inputs)
        expected = made.model(x, len(sequences.targets)).outputs.numpy()
        every = made.model(x, len(x)).outputs.numpy()
    np.testing.assert_allclose(answers(loaded, sequences), expected, rtol=1e-5, atol=1e-5)
    stream = loaded.stream()
    pushed = [stream.push(step) for step in sequences.inputs[:, 2]]
    np.testing.assert_allclose(pushed, every[:, 2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_batch_is_its_definition(name):
    made = task(name)
    inputs, targets = batch = made.batches.next()
    outputs = made.model(inputs, len(inputs)).outputs[-len(targets) :]
    if name == "adding":
        expected = ((outputs - targets) ** 2).mean()
    else:
        chosen = outputs.log_softmax(-1).gather(-1, targets[..., None])
        expected = -chosen.mean()
    step = made.loss(made.model, batch, None)
    torch.testing.assert_close(step.loss, expected)
    assert (step.count, step.state, step.penalty) == (targets.numel(), None, None)


def test_penalties_are_those_of_the_layers():
    made = task("parity", "model.ar=2", "model.tar=3")
    batch = made.batches.next()
    y = made.model(batch.inputs, 1).output
    expected = 2 * (y**2).mean() + 3 * (y.diff(dim=0) ** 2).mean()
    torch.testing.assert_close(made.loss(made.model, batch, None).penalty, expected)


@pytest.mark.parametrize("name", NAMES)
def test_validation_is_the_evaluation_of_the_bundle(name, tmp_path):
    made = task(name, "data.valid_sequences=130", "data.valid_seed=4")
    with torch.no_grad():
        found = made.validate(made.model.eval())
    made.export(tmp_path / "b.safetensors")
    loaded = loopwise.load(tmp_path / "b.safetensors")
    assert evaluate(loaded, made.problem, 130, 4) == pytest.approx(found, abs=1e-5)
    assert loaded.info["validation"] == found
    assert (found["chance"], found["optimal"]) == (made.problem.chance, 0)
    assert ("accuracy" in found) == (name != "adding")


def test_one_hot_symbols_are_not_trained_and_embedded_ones_are():
    for size, trained in ((0, False), (3, True)):
        made = task("copy", f"model.embedding_size={size}")
        names = [name for name, _ in made.model.named_parameters()]
        assert ("embedding.weight" in names) == trained
    given = torch.tensor([[0, 9]])
    assert torch.equal(task("copy").model.embedding(given), functional.one_hot(given, 10).float())


def test_init_scale_draws_all_weights():
    for name, parameter in task("parity", "model.init_scale=0.01").model.named_parameters():
        assert 0 < parameter.abs().max() <= 0.01, name


@pytest.mark.parametrize("name", NAMES)
def test_a_training_cut_and_continued_equals_one_that_was_not(name, tmp_path):
    options = ("model.dropout_output=0.2", "train.schedule=constant")
    train(config(name, *options), tmp_path / "whole")
    train(config(name, *options, "train.max_steps=3"), tmp_path / "cut")
    train(config(name, *options), tmp_path / "cut", resume=True)
    whole, cut = (records(tmp_path / out) for out in OUTS)
    # the cut one has validated at its end besides
    assert [r for r in cut if r["kind"] == "train"] == [r for r in whole if r["kind"] == "train"]
    assert cut[-1] == whole[-1]
    ends = [checkpoints.list_checkpoints(tmp_path / out / "checkpoints")[-1] for out in OUTS]
    one, other = (checkpoints.load(end).tensors for end in ends)
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_another_length_is_refused_and_another_held_out_set_begins_anew(tmp_path, capsys):
    train(config("parity"), tmp_path)
    with pytest.raises(DataError, match=r"Parity\(length=6\), not Parity\(length=9\)"):
        train(config("parity", "data.length=9"), tmp_path, resume=True)
    with pytest.raises(ConfigError, match="the checkpoint is of another model"):
        train(config("parity", "model.hidden_size=9"), tmp_path, resume=True)
    more = config("parity", "data.valid_seed=9", "train.epochs=3")
    assert train(more, tmp_path, resume=True).epochs == 3


def test_processes_draw_their_own_sequences_for_equal_models():
    tasks = [task("adding", world=World(rank, 2)) for rank in (0, 1)]
    assert tasks[0].judge == tasks[1].judge
    batches = [made.batches.next() for made in tasks]
    assert not torch.equal(batches[0].inputs, batches[1].inputs)
    for ours, theirs in zip(*(made.model.parameters() for made in tasks), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "settings", "least"),
    [
        ("adding", ["data.length=8"], 0.5),
        ("copy", ["data.length=1", "model.chrono=20", "train.lr=0.02"], 0.1),  # the slowest
        ("parity", ["data.length=12"], 0.95),
        ("delayed-recall", ["data.length=8"], 0.95),
    ],
)
def test_short_sequences_are_learned(name, settings, least, tmp_path):
    train(config(name, *SHORT, *settings), tmp_path)
    assert records(tmp_path)[-1]["solved"] > least
