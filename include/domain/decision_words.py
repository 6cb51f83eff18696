"""The parts of a decision's reason, in words: each says one thing of the situation as it is."""

from __future__ import annotations

from datetime import datetime

from include.domain.data_incident import DataIncident
from include.domain.drift.report import Finding
from include.domain.incident import Incident
from include.domain.situation import Situation
from include.domain.wording import count_of


def alarms(s: Situation) -> str:
    """Which performance is out of its band and in how many reports, or the incident that is open."""
    if s.open_incident is not None and not s.persists("realised"):
        return unfinished(s.open_incident)
    name = "realised" if s.persists("realised") else "estimated"
    why = s.realised_reason if name == "realised" else s.estimated_reason
    count = f"{s.alarms(name)} of the last {min(len(s.flags), s.policy.windows[1])} reports"
    return f"{name} performance is out of band in {count} (needed: {s.policy.windows[0]}). {why}".strip()


def unfinished(incident: Incident) -> str:
    """What is open, in words."""
    now = f"{incident.risk:.4g} now" if incident.risk is not None else "not judged yet"
    return (
        f"The incident of {incident.opened_on} is {incident.stage.value}: {incident.metric} was {incident.anchor:.4g} "
        f"before, is in its band up to {incident.band:.4g}, and is {now}."
    )


def for_now(s: Situation) -> str:
    """Until when broken data holds a journey back."""
    return before(s, s.data)


def before(s: Situation, found: DataIncident | None) -> str:
    """Until when the finding holds a journey back; empty without one."""
    return f" before {found.holds_back_until(s.policy.data_holds_days).isoformat()}" if found is not None else ""


def still(found: DataIncident | None) -> str:
    """When a person was asked about the finding, and whether it is still there."""
    if found is None:
        return ""
    gone = f" Not found any more since {found.seen_on}." if found.quiet else ""
    return f"a person was asked on {found.opened_on} about this. {found.reason}{gone}"


def once(findings: tuple[Finding, ...]) -> str:
    """Findings that no one is asked about yet."""
    return f"neither for enough days nor far enough beyond its limit to ask. {' '.join(f.reason for f in findings[:3])}"


def since(s: Situation) -> str:
    """What the open incident began with; empty without one."""
    return s.open_incident.about if s.open_incident is not None else ""


def waits_since(s: Situation) -> str:
    """What the days are counted from that the next journey of the incident waits for."""
    return "those of the last journey" if s.incident_journeys else since(s)


def seen(s: Situation) -> str:
    """What drifted: inputs, predictions, or both."""
    names = [word for word, flag in (("inputs", s.newest.inputs), ("predictions", s.newest.predictions)) if flag]
    return " and ".join(names)


def unknown(s: Situation) -> str:
    """What was not judged, in parentheses; empty when all was judged."""
    parts = [word for word in ("inputs", "predictions") if getattr(s.newest, word) is None]
    more = f" and {len(s.unjudged) - 5} more" if len(s.unjudged) > 5 else ""
    named = f"{', '.join(s.unjudged[:5])}{more}"
    what = " and ".join([*parts, *([named] if named else [])])
    return f" (not judged: {what})" if what else ""


def in_band(s: Situation) -> str:
    """What is known of the realised performance."""
    if s.newest.realised is None:
        return "harm is not known: realised performance could not be judged yet"
    if s.newest.realised:
        seen, needed = count_of(s.alarms("realised"), "report"), s.policy.windows[0]
        return f"harm is not certain yet: performance is out of band in {seen}, {needed} are needed"
    return "no harm: performance is in its band"


def when(moment: datetime | None) -> str:
    """``YYYY-MM-DD``; "never" without one."""
    return moment.date().isoformat() if moment else "never"


def closing(incident: Incident | None) -> str:
    """That the incident is closed by this decision."""
    if incident is None or incident.is_open:
        return ""
    return f" The incident of {incident.opened_on} is closed. {incident.note}"
