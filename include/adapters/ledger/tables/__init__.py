"""The ledger's tables. The migrations make them; a test compares the two.

Keys are natural, so that writing the same fact twice meets the same row. Tables marked append-only have triggers that
refuse UPDATE, DELETE, TRUNCATE and an INSERT that replaces a row, on either database; each of their rows has an entry
in ``chain``.
"""

from include.adapters.ledger.tables.alerts import beats, notices, outage_items, outages
from include.adapters.ledger.tables.chain import chain
from include.adapters.ledger.tables.columns import UtcTime, metadata
from include.adapters.ledger.tables.data import (
    attempts,
    partition_history,
    partitions,
    scoring_claims,
    scorings,
    segments,
    stream_marks,
    training_sets,
)
from include.adapters.ledger.tables.journeys import (
    candidate_transitions,
    candidates,
    deployment_history,
    deployments,
    drift_reports,
    gate_results,
    incident_events,
    incidents,
    instances,
    journey_causes,
    journey_stops,
    known_rights,
    overrides,
    retrain_decisions,
    rollout_events,
    rollouts,
    routes,
    settled_days,
    shadow_days,
    shadow_windows,
)

__all__ = [
    "APPEND_ONLY",
    "UtcTime",
    "attempts",
    "beats",
    "candidate_transitions",
    "candidates",
    "chain",
    "deployment_history",
    "deployments",
    "drift_reports",
    "gate_results",
    "incident_events",
    "incidents",
    "instances",
    "journey_causes",
    "journey_stops",
    "known_rights",
    "metadata",
    "notices",
    "outage_items",
    "outages",
    "overrides",
    "partition_history",
    "partitions",
    "retrain_decisions",
    "rollout_events",
    "rollouts",
    "routes",
    "scoring_claims",
    "scorings",
    "segments",
    "settled_days",
    "shadow_days",
    "shadow_windows",
    "stream_marks",
    "training_sets",
]

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
    "rollouts",
    "rollout_events",
)
