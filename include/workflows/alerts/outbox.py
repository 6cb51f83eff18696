"""Sends what the outbox holds: one process at a time for each notice, again after a failure. No failure is hidden.

What could not be sent stays in the ledger with its reason: ``slipway status`` and the page of all models show it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from include.adapters.ledger import Ledger, Notice, NoticeState, Posted
from include.adapters.ledger.notices import LONGEST_WAIT
from include.config.notify import Channel
from include.config.settings import absolute, settings
from include.domain.faults import crashpoint
from include.workflows.alerts import recipients

FILE = "notices.jsonl"
MOST_TRIES = 20
FIRST_PAUSE = timedelta(minutes=1)
AT_ONCE = 20
"""Most notices that one sweep sends; the others are first in the next."""

Send = Callable[[Notice, Channel], None]
"""Hands a notice to its channel; raises when it could not."""


def pause_after(tries: int) -> timedelta:
    """How long the next try waits: doubling, at most six hours. Twenty tries last nearly three days.

    >>> [str(pause_after(n)) for n in (1, 2, 5, 20)]
    ['0:01:00', '0:02:00', '0:16:00', '6:00:00']
    """
    return min(FIRST_PAUSE * (1 << (tries - 1)), LONGEST_WAIT)


def deliver(ledger: Ledger, key: str, send: Send, now: datetime) -> str:
    """Send one notice if it is due. What became of it, in a line; nothing is raised for a channel that fails."""
    posted = ledger.notices.take(key, now)
    if posted is None:
        return _not_due(ledger.notices.get(key), key)
    to = recipients.now_of(posted.notice)
    notice = replace(posted.notice, told=to.told.name)
    crashpoint("notices.taken")
    try:
        send(notice, to.channel)
    except Exception as error:  # noqa: BLE001 - whatever a mail server does, it is kept and tried again
        reason = " ".join(f"{error}".split()) or type(error).__name__
        last = posted.tries >= MOST_TRIES
        again_at = None if last else now + pause_after(posted.tries)
        ledger.notices.not_sent(key, posted.tries, reason, again_at)
        what = "it is given up" if again_at is None else f"the next try is due at {again_at:%Y-%m-%d %H:%M} UTC"
        return f"{notice.told} could not be notified ({notice.kind}, try {posted.tries}): {reason}; {what}."
    crashpoint("notices.handed")
    ledger.notices.sent(key, notice.told, now)
    return f"{notice.told} is notified: {notice.sentence}"


def sweep(ledger: Ledger, send: Send, now: datetime) -> list[str]:
    """Send everything that is due: what no task could send, and what a killed process had taken."""
    return [deliver(ledger, key, send, now) for key in ledger.notices.due(now, AT_ONCE)]


def link_of(notice: Notice) -> str:
    """The whole address of the notice's page."""
    return absolute(notice.link)


def to_file(notice: Notice, channel: Channel | None = None) -> None:
    """Append the notice as one line of JSON to the file in Slipway's home."""
    line = {
        "kind": notice.kind,
        "subject": notice.subject,
        "to": notice.told,
        "sentence": notice.sentence,
        "link": link_of(notice),
        "key": notice.key,
    }
    file = settings().home / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def _not_due(posted: Posted | None, key: str) -> str:
    if posted is None:
        return f"There is no notice {key}."
    told = posted.notice.told
    if posted.state is NoticeState.SENT:
        return f"{told} was notified before: {key}."
    if posted.state is NoticeState.GIVEN_UP:
        return f"{told} could not be notified after {posted.tries} tries: {posted.error}."
    return f"{told} is notified by another process, or later: {key}."
