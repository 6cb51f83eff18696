"""The pages of feature views: what is published, what is wrong, and which models wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pages_world import published

from include.adapters.ledger import Failing, PartitionStatus, Scope

pytestmark = [pytest.mark.filterwarnings("ignore")]
NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)
READ = ("flight_schedule", "origin_weather", "carrier_record", "origin_traffic", "route_record")


def publish(pages, *days: str, but: str = "") -> None:
    """Days of every view that flight_delay reads, but of one."""
    for day in days:
        for view in READ:
            if view != but:
                version = pages.declared.view(view).version
                pages.ledger.partitions.record([replace(published(day), view=view, view_version=version)])


def test_a_view_that_is_behind_names_the_models_that_wait_and_by_how_much(pages):
    publish(pages, "2013-06-10")
    publish(pages, "2013-06-11", "2013-06-12", but="origin_weather")
    shown = pages.page("/features/origin_weather").text
    assert "origin_weather: 2 days behind the other views" in shown
    waits = "lacks 2 days of it: every other view that it reads goes to 2013-06-12."
    assert f'<a href="/slipway/models/flight_delay">flight_delay</a> {waits}' in shown
    assert "lacks 2 days" not in pages.page("/features/carrier_record").text
    rows = pages.page("/features").text
    assert rows.index("<b>origin_weather</b>") < rows.index("<b>carrier_record</b>"), "what is late comes first"
    assert "2 days behind the other views" in pages.page("/").text
    assert "every one up to 2013-06-10 (2 days behind the other views)" in pages.page("/models/flight_delay").text


def test_what_was_not_met_is_said_in_words_with_the_way_to_the_runbook(pages):
    publish(pages, "2013-06-10")
    why = "origin_weather: audit gate of features_origin_weather failed for 2013-06-11. temp is -3200 in 12 rows."
    failing = Failing("failed/x", Scope.VIEW, "origin_weather", "failed", why, "/dags/x", "2013-06-11")
    pages.ledger.outages.fails(failing, None, NOW)
    shown = pages.page("/features/origin_weather").text
    assert f'<span class="verdict FAIL">wrong</span> {why}' in shown
    assert '<section class="banner bad">' in shown
    assert "/slipway/runbook/audit_gate" in shown
    assert "Something is wrong with 1 of them." in pages.page("/features").text


def test_a_view_says_its_days_and_rows_what_is_expected_and_who_reads_it(pages):
    publish(pages, "2013-06-10", "2013-06-12")
    empty = replace(published("2013-06-13"), status=PartitionStatus.EMPTY, rows=0, table_version=None)
    pages.ledger.partitions.record([empty])
    shown = pages.page("/features/flight_schedule").text
    assert "1,900 rows on 3 days, 2013-06-10 to 2013-06-13; 1 of them without a row;" in shown
    assert "origin is one of EWR, JFK, LGA." in shown
    assert "plane_seats is between 1 and 600, or it warns." in shown
    assert "carrier is never missing." in shown
    assert "<title>2013-06-11: not published</title>" in shown
    assert '<span class="verdict INCONCLUSIVE">without rows</span>' in shown


def test_before_the_first_day_nothing_is_green_and_an_unknown_view_is_404(pages):
    shown = pages.page("/features/origin_weather").text
    assert "origin_weather: nothing is published yet" in shown
    assert '<section class="banner ">' in shown
    missing = pages.page("/features/nothing_such")
    assert missing.status_code in (403, 404)
    assert "Traceback" not in missing.text
