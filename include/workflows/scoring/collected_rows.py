"""Records of the journal as rows of the prediction log and of the served features. Nothing is written here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.adapters.offline_store import SERVED_PREFIX, TIMESTAMP
from include.config import ModelDeclaration, declarations
from include.domain.intervals import Interval
from include.domain.journal.records import AnswerRecord, ViewServed
from include.workflows import stores
from include.workflows.scoring import answer_rows, fitted_models
from include.workflows.scoring.point_in_time_rows import ARROW_KINDS
from include.workflows.scoring.request_ids import SHADOW, request_ids

if TYPE_CHECKING:
    import pyarrow as pa

ONLINE = "online"
"""The channel of rows that were collected; that of a scored day is missing."""
ROW_PREFIX, MISSING_PREFIX = "row_of_", "missing_of_"
"""Columns of what was served: of each view the event time of the row whose values were served, and why there were none;
both missing where nothing was looked up."""
GIVEN, ALL_GIVEN = "given", "*"
"""The column with the features whose values were the caller's, by comma; ``*`` for all, missing for none."""


def asked_rows(model: ModelDeclaration, records: Sequence[AnswerRecord], keys: dict[str, pa.DataType]) -> pa.Table:
    """What was asked, a row for each record: the entity's ``keys`` in the types of its view, ``event_time``,
    ``prediction_time``, ``request_id`` and ``asked_id``. A key that its view cannot have is missing."""
    import pyarrow as pa

    columns: dict[str, pa.Array] = {
        name: pa.array([_key(each.keys.get(name), kind) for each in records], kind) for name, kind in keys.items()
    }
    columns["event_time"] = pa.array([each.event_time or each.prediction_time for each in records], TIMESTAMP)
    columns["prediction_time"] = pa.array([each.prediction_time for each in records], TIMESTAMP)
    rows = pa.table(columns)
    columns["request_id"] = pa.array(request_ids(model, rows.to_pandas()), pa.string())
    columns["asked_id"] = pa.array([each.asked_id for each in records], pa.string())
    return pa.table(columns)


def key_types(model: ModelDeclaration, interval: Interval) -> dict[str, pa.DataType]:
    """The types that the entity's keys have in its view.

    Raises:
        TableMissing: when the view was never published.
    """
    from include.adapters.offline_store import plain_type

    view = declarations().view(model.entity.view)
    schema = stores.offline_store().dataset(view, interval).schema
    return {name: plain_type(schema.field(name).type) for name in view.keys}


def logged(
    model: ModelDeclaration, asked: pa.Table, records: Sequence[AnswerRecord], *, version: str, role: str
) -> pa.Table:
    """The records of one candidate as the prediction log has them; ``asked`` is what ``asked_rows`` gave of them."""
    import numpy as np
    import pyarrow as pa

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
    import pyarrow as pa

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


def _key(value: Any, kind: pa.DataType) -> Any:
    """A key as its view has it: a caller may say 7, "7" or 7.0."""
    import pyarrow as pa

    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and not pa.types.is_floating(kind):
        value = int(value)
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else str(value)
    if pa.types.is_temporal(kind) and isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = datetime.fromisoformat(value)
    with contextlib.suppress(pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.scalar(value).cast(kind).as_py()
    return None
