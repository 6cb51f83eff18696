"""Notifies people through a function of a team's own. Whatever it raises is a failed try, as with every channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from include.adapters.ledger import Notice
from include.config.notify import Channel
from include.workflows.alerts import outbox


@dataclass(frozen=True, slots=True)
class Message:
    """What a team's own notifier is given.

    Attributes:
        kind: what happened: ``promoted``, ``gate_failed``, ``failed``, ... (the fields of ``notify``).
        subject: the model or view it is about; ``slipway`` for Slipway itself.
        to: whom to notify, as ``owners`` names them.
        sentence: all there is to say, in one sentence. It may hold what a person typed: escape it.
        link: the whole address of the page about it.
        key: the same for the same notice, however often it is tried.
    """

    kind: str
    subject: str
    to: str
    sentence: str
    link: str
    key: str


class NotTold(RuntimeError):
    """A notifier of a team's own raised, or answered that it notified no one."""


def send(notice: Notice, channel: Channel) -> None:
    """Call the function that the channel names.

    Raises:
        NoModule, NoSuchName, WrongShape: when it cannot be used.
        NotTold: when it raises, or returns False.
    """
    function, link = channel.function(), outbox.link_of(notice)
    message = Message(notice.kind, notice.subject, notice.told, notice.sentence, link, notice.key)
    if _called(lambda: function(message, **channel.params), str(channel.path)) is False:
        raise NotTold(f"{channel.path} returned False, so no one was notified")


def _called(function: Callable[[], object], path: str) -> object:
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise NotTold(f"{path} raised {type(error).__name__}: {error}") from error
