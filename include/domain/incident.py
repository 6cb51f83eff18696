"""An alarm is an incident, and evidence closes it.

It keeps the level of the champion that raised it, the *anchor*: a promotion does not close it, and the new champion's
own reference, which may be as bad as the alarm, is not asked. It is over when the serving model's matured risk is back
in the anchor's band, when the alarm passed before anything was promoted, or when a person accepts the new level.

A journey starts where it can help: after enough matured days since the change to learn from and to be judged on. The
next one starts after as many days that none was judged on, twice as many with each that promoted nothing, and half as
many again after one that promoted something: the world may go on moving. Where a whole training window lies after the
change and two journeys were in vain, a person is asked, once; the next one comes all the same.

An alarm of rows (``unit: row``) says that the risk on these very rows is above the band, and not since which day. Its
incident is *undated*: the first journey starts at once on the declared window, and the days of the next ones count from
the alarm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from enum import Enum
from typing import Any

from include.domain.drift.report import ScoredDay
from include.domain.errors import Refusal
from include.domain.performance import RealisedPerformance
from include.domain.risk_bounds import Unit


class Stage(Enum):
    """How far an incident is."""

    OPEN = "open"
    """The champion that raised it still serves."""
    RECOVERING = "recovering"
    """Another model serves; whether it is back in the anchor's band is not shown yet."""
    CLOSED = "closed"


NEXT: Mapping[Stage, frozenset[Stage]] = {
    Stage.OPEN: frozenset({Stage.RECOVERING, Stage.CLOSED}),
    Stage.RECOVERING: frozenset({Stage.OPEN, Stage.CLOSED}),
    Stage.CLOSED: frozenset(),
}
"""Which stage may follow which. From recovering to open: the promotion was rolled back."""


class BadStage(Refusal):
    """A stage that may not follow the one before it."""


class Closing(Enum):
    """Why an incident is closed."""

    RECOVERED = "recovered"
    """The serving model's matured risk is back in the anchor's band."""
    PASSED = "passed"
    """The alarm is over, and no other model was promoted: what raised it went by itself."""
    ACCEPTED = "accepted"
    """A person accepted the new level; the serving model's reference is the anchor from then on."""


@dataclass(frozen=True, slots=True)
class IncidentPace:
    """When a journey of an incident can help. Days are matured days since the change.

    Attributes:
        wait_days: as many days at least; half of them are held out.
        wait_rows: as many matured rows since the change at least.
        window_days: the training window: with as many days after the change nothing new can be learned.
        back_after_days: matured days of the new champion before its risk counts: as recovered, or as not helped.
        label_delay: how long after a row its label's window closes.
    """

    wait_days: int = 10
    wait_rows: int = 300
    window_days: int = 90
    back_after_days: int = 7
    label_delay: timedelta = timedelta(0)

    def again_after_days(self, backed_off: int) -> int:
        """Matured days from one journey to the next, after backing off so many times: twice as many each time, and at
        most a training window, of which every day is new then.

        >>> [IncidentPace().again_after_days(n) for n in range(6)]
        [10, 10, 20, 40, 80, 90]
        """
        return min(int(self.wait_days * 2 ** max(backed_off - 1, 0)), max(self.window_days, self.wait_days))


