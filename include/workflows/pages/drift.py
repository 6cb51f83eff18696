"""The drift page: what drifted, how much it matters, and what was decided by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.domain.errors import Refusal
from include.workflows.pages import sources
from include.workflows.pages.lanes import DayLane, lanes_of, state_of, tone

RULES = {
    "data_broke": "Broken data asks for a person, and nothing is retrained.",
    "outside_support": "Rows outside what was trained on ask for a person.",
    "not_judged": "A lane that has not judged for too long asks for a person.",
    "data_still_broken": "While the data is broken nothing is retrained, for the declared days.",
    "still_outside": "While rows are outside what was trained on nothing is retrained, for the declared days.",
    "data_suspect": "A finding that does not persist, or that a person was asked about, is logged.",
    "rows_suspect": "Rows outside what was trained on that do not persist, or that were asked about, are logged.",
    "in_flight": "One journey at a time.",
    "breaker_open": "After futile journeys nothing starts until the breaker closes.",
    "futile": "When retraining does not help, a person is asked.",
    "recovering": "After a promotion the new model's labels must tell first.",
    "not_helped": "When what was tried did not help and performance is not back, a person is asked.",
    "helps_no_more": "After a person was asked, the next journey waits for twice the days.",
    "cannot_help_yet": "No journey before there are days enough to learn from and to be judged on.",
    "cooldown": "No journey within the cooldown of the last.",
    "budget": "No more journeys than the monthly budget.",
    "realised_out_of_band": "Realised performance out of band in enough reports retrains.",
    "estimated_out_of_band": "Estimated performance out of band prepares a candidate.",
    "drift_in_band": "Drift alone is logged while performance is in its band.",
    "nothing_judged": "A day on which nothing was judged is logged as such.",
    "nothing_out_of_band": "Nothing to do.",
}
"""The rules of ``domain.decision`` in a sentence each, by name."""


class UnknownReport(Refusal, KeyError):
    """No drift report has this id."""

    def __init__(self, report_id: str) -> None:
        self.message = f"There is no drift report {report_id!r}; the page of its model lists them."
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One feature of one day."""

    name: str
    rank: float
    """Effect times importance: the order of the page, within what drifted, what was not judged, and the rest."""
    drifted: bool | None
    effect: float
    importance: float
    share_of_importance: float
    usual: float | None
    """What the effect stays below on a day without drift, of the same weekday where training has enough of those; None
    where too few days were seen to say."""
    reason: str
    missing_share: float
    usual_missing_share: float
    new_categories: tuple[str, ...]
    histogram: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class DriftView:
    """One report."""

    report_id: str
    model: str
    version: str
    day: str
    rows: int
    action: str
    """Empty while nothing was decided."""
    rule: str
    rule_says: str
    reason: str
    run_id: str
    journey: str | None
    """The candidate of the journey that the report started or joined."""
    tone: str
    """The colour of the banner, from ``lanes.tone``."""
    lanes: tuple[DayLane, ...]
    findings: tuple[str, ...]
    """What makes the data itself suspect."""
    scores: tuple[tuple[str, Mapping[str, Any]], ...]
    """The histograms that belong to no feature."""
    features: tuple[FeatureRow, ...]
    numbers: Mapping[str, Any]
    incidents: tuple[str, ...]
    """Those that were open on the day."""
    harm: str
    """``found``, ``quiet`` or ``not judged``: performance by labels, or found by the estimate before them."""
    change: str
    """Likewise of inputs and predictions."""


def drift(report_id: str) -> DriftView:
    """The page of one report.

    Raises:
        UnknownReport: when there is none.
    """
    with sources.open_ledger() as ledger:
        kept, decision = ledger.drift.get(report_id), ledger.drift.decision(report_id)
        journey = ledger.overview.journey_of_report(report_id)
        incidents = ledger.incidents.of(kept.model) if kept is not None else []
    if kept is None:
        raise UnknownReport(report_id)
    report = kept.report
    inputs, histograms, flags = report["inputs"], report["histograms"], report.get("flags") or {}
    total = sum(f["importance"] for f in inputs["features"]) or 1.0
    features = [_feature(f, histograms.get(f["name"]), total) for f in inputs["features"]]
    named = {f.name for f in features}
    rule = decision.rule if decision else ""
    return DriftView(
        report_id=report_id,
        model=kept.model,
        version=kept.model_version,
        day=kept.day,
        rows=report["rows"],
        action=decision.action.value if decision else "",
        rule=rule,
        rule_says=RULES.get(rule.partition(" ")[2], ""),
        reason=decision.reason if decision else "Nothing was decided about this report yet.",
        run_id=kept.run_id,
        journey=journey,
        tone=tone(decision.action.value if decision else "", flags),
        lanes=lanes_of(report),
        findings=tuple(f["reason"] for f in (*report["broken"], *report["outside"])),
        scores=tuple((name, plot) for name, plot in histograms.items() if name not in named),
        features=tuple(sorted(features, key=_order)),
        numbers=decision.numbers if decision else {},
        incidents=tuple(
            i.incident_id for i in incidents if i.opened_on <= kept.day and (i.is_open or kept.day <= i.judged_on)
        ),
        harm=state_of(flags.get("realised"), flags.get("estimated") or False),
        change=state_of(flags.get("inputs"), flags.get("predictions")),
    )


def _order(feature: FeatureRow) -> tuple[int, float, float, str]:
    """What drifted comes first, then what was not judged; within those by effect times importance."""
    return ((True, None, False).index(feature.drifted), -feature.rank, -feature.effect, feature.name)


def _feature(found: Mapping[str, Any], histogram: Mapping[str, Any] | None, total: float) -> FeatureRow:
    share = found["importance"] / total
    return FeatureRow(
        name=found["name"],
        rank=found["effect"] * share,
        drifted=found["drifted"],
        effect=found["effect"],
        importance=found["importance"],
        share_of_importance=share,
        usual=found.get("usual_high"),
        reason=found["reason"],
        missing_share=found["missing_share"],
        usual_missing_share=found["reference_missing_share"],
        new_categories=tuple(found.get("new_categories", ())),
        histogram=histogram,
    )
