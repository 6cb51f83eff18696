"""The feature views: how fresh, how large, their owners and readers, and which days are stale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.adapters.ledger import Partition, PartitionStatus
from include.config import FeatureView, declarations
from include.domain.errors import Refusal
from include.domain.intervals import DAY, Interval
from include.workflows import stores
from include.workflows.features import source_days, staging
from include.workflows.features.redo import WithReaders, require_one_definition
from include.workflows.features.source_days import StaleDay
from include.workflows.lineage import recording

if TYPE_CHECKING:
    import pyarrow as pa

ADOPT_DAYS = 7
"""The newest published days on which a rewritten definition must give the same bytes."""


class OtherRows(Refusal):
    """A rewritten definition that does not give what was published."""

    def __init__(self, view: FeatureView, days: Sequence[str], of: int) -> None:
        super().__init__(
            f"The definition of {view.name} does not mean the same: it gives other rows on {len(days)} of {of} days, "
            f"for example {days[0]}. Raise version to {view.version + 1} in features/{view.name}/view.yaml."
        )


class NothingPublished(Refusal, LookupError):
    """A view without any published day."""

    def __init__(self, view: FeatureView) -> None:
        super().__init__(
            f"{view.name} version {view.version} has no published day. Run features_{view.slug} for its days first."
        )


@dataclass(frozen=True, slots=True)
class ViewFacts:
    """One view as a person asks about it."""

    view: str
    version: int
    owner: str
    description: str
    features: int
    days: int
    """Published days, without empty ones."""
    empty_days: int
    rows: int
    first_day: str | None
    last_day: str | None
    watermark: str | None
    """When the newest source row that was read was known."""
    table_version: int | None
    definition: str | None
    """The definition that made the newest day."""
    definition_now: str
    """The one that is declared now."""
    used_by: tuple[str, ...]
    """The models that read it, and those whose champion or challenger learned from it though they read another version
    by now."""

    @property
    def is_changed(self) -> bool:
        """Whether the declared definition is another than the published days'."""
        return self.definition is not None and self.definition != self.definition_now

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "is_changed": self.is_changed}


def views() -> list[ViewFacts]:
    """Every declared view, by name."""
    declared = declarations()
    store, found = stores.offline_store(), []
    with stores.open_ledger() as ledger:
        asked = {name: recording.asked_about(ledger, name) for name in sorted(declared.models)}
        for name in sorted(declared.views):
            view = declared.views[name]
            partitions = ledger.partitions.between(view.name, view.version)
            filled = [p for p in partitions if p.status is PartitionStatus.PUBLISHED]
            known = [p.source_watermark for p in filled if p.source_watermark is not None]
            readers = [m.name for m in declared.models.values() if any(u.view == name for u in m.views)]
            learned = [model for model, views in asked.items() if (view.name, view.version) in views]
            found.append(
                ViewFacts(
                    view=name,
                    version=view.version,
                    owner=view.owner,
                    description=view.description,
                    features=len(view.features),
                    days=len(filled),
                    empty_days=len(partitions) - len(filled),
                    rows=sum(p.rows for p in filled),
                    first_day=partitions[0].day if partitions else None,
                    last_day=partitions[-1].day if partitions else None,
                    watermark=max(known).isoformat() if known else None,
                    table_version=store.current_version(view),
                    definition=partitions[-1].code_hash if partitions else None,
                    definition_now=staging.definition(view),
                    used_by=(*readers, *(f"{each} (learned from it)" for each in learned if each not in readers)),
                )
            )
    return found


