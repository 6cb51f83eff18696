"""A retrain request becomes a journey: the allowed requests, the rows it learns from, and names that never change.

The request is the ``conf`` of a Dag run, so untrusted JSON. Text in it is kept unchanged and never interpreted: not as
SQL, a template, a path or a command. Names that reach other systems are made from the model, the time and a hash alone.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

from include.domain.errors import Refusal
from include.domain.intervals import DAY, BadInstant, Interval, instant, midnight

SHOWN = 60
"""Most characters of a bad value that a message repeats."""

_MODEL = re.compile(r"[a-z][a-z0-9_]{0,62}")
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that reverse the direction of text, so that a person would read another reason than the recorded one."""


class BadRequest(Refusal, ValueError):
    """A retrain request that is refused: one line with the field, its value and what is allowed."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.field = name
        super().__init__(f"{name} is {_shown(value)}; {allowed}{'' if allowed.endswith('?') else '.'}")


class Trigger(Enum):
    """What started a journey."""

    DRIFT = "drift"
    SCHEDULE = "schedule"
    API = "api"


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """A request that may start a journey. ``as_of`` is UTC; the texts are one line each, None where they were left
    out."""

    as_of: datetime
    reason: str
    requested_by: str
    trigger: Trigger = Trigger.API
    issue: str | None = None
    report_id: str | None = None
    supersede: bool = False
    """Whether a journey under way is replaced instead of refusing this one."""

    def as_conf(self) -> dict[str, Any]:
        """The same request as a Dag run's conf; reading it back gives an equal request."""
        conf: dict[str, Any] = {
            "as_of": self.as_of.isoformat(),
            "reason": self.reason,
            "requested_by": self.requested_by,
            "trigger": self.trigger.value,
            "supersede": self.supersede,
        }
        optional = {"issue": self.issue, "report_id": self.report_id}
        return conf | {name: value for name, value in optional.items() if value is not None}

    @property
    def fingerprint(self) -> str:
        """The sha256 of the request: the same key with another fingerprint is another request under a used name."""
        return hashlib.sha256(json.dumps(self.as_conf(), sort_keys=True).encode()).hexdigest()


TEXTS = {"reason": 500, "requested_by": 100, "issue": 200, "report_id": 200}
"""The text fields and the most characters of each."""

FIELDS = ("as_of", *TEXTS, "trigger", "supersede")


def retrain_request(
    conf: object,
    *,
    latest: datetime,
    earliest: datetime | None = None,
    default_as_of: datetime | None = None,
    default_reason: str | None = None,
    default_requested_by: str | None = None,
    default_trigger: Trigger = Trigger.API,
) -> RetrainRequest:
    """Read a Dag run's conf.

    Null is taken as left out, since the form sends it for an empty field.

    Args:
        conf: What the caller sent; None counts as empty.
        latest: The newest moment that ``as_of`` may be, for example the end of the newest published day.
        earliest: The oldest one; None sets no bound.
        default_as_of: The run's own time where it has one (a schedule). Without it a request must say ``as_of``: a run
            without any time would otherwise learn from "all data".
        default_reason: Where none is sent; None makes the field required.
        default_requested_by: Where none is sent, for example the logged-in user; None makes the field required.
        default_trigger: What started the run where the conf does not say.

    Raises:
        BadRequest: naming the first field that is wrong, its value and what is allowed.
    """
    if conf is None:
        conf = {}
    if not isinstance(conf, Mapping):
        raise BadRequest("conf", conf, f"send a JSON object with: {', '.join(FIELDS)}")
    for name in conf:
        if name not in FIELDS:
            allowed = f"there is no such field; allowed are: {', '.join(FIELDS)}{_meant(name)}"
            raise BadRequest(_shown(name), conf[name], allowed)
    sent = {name: value for name, value in conf.items() if value is not None}
    texts = {name: _text(name, sent[name], most) for name, most in TEXTS.items() if name in sent}
    return RetrainRequest(
        as_of=_as_of(sent.get("as_of"), default_as_of, earliest, latest),
        reason=_needed("reason", texts.get("reason"), default_reason),
        requested_by=_needed("requested_by", texts.get("requested_by"), default_requested_by),
        trigger=_trigger(sent.get("trigger"), default_trigger),
        issue=texts.get("issue"),
        report_id=texts.get("report_id"),
        supersede=_flag("supersede", sent.get("supersede", False)),
    )


