"""The verdict of one paired comparison, and its sentence.

Three outcomes, from one interval of the difference (positive: the candidate is worse):
- PASS when its upper bound is within the margin: were the candidate worse by the margin, that would happen with a
  probability of at most alpha.
- FAIL when its lower bound is beyond the margin: the candidate is shown to be too much worse.
- INCONCLUSIVE between: the rows cannot tell. "Not significantly different" is not a pass. The reason says how many
  rows would do.
"""

from __future__ import annotations

from include.domain.comparison import PairedComparison
from include.domain.gates.champion_rules import ComparisonRule
from include.domain.verdicts import CriterionResult, Direction, Verdict
from include.domain.wording import bounds_in_words

NO_GAP = (
    "it is a share of the gap between champion and naive baseline, and the baseline has no such value on these rows. "
    "Declare it in the metric's unit."
)


def judge_comparison(
    rule: ComparisonRule, comparison: PairedComparison, *, criterion: str, min_rows: int
) -> CriterionResult:
    """The verdict of one comparison with the champion."""
    c, name = comparison, criterion
    if c.judged_rows < min_rows:
        verdict, why = (
            Verdict.INCONCLUSIVE,
            f"{name} was compared on {c.judged_rows:,} rows; at least {min_rows:,} are needed.",
        )
    elif (interval := interval_of(c)) is None:
        verdict, why = Verdict.INCONCLUSIVE, f"{name} could not be compared: {c.reason}; that is no evidence."
    elif rule.tolerated.unmeasured:
        verdict, why = Verdict.INCONCLUSIVE, f"{name} has no margin: {NO_GAP}"
    else:
        verdict = _outcome(*interval, rule)
        why = (
            f"{name} {c.candidate:.4g} against the champion's {c.champion:.4g} on {c.about}: "
            f"{difference_in_words(interval, c.alpha)}, {_compared_with(verdict, rule, c)}"
        )
    return CriterionResult(
        criterion=name,
        verdict=verdict,
        measured=c.candidate,
        allowed=rule.allowed(),
        rows=c.rows,
        reason=why,
        direction=Direction.AT_MOST,
        bound=rule.limit,
        margin=rule.margin,
        low=c.low,
        high=c.high,
        champion=c.champion,
    )


def interval_of(c: PairedComparison) -> tuple[float, float, float] | None:
    """The difference with its lower and its upper bound; None where one is missing, which is never evidence."""
    if c.difference is None or c.low is None or c.high is None:
        return None
    return c.difference, c.low, c.high


def _outcome(difference: float, low: float, high: float, rule: ComparisonRule) -> Verdict:
    if rule.measured:
        return Verdict.PASS if difference < rule.limit else Verdict.FAIL
    if (high < rule.limit) if rule.superiority else (high <= rule.limit):
        return Verdict.PASS
    return Verdict.FAIL if low > rule.limit else Verdict.INCONCLUSIVE


def difference_in_words(interval: tuple[float, float, float], alpha: float) -> str:
    """The difference in words: ``worse by 0.0021 (from 0.003 better to 0.0072 worse, each bound at 95 %)``."""
    difference, low, high = interval
    direction = "worse" if difference >= 0 else "better"
    level = f"{100 * (1 - alpha):.4g} %"
    return f"{direction} by {abs(difference):.4g} ({bounds_in_words(low, high)}, each bound at {level})"


def _compared_with(verdict: Verdict, rule: ComparisonRule, c: PairedComparison) -> str:
    by, passed = rule.tolerated, verdict is Verdict.PASS
    claim, holds = f"worse by more than {by}", not passed
    if rule.superiority:
        claim, holds = f"better by more than {by}", passed
    if rule.measured:
        claim, holds = "measured better", passed
    if verdict is not Verdict.INCONCLUSIVE:
        return f"so it is {'' if holds else 'not '}{claim}."
    enough = f"; about {c.sufficient_rows:,} rows would tell for an equal candidate" if c.sufficient_rows else ""
    return f"so these rows cannot tell whether it is {claim}{enough}."
