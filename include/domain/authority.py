"""Who may decide about a model's candidates and champions.

A decision is an approval, an override, a rejection, a rollback, or that a new journey replaces one under way. Who makes
it is a ``Person`` whose name and rights come from the platform that signed them in, and never from a form. A name that
a form gives is a claim: it is kept beside the person, and it can only make a decision harder, never easier.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from include.domain.errors import Refusal


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who asks or decides."""

    name: str
    """As the platform signed them in."""
    roles: frozenset[str] = frozenset()
    """The platform's roles, in lower case; empty where it has none or nothing is known."""
    operator: bool = False
    """Whether the platform lets them operate this model; False when it has not said so."""
    claims: str | None = None
    """The name they gave in a form or on a command line; None when they gave none or their own."""

    def claiming(self, name: str | None) -> Person:
        """The same person with the name they gave."""
        given = (name or "").strip()
        return replace(self, claims=given if given and given != self.name else None)

    @property
    def names(self) -> frozenset[str]:
        """The name they were signed in with and the one they gave, as names are compared."""
        return frozenset(same(name) for name in (self.name, self.claims) if name)

    def __str__(self) -> str:
        return said(self.name, self.claims)


@dataclass(frozen=True, slots=True)
class Approvers:
    """Who may decide about one model: these users, and everyone with one of these roles. Both empty: its operators."""

    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    @classmethod
    def of(cls, users: Iterable[str] = (), roles: Iterable[str] = ()) -> Approvers:
        return cls(frozenset(users), frozenset(role.lower() for role in roles))

    @property
    def are_the_operators(self) -> bool:
        return not self.users and not self.roles

    def allow(self, person: Person) -> bool:
        """Whether this person may decide. A person without recorded rights may not, unless named as a user.

        >>> Approvers().allow(Person("ada")), Approvers().allow(Person("otto", operator=True))
        (False, True)
        >>> Approvers.of(["ada"]).allow(Person("otto", operator=True)), Approvers.of(["ada"]).allow(Person("ada"))
        (False, True)
        """
        if self.are_the_operators:
            return person.operator
        return person.name in self.users or bool(person.roles & self.roles)

    def __str__(self) -> str:
        """For a sentence: who may."""
        if self.are_the_operators:
            return "its operators"
        named = [", ".join(sorted(self.users))] if self.users else []
        roles = [f"whoever has the role {' or '.join(sorted(self.roles))}"] if self.roles else []
        return " and ".join([*named, *roles])


OPERATORS = Approvers()
"""Who decides where a declaration names no one."""


class MayNotDecide(Refusal):
    """Somebody would decide who may not."""

    def __init__(self, model: str, doing: str, person: Person, approvers: Approvers) -> None:
        roles = f" with the role {' and '.join(sorted(person.roles))}" if person.roles else ""
        super().__init__(
            f"{person.name}{roles} may not {doing}: for {model} that is for {approvers} (approvers in its model.yaml "
            "or in include/models/tiers.yaml). Nothing was changed. Ask one of them."
        )


def require(model: str, doing: str, person: Person, approvers: Approvers) -> None:
    """
    Args:
        doing: completes "X may not ...".

    Raises:
        MayNotDecide: when the person is no approver.
    """
    if not approvers.allow(person):
        raise MayNotDecide(model, doing, person, approvers)


def same(name: str) -> str:
    """A name in the form in which names are compared to exclude a person: case and blanks do not matter."""
    return " ".join(name.split()).casefold()


def said(name: str, claimed: str | None) -> str:
    """A name with the one that was claimed.

    >>> said("admin", "ada"), said("ada", "ada"), said("ada", None)
    ('admin (who says: ada)', 'ada', 'ada')
    """
    return f"{name} (who says: {claimed})" if claimed and claimed != name else name
