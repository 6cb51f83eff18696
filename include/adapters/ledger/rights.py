"""The rights that the platform reported of each user when they last acted.

A task knows the name of the user who started its run or answered its form, but not their rights: those are known where
people sign in. The sign-in side writes them here before it accepts a decision, and the writer of the decision reads
them here. A user without an entry may do nothing.
"""

from __future__ import annotations

from sqlalchemy import and_, select

from include.adapters.ledger.database import Database, clock, upsert, words
from include.adapters.ledger.tables import known_rights
from include.domain.authority import Person


class Rights:
    """Keeps one line for each user and model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def saw(self, model: str, person: Person) -> None:
        """Record what the person may do with this model, as the platform says now."""
        key = {"model": words("model", model), "name": words("name", person.name)}
        values = {"roles": sorted(person.roles), "operator": person.operator, "recorded_at": clock()}
        with self._database.writing(f"rights:{model}") as connection:
            upsert(connection, known_rights, key, values)

    def person(self, model: str, name: str) -> Person:
        """The user of this name, whom the platform has signed in, with the rights they had when they last acted;
        without any when none were recorded."""
        mine = and_(known_rights.c.model == model, known_rights.c.name == name)
        with self._database.reading() as connection:
            row = connection.execute(select(known_rights).where(mine)).one_or_none()
        return Person(name) if row is None else Person(name, frozenset(row.roles), row.operator)
