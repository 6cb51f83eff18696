"""How fresh a feature view is, in words, and who waits for it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from include.workflows.pages.feature_views import freshness_of

BESIDE = "8 days behind the other views"
NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)


def a_view(ends: date | None = None):
    return SimpleNamespace(calendar=SimpleNamespace(starts=date(2013, 1, 1), ends=ends))


@pytest.mark.parametrize(
    ("ends", "newest", "furthest", "late", "words"),
    [
        pytest.param(None, None, None, None, "nothing is published yet", id="nothing"),
        pytest.param(None, "2026-11-27", None, 0, "up to date", id="yesterday is the newest day that is over"),
        pytest.param(None, "2026-11-26", None, 1, "1 day late", id="a day"),
        pytest.param(None, "2026-11-19", "2026-11-27", 8, "8 days late", id="eight days"),
        pytest.param(None, "2026-12-03", None, 0, "up to date", id="known ahead"),
        pytest.param(date(2014, 1, 1), "2013-12-31", None, 0, "complete, to the end of its calendar", id="complete"),
        pytest.param(date(2014, 1, 1), "2013-06-10", "2013-06-18", 8, "8 days behind the other views", id="replay"),
        pytest.param(date(2014, 1, 1), "2013-06-18", "2013-06-18", 0, "up to date", id="replay, even with the others"),
        pytest.param(date(2026, 12, 1), "2026-11-24", None, 3, "3 days late", id="its end is yet to come"),
    ],
)
def test_a_view_says_how_late_it_is(ends, newest, furthest, late, words):
    found = freshness_of(a_view(ends), newest, furthest, NOW)
    assert (found.newest, found.days_late, found.words) == (newest, late, words)
