"""What a retrain request must be before a run is started for it. Light, because Airflow's API server calls it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from include.adapters.ledger import JourneyUnderWay, Ledger
from include.config import ModelDeclaration, declarations
from include.config.views import slug
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.journey import BadRequest, retrain_request
from include.workflows import stores

MIN_REASON, MAX_REASON, MAX_NAME = 3, 500, 100
ROLLBACK_FIELDS = ("reason", "requested_by", "revision")


class NoData(Refusal):
    """A journey of a model whose feature views were never published."""


def check(model_name: str, conf: Mapping[str, Any] | None, user: str, *, beside_another: bool = False) -> None:
    """Refuse at once what the run's first task would refuse.

    Args:
        conf: the request, untrusted.
        user: who sends it, as the platform signed them in.
        beside_another: whether a request that comes while a journey is under way is let through, to be recorded as one
            of its causes.

    Raises:
        BadRequest: naming field, value and what is allowed.
        NoData: when nothing was published yet.
        JourneyUnderWay: naming the journey that is in flight.
        MayNotDecide: when the request would replace a journey and the user may not.
    """
    model = declarations().model(model_name)
    with stores.open_ledger() as ledger:
        request = retrain_request(conf, latest=latest_allowed(ledger, model), default_requested_by=user)
        if request.supersede:
            by = ledger.rights.person(model.name, user)
            ledger.candidates.require_may_replace(model.name, by=by, approvers=model.approvers.who)
            return
        live = ledger.candidates.live(model.name)
        if live is not None and not beside_another:
            raise JourneyUnderWay(model.name, live.candidate_id, live.run_id)


def newest_data(ledger: Ledger, model: ModelDeclaration) -> datetime | None:
    """The end of the newest published day of the model's entity view; None before the first publish."""
    view = declarations().view(model.entity.view)
    found = ledger.partitions.between(view.name, view.version, None, None)
    return max((Interval.of_day(p.day).end for p in found), default=None)


def first_data(ledger: Ledger, model: ModelDeclaration) -> datetime | None:
    """The first moment from which every view that the model reads has published days; None before that."""
    views = [declarations().view(use.view) for use in model.views]
    firsts = [
        min((p.day for p in ledger.partitions.between(v.name, v.version, None, None)), default=None) for v in views
    ]
    return None if None in firsts else max(Interval.of_day(str(day)).start for day in firsts)


def latest_allowed(ledger: Ledger, model: ModelDeclaration) -> datetime:
    """The newest moment a journey may be as of: the end of the newest published day.

    Raises:
        NoData: when nothing was published yet.
    """
    latest = newest_data(ledger, model)
    if latest is None:
        raise NoData(
            f"{model.entity.view} has no published day, so {model.name} has nothing to learn from. "
            f"Run features_{slug(model.entity.view)} for a range first."
        )
    return latest


def rollback_request(conf: Mapping[str, Any]) -> tuple[str, str | None, int | None]:
    """The reason, the name the request gives, and the champion's revision it means; None for what it leaves out.

    Raises:
        BadRequest: naming field, value and what is allowed.
    """
    for name in conf:
        if name not in ROLLBACK_FIELDS:
            allowed = ", ".join(ROLLBACK_FIELDS)
            raise BadRequest(str(name)[:60], conf[name], f"there is no such field; allowed are: {allowed}")
    reason = conf.get("reason")
    if not isinstance(reason, str) or not MIN_REASON <= len(reason.strip()) <= MAX_REASON:
        raise BadRequest("reason", reason, f"say why the champion must go, in {MIN_REASON} to {MAX_REASON} characters")
    claimed = conf.get("requested_by")
    if claimed is not None and (not isinstance(claimed, str) or not 1 <= len(claimed.strip()) <= MAX_NAME):
        raise BadRequest("requested_by", claimed, f"give a name of 1 to {MAX_NAME} characters, or leave it out")
    revision = conf.get("revision")
    if revision is not None and (not isinstance(revision, int) or isinstance(revision, bool)):
        raise BadRequest("revision", revision, "give the revision of the champion that must go, or leave it out")
    return reason.strip(), claimed.strip() if claimed else None, revision
