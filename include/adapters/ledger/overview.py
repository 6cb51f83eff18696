"""The pages' queries about many models at once: a few queries, however many models and journeys there are.

Evidence and reports are large; nothing here reads them but for the one page that shows them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, select, true

from include.adapters.ledger.candidate_rows import candidate_of
from include.adapters.ledger.database import Database
from include.adapters.ledger.drift import decision_of
from include.adapters.ledger.epochs import epoch_of
from include.adapters.ledger.gates import gate_column, gate_of
from include.adapters.ledger.records import Candidate, DriftSummary, PartitionStatus, RetrainAction, RetrainDecision
from include.adapters.ledger.tables import (
    candidates,
    deployment_history,
    deployments,
    drift_reports,
    gate_results,
    journey_causes,
    partition_history,
    partitions,
    retrain_decisions,
    scorings,
    shadow_days,
    shadow_windows,
)
from include.domain.journey import Trigger
from include.domain.promotion import Epoch, GateRecord
from include.domain.verdicts import Mode, Verdict


@dataclass(frozen=True, slots=True)
class ModelStanding:
    """One model at one moment."""

    model: str
    champion: Epoch | None
    live: Candidate | None
    """The candidate in flight; None when no journey is under way."""
    last: Candidate | None
    """The journey opened last, ended or not."""
    decision: RetrainDecision | None
    """The decision about the newest judged day."""
    waits_at: str | None
    """The blocking gate of the live candidate whose newest attempt is INCONCLUSIVE; None when there is none."""
    journeys: int


@dataclass(frozen=True, slots=True)
class PublishedDays:
    """What is published of one version of a view."""

    first: str
    newest: str
    days: int
    empty: int
    """How many of the days have no rows."""
    rows: int
    published_at: datetime
    """When a day of it was published last."""


class Overview:
    """Reads across models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def standings(self, only: str | None = None) -> list[ModelStanding]:
        """Every model in the ledger, by name; or only the named one, if the ledger has it."""
        with self._database.reading() as connection:
            heads = {e.model: e for e in _heads(connection, only)}
            live = {c.model: c for c in _live(connection, only)}
            last, counts = _last(connection, only), _counts(connection, only)
            decided = {d.model: d for d in _newest_decisions(connection, only)}
            waiting = _waiting(connection, [c.candidate_id for c in live.values()])
            return [
                ModelStanding(
                    model=model,
                    champion=heads.get(model),
                    live=live.get(model),
                    last=last.get(model),
                    decision=decided.get(model),
                    waits_at=waiting.get(live[model].candidate_id) if model in live else None,
                    journeys=counts.get(model, 0),
                )
                for model in sorted({*counts, *heads, *decided})
            ]

    def newest_days(self) -> dict[tuple[str, int], str]:
        """The newest published day of each view and version."""
        query = select(partitions.c.view, partitions.c.view_version, func.max(partitions.c.day)).group_by(
            partitions.c.view, partitions.c.view_version
        )
        with self._database.reading() as connection:
            return {(view, version): day for view, version, day in connection.execute(query)}

    def published(self) -> dict[tuple[str, int], PublishedDays]:
        """Each view and version with what is published of it."""
        day = partitions.c
        empty = func.sum(case((day.status == PartitionStatus.EMPTY.value, 1), else_=0))
        query = select(
            day.view,
            day.view_version,
            func.min(day.day),
            func.max(day.day),
            func.count(),
            empty,
            func.sum(day.rows),
            func.max(day.recorded_at),
        ).group_by(day.view, day.view_version)
        with self._database.reading() as connection:
            return {
                (view, version): PublishedDays(first, newest, int(days), int(none), int(rows), at)
                for view, version, first, newest, days, none, rows, at in connection.execute(query)
            }

    def candidates(self, model: str, *, last: int, before: datetime | None = None) -> list[Candidate]:
        """The model's journeys opened last, newest first."""
        query = select(candidates).where(candidates.c.model == model)
        if before is not None:
            query = query.where(candidates.c.opened_at < before)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(candidates.c.opened_at.desc()).limit(last))
            return [candidate_of(row) for row in rows]

    def verdicts(self, candidate_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """The verdict of the newest attempt of each gate, by candidate; no evidence is read."""
        gate = gate_column()
        newest = (
            select(gate_results.c.candidate_id, gate, func.max(gate_results.c.attempt).label("attempt"))
            .where(gate_results.c.candidate_id.in_(candidate_ids))
            .group_by(gate_results.c.candidate_id, gate)
            .subquery()
        )
        same = and_(
            gate_results.c.candidate_id == newest.c.candidate_id,
            gate == newest.c.gate_now,
            gate_results.c.attempt == newest.c.attempt,
        )
        query = select(gate_results.c.candidate_id, gate, gate_results.c.verdict).join(newest, same)
        found: dict[str, dict[str, str]] = {}
        with self._database.reading() as connection:
            for candidate_id, name, verdict in connection.execute(query.order_by(gate_results.c.recorded_at)):
                found.setdefault(candidate_id, {})[name] = verdict
        return found

    def attempts(self, candidate_id: str) -> list[GateRecord]:
        """Every attempt of every gate at the candidate, in order."""
        query = select(gate_results).where(gate_results.c.candidate_id == candidate_id)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(gate_column(), gate_results.c.attempt))
            return [gate_of(row) for row in rows]

    def drift_days(
        self, model: str, *, last: int, first: str | None = None, until: str | None = None
    ) -> list[DriftSummary]:
        """What the newest ``last`` reports say of performance and of each feature, oldest first, without histograms.

        Args:
            first: no day before this one, ``YYYY-MM-DD``.
            until: no day after this one.
        """
        mine = [drift_reports.c.model == model]
        mine += [drift_reports.c.day >= first] if first is not None else []
        mine += [drift_reports.c.day <= until] if until is not None else []
        query = (
            select(
                drift_reports.c.report_id,
                drift_reports.c.day,
                drift_reports.c.model_version,
                drift_reports.c.report["flags"].label("flags"),
                drift_reports.c.report["realised"].label("realised"),
                drift_reports.c.report["estimated"].label("estimated"),
                drift_reports.c.report["inputs"]["features"].label("features"),
                retrain_decisions.c.action,
                retrain_decisions.c.rule,
                retrain_decisions.c.reason,
            )
            .outerjoin(retrain_decisions, retrain_decisions.c.report_id == drift_reports.c.report_id)
            .where(*mine)
            .order_by(drift_reports.c.day.desc())
            .limit(last)
        )
        with self._database.reading() as connection:
            rows = list(connection.execute(query))
        return [
            DriftSummary(
                report_id=row.report_id,
                day=row.day,
                model_version=row.model_version,
                flags=row.flags or {},
                realised=row.realised or {},
                estimated=row.estimated or {},
                effects={f["name"]: float(f["effect"]) for f in row.features or [] if f["drifted"] is not None},
                unjudged={f["name"]: str(f["reason"]) for f in row.features or [] if f["drifted"] is None},
                action=row.action,
                rule=row.rule,
                reason=row.reason,
            )
            for row in reversed(rows)
        ]

    def journey_of_report(self, report_id: str) -> str | None:
        """The candidate of the journey that a drift report started or joined; None when there is none. A run that only
        claims to come from the report does not count."""
        asked = (journey_causes.c.report_id == report_id, journey_causes.c.trigger_kind == Trigger.DRIFT.value)
        query = select(journey_causes.c.candidate_id).where(*asked).order_by(journey_causes.c.recorded_at.desc())
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).scalar()

    def report_of_run(self, model: str, run_id: str) -> str | None:
        """The id of the report a drift run made; None when it made none."""
        query = select(drift_reports.c.report_id).where(
            drift_reports.c.model == model, drift_reports.c.run_id == run_id
        )
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).scalar()

    def runs_that_escalated(self, model: str, since: datetime) -> list[str]:
        """The drift runs whose decision asked for a person, recorded from ``since`` on."""
        query = (
            select(drift_reports.c.run_id)
            .join(retrain_decisions, retrain_decisions.c.report_id == drift_reports.c.report_id)
            .where(
                retrain_decisions.c.model == model,
                retrain_decisions.c.action == RetrainAction.ESCALATE.value,
                retrain_decisions.c.recorded_at >= since,
            )
        )
        with self._database.reading() as connection:
            return list(connection.execute(query.order_by(retrain_decisions.c.recorded_at)).scalars())

    def scored(self, model: str, first_day: str) -> dict[str, datetime]:
        """The days from ``first_day`` on that a champion served, with when that was first recorded."""
        query = (
            select(scorings.c.day, func.min(scorings.c.recorded_at).label("at"))
            .where(scorings.c.model == model, scorings.c.role == "served", scorings.c.day >= first_day)
            .group_by(scorings.c.day)
        )
        with self._database.reading() as connection:
            return {row.day: row.at for row in connection.execute(query)}

    def newest_scored(self, model: str) -> str | None:
        """The newest day a champion of the model served; None when none did."""
        query = select(func.max(scorings.c.day)).where(scorings.c.model == model, scorings.c.role == "served")
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def judged(self, model: str, first_day: str) -> dict[tuple[str, str], datetime]:
        """The days from ``first_day`` on that have a drift report, with the version it is about and when it came."""
        columns = (drift_reports.c.day, drift_reports.c.model_version, drift_reports.c.recorded_at)
        query = select(*columns).where(drift_reports.c.model == model, drift_reports.c.day >= first_day)
        with self._database.reading() as connection:
            return {(row.day, row.model_version): row.recorded_at for row in connection.execute(query)}

    def publishes(self, view: str, view_version: int, day: str) -> str:
        """How often the day was published, as a text that another publish changes; empty before the first."""
        mine = (
            partition_history.c.view == view,
            partition_history.c.view_version == view_version,
            partition_history.c.day == day,
        )
        with self._database.reading() as connection:
            return str(connection.execute(select(func.max(partition_history.c.number)).where(*mine)).scalar() or "")

    def scorings(self, model: str, day: str) -> str:
        """Who served the day and by which run, as a text that another scoring changes; empty before the first."""
        columns = (scorings.c.candidate_id, scorings.c.run_id, scorings.c.recorded_at)
        query = select(*columns).where(scorings.c.model == model, scorings.c.day == day, scorings.c.role == "served")
        with self._database.reading() as connection:
            return _told(connection.execute(query.order_by(*columns)))

    def reports(self, model: str, day: str) -> str:
        """The drift reports and decisions of the day, as a text that changes with them; empty before the first."""
        columns = (drift_reports.c.report_id, drift_reports.c.recorded_at, retrain_decisions.c.recorded_at)
        query = (
            select(*columns)
            .outerjoin(retrain_decisions, retrain_decisions.c.report_id == drift_reports.c.report_id)
            .where(drift_reports.c.model == model, drift_reports.c.day == day)
        )
        with self._database.reading() as connection:
            return _told(connection.execute(query.order_by(*columns)))

    def first_publishes(self, view: str, view_version: int) -> tuple[str, datetime] | None:
        """The newest published day, and when any day was last published that had not been before; None before the
        first. A correction of an old day does not show that the source sends new days."""
        first = (
            select(func.min(partition_history.c.recorded_at).label("at"))
            .where(partition_history.c.view == view, partition_history.c.view_version == view_version)
            .group_by(partition_history.c.day)
            .subquery()
        )
        with self._database.reading() as connection:
            at = connection.execute(select(func.max(first.c.at))).scalar()
            if at is None:
                return None
            same = (partitions.c.view == view, partitions.c.view_version == view_version)
            return str(connection.execute(select(func.max(partitions.c.day)).where(*same)).scalar()), at

    def shadow_moved(self, candidate_id: str) -> datetime | None:
        """When the candidate's open shadow window was opened or last got a day; None without an open one."""
        window = (
            select(shadow_windows)
            .where(shadow_windows.c.candidate_id == candidate_id, shadow_windows.c.closed_at.is_(None))
            .order_by(shadow_windows.c.number.desc())
        )
        with self._database.reading() as connection:
            found = connection.execute(window).first()
            if found is None:
                return None
            same = (shadow_days.c.candidate_id == candidate_id, shadow_days.c.number == found.number)
            newest = connection.execute(select(func.max(shadow_days.c.recorded_at)).where(*same)).scalar()
        opened: datetime = found.recorded_at
        return max(newest, opened) if newest is not None else opened


