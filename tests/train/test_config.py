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
        ("momentum=0.9", "momentum: an option of optimizer sgd; the optimizer is adamw"),
        ("epochs=0", "epochs"),
        ("warmup=1.5", "warmup"),
        ("optimizer=adam", "'adamw', 'sgd' or 'nt-asgd'"),
        ("precision=16", "'32' or 'bf16'"),
    ],
)
def test_values_that_are_not_allowed(override, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.load(overrides=[override])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle", "plateau", "exponential"])
@pytest.mark.parametrize(
    ("override", "acts_with"),
    [
        ("final_lr=0.1", {"cosine", "one-cycle"}),
        ("hold_epochs=3", {"exponential"}),
        ("decay=0.7", {"exponential", "plateau"}),
        ("plateau=3", {"plateau"}),
    ],
)
def test_options_that_a_schedule_ignores_are_refused(schedule, override, acts_with):
    overrides = [override, f"schedule={schedule}"]  # in any order
    if schedule in acts_with:
        TrainConfig.load(overrides=overrides)
        return
    name, _, _ = override.partition("=")
    with pytest.raises(ConfigError) as caught:
        TrainConfig.load(overrides=overrides)
    default = TrainConfig.model_fields[name].default
    for part in (f"{name}: an option of ", f"the schedule is {schedule}", f"leave it at {default}"):
        assert part in str(caught.value)
    TrainConfig.load(overrides=[f"{name}={default}", f"schedule={schedule}"])


def test_the_printed_options_say_when_they_act():
    printed = TrainConfig().to_toml()
    assert "# epochs before lr starts to fall; only with schedule exponential\n" in printed


def test_the_options_are_read_without_torch():
    code = "import sys, loopwise.train.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
