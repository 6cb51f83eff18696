"""Broken data, or rows outside what the model was trained on, as an incident: one cause, one question to a person.

It opens when the finding persists, as an alarm must, or at once where it is far beyond what is allowed. It holds back
retrains for a while, because a candidate would learn from what is broken; not for ever, because what stays is what the
world is like now. It closes when the findings are gone, or when a person accepts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any

from include.domain.drift.report import Finding, ScoredDay
from include.domain.incident import Closing, Stage


@dataclass(frozen=True, slots=True)
class FindingWatch:
    """When findings open an incident, and when they are over.

    Attributes:
        persists: whether there were findings in as many of the last reports as declared.
        judged: whether the day had enough rows to find any; without them nothing is over.
        quiet_days: judged days in a row without a finding that close an incident.
    """

    persists: bool
    judged: bool
    quiet_days: int


@dataclass(frozen=True, slots=True)
class DataIncident:
    """Findings about the data, from their first day to their end. Days are ``YYYY-MM-DD``.

    Attributes:
        opened_on: the judged day that opened it.
        version: the candidate id of the champion that served it.
        stage: open or closed.
        checks: what was found so far: ``feature check``, in order of name.
        reason: the newest findings in words.
        seen_on: the newest day with a finding.
        quiet: judged days in a row since then.
        closed_on, closing, note: when, why, and in words; None while it is open.
    """

    opened_on: str
    version: str
    stage: Stage
    checks: tuple[str, ...]
    reason: str
    seen_on: str
    quiet: int = 0
    closed_on: str | None = None
    closing: Closing | None = None
    note: str | None = None

    @property
    def is_open(self) -> bool:
        return self.stage is not Stage.CLOSED

    def closed(self, day: str, closing: Closing, note: str) -> DataIncident:
        return replace(self, stage=Stage.CLOSED, closed_on=day, closing=closing, note=note)

    def holds_back_until(self, days: int) -> date:
        """The first day on which a retrain is not held back any more."""
        return date.fromisoformat(self.opened_on) + timedelta(days=days)

    def as_json(self) -> dict[str, Any]:
        closing = self.closing.value if self.closing else None
        return asdict(self) | {"stage": self.stage.value, "closing": closing, "checks": list(self.checks)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DataIncident:
        closing = Closing(data["closing"]) if data["closing"] else None
        read = {"stage": Stage(data["stage"]), "closing": closing, "checks": tuple(data["checks"])}
        return cls(**(dict(data) | read))


def is_far(finding: Finding) -> bool:
    """Whether one day is enough: twice what is allowed, or halfway from it to all rows where that is less.

    >>> [is_far(Finding("x", "missing", measured, 0.5, "")) for measured in (0.6, 0.75)]
    [False, True]
    >>> [is_far(Finding("x", "missing", measured, 0.2, "")) for measured in (0.3, 0.4)]
    [False, True]
    """
    return finding.measured >= min(2 * finding.allowed, (1 + finding.allowed) / 2)


def check_of(finding: Finding) -> str:
    """The name of what was found: ``feature check``."""
    return f"{finding.feature} {finding.check}"


def after_findings(
    before: DataIncident | None, scored: ScoredDay, findings: Iterable[Finding], watch: FindingWatch
) -> DataIncident | None:
    """The incident after one more judged day; None where there is none.

    Args:
        before: after the day before, None or a closed one where none was open.
        scored: the day, and the candidate that served it.
        findings: the day's, of one cause.
        watch: when they open an incident, and when they are over.
    """
    found = tuple(findings)
    said = " ".join(f.reason for f in found[:3])
    if before is None or not before.is_open:
        accepted = before is not None and before.closing is Closing.ACCEPTED and before.version == scored.version
        known = before.checks if before is not None and accepted else ()
        new = [f for f in found if check_of(f) not in known]
        if not new or not (watch.persists or any(is_far(f) for f in new)):
            return None
        checks = tuple(sorted({*known, *(check_of(f) for f in found)}))
        return DataIncident(scored.day, scored.version, Stage.OPEN, checks, said, scored.day)
    if found:
        checks = tuple(sorted({*before.checks, *(check_of(f) for f in found)}))
        return replace(before, version=scored.version, checks=checks, reason=said, seen_on=scored.day, quiet=0)
    if not watch.judged:
        return before
    quiet = before.quiet + 1
    if quiet < watch.quiet_days:
        return replace(before, quiet=quiet)
    note = f"Nothing was found on {quiet} judged days in a row since {before.seen_on}."
    return replace(before, quiet=quiet).closed(scored.day, Closing.PASSED, note)
