"""The journal collected record by record, as the rules of the log say it: what the columns are held against."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from include.adapters.journal import JournalReader
from include.adapters.offline_store import SERVED_PREFIX, TIMESTAMP
from include.config import ModelDeclaration
from include.domain.journal.collected import ANSWERS, day_of, each_answer
from include.domain.journal.records import AnswerRecord, ViewServed
from include.workflows.scoring import answer_rows, fitted_models
from include.workflows.scoring.collected_rows import GIVEN, ONLINE
from include.workflows.scoring.journal_columns import ALL_GIVEN, MISSING_PREFIX, ROW_PREFIX, _key
from include.workflows.scoring.point_in_time_rows import ARROW_KINDS
from include.workflows.scoring.request_ids import SHADOW, request_ids


@dataclass(slots=True)
class Answers:
    """The answers of some days, each once: of several records with one ``asked_id`` the first in time that has a score
    counts, else the first."""

    model: str
    days: Collection[str]
    duplicates: int = 0
    """Records that another one of the same id was preferred to."""
    _first: dict[str, dict[str, tuple[tuple[bool, datetime, str, int], AnswerRecord]]] = field(default_factory=dict)

    def add(self, record: AnswerRecord, segment: str, at: int) -> None:
        """Take a record that lies at the byte ``at`` of a segment, if it is one of the model and of the days."""
        if record.model != self.model or (day := day_of(record)) not in self.days:
            return
        # The place decides between two of one microsecond, so that the order of reading does not.
        # An answer is preferred to a failure, after which its caller asked again.
        failed = record.error is not None
        place, known = (failed, record.prediction_time, segment, at), self._first.setdefault(day, {})
        before = known.get(record.asked_id)
        self.duplicates += before is not None
        if before is None or place < before[0]:
            known[record.asked_id] = (place, record)

    def of(self, day: str) -> list[AnswerRecord]:
        """The day's answers, by the time of their event, then by their ids."""
        found = [record for _, record in self._first.get(day, {}).values()]
        return sorted(found, key=lambda each: (each.event_time or each.prediction_time, each.asked_id))

    def count(self, day: str) -> int:
        """How many answers the day has, those of both models where two answered."""
        return sum(1 + (record.beside is not None) for _, record in self._first.get(day, {}).values())


def asked_rows(model: ModelDeclaration, records: Sequence[AnswerRecord], keys: dict[str, pa.DataType]) -> pa.Table:
    """What was asked, a row for each record: the entity's ``keys`` in the types of its view, ``event_time``,
    ``prediction_time``, ``request_id`` and ``asked_id``. A key that its view cannot have is missing."""
    columns: dict[str, pa.Array] = {
        name: pa.array([_key(each.keys.get(name), kind) for each in records], kind) for name, kind in keys.items()
    }
    columns["event_time"] = pa.array([each.event_time or each.prediction_time for each in records], TIMESTAMP)
    columns["prediction_time"] = pa.array([each.prediction_time for each in records], TIMESTAMP)
    rows = pa.table(columns)
    columns["request_id"] = pa.array(request_ids(model, rows.to_pandas()), pa.string())
    columns["asked_id"] = pa.array([each.asked_id for each in records], pa.string())
    return pa.table(columns)


