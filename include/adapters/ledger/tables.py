"""The ledger's tables. The migrations make them; a test compares the two.

Keys are natural, so that writing the same fact twice meets the same row. Tables marked append-only have triggers that
refuse UPDATE and DELETE on either database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC on both databases: SQLite, which keeps no zone, stores and compares UTC text."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"The time {value.isoformat()} has no time zone. Give it in UTC.")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _evidence(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, JSON(none_as_null=True), nullable=nullable)


def _recorded_at() -> Column[datetime]:
    return Column("recorded_at", UtcTime, nullable=False)


def _candidate(*, primary_key: bool = False) -> Column[str]:
    return Column(
        "candidate_id", String, ForeignKey("candidates.candidate_id"), primary_key=primary_key, nullable=False
    )


def _partition_facts() -> list[Column[Any]]:
    return [
        Column("status", String, nullable=False),
        Column("rows", BigInteger, nullable=False),
        Column("content_hash", String, nullable=False),
        Column("code_hash", String, nullable=False),
        Column("table_version", BigInteger),
        Column("source_rows", BigInteger, nullable=False),
        Column("source_watermark", UtcTime),
        Column("run_id", String, nullable=False),
        _recorded_at(),
        Column("source_hash", String),
        Column("source_as_of", UtcTime),
        Column("files", String),
    ]


attempts = Table(
    "attempts",
    metadata,
    Column("scope", String, primary_key=True),
    Column("token", Integer, nullable=False),
)

partitions = Table(
    "partitions",
    metadata,
    Column("view", String, primary_key=True),
    Column("view_version", Integer, primary_key=True),
    Column("day", String(10), primary_key=True),
    *_partition_facts(),
)

partition_history = Table(  # append-only
    "partition_history",
    metadata,
    Column("view", String, primary_key=True),
    Column("view_version", Integer, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    *_partition_facts(),
)

candidates = Table(
    "candidates",
    metadata,
    Column("candidate_id", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("trigger_kind", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", String, nullable=False),
    Column("issue", String),
    Column("report_id", String),
    Column("state", String, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("artifact_digest", String),
    Column("training_set_hash", String),
    Column("mlflow_run_id", String),
    Column("model_version", String),
    Column("outcome", Text),
    Column("opened_at", UtcTime, nullable=False),
    Column("user_name", String),
    UniqueConstraint("model", "run_id"),
    Index(
        "one_live_candidate_per_model", "model", unique=True, sqlite_where=text("live"), postgresql_where=text("live")
    ),
    Index("candidates_by_model_and_digest", "model", "artifact_digest"),
)

candidate_transitions = Table(  # append-only
    "candidate_transitions",
    metadata,
    _candidate(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("event", String),
    Column("from_state", String),
    Column("to_state", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    _recorded_at(),
)

journey_causes = Table(  # append-only
    "journey_causes",
    metadata,
    _candidate(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("run_id", String, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("trigger_kind", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", String, nullable=False),
    Column("issue", String),
    Column("report_id", String),
    Column("state", String, nullable=False),
    _recorded_at(),
    Column("user_name", String),
    UniqueConstraint("candidate_id", "run_id"),
)

journey_stops = Table(  # append-only
    "journey_stops",
    metadata,
    _candidate(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("lap", Integer, nullable=False),
    Column("step", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("said", Text),
    _recorded_at(),
)

gate_results = Table(  # append-only
    "gate_results",
    metadata,
    _candidate(primary_key=True),
    Column("gate", String, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("mode", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("digest", String),
    Column("run_id", String, nullable=False),
    _evidence("evidence"),
    _recorded_at(),
    Column("lap", Integer),
)

overrides = Table(
    "overrides",
    metadata,
    _candidate(primary_key=True),
    Column("gate", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    _recorded_at(),
    Column("claimed", String),
    Index(
        "one_standing_override_per_gate",
        "candidate_id",
        "gate",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

deployment_history = Table(  # append-only
    "deployment_history",
    metadata,
    Column("model", String, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("from_candidate", String, ForeignKey("candidates.candidate_id")),
    Column("to_candidate", String, ForeignKey("candidates.candidate_id"), nullable=False),
    Column("model_version", String),
    Column("digest", String, nullable=False),
    Column("effective_from", UtcTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("run_id", String, nullable=False),
    _evidence("cleared_by"),
    _recorded_at(),
    Column("claimed", String),
    UniqueConstraint("model", "run_id", "kind", "to_candidate"),
)

known_rights = Table(  # the rights that the platform reported of each user when they last acted
    "known_rights",
    metadata,
    Column("model", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("roles", JSON, nullable=False),
    Column("operator", Boolean, nullable=False),
    _recorded_at(),
)

deployments = Table(
    "deployments",
    metadata,
    Column("model", String, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("candidate_id", String, ForeignKey("candidates.candidate_id"), nullable=False),
    ForeignKeyConstraint(["model", "revision"], ["deployment_history.model", "deployment_history.revision"]),
)

shadow_windows = Table(
    "shadow_windows",
    metadata,
    _candidate(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("model", String, nullable=False, index=True),
    Column("champion_id", String, ForeignKey("candidates.candidate_id")),
    Column("opened_from", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    Column("min_rows", Integer, nullable=False),
    Column("min_days", Integer, nullable=False),
    _recorded_at(),
    Index(
        "one_open_window_per_candidate",
        "candidate_id",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)

shadow_days = Table(
    "shadow_days",
    metadata,
    Column("candidate_id", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("day", String(10), primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("answered", BigInteger, nullable=False),
    _recorded_at(),
    ForeignKeyConstraint(["candidate_id", "number"], ["shadow_windows.candidate_id", "shadow_windows.number"]),
)

drift_reports = Table(
    "drift_reports",
    metadata,
    Column("report_id", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("model_version", String, nullable=False),
    Column("day", String(10), nullable=False),
    _evidence("report"),
    Column("run_id", String, nullable=False),
    _recorded_at(),
    UniqueConstraint("model", "model_version", "day"),
    Index("drift_reports_by_model_and_day", "model", "day"),
)

retrain_decisions = Table(  # append-only
    "retrain_decisions",
    metadata,
    Column("report_id", String, ForeignKey("drift_reports.report_id"), primary_key=True),
    Column("model", String, nullable=False),
    Column("day", String(10), nullable=False),
    Column("action", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("reason", Text, nullable=False),
    _evidence("numbers"),
    Column("journey_run_id", String),
    _recorded_at(),
    Index("retrain_decisions_by_model_and_day", "model", "day"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("incident_id", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("cause", String, nullable=False),
    Column("opened_on", String(10), nullable=False),
    Column("candidate_id", String, nullable=False),
    Column("metric", String),
    Column("anchor", Float),
    Column("band", Float),
    Column("changed_on", String(10)),
    Column("stage", String, nullable=False),
    Column("judged_on", String(10), nullable=False),
    Column("revision", Integer, nullable=False),
    _evidence("state"),
    Column("acknowledged_by", String),
    Column("snoozed_until", String(10)),
    Column("reminded_on", String(10)),
    _recorded_at(),
    Index(
        "one_open_incident_per_cause",
        "model",
        "cause",
        unique=True,
        sqlite_where=text("stage != 'closed'"),
        postgresql_where=text("stage != 'closed'"),
    ),
    Index("incidents_by_model_and_day", "model", "opened_on"),
)

incident_events = Table(  # append-only
    "incident_events",
    metadata,
    Column("incident_id", String, ForeignKey("incidents.incident_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("day", String(10), nullable=False),
    Column("who", String, nullable=False),
    Column("claimed", String),
    Column("why", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    _evidence("state"),
    _recorded_at(),
)

training_sets = Table(
    "training_sets",
    metadata,
    _candidate(primary_key=True),
    Column("part", String, primary_key=True),
    Column("content_hash", String, nullable=False),
    Column("label_hash", String, nullable=False),
    Column("start", UtcTime, nullable=False),
    Column("end", UtcTime, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("rows", BigInteger, nullable=False),
    _evidence("sources"),
    _recorded_at(),
)

scorings = Table(
    "scorings",
    metadata,
    Column("model", String, primary_key=True),
    Column("day", String(10), primary_key=True),
    _candidate(primary_key=True),
    Column("role", String, nullable=False),
    Column("model_version", String, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("first_asked", UtcTime, nullable=False),
    Column("last_asked", UtcTime, nullable=False),
    Column("feature_set", String, nullable=False),
    _evidence("sources"),
    Column("run_id", String, nullable=False),
    _recorded_at(),
    Index("scorings_by_candidate", "candidate_id"),
)

scoring_claims = Table(  # append-only
    "scoring_claims",
    metadata,
    Column("model", String, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("candidate_id", String, ForeignKey("candidates.candidate_id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("run_id", String, nullable=False),
    _recorded_at(),
    ForeignKeyConstraint(["model", "revision"], ["deployment_history.model", "deployment_history.revision"]),
)

notices = Table(
    "notices",
    metadata,
    Column("key", String, primary_key=True),
    Column("scope", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("role", String),
    Column("told", String, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("link", String, nullable=False),
    Column("state", String, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("error", Text),
    _recorded_at(),
    Index("notices_by_state", "state"),
)

outages = Table(
    "outages",
    metadata,
    Column("cause", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("scope", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("link", String, nullable=False),
    Column("told_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    _recorded_at(),
    Index("outages_by_end", "ended_at"),
)

outage_items = Table(
    "outage_items",
    metadata,
    Column("cause", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("item", String, primary_key=True),
    Column("ended_at", UtcTime),
    Column("had", Text),
    _recorded_at(),
    ForeignKeyConstraint(["cause", "number"], ["outages.cause", "outages.number"]),
)

beats = Table(
    "beats",
    metadata,
    Column("name", String, primary_key=True),
    Column("first_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False),
)

APPEND_ONLY = (
    "partition_history",
    "candidate_transitions",
    "journey_causes",
    "journey_stops",
    "gate_results",
    "deployment_history",
    "retrain_decisions",
    "incident_events",
    "scoring_claims",
)
