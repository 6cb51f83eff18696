"""A ledger in which every page has something to show: seventy judged days, journeys in every state, an incident."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from ledger_fixtures import (
    AN_INCIDENT,
    MODEL,
    NOW,
    an_incident_step,
    challenger,
    judged,
    promote,
    roll_back,
    trained,
)

from include.adapters.ledger import Candidate, Facts, Failing, IncidentSteps, Ledger, RetrainAction, Scope
from include.domain.curves import residuals, roc_curve, score_histogram
from include.domain.lifecycle import Event
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound
from include.workflows.journey import fact_files
from include.workflows.journey.facts import Curves, Evaluated
from include.workflows.journey.step import journey_folder

FIRST = date(2013, 4, 1)
DAYS = 75
FEATURES = ("crs_dep_minutes", "origin", "wind_speed", "visibility", "carrier_late_share_7d", "dest_late_share_7d")
COUNTED = [[812, 140, 12], [203, 611, 87], [31, 122, 482]]


def drift_report(day: int, *, flag: bool | None, features: tuple[str, ...] = FEATURES) -> dict[str, Any]:
    """A report like the sensor's: each later day a little further from training."""
    rng = np.random.default_rng(day)
    shift = day / DAYS
    shown = []
    for i, name in enumerate(features):
        effect = float(abs(rng.normal(0.05 + shift / (2 + i), 0.02)))
        drifted = None if name == "visibility" and day % 5 == 0 else effect > 0.2
        said = {None: "not judged: 31 of 980 rows have a value", True: "above its floor of 0.2", False: "below 0.2"}
        shown.append(
            {
                "name": name,
                "drifted": drifted,
                "reason": f"{name}: effect {effect:.3g}, {said[drifted]}.",
                "effect": effect,
                "importance": 1.0 / (i + 1),
                "missing_share": 0.02,
                "reference_missing_share": 0.01,
                "new_categories": ["9E", "HA"] if name == "origin" else [],
            }
        )
    edges = [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    before, now = [3, 40, 90, 120, 80, 30, 4], [int(v) for v in rng.poisson([5, 30, 80, 110, 100, 60, 9])]
    numeric = {"kind": "numeric", "edges": edges, "reference": before, "current": now, "missing": [3, 7]}
    named = {"kind": "categorical", "categories": ["EWR", "JFK", "LGA"], "reference": [330, 310, 280]}
    named |= {"current": [340, 250, 370], "missing": [0, 0]}
    risk = float(0.165 + 0.05 * max(shift - 0.55, 0) * 2 + rng.normal(0, 0.002))
    realised = {"metric": "brier", "recent_risk": risk if day > 3 else None, "reference_risk": 0.165}
    realised |= {"tolerance": 0.011, "served_days": 10, "served_rows": 9_000}
    where = {True: "above 0.176", False: "in its band up to 0.176", None: "too few labels have matured"}[flag]
    realised["reason"] = f"brier {risk:.4f} over 10 days, reference 0.165: {where}."
    return {
        "rows": 980,
        "flags": {"realised": flag, "estimated": flag, "inputs": shift > 0.6, "predictions": None},
        "realised": realised,
        "estimated": {"risk": risk + 0.003, "reason": "Estimated brier is near the realised one.", "void": False},
        "predictions": {"reason": "Too few rows to judge the scores."},
        "inputs": {"reason": "Three features of a third of the importance drifted.", "features": shown},
        "broken": [{"reason": "wind_speed is missing in 31 % of the rows; 1 % were in training."}] if day == 70 else [],
        "outside": [],
        "histograms": {name: named if name == "origin" else numeric for name in features} | {"score": numeric},
    }


def days_of_reports(ledger: Ledger, model: str, *, until: int = DAYS, calm: bool = False) -> list[str]:
    """The ids of the reports of the first ``until`` days; ``calm`` is in its band on every one."""
    found = []
    for n in range(until):
        flag = None if n < 4 else not (calm or n < 60)
        day = (FIRST + timedelta(days=n)).isoformat()
        kept = ledger.drift.report(model, "1", day, drift_report(0 if calm else n, flag=flag), run_id=f"drift-{day}")
        action = RetrainAction.SUPPRESS if flag else RetrainAction.LOG
        rule = "6 cannot_help_yet" if flag else "9 nothing_out_of_band"
        reason = "No journey before 2013-06-15: too few labels since the change." if flag else "In its band."
        steps = {}
        if n == 61 and not calm:
            steps["incidents"] = IncidentSteps(
                ledger.incidents.before(model, day),
                [an_incident_step(None, replace(AN_INCIDENT, opened_on=day, changed_on="2013-05-24"))],
                datetime(2013, 6, 2, tzinfo=UTC),
            )
        numbers = {"next_on": "2013-06-15"}
        ledger.drift.decide(kept.report_id, action, rule=rule, reason=reason, numbers=numbers, **steps)
        found.append(kept.report_id)
    return found


def slices(verdict: Verdict) -> GateResult:
    """A slice gate with an interval for each slice."""
    found = []
    for name, low, high in (("origin=EWR", -0.012, 0.004), ("origin=JFK", -0.003, 0.009), ("origin=LGA", 0.012, 0.031)):
        worse = verdict is Verdict.FAIL and name == "origin=LGA"
        found.append(
            CriterionResult(
                f"brier on {name}",
                Verdict.FAIL if worse else Verdict.PASS,
                0.19,
                "worse by at most 0.02, shown at 95 %",
                4_100,
                f"On {name} brier is between {low:.3f} and {high:.3f} higher than the champion's.",
                champion=0.18,
                bound=0.02,
                low=low,
                high=high,
            )
        )
    return GateResult("slice_gate", Mode.BLOCKING, tuple(found))


def measured(candidate: Candidate) -> None:
    """The curves and metrics of a candidate, from scores of which the champion's are a little worse."""
    rng = np.random.default_rng(7)
    y = (rng.random(3_000) < 0.25).astype(float)
    scores = {who: np.clip(0.2 + 0.25 * y * good + rng.normal(0, 0.16, y.size), 0.001, 0.999) for who, good in _GOOD}
    curves = {
        "roc": {who: asdict(found) for who, s in scores.items() if (found := roc_curve(y, s))},
        "scores": {who: asdict(found) for who, s in scores.items() if (found := score_histogram(s))},
        "roc_of_late": {who: asdict(found) for who, s in scores.items() if (found := roc_curve(y, s))},
        "confusion": {who: {"classes": ["early", "late", "very late"], "rows": COUNTED} for who in scores},
        "residuals": {who: asdict(found) for who, s in scores.items() if (found := residuals(y, s))},
    }
    folder = journey_folder(candidate.candidate_id)
    fact_files.write(folder, Curves(curves))
    metrics = {who: {"brier": 0.17 + i / 90, "roc_auc": 0.75 - i / 50} for i, (who, _) in enumerate(_GOOD)}
    fact_files.write(folder, Evaluated(3_000, 1, None, None, "2013-05-01", metrics))


_GOOD = (("candidate", 1.3), ("champion", 1.0))


def data_stopped(ledger: Ledger, run_id: str) -> Candidate:
    """A journey whose training rows lack a feature altogether."""
    candidate = ledger.candidates.open(trained_request(run_id))
    rows = against_bound("rows", 18_200, Direction.AT_LEAST, 1_000, rows=18_200)
    why = "No value at all in wind_speed, visibility (weather has no published day from 2013-05-24 on)."
    empty = CriterionResult("empty features", Verdict.FAIL, 2.0, "<= 0", 18_200, why)
    result = GateResult("training_data_gate", Mode.BLOCKING, (rows, empty))
    ledger.gates.record(candidate.candidate_id, result, digest=None, run_id=run_id)
    outcome = f"Rejected: training_data_gate: {why}"
    ledger.candidates.close(candidate.candidate_id, Event.REJECT, outcome=outcome, actor="close_journey")
    return ledger.candidates.get(candidate.candidate_id)


def trained_request(run_id: str, model: str = MODEL) -> Any:
    from ledger_fixtures import request

    return request(run_id, model=model)


def publish_views(ledger: Ledger) -> None:
    """Seventy days of each view, of the weather eight fewer, because its audit failed."""
    from pages_world import published

    from include.config import declarations

    rng = np.random.default_rng(1)
    for view in declarations().views.values():
        late = view.name == "origin_weather"
        for n in range(DAYS - 8 if late else DAYS):
            if n == 30 and late:
                continue
            day = replace(published((FIRST + timedelta(days=n)).isoformat()), view=view.name, view_version=view.version)
            ledger.partitions.record([replace(day, rows=int(rng.normal(900, 40)))])
    why = "origin_weather: Audit gate of features_origin_weather failed for 2013-06-07. origin_weather 2013-06-07: its "
    why += "audit_gate says FAIL: expect_column_values_to_be_between(temp) is not met: 12 of 72 rows are below -40."
    failing = Failing("failed/origin_weather", Scope.VIEW, "origin_weather", "failed", why, "/dags/x", "2013-06-07")
    ledger.outages.fails(failing, None, NOW)


def filled(ledger: Ledger) -> dict[str, str]:
    """Fill the ledger; the paths of pages by what they show."""
    publish_views(ledger)
    first = challenger(ledger, "api__first")
    promote(ledger, first, days=-60)
    second = challenger(ledger, "drift__2013-05-02")
    measured(second)
    promote(ledger, second, days=-30)
    roll_back(ledger, "rollback__1", days=-20)
    reports = days_of_reports(ledger, MODEL)
    failed = trained(ledger, "drift__2013-06-03")
    measured(failed)
    for result in (judged("training_data_gate"), judged(verdict=Verdict.FAIL), slices(Verdict.FAIL)):
        ledger.gates.record(failed.candidate_id, result, digest=failed.facts.artifact_digest, run_id=failed.run_id)
    outcome = "Rejected: threshold_gate: roc_auc 0.55 is outside its bound >= 0.65 on 12,000 rows."
    ledger.candidates.close(failed.candidate_id, Event.REJECT, outcome=outcome, actor="close_journey")
    lacking = data_stopped(ledger, "drift__2013-06-05")
    waiting = trained(ledger, "drift__2013-06-09")
    before = judged("training_data_gate")
    ledger.gates.record(waiting.candidate_id, before, digest=waiting.facts.artifact_digest, run_id=waiting.run_id)
    result = judged(verdict=Verdict.INCONCLUSIVE)
    ledger.gates.record(waiting.candidate_id, result, digest=waiting.facts.artifact_digest, run_id=waiting.run_id)
    other = challenger(ledger, "api__air", model="air_time")
    promote(ledger, other)
    days_of_reports(ledger, "air_time", until=20, calm=True)
    (incident,) = ledger.incidents.of(MODEL)
    return {
        "models": "/",
        "model": f"/models/{MODEL}",
        "model-in-band": "/models/air_time",
        "failed": f"/candidates/{failed.candidate_id}",
        "data": f"/candidates/{lacking.candidate_id}",
        "waiting": f"/candidates/{waiting.candidate_id}",
        "promoted": f"/candidates/{first.candidate_id}",
        "rolled-back": f"/candidates/{second.candidate_id}",
        "drift": f"/drift/{reports[70]}",
        "incident": f"/incidents/{incident.incident_id}",
        "features": "/features",
        "view-late": "/features/origin_weather",
        "view": "/features/flight_schedule",
        "rest": "/api",
        "data-docs": "/data-docs",
        "runbook": "/runbook/champion_gate",
        "missing": "/models/nothing",
    }


__all__ = ["DAYS", "FIRST", "NOW", "Facts", "filled"]