def logged(
    model: ModelDeclaration, asked: pa.Table, records: Sequence[AnswerRecord], *, version: str, role: str
) -> pa.Table:
    """The records of one candidate as the prediction log has them; ``asked`` is what ``asked_rows`` gave of them."""
    import numpy as np

    width = model.class_count if model.task == "multiclass" else None
    nothing: Any = [np.nan] * width if width else np.nan
    scores = np.array([nothing if each.score is None else each.score for each in records], dtype=float)
    answers = answer_rows.answers_with(model, scores, len(records))
    candidate = records[0].candidate
    said = {str(name): answers[name] for name in answers if str(name).startswith("score")}

    def each_one(value: Callable[[AnswerRecord], Any], kind: pa.DataType) -> pa.Array:
        return pa.array([value(record) for record in records], kind)

    def always(value: str) -> pa.Array:
        return pa.array([value] * len(records), pa.string())

    errors = [record.error or found for record, found in zip(records, answers["error"], strict=True)]
    columns = {name: asked.column(name) for name in asked.column_names}
    columns |= {
        "prediction_id": each_one(lambda r: f"{candidate}|{r.asked_id}", pa.string()),
        "candidate_id": always(candidate),
        "model_version": always(version),
        "role": always(role),
        **{
            name: pa.array(values.to_numpy(dtype=float), pa.float64(), from_pandas=True)
            for name, values in said.items()
        },
        "predicted": pa.array(answers["predicted"].tolist(), pa.string(), from_pandas=True),
        "error": pa.array(errors, pa.string(), from_pandas=True),
        "arm": each_one(lambda r: r.role if role == SHADOW else r.arm, pa.string()),
        "channel": always(ONLINE),
        "revision": each_one(lambda r: r.revision, pa.int64()),
        # A challenger is timed where it was asked one row alone.
        "latency_us": each_one(lambda r: (r.us_model or None) if role == SHADOW else r.us_total, pa.int64()),
        "feature_age_s_max": each_one(_oldest, pa.float64()),
        "unit": each_one(lambda r: r.unit, pa.string()),
        "bucket": each_one(lambda r: r.bucket, pa.float64()),
        "number": each_one(lambda r: r.number, pa.int64()),
    }
    return pa.table(columns)


def kept_features(
    model: ModelDeclaration, asked: pa.Table, records: Sequence[AnswerRecord], names: Sequence[str]
) -> pa.Table:
    """The features as they were served, ``f_<name>`` each, with what was asked, and from which rows of the views they
    were looked up. Those that the journal omits for one of the records are left out."""
    kinds = fitted_models.kinds_of(model)
    columns = {name: asked.column(name) for name in asked.column_names}
    for name in names:
        if all(name in record.features for record in records):
            kind = pa.type_for_alias(ARROW_KINDS[kinds[name]])
            values = [record.features[name] for record in records]
            columns[f"{SERVED_PREFIX}{name}"] = pa.array(values, kind)
    for use in model.views:
        how = [_of_view(record, use.name) for record in records]
        rows = [None if each is None or each.missing is not None else each.event_time for each in how]
        columns[f"{ROW_PREFIX}{use.name}"] = pa.array(rows, TIMESTAMP)
        columns[f"{MISSING_PREFIX}{use.name}"] = pa.array([each and each.missing for each in how], pa.string())
    columns[GIVEN] = pa.array([_given(record) for record in records], pa.string())
    return pa.table(columns)


def _of_view(record: AnswerRecord, name: str) -> ViewServed | None:
    """How the values of a view came into an answer; the service names it with its version or without."""
    return next((how for view, how in record.views.items() if view.partition("@")[0] == name), None)


def _given(record: AnswerRecord) -> str | None:
    return ALL_GIVEN if record.given == "all" else ",".join(record.given) or None


def _oldest(record: AnswerRecord) -> float | None:
    """The age of the oldest values that were looked up and served, in seconds."""
    ages = [view.age_s for view in record.views.values() if view.missing is None and view.age_s is not None]
    return max(ages, default=None)


def answers_in(folder: Path, model: str, days: Collection[str]) -> tuple[Answers, JournalReader]:
    """The answers of a journal that callers got, and what it was read by."""
    reader, answers = JournalReader(folder), Answers(model, days)
    for entry in reader.all():
        if isinstance(entry.record, AnswerRecord) and entry.record.role in ANSWERS:
            answers.add(entry.record, entry.segment, entry.at)
    return answers, reader


def by_candidate(records: Sequence[AnswerRecord]) -> dict[str, list[AnswerRecord]]:
    found: dict[str, list[AnswerRecord]] = {}
    for each in (each for answer in records for each in each_answer(answer)):
        found.setdefault(each.candidate, []).append(each)
    return found