@dataclass(frozen=True, slots=True)
class Incident:
    """One cause, from its alarm to its end. Days are ``YYYY-MM-DD``.

    Attributes:
        opened_on: the judged day of the alarm.
        version: the candidate id of the champion that raised it.
        metric: the watched loss.
        anchor: that champion's reference risk, in the metric's unit.
        band: the highest matured risk that is back: the anchor and the tolerance.
        changed_on: the likeliest first day of the change; of an undated one, the first of the days that are out of the
            band together.
        stage: how far it is.
        serving: the candidate id that served the last judged day.
        risk: the serving model's matured risk of the last days; None where it was not judged, and while a new
            champion has too few matured days to be judged by.
        asked: whether a person was told that retraining did not help.
        closed_on, closing, note: when, why, and in words; None while it is not closed.
        dated: whether the day of the change is known; of an alarm of rows it is not.
    """

    opened_on: str
    version: str
    metric: str
    anchor: float
    band: float
    changed_on: str
    stage: Stage
    serving: str
    risk: float | None = None
    asked: bool = False
    closed_on: str | None = None
    closing: Closing | None = None
    note: str | None = None
    dated: bool = True

    @property
    def change(self) -> str | None:
        """The first day of the change, for what is learned and judged; None of an undated one."""
        return self.changed_on if self.dated else None

    @property
    def counted_from(self) -> str:
        """The first of the days that the next journey waits for."""
        return self.changed_on if self.dated else self.opened_on

    @property
    def about(self) -> str:
        """Since when, in words."""
        return f"the {'change' if self.dated else 'alarm'} of {self.counted_from}"

    @property
    def sentence(self) -> str:
        """What is out of its band, and what it is now, in words."""
        now = f"is {self.risk:.4g} now" if self.risk is not None else "is not judged now: too few labels have matured"
        said = (
            f"{self.metric} was {self.anchor:.4g} before{f' {self.changed_on}' if self.dated else ''}, is in its "
            f"band up to {self.band:.4g}, and {now}. The alarm is of {self.opened_on}."
        )
        return said if self.is_open else f"{said} Closed on {self.closed_on}. {self.note}"

    @property
    def is_open(self) -> bool:
        return self.stage is not Stage.CLOSED

    @property
    def uncured(self) -> bool:
        """Whether another model serves, and is shown to be above the anchor's band."""
        return self.stage is Stage.RECOVERING and self.risk is not None and self.risk > self.band

    def moved(self, stage: Stage) -> Incident:
        """The incident at another stage.

        Raises:
            BadStage: when it may not follow.
        """
        if stage is self.stage:
            return self
        if stage not in NEXT[self.stage]:
            raise BadStage(f"An incident that is {self.stage.value} can't become {stage.value}.")
        return replace(self, stage=stage)

    def closed(self, day: str, closing: Closing, note: str) -> Incident:
        return replace(self.moved(Stage.CLOSED), closed_on=day, closing=closing, note=note)

    def as_json(self) -> dict[str, Any]:
        closing = self.closing.value if self.closing else None
        return asdict(self) | {"stage": self.stage.value, "closing": closing}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Incident:
        closing = Closing(data["closing"]) if data["closing"] else None
        return cls(**(dict(data) | {"stage": Stage(data["stage"]), "closing": closing}))


def after_day(
    before: Incident | None, scored: ScoredDay, found: RealisedPerformance, alarm: bool, pace: IncidentPace
) -> Incident | None:
    """The incident after one more judged day; None where there is none.

    Args:
        before: after the day before, None or a closed one where none was open.
        scored: the day, and the candidate that served it.
        found: the realised performance of that candidate by the end of the day.
        alarm: whether the realised performance is out of its band persistently, as declared.
        pace: as declared.
    """
    day, version = scored.day, scored.version
    if before is None or not before.is_open:
        return _opened(scored, found) if alarm else None
    here = before.moved(Stage.OPEN if version == before.version else Stage.RECOVERING)
    here = replace(here, serving=version, risk=_known_risk(here, found, pace))
    if found.metric != here.metric:
        # Another loss is watched since. Its amounts say nothing of this one's; that it is in its own band does.
        if found.out_of_band is not False:
            return here
        return here.closed(
            day, Closing.PASSED, f"{found.metric} is watched since, instead of {here.metric}. {found.reason}"
        )
    if here.stage is Stage.OPEN:
        if found.out_of_band is False and (here.dated or _is_back(here)):
            return here.closed(day, Closing.PASSED, f"The alarm passed by itself. {found.reason}")
        # What has matured since may date the change better.
        return replace(here, changed_on=found.changed_on) if found.changed_on else here
    if alarm and found.changed_on is not None and found.changed_on > here.changed_on:
        # Another change, which the new champion has not learned from either.
        return replace(here, changed_on=found.changed_on, asked=False)
    if _is_back(here):
        return here.closed(
            day,
            Closing.RECOVERED,
            f"Back in the band: {here.metric} {here.risk:.4g} on the last matured days; the anchor is "
            f"{here.anchor:.4g}, and up to {here.band:.4g} is in its band.",
        )
    return here


