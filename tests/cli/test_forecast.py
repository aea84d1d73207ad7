"""``loopwise train forecast`` and ``loopwise forecast``: each option, and beginners' mistakes."""

import gzip
import json

import polars as pl
import pytest

from cli.calling import call, mistake
from cli.forecasting import SETS, first, last, plain, sales
from loopwise.cli.train.start import _what_next
from loopwise.runs import Run
from loopwise.runtime.load import load
from loopwise.tasks.registry import read_config


def train(out, data, *options):
    called = call("train", "forecast", "--data", data, "--out", out, *options, *SETS)
    assert called.status == 0, called.err
    return called


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "a.csv"
    plain(sales()).write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    out = tmp_path_factory.mktemp("runs") / "a"
    called = train(out, data, "--horizon", 7, "--season-length", "7,14")
    assert f"try: loopwise forecast {out} {data} --level 80,95" in called.out
    return out


@pytest.fixture(scope="module")
def priced(tmp_path_factory):
    """A run with names and covariates of its own; its table, and the prices that come."""
    folder = tmp_path_factory.mktemp("priced")
    table = sales().with_columns(kind=pl.lit("a"))
    first(table, 70).write_csv(folder / "a.csv")
    last(table, 10).drop("sales").write_csv(folder / "ahead.csv")
    names = ("--id", "shop", "--time", "day", "--target", "sales", "--frequency", "D")
    given = (*names, "--future", "price", "--static", "kind", "--horizon", 7)
    train(folder / "run", folder / "a.csv", *given)
    return folder / "run", folder / "a.csv", folder / "ahead.csv"


def test_a_run_keeps_what_it_was_given(run, data):
    config = read_config(Run.open(run))
    assert config.data.train == str(data)
    assert config.data.horizon == 7
    assert config.data.season_length == (7, 14)
    assert config.model.hidden_size == 16


def test_columns_have_options(priced):
    data = read_config(Run.open(priced[0])).data
    assert (data.id, data.time, data.target) == ("shop", "day", ("sales",))
    assert (data.future, data.static, data.frequency) == (("price",), ("kind",), "D")


def test_the_next_command_has_covariates(run, priced):
    assert "--future FILE" in _what_next(read_config(Run.open(priced[0])), "r")
    assert "--future" not in _what_next(read_config(Run.open(run)), "r")


def test_paths_are_absolute_and_a_run_goes_on(tmp_path, monkeypatch):
    plain(sales(1)).write_csv(tmp_path / "a.csv")
    monkeypatch.chdir(tmp_path)
    train("run", "a.csv", "--horizon", 3)
    assert read_config(Run.open("run")).data.train == str(tmp_path / "a.csv")
    monkeypatch.chdir("/")
    again = ("--out", tmp_path / "run", "--resume", "--set", "train.max_steps=22", "--watch", 1)
    called = call("train", "forecast", *again)
    assert called.status == 0, called.err
    assert "finished at step 22" in called.out


def test_standard_input_is_read_and_refused_later(tmp_path):
    text = plain(sales(1)).write_csv().encode()
    given = ("train", "forecast", "--out", tmp_path / "r", "--horizon", 3, *SETS)
    called = call(*given, "--data", "-", stdin=text)
    assert called.status == 0, called.err
    assert f"try: loopwise forecast {tmp_path}/r FILE" in called.out
    said = mistake("train", "forecast", "--out", tmp_path / "r", "--resume")
    assert "this run reads standard input: continue it with the same table once more" in said
    more = ("--resume", "--data", "-", "--set", "train.max_steps=21")
    assert call("train", "forecast", "--out", tmp_path / "r", *more, stdin=text).status == 0


def test_options_are_printed_and_read_again(tmp_path, data):
    text = call("config", "forecast", "--set", "data.horizon=3").out
    (tmp_path / "c.toml").write_text(text)
    out = tmp_path / "run"
    train(out, data, "--config", tmp_path / "c.toml")
    assert load(out).horizon == 3
    again = ("--config", tmp_path / "c.toml", "--resume", *SETS)
    called = call("train", "forecast", "--out", out, *again)
    assert "horizon" not in called.err


def test_a_forecast_is_csv_on_standard_output(run, data):
    called = call("forecast", run, data, "--level", "80,95", "--quantiles", "0.1, 0.5")
    table = pl.read_csv(called.out.encode())
    assert table.columns == [
        "unique_id", "ds", "loopwise", "loopwise-lo-80", "loopwise-hi-80", "loopwise-lo-95",
        "loopwise-hi-95", "loopwise-q-0.1", "loopwise-q-0.5",
    ]  # fmt: skip
    assert table["unique_id"].to_list() == [f"s{i}" for i in range(3) for _ in range(7)]
    assert table["ds"][0] == "2024-03-21"
    assert (table["loopwise-lo-95"] <= table["loopwise-lo-80"]).all()
    assert (table["loopwise-lo-80"] == table["loopwise-q-0.1"]).all()
    library = load(run).predict(plain(sales()), level=[80, 95])
    assert table["loopwise-hi-95"].to_list() == pytest.approx(library["loopwise-hi-95"].to_list())


