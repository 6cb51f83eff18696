"""Lanes of the drift sensor that have not judged for too long. Not judged is not fine, and silence has an end.

Each lane has a number of days within which it must judge, counted from the day it last did, or from the first day that
the version served. Past it an incident opens and a person is asked, once; it closes when every lane that it names
judges again, or when a person accepts that it does not while this version serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from include.domain.data_incident import DataIncident, FindingWatch, after_findings, check_of
from include.domain.drift.report import Finding, Flags, ScoredDay
from include.domain.incident import Closing

LANES: Mapping[str, str] = {
    "inputs": "input drift",
    "predictions": "prediction drift",
    "estimated": "estimated performance",
    "realised": "realised performance",
}
"""The lanes as the flags name them, and in words."""
CHECK = "not_judged"


@dataclass(frozen=True, slots=True)
class JudgedDays:
    """When each lane last judged. Days are ``YYYY-MM-DD``.

    Attributes:
        version: the candidate id that serves.
        since: the first judged day of the version.
        last: the newest day on which each lane judged; lanes that never did are left out.
    """

    version: str
    since: str
    last: Mapping[str, str] = field(default_factory=dict)

    def without(self, lane: str, day: str) -> int:
        """How many days before ``day`` the lane last judged, or the version began to serve."""
        return (date.fromisoformat(day) - date.fromisoformat(self.last.get(lane, self.since))).days

    def as_json(self) -> dict[str, Any]:
        return {"version": self.version, "since": self.since, "last": dict(self.last)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JudgedDays:
        return cls(data["version"], data["since"], dict(data["last"]))


def after_report(before: JudgedDays | None, scored: ScoredDay, flags: Flags) -> JudgedDays:
    """When each lane last judged, the day included; another version begins again with none.

    >>> day = ScoredDay("m", "v", "2013-06-08")
    >>> after_report(JudgedDays("v", "2013-06-01"), day, Flags("2013-06-08", inputs=False)).last
    {'inputs': '2013-06-08'}
    """
    known = (
        before if before is not None and before.version == scored.version else JudgedDays(scored.version, scored.day)
    )
    return replace(
        known, last={**known.last, **{lane: scored.day for lane in LANES if getattr(flags, lane) is not None}}
    )


def overdue(judged: JudgedDays, day: str, within: Mapping[str, int], reasons: Mapping[str, str]) -> tuple[Finding, ...]:
    """The lanes that should have judged by the day.

    Args:
        judged: the day included.
        day: the judged day.
        within: the most days without a judgement of each lane; a lane that is left out, or has 0, is not watched.
        reasons: why each lane did not judge the day.
    """
    found = []
    for lane, words in LANES.items():
        allowed, days = within.get(lane, 0), judged.without(lane, day)
        if allowed and days >= allowed:
            since = f"since {judged.last[lane]}" if lane in judged.last else f"since {judged.version} serves"
            said = f"{words.capitalize()} was not judged {since}, {days} days; {allowed} are allowed."
            reason = f"{said} {reasons.get(lane, '')}".strip()
            found.append(Finding(lane, CHECK, float(days), float(allowed), reason))
    return tuple(found)


def after_day(
    before: DataIncident | None, scored: ScoredDay, judged: JudgedDays, found: tuple[Finding, ...]
) -> DataIncident | None:
    """The incident after one more judged day; None where there is none.

    Args:
        before: after the day before, None or a closed one where none was open.
        scored: the day, and the candidate that served it.
        judged: when each lane last judged, the day included.
        found: from :func:`overdue`.
    """
    named = [lane for lane in LANES if before is not None and check_of(Finding(lane, CHECK, 0, 0, "")) in before.checks]
    again = before is not None and all(judged.last.get(lane, "") > before.seen_on for lane in named)
    after = after_findings(before, scored, found, FindingWatch(persists=True, judged=again, quiet_days=1))
    if after is not None and not after.is_open and after.closing is Closing.PASSED and after.closed_on == scored.day:
        return replace(after, note="All of it is judged again.")
    return after
