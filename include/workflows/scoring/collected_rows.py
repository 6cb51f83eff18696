"""Answers of the journal as rows of the prediction log and of the served features. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from include.adapters.offline_store import SERVED_PREFIX, TIMESTAMP
from include.config import ModelDeclaration, declarations
from include.domain.intervals import Interval
from include.domain.journal.records import AnswerRecord
from include.workflows import stores
from include.workflows.scoring import answer_rows, fitted_models
from include.workflows.scoring.journal_columns import (
    KEY_PREFIX,
    MISSING_PREFIX,
    ROW_PREFIX,
    AnswerForm,
    columns_of,
    odd_features,
    shape_of,
    with_moment,
)
from include.workflows.scoring.point_in_time_rows import ARROW_KINDS
from include.workflows.scoring.request_ids import SHADOW, request_id_column

if TYPE_CHECKING:
    import pyarrow as pa

ONLINE = "online"
"""The channel of rows that were collected; that of a scored day is missing."""
GIVEN = "given"
"""The column with the features whose values were the caller's, by comma; ``*`` for all, missing for none."""


def asked_rows(model: ModelDeclaration, answers: pa.Table, keys: Mapping[str, pa.DataType]) -> pa.Table:
    """What was asked, a row for each of ``answers`` (columns as ``journal_columns`` makes them): the entity's ``keys``
    in the types of its view, ``event_time``, ``prediction_time``, ``request_id`` and ``asked_id``. A key that its view
    cannot have is missing."""
    import pyarrow as pa

    columns: dict[str, Any] = {name: answers.column(f"{KEY_PREFIX}{name}") for name in keys}
    columns["event_time"] = answers.column("moment")
    columns["prediction_time"] = answers.column("prediction_time")
    columns["request_id"] = request_id_column(model, pa.table(columns))
    columns["asked_id"] = answers.column("asked_id")
    return pa.table(columns)


def asked_one_by_one(
    model: ModelDeclaration, records: Sequence[AnswerRecord], keys: Mapping[str, pa.DataType]
) -> pa.Table:
    """As ``asked_rows``, of records, a row for each in their order."""
    import pyarrow.compute as pc

    answers = columns_of(AnswerForm.of(model, keys), [(0, each) for each in records])
    return asked_rows(model, with_moment(answers.filter(pc.equal(answers.column("part"), 0))), keys)


def key_types(model: ModelDeclaration, interval: Interval) -> dict[str, pa.DataType]:
    """The types that the entity's keys have in its view.

    Raises:
        TableMissing: when the view was never published.
    """
    from include.adapters.offline_store import plain_type

    view = declarations().view(model.entity.view)
    schema = stores.offline_store().dataset(view, interval).schema
    return {name: plain_type(schema.field(name).type) for name in view.keys}


def logged(model: ModelDeclaration, asked: pa.Table, answers: pa.Table, *, version: str, role: str) -> pa.Table:
    """The answers of one candidate as the prediction log has them; ``asked`` is what ``asked_rows`` gave of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    said = answer_rows.answer_columns(model, scores_of(model, answers))
    candidate = str(answers.column("candidate")[0].as_py())

    def always(value: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), len(answers)), pa.array([value]))

    columns = {name: asked.column(name) for name in asked.column_names}
    columns |= {
        "prediction_id": pc.binary_join_element_wise(pa.scalar(candidate), asked.column("asked_id"), "|"),
        "candidate_id": always(candidate),
        "model_version": always(version),
        "role": always(role),
        **{name: values for name, values in said.items() if name.startswith("score")},
        "predicted": said["predicted"],
        # An error of no characters is none.
        "error": pc.coalesce(_no_empty(answers.column("error")), said["error"]),
        "arm": answers.column("role" if role == SHADOW else "arm"),
        "channel": always(ONLINE),
        "revision": answers.column("revision"),
        # A challenger is timed where it was asked one row alone.
        "latency_us": _no_zero(answers.column("us_model")) if role == SHADOW else answers.column("us_total"),
        "feature_age_s_max": answers.column("age"),
        **{name: answers.column(name) for name in ("unit", "bucket", "number")},
    }
    return pa.table(columns)


def scores_of(model: ModelDeclaration, answers: pa.Table) -> Any:
    """The scores as the domain takes them: ``(n,)``, or ``(n, k)`` for more than two classes; NaN where there is none.

    Raises:
        ValueError: when an answer has not one for each class.
    """
    import numpy as np
    import pyarrow.compute as pc

    column = answers.column("score").combine_chunks()
    if model.task != "multiclass":
        return pc.fill_null(column, np.nan).to_numpy(zero_copy_only=False)
    width = model.class_count or 0
    lengths = set(pc.list_value_length(column).unique().to_pylist()) - {None}
    if lengths - {width}:
        raise ValueError(f"answers of {sorted(lengths)} scores where {width} a row were asked for")
    scores = np.full((len(column), width), np.nan)
    scores[column.is_valid().to_numpy(zero_copy_only=False)] = column.flatten().to_numpy().reshape(-1, width)
    return scores


def inputs_of(answers: pa.Table) -> list[str]:
    """The features of the first answer, with those that are omitted by declaration."""
    has, omitted = shape_of(answers.column("shape")[0].as_py())
    return [*has, *omitted]


def kept_features(model: ModelDeclaration, asked: pa.Table, answers: pa.Table, names: Sequence[str]) -> pa.Table:
    """The features as they were served, ``f_<name>`` each, with what was asked, and from which rows of the views they
    were looked up. Those that the journal omits for one of the answers are left out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = fitted_models.kinds_of(model)
    columns = {name: asked.column(name) for name in asked.column_names}
    shapes = [set(shape_of(text)[0]) for text in answers.column("shape").unique().to_pylist()]
    odd = odd_features(answers)
    for name in names:
        if all(name in shape for shape in shapes):
            kind = pa.type_for_alias(ARROW_KINDS[kinds[name]])
            columns[f"{SERVED_PREFIX}{name}"] = _feature(answers, name, kind, odd)
    for use in model.views:
        for prefix, kind in ((ROW_PREFIX, TIMESTAMP), (MISSING_PREFIX, pa.string())):
            there = f"{prefix}{use.name}" in answers.column_names
            columns[f"{prefix}{use.name}"] = (
                answers.column(f"{prefix}{use.name}") if there else pa.nulls(len(answers), kind)
            )
    columns[GIVEN] = answers.column("given")
    kept = pa.table(columns)
    # As they are stored; of several times that one request was asked, in the order of their ids.
    by = [(name, "ascending") for name in ("event_time", "request_id", "asked_id")]
    return kept.take(pc.sort_indices(kept, by))


def _feature(answers: pa.Table, name: str, kind: pa.DataType, odd: Mapping[int, Mapping[str, Any]]) -> Any:
    import pyarrow as pa

    column = f"{SERVED_PREFIX}{name}"
    there = answers.column(column) if column in answers.column_names else pa.nulls(len(answers), kind)
    if not odd and there.type == kind:
        return there
    values = there.to_pylist()
    for place, features in odd.items():
        values[place] = features.get(name)
    return pa.array(values, kind)


def _no_empty(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    return (
        texts if texts.null_count == len(texts) else pc.if_else(pc.equal(texts, ""), pa.scalar(None, texts.type), texts)
    )


def _no_zero(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.equal(numbers, 0), pa.scalar(None, numbers.type), numbers)
