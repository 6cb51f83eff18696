"""What was made from what: the training sets of candidates, and the days that were scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, select

from include.adapters.ledger.candidate_rows import candidate_of
from include.adapters.ledger.database import Database, clock, day_key, days_between, upsert, utc, words
from include.adapters.ledger.records import Candidate, Scoring, TrainingRecord, ViewRead
from include.adapters.ledger.tables import candidates, scorings, training_sets

SERVED = "served"
"""The role of the one candidate whose answers of a day were served."""


class Lineage:
    """Records and finds training sets and scored days. Each is keyed, so the newest writing of one is valid."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_training_set(self, made: TrainingRecord) -> None:
        """Keep what a candidate's ``part`` was made from; built again, it replaces what was kept."""
        key = {"candidate_id": words("candidate_id", made.candidate_id), "part": words("part", made.part)}
        values = {name: value for name, value in asdict(made).items() if name not in key}
        values |= {name: utc(name, values[name]) for name in ("start", "end", "as_of")}
        values |= {"sources": _as_json(made.sources)}
        with self._database.writing(f"lineage:{made.candidate_id}") as connection:
            _keep(connection, training_sets, key, values)

    def record_scoring(self, made: Scoring, *, same_features: bool = False) -> None:
        """Keep what a candidate's answers of a day were computed from; a day scored again replaces it. A day has one
        server, so what another one served of it before is no longer kept.

        ``same_features``: whether the day was answered from the very features it was before. Then the earlier record
        stays, although the views' tables have later versions by now.
        """
        key = {"model": words("model", made.model), "day": day_key(made.day), "candidate_id": made.candidate_id}
        values = {name: value for name, value in asdict(made).items() if name not in key}
        values |= {name: utc(name, values[name]) for name in ("first_asked", "last_asked")}
        values |= {"sources": _as_json(made.sources)}
        with self._database.writing(f"scorings:{made.model}") as connection:
            if made.role == SERVED:
                others = (scorings.c.model == made.model, scorings.c.day == key["day"], scorings.c.role == SERVED)
                connection.execute(delete(scorings).where(*others, scorings.c.candidate_id != made.candidate_id))
            _keep(connection, scorings, key, values, any_table_version=same_features)

    def training_sets(self, candidate_id: str | None = None) -> list[TrainingRecord]:
        """Every part of one candidate's training set, or of all, in the order of candidates and parts."""
        query = select(training_sets)
        if candidate_id is not None:
            query = query.where(training_sets.c.candidate_id == candidate_id)
        order = (training_sets.c.candidate_id, training_sets.c.part)
        with self._database.reading() as connection:
            return [_training_of(row) for row in connection.execute(query.order_by(*order))]

    def scorings(
        self,
        model: str | None = None,
        start: str | date | None = None,
        end: str | date | None = None,
        candidate_id: str | None = None,
    ) -> list[Scoring]:
        """The scored days in ``[start, end)``, in order; None does not restrict."""
        query = select(scorings).where(*days_between(scorings.c.day, start, end))
        if model is not None:
            query = query.where(scorings.c.model == model)
        if candidate_id is not None:
            query = query.where(scorings.c.candidate_id == candidate_id)
        order = (scorings.c.day, scorings.c.model, scorings.c.role, scorings.c.candidate_id)
        with self._database.reading() as connection:
            return [_scoring_of(row) for row in connection.execute(query.order_by(*order))]

    def candidates(self) -> list[Candidate]:
        """Every candidate of every model, in the order they were opened."""
        query = select(candidates).order_by(candidates.c.opened_at, candidates.c.candidate_id)
        with self._database.reading() as connection:
            return [candidate_of(row) for row in connection.execute(query)]


def _keep(
    connection: Connection,
    table: Table,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    any_table_version: bool = False,
) -> None:
    """Write the row under its key; when it is equal already, it is unchanged, with the first run's name and audit
    stamp."""
    said = {name: value for name, value in values.items() if name != "recorded_at"}

    def about(row: Mapping[str, Any]) -> dict[str, Any]:
        compared = {name: row[name] for name in said if name != "run_id"}
        if any_table_version:
            compared["sources"] = [{**each, "table_version": None} for each in compared["sources"]]
        return compared

    found = connection.execute(
        select(table).where(*(table.c[name] == value for name, value in key.items()))
    ).one_or_none()
    # Compared here: Postgres has no equality of JSON.
    if found is None or about(dict(found._mapping)) != about(said):
        upsert(connection, table, key, {**said, "recorded_at": clock()})


def _as_json(sources: Sequence[ViewRead]) -> list[dict[str, Any]]:
    shown = [asdict(each) for each in sources]
    return [{**each, "watermark": each["watermark"] and each["watermark"].isoformat()} for each in shown]


def _sources_of(kept: Sequence[dict[str, Any]]) -> tuple[ViewRead, ...]:
    from include.domain.intervals import instant

    read = (ViewRead(**{**each, "watermark": None}) for each in kept)
    return tuple(
        replace(each, watermark=instant(given["watermark"]) if given["watermark"] else None)
        for each, given in zip(read, kept, strict=True)
    )


def _training_of(row: Row[Any]) -> TrainingRecord:
    return TrainingRecord(**{**row._asdict(), "sources": _sources_of(row.sources)})


def _scoring_of(row: Row[Any]) -> Scoring:
    return Scoring(**{**row._asdict(), "sources": _sources_of(row.sources)})
