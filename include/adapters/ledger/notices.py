"""Who was told what. A key says what happened; whoever writes it first is the one who tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import delete, insert, select

from include.adapters.ledger.database import Database, clock
from include.adapters.ledger.tables import notices


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing one person is told."""

    key: str
    """What happened, for example ``promoted/flight_delay/7``: the same is told once."""
    model: str
    kind: str
    told: str
    """The name or address of who is told."""
    sentence: str
    link: str
    """The path of the page, below Airflow's address."""


class Notices:
    """Keeps what was told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, notice: Notice) -> bool:
        """Whether the caller is the one to tell it; False when it was told, or is being told by another."""
        with self._database.writing(f"notices:{notice.model}") as connection:
            if connection.execute(select(notices.c.key).where(notices.c.key == notice.key)).first() is not None:
                return False
            connection.execute(insert(notices).values(**asdict(notice), recorded_at=clock()))
            return True

    def take_back(self, notice: Notice) -> None:
        """It could not be told: the next try may."""
        with self._database.writing(f"notices:{notice.model}") as connection:
            connection.execute(delete(notices).where(notices.c.key == notice.key))

    def of(self, model: str) -> list[Notice]:
        """What was told about the model, oldest first."""
        query = select(notices).where(notices.c.model == model).order_by(notices.c.recorded_at, notices.c.key)
        with self._database.reading() as connection:
            return [Notice(r.key, r.model, r.kind, r.told, r.sentence, r.link) for r in connection.execute(query)]
