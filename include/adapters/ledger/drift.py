"""Drift reports and the one decision about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, insert, or_, select

from include.adapters.ledger.database import Database, clock, day_key, days_between, later_than, plain, upsert, words
from include.adapters.ledger.errors import BadValue
from include.adapters.ledger.incidents import IncidentSteps, incidents_key, write_in
from include.adapters.ledger.records import DriftReportRecord, RetrainAction, RetrainDecision
from include.adapters.ledger.tables import candidates, drift_reports, retrain_decisions
from include.domain.faults import crashpoint


def drift_report_id(model: str, model_version: str, day: str | date) -> str:
    """``model-vVERSION-yyyymmdd``: the same day of the same model version has the same report.

    >>> drift_report_id("flight_delay", "3", "2013-06-07")
    'flight_delay-v3-20130607'
    """
    return f"{model}-v{model_version}-{day_key(day).replace('-', '')}"


@dataclass(frozen=True, slots=True)
class JudgedRisk:
    """The realised loss on one day of reports, against its reference."""

    day: str
    metric: str
    """Empty where the report does not say."""
    out_of_band: bool | None
    """None when it was not judged, or not asked for."""
    risk: float | None
    reference: float | None
    tolerance: float | None
    reason: str


class DriftRecords:
    """Keeps what the drift sensor measured and decided."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(
        self, model: str, model_version: str, day: str | date, report: Mapping[str, Any], *, run_id: str
    ) -> DriftReportRecord:
        """Keep the day's report, replacing an earlier one until a decision is based on it; then the first is kept.

        Returns the report that is kept.
        """
        model, model_version, run_id = (
            words("model", model),
            words("model_version", model_version),
            words("run_id", run_id),
        )
        measured = plain("The drift report", report)
        report_id = drift_report_id(model, model_version, day)
        with self._database.writing(f"drift:{report_id}") as connection:
            standing = report_in(connection, report_id)
            decided = decision_in(connection, report_id) is not None
            if standing is not None and (decided or standing.report == measured):
                return standing
            kept = DriftReportRecord(
                report_id, model, model_version, day_key(day), measured, run_id, recorded_at=clock()
            )
            values = asdict(kept)
            upsert(connection, drift_reports, {"report_id": values.pop("report_id")}, values)
            return kept

    def decide(
        self,
        report_id: str,
        action: RetrainAction,
        *,
        rule: str,
        reason: str,
        numbers: Mapping[str, Any],
        journey_run_id: str | None = None,
        incidents: IncidentSteps | None = None,
    ) -> RetrainDecision:
        """Append the decision about a report and return the valid one, which is the first.

        A sensor that runs again may find another state (for example its own journey under way) and decide otherwise; it
        must act on what is returned here.

        ``incidents`` is what the decision makes of the model's incidents; it is written with the decision or not at
        all, so never twice.

        Raises:
            BadValue: without such a report, or when only one of RETRAIN and ``journey_run_id`` is given.
            IncidentChanged: when an incident is not as the decision saw it; decide again.
        """
        if (action is RetrainAction.RETRAIN) != (journey_run_id is not None):
            raise BadValue(
                f"The decision about {report_id} is {action.value} with journey {journey_run_id}; "
                "name the journey's run when retraining, and only then."
            )
        kept = plain("The decision's numbers", numbers)
        rule, reason = words("rule", rule), words("reason", reason)
        of_model = [] if incidents is None else [incidents_key(self._model_of(report_id))]
        with self._database.writing(f"drift:{report_id}", *of_model) as connection:
            report = report_in(connection, report_id)
            if report is None:
                raise BadValue(f"There is no drift report {report_id!r} to decide about; record it first.")
            first = decision_in(connection, report_id)
            if first is not None:
                return first
            if incidents is not None:
                write_in(connection, report.model, report.day, incidents)
            opened = select(func.max(candidates.c.opened_at)).where(candidates.c.model == report.model)
            made = RetrainDecision(
                report_id=report_id,
                model=report.model,
                day=report.day,
                action=action,
                rule=rule,
                reason=reason,
                numbers=kept,
                journey_run_id=journey_run_id,
                # Stamped after the recorded journeys: a journey opened later is its answer, even if the clock was set
                # back.
                recorded_at=later_than(clock(), connection.execute(opened).scalar()),
            )
            connection.execute(
                insert(retrain_decisions).values(
                    report_id=report_id,
                    model=made.model,
                    day=made.day,
                    action=action.value,
                    rule=rule,
                    reason=reason,
                    numbers=kept,
                    journey_run_id=journey_run_id,
                    recorded_at=made.recorded_at,
                )
            )
            crashpoint("ledger.decision.inserted")
            return made

    def _model_of(self, report_id: str) -> str:
        report = self.get(report_id)
        return report.model if report is not None else ""

    def get(self, report_id: str) -> DriftReportRecord | None:
        """The report; None when there is none."""
        with self._database.reading() as connection:
            return report_in(connection, report_id)

    def decision(self, report_id: str) -> RetrainDecision | None:
        """The decision about the report; None when there is none."""
        with self._database.reading() as connection:
            return decision_in(connection, report_id)

    def reports(self, model: str, *, last: int, before: str | date | None = None) -> list[DriftReportRecord]:
        """The newest ``last`` reports of days before ``before`` (None: of all days), oldest first."""
        query = select(drift_reports).where(
            drift_reports.c.model == model, *days_between(drift_reports.c.day, None, before)
        )
        newest = query.order_by(drift_reports.c.day.desc(), drift_reports.c.report_id.desc()).limit(last)
        with self._database.reading() as connection:
            return [_report_of(row) for row in connection.execute(newest)][::-1]

    def decisions(
        self, model: str, *, since: str | date | None = None, before: str | date | None = None
    ) -> list[RetrainDecision]:
        """The decisions about days in ``[since, before)``, in order of day; None leaves that side open."""
        query = select(retrain_decisions).where(
            retrain_decisions.c.model == model, *days_between(retrain_decisions.c.day, since, before)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(retrain_decisions.c.day, retrain_decisions.c.report_id))
            return [decision_of(row) for row in rows]

    def recent_risks(self, *, days: int, model: str | None = None) -> dict[str, list[JudgedRisk]]:
        """The realised loss in the reports of each model's newest ``days`` days of data, or of the named model's,
        oldest first. Whether it was out of its band is read of the newest report alone.

        Of a ledger as little is read as can be, because two hundred models of some years are asked for at once.
        """
        report = drift_reports.c
        newest = select(report.model, func.max(report.day).label("day")).group_by(report.model)
        if model is not None:
            newest = newest.where(report.model == model)
        found: dict[str, list[JudgedRisk]] = {}
        with self._database.reading() as connection:
            since: dict[str, list[str]] = {}
            for name, day in connection.execute(newest):
                since.setdefault((date.fromisoformat(day) - timedelta(days=days - 1)).isoformat(), []).append(name)
            if not since:
                return {}
            last = newest.subquery()
            flags = case((report.day == last.c.day, report.report["flags"])).label("flags")
            query = (
                select(report.model, report.day, report.report["realised"].label("realised"), flags)
                .join(last, last.c.model == report.model)
                .where(or_(*(and_(report.model.in_(names), report.day >= first) for first, names in since.items())))
                .order_by(report.model, report.day, report.recorded_at)
            )
            for name, day, realised, lanes in connection.execute(query):
                found.setdefault(name, []).append(_judged_risk(day, realised or {}, lanes or {}))
        return found


