"""What is so of a model now, worst first: what the colour of its page and of its line among all models follows from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from include.adapters.ledger import IncidentRecord, JudgedRisk
from include.domain.incident import Stage
from include.domain.promotion import Epoch, EpochKind
from include.workflows.pages.lanes import DayLane

INCIDENT = "incident open"
OUT_OF_BAND = "out of its band"
ROLLED_BACK = "rolled back"
WAITS = "waits for a person"
LATE = "late"
NOT_JUDGED = "not judged"
IN_BAND = "in its band"
NO_CHAMPION = "no champion"
STATES = (INCIDENT, OUT_OF_BAND, ROLLED_BACK, WAITS, LATE, NOT_JUDGED, IN_BAND, NO_CHAMPION)
"""Every state that a model may be in, the worst first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One thing that is so of a model now."""

    word: str
    """One of ``STATES``."""
    tone: str
    """``bad``, ``waits``, ``good``, or empty where nothing is known."""
    why: str

    @property
    def verdict(self) -> str:
        """As verdicts are drawn."""
        return {"bad": "FAIL", "waits": "INCONCLUSIVE", "good": "PASS"}.get(self.tone, "NONE")


def standings(
    champion: Epoch | None,
    risks: Sequence[JudgedRisk],
    incidents: Iterable[IncidentRecord],
    waits: str,
    late: Sequence[str],
) -> tuple[Standing, ...]:
    """All that is so of a model, the worst first; never empty.

    Green needs a champion, performance that was judged and is in its band, and nothing else of the list.

    Args:
        risks: of the newest reports, oldest first.
        incidents: those that are open.
        waits: what waits for a person; empty when nothing does.
        late: what is overdue, a sentence each.
    """
    newest = risks[-1] if risks else None
    flag = newest.out_of_band if newest is not None else None
    found = [_of_incident(each) for each in incidents]
    if flag:
        found.append(Standing(OUT_OF_BAND, "waits", newest.reason if newest else ""))
    if champion is not None and _rolled_back(champion, newest):
        since = f"{champion.effective_from:%Y-%m-%d}"
        why = f"Version {champion.model_version} serves again since {since}: {champion.reason}"
        found.append(Standing(ROLLED_BACK, "waits", why))
    if waits:
        found.append(Standing(WAITS, "waits", f"{waits}."))
    found += [Standing(LATE, "waits", each) for each in late]
    if champion is None:
        found.append(Standing(NO_CHAMPION, "", "No champion serves yet."))
    elif flag is None:
        found.append(Standing(NOT_JUDGED, "", newest.reason if newest else "No day was judged yet."))
    elif not flag:
        found.append(Standing(IN_BAND, "good", newest.reason if newest else ""))
    return tuple(sorted(found, key=lambda s: ("bad", "waits", "", "good").index(s.tone)))


def _of_incident(record: IncidentRecord) -> Standing:
    """Red until somebody acknowledged it, or a successor serves whose labels are awaited."""
    recovering = record.stage is Stage.RECOVERING
    looked_at = recovering or record.acknowledged_by is not None
    by = f", acknowledged by {record.acknowledged_by}" if record.acknowledged_by else ""
    why = f"{record.stage.value.capitalize()} since {record.opened_on}{by}."
    return Standing(INCIDENT, "waits" if looked_at else "bad", why)


def _rolled_back(champion: Epoch, newest: JudgedRisk | None) -> bool:
    """Whether the champion came by a rollback, and no day since has been judged to be in its band."""
    if champion.kind is not EpochKind.ROLLBACK:
        return False
    since = f"{champion.effective_from:%Y-%m-%d}"
    return newest is None or newest.out_of_band is not False or newest.day < since


def lane_of(newest: JudgedRisk | None) -> DayLane:
    """The realised performance of the newest report; not judged where there is none."""
    if newest is None:
        return DayLane("realised", None, "No day was judged yet.")
    return DayLane("realised", newest.out_of_band, newest.reason)
