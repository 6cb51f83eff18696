"""``canary_gate``: what each piece of evidence says of a step, and what follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from include.domain.canary.evidence import Paired, StepEvidence
from include.domain.canary.harm import Harmed
from include.domain.canary.mismatch import Exposed
from include.domain.canary.plan import CanaryPlan, CanaryStep
from include.domain.canary.wires import Wire, Wired
from include.domain.gates import Following, GateResult, Mode, Verdict, canary_gate, following

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
