import gzip
import io
from types import SimpleNamespace

import pandas as pd
import polars as pl
import pytest

from loopwise.codec.series.files import read_table, write_table
from loopwise.codec.series.table import panel_from_table
from loopwise.errors import DataError

TEXT = "unique_id,ds,y\na,2024-01-01,1\na,2024-01-02,2.5\n"


def write(folder, data, name="t.csv"):
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def error_of(path):
    with pytest.raises(DataError) as error:
        read_table(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (TEXT, "t.csv"),
        (TEXT.replace(",", ";"), "t.csv"),
        (TEXT.replace(",", "\t"), "t.tsv"),
        (TEXT.replace("\n", "\r\n"), "t.csv"),
        ("\ufeff" + TEXT, "t.csv"),
        (gzip.compress(TEXT.encode(), mtime=0), "t.csv.gz"),
    ],
)
def test_text_in_its_various_forms(tmp_path, data, name):
    frame = read_table(write(tmp_path, data, name)).to_native()
    assert frame.schema == {"unique_id": pl.String, "ds": pl.String, "y": pl.Float64}
    assert frame.rows() == [("a", "2024-01-01", 1.0), ("a", "2024-01-02", 2.5)]


def test_parquet_and_standard_input(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    pl.read_csv(io.StringIO(TEXT), try_parse_dates=True).write_parquet(path)
    assert read_table(path).to_native().schema["ds"] == pl.Date
    assert panel_from_table(read_table(path)).frequency.name == "D"
    for data in (path.read_bytes(), TEXT.encode()):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        assert len(read_table("-")) == 2


def test_columns_of_numbers_are_numbers_and_codes_are_not(tmp_path):
    path = write(tmp_path, "a,b,c,d,e\n1,007,1.5,1,\n2,010,nan,x,\n,011,,3,\n")
    types = read_table(path).to_native().schema
    assert types == {
        "a": pl.Int64, "b": pl.String, "c": pl.Float64, "d": pl.String, "e": pl.String,
    }  # fmt: skip


def test_a_bad_number_is_told_with_its_row(tmp_path):
    path = write(tmp_path, TEXT + "a,2024-01-03,2-5\n")
    with pytest.raises(DataError, match=r"row 3 \(2024-01-03\): 'y' is '2-5', which is not a n"):
        panel_from_table(read_table(path))


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (TEXT + "a,2024-01-03,1,2\n", "t.csv", "cannot be read as CSV, row 3 has 4 cells and the"),
        ("a,b,a\n1,2,3\n", "t.csv", "two columns are named 'a'"),
        ("a,b\n", "t.csv", "no rows, only names of columns"),
        ("", "t.csv", "empty, there is no text to read"),
        ("\n\n", "t.csv", "empty, there is no table to read"),
        (b"PK\x03\x04 and so on", "t.xlsx", "is a workbook or another zip file; a table is CSV"),
        (b"a,b\n1,\xff\n", "t.csv", "byte 0xff at offset 6 (line 2) is not UTF-8"),
        (b"PAR1 and then nothing", "t.parquet", "broken Parquet file ("),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, data, name, message):
    path = write(tmp_path, data, name)
    assert error_of(path).startswith(f"{path}: {message}")


def test_a_folder_a_glob_and_a_missing_file_are_named(tmp_path):
    write(tmp_path, TEXT, "a.csv")
    write(tmp_path, TEXT, "b.csv")
    assert error_of(tmp_path) == f"{tmp_path}: is a folder; give one file, CSV or Parquet"
    assert "is more than one file; give one" in error_of(tmp_path / "*.csv")
    assert "did you mean" in error_of(tmp_path / "a.cvs")


FRAME = pd.DataFrame(
    {
        "unique_id": pd.Series(["a", "b"]).astype("category"),
        "ds": pd.date_range("2024-01-01", periods=2),
        "mean": [0.1, 2.0],
    }
)


@pytest.mark.parametrize("make", [lambda frame: frame, pl.from_pandas], ids=["pandas", "polars"])
def test_tables_are_written_as_their_ending_says(tmp_path, make, capsys):
    path = tmp_path / "t.csv"
    write_table(make(FRAME), path)
    text = "unique_id,ds,mean\na,2024-01-01,0.1\nb,2024-01-02,2.0\n"
    assert path.read_text() == text
    write_table(make(FRAME), "-")
    assert capsys.readouterr().out == text
    write_table(make(FRAME), tmp_path / "t.parquet")
    back = pl.read_parquet(tmp_path / "t.parquet")
    assert back["ds"].to_list() == FRAME.ds.to_list()
    assert back["mean"].to_list() == [0.1, 2.0]


@pytest.mark.parametrize("make", [lambda frame: frame, pl.from_pandas], ids=["pandas", "polars"])
def test_times_are_written_with_their_offset_and_read_back(tmp_path, make):
    stamps = pd.date_range("2024-03-30", periods=3, tz="America/New_York", freq="h")
    frame = pd.DataFrame({"ds": stamps, "y": 1.0})
    for name in ("t.csv", "t.parquet"):
        write_table(make(frame), tmp_path / name)
        panel = panel_from_table(read_table(tmp_path / name), zone="America/New_York")
        assert panel.first[0] == stamps[0].tz_convert("UTC").tz_localize(None)
    naive = frame.assign(ds=stamps.tz_localize(None))
    write_table(make(naive), tmp_path / "t.csv")
    assert "\n2024-03-30T01:00:00,1.0\n" in (tmp_path / "t.csv").read_text()


def test_what_cannot_be_written_is_named(tmp_path):
    with pytest.raises(DataError, match=r"t.txt: cannot tell the format; allowed endings"):
        write_table(FRAME, tmp_path / "t.txt")
    with pytest.raises(DataError, match="cannot be written"):
        write_table(FRAME, tmp_path / "no" / "t.csv")
