"""``slipway simulate --weight``: rows count by a column in fits, gates, the shadow window, the sensor and the costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from simulated_tables import EAGER, ESTIMATOR, KINDS, ROWS_A_DAY, a_table, policy

from include.domain.simulation.outcome import PolicyKind
from include.domain.weights import BadWeights
from include.workflows.simulation.run import range_of, simulate
from include.workflows.simulation.settings import TableModel, declared_for, variants
from include.workflows.simulation.stream import Columns, from_frame
from include.workflows.simulation.yardsticks import Yardsticks

TURNS = 50


def weighed(table, *settings, weight="w"):
    past = from_frame(table, Columns("t", "y", weight=weight), KINDS, classifier=True)
    given = TableModel(ESTIMATOR, {}, "y", timedelta(days=2), train_days=20, holdout_days=7, weight=weight)
    model = declared_for(given, past.stream)
    chosen = variants(model, [[*EAGER, *settings]], None)[1]
    stream = past.delayed(model.label.delay)
    interval = range_of(stream, chosen.model, None, None)
    yardsticks = replace(Yardsticks((), 0, hindsight=False), price=0.0)
    return simulate("a table", [chosen], lambda _: stream, interval, yardsticks=yardsticks)


def half_turned():
    """Every second row turns round on the fiftieth of ninety days; the others never do."""
    steady, turned = a_table(90), a_table(90, turns_on=TURNS)
    second = np.arange(len(steady)) % 2 == 1
    return steady.assign(y=np.where(second, turned["y"], steady["y"])), second


def told(found):
    declared = policy(found, PolicyKind.DECLARED)
    return [d.rule for d in declared.decisions], [j.verdicts for j in declared.journeys], declared.serving


def test_rows_of_one_weight_whatever_its_unit_are_simulated_as_those_without():
    table = a_table(75, turns_on=40)
    plain, same = weighed(table, weight=None), weighed(table.assign(w=7.0))
    assert told(same) == told(plain)
    assert policy(plain, PolicyKind.DECLARED).journeys
    for one, other in zip(same.policies, plain.policies, strict=True):
        assert one.total_loss == pytest.approx(other.total_loss, rel=1e-6)


def test_an_alarm_is_of_the_rows_that_count():
    table, second = half_turned()
    found = {
        kind: policy(weighed(table.assign(w=np.where(second == kind, 1.0, 0.0))), PolicyKind.DECLARED)
        for kind in (False, True)
    }
    assert found[False].actions["retrain"] == 0  # the half that never turns
    assert found[True].actions["retrain"] > 0


def test_what_a_policy_costs_is_the_weighted_loss_of_its_rows():
    table, second = half_turned()
    heavy = policy(weighed(table.assign(w=np.where(second, 3.0, 1.0))), PolicyKind.NEVER)
    light = policy(weighed(table.assign(w=np.where(second, 1.0, 3.0))), PolicyKind.NEVER)
    # From the fiftieth day on the heavy rows are answered the wrong way round.
    assert heavy.total_loss > 1.5 * light.total_loss


def test_a_weight_that_is_missing_is_one_line():
    table = a_table(60).assign(w=1.0)
    table.loc[3 * ROWS_A_DAY, "w"] = np.nan
    with pytest.raises(BadWeights, match=r"--weight 'w' of row 181 is nan; a weight is a finite number of 0 or more\."):
        weighed(table)
