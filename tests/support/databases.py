"""An empty place in the test Postgres for each test: a schema of its own, so that tests may run side by side."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.schema import CreateSchema, DropSchema


@contextmanager
def empty_postgres() -> Iterator[str]:
    """The URL of an empty schema while the block lasts; the test is skipped where no Postgres was given."""
    url = os.environ.get("SLIPWAY_TEST_POSTGRES")
    if not url:
        pytest.skip("SLIPWAY_TEST_POSTGRES is not set; give it the SQLAlchemy URL of a Postgres database to test on")
    schema = f"slipway_{uuid.uuid4().hex[:12]}"
    admin = create_engine(url)
    try:
        with admin.begin() as connection:
            connection.execute(CreateSchema(schema))
        own = make_url(url).update_query_dict({"options": f"-csearch_path={schema}"})
        try:
            yield own.render_as_string(hide_password=False)
        finally:
            with admin.begin() as connection:
                connection.execute(DropSchema(schema, cascade=True))
    finally:
        admin.dispose()


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """As ``empty_postgres``, for one test."""
    with empty_postgres() as url:
        yield url
