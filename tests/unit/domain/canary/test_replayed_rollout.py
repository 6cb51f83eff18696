"""A rollout of past rows ends as a live one would, and says what it would have cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from include.domain.canary.live_rows import ModelAnswer
from include.domain.canary.plan import CanaryPlan, CanaryStep
from include.domain.canary.replay import PastRow, replayed
from include.domain.canary.wires import Wire
from include.domain.gates.canary import Following

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PLAN = CanaryPlan(
    tuple(CanaryStep(share, rows, MINUTE, 600 * MINUTE) for share, rows in ((50_000, 300), (500_000, 1_000))),
    added_failures=0.05,
    wire=Wire(5, 20),
    mean_delta_at_most=0.1,
    p99_delta_at_most=0.4,
)


def rows(n: int, *, fails: float = 0.0, slower: float = 1.0, apart: float = 0.01, both: float = 0.0) -> list[PastRow]:
    rng = np.random.default_rng(5)
    found = []
    for i in range(n):
        us, score = rng.gamma(4.0, 50.0, 2), float(rng.uniform())
        shared = bool(rng.uniform() < both)
        champion = ModelAnswer(True) if shared else ModelAnswer(False, int(us[0]), score, "late")
        fail = shared or bool(rng.uniform() < fails)
        canary = ModelAnswer(True) if fail else ModelAnswer(False, int(slower * us[1]), score + apart, "late")
        found.append(PastRow(f"q{i}", f"u{i}", NOON + timedelta(seconds=0.1 * i), champion, canary))
    return found


def test_one_that_does_no_harm_goes_through_every_step():
    steps = replayed(PLAN, rows(20_000), salt="a")
    assert [step.then for step in steps] == [Following.RAISE, Following.RAISE]
    assert [step.share_ppm for step in steps] == [50_000, 500_000]
    assert steps[0].answered == pytest.approx(0.05 * steps[0].asked, rel=0.2)
    assert all(step.failed == 0 and step.lasted >= MINUTE for step in steps)


@pytest.mark.parametrize(
    ("harm", "criterion"),
    [
        ({"fails": 0.05}, "more failures"),
        ({"slower": 10.0}, "more slow answers"),
        ({"apart": 0.5}, "mean |canary - champion|"),
        ({"fails": 1.0}, "more failures"),
    ],
)
def test_one_that_does_harm_is_out_at_the_first_step_by_its_reason(harm, criterion):
    (step,) = replayed(PLAN, rows(20_000, **harm), salt="a")
    assert (step.step, step.then, step.caught.criterion) == (0, Following.END, criterion)
    assert step.answered < 500


def test_what_both_fail_on_is_blamed_on_no_one():
    (step,) = replayed(PLAN, rows(2_000, both=1.0), salt="a")
    assert step.then is Following.ASK


def test_rows_that_are_over_tell_nothing_and_none_is_no_step():
    (step,) = replayed(PLAN, rows(1_000), salt="a")
    assert (step.then, step.caught, step.asked) == (Following.WAIT, None, 1_000)
    assert replayed(PLAN, [], salt="a") == []


def test_at_the_end_of_its_time_a_person_is_asked():
    slow = [PastRow(r.asked_id, r.unit, NOON + i * 5 * MINUTE, r.champion, r.canary) for i, r in enumerate(rows(2_000))]
    (step,) = replayed(PLAN, slow, salt="a")
    assert step.then is Following.ASK
    assert step.lasted >= 600 * MINUTE
