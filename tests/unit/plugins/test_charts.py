"""What the pictures of the pages show and leave out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from include.config.settings import PROJECT


@dataclass
class Day:
    day: str
    realised: dict[str, Any] = field(default_factory=dict)
    estimated: dict[str, Any] = field(default_factory=dict)
    flags: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def charts(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "plugins"))
    from slipway_airflow.pages import charts

    return charts


def days() -> list[Day]:
    """Five days; realised on the first three, for their labels have matured, estimated on all but the void one."""
    known = {"recent_risk": 0.15, "reference_risk": 0.14, "tolerance": 0.01}
    estimates = [{"risk": 0.15}, {"risk": 0.16}, {"risk": 0.9, "void": True}, {"risk": 0.16}, {"risk": 0.17}]
    return [
        Day(f"2013-06-0{i + 1}", known if i < 3 else {}, estimate, {"realised": i == 2})
        for i, estimate in enumerate(estimates)
    ]


def points(svg: str, css: str) -> int:
    """How many points the line of that class has; 0 without one."""
    found = re.search(rf'<polyline class="{css}" points="([^"]*)"', svg)
    return len(found[1].split()) if found else 0


def test_realised_and_estimated_performance_stand_in_one_picture_and_a_void_estimate_is_left_out(charts):
    svg = charts.performance(days(), [], "brier")
    assert points(svg, "candidate") == 3
    assert points(svg, "estimated") == 4
    assert points(svg, "reference") == points(svg, "limit") == 3
    assert svg.count('class="alarm"') == 1


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        (0.02, "worse by up to 0.02 is allowed"),
        (0.0, "worse by up to 0 is allowed"),
        (-0.01, "better by more than 0.01"),
    ],
)
def test_no_bound_is_said_with_two_negatives(charts, bound, said):
    shown = charts.interval({"low": -0.03, "high": 0.004, "bound": bound, "verdict": "PASS"})
    assert f"from 0.03 better to 0.004 worse; {said}" in shown
    assert "by up to -" not in shown


def test_a_confusion_matrix_says_each_cell_and_escapes_its_classes(charts):
    from slipway_airflow.pages import counted

    shown = counted.confusion({"classes": ["<b>no", "yes"], "rows": [[90, 10], [0, 0]]})
    assert "<title>10 of 100 rows of &lt;b&gt;no were answered yes: 10%</title>" in shown
    assert "<title>0 of 0 rows of yes were answered yes: 0%</title>" in shown
    assert "<b>" not in shown
    assert counted.confusion(None) is None


def test_the_anchor_and_its_band_are_drawn_over_the_days_of_an_incident_and_are_in_the_picture(charts):
    over = charts.Anchored("2013-06-01", "2013-06-02", 0.11, 0.12)
    still = charts.Anchored("2013-06-03", None, 0.01, 0.02)
    svg = charts.performance(days(), [], "brier", [over])
    assert points(svg, "anchor") == points(svg, "anchor-band") == 2
    assert points(charts.performance(days(), [], "brier", [still]), "anchor") == 3
    one_day = charts.Anchored("2013-06-05", None, 0.11, 0.12)
    assert points(charts.performance(days(), [], "brier", [one_day]), "anchor") == 0
    heights = [float(y) for y in re.findall(r",([0-9.]+)", re.search(r'class="anchor" points="([^"]*)"', svg)[1])]
    assert all(0 <= y <= 240 for y in heights)


def test_promotions_and_rollbacks_are_lines_at_the_day_or_the_next_judged_one_and_say_what_they_were(charts):
    judged = [d for d in days() if d.day != "2013-06-02"]
    marks = [
        ("2012-12-01", "bootstrap", "v1"),
        ("2013-06-02", "promotion", "v2<b>"),
        ("2013-06-04", "rollback", "v1"),
        ("2013-07-01", "promotion", "v3"),
    ]
    svg = charts.performance(judged, marks, "brier")
    assert re.findall(r'<g class="(mark(?: bad)?)"><title>([^<]*)</title>', svg) == [
        ("mark", "promotion of v2&lt;b&gt; on 2013-06-02"),
        ("mark bad", "rollback of v1 on 2013-06-04"),
    ]


def test_one_day_or_no_number_is_no_picture(charts):
    assert charts.performance(days()[:1], [], "brier") is None
    assert charts.performance([Day("2013-06-01"), Day("2013-06-02")], [], "brier") is None


def test_a_forest_has_a_line_for_each_slice_with_its_allowed_margin(charts):
    criterion = {
        "criterion": "<origin>=EWR",
        "low": -0.01,
        "high": 0.02,
        "bound": 0.01,
        "rows": 3100,
        "verdict": "FAIL",
    }
    svg = charts.forest([criterion, {**criterion, "criterion": "origin=JFK", "low": None}])
    assert svg.count('class="bound"') == 1
    assert "&lt;origin&gt;=EWR" in svg
    assert "fail whisker" in svg
    assert charts.forest([]) is None
