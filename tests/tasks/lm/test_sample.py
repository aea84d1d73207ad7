"""What a lower precision is measured on: the text of validation, found again."""

import numpy as np
import pytest

from loopwise.codec.corpus import Source
from loopwise.errors import ConfigError, DataError, RunError
from loopwise.runs import Run
from loopwise.tasks.lm.config import LMConfig
from loopwise.tasks.lm.data import read_corpus
from loopwise.tasks.lm.sample import BYTES, sample_of
from loopwise.tasks.registry import sample_of_run
from runtime.tiny import loaded


def run_with(path, **data):
    run = Run.create(path)
    config = LMConfig.parse({"data": {k: [str(v)] for k, v in data.items()}})
    run.write_config(config.to_toml())
    return run.path, config


def test_the_end_that_training_held_out_is_found_again(tmp_path):
    (tmp_path / "t.txt").write_text("".join(f"line {n}\n" for n in range(200)))
    run, config = run_with(tmp_path / "run", train=tmp_path / "t.txt")
    sample = sample_of_run(run)
    held_out = bytes(read_corpus(config.data).valid.tolist())
    assert sample.text.data == held_out
    assert sample.name == f"{len(held_out)} bytes of the end of {tmp_path}/t.txt, held out"


def test_a_validation_text_needs_no_other(tmp_path):
    (tmp_path / "v.txt").write_text("a text")
    run, _ = run_with(tmp_path / "run", train=tmp_path / "gone", valid=tmp_path / "v.txt")
    assert sample_of_run(run).text.data == b"a text"


def test_a_text_that_is_not_there(tmp_path):
    gone, _ = run_with(tmp_path / "gone", train=tmp_path / "t.txt")
    with pytest.raises(DataError, match=r"t\.txt"):
        sample_of_run(gone)
    for name, data in {"stdin": {"train": "-"}, "python": {}}.items():
        run, _ = run_with(tmp_path / name, **data)
        with pytest.raises(DataError, match=r"was no file, but given from Python or standard inp"):
            sample_of_run(run)
    with pytest.raises(RunError, match=r"not a run"):
        sample_of_run(tmp_path / "nothing")
    foreign = Run.create(tmp_path / "foreign")
    foreign.write_config('task = "dance"\n')
    with pytest.raises(ConfigError, match="dance"):
        sample_of_run(foreign.path)


@pytest.mark.parametrize("line", [b"0123456\n", "漢".encode(), b"x"])
def test_a_sample_is_a_beginning_in_whole_lines_or_characters(line):
    data = line * BYTES
    taken = sample_of([Source("t", data)]).text.data
    assert data.startswith(taken)
    assert BYTES - len(line) <= len(taken) <= BYTES
    taken.decode()
    assert b"\n" not in line or taken.endswith(b"\n")
    assert sample_of([Source("t", line)]).text.data == line


def test_the_measurement_is_that_of_the_model():
    model, text = loaded("chars"), "a cab é\n"
    found = sample_of([Source("t", text.encode())]).measure(model)
    assert found.metric == pytest.approx(model.perplexity(text))
    assert found.outputs.sum() == pytest.approx(model.score(text)[0])
    assert found.outputs.shape == (len(text),)
    assert np.ptp(found.outputs) > 0


def test_a_text_that_the_model_cannot_read_is_named():
    with pytest.raises(DataError, match=r"^strange: byte 0xff"):
        sample_of([Source("strange", b"\xff")]).measure(loaded("chars"))
    with pytest.raises(DataError, match=r"^blank: no words in it"):
        sample_of([Source("blank", b" ")]).measure(loaded("words"))
