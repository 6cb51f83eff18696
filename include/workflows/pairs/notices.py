"""Ledger and notices: events that were never written down as a notice, and notices that were never delivered."""

from __future__ import annotations

from datetime import datetime, timedelta

from include.adapters.ledger import NoticeState, Posted
from include.workflows import stores
from include.workflows.pages import notices
from include.workflows.pairs import PairFinding, PairState

PAIR = "notices"
WAITS_AT_MOST = timedelta(days=1)
"""How long a notice may wait, with tries that failed, before that is reported here too."""


def compare(now: datetime) -> list[PairFinding]:
    """Missing notices are written at once; notices that could not be sent differ."""
    with stores.open_ledger() as ledger:
        missed = notices.missed(ledger, now)
        unsent = ledger.notices.unsent()
    found = [
        PairFinding(PAIR, key, PairState.AGREES, "It was never written down; it is now, and is sent.", repaired=True)
        for key in missed
    ]
    found += [_unsent(posted) for posted in unsent if _too_long(posted, now)]
    if not any(finding.state is PairState.DIFFERS for finding in found):
        found.append(PairFinding(PAIR, "notices", PairState.AGREES, "Every event was notified, or is about to be."))
    return found


def repair(now: datetime, only: str | None) -> list[PairFinding]:
    """Try everything again that was given up, to the owner and by the channel that are declared now.

    Args:
        only: the one model or view, or ``slipway``; None for all.
    """
    with stores.open_ledger() as ledger:
        again = [
            posted.notice
            for posted in ledger.notices.unsent()
            if only in (None, posted.notice.subject) and ledger.notices.try_again(posted.notice.key, now)
        ]
    line = "It is tried again by the next sweep"
    return [PairFinding(PAIR, n.key, PairState.AGREES, f"{line}: {n.sentence}", repaired=True) for n in again]


def _too_long(posted: Posted, now: datetime) -> bool:
    return posted.state is NoticeState.GIVEN_UP or now - posted.recorded_at > WAITS_AT_MOST


def _unsent(posted: Posted) -> PairFinding:
    notice = posted.notice
    what = (
        "is not tried any more" if posted.state is NoticeState.GIVEN_UP else f"waits since {posted.recorded_at:%F %R}"
    )
    why = f"{posted.tries} tries failed, the last with: {posted.error}" if posted.error else "no try has ended"
    message = f"{notice.told} was not notified of {notice.sentence!r}; {why}. It {what}. Correct owners or notify."
    return PairFinding(PAIR, f"{notice.subject} {notice.key}", PairState.DIFFERS, message)
