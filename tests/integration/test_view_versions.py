"""Two versions of one view side by side: each has its own table, and a model reads the one that it names."""

from __future__ import annotations

import shutil

import pytest
from feature_world import READINGS, STATION_LEVEL, STATION_LEVEL_SQL, TRIP_LATE, World, at, day, filled_world, naive

from include.adapters.ledger import Ledger
from include.adapters.offline_store import OfflineStore
from include.config.declared import Declarations
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows.features import staging
from include.workflows.journey.facts import TrainingSet
from include.workflows.scoring import training_sets

world = filled_world(1, 9)
DAYS = Interval(at(2), at(8))
DOUBLED = STATION_LEVEL_SQL.replace("any_value(reading.level) AS level", "2 * any_value(reading.level) AS level")


def reading(view: str) -> list[dict]:
    """The model's views, with ``view`` for the levels."""
    return [TRIP_LATE["views"][0], {**TRIP_LATE["views"][1], "view": view}]


def keep_v1(world: World) -> None:
    """Version 2 becomes the current one, and version 1 stays beside it."""
    folder = world.root / "declared" / "features" / "station_level"
    (folder / "v1").mkdir()
    for name in ("view.yaml", "features.sql"):
        shutil.copy(folder / name, folder / "v1" / name)
    world.declare_view(STATION_LEVEL, DOUBLED, version=2)


def built(declared: Declarations) -> TrainingSet:
    return training_sets.build(declared.model("trip_late"), DAYS, at(9), declared=declared)


@pytest.fixture
def both(world) -> World:
    """A world with both versions published; ``world.before`` is the training set that version 1 gave alone."""
    for view in ("trip_plan", "station_level"):
        world.run_days(view, 1, 9)
    world.before = built(world.declared)
    keep_v1(world)
    world.declare_model(views=reading("station_level@v1"))
    world.run_days("station_level", 1, 9)
    return world


def test_each_model_reads_the_version_it_names_and_the_old_set_is_the_same_bytes(both):
    again = built(both.declared)
    assert again.content_hash == both.before.content_hash
    assert again.table_versions.keys() == {"trip_plan", "station_level@v1"}

    both.declare_model(views=[reading("station_level")[0], {**reading("station_level")[1], "version": 2}])
    old, new = training_sets.read(again), training_sets.read(built(both.declared))
    doubled = [value and 2 * value for value in old.column("level").to_pylist()]
    assert new.column("level").to_pylist() == doubled
    assert new.column("mean_level_3h").equals(old.column("mean_level_3h"))


def test_both_versions_are_run_on_with_tables_and_publishes_of_their_own(both):
    late = {"station": "north", "read_at": naive(at(9, 5)), "level": 4.0, "known_at": naive(at(9, 6))}
    both.insert(READINGS, [late, {**late, "station": "south"}])
    for ref, version, level in (("station_level@v1", 1, 4.0), ("station_level", 2, 8.0)):
        published = both.run_day(ref, 9)
        assert (published.view, published.view_version, published.published) == (
            "station_level",
            version,
            ["2024-03-09"],
        )
        view = both.declared.view(ref)
        rows = OfflineStore(settings().store).read(view, day(9))
        assert set(rows.column("level").to_pylist()) == {level}
        with Ledger.open(settings().ledger_url) as ledger:
            assert ledger.partitions.get("station_level", version, "2024-03-09").code_hash == staging.definition(view)


def test_the_kept_version_has_a_dag_and_an_asset_of_its_own(both):
    declared = both.declared
    kept, current = declared.view("station_level@v1"), declared.view("station_level")
    assert (kept.ref, kept.slug, kept.version) == ("station_level@v1", "station_level_v1", 1)
    assert (current.ref, current.slug, current.version) == ("station_level", "station_level", 2)
    assert declared.version("station_level", 1) is kept
    assert declared.version("station_level", 3) is None


def test_a_changed_definition_of_the_kept_version_is_refused_like_any(both):
    folder = both.root / "declared" / "features" / "station_level" / "v1"
    (folder / "features.sql").write_text(DOUBLED, encoding="utf-8")
    with pytest.raises(staging.DefinitionChanged, match="station_level"):
        both.run_day("station_level@v1", 8)


def test_a_model_that_asks_for_a_version_that_is_only_kept_is_told_how_to_name_it(both):
    both.declare_model(views=reading("station_level"))
    (problem,) = both.declared.broken.values()
    assert "views.1.version is 1; station_level is declared in version 2." in str(problem)
    assert "Say view: station_level@v1, which is kept." in str(problem)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"version": 2}, "version is 2; the folder 'v1' says another."),
        ({"version": 3}, "version is 3; it must be below the current one, 2."),
        ({"name": "other"}, "name is 'other'; it must be that of the view, 'station_level'."),
    ],
)
def test_a_kept_version_that_contradicts_its_place_is_named_and_breaks_only_its_readers(both, changes, line):
    folder = both.root / "declared" / "features" / "station_level"
    text = (folder / "v1" / "view.yaml").read_text(encoding="utf-8")
    for field, value in changes.items():
        old = {"version": "", "name": "name: station_level\n"}[field]
        text = text.replace(old, f"name: {value}\n") if old else f"{text}version: {value}\n"
    (folder / "v1" / "view.yaml").write_text(text, encoding="utf-8")
    declared = both.declared
    assert line in str(declared.broken[folder / "v1" / "view.yaml"])
    assert "station_level" in declared.views
    assert "trip_late" not in declared.models


def test_a_model_reads_one_version_of_a_view(both):
    trips, levels = reading("station_level@v1")
    of_2 = {"view": "station_level", "version": 2, "features": ["mean_level_3h"]}
    both.declare_model(views=[trips, {**levels, "features": ["level"]}, of_2])
    assert "views has 'station_level' twice" in str(next(iter(both.declared.broken.values())))
