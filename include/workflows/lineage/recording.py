"""Writes down what was made from what: a candidate's training set, a day's answers. ``lineage`` reads it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from include.adapters.ledger import Ledger, TrainingRecord, ViewRead
from include.config import ModelDeclaration, declarations
from include.domain.intervals import Interval, instant
from include.workflows import stores
from include.workflows.journey.facts import TrainingSets

if TYPE_CHECKING:
    import pyarrow as pa

TRAIN, HOLDOUT = "train", "holdout"


def pinned_now(model: ModelDeclaration) -> dict[str, int]:
    """The version of each view's table now, so that one piece of work reads one state.

    Raises:
        TableMissing: when a view was never published.
    """
    from include.adapters.offline_store import TableMissing

    store, pinned = stores.offline_store(), {}
    for use in model.views:
        view = declarations().view(use.view)
        version = store.current_version(view)
        if version is None:
            raise TableMissing(store.view_path(view))
        pinned[use.view] = version
    return pinned


def views_read(
    ledger: Ledger, model: ModelDeclaration, interval: Interval, table_versions: Mapping[str, int]
) -> tuple[ViewRead, ...]:
    """The state of each view that answered the events of ``interval``: table version, definition, and the latest moment
    at which the source learned a row of the days that could answer."""
    found = []
    for use in model.views:
        view = declarations().view(use.view)
        start, end = asked_days(model, use.view, interval)
        days = ledger.partitions.between(view.name, view.version, start, end)
        known = [p.source_watermark for p in days if p.source_watermark is not None]
        code = days[-1].code_hash if days else None
        found.append(
            ViewRead(view.name, view.version, int(table_versions[use.view]), code, max(known) if known else None)
        )
    return tuple(found)


def asked_days(model: ModelDeclaration, view_name: str, interval: Interval) -> tuple[str, str]:
    """The days ``[first, end)`` of the view whose rows the events of ``interval`` may have been answered by."""
    if view_name == model.entity.view:
        return interval.days[0], Interval.of_day(interval.days[-1]).end.date().isoformat()
    oldest = interval.start - model.longest_lead - declarations().view(view_name).ttl
    days = Interval(oldest, interval.end - model.entity.lead).days
    return days[0], Interval.of_day(days[-1]).end.date().isoformat()


def asked_about(ledger: Ledger, model_name: str) -> set[tuple[str, int]]:
    """The views, and their versions, that the model's champion and its candidate in flight learned from."""
    head, live = ledger.deployments.champion(model_name), ledger.candidates.live(model_name)
    who = {*([head.to_candidate] if head else []), *([live.candidate_id] if live else [])}
    sets = [made for each in sorted(who) for made in ledger.lineage.training_sets(each)]
    return {(read.view, read.view_version) for made in sets for read in made.sources}


def keep_training_sets(ledger: Ledger, model: ModelDeclaration, candidate_id: str, sets: TrainingSets) -> None:
    """Record both parts of a candidate's training set."""
    for part, made in ((TRAIN, sets.train), (HOLDOUT, sets.holdout)):
        interval = Interval(instant(made.start), instant(made.end))
        ledger.lineage.record_training_set(
            TrainingRecord(
                candidate_id=candidate_id,
                part=part,
                content_hash=made.content_hash,
                label_hash=made.label_hash,
                start=interval.start,
                end=interval.end,
                as_of=instant(made.as_of),
                rows=made.rows,
                sources=views_read(ledger, model, interval, made.table_versions),
            )
        )


def keep_served(model: ModelDeclaration, day: str, rows: pa.Table, request_ids: list[str]) -> tuple[str, bool]:
    """Keep the features that the requests of ``day`` are answered from; the name of the table that holds them, and
    whether they differ from those kept before."""
    import pyarrow as pa

    from include.adapters.offline_store import SERVED_PREFIX

    keys = declarations().view(model.entity.view).keys
    columns = {"request_id": pa.array(request_ids, pa.string())}
    columns |= {name: rows.column(name) for name in (*keys, "event_time", "prediction_time")}
    columns |= {f"{SERVED_PREFIX}{name}": rows.column(name) for name in model.features}
    read = {use.name: use.version for use in model.views}
    return stores.offline_store().write_served(model.name, day, pa.table(columns), read)
