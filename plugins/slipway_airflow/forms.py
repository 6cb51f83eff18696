"""The trigger forms. Every field explains itself; the first task checks the input again and says what is allowed.

Airflow checks types but takes any text for a date and passes unknown keys on, so the first task does not trust either.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

CLAIM = "On whose behalf; kept beside the name you are signed in with, and never instead of it."


def _text(title: str, description: str, **schema: Any) -> Param:
    return Param(None, type=["null", "string"], title=title, description=description, **schema)


RANGE_FORM = {
    "start": _text(
        "First day",
        "First day of a range to materialize in one pass, UTC, for example 2013-01-01. Leave out for one partition.",
    ),
    "end": _text("End", "The day after the range's last, UTC, for example 2013-06-01. The end is not inside."),
    "as_of": _text(
        "Known as of",
        "Read the source as it was known at this moment, UTC, at or after the end: for days whose rows came late or "
        "were corrected. Leave out for the end.",
    ),
    "start_scoring": Param(
        False,
        type="boolean",
        title="Score the range too",
        description="A range is history: it starts no scoring and no drift watch unless this is set.",
    ),
}

DAYS_FORM = {
    "start": _text("First day", "The first scored day to check, UTC, for example 2013-06-01."),
    "end": _text("End", "The day after the last, UTC, for example 2013-06-08. The end is not inside."),
}

ANSWER_FORM = {
    "start": _text(
        "First day",
        "Answer at every answer time of a range of days, UTC, for example 2013-06-01. Leave out for one partition.",
    ),
    "end": _text("End", "The day after the last, UTC, for example 2013-06-02. The end is not inside."),
}

RETRAIN_FORM = {
    "as_of": _text(
        "As of",
        "The moment the candidate is trained as of, UTC, for example 2013-06-17. Nothing known later is used. "
        "Required.",
    ),
    "reason": _text("Reason", "Why, in 1 to 500 characters. It is kept with the candidate. Required.", maxLength=500),
    "requested_by": _text("Requested by", CLAIM, maxLength=100),
    "trigger": Param(
        "api",
        type=["null", "string"],
        enum=["api", "drift", "schedule", None],
        title="Trigger",
        description="What kind of request this is. Only the drift sensor's own runs count as drift.",
    ),
    "issue": _text("Issue", "A ticket this belongs to.", maxLength=200),
    "report_id": _text("Drift report", "The drift report this answers.", maxLength=200),
    "supersede": Param(
        False,
        type="boolean",
        title="Replace a journey under way",
        description="Without it, a journey under way refuses this one and is named.",
    ),
}

ROLLBACK_FORM = {
    "reason": _text("Reason", "Why the champion must go, in 3 to 500 characters. Required.", maxLength=500),
    "requested_by": _text("Requested by", CLAIM, maxLength=100),
    "revision": Param(
        None,
        type=["null", "integer"],
        title="Revision",
        description="The champion's revision that must go; another champion is left alone. Left out: whoever is "
        "champion now.",
    ),
}