def _is_back(incident: Incident) -> bool:
    return incident.risk is not None and incident.risk <= incident.band


def _opened(scored: ScoredDay, found: RealisedPerformance) -> Incident | None:
    first = found.since if found.unit is Unit.ROW else found.changed_on
    if found.reference_risk is None or first is None:
        return None
    return Incident(
        opened_on=scored.day,
        version=scored.version,
        metric=found.metric,
        anchor=found.reference_risk,
        band=found.reference_risk + found.tolerance,
        changed_on=first,
        stage=Stage.OPEN,
        serving=scored.version,
        risk=found.recent_risk,
        dated=found.unit is not Unit.ROW,
    )


def _known_risk(incident: Incident, found: RealisedPerformance, pace: IncidentPace) -> float | None:
    """The serving model's risk; None for a new champion whose own days are too few to say anything either way, and
    where another loss is watched than the one that the incident is about."""
    if found.metric != incident.metric:
        return None
    if incident.stage is Stage.RECOVERING and (found.served_days or 0) < pace.back_after_days:
        return None
    return found.recent_risk


@dataclass(frozen=True, slots=True)
class Outlook:
    """Whether a journey of an incident can help now.

    Attributes:
        ready: whether there is enough to learn from and to judge on.
        exhausted: whether what was tried did not help, and a whole training window lies after the change.
        known_days: matured days after the change, of an undated incident after the alarm; after a journey those since.
        needed_days: how many the next journey needs.
        next_on: the first day on which it can start; today where it is ready.
    """

    ready: bool
    exhausted: bool
    known_days: int
    needed_days: int
    next_on: date


@dataclass(frozen=True, slots=True)
class Tried:
    """The journeys of an incident so far.

    Attributes:
        journeys: how many have started.
        backed_off: how many promoted nothing, less those that promoted something after them.
        matured_until: the first day whose labels had not all matured when the last one started; None without one.
    """

    journeys: int = 0
    backed_off: int = 0
    matured_until: date | None = None


NONE_TRIED = Tried()


def outlook(
    incident: Incident, *, today: date, matured_until: date, rows: int, tried: Tried = NONE_TRIED, pace: IncidentPace
) -> Outlook:
    """When the next journey of the incident can help.

    Args:
        incident: an open one.
        today: the day that a journey would start on.
        matured_until: the first day whose labels have not all matured.
        rows: matured rows a day of the serving model, on average.
        tried: its journeys so far.
        pace: as declared.
    """
    changed = date.fromisoformat(incident.counted_from)
    if tried.matured_until is None:
        # The declared window is learned from as it is where the day of the change is not known.
        needed, since = (pace.wait_days if incident.dated else 0), changed
        least = 2 * math.ceil(pace.wait_rows / 2 / rows) if rows and incident.dated else 0
    else:
        # The next one is judged on days that none before it was judged on.
        needed, since = pace.again_after_days(tried.backed_off), max(changed, tried.matured_until)
        least = math.ceil(pace.wait_rows / 2 / rows) if rows else 0
    known, needed = max((matured_until - since).days, 0), max(needed, least)
    ready = known >= needed
    return Outlook(
        ready=ready,
        exhausted=not ready and tried.backed_off > 1 and (matured_until - changed).days >= pace.window_days,
        known_days=known,
        needed_days=needed,
        next_on=today + timedelta(days=max(needed - known, 0)),
    )