def test_files_steps_and_pictures(run, data, tmp_path):
    for name, read in (("f.csv", pl.read_csv), ("f.parquet", pl.read_parquet)):
        given = ("--horizon", 3, "--out", tmp_path / name, "--plot", tmp_path / "p.png")
        called = call("forecast", run, data, *given)
        assert called.status == 0, called.err
        lines = called.out.splitlines()
        assert lines[0].split() == ["unique_id", "ds", "loopwise"]
        assert lines[-2:] == [f"forecast: {tmp_path / name}", f"picture: {tmp_path}/p.png"]
        assert len(read(tmp_path / name)) == 9
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    called = call("forecast", run, data, "--plot", tmp_path / "p.svg")
    assert called.err == f"picture: {tmp_path}/p.svg\n"
    assert "<svg" in (tmp_path / "p.svg").read_text(encoding="utf-8")


def test_a_bundle_and_a_compressed_file_and_standard_input(run, data, tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(data.read_bytes()))
    bundle = run / "bundle.safetensors"
    one = call("forecast", run, data).out
    assert call("forecast", bundle, tmp_path / "a.csv.gz").out == one
    assert call("forecast", bundle, "-", stdin=data.read_bytes()).out == one


def test_paths_beyond_the_horizon_repeat_with_a_seed(run, data):
    given = ("forecast", run, data, "--horizon", 9, "--paths", 2)
    table = pl.read_csv(call(*given, "--seed", 3).out.encode())
    assert table.columns[-2:] == ["loopwise-path-1", "loopwise-path-2"]
    assert len(table) == 27
    assert call(*given, "--seed", 3).out == call(*given, "--seed", 3).out
    assert call(*given, "--seed", 3).out != call(*given, "--seed", 4).out


def test_means_are_not_medians(run, data):
    median = call("forecast", run, data).out
    assert call("forecast", run, data, "--point", "median").out == median
    assert call("forecast", run, data, "--point", "mean").out != median


def test_covariates_known_ahead(priced):
    run, data, ahead = priced
    table = pl.read_csv(call("forecast", run, data, "--future", ahead).out.encode())
    assert table.columns == ["shop", "day", "loopwise"]
    said = mistake("forecast", run, data, "--horizon", 3)
    assert "the model needs 'price' over the 3 steps after the series: give --future FILE" in said
    said = mistake("forecast", run, data, "--future", ahead, "--horizon", 11)
    assert "'price' must be known for a forecast" in said


@pytest.mark.parametrize("layout", ["wide", "rows"])
def test_layouts_are_remembered(layout, tmp_path):
    table = plain(sales(2))
    file = tmp_path / "a.csv"
    if layout == "wide":
        table.pivot("unique_id", index="ds", values="y").write_csv(file)
    else:
        wide = table.with_columns(t=pl.int_range(80).over("unique_id").cast(str))
        wide.pivot("t", index="unique_id", values="y").write_csv(file)
    train(tmp_path / "run", file, "--layout", layout, "--horizon", 3)
    one = call("forecast", tmp_path / "run", file)
    assert one.status == 0, one.err
    bundle = tmp_path / "run" / "bundle.safetensors"
    assert call("forecast", bundle, file, "--layout", layout).out == one.out


def test_mistakes_in_tables(run, data, tmp_path):
    table = plain(sales())
    broken = tmp_path / "b.csv"

    def said(changed, *options):
        changed.write_csv(broken)
        return mistake("forecast", run, broken, *options)

    assert "no column 'y'; did you mean" in said(table.rename({"y": "yy"}))
    text = table.with_columns(pl.col("y").cast(str))
    many = text.with_columns(
        y=pl.when(pl.int_range(pl.len()) == 4).then(pl.lit("many")).otherwise("y")
    )
    assert "'s0', row 5 (2024-01-05): 'y' is 'many', which is not a number" in said(many)
    gap = table.filter(pl.col("ds") != "2024-02-01")
    assert "2024-02-01" in said(gap)
    called = call("forecast", run, broken, "--missing", "interpolate")
    assert called.status == 0
    assert called.err.startswith("warning: ")
    assert "the step of this table is MS" in said(table.filter(pl.col("ds").str.ends_with("01")))
    assert str(tmp_path / "none.csv") in mistake("forecast", run, tmp_path / "none.csv")
    assert "is a folder; give one file" in mistake("forecast", run, tmp_path)


