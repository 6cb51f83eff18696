"""A view whose SQL changed before a champion learned from it is computed again in one step, also with other columns;
what a champion learned from stays as it is."""

from __future__ import annotations

import pytest
from feature_world import STATION_LEVEL, STATION_LEVEL_SQL, days
from journey_world import NOW, JourneyWorld, at

from include.adapters.offline_store import OfflineStore, SchemaChanged, with_day
from include.config import declarations, loader
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows import stores, tasks
from include.workflows.explain import catalogue
from include.workflows.features.redo import DefinitionChanged
from include.workflows.features.staging import definition

pytestmark = pytest.mark.light
OTHER_SQL = STATION_LEVEL_SQL.replace("any_value(reading.level) AS level", "900 - any_value(reading.level) AS depth")
OTHER_VIEW = {
    **STATION_LEVEL,
    "columns": [{"name": "depth"}, {"name": "mean_level_3h"}],
    "quality": {
        "expectations": [
            {"expectation": "expect_column_values_to_be_between", "kwargs": {"column": "depth", "min_value": 0}}
        ]
    },
}


def change(world: JourneyWorld, *, columns: bool) -> None:
    doubled = STATION_LEVEL_SQL.replace("avg(past.level)", "2 * avg(past.level)")
    world.declare_view(OTHER_VIEW if columns else STATION_LEVEL, OTHER_SQL if columns else doubled)
    loader.declarations.cache_clear()


def run(start: str, end: str) -> None:
    """As the view's Dag runs a range."""
    staged = tasks.materialize("station_level", None, {"start": start, "end": end}, f"run-{start}-{end}", NOW)
    judged = tasks.audit(staged, NOW)
    assert judged["passed"], judged["reason"]
    tasks.publish(staged, {})


def rows() -> list[dict]:
    view = declarations().view("station_level")
    return OfflineStore(settings().store).read(view, days(1, 16)).to_pylist()


@pytest.mark.parametrize("columns", [False, True], ids=["other values", "other columns"])
def test_a_run_of_all_days_replaces_them_under_the_same_version(world, columns):
    before = rows()
    change(world, columns=columns)
    wanted = catalogue.redo("station_level")
    assert (wanted.start, wanted.end, wanted.days) == ("2024-03-01", "2024-03-16", 15)
    run(wanted.start, wanted.end)
    after = rows()
    assert len(after) == len(before)
    name = "depth" if columns else "mean_level_3h"
    expected = [900 - row["level"] if columns else 2 * row["mean_level_3h"] for row in before]
    assert [row[name] for row in after] == pytest.approx(expected)
    view = declarations().view("station_level")
    with stores.open_ledger() as ledger:
        assert ledger.partitions.definitions("station_level", 1) == {definition(view): 15}
    assert catalogue.redo("station_level") is None


def test_a_run_of_some_days_is_refused_and_says_how_all_are_redone(world):
    change(world, columns=False)
    with pytest.raises(DefinitionChanged, match=r"`slipway features redo station_level` computes its days again"):
        run("2024-03-03", "2024-03-05")


@pytest.mark.slow
@pytest.mark.parametrize("state", ["champion", "in flight"])
def test_what_a_champion_or_a_candidate_in_flight_learned_from_stays(world, state):
    if state == "champion":
        world.first_champion()
    else:
        reference = world.open("first", 13)
        tasks.build_training_set(reference)
    before = rows()
    change(world, columns=False)
    with pytest.raises(DefinitionChanged, match=r"learned from it\. Raise version to 2") as refused:
        run("2024-03-01", "2024-03-16")
    assert "features redo" not in str(refused.value)
    assert rows() == before


def test_a_table_with_days_beside_those_that_are_replaced_keeps_its_columns(world):
    view, other = declarations().view("station_level"), world.declare_view
    other(OTHER_VIEW, OTHER_SQL)
    loader.declarations.cache_clear()
    changed = declarations().view("station_level")
    store = OfflineStore(settings().store)
    of_day = store.read(view, Interval.of_day(f"{at(3):%Y-%m-%d}"))
    renamed = of_day.rename_columns(["depth" if name == "level" else name for name in of_day.column_names])
    with pytest.raises(SchemaChanged, match="depth is not in the table"):
        store.replace_partitions(changed, days(3, 4), with_day(renamed), renew=True)
