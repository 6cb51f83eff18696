"""The declared gates as the domain's rules: one place for the journey's gates, the selftest and ``slipway judge``."""

from __future__ import annotations

from collections.abc import Iterable

from include.config import gates as declared
from include.domain.gates import (
    Bound,
    ChampionRules,
    ComparisonRule,
    FairnessRule,
    FirstDeployment,
    LatencyRules,
    LeakageRules,
    Measure,
    SignatureRules,
    SliceRules,
    SmokeRules,
)


def bounds(gate: declared.ThresholdGate) -> list[Bound]:
    return [Bound(c.metric, c.direction, c.bound) for c in gate.criteria]


def champion(gate: declared.ChampionGate) -> ChampionRules:
    return ChampionRules(
        comparisons=tuple(ComparisonRule(c.metric, c.margin, c.superiority) for c in gate.comparisons),
        beat_baseline_on=gate.beat_baseline_on,
        alpha=gate.alpha,
        min_rows=gate.min_rows,
        resamples=gate.resamples,
        first_deployment=FirstDeployment(gate.first_deployment),
    )


def slices(
    gate: declared.SliceGate, champion_gate: declared.ChampionGate | None, *, also_by: Iterable[str] = ()
) -> SliceRules:
    """The slice gate's rules; its policy for a first deployment is the champion gate's, or its default."""
    first = champion_gate.first_deployment if champion_gate else "baseline_only"
    ask = gate.small.under_support == "ask"
    return SliceRules(
        metric=gate.metric,
        margin=gate.strict.margin,
        floor=gate.small.floor,
        by=tuple(dict.fromkeys((*gate.by, *also_by))),
        protected=tuple(gate.protected),
        alpha=gate.alpha,
        large_rows=gate.strict.large_rows,
        min_rows=gate.small.min_rows,
        ask_under_support=ask,
        fairness=tuple(_fairness(rule, ask) for rule in gate.fairness),
        first_deployment=FirstDeployment(first),
    )


def columns_of(rules: SliceRules) -> tuple[str, ...]:
    """The columns the slice gate reads, each once."""
    return tuple(dict.fromkeys((*rules.columns, *(rule.groups for rule in rules.fairness))))


def latency(gate: declared.LatencyGate) -> LatencyRules:
    return LatencyRules(
        p50_ms_at_most=gate.p50_ms_at_most,
        p99_ms_at_most=gate.p99_ms_at_most,
        batch_ms_per_1k_at_most=gate.batch_ms_per_1k_at_most,
        batch_p90_ms_per_1k_at_most=gate.batch_p90_ms_per_1k_at_most,
        model_mb_at_most=gate.model_mb_at_most,
        times_champion_at_most=gate.times_champion_at_most,
        size_times_champion_at_most=gate.size_times_champion_at_most,
        repeats=gate.repeats,
    )


def signature(gate: declared.SignatureGate) -> SignatureRules:
    return SignatureRules(may_drop=tuple(gate.may_drop))


def smoke(gate: declared.SmokeGate) -> SmokeRules:
    return SmokeRules(max_difference=gate.max_difference)


def leakage(gate: declared.Leakage) -> LeakageRules:
    return LeakageRules(
        auc_at_most=gate.auc_at_most,
        r2_at_most=gate.r2_at_most,
        known_strong=tuple(gate.known_strong),
        entities_may_repeat=gate.entities_may_repeat,
    )


def _fairness(rule: declared.Fairness, ask: bool) -> FairnessRule:
    return FairnessRule(
        groups=rule.groups,
        measure=Measure(rule.measure),
        margin=rule.margin,
        gap_at_most=rule.gap_at_most,
        ratio_at_least=rule.ratio_at_least,
        threshold=rule.threshold,
        min_rows=rule.min_group_rows,
        ask_under_support=ask,
    )