def _as_of(value: object, default: datetime | None, earliest: datetime | None, latest: datetime) -> datetime:
    if value is None:
        if default is None:
            raise BadRequest("as_of", None, "say as of when to train the model, for example 2013-06-01")
        value = default.isoformat()
    if not isinstance(value, str):
        raise BadRequest("as_of", value, f"it must be text with a date or time in ISO 8601, not {_type(value)}")
    if len(value) > 40:
        raise BadRequest("as_of", value, "a date or time in ISO 8601 has at most 40 characters")
    try:
        moment = instant(value)
    except (BadInstant, OverflowError):
        allowed = "write a date or time in ISO 8601, for example 2013-06-01 or 2013-06-01T06:00:00Z"
        raise BadRequest("as_of", value, allowed) from None
    if moment > latest:
        raise BadRequest("as_of", value, f"it is after the newest data; the latest allowed is {latest.isoformat()}")
    if earliest is not None and moment < earliest:
        raise BadRequest("as_of", value, f"it is before any data; the earliest allowed is {earliest.isoformat()}")
    return moment


def _text(name: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise BadRequest(name, value, f"it must be text, not {_type(value)}")
    if not value.strip():
        raise BadRequest(name, value, f"it must have 1 to {most} characters that are not blanks")
    if len(value) > most:
        raise BadRequest(name, value, f"it has {len(value)} characters; at most {most} are allowed")
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _REORDERING:
            code = f"U+{ord(character):04X}"
            raise BadRequest(name, value, f"the character {code} is not allowed; write one line of plain text")
    return value


def _needed(name: str, value: str | None, default: str | None) -> str:
    if value is not None:
        return value
    if default is None:
        raise BadRequest(name, None, f"it is required: 1 to {TEXTS[name]} characters of text")
    return default


def _trigger(value: object, default: Trigger) -> Trigger:
    if value is None:
        return default
    allowed = [t.value for t in Trigger]
    if not isinstance(value, str) or value not in allowed:
        raise BadRequest("trigger", value, f"allowed are: {', '.join(allowed)}{_meant(value, allowed)}")
    return Trigger(value)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadRequest(name, value, f"it must be true or false, not {_type(value)}")
    return value


def _type(value: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object", str: "text"}
    return kinds.get(type(value), type(value).__name__)


def _meant(word: object, allowed: list[str] | tuple[str, ...] = FIELDS) -> str:
    close = difflib.get_close_matches(word[:SHOWN], allowed, n=1) if isinstance(word, str) else []
    return f". Did you mean {close[0]!r}?" if close else ""


def _shown(value: object) -> str:
    """The value on one line, cut; a container is named by its type and size, since its text may be without end."""
    if value is None:
        return "missing"
    if isinstance(value, (list, tuple, dict)):
        return f"{_type(value)} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    text = ascii(value[: SHOWN + 1]) if isinstance(value, str) else ascii(value)
    return text if len(text) <= SHOWN + 2 else f"{text[:SHOWN]}..."


# --- names ------------------------------------------------------------------------------------------------------------


def drift_run_id(model: str, day: str | date) -> str:
    """The run id of the journey that the drift of ``day`` starts: the same decision never starts two.

    >>> drift_run_id("flight_delay", "2013-06-15")
    'drift__flight_delay__2013-06-15'
    """
    return f"drift__{_model(model)}__{Interval.of_day(day).start.date().isoformat()}"


def candidate_id(model: str, as_of: datetime, run_id: str) -> str:
    """The candidate's name: model, day, and six hexadecimal digits of the run id's sha256.

    >>> candidate_id("flight_delay", instant("2013-06-15"), "drift__flight_delay__2013-06-15")
    'flight_delay-20130615-75e0c7'
    """
    digest = hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_model(model)}-{_utc(as_of):%Y%m%d}-{digest[:6]}"


def _model(model: str) -> str:
    if _MODEL.fullmatch(model) is None:
        raise BadRequest("model", model, "a name is a lower-case letter, then at most 62 of a-z, 0-9 and _")
    return model


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise BadRequest("as_of", moment.isoformat(), "it has no time zone; give it in UTC")
    return moment.astimezone(instant("1970-01-01").tzinfo)


# --- which rows -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrainingWindows:
    """The rows of one candidate: it learns from ``train`` and is judged on ``holdout``, which follows at once."""

    train: Interval
    holdout: Interval

    @property
    def whole(self) -> Interval:
        return Interval(self.train.start, self.holdout.end)


LEAST_HOLDOUT_DAYS = 5
"""Fewest days that tell a better model from a good day."""


def training_windows(
    as_of: datetime,
    window_days: int,
    holdout_days: int,
    label_delay: timedelta,
    changed_on: date | None = None,
    judged_until: date | None = None,
) -> TrainingWindows:
    """The windows as of a moment: whole UTC days whose labels have all matured, the newest of them held out.

    The holdout ends at the start of the UTC day that holds ``as_of - label_delay``: every row before it had its
    label's window closed by ``as_of``. After a change the older half of the days since then is learned from, and at
    most the newer half is held out, where that leaves at least ``LEAST_HOLDOUT_DAYS``.

    Args:
        as_of: UTC.
        window_days: Days to learn from, at least 1.
        holdout_days: Days to be judged on, at least 1.
        label_delay: How long after its event time a label's window closes, 0 or more.
        changed_on: The first day of what raised the alarm, None where no alarm asked.
        judged_until: The first day that no earlier candidate of the alarm was judged on, None where none was: where at
            least ``LEAST_HOLDOUT_DAYS`` lie after it, those before it are learned from and not held out again.

    Raises:
        BadRequest: for a window without days or a negative delay.

    >>> training_windows(instant("2013-06-15T06:00:00Z"), 90, 14, timedelta(days=1)).holdout.days[-1]
    '2013-06-13'
    >>> after = training_windows(instant("2013-06-15"), 90, 14, timedelta(days=1), date(2013, 6, 2))
    >>> len(after.train.days), after.holdout.days[0], len(after.holdout.days)
    (90, '2013-06-08', 6)
    >>> again = training_windows(
    ...     instant("2013-07-05"), 90, 14, timedelta(days=1), date(2013, 6, 2), judged_until=date(2013, 6, 24)
    ... )
    >>> again.holdout.days[0], len(again.holdout.days)
    ('2013-06-24', 10)
    """
    for name, value in (("window_days", window_days), ("holdout_days", holdout_days)):
        if value < 1:
            raise BadRequest(name, value, "it must be at least 1 day")
    if label_delay < timedelta(0):
        raise BadRequest("label_delay", str(label_delay), "a label is not known before its event; give 0 or more")
    try:
        end = midnight(_utc(as_of) - label_delay)
        since = (end.date() - changed_on).days if changed_on else 0
        held_out = holdout_days
        if since > 0:
            held_out = min(holdout_days, max(since // 2, LEAST_HOLDOUT_DAYS))
            fresh = (end.date() - judged_until).days if judged_until else held_out
            if fresh >= LEAST_HOLDOUT_DAYS:
                held_out = min(held_out, fresh)
        start = end - held_out * DAY
        return TrainingWindows(train=Interval(start - window_days * DAY, start), holdout=Interval(start, end))
    except OverflowError:
        raise BadRequest("as_of", as_of.isoformat(), "its training window would begin before the year 1") from None
