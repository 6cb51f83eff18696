"""``include/models/tiers.yaml``: what every model of a tier is judged by, unless its own declaration says otherwise.

A block of a tier is merged below the model's own, field by field: the model's value wins, a list is taken whole, and
``null`` takes a gate of the tier away. A gate that only the tier names is declared for every model of the tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from include.config.base import Declared
from include.config.old_keys import renamed
from include.domain.authority import Approvers as Who
from include.domain.gate_names import ASKED_ONLINE

BLOCKS = ("approvers", "gates", "shadow", "promotion")
"""The blocks of a model's declaration that a tier may give defaults for."""
EXPERIMENTAL = "experimental"
"""The tier whose candidates may go from shadow to promotion."""


class DeclaredApprovers(Declared):
    """Who may decide about a model: approve, override, reject, roll back, and replace a journey under way."""

    users: list[str] = Field(default_factory=list)
    """Names of users, as Airflow signs them in; default none by name."""
    roles: list[str] = Field(default_factory=list)
    """Roles of Airflow's auth manager, in any case; default none. Users and roles both left out: the operators, that is
    whoever may change the model's runs and the Airflow variable ``slipway_operator``."""

    @property
    def who(self) -> Who:
        return Who.of(self.users, self.roles)


class Tier(Declared):
    """One tier. Its blocks hold any of the fields that a model has there."""

    requester_may_override: bool = False
    """Whether the person who asked for a retrain may override or approve its gates; left out of a tier that the file
    has, no: another person must."""
    approvers: dict[str, Any] = Field(default_factory=dict)
    """Who may decide about a model of the tier that does not say so itself; default its operators."""
    gates: dict[str, Any] = Field(default_factory=dict)
    """Defaults of a model's ``gates``; default none."""
    shadow: dict[str, Any] = Field(default_factory=dict)
    """Defaults of a model's ``shadow``; default none."""
    promotion: dict[str, Any] = Field(default_factory=dict)
    """Defaults of a model's ``promotion``; default none."""

    def below(self, declared: Mapping[str, Any]) -> dict[str, Any]:
        """A model's raw declaration with this tier's defaults below it, and below both what every model asked online
        is judged by; unless it is experimental, a canary is part of it."""
        defaults = {block: given for block in BLOCKS if (given := getattr(self, block))}
        serving = declared.get("serving")
        if isinstance(serving, Mapping) and serving.get("mode") == "online":
            canary: dict[str, Any] = {} if declared.get("tier") == EXPERIMENTAL else {"canary": {}}
            defaults = merged({"gates": {gate: {} for gate in ASKED_ONLINE}, **canary}, defaults)
        own = {**declared, "gates": renamed(declared["gates"])} if "gates" in declared else declared
        return merged(defaults, own)

    @field_validator("gates", mode="before")
    @classmethod
    def _renamed(cls, given: Any) -> Any:
        return renamed(given)


class Tiers(Declared):
    """The file. A tier that is left out gives no defaults, and lets the person who asked decide unless critical."""

    critical: Tier = Tier()
    standard: Tier = Tier(requester_may_override=True)
    experimental: Tier = Tier(requester_may_override=True)


def merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` over ``defaults``, mapping by mapping.

    >>> merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 7}, "d": None})
    {'a': {'b': 7, 'c': 2}, 'd': None}
    """
    found = dict(defaults)
    for name, value in given.items():
        below = found.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            found[name] = merged(below, value)
        else:
            found[name] = value
    return found
