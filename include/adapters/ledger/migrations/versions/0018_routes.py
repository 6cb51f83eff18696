"""By whom a model is served online, and which instances say that they do; on Postgres each change is told at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from include.adapters.ledger.tables.columns import UtcTime

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "routes",
        sa.Column("model", sa.String, nullable=False),
        sa.Column("route_revision", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("champion_id", sa.String, nullable=False),
        sa.Column("canary_id", sa.String),
        sa.Column("share_ppm", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("salt", sa.String),
        sa.Column("lease_s", sa.Float),
        sa.Column("renewed_at", UtcTime()),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_routes")),
        sa.ForeignKeyConstraint(
            ["champion_id"], ["candidates.candidate_id"], name=op.f("fk_routes_champion_id_candidates")
        ),
        sa.ForeignKeyConstraint(
            ["canary_id"], ["candidates.candidate_id"], name=op.f("fk_routes_canary_id_candidates")
        ),
        sa.ForeignKeyConstraint(
            ["model", "revision"],
            ["deployment_history.model", "deployment_history.revision"],
            name=op.f("fk_routes_model_revision_deployment_history"),
        ),
    )
    op.create_table(
        "instances",
        sa.Column("instance_id", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("seen_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime()),
        sa.Column("watermark", UtcTime()),
        sa.Column("models", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_instances")),
    )
    op.execute(
        "INSERT INTO routes (model, route_revision, revision, champion_id, share_ppm, recorded_at) "
        "SELECT d.model, d.revision, d.revision, d.candidate_id, 0, h.recorded_at FROM deployments d "
        "JOIN deployment_history h ON h.model = d.model AND h.revision = d.revision"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION slipway_route_changed() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_notify('slipway_routes', NEW.model); RETURN NEW; END $$"
        )
        op.execute(
            "CREATE TRIGGER routes_changed AFTER INSERT OR UPDATE ON routes "
            "FOR EACH ROW EXECUTE FUNCTION slipway_route_changed()"
        )
