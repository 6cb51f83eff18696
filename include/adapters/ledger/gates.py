"""What each gate said about each candidate, append-only, and the overrides people gave."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, and_, case, func, insert, select, update

from include.adapters.ledger.candidate_rows import asked_by_in, candidate_in, candidate_of
from include.adapters.ledger.database import Database, clock, next_number, plain, utc, words
from include.adapters.ledger.epochs import epochs_in
from include.adapters.ledger.errors import BadValue, OverrideStands, RequesterMayNotDecide
from include.adapters.ledger.records import Candidate, GateStanding, JudgedOn
from include.adapters.ledger.requests import OverrideRequest
from include.adapters.ledger.stops import lap_in
from include.adapters.ledger.tables import candidates, gate_results, overrides, training_sets
from include.domain.authority import Approvers, Person, require
from include.domain.faults import crashpoint
from include.domain.gate_names import FORMER, name_now, names_of
from include.domain.promotion import Clearance, Epoch, GateRecord, Override, Promotable, clearance
from include.domain.verdicts import GateResult


class GateRecords:
    """Appends gate results and decides what they clear."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, candidate_id: str, result: GateResult, *, digest: str | None, run_id: str) -> GateRecord:
        """Append one attempt. The newest attempt again (same evidence, digest, run and lap) changes nothing.

        In a later lap of the journey the same evidence is a new attempt: the gate judged again, and its result has the
        time of this attempt.

        Args:
            digest: what the gate saw: the artifact's digest, or the training set's hash for a gate that judges data.
        """
        gate, run_id = name_now(words("gate", result.gate)), words("run_id", run_id)
        evidence = plain(f"The evidence of {gate}", result.as_json())
        with self._database.writing(f"gates:{candidate_id}") as connection:
            candidate_in(connection, candidate_id)
            newest = next((s.newest for s in standings_in(connection, candidate_id, gate)), None)
            lap = lap_in(connection, candidate_id)
            said = None if newest is None else (newest.digest, newest.run_id, newest.result.as_json(), newest.lap or 1)
            if newest is not None and said == (digest, run_id, evidence, lap):
                return newest
            key = {"candidate_id": candidate_id, "gate": gate}
            record = GateRecord(
                **key,
                attempt=next_number(connection, gate_results, "attempt", {**key, "gate": names_of(gate)}),
                digest=digest,
                run_id=run_id,
                recorded_at=clock(),
                result=GateResult.from_json(evidence),
                lap=lap,
            )
            connection.execute(
                insert(gate_results).values(
                    **key,
                    attempt=record.attempt,
                    mode=result.mode.value,
                    verdict=result.verdict.value,
                    digest=digest,
                    run_id=run_id,
                    evidence=evidence,
                    recorded_at=record.recorded_at,
                    lap=lap,
                )
            )
            crashpoint("ledger.gate.inserted")
            return record

    def latest(self, candidate_id: str) -> dict[str, GateRecord]:
        """The newest attempt of each gate, in the order the gates first judged."""
        with self._database.reading() as connection:
            return {s.newest.gate: s.newest for s in standings_in(connection, candidate_id)}

    def judged_on(self, model: str, gate: str, part: str) -> list[JudgedOn]:
        """The model's candidates that the gate has judged, in the order it judged them first, with the days of one part
        of their training sets; one whose set was never recorded is left out. No evidence is read."""
        first = and_(
            gate_results.c.candidate_id == candidates.c.candidate_id,
            gate_results.c.gate.in_(names_of(name_now(gate))),
            gate_results.c.attempt == 1,
        )
        made = and_(training_sets.c.candidate_id == candidates.c.candidate_id, training_sets.c.part == part)
        days = (training_sets.c.start.label("part_start"), training_sets.c.end.label("part_end"))
        query = (
            select(candidates, *days, gate_results.c.recorded_at.label("judged_at"))
            .join(gate_results, first)
            .join(training_sets, made)
            .where(candidates.c.model == model)
            .order_by(gate_results.c.recorded_at, candidates.c.opened_at)
        )
        with self._database.reading() as connection:
            history = epochs_in(connection, model)
            return [
                JudgedOn(candidate_of(row), row.part_start, row.part_end, _champion_at(history, row.judged_at))
                for row in connection.execute(query)
            ]

    def clearance(
        self, candidate_id: str, required: Collection[str], *, now: datetime, max_age: timedelta | None = None
    ) -> Clearance:
        """What blocks the candidate's promotion; ``required`` names the model's blocking gates."""
        with self._database.reading() as connection:
            return clearance_in(connection, candidate_in(connection, candidate_id), required, utc("now", now), max_age)

    def override(
        self,
        asked: OverrideRequest,
        *,
        by: Person,
        approvers: Approvers,
        now: datetime,
        requester_may: bool = False,
    ) -> Override:
        """Let the candidate past one gate until the override expires. The same override again changes nothing.

        ``requester_may`` is whether the model's tier lets the person who asked for the journey decide.

        Raises:
            MayNotDecide: when ``by`` is none of the model's approvers.
            RequesterMayNotDecide: when ``by``, or the name they claim, asked for the journey and may not decide.
            OverrideStands: when another one is in force.
            BadValue: when it would be expired already.
        """
        candidate_id, gate = asked.candidate_id, name_now(words("gate", asked.gate))
        who, why = words("who", by.name), words("why", asked.why)
        claimed = None if by.claims is None else words("by", by.claims)
        now, expires_at = utc("now", now), utc("expires_at", asked.expires_at)
        if expires_at <= now:
            raise BadValue(
                f"The override of {gate} would expire at {expires_at.isoformat()}, which is past; give a later time."
            )
        with self._database.writing(f"gates:{candidate_id}") as connection:
            candidate = candidate_in(connection, candidate_id)
            require(candidate.model, f"let {candidate_id} past {gate}", by, approvers)
            if not requester_may and by.names & asked_by_in(connection, candidate):
                raise RequesterMayNotDecide(candidate_id, gate, str(by))
            standing = next((o for o in overrides_in(connection, candidate_id, gate) if o.ended_at is None), None)
            if standing is not None and standing.is_live(now):
                if (standing.who, standing.why, standing.expires_at) == (who, why, expires_at):
                    return standing
                raise OverrideStands(candidate_id, gate, standing.who, standing.expires_at)
            if standing is not None:
                _end(connection, standing, now)
                crashpoint("ledger.override.ended")
            key = {"candidate_id": candidate_id, "gate": gate}
            made = Override(candidate_id, gate, who, why, expires_at, recorded_at=clock(), claimed=claimed)
            connection.execute(
                insert(overrides).values(
                    **key,
                    number=next_number(connection, overrides, "number", {**key, "gate": names_of(gate)}),
                    who=who,
                    why=why,
                    expires_at=expires_at,
                    recorded_at=made.recorded_at,
                    claimed=claimed,
                )
            )
            crashpoint("ledger.override.inserted")
            return made

    def withdraw(self, candidate_id: str, gate: str, *, now: datetime) -> Override | None:
        """End the override in force; None when there is none."""
        with self._database.writing(f"gates:{candidate_id}") as connection:
            standing = next((o for o in overrides_in(connection, candidate_id, gate) if o.ended_at is None), None)
            if standing is not None:
                _end(connection, standing, utc("now", now))
                crashpoint("ledger.override.withdrawn")
            return standing

    def live_override(self, candidate_id: str, gate: str, *, now: datetime) -> Override | None:
        """The override that holds at ``now``; None when there is none or it has expired."""
        with self._database.reading() as connection:
            found = overrides_in(connection, candidate_id, gate)
        return next((o for o in found if o.is_live(utc("now", now))), None)

    def overrides(self, candidate_id: str) -> list[Override]:
        """Every override of the candidate, oldest first."""
        with self._database.reading() as connection:
            return overrides_in(connection, candidate_id)


