"""The sums of a champion's settled days."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import insert, select

from include.adapters.ledger.database import Database, clock, words
from include.adapters.ledger.tables import settled_days
from include.domain.drift.settled import SettledDay


class SettledDays:
    """Keeps what a served day came to, once its labels are taken as complete. What is kept first stays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, model: str, revision: int, measured_as: str) -> dict[str, SettledDay]:
        """The days that were served under the deployment's revision, by day.

        Args:
            model: its name.
            revision: of the epoch in which the days were served.
            measured_as: a digest of the loss and the label they were measured with.
        """
        found = settled_days.c
        query = select(found.day, found.rows, found.labelled, found.total, found.squares).where(
            found.model == model, found.revision == revision, found.measured_as == measured_as
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(found.day)).all()
        return {row.day: SettledDay(row.day, row.rows, row.labelled, row.total, row.squares) for row in rows}

    def keep(self, model: str, revision: int, measured_as: str, days: Iterable[SettledDay]) -> None:
        """Keep the days that are not kept yet. Arguments as in :meth:`of`."""
        model, measured_as = words("model", model), words("measured_as", measured_as)
        with self._database.writing(f"settled:{model}") as connection:
            found = settled_days.c
            kept = set(
                connection.execute(
                    select(found.day).where(
                        found.model == model, found.revision == revision, found.measured_as == measured_as
                    )
                ).scalars()
            )
            for each in days:
                if each.day not in kept:
                    kept.add(each.day)
                    connection.execute(
                        insert(settled_days).values(
                            model=model,
                            revision=revision,
                            day=each.day,
                            measured_as=measured_as,
                            rows=each.rows,
                            labelled=each.labelled,
                            total=each.total,
                            squares=each.squares,
                            recorded_at=clock(),
                        )
                    )
