"""A content hash speaks of values: how they are stored does not count, and any change of one does."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from include.adapters.offline_store import are_among, content_hash, ordered

ROWS = pa.table(
    {
        "key": ["b", "süd", None, ""],
        "number": [1.5, None, float("nan"), 0.0],
        "count": pa.array([1, None, 2**62, -1], pa.int64()),
        "flag": [True, None, False, True],
        "moment": pa.array([datetime(2024, 2, 29, 12, tzinfo=UTC), None, None, None], pa.timestamp("us", tz="UTC")),
    }
)


def with_column(name: str, values: pa.Array) -> pa.Table:
    return ROWS.set_column(ROWS.column_names.index(name), name, values)


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(pa.concat_tables([ROWS.slice(0, 1), ROWS.slice(1)]), id="other chunks"),
        pytest.param(pa.concat_tables([ROWS, ROWS]).slice(4), id="a slice of something larger"),
        pytest.param(ROWS.select(["moment", "flag", "count", "number", "key"]), id="another order of columns"),
        pytest.param(with_column("number", pa.array([1.5, None, float("nan"), -0.0])), id="minus zero"),
    ],
)
def test_how_the_rows_are_stored_does_not_count(same):
    assert content_hash(same) == content_hash(ROWS)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(ROWS.take([1, 0, 2, 3]), id="another order of rows"),
        pytest.param(ROWS.slice(0, 3), id="a row less"),
        pytest.param(ROWS.rename_columns(["key", "Number", "count", "flag", "moment"]), id="another name"),
        pytest.param(with_column("number", pa.array([1.5, 0.0, float("nan"), 0.0])), id="zero for missing"),
        pytest.param(with_column("number", pa.array([1.5, None, None, 0.0])), id="missing for NaN"),
        pytest.param(with_column("key", pa.array(["b", "süd", "", None])), id="empty text for missing"),
        pytest.param(with_column("key", pa.array(["bs", "üd", None, ""])), id="letters moved between rows"),
        pytest.param(with_column("count", pa.array([1, None, 2**62 + 1, -1], pa.int64())), id="one in 2^62"),
        pytest.param(with_column("flag", pa.array([True, False, False, True])), id="false for missing"),
    ],
)
def test_any_other_value_counts(other):
    assert content_hash(other) != content_hash(ROWS)


def test_rows_without_any_row_have_a_hash_of_their_own():
    assert content_hash(ROWS.schema.empty_table()) == content_hash(ROWS.slice(0, 0))


def test_rows_are_ordered_with_missing_values_last_and_equal_ones_as_they_came():
    rows = pa.table({"k": ["b", None, "a", "a"], "n": [1, 2, 3, 4]})
    assert ordered(rows, ["k"]).column("n").to_pylist() == [3, 4, 1, 2]


def test_a_row_is_among_others_where_one_agrees_with_it_in_all_that_is_asked():
    kinds = {"key": pa.string(), "at": pa.timestamp("us", tz="UTC"), "value": pa.float64(), "flag": pa.bool_()}
    noon = datetime(2024, 3, 3, 12, tzinfo=UTC)

    def rows(*given: tuple[object, ...]) -> pa.Table:
        columns = zip(*given, strict=True)
        return pa.table({name: pa.array(v, kind) for (name, kind), v in zip(kinds.items(), columns, strict=True)})

    others = rows(("a", noon, 1.5, True), ("b", noon, None, None), ("c", None, -0.0, False))
    asked = rows(("a", noon, 1.5, True), ("a", noon, 1.5, None), ("b", noon, None, None), ("c", None, 0.0, False))
    assert are_among(asked, others, list(kinds)).tolist() == [True, False, True, True]
    assert are_among(asked, others, ["key", "at"]).tolist() == [True, True, True, True]
    assert are_among(asked, rows(("d", noon, 1.5, True)), ["value"]).tolist() == [True, True, False, False]
    assert are_among(asked, others.slice(0, 0), ["key"]).tolist() == [False] * 4


def test_rows_of_more_combinations_than_an_integer_has_are_told_apart():
    wide = pa.table({f"c{n}": [k * 2**40 for k in range(50)] for n in range(12)})
    assert are_among(wide, wide.slice(10, 5), wide.column_names).nonzero()[0].tolist() == [10, 11, 12, 13, 14]
