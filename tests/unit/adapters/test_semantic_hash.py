"""What runs as declared SQL, and what its hash speaks of."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include.adapters.sql_engine import SqlFailed, run_sql, semantic_hash
from include.domain.intervals import Interval

DAY = Interval.of_day("2024-03-10")


def run(sql: str) -> pa.Table:
    return run_sql(sql, {"t": pa.table({"a": [1, 2]})}, DAY, what="View v", file="v.sql")


def hashed(sql: str, structure: object = None) -> str:
    return semantic_hash(sql, structure, what="View v", file="v.sql")


def test_white_space_comments_and_case_of_keywords_do_not_count():
    spaced = "select  a,\n b -- why\nfrom t /* how */ where a = 'X'"
    assert hashed("SELECT a, b FROM t WHERE a = 'X'") == hashed(spaced)


@pytest.mark.parametrize(
    "other",
    ["SELECT b, a FROM t WHERE a = 'X'", "SELECT a, b FROM t WHERE a = 'x'", "SELECT a, b FROM u WHERE a = 'X'"],
)
def test_anything_else_counts(other):
    assert hashed("SELECT a, b FROM t WHERE a = 'X'") != hashed(other)


def test_the_structure_counts():
    assert hashed("SELECT 1", {"keys": ["a"]}) != hashed("SELECT 1", {"keys": ["b"]})


def test_the_interval_is_a_table_of_one_row_in_utc():
    row = run('SELECT start, "end" FROM interval_').to_pylist()
    assert row == [{"start": DAY.start, "end": DAY.end}]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        pytest.param("SELEC a FROM t", "syntax error", id="no SQL"),
        pytest.param("SELECT z FROM t", '"z" not found.*t has: a', id="an unknown column, with those there are"),
        pytest.param("SELECT a FROM u", "u does not exist", id="an unknown table"),
        pytest.param("SELECT a FROM t; SELECT a FROM t", "2 statements; write one SELECT", id="two statements"),
        pytest.param("CREATE TABLE x (a INT)", "Only SELECT", id="no query"),
        pytest.param("SELECT * FROM read_csv('/etc/passwd')", "disabled", id="a file of the machine"),
        pytest.param("INSTALL httpfs", "Only SELECT", id="an extension"),
        pytest.param("SELECT CAST('x' AS INT)", "Could not convert", id="a value that cannot be converted"),
    ],
)
def test_what_cannot_run_says_why_in_one_line(sql, message):
    with pytest.raises(SqlFailed, match=message) as caught:
        run(sql)
    assert str(caught.value).startswith("View v: v.sql failed: ")
    assert "\n" not in str(caught.value)
