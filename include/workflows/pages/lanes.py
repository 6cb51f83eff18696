"""What each lane of the drift sensor found on a day, in three states, and the colour that follows for a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.domain.unjudged import LANES

WORDS = {
    "inputs": ("drifted", "no drift"),
    "predictions": ("drifted", "no drift"),
    "estimated": ("out of its band", "in its band"),
    "realised": ("out of its band", "in its band"),
}
"""What a lane that was judged is called when its flag is set, and when it is not."""
SHOWN = ("realised", "estimated", "predictions", "inputs")
"""The lanes as pages show them: what decides comes first."""


@dataclass(frozen=True, slots=True)
class DayLane:
    """One lane on one day."""

    name: str
    flag: bool | None
    """None when it was not judged."""
    reason: str

    @property
    def title(self) -> str:
        return LANES[self.name].capitalize()

    @property
    def verdict(self) -> str:
        """PASS, FAIL or NONE, as verdicts are drawn."""
        return verdict_of(self.flag)

    @property
    def word(self) -> str:
        found, quiet = WORDS[self.name]
        return {"found": found, "quiet": quiet}.get(state_of(self.flag), "not judged")


def state_of(*flags: bool | None) -> str:
    """What the parts say together: found by one is found, and not judged in one is not quiet.

    >>> state_of(False, True), state_of(False, None), state_of(False, False)
    ('found', 'not judged', 'quiet')
    """
    if any(flags):
        return "found"
    return "not judged" if None in flags else "quiet"


def verdict_of(flag: bool | None) -> str:
    """The three states as verdicts are drawn.

    >>> verdict_of(True), verdict_of(None), verdict_of(False)
    ('FAIL', 'NONE', 'PASS')
    """
    return {"found": "FAIL", "quiet": "PASS"}.get(state_of(flag), "NONE")


def lanes_of(report: Mapping[str, Any]) -> tuple[DayLane, ...]:
    """The lanes of a report as the ledger keeps it, in the order of pages. A lane that is younger than the report was
    not judged."""
    flags = report.get("flags") or {}
    return tuple(
        DayLane(name, flags.get(name), str((report.get(name) or {}).get("reason", "It was not measured then.")))
        for name in SHOWN
    )


def tone(action: str, flags: Mapping[str, Any]) -> str:
    """The colour of what was decided on a day: ``bad``, ``waits``, ``good``, or none.

    Green needs performance that was judged and is in its band: a day on which no one knows is not a good one.
    """
    if action == "escalate":
        return "bad"
    if action in ("retrain", "suppress") or flags.get("realised"):
        return "waits"
    return "good" if action == "log" and flags.get("realised") is False else ""
