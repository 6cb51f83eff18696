"""Single rows of an online store on Postgres, as the store itself pushed them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from databases import empty_postgres

from include.adapters.hot_features import FeaturesUnreachable, HotFeatures
from include.adapters.online_store import METADATA, ONLINE
from include.adapters.online_store.engines import new_engine

AT = datetime(2024, 3, 10, 12, 0, 0, 250, UTC)
pytestmark = pytest.mark.postgres


def test_a_row_is_read_with_its_times_and_a_slow_store_is_given_up():
    with empty_postgres() as url:
        engine = new_engine(url)
        METADATA.create_all(engine)
        row = {"view": "level", "view_version": 2, "entity": '["north"]', "run_id": "r", "features": '{"level":1.5}'}
        plain = AT.replace(tzinfo=None)
        with engine.begin() as connection:
            connection.execute(ONLINE.insert().values(**row, event_time=plain, available_time=plain))
        hot = HotFeatures(url)
        found = hot.row("level", 2, ["north"])
        assert found is not None
        assert (found.features, found.event_time, found.available_time) == ({"level": 1.5}, AT, AT)
        assert hot.row("level", 1, ["north"]) is None
        with engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE online_features IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(FeaturesUnreachable, match="statement timeout"):
                hot.row("level", 2, ["north"])
        engine.dispose()