def report_in(connection: Connection, report_id: str) -> DriftReportRecord | None:
    row = connection.execute(select(drift_reports).where(drift_reports.c.report_id == report_id)).one_or_none()
    return None if row is None else _report_of(row)


def decision_in(connection: Connection, report_id: str) -> RetrainDecision | None:
    row = connection.execute(select(retrain_decisions).where(retrain_decisions.c.report_id == report_id)).one_or_none()
    return None if row is None else decision_of(row)


def _report_of(row: Row[Any]) -> DriftReportRecord:
    return DriftReportRecord(
        row.report_id, row.model, row.model_version, row.day, row.report, row.run_id, row.recorded_at
    )


def decision_of(row: Row[Any]) -> RetrainDecision:
    return RetrainDecision(
        report_id=row.report_id,
        model=row.model,
        day=row.day,
        action=RetrainAction(row.action),
        rule=row.rule,
        reason=row.reason,
        numbers=row.numbers,
        journey_run_id=row.journey_run_id,
        recorded_at=row.recorded_at,
    )


def _judged_risk(day: str, realised: Mapping[str, Any], flags: Mapping[str, Any]) -> JudgedRisk:
    return JudgedRisk(
        day=day,
        metric=str(realised.get("metric", "")),
        out_of_band=flags.get("realised"),
        risk=realised.get("recent_risk"),
        reference=realised.get("reference_risk"),
        tolerance=realised.get("tolerance"),
        reason=str(realised.get("reason", "")),
    )
