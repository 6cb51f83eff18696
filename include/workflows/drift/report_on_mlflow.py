"""The drift report on the champion's MLflow run page: as JSON of every day, and of a day that starts something or calls
a person the histograms of both windows and performance over time.

Each has a path with the day in it, so that a decision taken again replaces what the first one showed.
"""

from __future__ import annotations

from typing import Any

from include.adapters.ledger import Ledger, RetrainAction, RetrainDecision
from include.config import ModelDeclaration
from include.domain.drift.report import DriftReport
from include.workflows import stores
from include.workflows.journey.by_products import ByProducts

DRAWN = (RetrainAction.RETRAIN, RetrainAction.ESCALATE)
"""Decisions whose report is drawn: importing the client and drawing take seconds, which other days must not cost."""
SHOWN_REPORTS = 90
"""Reports before the one shown whose performance is drawn."""


def show_on_run_page(
    ledger: Ledger, model: ModelDeclaration, report: DriftReport, decision: RetrainDecision
) -> tuple[str, ...]:
    """Log the report of a decision to the run of the version it is about.

    The decision is in the ledger already, so what fails here costs the page and nothing else; a remark says what.
    """
    run = ledger.candidates.get(report.version).facts.mlflow_run_id
    if run is None:
        return ()
    registry, folder = stores.registry(), f"drift/{report.day}"
    said = {"action": decision.action.value, "rule": decision.rule, "reason": decision.reason}
    page = {"decision": said, "report": report.as_json()}
    made = ByProducts()
    made.attempt(
        f"The report of {report.day}, which is in the ledger, on its MLflow run",
        lambda: registry.put_json(run, page, f"{folder}/report.json"),
    )
    if decision.action in DRAWN and not made.remarks:
        title = f"{model.name}, {report.day}: {decision.action.value} by rule {decision.rule}"
        made.attempt(
            "The picture of both windows",
            lambda: registry.log_figure(run, _windows(report, title), f"{folder}/windows.png"),
        )
        made.attempt(
            "The picture of the performance",
            lambda: registry.log_figure(run, _performance(ledger, model, report, title), f"{folder}/performance.png"),
        )
    return tuple(made.remarks)


def _windows(report: DriftReport, title: str) -> Any:
    from include.workflows.drift.figures import both_windows

    return both_windows(report.histograms, [*report.inputs.features, *report.predictions.features], title)


def _performance(ledger: Ledger, model: ModelDeclaration, report: DriftReport, title: str) -> Any:
    """Realised and estimated risk of the last reports of all versions, with the promotions marked."""
    from include.workflows.drift.figures import Line, over_time

    kept = ledger.drift.reports(model.name, last=SHOWN_REPORTS, before=report.day)
    seen = [*(DriftReport.from_json(r.report) for r in kept), report]
    metric = model.drift.performance.metric
    bound = report.realised.reference_high
    lines = [
        Line(
            f"realised {metric}, last {model.drift.performance.window_days} matured days",
            tuple(r.realised.recent_risk for r in seen),
            None if bound is None else bound + report.realised.tolerance,
            "upper bound of the reference, and the tolerance",
        ),
        Line(f"estimated {metric} of the day", tuple(r.estimated.risk if r.estimated else None for r in seen)),
    ]
    shares = [
        Line(
            "weighted share of drifted inputs",
            tuple(None if r.inputs.drifted is None else r.inputs.share for r in seen),
        )
    ]
    promoted = {
        e.effective_from.date().isoformat(): f"version {e.model_version}" for e in ledger.deployments.epochs(model.name)
    }
    return over_time([r.day for r in seen], [lines, shares], title, promoted)
