"""``loopwise evaluate`` of a forecaster: what is printed, written and refused."""

import json

import polars as pl
import pytest

from cli.calling import call, mistake
from cli.forecasting import SETS, first, last, plain, sales
from loopwise.runtime.forecast_evaluation import MEASURES, evaluate
from loopwise.runtime.load import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on the first 70 of 80 points, these points, the others, and all."""
    path = tmp_path_factory.mktemp("evaluate")
    table = plain(sales())
    first(table, 70, "unique_id").write_csv(path / "a.csv")
    last(table, 10, "unique_id").write_csv(path / "b.csv")
    table.write_csv(path / "all.csv")
    called = call(
        "train", "forecast", "--data", path / "a.csv", "--out", path / "run", "--horizon", 7, *SETS
    )
    assert called.status == 0, called.err
    return path


def figures(*arguments):
    called = call("evaluate", *arguments, "--json")
    assert called.status == 0, called.err
    return json.loads(called.out)


def test_the_model_stands_beside_its_baselines(folder):
    called = call("evaluate", folder / "run", folder / "all.csv")
    assert called.status == 0, called.err
    lines = called.out.splitlines()
    assert lines[0] == f"{folder}/all.csv: 3 series, 1 window of 7 steps, season 7"
    assert lines[1].split() == ["loopwise", "seasonal", "naive", "naive", "drift", "naive2"]
    assert [line.split()[0] for line in lines[2:10]] == [
        "MAE", "RMSE", "MSE", "MAPE,", "sMAPE,", "MASE", "OWA", "CRPS",
    ]  # fmt: skip
    assert lines[10].startswith("in 80 % interval")
    assert any(line.startswith("loopwise is ") for line in lines)
    assert max(map(len, lines)) <= 120


def test_json_has_the_numbers_of_the_library(folder):
    found = figures(folder / "run", folder / "all.csv", "--windows", 2, "--step", 3)
    model = load(folder / "run")
    panel = model.read(pl.read_csv(folder / "all.csv")).panel
    same = evaluate(model, panel, windows=2, step=3).overall()
    assert found["windows"] == 2
    for name, values in found["measures"].items():
        assert set(values) == set(MEASURES)
        numbers = {key: value for key, value in values.items() if value is not None}
        assert numbers == pytest.approx({key: same[name][key] for key in numbers})


def test_rows_that_came_later_are_a_test(folder):
    found = figures(folder / "run", folder / "a.csv", "--test", folder / "b.csv")
    assert found["windows"] == 1
    assert found["horizon"] == 7
    assert found["notes"] == []
    same = figures(folder / "run", folder / "all.csv", "--windows", 1, "--horizon", 10)
    ten = figures(folder / "run", folder / "a.csv", "--test", folder / "b.csv", "--horizon", 10)
    assert ten["measures"]["naive"] == pytest.approx(same["measures"]["naive"])
    two = figures(
        folder / "run", folder / "a.csv", "--test", folder / "b.csv", "--windows", 2, "--step", 3
    )
    rolled = figures(folder / "run", folder / "all.csv", "--windows", 2, "--step", 3)
    for name, values in two["measures"].items():
        assert values == pytest.approx(rolled["measures"][name])


def test_a_row_a_series_goes_on_with_its_numbers(folder, tmp_path):
    for name in ("a", "b"):
        table = pl.read_csv(folder / f"{name}.csv")
        count = len(table) // 3
        numbered = table.with_columns(
            t=("V" + (pl.int_range(count) + 2).cast(str)).over("unique_id")
        )
        wide = numbered.pivot("t", index="unique_id", values="y").rename({"unique_id": "V1"})
        wide.write_csv(tmp_path / f"{name}.csv")
    given = ("--layout", "rows", "--id", "V1", "--season-length", 7, "--horizon", 7)
    out = tmp_path / "run"
    called = call("train", "forecast", "--data", tmp_path / "a.csv", "--out", out, *given, *SETS)
    assert called.status == 0, called.err
    found = figures(out, tmp_path / "a.csv", "--test", tmp_path / "b.csv")
    long = figures(folder / "run", folder / "a.csv", "--test", folder / "b.csv")
    for name in ("naive", "seasonal naive", "drift", "naive2"):
        assert found["measures"][name] == pytest.approx(long["measures"][name])


def test_each_series_is_written(folder, tmp_path):
    found = figures(folder / "run", folder / "all.csv", "--per-series", tmp_path / "s.csv")
    table = pl.read_csv(tmp_path / "s.csv")
    assert table.columns == ["unique_id", "model", *MEASURES]
    assert table["unique_id"].unique(maintain_order=True).to_list() == ["s0", "s1", "s2"]
    for (name,), rows in table.group_by("model"):
        for measure in ("mae", "mase", "smape"):
            assert rows[measure].mean() == pytest.approx(found["measures"][name][measure])
    assert table.filter(pl.col("model") == "naive2")["owa"].to_list() == pytest.approx([1] * 3)


def test_windows_are_drawn(folder, tmp_path):
    given = ("--windows", 3, "--plot", tmp_path / "p.png")
    called = call("evaluate", folder / "run", folder / "all.csv", *given)
    assert called.out.endswith(f"picture: {tmp_path}/p.png\n")
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_standardised(folder):
    found = figures(folder / "run", folder / "all.csv", "--standardise", 50, "--windows", 5)
    assert set(found) == {"loopwise", "seasonal naive", "naive"}
    assert found["loopwise"]["windows"] == 5
    text = call("evaluate", folder / "run", folder / "all.csv", "--standardise", 50).out
    assert text.splitlines()[0] == (
        "1 window of 7 steps, step 1, 3 channels, in standard deviations of the first 50 points"
    )


def test_what_flatters_is_noted(folder):
    (note,) = figures(folder / "run", folder / "a.csv")["notes"]
    assert "chose its best step and its intervals by the end of this very table" in note
    (note,) = figures(folder / "run", folder / "a.csv", "--windows", 3)["notes"]
    assert note.startswith("6 of 9 windows lie in what the model has learned from")


def test_short_series_are_left_out_and_named(folder, tmp_path):
    table = pl.read_csv(folder / "all.csv")
    short = table.filter((pl.col("unique_id") != "s1") | (pl.col("ds") > "2024-03-14"))
    short.write_csv(tmp_path / "s.csv")
    found = figures(folder / "run", tmp_path / "s.csv")
    assert found["series"] == 2
    assert found["skipped"] == ["s1"]
    assert found["notes"] == ["1 series left out, too short for the windows: 's1'"]


def test_mistakes(folder, tmp_path):
    run, table = folder / "run", folder / "all.csv"

    def said(*options, status=1):
        return mistake("evaluate", run, *options, status=status)

    assert "a forecaster: give one FILE" in said()
    assert "given are 2" in said(table, table)
    assert "has 80 points; 20 windows of 7 steps" in said(table, "--windows", 20)
    assert "a forecaster: leave out --seed" in said(table, "--seed", 2)
    assert "ends in .png or .svg" in said(table, "--plot", "p.jpeg")
    assert "allowed endings are" in said(table, "--per-series", tmp_path / "s.txt")
    assert "--standardise goes with neither" in said(table, "--standardise", 9, "--test", table)
    assert "the later points begin at 2024-01-01" in said(table, "--test", table)
    more = ("--test", folder / "b.csv", "--windows", 3)
    assert "has 10 steps at most; 3 windows begin" in said(folder / "a.csv", *more)
    assert "--windows" in said(table, "--windows", 0, status=2)
    assert "the model comes first" in mistake("evaluate", table, run)


def test_other_models_have_none_of_it(trained, text):
    said = mistake("evaluate", trained, text, "--windows", 2, "--test", "x")
    assert "a language model: leave out --windows, --test" in said
