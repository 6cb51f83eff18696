"""Tables of the journeys: candidates, verdicts, people's decisions, shadow, drift, and who served when."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from include.adapters.ledger.tables.columns import UtcTime, candidate_id, evidence, metadata, recorded_at

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
    Column("served_digest", String),
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
    candidate_id(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("event", String),
    Column("from_state", String),
    Column("to_state", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    recorded_at(),
)

journey_causes = Table(  # append-only
    "journey_causes",
    metadata,
    candidate_id(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("run_id", String, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("trigger_kind", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", String, nullable=False),
    Column("issue", String),
    Column("report_id", String),
    Column("state", String, nullable=False),
    recorded_at(),
    Column("user_name", String),
    UniqueConstraint("candidate_id", "run_id"),
)

journey_stops = Table(  # append-only
    "journey_stops",
    metadata,
    candidate_id(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("lap", Integer, nullable=False),
    Column("step", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("said", Text),
    recorded_at(),
)

gate_results = Table(  # append-only
    "gate_results",
    metadata,
    candidate_id(primary_key=True),
    Column("gate", String, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("mode", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("digest", String),
    Column("run_id", String, nullable=False),
    evidence("evidence"),
    recorded_at(),
    Column("lap", Integer),
)

overrides = Table(
    "overrides",
    metadata,
    candidate_id(primary_key=True),
    Column("gate", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    recorded_at(),
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
    evidence("cleared_by"),
    recorded_at(),
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
    recorded_at(),
)

deployments = Table(
    "deployments",
    metadata,
    Column("model", String, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("candidate_id", String, ForeignKey("candidates.candidate_id"), nullable=False),
    ForeignKeyConstraint(["model", "revision"], ["deployment_history.model", "deployment_history.revision"]),
)

routes = Table(
    "routes",
    metadata,
    Column("model", String, primary_key=True),
    Column("route_revision", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("champion_id", String, ForeignKey("candidates.candidate_id"), nullable=False),
    Column("canary_id", String, ForeignKey("candidates.candidate_id")),
    Column("share_ppm", Integer, nullable=False),
    Column("number", Integer),
    Column("salt", String),
    Column("lease_s", Float),
    Column("renewed_at", UtcTime),
    recorded_at(),
    ForeignKeyConstraint(["model", "revision"], ["deployment_history.model", "deployment_history.revision"]),
)

rollouts = Table(  # append-only
    "rollouts",
    metadata,
    candidate_id(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("model", String, nullable=False, index=True),
    Column("champion_id", String, ForeignKey("candidates.candidate_id"), nullable=False),
    Column("champion_revision", Integer, nullable=False),
    Column("digest", String, nullable=False),
    Column("salt", String, nullable=False),
    evidence("plan"),
    Column("lease_s", Float, nullable=False),
    Column("run_id", String, nullable=False),
    recorded_at(),
    UniqueConstraint("candidate_id", "run_id"),
)

rollout_events = Table(  # append-only
    "rollout_events",
    metadata,
    candidate_id(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("step", Integer, nullable=False),
    Column("share_ppm", Integer, nullable=False),
    Column("attempt", Integer),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    evidence("evidence", nullable=True),
    Column("event_key", String, nullable=False),
    recorded_at(),
    UniqueConstraint("candidate_id", "number", "event_key"),
    ForeignKeyConstraint(["candidate_id", "number"], ["rollouts.candidate_id", "rollouts.number"]),
)

instances = Table(
    "instances",
    metadata,
    Column("instance_id", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("watermark", UtcTime),
    evidence("models"),
)

shadow_windows = Table(
    "shadow_windows",
    metadata,
    candidate_id(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("model", String, nullable=False, index=True),
    Column("champion_id", String, ForeignKey("candidates.candidate_id")),
    Column("opened_from", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    Column("min_rows", Integer, nullable=False),
    Column("min_days", Integer, nullable=False),
    recorded_at(),
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
    recorded_at(),
    ForeignKeyConstraint(["candidate_id", "number"], ["shadow_windows.candidate_id", "shadow_windows.number"]),
)

drift_reports = Table(
    "drift_reports",
    metadata,
    Column("report_id", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("model_version", String, nullable=False),
    Column("day", String(10), nullable=False),
    evidence("report"),
    Column("run_id", String, nullable=False),
    recorded_at(),
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
    evidence("numbers"),
    Column("journey_run_id", String),
    recorded_at(),
    Index("retrain_decisions_by_model_and_day", "model", "day"),
)

settled_days = Table(
    "settled_days",
    metadata,
    Column("model", String, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("day", String(10), primary_key=True),
    Column("measured_as", String, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("labelled", BigInteger, nullable=False),
    Column("total", Float, nullable=False),
    Column("squares", Float, nullable=False),
    recorded_at(),
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
    evidence("state"),
    Column("acknowledged_by", String),
    Column("snoozed_until", String(10)),
    Column("reminded_on", String(10)),
    recorded_at(),
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
    evidence("state"),
    recorded_at(),
)
