"""The users whom Airflow itself allows to answer a gate of a model.

The list on the form is a first check: the ledger's writer checks again. Where the roles of an auth manager's users are
not known here (all but Airflow's own simple one), only declared users can be listed, and with roles declared none are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from include.config import ModelDeclaration

SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
OPERATORS = frozenset({"op", "admin"})
"""The simple auth manager's roles that may change variables, by which an operator is known."""


def assigned(model: ModelDeclaration) -> list[Any] | None:
    """The users whose answers are accepted; None when they cannot be listed."""
    who = model.approvers.who
    roles = OPERATORS if who.are_the_operators else who.roles
    if not roles:
        return _users(who.users)
    if conf.get("core", "auth_manager") != SIMPLE or conf.getboolean("core", "simple_auth_manager_all_admins"):
        return None
    known = (each.split(":") for each in conf.getlist("core", "simple_auth_manager_users"))
    return _users(who.users | {name for name, role, *_ in known if role.lower() in roles}) or None


def _users(names: frozenset[str]) -> list[Any]:
    return [{"id": name, "name": name} for name in sorted(names)]
