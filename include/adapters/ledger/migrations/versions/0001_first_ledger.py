"""The first ledger: candidates, gates, overrides, deployments, shadow windows, drift, partitions, attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables import UtcTime

revision = "0001"
down_revision = None

APPEND_ONLY = ("partition_history", "candidate_transitions", "gate_results", "deployment_history", "retrain_decisions")


def upgrade() -> None:
    _tables()
    _append_only()


def _append_only() -> None:
    """Refuse UPDATE and DELETE in the database itself, so that no later code and no hand can rewrite what happened."""
    on_postgres = op.get_bind().dialect.name == "postgresql"
    if on_postgres:
        op.execute(
            "CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME "
            "USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
    for table in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            head = f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table}"
            if on_postgres:
                op.execute(f"{head} FOR EACH ROW EXECUTE FUNCTION ledger_refuse()")
            else:
                op.execute(f"{head} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END")


def _tables() -> None:
    op.create_table(
        "attempts",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_attempts")),
    )
    op.create_table(
        "candidates",
        sa.Column("candidate_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("as_of", UtcTime(), nullable=False),
        sa.Column("trigger_kind", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("issue", sa.String(), nullable=True),
        sa.Column("report_id", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("artifact_digest", sa.String(), nullable=True),
        sa.Column("training_set_hash", sa.String(), nullable=True),
        sa.Column("mlflow_run_id", sa.String(), nullable=True),
        sa.Column("model_version", sa.String(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("opened_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("candidate_id", name=op.f("pk_candidates")),
        sa.UniqueConstraint("model", "run_id", name=op.f("uq_candidates_model_run_id")),
    )
    op.create_index("candidates_by_model_and_digest", "candidates", ["model", "artifact_digest"], unique=False)
    op.create_index(
        "one_live_candidate_per_model",
        "candidates",
        ["model"],
        unique=True,
        sqlite_where=sa.text("live"),
        postgresql_where=sa.text("live"),
    )
    op.create_table(
        "drift_reports",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("model_version", sa.String(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("report", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_drift_reports")),
        sa.UniqueConstraint("model", "model_version", "day", name=op.f("uq_drift_reports_model_model_version_day")),
    )
    op.create_index("drift_reports_by_model_and_day", "drift_reports", ["model", "day"], unique=False)
    op.create_table(
        "partition_history",
        sa.Column("view", sa.String(), nullable=False),
        sa.Column("view_version", sa.Integer(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("table_version", sa.BigInteger(), nullable=True),
        sa.Column("source_rows", sa.BigInteger(), nullable=False),
        sa.Column("source_watermark", UtcTime(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("view", "view_version", "day", "number", name=op.f("pk_partition_history")),
    )
    op.create_table(
        "partitions",
        sa.Column("view", sa.String(), nullable=False),
        sa.Column("view_version", sa.Integer(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("table_version", sa.BigInteger(), nullable=True),
        sa.Column("source_rows", sa.BigInteger(), nullable=False),
        sa.Column("source_watermark", UtcTime(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("view", "view_version", "day", name=op.f("pk_partitions")),
    )
    op.create_table(
        "candidate_transitions",
        sa.Column("candidate_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event", sa.String(), nullable=True),
        sa.Column("from_state", sa.String(), nullable=True),
        sa.Column("to_state", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["candidates.candidate_id"], name=op.f("fk_candidate_transitions_candidate_id_candidates")
        ),
        sa.PrimaryKeyConstraint("candidate_id", "number", name=op.f("pk_candidate_transitions")),
    )
    op.create_table(
        "deployment_history",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("from_candidate", sa.String(), nullable=True),
        sa.Column("to_candidate", sa.String(), nullable=False),
        sa.Column("model_version", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("effective_from", UtcTime(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("cleared_by", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["from_candidate"],
            ["candidates.candidate_id"],
            name=op.f("fk_deployment_history_from_candidate_candidates"),
        ),
        sa.ForeignKeyConstraint(
            ["to_candidate"], ["candidates.candidate_id"], name=op.f("fk_deployment_history_to_candidate_candidates")
        ),
        sa.PrimaryKeyConstraint("model", "revision", name=op.f("pk_deployment_history")),
        sa.UniqueConstraint(
            "model", "run_id", "kind", "to_candidate", name=op.f("uq_deployment_history_model_run_id_kind_to_candidate")
        ),
    )
    op.create_table(
        "gate_results",
        sa.Column("candidate_id", sa.String(), nullable=False),
        sa.Column("gate", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["candidates.candidate_id"], name=op.f("fk_gate_results_candidate_id_candidates")
        ),
        sa.PrimaryKeyConstraint("candidate_id", "gate", "attempt", name=op.f("pk_gate_results")),
    )
    op.create_table(
        "overrides",
        sa.Column("candidate_id", sa.String(), nullable=False),
        sa.Column("gate", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["candidates.candidate_id"], name=op.f("fk_overrides_candidate_id_candidates")
        ),
        sa.PrimaryKeyConstraint("candidate_id", "gate", "number", name=op.f("pk_overrides")),
    )
    op.create_index(
        "one_standing_override_per_gate",
        "overrides",
        ["candidate_id", "gate"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "retrain_decisions",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("numbers", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("journey_run_id", sa.String(), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id"], ["drift_reports.report_id"], name=op.f("fk_retrain_decisions_report_id_drift_reports")
        ),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_retrain_decisions")),
    )
    op.create_index("retrain_decisions_by_model_and_day", "retrain_decisions", ["model", "day"], unique=False)
    op.create_table(
        "shadow_windows",
        sa.Column("candidate_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("champion_id", sa.String(), nullable=True),
        sa.Column("opened_from", UtcTime(), nullable=False),
        sa.Column("closed_at", UtcTime(), nullable=True),
        sa.Column("min_rows", sa.Integer(), nullable=False),
        sa.Column("min_days", sa.Integer(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["candidates.candidate_id"], name=op.f("fk_shadow_windows_candidate_id_candidates")
        ),
        sa.ForeignKeyConstraint(
            ["champion_id"], ["candidates.candidate_id"], name=op.f("fk_shadow_windows_champion_id_candidates")
        ),
        sa.PrimaryKeyConstraint("candidate_id", "number", name=op.f("pk_shadow_windows")),
    )
    op.create_index(op.f("ix_shadow_windows_model"), "shadow_windows", ["model"], unique=False)
    op.create_index(
        "one_open_window_per_candidate",
        "shadow_windows",
        ["candidate_id"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "deployments",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("candidate_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["candidates.candidate_id"], name=op.f("fk_deployments_candidate_id_candidates")
        ),
        sa.ForeignKeyConstraint(
            ["model", "revision"],
            ["deployment_history.model", "deployment_history.revision"],
            name=op.f("fk_deployments_model_revision_deployment_history"),
        ),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_deployments")),
    )
    op.create_table(
        "shadow_days",
        sa.Column("candidate_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id", "number"],
            ["shadow_windows.candidate_id", "shadow_windows.number"],
            name=op.f("fk_shadow_days_candidate_id_number_shadow_windows"),
        ),
        sa.PrimaryKeyConstraint("candidate_id", "number", "day", name=op.f("pk_shadow_days")),
    )
