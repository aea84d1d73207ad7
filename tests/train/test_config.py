"""The training options at the edge."""

import subprocess
import sys

import pytest

from loopwise.errors import ConfigError
from loopwise.train.config import TrainConfig


def test_every_option_is_described_and_survives_toml(tmp_path):
    assert all(field.description for field in TrainConfig.model_fields.values())
    config = TrainConfig(lr=0.25, schedule="one-cycle", max_minutes=1.5)
    file = tmp_path / "train.toml"
    file.write_text(config.to_toml())
    assert TrainConfig.load(file) == config


def test_precision_needs_no_quotes():
    assert TrainConfig.load(overrides=["precision=32"]).precision == "32"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("momentum=0.9", "momentum is an option of sgd"),
        ("epochs=0", "epochs"),
        ("warmup=1.5", "warmup"),
        ("optimizer=adam", "'adamw', 'sgd' or 'nt-asgd'"),
        ("precision=16", "'32' or 'bf16'"),
    ],
)
def test_values_that_are_not_allowed(override, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.load(overrides=[override])


def test_the_options_are_read_without_torch():
    code = "import sys, loopwise.train.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
