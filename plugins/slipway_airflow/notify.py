"""Notifies people through Airflow's notifiers: a file and the log by default, SMTP or Slack by declaration.

A task is never red because somebody could not be notified; its log says so, and a later try may succeed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from include.config.notify import PROVIDERS
from include.domain.errors import Refusal

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.adapters.ledger import Notice
    from include.config.notify import Channel
    from include.workflows.alerts.outbox import Send

log = logging.getLogger("slipway")
FAILED = "failed"


class Tell(BaseNotifier):
    """A callback, or a gate's notifier: notifies the person that the declaration names for this kind, once."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def notify(self, context: Context) -> None:
        ti = context["ti"]
        tell(self.kind, ti.dag_id, ti.run_id, ti.task_id, context)


class Failed(BaseNotifier):
    """The callback of every step that failed for good: its owner is notified, once for each cause."""

    def notify(self, context: Context) -> None:
        from include.workflows.alerts import outages

        ti, error = context["ti"], context.get("exception")
        day, now = getattr(context.get("dag_run"), "partition_key", None), datetime.now(UTC)
        what = (ti.dag_id, ti.run_id, ti.task_id, day, error)
        said(FAILED, lambda: outages.step_failed(*what, sender(context), now))


class Works(BaseNotifier):
    """The callback of every step that succeeded: if it had failed before, its owner is notified that this is over."""

    def __init__(self, skipped: bool = False) -> None:
        super().__init__()
        self.skipped = skipped

    def notify(self, context: Context) -> None:
        from include.workflows.alerts import outages

        ti, now = context["ti"], datetime.now(UTC)
        day = getattr(context.get("dag_run"), "partition_key", None)
        what = (ti.dag_id, ti.task_id, day, sender(context), now)
        said(FAILED, lambda: outages.step_works(*what, only_its_day=self.skipped))


def callbacks() -> dict[str, Any]:
    """The callbacks of every task of every Dag, as default arguments."""
    return {
        "on_failure_callback": [Failed()],
        "on_success_callback": [Works()],
        "on_skipped_callback": [Works(skipped=True)],
    }


def tell(kind: str, dag_id: str, run_id: str, task_id: str, context: Any) -> str:
    """Send the notice, unless it was sent before; returns what became of it, which is logged too."""
    from include.workflows.pages import notices

    model = dag_id.partition("_")[2]
    at = datetime.now(UTC)
    return said(kind, lambda: notices.tell(model, kind, run_id, task_id, sender(context), at)) or ""


def said(what: str, telling: Callable[[], str | None]) -> str | None:
    """Do it, and log what became of it; None, and no line, when there was no notice."""
    try:
        done = telling()
    except Exception as error:  # noqa: BLE001 - whatever a mail server or a database does, the task is not to blame
        done = f"Somebody could not be notified ({what}): {error}"
        log.warning(done)
    else:
        if done:
            log.info(done)
    return done


def sender(context: Any) -> Send:
    """The function that hands a notice to a channel from this process."""
    return lambda notice, channel: send(notice, channel, context)


def send(notice: Notice, channel: Channel, context: Any) -> None:
    """Hand the notice to the channel, with its key, so that a reader sees whether a second message is the same one.

    The notifier's ``notify`` is called, not the notifier: calling it would render the sentence as a template, and a
    sentence may hold what somebody typed.
    """
    from include.workflows.alerts import by_path, outbox

    link = outbox.link_of(notice)
    named = {"smtp_conn_id" if channel.via == "smtp" else "slack_conn_id": channel.conn_id}
    chosen = {name: value for name, value in named.items() if value}
    if channel.via == "smtp":
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        body = (
            f'<p>{escape(notice.sentence)}</p><p><a href="{escape(link)}">{escape(link)}</a></p>'
            f"<p><small>Notice {escape(notice.key)}</small></p>"
        )
        subject = f"[Slipway] {notice.subject}: {notice.kind.replace('_', ' ')}"
        SmtpNotifier(to=notice.told, subject=subject, html_content=body, **chosen).notify(context)
    elif channel.via == "slack":
        try:
            from airflow.providers.slack.notifications.slack import SlackNotifier
        except ImportError:
            raise Refusal(
                f"notify.via is slack, which needs the package {PROVIDERS['slack']}; install it, or declare smtp or "
                "file"
            ) from None

        text = f"{_plain(notice.sentence)}\n{link}\nNotice {_plain(notice.key)}"
        SlackNotifier(channel=notice.told, text=text, **chosen).notify(context)
    elif channel.via == "path":
        by_path.send(notice, channel)
    else:
        outbox.to_file(notice)


def _plain(text: str) -> str:
    """Text for Slack, where nothing in it is markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
