"""Incidents in tables of their own, with what happened to each.

Until now an incident was in the numbers of each drift decision alone. Those are taken over: one incident for each day
that one was opened on, as the newest decision about it left it, opened and, where it is over, closed by the decisions
that say so. What happened in between stays where it was recorded, in the decisions.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables import UtcTime

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    incidents = op.create_table(
        "incidents",
        sa.Column("incident_id", sa.String, primary_key=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("cause", sa.String, nullable=False),
        sa.Column("opened_on", sa.String(10), nullable=False),
        sa.Column("candidate_id", sa.String, nullable=False),
        sa.Column("metric", sa.String),
        sa.Column("anchor", sa.Float),
        sa.Column("band", sa.Float),
        sa.Column("changed_on", sa.String(10)),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("judged_on", sa.String(10), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("acknowledged_by", sa.String),
        sa.Column("snoozed_until", sa.String(10)),
        sa.Column("reminded_on", sa.String(10)),
        sa.Column("recorded_at", UtcTime, nullable=False),
    )
    op.create_index(
        "one_open_incident_per_cause",
        "incidents",
        ["model", "cause"],
        unique=True,
        sqlite_where=sa.text("stage != 'closed'"),
        postgresql_where=sa.text("stage != 'closed'"),
    )
    op.create_index("incidents_by_model_and_day", "incidents", ["model", "opened_on"])
    events = op.create_table(
        "incident_events",
        sa.Column("incident_id", sa.String, sa.ForeignKey("incidents.incident_id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("claimed", sa.String),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("state", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("recorded_at", UtcTime, nullable=False),
    )
    _take_over(incidents, events)
    _append_only()


def _take_over(incidents: sa.Table, events: sa.Table) -> None:
    decided = sa.table(
        "retrain_decisions",
        *(sa.column(c) for c in ("report_id", "model", "day")),
        sa.column("numbers", sa.JSON),
        sa.column("recorded_at", UtcTime),
    )
    connection = op.get_bind()
    # The numbers of one model at a time are held.
    for model in connection.execute(sa.select(decided.c.model).distinct().order_by(decided.c.model)).scalars().all():
        rows = connection.execute(
            sa.select(decided).where(decided.c.model == model).order_by(decided.c.day, decided.c.report_id)
        ).all()
        found = _incidents_of(rows)
        for opened_on, (opened, last, state) in found.items():
            over = state["stage"] == "closed"
            if not over and last is not rows[-1]:
                continue  # A day that was judged late had opened it; a newer decision knew nothing of it.
            key = f"{model}-performance-{opened_on.replace('-', '')}"
            connection.execute(
                sa.insert(incidents).values(
                    incident_id=key,
                    model=model,
                    cause="performance",
                    opened_on=opened_on,
                    candidate_id=state["version"],
                    **{name: state[name] for name in ("metric", "anchor", "band", "changed_on", "stage")},
                    judged_on=last.day,
                    revision=1,
                    state=state,
                    recorded_at=opened.recorded_at,
                )
            )
            said = [("opened", opened)] + ([("closed", last)] if over else [])
            for number, (kind, row) in enumerate(said, 1):
                connection.execute(
                    sa.insert(events).values(
                        incident_id=key,
                        number=number,
                        kind=kind,
                        day=row.day,
                        who=f"drift_{model}",
                        why=f"Taken over from the decision about {row.report_id}.",
                        at=row.recorded_at,
                        state=row.numbers["incident"],
                        recorded_at=row.recorded_at,
                    )
                )


def _incidents_of(rows: Any) -> dict[str, tuple[Any, Any, dict[str, Any]]]:
    """By the day each was opened on: the first decision that has it, the last, and the state that it left."""
    found: dict[str, tuple[Any, Any, dict[str, Any]]] = {}
    for row in rows:
        state = (row.numbers or {}).get("incident")
        if state:
            first = found[state["opened_on"]][0] if state["opened_on"] in found else row
            found[state["opened_on"]] = (first, row, state)
    return found


def _append_only() -> None:
    on_postgres = op.get_bind().dialect.name == "postgresql"
    for change in ("UPDATE", "DELETE"):
        head = f"CREATE TRIGGER incident_events_no_{change.lower()} BEFORE {change} ON incident_events"
        if on_postgres:
            op.execute(f"{head} FOR EACH ROW EXECUTE FUNCTION ledger_refuse()")
        else:
            op.execute(f"{head} BEGIN SELECT RAISE(ABORT, 'incident_events is append-only'); END")
