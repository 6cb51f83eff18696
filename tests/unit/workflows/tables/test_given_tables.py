"""Tables as real tools write them: what each column is, what counts as missing, and what is refused by name."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.workflows.tables.checks import times_of
from include.workflows.tables.reading import BadTable, Table


@pytest.fixture
def written(tmp_path):
    def write(content, name="t.csv", **options):
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path, **options)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def read(written):
    def opened(content, name="t.csv", **options):
        return Table(written(content, name), option="--data", **options)

    return opened


def values(table, name):
    return table.column(name).astype(object).where(table.column(name).notna(), None).tolist()


def of_arrow(read, column, name="c"):
    return read(pa.table({name: column}), "t.parquet")


# --- CSV --------------------------------------------------------------------------------------------------------------

PLAIN = "x,g\n1.5,a\n2.5,b\n,a\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(PLAIN.encode(), id="plain"),
        pytest.param(b"\xef\xbb\xbf" + PLAIN.encode(), id="with a byte order mark"),
        pytest.param(PLAIN.encode("utf-16"), id="UTF-16"),
        pytest.param(PLAIN.encode("utf-16-le"), id="UTF-16 without its mark"),
        pytest.param(PLAIN.encode("utf-32"), id="UTF-32"),
        pytest.param(PLAIN.replace("\n", "\r\n").encode(), id="Windows line ends"),
        pytest.param(PLAIN.replace("\n", "\r").encode(), id="old line ends"),
        pytest.param(PLAIN.replace(",", ";").encode(), id="semicolons"),
        pytest.param(PLAIN.replace(",", "\t").encode(), id="tabs"),
        pytest.param(PLAIN.replace(",", "|").encode(), id="bars"),
        pytest.param(("sep=;\n" + PLAIN.replace(",", ";")).encode(), id="Excel's line with the separator"),
        pytest.param(PLAIN.replace(",", ";").replace(".", ",").encode(), id="decimal commas"),
        pytest.param(PLAIN.replace("\n", ",\n").encode(), id="a separator at every row's end"),
        pytest.param(
            ("x,g\n" + PLAIN[4:].replace("\n", ",\n")).encode(), id="a separator at the end, not of the header"
        ),
        pytest.param(PLAIN.replace("\n", "\n\n").encode(), id="blank lines"),
        pytest.param(("\n" + PLAIN).encode(), id="a blank line above the header"),
        pytest.param(PLAIN.replace(",", ", ").encode(), id="blanks after the separator"),
        pytest.param(b'"x","g"\n"1.5","a"\n"2.5","b"\n"NA","a"\n', id="all quoted, NA"),
        pytest.param(PLAIN.replace("\n,a", "\nN/A,a").encode(), id="N/A"),
        pytest.param(PLAIN.replace("\n,a", "\nnull,a").encode(), id="null"),
        pytest.param(PLAIN.replace("\n,a", "\n-,a").encode(), id="a dash"),
        pytest.param(PLAIN.replace("\n,a", "\n?,a").encode(), id="a question mark"),
        pytest.param(PLAIN.rstrip("\n").encode(), id="no line end at the end"),
    ],
)
def test_one_table_means_the_same_however_its_csv_is_written(read, content):
    table = read(content)
    assert dict(table.kinds) == {"x": "numeric", "g": "categorical"}
    assert values(table, "x") == [1.5, 2.5, None]
    assert values(table, "g") == ["a", "b", "a"]


def test_texts_with_quoted_separators_and_line_ends_are_one_value(read):
    table = read('t,n\n"a, ""b""\nc",1\n"d;e",2\n')
    assert values(table, "t") == ['a, "b"\nc', "d;e"]


def test_latin_1_is_read_and_said(read):
    table = read("city,n\nMünchen,1\nKöln,2\n".encode("latin-1"))
    assert values(table, "city") == ["München", "Köln"]
    assert table.remarks() == ["t.csv is not UTF-8 (byte 9); it was read as Windows-1252 (Latin 1)."]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["1,234.50", "999.00", "1,000,000"], [1234.5, 999.0, 1000000.0]),
        (["1.234,50", "999,00", "1.000.000"], [1234.5, 999.0, 1000000.0]),
        (["1 234,5", "12 345", "7"], [1234.5, 12345.0, 7.0]),
        (["1\u00a0234.5", "12\u202f345", "7"], [1234.5, 12345.0, 7.0]),
        (["1'234.5", "12\u2019345", "7"], [1234.5, 12345.0, 7.0]),
        (["0,123", "12,5", "3"], [0.123, 12.5, 3.0]),
        (["0,123", "0,456", "3"], [0.123, 0.456, 3.0]),
        (["\N{MINUS SIGN}1,5", "+2,5", "1e3"], None),
        (["-1.5", "+2.5", "1e3"], [-1.5, 2.5, 1000.0]),
        (["\N{MINUS SIGN}1.5", "2", "inf"], [-1.5, 2.0, float("inf")]),
        (["007", "1", "2"], [7, 1, 2]),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_numbers_kept_as_text_are_numbers(read, texts, found, form):
    if form == "csv":
        table = read("c\tn\n" + "".join(f"{text}\t1\n" for text in texts))
    else:
        table = of_arrow(read, pa.array(texts))
    if found is None:
        assert table.kinds["c"] == "categorical"
    else:
        assert table.kinds["c"] == "numeric"
        assert values(table, "c") == found
        assert table.remarks(["c"]) == []


def test_a_few_texts_among_numbers_are_missing_with_a_remark_and_many_make_a_category(read):
    few = read("c\n" + "1.5\n" * 96 + "-\n" * 40 + "see note\n" * 4)
    assert few.kinds["c"] == "numeric"
    assert few.column("c").isna().sum() == 44
    assert few.remarks() == [
        "Column c of t.csv has 40 values such as '-', which count as missing.",
        "Column c of t.csv holds numbers, and 4 of 100 values that are none ('see note'), which count as missing.",
    ]
    half = read("c\n" + "1\n" * 50 + "three\n" * 50)
    assert half.kinds["c"] == "categorical"
    assert set(half.column("c")) == {"1", "three"}


def test_a_comma_that_has_two_readings_is_said(read):
    thousands = read('c,n\n"1,234",1\n"5,678",1\n12,1\n')
    assert values(thousands, "c") == [1234.0, 5678.0, 12.0]
    assert "the comma was taken as if it separates thousands" in thousands.remarks(["c"])[0]
    decimals = read("c;n\n1,234;1\n5,678;1\n12;1\n")
    assert values(decimals, "c") == [1.234, 5.678, 12.0]
    assert "the comma was taken as if it is the decimal mark" in decimals.remarks(["c"])[0]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('"x;g"\n1\n2\n', "has one column, named 'x;g': is ';' the separator? --sep names it"),
        ("x g\n1 2\n3 4\n", "has one column, named 'x g': is a space the separator?"),
        ("x\n1;2\n3;4\n", "has one column, named 'x': is ';' the separator?"),
        ("a,b;c,d\n1,2;3,4\n", "can be separated by ',' or ';'; --sep says which."),
        ("x,g,x\n1,a,2\n", "has the column 'x' 2 times; names are unique."),
        ("x,g, x\n1,a,2\n", "has the column 'x' 2 times; names are unique."),
        ("x,g\n1,a\n2,b,c\n", "row 3 (the header is row 1) has 3 values where the header names 2: '2,b,c'"),
        ("x,g\n1,a\n2\n", "row 3 (the header is row 1) has 1 values where the header names 2: '2'"),
        ("x,g\n1,2,a\n2,3,b\n", "has 3 values where the header names 2"),
        ('x,g\n1,"a\n2,b\n3,c\n', "a quotation mark in row 2 or before it is opened and never closed"),
        ("1.5,0.25\n2.5,0.75\n", "has numbers (1.5, 0.25) for names; the first line names the columns."),
        (b"x,g\n1,\x81\n", "byte 7 is neither UTF-8 nor Windows-1252. Save it as UTF-8."),
        (b"x,g\n1,a\0\n2,b\0\n", "it holds zero bytes, so it is no text"),
        ("\n\n", "it is empty"),
        (",\n1,2\n", "its first line names no column"),
        ("x,g\n", "has no rows"),
    ],
)
def test_what_is_not_understood_of_a_csv_is_refused_in_one_line(read, content, line):
    with pytest.raises(BadTable) as refused:
        read(content)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_caller_can_name_the_separator(read):
    assert read("a,b;c,d\n1,2;3,4\n", separator=";").names == ["a,b", "c,d"]
    assert read("a b\n1 2\n", separator="space").names == ["a", "b"]
    assert read("a\tb\n1\t2\n", separator="tab").names == ["a", "b"]
    for wrong in ("", "ab", '"', "\n"):
        with pytest.raises(BadTable, match="--sep is"):
            read(PLAIN, separator=wrong)
    with pytest.raises(BadTable, match=r"has one column, named 'x;g', with ',' between values: is ';' the separator"):
        read("x;g\n1;2\n", separator=",")


def test_an_index_without_a_name_is_called_as_pandas_calls_it(read):
    assert read(",x\n0,1.5\n1,2.5\n").names == ["Unnamed: 0", "x"]


def test_numbers_that_count_up_may_name_columns(read):
    assert read("0,1,2\n5,6,7\n").names == ["0", "1", "2"]


# --- parquet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64"],
)
def test_a_number_is_the_same_in_every_width(read, kind):
    table = of_arrow(read, pa.array([1, None, 3]).cast(kind))
    assert table.kinds["c"] == "numeric"
    assert values(table, "c") == [1.0, None, 3.0]


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.array([0.1, 0.3, None]), id="double"),
        pytest.param(pa.array([0.1, 0.3, None], pa.float32()), id="float"),
        pytest.param(pa.array(np.array([0.1, 0.3, np.nan], np.float16)), id="half"),
        pytest.param(pa.array([decimal.Decimal("0.1"), decimal.Decimal("0.3"), None]), id="decimal"),
        pytest.param(pa.array([decimal.Decimal("0.1"), decimal.Decimal("0.3"), None], pa.decimal256(50, 3)), id="wide"),
        pytest.param(pa.array(["0.1", "0.3", None]), id="text"),
        pytest.param(pa.array(["0.1", "0.3", None], pa.large_string()), id="large text"),
        pytest.param(pa.array(["0.1", "0.30", ""]).dictionary_encode(), id="dictionary of texts"),
        pytest.param(pa.array([0.1, 0.3, None]).dictionary_encode(), id="dictionary of numbers"),
    ],
)
def test_a_fraction_is_the_same_in_every_width(read, column):
    table = of_arrow(read, column)
    assert table.kinds["c"] == "numeric"
    found = values(table, "c")
    assert found == [0.1, 0.3, None] or np.allclose(found[:2], [0.1, 0.3], rtol=1e-12)
    assert found[0] == 0.1


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([True, False, None]), "boolean"),
        (pa.array(["True", "false", None]), "boolean"),
        (pa.array(["a", "b", None]), "categorical"),
        (pa.array(["a", "b ", None], pa.large_string()), "categorical"),
        (pa.array(["a", "b", "NA"]).dictionary_encode(), "categorical"),
    ],
)
def test_flags_and_categories_are_the_same_in_every_spelling(read, column, kind):
    table = of_arrow(read, column)
    assert table.kinds["c"] == kind
    assert values(table, "c") == ([True, False, None] if kind == "boolean" else ["a", "b", None])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_moments_of_every_unit_are_times(read, unit, zone):
    moments = pd.to_datetime(["2024-07-01T12:00:00Z", "2024-07-02T12:00:00Z"]).tz_convert(None)
    table = of_arrow(read, pa.array(moments.to_pydatetime(), pa.timestamp(unit, zone)))
    assert table.kinds["c"] == "time"
    assert times_of(table.column("c")).astype("datetime64[s]").tolist() == moments.to_pydatetime().tolist()


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-01-31", "2024-02-01"],
        ["2024-01-31 10:00:00", "2024-02-01T10:00:00.5Z"],
        ["31.01.2024", "01.02.2024"],
        ["1/31/2024", "2/1/24"],
        ["2024/01/31", "2024/02/01"],
        ["31-Jan-2024", "1 Feb 2024"],
        ["Jan 31, 2024", "February 1, 2024"],
        ["10:30", "23:59:59.5"],
        ["2024-01", "2024-02"],
        ["2024Q1", "2024-Q2"],
        ["2024-W05", "2024W06"],
        ["1/31/2024 10:00 AM", "2/1/2024 1:30 PM"],
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_days_and_times_in_text_are_times(read, texts, form):
    if form == "csv":
        table = read("c\tn\n" + "".join(f"{text}\t1\n" for text in texts))
    else:
        table = of_arrow(read, pa.array(texts))
    assert table.kinds["c"] == "time"


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([{"a": 1}]), "struct<a: int64>"),
        (pa.array([[1, 2]]), "list<element: int64>"),
        (pa.array([b"x"]), "binary"),
        (pa.array([dt.timedelta(days=1)]), "duration[us]"),
        (pa.array([dt.time(1)]), "time"),
        (pa.array([dt.date(2024, 1, 1)]), "time"),
        (pa.array([None], pa.null()), "empty"),
        (pa.array([None], pa.float64()), "empty"),
        (pa.array([float("nan")]), "empty"),
        (pa.array(["NA"]), "empty"),
        (pa.array([None], pa.string()), "empty"),
        (pa.array([None], pa.int8()), "empty"),
    ],
)
def test_what_a_column_holds_is_named(read, column, kind):
    assert of_arrow(read, column).kinds["c"] == kind


def test_a_name_given_twice_is_refused_in_parquet_too(read):
    with pytest.raises(BadTable, match=r"has the column 'x' 2 times; names are unique\."):
        read(pa.table([pa.array([1]), pa.array([2])], names=["x", "x"]), "t.parquet")


def test_the_index_that_pandas_kept_is_known(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=[3, 7])
    frame.to_parquet(tmp_path / "a.parquet")
    frame.rename_axis("trip").to_parquet(tmp_path / "b.parquet")
    frame.reset_index(drop=True).to_parquet(tmp_path / "c.parquet")
    found = [Table(tmp_path / f"{name}.parquet", option="--data").index for name in "abc"]
    assert found == [("__index_level_0__",), ("trip",), ()]


def test_names_with_dots_and_their_beginnings_are_told_apart(read):
    table = read(pa.table({"a": [1, 2], "a.b": [3, 4], "b": [{"c": 1}, {"c": 2}]}), "t.parquet")
    assert [values(table, name) for name in ("a", "a.b")] == [[1, 2], [3, 4]]
    assert table.folded(["a", "a.b"], lambda name, column: int(column.sum()), int.__add__) == {"a": 3, "a.b": 7}


def test_spans_batches_and_steps_give_the_same_values(tmp_path, monkeypatch):
    from include.workflows.tables import reading

    monkeypatch.setattr(reading, "MAX_BATCH", 2)
    monkeypatch.setattr(reading, "SPAN_ROWS", 100)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{i}": rng.integers(0, 100, 1000) for i in range(5)})
    frame["g"] = rng.choice(["a", "b "], 1000)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=70)
    frame.to_csv(tmp_path / "t.csv", index=False)
    tables = [Table(tmp_path / name, option="--data") for name in ("t.parquet", "t.csv")]
    for table in tables:
        sums = table.folded([f"x{i}" for i in range(5)], lambda name, column: int(column.sum()), int.__add__)
        assert sums == {f"x{i}": frame[f"x{i}"].sum() for i in range(5)}
        assert table.every(7, ["x1", "g"])["x1"].tolist() == frame["x1"].iloc[::7].tolist()
        assert table.head(9, ["x1", "g"])["g"].tolist() == frame["g"].str.strip().head(9).tolist()
    assert tables[0].frame(["x0", "g"]).astype(object).equals(tables[1].frame(["x0", "g"]).astype(object))
