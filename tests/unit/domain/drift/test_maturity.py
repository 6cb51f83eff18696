"""Overdue labels: which days count, when they are judged, and how far the share may rise."""

from __future__ import annotations

import pytest

from include.domain.drift.maturity import Cohort, LabelMaturity, label_maturity


def days(*labelled: int, rows: int = 100) -> list[Cohort]:
    """The days from 1 June 2013 on, with so many labels each."""
    return [Cohort(f"2013-06-{n:02d}", rows, found) for n, found in enumerate(labelled, start=1)]


def judged(
    cohorts: list[Cohort], reference: float | None = 0.0, *, window_days: int = 7, rise: float = 0.25, least: int = 100
) -> LabelMaturity:
    return label_maturity(cohorts, reference, window_days=window_days, allowed_rise=rise, min_rows=least)


@pytest.mark.parametrize(
    ("window_days", "since", "rows"), [(1, "2013-06-04", 100), (3, "2013-06-02", 300), (9, "2013-06-01", 400)]
)
def test_a_window_is_so_many_days_the_newest_one_included(window_days, since, rows):
    found = judged(days(100, 100, 100, 100), window_days=window_days)
    assert (found.since, found.until, found.rows) == (since, "2013-06-04", rows)


def test_the_days_may_come_in_any_order():
    assert judged(days(100, 50, 0)[::-1]) == judged(days(100, 50, 0))


@pytest.mark.parametrize(("labelled", "overdue"), [(75, False), (74, True)])
def test_labels_are_overdue_where_the_share_rose_by_more_than_is_allowed(labelled, overdue):
    assert judged(days(labelled)).overdue is overdue


def test_the_reason_says_how_many_lack_a_label_since_when_and_what_is_usual():
    assert judged(days(100, 70, 70), 0.02).reason == (
        "20.0% of 300 rows have no label though their label window closed (2013-06-01 to 2013-06-03), in training "
        "2.0%; a rise of 25.0% is allowed."
    )


def test_the_rise_is_held_against_the_share_that_never_comes_in_training():
    found = judged(days(25), 0.5)
    assert (found.missing, found.share, found.rise, found.overdue) == (75, 0.75, 0.25, False)


def test_where_no_reference_says_how_many_never_come_nothing_is_judged_and_all_of_the_share_is_shown():
    found = judged(days(25), None)
    assert (found.overdue, found.rise) == (None, 0.75)
    assert found.reason.endswith("100 rows of closed label windows; how many never come is not known of the reference.")


def test_as_many_rows_as_are_asked_for_are_judged_and_fewer_are_not():
    assert judged(days(0), least=100).overdue is True
    few = judged(days(0), least=101)
    assert few.overdue is None
    assert few.reason.endswith("100 rows of closed label windows; at least 101 needed.")


def test_without_a_day_there_is_nothing_to_miss():
    found = judged([])
    assert (found.overdue, found.rows, found.missing, found.share, found.since) == (None, 0, 0, 0, None)


def test_what_was_judged_is_read_again_as_it_was_written():
    found = judged(days(25), 0.5)
    assert LabelMaturity.from_json(found.as_json()) == found
