"""Lines for the terminal."""

import math

import pytest

from diagnose import reports
from loopwise.diagnose.terminal import lines, sparkline

pytestmark = pytest.mark.usefixtures("judged")


@pytest.mark.parametrize("name", ["vanishing", "exploding", "healthy", "tiny", "broken", "hostile"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_every_report_has_lines_that_the_terminal_can_print(name, encoding):
    found = lines(getattr(reports, name)(), encoding)
    for line in found:
        assert line.encode(encoding).decode(encoding) == line
        assert line.isprintable()


def test_findings_come_first_with_their_remedies():
    found = lines(reports.vanishing(), "utf-8")
    assert found[0].startswith("- In l0, the gradient shrinks")
    assert found[1].startswith("  try --set model.cell=lstm")


def test_a_layer_says_how_its_gradient_changes_and_how_far_it_remembers():
    last = lines(reports.vanishing(), "utf-8")[-1]
    assert last.endswith("x0.78 a step back, memory horizon 6 steps")
    assert "▁" in last
    assert "█" in last
    assert "#" in lines(reports.vanishing(), "ascii")[-1]


def test_many_layers_are_cut_and_it_says_so():
    assert lines(reports.deep(), "utf-8")[-1] == "... and 16 more layers"


def test_a_sparkline_is_logarithmic():
    assert sparkline(tuple(10.0**k for k in range(8)), 1, 1e7) == "▁▂▃▄▅▆▇█"
    assert sparkline((0.0, math.nan, 1.0, math.inf), 0.1, 1) == "0!█!"
    assert len(sparkline((1.0,) * 1000, 0.1, 1)) == 40