def test_mistakes_in_options(run, data, tmp_path):
    def said(*options):
        return mistake("forecast", run, data, *options)

    assert said("--level", "0.8").startswith(
        "--level 0.8: must be a percentage from 1 to below 100; did you mean 80?"
    )
    assert "--level 80,high: 'high' is no number" in said("--level", "80,high")
    assert "--quantiles 10: must be a probability between 0 and 1; did you mean 0.1?" in said(
        "--quantiles", "10"
    )
    assert "ends in .png or .svg" in said("--plot", tmp_path / "a.pdf")
    assert "allowed endings are .csv and .parquet" in said("--out", tmp_path / "a.xlsx")
    assert "knows no covariates ahead; leave it out" in said("--future", data)
    assert "the model comes first" in mistake("forecast", data, run)
    assert "--horizon" in mistake("forecast", run, data, "--horizon", 0, status=2)
    assert "no such file" in mistake("forecast", tmp_path / "none", data)


def test_mistakes_in_training(data, tmp_path):
    def said(*options):
        return mistake("train", "forecast", "--out", tmp_path / "r", *options)

    assert "no table: give --data" in said()
    assert "none.csv' does not exist" in said("--data", tmp_path / "none.csv")
    assert said("--data", data, "--target", "sales").startswith(f"{data}: the table has no column")
    assert "of 200 at least 202 are needed" in said("--data", data, "--horizon", 200)
    assert "data.horizon" in said("--data", data, "--horizon", 0)
    assert "--season-length 7,x: must be a whole number" in said(
        "--data", data, "--season-length", "7,x"
    )
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    assert "a table is CSV in UTF-8, or Parquet" in said("--data", picture)
    assert "data.layout" in said("--data", data, "--layout", "tall")
    assert "did you mean 'data.horizon'?" in said("--data", data, "--set", "data.horizn=3")


def test_a_bundle_cannot_be_inspected(run, data, tmp_path):
    bundle = tmp_path / "b.safetensors"
    assert call("export", run, bundle).status == 0
    assert "in the run that it came from" in mistake("inspect", bundle, "--series", data)


def test_what_is_not_for_forecasters_names_what_is(run):
    for command in ("generate", "score"):
        assert f"use loopwise forecast {run} FILE" in mistake(command, run)


def test_a_lower_precision_is_measured(run, data, tmp_path):
    path = tmp_path / "b.safetensors"
    for dtype in ("bfloat16", "int8"):
        given = ("export", run, path, "--dtype", dtype, "--overwrite", "--limit", 0.1)
        called = call(*given)
        assert called.status == 0, called.err
        assert f"measured on the last horizon of the series of {data}" in called.out
        assert "computed in float32" in called.out
        found = load(path).info["precision"]
        assert found["metric"] == "MASE"
        assert 0 < found["mean_difference"] < 0.3
    assert call("forecast", path, data).status == 0
    given = ("--measure-on", data, "--overwrite", "--dtype", "int8", "--limit", 1)
    assert call("export", run, path, *given).status == 0
    called = call("export", run, tmp_path / "c.safetensors")
    said = mistake("export", tmp_path / "c.safetensors", path, "--dtype", "int8", "--overwrite")
    assert "give --measure-on PATH" in said


def test_diagnose_looks_at_the_layers(run, data, tmp_path):
    called = call("diagnose", run, "--out", tmp_path, "--quick", "--json")
    assert called.status == 0, called.err
    (layer,) = json.loads(called.out)["layers"]
    assert layer["name"] == "members.0.layers.0.l0"
    assert call("diagnose", run, data, "--out", tmp_path, "--quick").status == 0
    assert "on one table, given are 2" in mistake("diagnose", run, data, data, "--out", tmp_path)


def test_inspect_shows_what_a_forecast_looks_at(run, data, tmp_path):
    page, plots = tmp_path / "i.html", tmp_path / "plots"
    called = call("inspect", run, "--id", "s1", "--out", page, "--plots", plots, "--what", "hidden")
    assert called.status == 0, called.err
    assert "looks at, in the mean of 7 steps: " in called.out
    assert "the mean forecast of s1 less its last patch" in called.out
    assert "What the forecast looks at" in page.read_text(encoding="utf-8")
    assert {"mixture.png", "attribution.svg"} <= {file.name for file in plots.iterdir()}
    assert call("inspect", run, "--series", data, "--checkpoint", "latest").status == 0


def test_mistakes_in_inspect(run, data, tmp_path):
    assert "there is no series 's9'" in mistake("inspect", run, "--id", "s9")
    said = mistake("inspect", run, "--text", "abc")
    assert "it takes --series and --id, but no --text" in said
    assert "does not exist" in mistake("inspect", run, "--series", tmp_path / "none.csv")


def test_intervals_by_recent_errors(run, data):
    """Equal forecasts with other intervals; too few points are a mistake."""
    of_training, recent = (
        pl.read_csv(call("forecast", run, data, "--level", 80, *more).out.encode())
        for more in ((), ("--recalibrate", 30))
    )
    assert of_training["loopwise"].to_list() == recent["loopwise"].to_list()
    assert of_training["loopwise-lo-80"].to_list() != recent["loopwise-lo-80"].to_list()
    told = mistake("forecast", run, data, "--recalibrate", 3)
    assert "--recalibrate 3: must be at least the horizon, 7" in told