def _heads(connection: Connection, only: str | None) -> list[Epoch]:
    same = and_(
        deployments.c.model == deployment_history.c.model, deployments.c.revision == deployment_history.c.revision
    )
    query = select(deployment_history).join(deployments, same).where(_of(deployments.c.model, only))
    return [epoch_of(row) for row in connection.execute(query)]


def _live(connection: Connection, only: str | None) -> list[Candidate]:
    query = select(candidates).where(candidates.c.live, _of(candidates.c.model, only))
    return [candidate_of(row) for row in connection.execute(query)]


def _counts(connection: Connection, only: str | None) -> dict[str, int]:
    query = select(candidates.c.model, func.count()).where(_of(candidates.c.model, only)).group_by(candidates.c.model)
    return {model: int(count) for model, count in connection.execute(query)}


def _last(connection: Connection, only: str | None) -> dict[str, Candidate]:
    newest = (
        select(candidates.c.model, func.max(candidates.c.opened_at).label("opened_at"))
        .where(_of(candidates.c.model, only))
        .group_by(candidates.c.model)
        .subquery()
    )
    same = and_(candidates.c.model == newest.c.model, candidates.c.opened_at == newest.c.opened_at)
    return {row.model: candidate_of(row) for row in connection.execute(select(candidates).join(newest, same))}


