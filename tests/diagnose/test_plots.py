"""Figures of ordinary and extreme reports."""

import matplotlib
import pytest
from matplotlib.figure import Figure

from diagnose import reports
from loopwise.diagnose import plots
from loopwise.errors import RunError

pytestmark = pytest.mark.usefixtures("judged")

ALL = ["vanishing", "exploding", "healthy", "tiny", "broken", "hostile"]


@pytest.mark.parametrize("name", ALL)
def test_every_report_is_drawn_and_written(name, tmp_path):
    report = getattr(reports, name)()
    files = plots.save(report, tmp_path / "figures", reports.watched(report))
    kinds = len(plots.KINDS) * len(report.layers) + 1
    assert len(files) == 2 * kinds
    assert sorted(files) == sorted((tmp_path / "figures").iterdir())


@pytest.mark.parametrize("draw", [plots.gradients, plots.influence, plots.gates, plots.spectrum])
def test_an_axis_comes_back_and_settings_stay(draw):
    before = dict(matplotlib.rcParams)
    axis = Figure().add_subplot()
    assert draw(reports.vanishing().layers[0], axis) is axis
    assert dict(matplotlib.rcParams) == before


def test_the_user_s_settings_do_not_matter():
    report = reports.tiny()
    plain = plots.svg(plots.figures(report)["gradients.l0"])
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert plots.svg(plots.figures(report)["gradients.l0"]) == plain


def test_svg_is_the_same_each_time():
    first, second = (
        {name: plots.svg(figure, name) for name, figure in plots.figures(report).items()}
        for report in (reports.vanishing(), reports.vanishing())
    )
    assert first == second


def test_there_is_no_picture_of_a_training_that_nobody_watched():
    report = reports.vanishing()
    assert "training.l0" not in plots.figures(report, [{"kind": "train", "step": 1}])
    assert "training.l0" in plots.figures(report, reports.watched(report, 1))


def test_a_watch_record_may_lack_numbers():
    report = reports.vanishing()
    layers = {"l0": {"gradient": [None, 0.0, 1.0], "horizon": None, "slope": None}}
    records = [{"kind": "watch", "step": step, "layers": layers} for step in (5, 1, 5)]
    assert plots.svg(plots.figures(report, records)["training.l0"])


def test_of_many_layers_those_with_findings_are_drawn(monkeypatch):
    report = reports.deep()
    judged = [f for f in reports.findings(report) if f.rule == "vanishing"]
    last = [type(judged[0])("x", "stack.l39", "", 0, 0, "")]
    monkeypatch.setattr(reports, "findings", lambda report: last)
    names = [layer.name for layer in plots.layers_shown(report)]
    assert names == [f"stack.l{k}" for k in (0, 1, 2, 3, 4, 39)]


def test_a_short_axis_says_what_is_left_out():
    axis = plots.tensors(reports.deep(), Figure().add_subplot())
    assert any("the 20 furthest of 122 shown" in text.get_text() for text in axis.texts)


def test_the_horizons_are_marked():
    axis = plots.influence(
        reports.vanishing().layers[0], Figure().add_subplot(), reports.dependence()
    )
    texts = {text.get_text() for text in axis.texts}
    assert {"1/e: 6 steps", "1 %: 25 steps", "data: 40"} <= texts


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        plots.save(reports.tiny(), tmp_path / "file")
