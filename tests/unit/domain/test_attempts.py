"""What attempts on overlapping days leave of alpha."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from include.domain.attempts import FIRST, Attempts, JudgedAttempt, attempts_up_to, judged_until, parts_of
from include.domain.day_means import DaySpread
from include.domain.intervals import Interval

DAY = timedelta(days=1)
YEARS, ALPHA, FORTNIGHT = 400, 0.05, 14


def judged(
    name: str, start: int, days: int = 14, *, champion: str | None = "champion", changed: int | None = None
) -> JudgedAttempt:
    """On the days from ``start`` of a year on; labels mature two days later."""
    begins = datetime(2013, 1, 1, 0, tzinfo=UTC) + start * DAY
    held_out = Interval(begins, begins + days * DAY)
    changed_on = None if changed is None else date(2013, 1, 1) + changed * DAY
    return JudgedAttempt(name, held_out.end + 2 * DAY, held_out, champion, changed_on)


def test_all_attempts_after_the_first_share_a_quarter_of_alpha_however_many_there_are():
    assert sum(1 / parts_of(k) for k in range(2, 100_000)) == pytest.approx(0.25, abs=1e-4)
    assert [Attempts(k).spent(0.05) for k in (1, 2, 10)] == pytest.approx(
        [sum(0.05 / parts_of(j) for j in range(1, k + 1)) for k in (1, 2, 10)]
    )
    assert Attempts(3).spent(0.05) + Attempts(3).left(0.05) == pytest.approx(0.05 * 1.25)


def test_an_attempt_before_the_first_is_refused():
    with pytest.raises(ValueError, match="the first is 1"):
        Attempts(0)


def test_a_weekly_schedule_on_two_weeks_is_one_chain_and_a_monthly_one_begins_anew_each_time():
    weekly = [judged(f"w{w}", 7 * w) for w in range(5)]
    assert attempts_up_to(weekly[4], weekly[:4]).earlier == ("w0", "w1", "w2", "w3")
    monthly = [judged(f"m{m}", 30 * m) for m in range(5)]
    assert attempts_up_to(monthly[4], monthly[:4]).number == 1


def test_a_retry_of_an_alarm_is_told_until_which_day_its_chain_was_judged():
    chain = [judged("first", 0), judged("second", 10), judged("elsewhere", 60)]
    assert judged_until(judged("mine", 20), chain) == date(2013, 1, 25)
    assert judged_until(judged("mine", 24), chain) is None, "days that only touch are fresh"
    assert judged_until(judged("mine", 20), []) is None
    assert judged_until(judged("mine", 20), [judged("former", 10, champion="former")]) is None


def test_days_that_only_touch_do_not_overlap():
    assert attempts_up_to(judged("mine", 14), [judged("before", 0)]).number == 1
    assert attempts_up_to(judged("mine", 13), [judged("before", 0)]).number == 2


def test_a_promotion_begins_a_new_chain_but_not_on_the_very_same_days():
    former = judged("before", 7, champion="former")
    assert attempts_up_to(judged("mine", 14), [former]).number == 1
    assert attempts_up_to(judged("mine", 7), [former]).number == 2


def test_the_first_champion_and_what_came_before_it_were_no_attempts_at_being_better_than_it():
    rejected, promoted = judged("rejected", 0, champion=None), judged("champion", 3, champion=None)
    again = judged("again", 5)
    assert attempts_up_to(judged("mine", 7), [rejected, promoted]).number == 1
    assert attempts_up_to(judged("mine", 7), [rejected, promoted, again]).earlier == ("again",)
    assert attempts_up_to(judged("mine", 3), [rejected, promoted]).earlier == ("champion",), "the very same days"


def test_an_attempt_whose_champion_is_not_known_counts():
    assert attempts_up_to(judged("mine", 7), [judged("before", 0, champion=None)]).number == 2


def test_what_had_learned_nothing_from_after_the_change_was_no_attempt_at_curing_it():
    scheduled = [judged("s1", 0), judged("s2", 7), judged("s3", 14)]
    assert attempts_up_to(judged("cure", 17, 7, changed=14), scheduled).number == 1
    assert attempts_up_to(judged("cure", 17, 7, changed=13), scheduled).earlier == ("s3",)
    assert attempts_up_to(judged("cure", 14, changed=14), scheduled).earlier == ("s3",), "the very same days"


def test_a_schedule_after_the_cure_counts_it():
    assert attempts_up_to(judged("scheduled", 21), [judged("cure", 17, 7, changed=10)]).number == 2


def test_a_candidate_that_is_judged_again_has_the_same_alpha():
    mine = judged("mine", 7)
    assert attempts_up_to(mine, [judged("before", 0), mine]).number == 2


def test_it_says_when_alpha_is_whole_again():
    found = attempts_up_to(judged("mine", 7), [judged("before", 0)])
    assert found.fresh_from == date(2013, 1, 22)
    later = judged("later", 21)
    assert found.fresh_as_of == later.as_of.date()
    assert attempts_up_to(later, [judged("before", 0), judged("mine", 7)]).number == 1


def test_days_judged_out_of_order_are_waited_for_as_well():
    found = attempts_up_to(judged("mine", 0), [judged("ahead", 7)])
    assert (found.number, found.fresh_from) == (2, date(2013, 1, 22))


def test_a_retry_is_told_what_it_costs_and_a_first_attempt_is_not():
    said = attempts_up_to(judged("mine", 7), [judged("before", 0)]).sentence(0.05)
    assert said == (
        "It is attempt 2 on days that overlap: of alpha 0.05 it has 0.00625, and those after it have 0.00625 together; "
        "alpha is whole again for days from 2013-01-22 on, which a journey as of 2013-02-07 or later is judged on."
    )
    assert FIRST.sentence(0.05) is None


@pytest.mark.slow
@pytest.mark.parametrize("lag", [0.0, 0.3, 0.5])
def test_a_recipe_worse_by_the_margin_passes_in_at_most_one_year_of_ten_if_it_is_judged_every_week(lag):
    """On the newest fortnight, 52 times. By alpha for each it passes in nine years of ten."""
    rng, days = np.random.default_rng([43, int(10 * lag)]), FORTNIGHT + 7 * 51
    z = rng.standard_normal((YEARS, days))
    for i in range(1, days):
        z[:, i] = lag * z[:, i - 1] + np.sqrt(1 - lag * lag) * z[:, i]
    found = [0, 0]
    for year in z:
        lucky = [False, False]
        for week in range(52):
            seen = year[7 * week : 7 * week + FORTNIGHT]
            spread = DaySpread.of(seen - seen.mean())
            if spread.why_too_few is None:
                for i, parts in enumerate((parts_of(week + 1), 1)):
                    lucky[i] |= seen.mean() + spread.half(ALPHA / parts, upper=True) < 0
        found = [n + one for n, one in zip(found, lucky, strict=True)]
    most = stats.binom.ppf(0.995, YEARS, 0.1)
    assert found[0] <= most < stats.binom.ppf(0.01, YEARS, 0.2), "twice the promise would be seen"
    assert found[1] / YEARS >= 0.75