def _champion_at(history: Sequence[Epoch], moment: datetime) -> str | None:
    return next((e.to_candidate for e in reversed(history) if e.recorded_at <= moment), None)


def clearance_in(
    connection: Connection, candidate: Candidate, required: Collection[str], now: datetime, max_age: timedelta | None
) -> Clearance:
    facts = candidate.facts
    return clearance(
        required,
        [s.newest for s in standings_in(connection, candidate.candidate_id)],
        overrides_in(connection, candidate.candidate_id),
        Promotable(facts.artifact_digest, facts.training_set_hash, candidate.run_id, facts.served_digest),
        now=now,
        max_age=max_age,
    )


def standings_in(connection: Connection, candidate_id: str, gate: str | None = None) -> list[GateStanding]:
    """The newest attempt of each gate; only those rows' evidence is read."""
    mine = gate_results.c.candidate_id == candidate_id
    if gate is not None:
        mine = and_(mine, gate_results.c.gate.in_(names_of(gate)))
    # Grouped by the key's own index, without the evidence, so that many attempts cost little.
    name = gate_column()
    grouped = select(name, func.max(gate_results.c.attempt).label("attempt")).where(mine)
    newest = grouped.group_by(name).subquery()
    first = gate_results.alias("first")
    query = (
        select(gate_results)
        .join(newest, and_(name == newest.c.gate_now, gate_results.c.attempt == newest.c.attempt))
        .join(
            first,
            and_(
                first.c.candidate_id == gate_results.c.candidate_id,
                gate_column(first) == name,
                first.c.attempt == 1,
            ),
        )
        .where(mine)
        .order_by(first.c.recorded_at, gate_results.c.gate)
    )
    return [GateStanding(gate_of(row), attempts=row.attempt) for row in connection.execute(query)]


