"""``champion_gate``: no worse than the champion by more than a margin, and better than a naive baseline.

How one comparison is judged: :mod:`include.domain.gates.judged_comparison`. All comparisons must pass, so their number
costs no further alpha (Berger 1982, "Multiparameter hypothesis testing and acceptance sampling", Technometrics
24:295-300).

It is compared with the anchor as well, the champion that small losses are counted from (``anchor``), where that
is another one: no worse by the same margins, so that a series of small losses does not add up.

On the replay window, the days before the drift, the candidate must be no worse by the same test; superiority is not
asked there.

The baseline must be beaten by the same kind of evidence: PASS when the whole interval is on the good side, FAIL when
the candidate is not even measured better, INCONCLUSIVE when it is better by less than the noise. A candidate that is
shown to be better than the champion need only be measured better than the baseline: rejecting it would leave the
champion, which is worse than both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from include.domain.attempts import FIRST, Attempts
from include.domain.comparison import PairedComparison, PairedScores, bootstrap_upper, compare
from include.domain.gates.anchor import NO_ANCHOR, AnchorEvidence
from include.domain.gates.champion_rules import ChampionRules, FirstDeployment
from include.domain.gates.evidence import Evidence
from include.domain.gates.judged_comparison import difference_in_words, interval_of, judge_comparison
from include.domain.metrics import Metric
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict

ANCHOR = "anchor "
"""Before the name of each comparison with the anchor."""
REPLAY = "replay "
"""Before the name of each criterion of the replay window."""


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
    better = False
    if has_champion:
        # Margins are amounts from here on: the same ones against the champion, its anchor and on the replay window.
        rules = rules.on(evidence)
        notes["margins"] = {rule.criterion: rule.as_json() for rule in rules.comparisons}
        criteria += _against_champion(rules.of_champion, evidence, attempts.parts, "", notes["comparisons"])
        better = _shown_better(criteria)
        gained = better and _asks_for_a_gain(rules)
        anchored = _against_anchor(rules, anchor, attempts, notes["comparisons"], gained=gained)
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
    criteria.append(_against_baseline(rules, evidence, attempts.parts, notes["comparisons"], better=better))
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
    rules: ChampionRules, anchor: AnchorEvidence, attempts: Attempts, notes: dict[str, Any], *, gained: bool
) -> list[CriterionResult]:
    """Within each margin of the anchor as well; nothing where the champion is the anchor or the candidate is.

    A candidate that an alarm asked for and that has ``gained`` on the champion, as shown by the bound, is only stopped
    where it is shown to be worse than the anchor by more than the margin."""
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
    found = [replace(c, reason=f"{c.reason.replace('the champion', 'the anchor')} {since}") for c in found]
    return [_not_shown_worse(c) if gained else c for c in found]


def _not_shown_worse(found: CriterionResult) -> CriterionResult:
    """What is measured, and not shown to be beyond the margin, is no reason to keep a champion that is shown to be the
    worse one."""
    if found.verdict is not Verdict.INCONCLUSIVE or found.low is None:
        return found
    return replace(
        found,
        verdict=Verdict.PASS,
        allowed=f"not shown to be {found.allowed.replace('<=', '>')}",
        reason=f"{found.reason} It is shown to be better than the champion, so this does not stop it.",
    )


def _all_better(found: list[CriterionResult]) -> bool:
    """Whether each comparison shows the candidate to be better, so that small losses are counted from it on."""
    return all(c.high is not None and c.high < 0 for c in found)


def _shown_better(found: list[CriterionResult]) -> bool:
    """Whether the candidate passes each comparison with the champion, and one of them shows it to be better."""
    passed = all(c.verdict is Verdict.PASS for c in found)
    return passed and any(c.high is not None and c.high < 0 for c in found)


def _asks_for_a_gain(rules: ChampionRules) -> bool:
    """Whether an alarm asked for a gain on the champion that its bound must show: who passes has shown it."""
    return any(rule.alpha is not None and not rule.measured for rule in rules.comparisons)


def _with_budget(found: CriterionResult, rules: ChampionRules, attempts: Attempts) -> CriterionResult:
    """A comparison of a retry that is not passed says what the retry costs."""
    said = attempts.sentence(rules.alpha)
    unaffected = found.low is None or found.criterion.startswith(REPLAY)
    if said is None or found.verdict is not Verdict.INCONCLUSIVE or unaffected:
        return found
    return replace(found, reason=f"{found.reason} {said}")


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


def _against_baseline(
    rules: ChampionRules, evidence: Evidence, parts: int, notes: dict[str, Any], *, better: bool
) -> CriterionResult:
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
    elif (interval := interval_of(c)) is None:
        verdict = Verdict.INCONCLUSIVE
        reason = (c.reason or "").replace("champion", "baseline")
        why = f"{name} could not be compared: {reason}; that is no evidence."
    else:
        verdict, so = _beats(interval[0], interval[2], better=better)
        values = f"{metric} {c.candidate:.4g} against the naive baseline's {c.champion:.4g}"
        why = f"{values} on {c.about}: {difference_in_words(interval, c.alpha)}, {so}"
    return CriterionResult(
        criterion=name,
        verdict=verdict,
        measured=c.candidate,
        allowed="measured better than baseline" if better else "better than baseline",
        rows=c.rows,
        reason=why,
        direction=Direction.AT_MOST,
        bound=0.0,
        margin=0.0,
        low=c.low,
        high=c.high,
        baseline=c.champion,
    )


def _beats(difference: float, high: float, *, better: bool) -> tuple[Verdict, str]:
    if high < 0:
        return Verdict.PASS, "so the baseline is beaten."
    if better and difference < 0:
        return Verdict.PASS, (
            "so the baseline is measured worse, which is enough for a candidate that is shown to be better than the "
            "champion: what would serve otherwise is the champion."
        )
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