def sample(view_name: str, as_of: datetime | None, rows: int, table_version: int | None = None) -> pa.Table:
    """The newest ``rows`` rows of the view that were available at ``as_of`` (None: at the end of its newest day), each
    key's newest first.

    Raises:
        NothingPublished: when there is none. TableMissing: when the table has no such version.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    view = declarations().view(view_name)
    with stores.open_ledger() as ledger:
        days = [
            p.day for p in ledger.partitions.between(view.name, view.version) if p.status is PartitionStatus.PUBLISHED
        ]
    if not days:
        raise NothingPublished(view)
    moment = as_of or Interval.of_day(days[-1]).end
    usable = [day for day in days if Interval.of_day(day).start - view.ttl <= moment]
    if not usable:
        raise NothingPublished(view)
    # Newest days first, until there are rows enough: a sample must not read the whole history.
    found: list[pa.Table] = []
    for day in reversed(usable):
        part = stores.offline_store().read(view, Interval.of_day(day), table_version)
        known = pa.scalar(moment, pa.timestamp("us", tz="UTC"))
        found.append(part.filter(pc.less_equal(part.column("available_time"), known)))
        if sum(each.num_rows for each in found) >= rows:
            break
    newest = [("event_time", "descending"), *((key, "ascending") for key in view.keys)]
    return pa.concat_tables(found).sort_by(newest).slice(0, rows)


def stale(view_name: str | None, start: str | None, end: str | None, now: datetime, *, deep: bool) -> list[StaleDay]:
    """Published days whose source rows, as known at ``now``, are no longer those they were made from. Each day's
    sentence begins with its view. ``deep`` reads the rows and compares hashes, else counts and watermarks decide."""
    declared, found = declarations(), list[StaleDay]()
    chosen = [declared.view(view_name)] if view_name else [declared.views[name] for name in sorted(declared.views)]
    with stores.open_ledger() as ledger:
        for view in chosen:
            days = [p.day for p in ledger.partitions.between(view.name, view.version, start, end)]
            if not days:
                continue
            span = Interval(Interval.of_day(days[0]).start, Interval.of_day(days[-1]).end)
            changed = source_days.stale_within(view, span, now, ledger.partitions, deep=deep)
            found += [StaleDay(each.day, f"{view.name} {each.day}: {each.reason}") for each in changed]
            if deep:
                found += _damaged(view, ledger.partitions.between(view.name, view.version, start, end))
    return found


def _damaged(view: FeatureView, partitions: Sequence[Partition]) -> list[StaleDay]:
    """Days whose stored rows cannot be read, or are not the ones that were published."""
    from include.adapters.offline_store import PartitionDamaged

    store, found = stores.offline_store(), []
    for p in partitions:
        if p.status is PartitionStatus.EMPTY:
            continue
        try:
            held = store.stored_hash(view, p.day)
        except PartitionDamaged as error:
            found.append(StaleDay(p.day, f"{view.name} {p.day}: {error}"))
            continue
        if held != p.content_hash:
            what = f"{view.name} {p.day}: the table does not hold the rows that were published"
            found.append(StaleDay(p.day, f"{what}; materialize the day again"))
    return found


def adopt(view_name: str, who: str) -> dict[str, Any]:
    """Accept a rewritten definition for the published days, after it gave the same bytes on the newest of them.

    Raises:
        OtherRows: naming the days on which it does not. NothingPublished: when there is nothing to compare with.
    """
    from include.adapters import offline_store

    view = declarations().view(view_name)
    code_hash = staging.definition(view)
    with stores.open_ledger() as ledger:
        partitions = ledger.partitions.between(view.name, view.version)
        if not partitions:
            raise NothingPublished(view)
        compared, other = partitions[-ADOPT_DAYS:], []
        for p in compared:
            day = Interval.of_day(p.day)
            read = source_days.read(view, day, p.source_as_of or day.end)
            rows = staging.computed(view, day, read).rows
            if offline_store.content_hash(rows) != p.content_hash:
                other.append(p.day)
        if other:
            raise OtherRows(view, other, len(compared))
        changed = [p for p in partitions if p.code_hash != code_hash]
        ledger.partitions.record(replace(p, code_hash=code_hash, run_id=f"adopted by {who}") for p in changed)
    return {"view": view.name, "definition": code_hash, "compared_days": len(compared), "adopted_days": len(changed)}


@dataclass(frozen=True, slots=True)
class Redo:
    """The run that computes every published day of a view again."""

    dag_id: str
    run_id: str
    start: str
    end: str
    days: int


def redo(view_name: str) -> Redo | None:
    """The run that a changed definition needs; None where all published days were made by it.

    Raises:
        DefinitionChanged: when a champion or a candidate in flight learned from the view.
        NothingPublished: when there is nothing to compute again.
    """
    view = declarations().view(view_name)
    code_hash = staging.definition(view)
    with stores.open_ledger() as ledger:
        partitions = ledger.partitions.between(view.name, view.version)
        if not partitions:
            raise NothingPublished(view)
        whole = Interval(Interval.of_day(partitions[0].day).start, Interval.of_day(partitions[-1].day).end)
        if not require_one_definition(view, code_hash, whole, WithReaders.of(ledger)):
            return None
    start, end = partitions[0].day, whole.end.date().isoformat()
    return Redo(f"features_{view.slug}", f"redo__{code_hash[:12]}__{start}__{end}", start, end, len(partitions))


def age_days(facts: ViewFacts, now: datetime) -> int | None:
    """Whole days since the view's newest published day ended; None before its first."""
    return None if facts.last_day is None else (now - Interval.of_day(facts.last_day).end) // DAY
