"""The criteria a staged interval is judged by, one fault at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from include.adapters.expectations import ExpectationOutcome, ExpectationResult
from include.config.types import FeatureView
from include.domain.intervals import Interval
from include.domain.verdicts import Mode, Verdict
from include.workflows.features.audit import judge, nothing_to_judge, own_checks

TIMES = pa.timestamp("us", tz="UTC")
DAYS = Interval.between("2024-03-10", "2024-03-12")
VIEW = FeatureView.model_validate(
    {
        "name": "levels",
        "description": "d",
        "owner": "o",
        "calendar": {"starts": "2024-03-01"},
        "keys": ["station"],
        "ttl": "6h",
        "columns": [{"name": "level"}],
        "source": [{"table": "readings"}],
        "quality": {
            "min_rows": 2,
            "max_null_share": {"level": 0.5},
            "expectations": [
                {"expectation": "expect_column_mean_to_be_between", "kwargs": {"column": "level", "max_value": 9}}
            ],
        },
    }
)


def hour(count: int) -> datetime:
    return datetime(2024, 3, 10, tzinfo=UTC) + timedelta(hours=count)


def rows(**changes: pa.Array) -> pa.Table:
    """Two rows on each of two days."""
    columns = {
        "station": pa.array(["a", "b", "a", "b"]),
        "level": pa.array([1.0, None, 3.0, 4.0]),
        "event_time": pa.array([hour(1), hour(1), hour(25), hour(25)], TIMES),
        "available_time": pa.array([hour(2), hour(2), hour(26), hour(26)], TIMES),
        "day": pa.array(["2024-03-10", "2024-03-10", "2024-03-11", "2024-03-11"]),
    }
    return pa.table({**columns, **changes})


def failed(table: pa.Table) -> dict[str, float | None]:
    return {c.criterion: c.measured for c in own_checks(VIEW, table, DAYS) if c.verdict is not Verdict.PASS}


def found(outcome: ExpectationOutcome, severity: str = "critical") -> ExpectationResult:
    return ExpectationResult("expect_column_mean_to_be_between", "level", severity, outcome, None, "observed 12")


def test_sound_rows_pass():
    assert failed(rows()) == {}


@pytest.mark.parametrize(
    ("table", "criterion", "measured"),
    [
        pytest.param(rows(station=pa.array(["a", None, "a", "b"])), "missing_keys", 1, id="a missing key"),
        pytest.param(rows(station=pa.array(["a", "a", "a", "b"])), "duplicate_keys", 1, id="a repeated key"),
        pytest.param(
            rows(available_time=pa.array([hour(2), None, None, hour(26)], TIMES)),
            "missing_times",
            2,
            id="a missing time",
        ),
        pytest.param(
            rows(event_time=pa.array([hour(1), hour(48), hour(25), hour(25)], TIMES)),
            "event_times_outside",
            1,
            id="the end itself",
        ),
        pytest.param(
            rows(event_time=pa.array([hour(1), hour(-1), hour(25), hour(25)], TIMES)),
            "event_times_outside",
            1,
            id="before the start",
        ),
        pytest.param(
            rows(level=pa.array([1.0, float("inf"), float("-inf"), 4.0])), "infinite_values", 2, id="infinity"
        ),
        pytest.param(rows(level=pa.array([1.0, 2.0, None, None])), "null_share.level", 1.0, id="a day all missing"),
        pytest.param(
            rows(available_time=pa.array([hour(2)] * 4, pa.timestamp("ns", tz="UTC"))),
            "times_of_another_unit",
            1,
            id="nanoseconds",
        ),
    ],
)
def test_each_fault_fails_its_own_criterion(table, criterion, measured):
    assert failed(table)[criterion] == measured


def test_a_thin_day_fails_even_where_the_interval_has_rows_enough():
    thin = rows().filter(pa.array([True, True, True, False]))
    assert failed(thin)["min_rows"] == 1
    assert "2024-03-11" in next(c.reason for c in own_checks(VIEW, thin, DAYS) if c.criterion == "min_rows")


def test_an_empty_suite_passes_nothing():
    unchecked = VIEW.model_copy(update={"quality": VIEW.quality.model_copy(update={"expectations": []})})
    assert {c.criterion: c.verdict for c in own_checks(unchecked, rows(), DAYS)}["expectations"] is Verdict.FAIL


@pytest.mark.parametrize(
    ("outcome", "severity", "verdict"),
    [
        (ExpectationOutcome.MET, "critical", Verdict.PASS),
        (ExpectationOutcome.UNMET, "critical", Verdict.FAIL),
        (ExpectationOutcome.BROKEN, "critical", Verdict.INCONCLUSIVE),
        (ExpectationOutcome.UNMET, "warning", Verdict.PASS),
        (ExpectationOutcome.BROKEN, "warning", Verdict.PASS),
    ],
)
def test_a_critical_expectation_decides_and_a_warning_is_a_note(outcome, severity, verdict):
    result = judge(VIEW, own_checks(VIEW, rows(), DAYS), [found(outcome, severity)], 4, empty_days=[])
    assert (result.verdict, result.mode) == (verdict, Mode.BLOCKING)
    assert bool(result.notes["warnings"]) is (severity == "warning")


def test_f008_no_rows_are_no_pass():
    result = nothing_to_judge(DAYS)
    assert (result.verdict, result.mode) == (Verdict.INCONCLUSIVE, Mode.ADVISORY)
    assert result.notes["empty_days"] == ["2024-03-10", "2024-03-11"]
