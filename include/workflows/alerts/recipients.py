"""Who is notified, and by which channel: the owner that a declaration names, or the operator of Slipway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from include.adapters.ledger import Notice, Scope, Told
from include.config import declarations
from include.config.notify import WAYS, Channel, Way
from include.config.settings import settings

PROJECT = "slipway"
"""The subject of what is about no model and no view."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody, and the way to them."""

    told: Told
    channel: Channel


def of(scope: Scope, subject: str, kind: str) -> Recipient | None:
    """Who is notified of this kind of event; None when the declaration names no one.

    A subject that is not declared any more, or whose declaration is broken, is the operator's.
    """
    declared = declarations()
    if scope is Scope.MODEL and subject in declared.models:
        model = declared.models[subject]
        role = getattr(model.notify, kind)
        return None if role == "nobody" else Recipient(Told(getattr(model.owners, role), role), model.notify)
    if scope is Scope.VIEW and subject in declared.views:
        view = declared.views[subject]
        return Recipient(Told(view.owner, None), view.notify)
    return Recipient(Told(settings().operator, None), operators_channel())


def now_of(notice: Notice) -> Recipient:
    """Where to send a notice that was written down before; a declaration that was fixed meanwhile counts."""
    declared = declarations()
    if notice.scope is Scope.MODEL and notice.subject in declared.models:
        model = declared.models[notice.subject]
        # Another release knew a role that this one does not: then the name that was written down is used.
        known = notice.role in type(model.owners).model_fields
        return Recipient(
            Told(getattr(model.owners, str(notice.role)) if known else notice.told, notice.role), model.notify
        )
    if notice.scope is Scope.VIEW and notice.subject in declared.views:
        view = declared.views[notice.subject]
        return Recipient(Told(view.owner, None), view.notify)
    return Recipient(Told(settings().operator, None), operators_channel())


def operators_channel() -> Channel:
    """The operator's channel; the file when the setting names no channel that exists, which ``slipway doctor``
    reports."""
    chosen = settings()
    known = chosen.operator_via in WAYS
    return Channel(via=cast(Way, chosen.operator_via) if known else "file", conn_id=chosen.operator_conn_id)
