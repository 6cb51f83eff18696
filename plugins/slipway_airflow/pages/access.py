"""Who may do what, by Airflow's own auth manager: a viewer reads, an operator acts.

Users who may read the runs of a model's ``retrain_`` Dag may read its pages. To override, clear, approve, reject or
roll back one must be allowed to change runs of that Dag *and* to change the Airflow variable ``slipway_operator``: the
right that separates an operator from a user who may only trigger, in every auth manager there is (ADR 0017). Where a
declaration names ``approvers``, they decide, and no one else.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, VariableDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.configuration import conf
from fastapi import Depends, HTTPException, Request

from include.config.settings import settings
from include.domain.authority import Approvers, Person
from include.domain.errors import Refusal
from include.workflows.gates import overrides
from include.workflows.pages import sources

OPERATOR_KEY = "slipway_operator"
CSRF_FIELD, CSRF_HEADER = "csrf", "x-slipway-csrf"
SAFE = ("GET", "HEAD")


async def signed_in(request: Request, user: GetUserDep) -> Any:
    """The user, who may see plugin pages; every route depends on this.

    Raises:
        HTTPException: 401 without a usable token, 403 for a bad one or a user without the right.
    """
    if not get_auth_manager().is_authorized_view(access_view=AccessView.PLUGINS, user=user):
        raise HTTPException(403, "You may not see Slipway's pages. Ask for the right to see Airflow's plugin views.")
    return user


User = Annotated[Any, Depends(signed_in)]


def require_read(request: Request, user: Any, model: str) -> None:
    """
    Raises:
        HTTPException: 403 when the user may not see the runs of the model's Dag.
    """
    requires_access_dag("GET", DagAccessEntity.RUN, f"retrain_{model}")(request, user)


def require_trigger(request: Request, user: Any, model: str) -> None:
    """
    Raises:
        HTTPException: 403 when the user may not start runs of the model's Dag.
    """
    requires_access_dag("POST", DagAccessEntity.RUN, f"retrain_{model}")(request, user)


def require_view(request: Request, user: Any, view: str) -> None:
    """
    Raises:
        HTTPException: 403 when the user may not see the runs of the feature view's Dag.
    """
    requires_access_dag("GET", DagAccessEntity.RUN, f"features_{view}")(request, user)


def readable_views(user: Any, views: Iterable[str]) -> set[str]:
    """Those of the feature views the user may see."""
    dags = {f"features_{view}": view for view in views}
    allowed = get_auth_manager().filter_authorized_dag_ids(dag_ids=set(dags), user=user, method="GET")
    return {view for dag_id, view in dags.items() if dag_id in allowed}


def readable(user: Any, models: Iterable[str]) -> set[str]:
    """Those of the models the user may see."""
    dags = {f"retrain_{model}": model for model in models}
    allowed = get_auth_manager().filter_authorized_dag_ids(dag_ids=set(dags), user=user, method="GET")
    return {model for dag_id, model in dags.items() if dag_id in allowed}


def readable_declarations(user: Any, broken: Iterable[Any]) -> list[str]:
    """What is wrong with those broken declarations whose Dag the user may see; a file that belongs to no single model
    or view is shown to everyone."""
    found = [(each.dag_id, each.problem) for each in broken]
    dags = {dag_id for dag_id, _ in found if dag_id}
    allowed = get_auth_manager().filter_authorized_dag_ids(dag_ids=dags, user=user, method="GET") if dags else set()
    return [problem for dag_id, problem in found if dag_id is None or dag_id in allowed]


def may_act(request: Request, user: Any, model: str) -> bool:
    """Whether the user may decide about the model."""
    try:
        return _approvers(model).allow(person(request, user, model))
    except Refusal:
        return False


def require_operator(request: Request, user: Any, model: str) -> None:
    """
    Raises:
        HTTPException: 403 for everyone except operators and approvers of the model.
    """
    someone = person(request, user, model)
    if not someone.operator and not _approvers(model).allow(someone):
        raise HTTPException(403, f"{user.get_name()} may read {model} but not act on it: only an operator may.")


def require_approver(request: Request, user: Any, model: str, claimed: str | None = None) -> Person:
    """The user as the ledger records them, who may decide about the model. The rights that the auth manager     reports
    are kept for the task that writes the decision, which knows only the name.

    Raises:
        HTTPException: 403 for everyone else, with the names of those who may.
    """
    someone = person(request, user, model)
    remember(model, someone)
    approvers = _approvers(model)
    if not approvers.allow(someone):
        who = f"only {approvers} may"
        only = "only an operator may" if approvers.are_the_operators else who
        raise HTTPException(403, f"{someone.name} may read {model} but not act on it: {only}.")
    return someone.claiming(claimed)


def _approvers(model: str) -> Approvers:
    """As declared now: the API server runs for weeks."""
    sources.declared_now()
    return overrides.approvers_of(model)


def remember(model: str, someone: Person) -> None:
    """Record the rights that the auth manager reports of the person now.

    Raises:
        LedgerUnavailable: when that cannot be kept.
    """
    with sources.open_ledger() as ledger:
        ledger.rights.saw(model, someone)


def person(request: Request, user: Any, model: str) -> Person:
    """The user with the rights that the auth manager reports."""
    return Person(user.get_name(), frozenset(_roles(user)), _is_operator(request, user, model))


def _is_operator(request: Request, user: Any, model: str) -> bool:
    manager = get_auth_manager()
    try:
        requires_access_dag("PUT", DagAccessEntity.RUN, f"retrain_{model}")(request, user)
        requires_access_dag("POST", DagAccessEntity.RUN, f"rollback_{model}")(request, user)
        return bool(manager.is_authorized_variable(method="PUT", details=VariableDetails(key=OPERATOR_KEY), user=user))
    except HTTPException:
        return False


def _roles(user: Any) -> Iterator[str]:
    """The names of the user's roles, in lower case: the simple auth manager gives one, others a list of names or of
    values that have one."""
    role = getattr(user, "role", None)
    for each in (*([role] if role else []), *(getattr(user, "roles", None) or [])):
        yield str(getattr(each, "name", each)).lower()


# --- requests from other sites ---------------------------------------------------------------------------------------


def token_of(request: Request) -> str:
    """The caller's own token, for calls to Airflow on their behalf."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given if scheme.lower() == "bearer" else request.cookies.get(COOKIE_NAME_JWT_TOKEN, "")


