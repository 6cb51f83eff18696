"""Tells people through Airflow's notifiers: a file and the log by default, SMTP or Slack by declaration.

A task is never red because somebody could not be told; its log says so, and a later try may tell.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from include.config.types import PROVIDERS
from include.domain.errors import Refusal

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.adapters.ledger import Notice
    from include.config import ModelDeclaration

log = logging.getLogger("slipway")


class Tell(BaseNotifier):
    """A callback, or a gate's notifier: tells whoever the declaration names for this kind, once."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def notify(self, context: Context) -> None:
        ti = context["ti"]
        tell(self.kind, ti.dag_id, ti.run_id, ti.task_id, context)


def tell(kind: str, dag_id: str, run_id: str, task_id: str, context: Any) -> str:
    """Tell it, unless it was told; what became of it, which the log says too."""
    from include.workflows import notices

    model = dag_id.partition("_")[2]
    try:
        done = notices.tell(model, kind, run_id, task_id, lambda n, m: send(n, m, context), datetime.now(UTC))
    except Exception as error:  # noqa: BLE001 - whatever a mail server or a database does, the task is not to blame
        done = f"Somebody could not be told ({kind}): {error}"
        log.warning(done)
    else:
        log.info(done)
    return done


def send(notice: Notice, model: ModelDeclaration, context: Any) -> None:
    """Hand the notice to the declared channel.

    The notifier's ``notify`` is called, not the notifier: calling it would render the sentence as a template, and a
    sentence may hold what somebody typed.
    """
    from include.workflows import notices

    link = _address() + notice.link
    named = {"smtp_conn_id" if model.notify.via == "smtp" else "slack_conn_id": model.notify.conn_id}
    chosen = {name: value for name, value in named.items() if value}
    if model.notify.via == "smtp":
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        body = f'<p>{escape(notice.sentence)}</p><p><a href="{escape(link)}">{escape(link)}</a></p>'
        subject = f"[Slipway] {notice.model}: {notice.kind.replace('_', ' ')}"
        SmtpNotifier(to=notice.told, subject=subject, html_content=body, **chosen).notify(context)
    elif model.notify.via == "slack":
        try:
            from airflow.providers.slack.notifications.slack import SlackNotifier
        except ImportError:
            raise Refusal(
                f"notify.via is slack, which needs the package {PROVIDERS['slack']}; install it, or declare smtp or "
                "file."
            ) from None

        plain = notice.sentence.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        SlackNotifier(channel=notice.told, text=f"{plain}\n{link}", **chosen).notify(context)
    else:
        notices.to_file(notice)


def _address() -> str:
    from airflow.sdk.configuration import conf

    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
