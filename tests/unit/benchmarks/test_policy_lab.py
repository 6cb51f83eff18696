"""The laboratory: its worlds are what they say, its yardsticks are fair, and a combination does what its parts say."""

import numpy as np
import pytest

from benchmarks.policy_lab.combinations import CHOSEN, changed
from benchmarks.policy_lab.engine import Engine, policy
from benchmarks.policy_lab.models import Rows, Shelf
from benchmarks.policy_lab.study import outcomes
from benchmarks.policy_lab.today import Today, today
from benchmarks.policy_lab.worlds import KINDS, World, make
from benchmarks.policy_lab.yardsticks import SHADOW_DAYS, every, first_day, hindsight, price_of

SMALL = {"rows_a_day": 60, "days": 330}


@pytest.fixture(scope="module")
def turned() -> Shelf:
    return Shelf(make(World("turned", **SMALL), 0))


@pytest.fixture(scope="module")
def quiet() -> Shelf:
    return Shelf(make(World("quiet", **SMALL), 0))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_world_and_seed_are_the_same_rows(kind):
    one, other = (make(World(kind, days=200, rows_a_day=20), 3) for _ in range(2))
    assert np.array_equal(one.x, other.x)
    assert np.array_equal(one.y, other.y)
    assert not np.array_equal(one.y[:1000], make(World(kind, days=200, rows_a_day=20), 4).y[:1000])


def test_in_a_world_that_turns_the_old_model_loses_from_the_change_on(turned):
    change = turned.stream.changes[0]
    per_row = turned.fit(Rows(20, 110)).loss / turned.counts
    assert per_row[change : change + 60].mean() > 1.2 * per_row[115:change].mean()


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_a_model_that_learned_the_concept_beats_one_that_learned_another(task):
    shelf = Shelf(make(World("turned", task=task, **SMALL), 1))
    change = shelf.stream.changes[0]
    new, old = (shelf.fit(r).loss[change + 60 :].sum() for r in (Rows(change, change + 60), Rows(20, 110)))
    assert new < old


def test_every_model_is_fitted_once(quiet):
    assert quiet.fit(Rows(0, 50)) is quiet.fit(Rows(0, 50))


def test_a_cron_pays_for_each_retrain_and_waits_the_shadow_days(quiet):
    cron, never, price = every(quiet, 30), every(quiet, None), price_of(quiet)
    first = first_day(quiet)
    assert cron.retrains == len(range(first + 30, quiet.stream.days, 30))
    assert [day for day, _ in cron.serving[1:3]] == [first + 30 + SHADOW_DAYS, first + 60 + SHADOW_DAYS]
    assert cron.cost(price) == pytest.approx(cron.loss.sum() + price * cron.retrains)
    assert never.cost(price) == pytest.approx(never.loss.sum())


def test_nothing_learns_from_a_day_before_its_labels_are_known(turned):
    for run in (every(turned, 30), today(turned), policy(CHOSEN)(turned)):
        for day, rows in run.serving[1:]:
            assert rows.last + turned.stream.delay_days + SHADOW_DAYS <= day


def test_the_products_first_candidate_after_a_change_has_learned_from_it(turned):
    replay, change = Today(turned), turned.stream.changes[0]
    replay.run()
    first = next(j for j in replay.journeys if j.as_of > change)
    assert first.made.twin.last > change
    assert len(replay.held_out[first.made]) >= 5


def test_the_chosen_combination_serves_a_model_that_learned_within_three_weeks(turned):
    run, change = policy(CHOSEN)(turned), turned.stream.changes[0]
    learned = [day for day, rows in run.serving if rows.last > change]
    assert learned[0] - change <= 21


def test_the_chosen_combination_costs_less_than_the_cron_and_never_where_the_concept_turns():
    by_policy = {o.policy: o for o in outcomes(World("turned", **SMALL), 2, [policy(CHOSEN)])}
    assert by_policy["chosen"].against_cheaper < 1.0
    assert by_policy["hindsight"].against_cheaper <= by_policy["chosen"].against_cheaper + 0.01


def test_without_a_sensor_or_a_cadence_a_combination_is_never(quiet):
    from benchmarks.policy_lab.sensors import NoSensor

    run = policy(changed("nothing", sensor=NoSensor))(quiet)
    assert run.retrains == 0
    assert run.loss == pytest.approx(every(quiet, None).loss, rel=1e-6)


def test_a_pool_weighs_by_fresh_losses_and_a_twin_stands_in_for_days_that_were_learned(turned):
    engine = Engine(changed("pool", pool=3), turned)
    engine.run()
    assert len(engine.scene.weights) == min(3, len(engine.scene.members))
    assert engine.scene.weights.sum() == pytest.approx(1.0)
    member = engine.scene.members[-1]
    fresh = engine.scene.fresh_loss(member, member.twin.last - 3, member.rows.last)
    assert np.isnan(fresh[:3]).all()
    assert fresh[3:] == pytest.approx(turned.fit(member.twin).loss[member.twin.last : member.rows.last])


def test_a_wait_for_rows_is_kept(turned):
    run = policy(changed("waits", wait_rows=60 * 30))(turned)
    starts = [int(line.split(":")[0]) for line in run.notes if "gain" in line]
    alarms = [int(line.split("since ")[1]) for line in run.notes if "alarm" in line]
    assert starts[0] - turned.stream.delay_days >= alarms[0] + 29


def test_hindsight_is_no_dearer_than_the_schedules(turned):
    price = price_of(turned)
    assert hindsight(turned, price).cost(price) <= 1.01 * min(every(turned, n).cost(price) for n in (None, 30))
