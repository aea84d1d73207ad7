"""Pictures of forecasts show what they were given, where it belongs."""

import numpy as np
import pytest
from matplotlib.dates import ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from loopwise.codec.series.panel import Panel
from loopwise.diagnose.forecast_plot import SHOWN, Fan, Picture, draw, figure, pictures
from loopwise.diagnose.plots import save_figure
from loopwise.errors import RunError


def panel(count=2, length=60, **given):
    return Panel.from_arrays([np.arange(length) + 100.0 * i for i in range(count)], **given)


def axis():
    return Figure().add_subplot()


def one(panel, ends=(60,), h=5, **given):
    """Forecasts of the first series, which say -1, in an interval from -2 to 0."""
    point = np.full((len(panel), len(ends), h, 1), -1.0)
    both = np.stack([point - 1, point + 1], -1)
    places = np.tile(ends, (len(panel), 1))
    return pictures(panel, places, point, (80.0,), both, **given)


def test_a_picture_has_history_and_what_came():
    after = one(panel(), ends=(40, 50))[1]
    assert after.name == "1"
    assert after.stamps.tolist() == list(range(55))
    assert after.values.tolist() == [100.0 + t for t in range(55)]
    assert [fan.stamps.tolist() for fan in after.fans] == [
        [40, 41, 42, 43, 44], [50, 51, 52, 53, 54],
    ]  # fmt: skip
    ((percent, low, high),) = after.fans[0].intervals
    assert (percent, low[0], high[0]) == (80.0, -2.0, 0.0)
    assert one(panel(), ends=(50,), history=10)[0].stamps[0] == 40
    assert one(panel(length=400), ends=(400,))[0].stamps[0] == 360


def test_lines_are_drawn_from_the_last_known_value():
    drawn = draw(one(panel())[0], axis())
    history, forecast, cutoff = drawn.lines
    assert history.get_ydata().tolist() == [float(t) for t in range(20, 60)]
    assert history.get_xdata()[-1] == 59
    assert forecast.get_xdata().tolist() == [59, 60, 61, 62, 63, 64]
    assert forecast.get_ydata().tolist() == [59.0, -1, -1, -1, -1, -1]
    assert cutoff.get_xdata() == [59, 59]
    (band,) = drawn.collections
    assert band.get_paths()[0].vertices[:, 1].min() == -2


def test_a_missing_end_is_passed_over():
    values = np.r_[np.arange(58.0), np.nan, np.nan]
    drawn = draw(one(Panel.from_arrays([values]))[0], axis())
    assert drawn.lines[1].get_xdata()[0] == 57


def test_stamps_are_dates_on_the_axis():
    hourly = panel(first="2024-03-01", frequency="h")
    drawn = draw(one(hourly)[0], axis())
    assert isinstance(drawn.xaxis.get_major_formatter(), ConciseDateFormatter)
    assert drawn.get_xlim()[1] == date2num(np.datetime64("2024-03-03T16:00"))
    forecast = drawn.lines[1].get_xdata()
    assert forecast[1] == np.datetime64("2024-03-03T12:00")


def test_paths_belong_to_the_last_forecast():
    paths = np.zeros((3, 2, 5, 1))
    drawn = draw(one(panel(), ends=(50, 60), paths=paths)[0], axis())
    assert sum(line.get_ydata()[-1:] == [0.0] for line in drawn.lines) == 3


def test_several_targets_are_several_pictures():
    both = Panel.from_arrays([np.ones((60, 2))], targets=["a", "b"])
    point = np.zeros((1, 1, 5, 2))
    assert [p.name for p in pictures(both, np.array([[60]]), point)] == ["0 · a", "0 · b"]


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (4, 4), (5, 5), (14, SHOWN)])
def test_small_multiples_up_to_a_dozen(count, shown):
    drawn = figure(one(panel(count)), more=count - shown)
    assert sum(axis.axison for axis in drawn.axes) == shown
    texts = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert texts == ["series", "forecast", "80 %"]
    said = drawn.get_supxlabel()
    assert said == (f"{count - shown} more series are not shown" if count > shown else "")


def test_the_widest_interval_lies_below():
    stamps, flat = np.arange(5), np.zeros(5)
    fan = Fan(stamps + 5, flat, [(50.0, flat - 1, flat + 1), (95.0, flat - 3, flat + 3)])
    drawn = draw(Picture("a", stamps, flat, [fan]), axis())
    heights = [np.ptp(band.get_paths()[0].vertices[:, 1]) for band in drawn.collections]
    assert heights == [6, 2]
    labels = figure([Picture("a", stamps, flat, [fan])]).legends[0].get_texts()
    assert [text.get_text() for text in labels][2:] == ["50 %", "95 %"]


def test_equal_figures_are_equal_files(tmp_path):
    for name in ("a.png", "b.png", "a.svg"):
        save_figure(figure(one(panel())), tmp_path / "new" / name)
    assert (tmp_path / "new/a.png").read_bytes() == (tmp_path / "new/b.png").read_bytes()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        save_figure(figure(one(panel())), tmp_path / "file" / "a.png")