def _newest_decisions(connection: Connection, only: str | None) -> list[RetrainDecision]:
    newest = (
        select(retrain_decisions.c.model, func.max(retrain_decisions.c.day).label("day"))
        .where(_of(retrain_decisions.c.model, only))
        .group_by(retrain_decisions.c.model)
        .subquery()
    )
    same = and_(retrain_decisions.c.model == newest.c.model, retrain_decisions.c.day == newest.c.day)
    query = select(retrain_decisions).join(newest, same).order_by(retrain_decisions.c.recorded_at)
    return [decision_of(row) for row in connection.execute(query)]


def _of(column: ColumnElement[str], only: str | None) -> ColumnElement[bool]:
    return true() if only is None else column == only


def _waiting(connection: Connection, live: Collection[str]) -> dict[str, str]:
    """The blocking gate at which each of the candidates waits for a person, where one does."""
    gate = gate_column()
    newest = (
        select(gate_results.c.candidate_id, gate, func.max(gate_results.c.attempt).label("attempt"))
        .where(gate_results.c.candidate_id.in_(live))
        .group_by(gate_results.c.candidate_id, gate)
        .subquery()
    )
    same = and_(
        gate_results.c.candidate_id == newest.c.candidate_id,
        gate == newest.c.gate_now,
        gate_results.c.attempt == newest.c.attempt,
    )
    query = (
        select(gate_results.c.candidate_id, gate)
        .join(newest, same)
        .where(gate_results.c.verdict == Verdict.INCONCLUSIVE.value, gate_results.c.mode == Mode.BLOCKING.value)
    )
    return {row.candidate_id: row.gate_now for row in connection.execute(query)}


def _told(rows: Iterable[Row[Any]]) -> str:
    return "; ".join(" ".join(str(value) for value in row) for row in rows)
