"""The sentences of the pages that are no data."""

from __future__ import annotations

TRIGGERS = {
    "drift": "drift",
    "schedule": "the declared schedule",
    "api": "a request",
    "manual": "a person",
    "bootstrap": "the first deployment",
}