def csrf_token(user: Any, now: datetime | None = None) -> str:
    """The token that a form of this user must carry, valid today and tomorrow."""
    day = f"{now or datetime.now(UTC):%Y-%m-%d}"
    secret = conf.get("api", "secret_key").encode()
    return hmac.new(secret, f"slipway|{user.get_id()}|{day}".encode(), hashlib.sha256).hexdigest()


def require_own_form(request: Request, user: Any, given: str | None) -> None:
    """Refuse a request that another site made a signed-in browser send. A bearer token is no cookie, so no other site
    can use it.

    Raises:
        HTTPException: 403.
    """
    if request.method in SAFE or request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    origin = request.headers.get("origin")
    elsewhere = request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
    if elsewhere or (origin is not None and urlsplit(origin).netloc not in _own_hosts(request)):
        raise HTTPException(
            403, f"This form was sent from {origin or 'elsewhere'}, which is another site; nothing was done."
        )
    now = datetime.now(UTC)
    good = [csrf_token(user, moment) for moment in (now, now - timedelta(days=1))]
    if not any(hmac.compare_digest(given or "", each) for each in good):
        raise HTTPException(403, "The form is too old or not ours; nothing was done. Open the page again and repeat.")


def _own_hosts(request: Request) -> set[str]:
    bases = (conf.get("api", "base_url", fallback="") or "", settings().url)
    return {host for host in (request.headers.get("host"), *(urlsplit(base).netloc for base in bases)) if host}
