import numpy as np
import pytest

from loopwise.codec.series.files import read_table
from loopwise.codec.series.frequency import Frequency
from loopwise.codec.series.samples import SAMPLES, sample, sea_temperature, sunspots
from loopwise.codec.series.table import panel_from_table
from loopwise.errors import ConfigError, DataError


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_one_series_without_gaps(name):
    known = sample(name)
    assert Frequency.infer(known.stamps) == known.frequency
    assert np.isfinite(known.values).all()
    panel = known.panel()
    np.testing.assert_array_equal(panel.stamps(0), known.stamps)


@pytest.mark.parametrize("name", SAMPLES)
def test_its_file_says_the_same(name, tmp_path):
    sample(name).write(tmp_path / "sample.csv")
    panel = panel_from_table(read_table(tmp_path / "sample.csv"))
    np.testing.assert_array_equal(panel.values, sample(name).panel().values)
    np.testing.assert_array_equal(panel.first, sample(name).panel().first)


@pytest.mark.parametrize("name", SAMPLES)
def test_its_frames_say_the_same(name):
    known = sample(name)
    for frame in (known.to_pandas(), known.to_polars()):
        panel = panel_from_table(frame)
        np.testing.assert_array_equal(panel.values, known.panel().values)
        np.testing.assert_array_equal(panel.stamps(0), known.stamps)


def test_they_are_what_they_are_known_for():
    spots = sunspots()
    assert len(spots.values) == 309
    assert spots.values[spots.stamps == np.datetime64("1957-01-01")] == 190.2  # the highest
    assert spots.values.max() == 190.2
    water = sea_temperature()
    assert len(water.values) == 732
    means = water.values.reshape(61, 12).mean(axis=0)
    assert means.argmax() == 2  # March is the end of summer there
    assert 19 < means.min() < means.max() < 28


def test_an_unknown_sample_is_refused():
    with pytest.raises(ConfigError, match=r"no sample 'sunspot'; known are .* did you mean 'sunsp"):
        sample("sunspot")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(DataError, match=r"sample.csv: cannot be written \(No such file"):
        sunspots().write(tmp_path / "no" / "sample.csv")
