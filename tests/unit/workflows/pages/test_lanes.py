"""Not judged is never green: what a day's lanes are called on a page, and the colour that follows."""

from __future__ import annotations

import pytest

from include.domain.decision import RULES
from include.workflows.pages import drift
from include.workflows.pages.lanes import SHOWN, WORDS, lanes_of, tone


def test_every_rule_of_the_sensor_has_its_sentence_on_the_page_and_no_other_has():
    assert set(drift.RULES) == {rule.name for rule in RULES}


def test_every_lane_of_the_flags_is_shown():
    assert set(SHOWN) == set(WORDS)
    assert [lane.title for lane in lanes_of({})] == [
        "Realised performance",
        "Estimated performance",
        "Prediction drift",
        "Input drift",
    ]


@pytest.mark.parametrize(
    ("flag", "shown"),
    [(True, ("FAIL", "out of its band")), (False, ("PASS", "in its band")), (None, ("NONE", "not judged"))],
)
def test_a_lane_has_three_states(flag, shown):
    realised = lanes_of({"flags": {"realised": flag}, "realised": {"reason": "brier 0.17"}})[0]
    assert (realised.verdict, realised.word) == shown
    assert realised.reason == "brier 0.17"


def test_a_lane_that_an_older_report_does_not_know_was_not_judged():
    assert [(lane.verdict, lane.reason) for lane in lanes_of({})] == [("NONE", "It was not measured then.")] * 4
    estimated = lanes_of({"flags": {}, "estimated": None})[1]
    assert (estimated.word, estimated.reason) == ("not judged", "It was not measured then.")


@pytest.mark.parametrize(
    ("action", "realised", "colour"),
    [
        pytest.param("escalate", False, "bad", id="a person is asked"),
        pytest.param("retrain", True, "waits", id="a journey starts"),
        pytest.param("suppress", True, "waits", id="a journey waits"),
        pytest.param("log", True, "waits", id="out of its band, in too few reports"),
        pytest.param("log", False, "good", id="in its band"),
        pytest.param("log", None, "", id="no label has matured"),
        pytest.param("", False, "", id="not decided yet"),
    ],
)
def test_green_needs_performance_that_was_judged(action, realised, colour):
    assert tone(action, {"realised": realised}) == colour
    if realised is None:
        assert tone(action, {}) == colour
