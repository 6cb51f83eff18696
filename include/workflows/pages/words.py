"""The sentences of the pages that are no data."""

from __future__ import annotations

TRIGGERS = {
    "drift": "drift",
    "schedule": "the declared schedule",
    "api": "a request",
    "manual": "a person",
    "bootstrap": "the first deployment",
}
DECISIONS = {
    "log": "nothing started",
    "suppress": "held back",
    "retrain": "retrains",
    "escalate": "asks a person",
}
"""What a decision on drift did, by its action."""
