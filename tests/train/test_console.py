"""What a training prints."""

import io

import pytest
from rich.console import Console

from loopwise.train.console import Reporter


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.23456, "1.235"),
        (0.00012346, "0.0001235"),
        (123456.7, "123,457"),
        (1.0142320547350045e304, "1.014e+304"),
        (-2.5e200, "-2.5e+200"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_short_whatever_their_size(value, shown):
    output = io.StringIO()
    with Reporter(Console(file=output, width=60), first=True) as reporter:
        reporter.show_validation({"step": 3, "epoch": 0.5}, {"perplexity": value}, best=False)
    assert output.getvalue() == f"epoch 0.50  step 3  perplexity {shown}\n"


def test_a_huge_loss_fits_beside_the_bar():
    output = io.StringIO()
    terminal = Console(file=output, force_terminal=True, width=100)
    with Reporter(terminal, first=True) as reporter:
        reporter.show_step(0.5, 1.0, 1e300)
    assert "loss 1e+300" in output.getvalue()