def gate_attempt_in(connection: Connection, candidate_id: str, gate: str, attempt: int) -> GateRecord | None:
    key = and_(
        gate_results.c.candidate_id == candidate_id,
        gate_results.c.gate.in_(names_of(gate)),
        gate_results.c.attempt == attempt,
    )
    row = connection.execute(select(gate_results).where(key)).one_or_none()
    return None if row is None else gate_of(row)


def overrides_in(connection: Connection, candidate_id: str, gate: str | None = None) -> list[Override]:
    query = select(overrides).where(overrides.c.candidate_id == candidate_id)
    if gate is not None:
        query = query.where(overrides.c.gate.in_(names_of(gate)))
    rows = connection.execute(query.order_by(overrides.c.recorded_at, overrides.c.gate, overrides.c.number))
    return [
        Override(
            row.candidate_id,
            name_now(row.gate),
            row.who,
            row.why,
            row.expires_at,
            row.recorded_at,
            row.ended_at,
            row.claimed,
        )
        for row in rows
    ]


def _end(connection: Connection, override: Override, now: datetime) -> None:
    standing = and_(
        overrides.c.candidate_id == override.candidate_id,
        overrides.c.gate.in_(names_of(override.gate)),
        overrides.c.ended_at.is_(None),
    )
    connection.execute(update(overrides).where(standing).values(ended_at=now))


def gate_column(table: FromClause = gate_results) -> ColumnElement[str]:
    """The gate of each row under the name it has now. Its label differs from the table's column, so that GROUP BY
    cannot mean the column. Use one such expression in a query: Postgres requires that for GROUP BY."""
    return case(FORMER, value=table.c.gate, else_=table.c.gate).label("gate_now")


def gate_of(row: Row[Any]) -> GateRecord:
    gate = name_now(row.gate)
    return GateRecord(
        candidate_id=row.candidate_id,
        gate=gate,
        attempt=row.attempt,
        digest=row.digest,
        run_id=row.run_id,
        recorded_at=row.recorded_at,
        result=replace(GateResult.from_json(row.evidence), gate=gate),
        lap=row.lap,
    )
