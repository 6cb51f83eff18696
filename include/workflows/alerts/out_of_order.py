"""What is out of order right now: open outages and undelivered notices. For the pages and ``status``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from include.adapters.ledger import Ledger, NoticeState
from include.workflows.alerts import freshness, outages


@dataclass(frozen=True, slots=True)
class OutOfOrder:
    """One thing that is out of order."""

    scope: str
    """``model``, ``view`` or ``project``."""
    subject: str
    sentence: str
    since: datetime

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "since": self.since.isoformat()}


def out_of_order(ledger: Ledger, now: datetime) -> list[OutOfOrder]:
    """Everything, oldest first. Whether the watch runs is checked here, because the watch cannot report that itself."""
    found = []
    for outage in ledger.outages.open():
        days = f" ({len(outage.items)} days)" if len(outage.items) > 1 else ""
        found.append(OutOfOrder(outage.scope.value, outage.subject, f"{outage.sentence}{days}", outage.recorded_at))
    known = {outage.cause for outage in ledger.outages.open()}
    for failing in freshness.silent(ledger, now, (outages.WATCH, outages.HOUSEKEEPING)):
        if failing.cause not in known:
            found.append(OutOfOrder(failing.scope.value, failing.subject, failing.sentence, now))
    for posted in ledger.notices.unsent():
        if posted.error is not None:
            notice = posted.notice
            what = "will not be notified" if posted.state is NoticeState.GIVEN_UP else "could not be notified yet"
            sentence = f"{notice.told} {what}: {notice.sentence} ({posted.tries} tries; {posted.error})"
            found.append(OutOfOrder(notice.scope.value, notice.subject, sentence, posted.recorded_at))
    return sorted(found, key=lambda each: each.since)
