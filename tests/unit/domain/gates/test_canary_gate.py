"""``canary_gate``: what each piece of evidence says of a step, and what follows."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from include.domain.canary.evidence import Paired, StepEvidence
from include.domain.canary.harm import Harmed, harm_evidence
from include.domain.canary.mismatch import Exposed
from include.domain.canary.plan import CanaryPlan, CanaryStep
from include.domain.canary.rates import added_at_most
from include.domain.canary.wires import Wire, Wired
from include.domain.gates import Following, GateResult, Mode, Verdict, canary_gate, following
from include.domain.gates.canary import _time, guarded
from include.domain.verdicts import Direction

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
PLAN = CanaryPlan(
    steps=(CanaryStep(10_000, 500, 15 * MINUTE, 5 * DAY), CanaryStep(500_000, 10_000, 60 * MINUTE, 5 * DAY)),
    added_failures=0.01,
    wire=Wire(5, 20),
    mean_delta_at_most=0.05,
    p99_delta_at_most=0.3,
    decisions_differ_at_most=0.1,
)
WELL = StepEvidence(
    number=1,
    step=0,
    elapsed=15 * MINUTE,
    rows=500,
    canary=(0, 500),
    champion=(50, 49_500),
    failed=(Harmed(10_000, 0, 50),),
    slow=(Harmed(10_000, 5, 495),),
    exposed=(Exposed(10_000, 500, 49_500),),
    wired=Wired.QUIET,
    paired=Paired(500, 0.05, 0.3, 0.1),
)


def judged(**changes: object) -> GateResult:
    return canary_gate(PLAN, replace(WELL, **changes), mode=Mode.BLOCKING)


def next_of(**changes: object) -> Following:
    evidence = replace(WELL, **changes)
    return following(PLAN, evidence, canary_gate(PLAN, evidence, mode=Mode.BLOCKING))


def said(result: GateResult, criterion: str) -> tuple[Verdict, str]:
    found = next(c for c in result.criteria if c.criterion == criterion)
    return found.verdict, found.reason


class TestJudgedStepOfACanary:
    def test_a_canary_that_is_well_at_every_bound_passes_and_gets_the_next_share(self):
        result = judged()
        assert (result.verdict, next_of()) == (Verdict.PASS, Following.RAISE)
        assert result.notes["total_alpha"] == pytest.approx(0.01)
        assert [c.criterion for c in result.criteria] == [
            "units drawn as declared",
            "hard wire",
            "more failures",
            "more slow answers",
            "added failures",
            "mean |canary - champion|",
            "p99 |canary - champion|",
            "decided differently",
            "rows",
            "time",
        ]

    @pytest.mark.parametrize("changes", [{"rows": 499}, {"elapsed": 15 * MINUTE - timedelta(seconds=1)}])
    def test_it_needs_the_rows_and_the_time(self, changes):
        assert (judged(**changes).verdict, next_of(**changes)) == (Verdict.INCONCLUSIVE, Following.WAIT)

    def test_f083_more_failures_than_the_champions_are_a_fail_before_the_rows_and_the_time(self):
        early = {"rows": 60, "elapsed": MINUTE, "failed": (Harmed(10_000, 3, 1),), "canary": (3, 60)}
        result = judged(**early)
        assert (result.verdict, next_of(**early)) == (Verdict.FAIL, Following.END)
        assert result.reason == (
            "The canary has more failures than the champion: of 4 units with failures 3 are the canary's, and 0.04 are "
            "expected."
        )

    def test_f084_more_slow_answers_without_any_failure_are_a_fail(self):
        result = judged(slow=(Harmed(10_000, 12, 30),))
        assert result.verdict is Verdict.FAIL
        assert result.reason.startswith("The canary has more slow answers than the champion")

    def test_evidence_of_earlier_steps_counts(self):
        steps = (Harmed(10_000, 1, 1), Harmed(500_000, 6, 0))
        alone = judged(step=1, failed=steps[1:])
        both = judged(step=1, failed=steps)
        assert said(alone, "more failures")[0] is Verdict.PASS
        assert said(both, "more failures")[0] is Verdict.FAIL

    def test_the_hard_wire_is_a_fail_at_once(self):
        changes = {"wired": Wired.CANARY, "rows": 5, "elapsed": MINUTE}
        assert (judged(**changes).verdict, next_of(**changes)) == (Verdict.FAIL, Following.END)
        assert said(judged(**changes), "hard wire")[1] == (
            "The canary failed on 5 of 20 rows that the champion answered."
        )

    def test_f085_where_both_fail_the_canary_is_not_blamed_and_a_person_is_asked(self):
        result = judged(wired=Wired.BOTH)
        assert (result.verdict, next_of(wired=Wired.BOTH)) == (Verdict.INCONCLUSIVE, Following.ASK)
        assert "neither is blamed" in result.reason

    def test_f086_times_that_are_not_known_are_no_evidence(self):
        result = judged(slow=None)
        assert (result.verdict, next_of(slow=None)) == (Verdict.INCONCLUSIVE, Following.WAIT)
        assert (
            result.reason == "The champion's times are not known, so no answer can be called slow; that is no evidence."
        )

    def test_f087_without_traffic_nothing_passes_and_at_the_end_of_its_time_a_person_is_asked(self):
        none = {
            "rows": 0,
            "canary": (0, 0),
            "champion": (0, 0),
            "failed": (),
            "slow": (),
            "exposed": (Exposed(10_000, 0, 0),),
            "paired": None,
        }
        assert {c.verdict for c in judged(**none).criteria if c.criterion != "time"} == {Verdict.INCONCLUSIVE}
        assert next_of(**none) is Following.WAIT
        assert next_of(**none, elapsed=5 * DAY) is Following.ASK

    def test_f086_nothing_known_is_no_pass(self):
        result = canary_gate(PLAN, None, mode=Mode.BLOCKING)
        assert (result.verdict, result.reason) == (
            Verdict.INCONCLUSIVE,
            "Nothing is known of the canary: no answer was counted, so it cannot pass.",
        )

    def test_f173_where_units_are_not_drawn_as_declared_nothing_compared_is_evidence(self):
        broken = {"exposed": (Exposed(10_000, 900, 49_100),), "failed": (Harmed(10_000, 9, 1),)}
        result = judged(**broken)
        assert (result.verdict, next_of(**broken)) == (Verdict.INCONCLUSIVE, Following.ASK)
        assert said(result, "more failures")[0] is Verdict.INCONCLUSIVE
        assert said(result, "added failures")[0] is Verdict.INCONCLUSIVE
        assert result.reason == (
            "Units do not come into the canary as drawn: of 50,000 units 1.8 % came into the canary, and 1 % are "
            "declared. Nothing that was compared is evidence; its share must end until the reason is found."
        )

    def test_its_notes_say_which_step_of_which_rollout_it_was(self):
        found = judged(number=3, step=1, elapsed=90 * MINUTE).notes
        assert found.pop("total_alpha") == pytest.approx(0.01)
        assert found == {"number": 3, "step": 1, "share_ppm": 500_000, "elapsed_s": 5400.0}

    def test_evidence_is_shown_with_what_it_takes_and_with_units_though_its_number_would_be_too_large(self):
        found = {c.criterion: c for c in judged(failed=(Harmed(10_000, 400, 0),)).criteria}
        drawn, failures, slow = (found[n] for n in ("units drawn as declared", "more failures", "more slow answers"))
        assert [c.allowed for c in (drawn, failures, slow)] == [f"evidence < {n}" for n in ("1,000", "111", "1,000")]
        assert [c.bound for c in (drawn, failures, slow)] == [1000, pytest.approx(1 / 0.009), 1000]
        assert [c.rows for c in (drawn, failures, slow)] == [50_000] * 3
        assert failures.measured == pytest.approx(math.exp(600))
        assert "400 are the canary's, and 4 are expected" in failures.reason
        assert slow.measured == pytest.approx(math.exp(harm_evidence(WELL.slow)))

    def test_units_that_nobody_counted_are_no_wrong_draw_so_it_waits(self):
        nobody = {"exposed": (Exposed(10_000, 0, 0),)}
        assert said(judged(**nobody), "units drawn as declared")[0] is Verdict.INCONCLUSIVE
        assert next_of(**nobody) is Following.WAIT

    def test_the_newest_share_is_the_one_that_is_told(self):
        shares = (Exposed(10_000, 100, 9_900), Exposed(500_000, 3, 1))
        assert said(judged(step=1, exposed=shares), "units drawn as declared") == (
            Verdict.PASS,
            "Units come into the canary as drawn: of 4 units 75 % came into the canary, and 50 % are declared.",
        )

    def test_rates_are_shown_with_both_arms_and_without_units_none_is(self):
        found = next(c for c in judged(canary=(2, 500)).criteria if c.criterion == "added failures")
        assert (found.measured, found.champion, found.rows, found.margin) == (0.004, 50 / 49_500, 500, 0.02)
        assert found.high == added_at_most((2, 500), WELL.champion, 0.05)
        assert found.reason == (
            "The canary fails on 2 of 500 units, the champion on 50 of 49,500: at most "
            f"{100 * found.high:.3g} points more, and 2 are tolerated at the next share."
        )
        for arms in ({"canary": (0, 0)}, {"champion": (0, 0)}):
            found = next(c for c in judged(**arms).criteria if c.criterion == "added failures")
            assert (found.verdict, found.high) == (Verdict.INCONCLUSIVE, None)
            assert (found.measured is None, found.champion is None) == ("canary" in arms, "champion" in arms)

    def test_a_bound_that_is_just_met_is_within(self):
        high = added_at_most(WELL.canary, WELL.champion, PLAN.shown_alpha)
        plan = replace(PLAN, steps=PLAN.steps[:1], added_failures=high)
        found = canary_gate(plan, WELL, mode=Mode.BLOCKING)
        assert said(found, "added failures")[0] is Verdict.PASS

    @pytest.mark.parametrize(("rows", "verdict"), [(450, Verdict.PASS), (449, Verdict.INCONCLUSIVE)])
    def test_a_tenth_of_the_rows_may_have_failed_and_not_be_compared(self, rows, verdict):
        assert judged(paired=Paired(rows, 0.05, 0.3, 0.1)).verdict is verdict

    def test_at_least_one_row_is_compared_however_few_a_step_asks_for(self):
        plan = replace(PLAN, steps=(replace(PLAN.steps[0], min_rows=1), PLAN.steps[1]))
        one = replace(WELL, rows=1, paired=Paired(1, 0.05, 0.3, 0.1))
        none = replace(WELL, rows=1, paired=Paired(0, 0.05, 0.3, 0.1))
        of_both = [canary_gate(plan, each, mode=Mode.BLOCKING).verdict for each in (one, none)]
        assert of_both == [Verdict.PASS, Verdict.INCONCLUSIVE]

    def test_rows_and_time_are_shown_with_what_is_needed(self):
        found = {c.criterion: c for c in judged(rows=499, elapsed=15 * MINUTE).criteria}
        rows, time = found["rows"], found["time"]
        assert (rows.measured, rows.bound, rows.rows, rows.allowed) == (499, 500, 499, ">= 500")
        assert (time.measured, time.bound, time.rows, time.allowed) == (900, 900, 499, ">= 15 min")
        assert (rows.direction, time.direction) == (Direction.AT_LEAST, Direction.AT_LEAST)
        assert time.reason == "The step has lasted 15 min; at least 15 min are needed."

    def test_a_time_is_said_in_its_largest_whole_unit(self):
        times = (timedelta(), timedelta(seconds=59), timedelta(hours=25), timedelta(days=2), MINUTE)
        assert [_time(each) for each in times] == ["0 s", "59 s", "25 h", "2 d", "1 min"]

    def test_where_nothing_was_counted_no_row_is_claimed_and_it_is_said_what_it_would_take(self):
        assert [c.rows for c in canary_gate(PLAN, None, mode=Mode.BLOCKING).criteria] == [0]
        found = {c.criterion: c for c in judged(slow=None, paired=None, exposed=(Exposed(10_000, 0, 0),)).criteria}
        slow, drawn = found["slow answers"], found["units drawn as declared"]
        assert [(c.measured, c.rows, c.allowed) for c in (slow, drawn)] == [(None, 0, "evidence < 1,000")] * 2
        assert found["mean |canary - champion|"].rows == 0
        assert found["more failures"].reason == "No unit was answered, so failures could not be counted."

    def test_after_one_unit_more_failures_are_not_shown(self):
        assert said(judged(exposed=(Exposed(10_000, 0, 1),)), "more failures")[0] is Verdict.PASS

    @pytest.mark.parametrize(
        ("changes", "shown"), [({}, True), ({"canary": (0, 0)}, False), ({"champion": (0, 0)}, False)]
    )
    def test_however_much_is_tolerated_each_arm_must_have_a_unit(self, changes, shown):
        plan = replace(PLAN, steps=(replace(PLAN.steps[0]), CanaryStep(50_000, 500, MINUTE, DAY)), added_failures=0.1)
        assert plan.margin_of(0) == 2
        found = canary_gate(
            plan, replace(WELL, **{"canary": (0, 1), "champion": (0, 1), **changes}), mode=Mode.BLOCKING
        )
        assert (said(found, "added failures")[0] is Verdict.PASS) is shown

    def test_a_wrong_draw_of_an_earlier_share_ends_a_share_that_no_unit_came_into(self):
        shares = (Exposed(10_000, 900, 49_100), Exposed(500_000, 0, 0))
        assert next_of(step=1, exposed=shares) is Following.ASK

    def test_before_the_end_of_its_time_it_waits(self):
        assert next_of(rows=0, elapsed=5 * DAY - timedelta(seconds=1)) is Following.WAIT

    def test_the_hard_wire_needs_no_draw(self):
        assert judged(exposed=(Exposed(10_000, 900, 49_100),), wired=Wired.CANARY).verdict is Verdict.FAIL

    def test_what_the_next_share_cannot_bear_waits(self):
        # 1 point of all at a share of a half is 2 points of the canary's.
        changes = {"canary": (9, 500), "failed": (Harmed(10_000, 0, 50),)}
        result = judged(**changes)
        assert (result.verdict, next_of(**changes)) == (Verdict.INCONCLUSIVE, Following.WAIT)
        assert "and 2 are tolerated at the next share" in result.reason

    def test_the_last_step_must_bear_all(self):
        assert said(judged(canary=(2, 500)), "added failures")[0] is Verdict.PASS
        assert said(judged(step=1, canary=(2, 500)), "added failures")[0] is Verdict.INCONCLUSIVE
        last = judged(step=1, canary=(2, 10_000), champion=(2, 10_000))
        assert said(last, "added failures")[0] is Verdict.PASS

    @pytest.mark.parametrize(
        ("paired", "criterion"),
        [
            (Paired(500, 0.0501, 0.3, 0.1), "mean |canary - champion|"),
            (Paired(500, 0.05, 0.301, 0.1), "p99 |canary - champion|"),
            (Paired(500, 0.05, 0.3, 0.101), "decided differently"),
        ],
    )
    def test_predictions_beyond_a_bound_are_a_fail(self, paired, criterion):
        result = judged(paired=paired)
        assert (result.verdict, said(result, criterion)[0]) == (Verdict.FAIL, Verdict.FAIL)

    @pytest.mark.parametrize("paired", [None, Paired(400, 0.9, 0.9, 0.9), Paired(500, float("nan"), None, None)])
    def test_predictions_that_were_not_compared_on_enough_rows_are_no_evidence(self, paired):
        assert judged(paired=paired).verdict is Verdict.INCONCLUSIVE

    def test_bounds_that_are_not_declared_are_not_judged(self):
        plan = replace(PLAN, p99_delta_at_most=None, decisions_differ_at_most=None)
        result = canary_gate(plan, replace(WELL, paired=Paired(500, 0.01)), mode=Mode.BLOCKING)
        assert result.verdict is Verdict.PASS


class TestWhatEndsAShareAtOnce:
    """What the guard of a service asks, without the rows and the time that a step needs."""

    WRONG_DRAW = (Exposed(10_000, 900, 49_100),)
    HARM = (Harmed(10_000, 9, 1),)

    def ends(self, **changes):
        found = guarded(PLAN, replace(WELL, rows=60, elapsed=MINUTE, **changes))
        return None if found is None else (found[0], found[1].criterion)

    def test_what_is_only_not_shown_yet_ends_nothing(self):
        assert self.ends() is None
        assert self.ends(slow=None, paired=None, canary=(9, 60)) is None
        assert self.ends(exposed=(Exposed(10_000, 0, 0),), failed=(), slow=()) is None

    def test_a_canary_that_did_harm_loses_its_share(self):
        assert self.ends(wired=Wired.CANARY) == (Following.END, "hard wire")
        assert self.ends(failed=self.HARM) == (Following.END, "more failures")
        assert self.ends(slow=self.HARM) == (Following.END, "more slow answers")

    def test_where_both_fail_or_units_are_not_drawn_as_declared_a_person_is_asked(self):
        assert self.ends(wired=Wired.BOTH) == (Following.ASK, "hard wire")
        assert self.ends(exposed=self.WRONG_DRAW) == (Following.ASK, "units drawn as declared")
        empty = Exposed(500_000, 0, 0)
        assert self.ends(exposed=(*self.WRONG_DRAW, empty)) == (Following.ASK, "units drawn as declared")

    def test_harm_is_no_evidence_where_units_are_not_drawn_as_declared_and_the_hard_wire_is(self):
        assert self.ends(exposed=self.WRONG_DRAW, failed=self.HARM) == (Following.ASK, "units drawn as declared")
        assert self.ends(exposed=self.WRONG_DRAW, wired=Wired.CANARY) == (Following.END, "hard wire")

    def test_harm_that_is_shown_ends_it_also_while_both_fail_as_the_gate_has_it(self):
        changes = {"wired": Wired.BOTH, "failed": self.HARM}
        assert self.ends(**changes) == (Following.END, "more failures")
        assert next_of(**changes) is Following.END


class TestPlanOfACanary:
    def test_it_is_kept_whole(self):
        assert CanaryPlan.from_json(PLAN.as_json()) == PLAN

    @pytest.mark.parametrize("shares", [(), (0,), (1_000_000,), (10_000, 10_000), (10_000, 5_000)])
    def test_f088_shares_that_do_not_grow_below_all_are_refused(self, shares):
        with pytest.raises(ValueError, match="must grow"):
            replace(PLAN, steps=tuple(CanaryStep(s, 1, MINUTE, DAY) for s in shares))

    def test_f088_the_last_share_is_exactly_the_declared_one_and_then_comes_all(self):
        plan = replace(PLAN, steps=tuple(CanaryStep(s, 1, MINUTE, DAY) for s in (300_000, 500_000)))
        assert (plan.margin_of(0), plan.margin_of(1)) == (pytest.approx(0.02), pytest.approx(0.01))

    def test_a_step_bears_what_the_next_of_three_shares_can(self):
        plan = replace(PLAN, steps=tuple(CanaryStep(s, 1, MINUTE, DAY) for s in (10_000, 100_000, 500_000)))
        assert [plan.margin_of(step) for step in range(3)] == pytest.approx([0.1, 0.02, 0.01])

    def test_the_smallest_and_the_largest_shares_are_allowed(self):
        shares = (1, 999_999)
        plan = replace(PLAN, steps=tuple(CanaryStep(s, 1, MINUTE, DAY) for s in shares))
        assert tuple(step.share_ppm for step in plan.steps) == shares

    def test_what_is_left_out_is_one_chance_in_a_hundred_of_a_wrong_rollback(self):
        assert PLAN.total_alpha == pytest.approx(0.01)
        assert (PLAN.failures_alpha, PLAN.slow_alpha) == (0.009, 0.001)
        assert (PLAN.shown_alpha, PLAN.mismatch_alpha) == (0.05, 0.001)
