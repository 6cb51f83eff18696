"""One table gives one report, however its two files are written: tools differ in separators, widths and spellings."""

import csv
import decimal
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import example, given, settings
from hypothesis import strategies as st

from include.workflows.tables.drift import compare_files
from include.workflows.tables.roles import ColumnRoles, Limits

ROLES = ColumnRoles(label="y", score=("p",))
LIMITS = Limits(min_rows=100)


def a_table(seed, rows, *, shift=0.0, missing=0.0):
    """A count, a fraction of three digits, a category with accents, one of digits, a flag, a label and a score."""
    rng = np.random.default_rng(seed)
    score = rng.beta(2, 3, rows).round(4)
    frame = pd.DataFrame(
        {
            "count": rng.poisson(2000 * (1 + shift), rows),
            "fraction": rng.normal(shift, 1, rows).round(3),
            "city": rng.choice(["Köln", "Malmö", "Oslo"], rows),
            "code": rng.choice(["1", "2", "3+"], rows),
            "flag": rng.random(rows) < 0.3 + shift / 5,
            "y": rng.random(rows) < score,
            "p": score,
        }
    ).astype({"count": "Int64", "flag": "boolean", "y": "boolean"})
    for name in ("count", "fraction", "city", "code", "flag"):
        frame.loc[rng.random(rows) < missing, name] = pd.NA
    return frame


def texts(frame, *, point=".", thousands="", true="True", false="False", missing="", whole="{}"):
    """Every value as text, as a tool with these habits writes it."""

    def number(value, digits):
        text = f"{value:,.{digits}f}" if thousands else f"{value:.{digits}f}"
        return text.replace(",", "\0").replace(".", point).replace("\0", thousands)

    written = {}
    for name, column in frame.items():
        if name in ("flag", "y"):
            found = column.map(lambda v: missing if v is pd.NA else true if v else false)
        elif name == "count":
            found = column.map(lambda v: missing if v is pd.NA else whole.format(number(int(v), 0)))
        elif name in ("fraction", "p"):
            found = column.map(lambda v, d=3 if name == "fraction" else 4: missing if pd.isna(v) else number(v, d))
        else:
            found = column.map(lambda v: missing if pd.isna(v) else v)
        written[name] = found.astype(object)
    return pd.DataFrame(written)


def as_csv(*, sep=",", encoding="utf-8", end="\n", tail="", quoting=csv.QUOTE_MINIMAL, first="", **habits):
    def write(frame, path):
        body = texts(frame, **habits).to_csv(index=False, sep=sep, quoting=quoting, lineterminator="\n")
        lines = [line + tail for line in body.splitlines()]
        path.write_bytes((first + end.join(lines) + end).encode(encoding))

    return ".csv", write


def as_parquet(**types):
    """Columns in these Arrow types; ``text`` keeps every value as text."""

    def write(frame, path):
        columns = {}
        for name, column in frame.items():
            kind = types.get(name, types.get("every"))
            values = [None if pd.isna(v) else v for v in column]
            if kind is None:
                columns[name] = pa.array(values)
            elif pa.types.is_decimal(kind):
                columns[name] = pa.array([None if v is None else decimal.Decimal(str(v)) for v in values], kind)
            elif pa.types.is_integer(kind):
                columns[name] = pa.array([None if v is None else int(v) for v in values], kind)
            else:
                columns[name] = pa.array(values).cast(kind)
        pq.write_table(pa.table(columns), path, row_group_size=137)

    return ".parquet", write


def as_text_parquet(kind, **habits):
    def write(frame, path):
        columns = {n: pa.array(c.tolist()).cast(kind) for n, c in texts(frame, **habits).items()}
        pq.write_table(pa.table(columns), path)

    return ".parquet", write


def as_pandas_parquet(frame, path):
    frame.assign(city=frame["city"].astype("category")).set_axis(np.arange(len(frame)) * 7).to_parquet(path)


