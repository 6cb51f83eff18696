"""Overdue labels: which days count, when they are judged, and how far the share may rise."""

from __future__ import annotations

import numpy as np
import pytest

from include.domain.drift.maturity import Cohort, LabelMaturity, label_maturity, lacking_by_age, shares_by_age


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


# --- at the same age --------------------------------------------------------------------------------------------------

SLOW = (0.30, 0.20, 0.10, 0.05)
"""In training three tenths had no label when the window closed, and one in twenty never got one."""


def slow_days(count: int, *, worse: float = 0.0) -> list[Cohort]:
    """Days whose labels come as in training, or later by a share; the newest is the last."""
    shares = [SLOW[min(age, len(SLOW) - 1)] + worse for age in range(count)][::-1]
    return [Cohort(f"2013-06-{n:02d}", 100, round(100 * (1 - share))) for n, share in enumerate(shares, start=1)]


def by_age(cohorts: list[Cohort], shares=SLOW, **options) -> LabelMaturity:
    return label_maturity(cohorts, shares, window_days=7, allowed_rise=0.1, min_rows=100, **options)


def test_labels_that_come_as_slowly_as_in_training_are_never_overdue():
    for count in range(1, 15):
        assert by_age(slow_days(count)).rise == pytest.approx(0.0)
    # Held against old days, which have filled up, the same days were overdue each day.
    assert judged(slow_days(1), 0.05, rise=0.1).overdue is True


def test_labels_that_come_more_slowly_than_in_training_are_overdue_at_any_age():
    found = by_age(slow_days(14, worse=0.12))
    assert found.overdue is True
    assert "in training 11.4% at the same age; a rise of 10.0% is allowed." in found.reason


def test_a_feed_of_labels_that_stopped_is_overdue_on_its_first_closed_day():
    assert by_age([*slow_days(6), Cohort("2013-06-07", 100, 0)]).overdue is not None
    assert by_age([Cohort("2013-06-07", 100, 0)]).overdue is True


def test_days_that_are_apart_have_the_age_of_their_dates():
    found = by_age([Cohort("2013-06-04", 100, 95), Cohort("2013-06-07", 100, 70)])
    assert (found.reference_share, found.rise) == (pytest.approx(0.175), pytest.approx(0.0))


def test_without_a_count_by_age_nothing_is_judged():
    assert by_age(slow_days(7), ()).overdue is None


def test_the_share_at_an_age_is_of_the_rows_that_have_reached_it():
    closed_since = np.array([9.0, 9.0, 9.0, 0.5, -2.0])
    came_after = np.array([-1.0, 0.0, 1.0, np.inf, np.inf])
    counted = lacking_by_age(closed_since, came_after, 2)
    assert counted == [(4, 2), (3, 0), (3, 0)]
    assert shares_by_age(counted) == (0.5, 0.0, 0.0)
    assert shares_by_age(counted, [(4, 4), (0, 0), (0, 0)]) == (0.75, 0.0, 0.0)
    assert shares_by_age() == shares_by_age([(0, 0)]) == ()


def test_an_age_that_no_row_has_reached_has_the_share_of_the_age_before_it():
    assert shares_by_age([(4, 2), (3, 0), (0, 0)]) == (0.5, 0.0, 0.0)


def test_where_a_part_was_not_counted_by_age_nothing_is_known_of_the_whole():
    assert shares_by_age([(4, 2), (3, 0)], []) == ()


def test_days_without_a_row_are_held_against_the_share_that_never_comes():
    assert by_age([Cohort("2013-06-07", 0, 0)]).reference_share == 0.05


# --- a window that grows ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("least", "most_days", "rows"),
    [
        pytest.param(100, 4, 100, id="the window has enough"),
        pytest.param(101, 4, 200, id="a row more than it has"),
        pytest.param(200, 4, 200, id="just enough with the day before"),
        pytest.param(999, 3, 300, id="no further back than is allowed"),
    ],
)
def test_a_window_grows_by_whole_days_until_it_has_the_rows(least, most_days, rows):
    found = label_maturity(
        days(100, 100, 100, 100), 0.0, window_days=1, allowed_rise=0.1, min_rows=least, most_days=most_days
    )
    assert found.rows == rows


def test_unless_it_is_said_a_window_does_not_grow():
    assert judged(days(100, 100), window_days=1, least=150).rows == 100
