"""What a task tells Airflow's lineage of the tables it read and wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow_process import AirflowProcess, living_with

from include.domain.errors import Refusal
from include.workflows.lineage import tables_touched


@pytest.fixture
def plugin(airflow_imported: AirflowProcess) -> Iterator[Any]:
    """The plugin's modules, as a worker imports them."""
    with living_with(airflow_imported.environment):
        from slipway_airflow import lineage, steps

        yield lineage, steps


def copied() -> str:
    tables_touched.reads(
        ["file:///store/features/a/v1", "postgres://db:5432/shop/public/orders", "file:///store/features/a/v1"]
    )
    tables_touched.writes(["file:///store/predictions/m"])
    return "copied"


def refused() -> None:
    tables_touched.writes(["file:///store/predictions/m"])
    raise Refusal("not today")


def test_a_step_hands_its_tables_to_the_collector_each_once(plugin, monkeypatch):
    from airflow.sdk.lineage import HookLineageCollector

    lineage, steps = plugin
    collector = HookLineageCollector()
    monkeypatch.setattr(lineage, "get_hook_lineage_collector", lambda: collector)

    assert steps.shown(copied)() == "copied"

    found = collector.collected_assets
    assert [(each.asset.uri, each.count) for each in found.inputs] == [
        ("file:///store/features/a/v1", 1),
        ("postgres://db:5432/shop/public/orders", 1),
    ]
    assert [each.asset.uri for each in found.outputs] == ["file:///store/predictions/m"]


def test_a_step_that_was_refused_tells_nothing(plugin, monkeypatch):
    from airflow.sdk.lineage import HookLineageCollector

    lineage, steps = plugin
    collector = HookLineageCollector()
    monkeypatch.setattr(lineage, "get_hook_lineage_collector", lambda: collector)

    with pytest.raises(steps.TaskRefused):
        steps.shown(refused)()

    assert not collector.has_collected


def test_what_only_takes_time_ends_a_try_with_one_line_and_is_tried_again(plugin):
    from airflow.sdk import RetryAction

    from include.workflows.scoring.daily import NotYetPublished

    _, steps = plugin

    def too_early():
        raise NotYetPublished("levels@v1 has no published 2024-03-16.")

    with pytest.raises(steps.Waiting, match="no published 2024-03-16") as ended:
        steps.shown(too_early)()
    assert ended.value.__cause__ is None
    assert ended.value.__suppress_context__
    policy = steps.STEP_DEFAULTS["retry_policy"]
    refused = policy.evaluate(steps.TaskRefused("no"), 1, 5)
    assert refused.action is RetryAction.FAIL
    assert policy.evaluate(ended.value, 1, 5).action is not RetryAction.FAIL


# Airflow 3.3.2 reads .airflowignore by a class that pathspec has deprecated.
@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")
def test_without_a_provider_that_reads_lineage_nothing_is_kept(plugin):
    from airflow.sdk.lineage import NoOpCollector, get_hook_lineage_collector

    _, steps = plugin
    assert steps.shown(copied)() == "copied"
    assert isinstance(get_hook_lineage_collector(), NoOpCollector)
    assert not get_hook_lineage_collector().has_collected