WAYS = {
    "comma": as_csv(),
    "semicolon, decimal comma": as_csv(sep=";", point=","),
    "semicolon, decimal comma, thousands": as_csv(sep=";", point=",", thousands="."),
    "thousands, quoted": as_csv(thousands=",", quoting=csv.QUOTE_ALL),
    "thousands by blanks": as_csv(sep="\t", thousands=" ", point=","),
    "tab, byte order mark": as_csv(sep="\t", encoding="utf-8-sig"),
    "bar, Windows line ends": as_csv(sep="|", end="\r\n"),
    "UTF-16": as_csv(encoding="utf-16"),
    "Latin 1": as_csv(encoding="latin-1"),
    "Excel's line": as_csv(sep=";", first="sep=;\n"),
    "trailing separators": as_csv(tail=","),
    "blank lines": as_csv(end="\n\n"),
    "1 and 0, NA": as_csv(true="1", false="0", missing="NA"),
    "1.0 and 0.0, whole numbers as fractions": as_csv(true="1.0", false="0.0", whole="{}.0"),
    "TRUE and FALSE, dashes": as_csv(true="TRUE", false="FALSE", missing="-"),
    "null": as_csv(missing="null"),
    "question marks": as_csv(missing="?"),
    "N/A": as_csv(missing="N/A", sep=";"),
    "parquet": as_parquet(),
    "narrow": as_parquet(count=pa.int16(), fraction=pa.float32(), flag=pa.int8(), y=pa.uint8()),
    "wide": as_parquet(count=pa.uint64(), flag=pa.float64(), y=pa.int64(), city=pa.large_string()),
    "decimals": as_parquet(count=pa.decimal128(12, 0), fraction=pa.decimal128(9, 3), p=pa.decimal128(5, 4)),
    "dictionaries": as_parquet(city=pa.dictionary(pa.int8(), pa.string()), code=pa.dictionary(pa.int32(), pa.string())),
    "whole numbers as fractions": as_parquet(count=pa.float64(), flag=pa.int32()),
    "text": as_text_parquet(pa.string()),
    "large text, missing spelled": as_text_parquet(pa.large_string(), missing="NaN", true="1", false="0"),
    "pandas, with an index": (".parquet", as_pandas_parquet),
}


def report(reference, current, here, there):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, frame, way in (("reference", reference, here), ("current", current, there)):
            ending, write = WAYS[way]
            paths.append(Path(folder) / f"{name}{ending}")
            write(frame, paths[-1])
        found = compare_files(*paths, ROLES, LIMITS)
        said = found.as_json()
    index = {"__index_level_0__": "pandas' index"} if here == "pandas, with an index" else {}
    assert said.pop("left_out") == index
    # What may be said of how a file was taken; anything else would be a difference of the tables.
    known = ("count as missing", "Windows-1252", "taken as if it separates thousands")
    assert [remark for remark in said.pop("remarks") if not any(words in remark for words in known)] == []
    return {name: value for name, value in said.items() if name not in ("reference", "current")}


@given(
    here=st.sampled_from(list(WAYS)),
    there=st.sampled_from(list(WAYS)),
    seed=st.integers(0, 10_000),
    shift=st.sampled_from([0.0, 0.3]),
    missing=st.sampled_from([0.0, 0.1]),
)
@example(here="thousands by blanks", there="decimals", seed=1, shift=0.3, missing=0.1)
@example(here="narrow", there="semicolon, decimal comma, thousands", seed=2, shift=0.0, missing=0.1)
@settings(max_examples=25, deadline=None)
def test_one_pair_of_tables_gives_one_report_however_each_is_written(here, there, seed, shift, missing):
    reference, current = a_table(seed, 700, missing=missing), a_table(seed + 1, 500, shift=shift, missing=missing)
    assert report(reference, current, here, there) == report(reference, current, "parquet", "parquet")


def test_every_way_gives_the_report_of_every_other():
    reference, current = a_table(7, 700, missing=0.1), a_table(8, 500, shift=0.3, missing=0.1)
    plain = report(reference, current, "parquet", "parquet")
    assert plain["change"] == "found"
    for way in WAYS:
        assert report(reference, current, way, way) == plain, way
