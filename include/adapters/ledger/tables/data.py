"""Tables of the data: partitions, training sets, and which candidate scored which day."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Float, ForeignKey, ForeignKeyConstraint, Index, Integer, String, Table

from include.adapters.ledger.tables.columns import UtcTime, candidate_id, evidence, metadata, recorded_at


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
        recorded_at(),
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


training_sets = Table(
    "training_sets",
    metadata,
    candidate_id(primary_key=True),
    Column("part", String, primary_key=True),
    Column("content_hash", String, nullable=False),
    Column("label_hash", String, nullable=False),
    Column("start", UtcTime, nullable=False),
    Column("end", UtcTime, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("rows", BigInteger, nullable=False),
    evidence("sources"),
    recorded_at(),
)


scorings = Table(
    "scorings",
    metadata,
    Column("model", String, primary_key=True),
    Column("day", String(10), primary_key=True),
    candidate_id(primary_key=True),
    Column("role", String, nullable=False),
    Column("model_version", String, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("first_asked", UtcTime, nullable=False),
    Column("last_asked", UtcTime, nullable=False),
    Column("feature_set", String, nullable=False),
    evidence("sources"),
    Column("run_id", String, nullable=False),
    recorded_at(),
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
    recorded_at(),
    ForeignKeyConstraint(["model", "revision"], ["deployment_history.model", "deployment_history.revision"]),
)


stream_marks = Table(
    "stream_marks",
    metadata,
    Column("view", String, primary_key=True),
    Column("view_version", Integer, primary_key=True),
    Column("holder", String, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("read_until", UtcTime, nullable=False),
    Column("event_watermark", UtcTime),
    Column("pushed_at", UtcTime),
    Column("rows", BigInteger, nullable=False),
    evidence("positions"),
    Column("p99_s", Float),
    recorded_at(),
)


segments = Table(
    "segments",
    metadata,
    Column("name", String, primary_key=True),
    Column("instance_id", String, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    evidence("answers"),
    Column("written_at", UtcTime, nullable=False),
    Column("run_id", String, nullable=False),
    recorded_at(),
)
