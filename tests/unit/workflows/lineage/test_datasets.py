"""The addresses by which other tools know the tables that Slipway reads and writes."""

from __future__ import annotations

import pytest

from include.config.types import SourceTable
from include.workflows.lineage import tables_touched


@pytest.mark.parametrize(
    ("url", "table", "address"),
    [
        pytest.param(
            "postgresql+psycopg://ana:secret@db/shop",
            "orders",
            "postgres://db:5432/shop/public/orders",
            id="no user, no password, the default port and schema",
        ),
        pytest.param("postgresql://db:6543/shop", "orders", "postgres://db:6543/shop/public/orders", id="a port"),
        pytest.param("sqlite:////data/my shop.db", "orders", "file:///data/my%20shop.db/orders", id="a file"),
    ],
)
def test_a_source_table_is_named_without_secrets(monkeypatch, url, table, address):
    monkeypatch.setenv("SLIPWAY_SOURCE_URL", url)
    assert tables_touched.source_tables([SourceTable(table=table)]) == [address]


def test_nothing_is_kept_where_nobody_listens_and_only_what_was_said_while_listening():
    tables_touched.reads(["file:///before"])
    with tables_touched.heard() as touched:
        tables_touched.reads(["file:///a", "file:///b", "file:///a"])
        tables_touched.writes(["file:///c"])
    tables_touched.writes(["file:///after"])
    assert (list(touched.read), list(touched.written)) == (["file:///a", "file:///b"], ["file:///c"])


def test_the_store_keeps_its_own_scheme(monkeypatch, tmp_path):
    monkeypatch.setenv("SLIPWAY_STORE", "s3://bucket/prefix/")
    assert tables_touched._stored("features/süd/v1") == "s3://bucket/prefix/features/s%C3%BCd/v1"
    monkeypatch.setenv("SLIPWAY_STORE", str(tmp_path))
    assert tables_touched._stored("features/a/v1") == f"{tmp_path.as_uri()}/features/a/v1"
