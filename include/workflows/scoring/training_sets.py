"""Training sets: the rows of a window with the labels that were known at a moment, each in a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from include.config.declared import Declarations
from include.config.loader import declarations
from include.config.settings import settings
from include.config.types import ModelDeclaration
from include.domain.drift.maturity import lacking_by_age
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.workflows.journey.facts import TrainingSet
from include.workflows.lineage import tables_touched
from include.workflows.scoring import point_in_time_rows, row_weights
from include.workflows.scoring.arrow_values import count_true
from include.workflows.scoring.matured_labels import has_closed, label_of_each, matured_labels

if TYPE_CHECKING:
    import pyarrow as pa


class TrainingSetDamaged(Refusal, OSError):
    """A training set's file is missing, or no longer has the content it was made with."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The training set {path} cannot be used: {reason}. Build it again from the same request.")


def build(
    model: ModelDeclaration,
    interval: Interval,
    as_of: datetime,
    versions: Mapping[str, int] | None = None,
    *,
    declared: Declarations | None = None,
) -> TrainingSet:
    """Join the events of ``interval`` with what was known before each, and with their labels as known at ``as_of``.

    ``versions`` pins the table version of views by name; what is left out is pinned to the newest now, and the result
    says which. The same request gives the same bytes. Columns: the entity's keys, event_time, prediction_time, the
    features in the model's order, where declared the weight, label (text for a classifier, a number for regression);
    ordered by event time, then keys. Rows of the weight 0 are left out.

    Raises:
        TableMissing: when a view was never published, or not in the pinned version.
        PromiseBroken: when a day that is read is not what the ledger recorded.
        BadLabels, LabelGivenTwice: when label.sql gives what cannot be used.
        BadWeights, WeightIsNoNumber: when a declared weight cannot be used.
        KeysNotComparable: when a join key is of types that have no value in common.
        SqlFailed, SourceUnreachable, TableVanished, ColumnVanished: when the labels cannot be read.
    """
    import pyarrow.compute as pc

    from include.adapters import sql_engine

    known = declared or declarations()
    joined, pinned, availability = point_in_time_rows.join(model, interval, as_of, versions, known)
    labels = matured_labels(model, interval, as_of, declared=known)
    labelled_rows, remarks = label_of_each(model, joined, labels, declared=known)
    found = labelled_rows.column("label")
    availability = replace(availability, key_remarks=(*availability.key_remarks, *remarks))
    for remark in availability.key_remarks:
        print(remark)
    closed = has_closed(model, joined.column("event_time"), as_of)
    labelled = pc.is_valid(found)
    rows = joined.append_column("label", found)
    kept = pc.and_(closed, labelled)
    rows = (rows if count_true(kept) == rows.num_rows else rows.filter(kept)).combine_chunks()
    rows = row_weights.without_zeros(model, rows, f"the rows of {interval}")
    path, content = _written(rows, model.name, as_of)
    tables_touched.reads(tables_touched.view_table(known.view(use.view)) for use in model.views)
    tables_touched.reads(tables_touched.source_tables(model.label.source))
    tables_touched.writes([tables_touched.training_set(str(path))])
    times = pc.min_max(rows.column("event_time")).as_py()
    counted = (
        {v["values"]: v["counts"] for v in pc.value_counts(rows.column("label")).to_pylist()}
        if model.is_classifier
        else {}
    )
    return TrainingSet(
        model=model.name,
        path=str(path),
        rows=rows.num_rows,
        content_hash=content,
        label_hash=sql_engine.semantic_hash(
            model.label_sql,
            model.label.model_dump(mode="json"),
            what=f"The label of {model.name!r}",
            file=f"models/{model.name}/label.sql",
        ),
        start=interval.start.isoformat(),
        end=interval.end.isoformat(),
        as_of=as_of.isoformat(),
        table_versions=pinned,
        features=model.features,
        label_counts={name: counted.get(name, 0) for name in model.label.classes or ()} if model.is_classifier else {},
        never_labelled=count_true(pc.and_(closed, pc.invert(labelled))),
        not_matured=count_true(pc.invert(closed)),
        first_event=times["min"].isoformat() if isinstance(times["min"], datetime) else None,
        last_event=times["max"].isoformat() if isinstance(times["max"], datetime) else None,
        availability=availability,
        lacking_by_age=_lacking_by_age(model, joined.column("event_time"), labelled_rows, as_of),
    )


def _lacking_by_age(
    model: ModelDeclaration, moments: pa.ChunkedArray, labels: pa.Table, as_of: datetime
) -> tuple[tuple[int, int], ...]:
    """How slowly labels come: rows of each age, and those without a label then, up to the age when a day settles."""
    import numpy as np

    day = np.timedelta64(1, "D")
    closes = moments.to_numpy().astype("datetime64[us]").astype("datetime64[D]") + day
    closes = closes.astype("datetime64[us]") + np.timedelta64(model.label.delay)
    came = labels.column("available_time").to_numpy().astype("datetime64[us]")
    came = np.where(labels.column("label").is_valid().to_numpy(), came, np.datetime64("NaT"))
    after = (came - closes) / day
    now = np.datetime64(as_of.astimezone(UTC).replace(tzinfo=None))
    after = np.where(np.isnan(after), np.inf, after)
    return tuple(lacking_by_age((now - closes) / day, after, model.drift.performance.settles_days))


def read(made: TrainingSet) -> pa.Table:
    """The rows of a built training set.

    Raises:
        TrainingSetDamaged: when the file is gone or its content is not what was built.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from include.adapters import offline_store

    try:
        rows = pq.read_table(made.path)
    except (OSError, pa.ArrowException) as error:
        raise TrainingSetDamaged(made.path, " ".join(str(error).split()).rstrip(".")) from error
    if offline_store.content_hash(rows) != made.content_hash:
        raise TrainingSetDamaged(made.path, "its content is not what was built")
    return rows


def _written(rows: pa.Table, model: str, as_of: datetime) -> tuple[Path, str]:
    """Where the rows are now, under the name of their content hash, and that hash."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from include.adapters import files, offline_store

    folder = settings().artifacts / "training_sets" / model
    with files.draft(folder, f"{as_of:%Y%m%d}") as (unfinished, keep_as):
        with ThreadPoolExecutor(1) as beside:
            hashed = beside.submit(offline_store.content_hash, rows)
            # A dictionary saves time for text only: numbers rarely repeat.
            text = [field.name for field in rows.schema if pa.types.is_string(field.type)]
            pq.write_table(rows, unfinished, compression="lz4", use_dictionary=text)
            content = hashed.result()
        path = folder / f"{as_of:%Y%m%d}-{content[:16]}.parquet"
        keep_as(path)
    return path, content
