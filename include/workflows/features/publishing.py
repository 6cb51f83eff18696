"""Makes staged rows the content of their days: in one commit of the table, then in the ledger, then online."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from include.config.declared import Declarations
from include.config.settings import settings
from include.domain.faults import crashpoint
from include.domain.intervals import Interval, instant
from include.workflows.features.redo import require_one_definition
from include.workflows.features.staged import (
    NotAudited,
    Staged,
    declared_view,
    file_of,
    keep_source_columns,
    require_audit,
)
from include.workflows.lineage import tables_touched

if TYPE_CHECKING:
    from include.adapters.ledger import Partition
    from include.adapters.offline_store import OfflineStore
    from include.adapters.online_store import OnlineStore
    from include.config.types import FeatureView


class PublishLedger(Protocol):
    """What publishing needs of the ledger: its ``partitions``."""

    def record(
        self, published: Iterable[Partition], table_version_now: Callable[[], int | None] | None = None
    ) -> list[Partition]: ...

    def between(
        self, view: str, view_version: int, start: str | None = None, end: str | None = None
    ) -> list[Partition]: ...

    def definitions(self, view: str, view_version: int) -> dict[str, int]: ...


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish left behind. ``changed`` are the days whose content was new; a rerun has none."""

    view: str
    view_version: int
    table_version: int | None
    published: list[str]
    empty: list[str]
    changed: list[str]
    online_rows: int
    newer: list[str] = field(default_factory=list)
    """Days left as they are, because they were read from the source as of a later moment."""
    corrected: list[str] = field(default_factory=list)
    """Earlier days whose content was replaced because their source rows changed."""
    refused: dict[str, str] = field(default_factory=dict)
    """Corrections that the audit refused, with its reason; what was published before stays valid."""

    def as_reference(self) -> dict[str, Any]:
        return asdict(self)


def publish(
    staged: Staged | Mapping[str, Any],
    ledger: PublishLedger,
    *,
    accepted_by: str | None = None,
    declared: Declarations | None = None,
) -> Published:
    """Make the staged rows the content of their days. Re-reads the audit's receipt: a FAIL is never published, an
    INCONCLUSIVE only where ``accepted_by`` says who accepted it. A day without rows is cleared and recorded as EMPTY.
    Corrections follow, each if its own audit let it through.

    Raises:
        DefinitionChanged: when published days of this version were made by another definition and must stay.
        NotAudited: when no audit of exactly this content let it through.
        StagedFileDamaged: when the file is not the one that was staged.
        StoreConflict, SchemaChanged: when the table does not take the rows; nothing readable has changed then.
    """
    staged = staged if isinstance(staged, Staged) else Staged.from_reference(staged)
    own = _published(staged, ledger, accepted_by, declared)
    crashpoint("features.publish.own")
    corrected: list[str] = []
    refused: dict[str, str] = {}
    for each in staged.corrections:
        try:
            corrected += _published(each, ledger, None, declared).changed
        except NotAudited as error:
            # What was published before stays valid, and the day stays stale: the next run reads it again.
            print(error)
            refused[each.interval.days[0]] = str(error)
    return replace(own, corrected=corrected, refused=refused)


def _published(
    staged: Staged,
    ledger: PublishLedger,
    accepted_by: str | None,
    declared: Declarations | None,
) -> Published:
    from include.adapters.ledger import Partition, PartitionStatus
    from include.adapters.offline_store import Content, OfflineStore
    from include.adapters.online_store import OnlineStore

    view = declared_view(staged, declared)
    file = file_of(staged)
    require_audit(staged, accepted_by)
    where, interval, as_of = settings(), staged.interval, instant(staged.as_of)
    before = {
        p.day: p for p in ledger.between(view.name, view.version, interval.days[0], interval.end.date().isoformat())
    }
    renew = require_one_definition(view, staged.code_hash, interval, ledger)
    # A slow run that read the source as of an earlier moment must not undo what a later one has published.
    newer = [day for day, p in before.items() if p.source_as_of is not None and p.source_as_of > as_of]
    days = [day for day in interval.days if day not in newer]
    # Whatever was staged for another day than these is refused.
    given = [day for day, count in staged.rows.items() if count and day not in newer]
    content = Content.by_day(file.schema, {day: staged.content[day] for day in given}, file.of)
    store = OfflineStore(where.store)
    replaced = store.replace_partitions(view, interval, content, days, renew=renew)
    crashpoint("features.publish.committed")
    tables_touched.reads(tables_touched.source_tables(view.source))
    tables_touched.writes([tables_touched.view_table(view)])

    def written_in(day: str) -> int | None:
        """The table's version that wrote the day: an unchanged day keeps the one it was recorded with."""
        known = before.get(day)
        if day not in replaced.changed and known is not None and known.content_hash == staged.content[day]:
            return known.table_version
        if day not in replaced.changed and staged.rows[day] == 0:
            return None
        return replaced.version

    ledger.record(
        (
            Partition(
                view=view.name,
                view_version=view.version,
                day=day,
                status=PartitionStatus.PUBLISHED if staged.rows[day] else PartitionStatus.EMPTY,
                rows=staged.rows[day],
                content_hash=staged.content[day],
                code_hash=staged.code_hash,
                table_version=written_in(day),
                source_rows=staged.source[day].rows,
                source_watermark=_moment(staged.source[day].watermark),
                source_hash=staged.source[day].hash,
                source_as_of=as_of,
                files=replaced.files.get((day,)),
                run_id=staged.run_id,
            )
            for day in days
        ),
        table_version_now=lambda: store.current_version(view),
    )
    crashpoint("features.publish.recorded")
    keep_source_columns(view, staged.source_columns)
    crashpoint("features.publish.columns")
    # What is older than this would be answered as missing anyway.
    fresh = file.after(interval.end - view.ttl, without=newer)
    online = OnlineStore(where.online_url)
    pushed = online.push(view, fresh, staged.run_id) if fresh.num_rows else 0
    crashpoint("features.publish.pushed")
    # Also where an earlier try of this run was killed: the table, and maybe the ledger, have the new rows since then.
    corrected = [
        day
        for day in days
        if day in before
        and (
            before[day].run_id == staged.run_id
            or (before[day].rows and (day in replaced.changed or before[day].content_hash != staged.content[day]))
        )
    ]
    if corrected:
        _withdraw(view, online, store, corrected, staged.run_id)
    return Published(
        view=view.name,
        view_version=view.version,
        table_version=replaced.version,
        published=[day for day in interval.days if staged.rows[day]],
        empty=[day for day in interval.days if not staged.rows[day]],
        changed=list(replaced.changed),
        online_rows=pushed,
        newer=newer,
    )


def _withdraw(view: FeatureView, online: OnlineStore, store: OfflineStore, days: list[str], run_id: str) -> None:
    """Remove rows of corrected days that are no longer published from the online store, and put back the rows that came
    before them: a push alone only replaces rows by newer ones."""
    from include.adapters.online_store import compared

    end = Interval.of_day(max([store.newest_day(view) or days[-1], *days])).end
    span = Interval(end - view.ttl, end)
    if Interval.of_day(max(days)).end <= span.start:
        return
    kept, corrected = online.kept(view, span.start), set(days)
    rows = store.read_after(view, span)
    ahead = compared(view, kept, rows).ahead
    doomed = {entity: at for entity, at in ahead.items() if at[0].date().isoformat() in corrected}
    if doomed:
        online.forget(view, doomed)
        crashpoint("features.publish.forgotten")
        if rows.num_rows:
            online.push(view, rows, run_id)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else instant(text)
