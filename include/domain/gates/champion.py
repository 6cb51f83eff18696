"""``champion_gate``: no worse than the champion by more than a margin, and better than a naive baseline.

Three outcomes for each comparison, from one interval of the difference (positive: the candidate is worse):
- PASS when its upper bound is within the margin: were the candidate worse by the margin, that would happen with a
  probability of at most alpha. All comparisons must pass, so their number costs no further alpha (Berger 1982,
  "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24:295-300).
- FAIL when its lower bound is beyond the margin: the candidate is shown to be too much worse.
- INCONCLUSIVE between: the rows cannot tell. "Not significantly different" is not a pass. The reason says how many
  rows would do.

It is compared with the anchor as well, the champion that small losses are counted from (``anchor``), where that
is another one: no worse by the same margins, so that a series of small losses does not add up.

On the replay window, the days before the drift, the candidate must be no worse by the same test; superiority is not
asked there.

The baseline must be beaten by the same kind of evidence: PASS when the whole interval is on the good side, FAIL when
the candidate is not even measured better, INCONCLUSIVE when it is better by less than the noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from include.domain.attempts import FIRST, Attempts
from include.domain.comparison import PairedComparison, PairedScores, bootstrap_upper, compare
from include.domain.errors import Refusal
from include.domain.gates.anchor import NO_ANCHOR, AnchorEvidence
from include.domain.gates.evidence import Evidence
from include.domain.metrics import Metric
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict

ANCHOR = "anchor "
"""Before the name of each comparison with the anchor."""
REPLAY = "replay "
"""Before the name of each criterion of the replay window."""


class BadRule(Refusal, ValueError):
    """A rule that cannot be judged by; the message says which field, its value, and what is allowed."""


class FirstDeployment(Enum):
    """What replaces the comparison while a model has no champion."""

    BASELINE_ONLY = "baseline_only"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class ComparisonRule:
    """One paired comparison.

    ``margin`` (at least 0, in the metric's unit) is the loss that is tolerated; with ``superiority`` it is the gain
    that is demanded, and must be exceeded. ``alpha`` is this comparison's own, where it is not that of the rules. With
    ``measured`` the gain itself is judged and not its bound, beside a margin that is.
    """

    metric: str | Metric
    margin: float
    superiority: bool = False
    alpha: float | None = None
    measured: bool = False

    def __post_init__(self) -> None:
        if not np.isfinite(self.margin) or self.margin < 0:
            raise BadRule(f"margin of {self.metric} is {self.margin}; a margin is at least 0, in the metric's unit.")

    @property
    def criterion(self) -> str:
        """What the comparison is called: the metric, or for one that an alarm adds the gain in it."""
        return str(self.metric) if self.alpha is None else f"gain in {self.metric}"

    @property
    def limit(self) -> float:
        """Where the upper bound of the difference must be: at most the margin, or below its negative."""
        return -self.margin if self.superiority else self.margin

    def allowed(self, against: str = "champion") -> str:
        if self.measured:
            return f"measured better than {against}"
        if self.superiority:
            return f"better than {against} by > {self.margin:g}"
        return f"worse than {against} by <= {self.margin:g}"


@dataclass(frozen=True, slots=True, eq=False)
class EarlierWindow:
    """The replay window: the days before the drift and before both training windows, scored by candidate and champion.

    There the candidate must not be worse by more than the margins either, so that one fitted to a passing event is
    stopped.
    """

    evidence: Evidence | None = None
    """None where the window was not scored, or none is declared."""
    missing: str | None = None
    """Why a declared window was not scored, which is INCONCLUSIVE; None where it was, or where none is declared."""
    attempts: int = 1
    """Candidates judged on this very window, this one included."""
    window: Mapping[str, Any] | None = None
    """Its start and end, and the training windows it lies before, for the report."""


NO_EARLIER_WINDOW = EarlierWindow()
"""Of a model without a replay window."""


@dataclass(frozen=True, slots=True)
class ChampionRules:
    """The declared rules of ``champion_gate``. ``alpha`` is one-sided and per set of rows; ``resamples`` above zero
    adds the percentile bootstrap's upper bound to the notes, where it decides nothing."""

    comparisons: tuple[ComparisonRule, ...]
    beat_baseline_on: str | Metric
    alpha: float = 0.05
    min_rows: int = 500
    first_deployment: FirstDeployment = FirstDeployment.BASELINE_ONLY
    resamples: int = 0
    gain_alpha: float = 0.1
    """The chance that a candidate which an alarm asked for is taken for better than the champion though it is not. It
    may be larger than ``alpha``, as the alarm is evidence too and the margins hold at ``alpha`` beside it: a candidate
    worse by a margin passes no more often."""

    @property
    def tolerated(self) -> ChampionRules:
        """The same margins as losses that are tolerated, without any gain."""
        margins = (ComparisonRule(r.metric, r.margin) for r in self.comparisons if r.alpha is None)
        return replace(self, comparisons=tuple(margins))

    def gaining(self, watched: str | Metric, *, dated: bool = True) -> ChampionRules:
        """The rules for a candidate that an alarm asked for: on the watched metric, or where it is not compared on the
        first one that is, it must be better than the champion as well, at ``gain_alpha``. Every margin stays.

        Where the change is not ``dated``, the held-out rows may have too few days of it to show a gain: then it must be
        measured better, and the margins alone have a bound.
        """
        names = [str(rule.metric) for rule in self.comparisons]
        chosen = self.comparisons[names.index(str(watched)) if str(watched) in names else 0]
        if chosen.superiority:
            return self
        gain = ComparisonRule(chosen.metric, 0.0, superiority=True, alpha=self.gain_alpha, measured=not dated)
        return replace(self, comparisons=(*self.comparisons, gain))


def champion_gate(
    rules: ChampionRules,
    evidence: Evidence,
    *,
    mode: Mode,
    has_champion: bool,
    attempts: Attempts = FIRST,
    earlier: EarlierWindow = NO_EARLIER_WINDOW,
    anchor: AnchorEvidence = NO_ANCHOR,
) -> GateResult:
    """Judge a candidate against the champion and the baseline on the same rows.

    Args:
        rules: what was declared.
        evidence: the newest matured rows, out of both training windows.
        mode: blocking or advisory.
        has_champion: whether the model has a champion. When it has, but its scores are missing from the evidence (it
            could not be loaded, it crashed), the gate is INCONCLUSIVE and never takes it for a first deployment.
        attempts: the chain of attempts on these days that the candidate is the newest of; it says what of alpha this
            one has.
        earlier: the replay window.
        anchor: the champion that small losses are counted from, where it is not the present one.
    """
    notes: dict[str, Any] = {
        "alpha": rules.alpha,
        "attempts": attempts.number,
        "budget": attempts.as_json(rules.alpha),
        "comparisons": {},
    }
    criteria: list[CriterionResult] = []
    if has_champion:
        criteria += _against_champion(rules, evidence, attempts.parts, "", notes["comparisons"])
        anchored = _against_anchor(rules, anchor, attempts, notes["comparisons"])
        notes["anchor"] = {
            "candidate": anchor.candidate_id,
            "attempts": anchor.attempts,
            "moves": _all_better(anchored if anchor.candidate_id is not None else criteria),
        }
        criteria += anchored
        if earlier.evidence is not None:
            criteria += _against_champion(
                rules.tolerated, earlier.evidence, earlier.attempts, REPLAY, notes["comparisons"]
            )
            where = earlier.window or {}
            notes["replay"] = {"attempts": earlier.attempts, "rows": earlier.evidence.rows, **where}
        elif earlier.missing is not None:
            criteria.append(_no_replay(earlier.missing))
    else:
        criteria.append(_first_deployment(rules.first_deployment, evidence.rows))
        notes["anchor"] = {"candidate": None, "attempts": 1, "moves": True}
    criteria.append(_against_baseline(rules, evidence, attempts.parts, notes["comparisons"]))
    return GateResult("champion_gate", mode, tuple(_with_budget(c, rules, attempts) for c in criteria), notes)


def _against_champion(
    rules: ChampionRules, evidence: Evidence, parts: int, prefix: str, notes: dict[str, Any]
) -> list[CriterionResult]:
    if not rules.comparisons:
        return [_nothing_declared(evidence.rows)]
    same = evidence.champion is not None and bool(np.array_equal(evidence.candidate, evidence.champion))
    criteria = []
    for rule in rules.comparisons:
        seen = evidence.seen_by(rule.metric)
        comparison = compare(
            PairedScores(seen.task, seen.y, seen.candidate, seen.champion, seen.days, seen.weight),
            rule.metric,
            alpha=rules.alpha if rule.alpha is None else rule.alpha,
            parts=parts,
            margin=None if rule.superiority else rule.margin,
        )
        name = f"{prefix}{rule.criterion}"
        notes[name] = _note(comparison, rule.metric, rules, seen, seen.champion)
        result = judge_comparison(rule, comparison, criterion=name, min_rows=rules.min_rows)
        criteria.append(_twin(result) if same else result)
    return criteria


def _against_anchor(
    rules: ChampionRules, anchor: AnchorEvidence, attempts: Attempts, notes: dict[str, Any]
) -> list[CriterionResult]:
    """Within each margin of the anchor as well; nothing where the champion is the anchor or the candidate is."""
    if anchor.candidate_id is None:
        return []
    if anchor.evidence is None:
        return [
            CriterionResult(
                criterion=f"{ANCHOR}comparison",
                verdict=Verdict.INCONCLUSIVE,
                measured=None,
                allowed="scored by both",
                rows=0,
                reason=f"{anchor.candidate_id}, the anchor that small losses are counted from, was not compared with: "
                f"{(anchor.missing or 'it was not asked').rstrip('.')}; that is no evidence. Who approves the "
                "candidate makes it the anchor.",
            )
        ]
    seen = anchor.evidence
    if seen.champion is not None and np.array_equal(seen.candidate, seen.champion):
        return []
    parts = max(attempts.parts, anchor.attempts)
    found = _against_champion(rules.tolerated, seen, parts, ANCHOR, notes)
    since = f"The anchor is {anchor.candidate_id}, the last champion that was shown to be better or that a person took."
    return [replace(c, reason=f"{c.reason.replace('the champion', 'the anchor')} {since}") for c in found]


def _all_better(found: list[CriterionResult]) -> bool:
    """Whether each comparison shows the candidate to be better, so that small losses are counted from it on."""
    return all(c.high is not None and c.high < 0 for c in found)


def _with_budget(found: CriterionResult, rules: ChampionRules, attempts: Attempts) -> CriterionResult:
    """A comparison of a retry that is not passed says what the retry costs."""
    said = attempts.sentence(rules.alpha)
    unaffected = found.low is None or found.criterion.startswith(REPLAY)
    if said is None or found.verdict is not Verdict.INCONCLUSIVE or unaffected:
        return found
    return replace(found, reason=f"{found.reason} {said}")


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
    elif (interval := _interval(c)) is None:
        verdict, why = Verdict.INCONCLUSIVE, f"{name} could not be compared: {c.reason}; that is no evidence."
    else:
        verdict = _outcome(*interval, rule)
        why = (
            f"{name} {c.candidate:.4g} against the champion's {c.champion:.4g} on {c.about}: "
            f"{_bounded(interval, c.alpha)}, {_compared_with(verdict, rule, c)}"
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


def _interval(c: PairedComparison) -> tuple[float, float, float] | None:
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


def _bounded(interval: tuple[float, float, float], alpha: float) -> str:
    """The difference in words: ``worse by 0.0021 (worse by -0.003 to 0.0072, each bound at 95 %)``."""
    difference, low, high = interval
    direction = "worse" if difference >= 0 else "better"
    level = f"{100 * (1 - alpha):.4g} %"
    return f"{direction} by {abs(difference):.4g} (worse by {low:.4g} to {high:.4g}, each bound at {level})"


def _compared_with(verdict: Verdict, rule: ComparisonRule, c: PairedComparison) -> str:
    wanted = f"better by more than {rule.margin:g}" if rule.superiority else f"worse by at most {rule.margin:g}"
    if rule.measured:
        wanted = "measured better"
    if verdict is Verdict.PASS:
        return f"so it is {wanted}."
    if verdict is Verdict.FAIL:
        return f"so it is not {wanted}."
    enough = f"; about {c.sufficient_rows:,} rows would tell for an equal candidate" if c.sufficient_rows else ""
    return f"so these rows cannot tell whether it is {wanted}{enough}."


def _twin(result: CriterionResult) -> CriterionResult:
    """Two models that agree to the last bit on every row are one model: nothing was compared."""
    return replace(
        result,
        verdict=Verdict.INCONCLUSIVE,
        low=None,
        high=None,
        reason=f"{result.criterion} compared nothing: candidate and champion give the same score on all "
        f"{result.rows:,} rows, so it is the same model, or one of them is wired twice.",
    )


def _first_deployment(policy: FirstDeployment, rows: int) -> CriterionResult:
    ask = policy is FirstDeployment.ASK
    decides = "a person decides" if ask else "the bounds and the naive baseline decide"
    return CriterionResult(
        criterion="first_deployment",
        verdict=Verdict.INCONCLUSIVE if ask else Verdict.PASS,
        measured=None,
        allowed=policy.value,
        rows=rows,
        reason=f"There is no champion to compare with; first_deployment is {policy.value}, so {decides}.",
    )


def _no_replay(why: str) -> CriterionResult:
    return CriterionResult(
        criterion="replay window",
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed="scored by both",
        rows=0,
        reason=f"The window before the drift was not compared: {why.rstrip('.')}; that is no evidence.",
    )


def _nothing_declared(rows: int) -> CriterionResult:
    return CriterionResult(
        criterion="comparisons",
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed="at least one",
        rows=rows,
        reason="No comparison with the champion is declared, so nothing shows that the candidate is no worse.",
    )


def _against_baseline(rules: ChampionRules, evidence: Evidence, parts: int, notes: dict[str, Any]) -> CriterionResult:
    metric = rules.beat_baseline_on
    seen = evidence.seen_by(metric)
    c = compare(
        PairedScores(seen.task, seen.y, seen.candidate, seen.baseline, seen.days, seen.weight),
        metric,
        alpha=rules.alpha,
        parts=parts,
    )
    name = f"baseline {metric}"
    notes[name] = _note(c, metric, rules, seen, seen.baseline)
    if c.judged_rows < rules.min_rows:
        verdict = Verdict.INCONCLUSIVE
        why = f"{name} was compared on {c.judged_rows:,} rows; at least {rules.min_rows:,} are needed."
    elif (interval := _interval(c)) is None:
        verdict = Verdict.INCONCLUSIVE
        reason = (c.reason or "").replace("champion", "baseline")
        why = f"{name} could not be compared: {reason}; that is no evidence."
    else:
        verdict, so = _beats(interval[0], interval[2])
        values = f"{metric} {c.candidate:.4g} against the naive baseline's {c.champion:.4g}"
        why = f"{values} on {c.about}: {_bounded(interval, c.alpha)}, {so}"
    return CriterionResult(
        criterion=name,
        verdict=verdict,
        measured=c.candidate,
        allowed="better than baseline",
        rows=c.rows,
        reason=why,
        direction=Direction.AT_MOST,
        bound=0.0,
        margin=0.0,
        low=c.low,
        high=c.high,
        baseline=c.champion,
    )


def _beats(difference: float, high: float) -> tuple[Verdict, str]:
    if high < 0:
        return Verdict.PASS, "so the baseline is beaten."
    if difference >= 0:
        return Verdict.FAIL, "so it is no better than a model that ignores its inputs."
    return Verdict.INCONCLUSIVE, "so these rows cannot tell whether the baseline is beaten."


def _note(
    comparison: PairedComparison, metric: str | Metric, rules: ChampionRules, evidence: Evidence, other: Any
) -> Mapping[str, Any]:
    note = comparison.as_json()
    # Thousands of resamples of a metric that nothing is known of would take minutes.
    quick = not isinstance(metric, Metric) or metric.per_row is not None
    if rules.resamples and quick and comparison.difference is not None and other is not None:
        note["bootstrap_high"] = bootstrap_upper(
            PairedScores(evidence.task, evidence.y, evidence.candidate, other, evidence.days, evidence.weight),
            metric,
            alpha=comparison.alpha,
            resamples=rules.resamples,
        )
    return note
