"""Feature views: write, audit, publish. Readers never see a row that was not audited.

``materialize`` computes an interval and stages it in a file; ``audit`` judges the file; ``publish`` makes it the
content of its days, in one commit, tells the ledger, and offers the newest rows to the online store. Each is keyed by
its arguments: repeated, or run twice at once, it leaves the same state.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from include.config.loader import Declarations, declarations
from include.config.settings import settings
from include.config.types import FeatureView
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import BadInterval, Interval, instant, midnight
from include.domain.verdicts import GateResult, Verdict

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.ledger import Partition

TYPES = {"numeric": "double", "categorical": "string", "boolean": "bool"}


class ViewRowsWrong(Refusal, ValueError):
    """features.sql gives other columns or types than view.yaml declares."""

    def __init__(self, view: FeatureView, problem: str) -> None:
        super().__init__(f"features/{view.name}/features.sql does not give what its view.yaml declares: {problem}.")


class StagedFileDamaged(Refusal, OSError):
    """A staged file that is missing, cut off, or not the one its reference speaks of."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"The staged file {path} cannot be used: {reason}. Clear the materialize task to write it again."
        )


class NotAudited(Refusal, PermissionError):
    """A staged interval that no audit has let through."""

    def __init__(self, view: str, start: str, end: str, reason: str) -> None:
        super().__init__(f"{view} [{start}, {end}) is not published: {reason}. Nothing readable has changed.")


class PublishLedger(Protocol):
    """What publishing needs of the ledger: its ``partitions``."""

    def record(self, published: Iterable[Partition]) -> list[Partition]: ...

    def between(self, view: str, view_version: int, start: str, end: str) -> list[Partition]: ...


@dataclass(frozen=True, slots=True)
class SourceDay:
    """What the source had for one day: the rows whose time falls into it, in all tables the view reads by time, and
    when the newest of them was known (ISO 8601; None without rows, or where no table says)."""

    rows: int
    watermark: str | None


@dataclass(frozen=True, slots=True)
class Staged:
    """A reference to a staged interval: small JSON for XCom. ``rows``, ``content`` and ``source`` are per day, for
    every day."""

    view: str
    view_version: int
    start: str
    end: str
    as_of: str
    run_id: str
    path: str
    code_hash: str
    rows: dict[str, int]
    content: dict[str, str]
    source: dict[str, SourceDay]

    @property
    def interval(self) -> Interval:
        return Interval(instant(self.start), instant(self.end))

    @property
    def is_empty(self) -> bool:
        """Whether there is no row in the whole interval."""
        return not any(self.rows.values())

    @property
    def digest(self) -> str:
        """One sha256 for the content of all days."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()

    def as_reference(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_reference(cls, data: Mapping[str, Any]) -> Staged:
        source = {day: SourceDay(**facts) for day, facts in data["source"].items()}
        return cls(**{**data, "source": source})


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

    def as_reference(self) -> dict[str, Any]:
        return asdict(self)


# --- write -----------------------------------------------------------------------------------------------------------


def materialize(
    view_name: str, interval: Interval, as_of: datetime, run_id: str, *, declared: Declarations | None = None
) -> Staged:
    """Extract the interval and its look-back as known at ``as_of``, run features.sql, and stage the rows.

    Raises:
        UnknownName: for a view nobody declared. BadInterval: when the interval is not made of whole days.
        SourceUnreachable, TableVanished, ColumnVanished: when the source does not give what is declared; nothing is
        staged. SqlFailed, ViewRowsWrong: when the SQL does not run, or gives something else than declared.
    """
    import pyarrow.parquet as pq

    from include.adapters import offline_store, source, sql_engine

    view = (declared or declarations()).view(view_name)
    _whole_days(interval)
    file = f"features/{view.name}/features.sql"
    what = f"Feature view {view.name!r}"
    code_hash = sql_engine.semantic_hash(view.sql, _structure(view), what=what, file=file)
    url = settings().source_url
    tables = {each.table: source.extract(url, each, interval, as_of) for each in view.source}
    rows = _typed(view, sql_engine.run_sql(view.sql, tables, interval, what=what, file=file))
    rows = offline_store.ordered(offline_store.with_day(rows), ["day", *view.keys, "event_time"])
    parts = offline_store.split_by_day(rows)
    # A row dated outside the interval has a day of its own: it is staged too, so that the audit can say so.
    days = sorted({*interval.days, *(day for day in parts if day is not None)})
    empty = offline_store.content_hash(rows.schema.empty_table())

    key = hashlib.sha256(f"{run_id}|{as_of.isoformat()}|{code_hash}".encode()).hexdigest()[:12]
    folder = settings().artifacts / "staging" / view.name / f"v{view.version}"
    path = folder / f"{interval.start:%Y%m%d}-{interval.end:%Y%m%d}-{key}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        pq.write_table(rows, unfinished, compression="zstd")
        crashpoint("features.materialize.written")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return Staged(
        view=view.name,
        view_version=view.version,
        start=interval.start.isoformat(),
        end=interval.end.isoformat(),
        as_of=as_of.isoformat(),
        run_id=run_id,
        path=str(path),
        code_hash=code_hash,
        rows={day: parts[day].num_rows if day in parts else 0 for day in days},
        content={day: offline_store.content_hash(parts[day]) if day in parts else empty for day in days},
        source=_source_days(view, tables, interval),
    )


def _structure(view: FeatureView) -> dict[str, Any]:
    """The fields of view.yaml that shape its rows. Owner, schedule and quality may change without changing a row."""
    return view.model_dump(mode="json", include={"name", "version", "keys", "columns", "carries", "source"})


def _typed(view: FeatureView, rows: pa.Table) -> pa.Table:
    """The declared columns in the declared order and types. NaN becomes missing: both mean that there is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = {column.name: TYPES[column.kind] for column in view.columns}
    wanted = [*view.keys, *view.features, *view.carries, "event_time", "available_time"]
    given = rows.column_names
    missing, extra = [c for c in wanted if c not in given], [c for c in given if c not in wanted]
    if missing or extra or len(given) != len(wanted):
        raise ViewRowsWrong(
            view, f"missing are: {', '.join(missing) or 'none'}; not declared are: {', '.join(extra) or 'none'}"
        )
    arrays = []
    for name in wanted:
        column = rows.column(name)
        try:
            if name in ("event_time", "available_time"):
                if not (pa.types.is_timestamp(column.type) and column.type.tz):
                    raise ViewRowsWrong(view, f"{name} is {column.type}; it must be a TIMESTAMPTZ")
                column = column.cast(pa.timestamp("us", tz="UTC"))
            elif name in kinds:
                column = column.cast(pa.type_for_alias(kinds[name]))
                if kinds[name] == "double":
                    column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
            elif pa.types.is_integer(column.type):
                column = column.cast(pa.int64())
        except pa.ArrowException as error:
            reason = " ".join(str(error).split())
            raise ViewRowsWrong(
                view, f"column {name!r} is {column.type} and cannot be {kinds.get(name, 'kept')}: {reason}"
            ) from error
        arrays.append(column)
    return pa.table(arrays, names=wanted)


def _source_days(view: FeatureView, tables: Mapping[str, pa.Table], interval: Interval) -> dict[str, SourceDay]:
    """Per day and without look-back, so that a day says the same whether it was computed alone or in bulk."""
    import pyarrow.compute as pc

    rows = dict.fromkeys(interval.days, 0)
    newest: dict[str, datetime] = {}
    for each in view.source:
        if each.time is None:
            continue
        table = tables[each.table]
        days = pc.strftime(table.column(each.time), format="%Y-%m-%d")
        counted = table.append_column("slipway_day", days).group_by("slipway_day")
        known = each.known or each.time
        for group in counted.aggregate([(known, "max"), (known, "count")]).to_pylist():
            day = group["slipway_day"]
            if day in rows:
                rows[day] += group[f"{known}_count"]
                newest[day] = max(newest.get(day, group[f"{known}_max"]), group[f"{known}_max"])
    return {day: SourceDay(count, newest[day].isoformat() if day in newest else None) for day, count in rows.items()}


# --- audit -----------------------------------------------------------------------------------------------------------


def audit(staged: Staged | Mapping[str, Any], *, declared: Declarations | None = None) -> GateResult:
    """Judge a staged interval: our own checks first, since Great Expectations passes what is empty, then its
    expectations.

    The gate blocks, and its verdict is written beside the staged file: ``publish`` reads it there and not from a task's
    colour. An interval without any row is no evidence: INCONCLUSIVE, but advisory, since there is no row that it could
    keep back.

    Raises:
        StagedFileDamaged: when the file is not the one that was staged.
        ExpectationUnusable: when a declared expectation does not exist or does not take its arguments.
    """
    from include.adapters import expectations
    from include.workflows import quality

    staged = staged if isinstance(staged, Staged) else Staged.from_reference(staged)
    view = _declared(staged, declared)
    rows = _staged_rows(staged)
    if staged.is_empty:
        result = quality.nothing_to_judge(staged.interval)
    else:
        own = quality.own_checks(view, rows, staged.interval)
        found = expectations.validate(
            rows.drop_columns(["day"]).to_pandas(), view.quality.expectations, f"features/{view.name}/view.yaml"
        )
        result = quality.judge(
            view, own, found, rows.num_rows, empty_days=[d for d, n in staged.rows.items() if n == 0]
        )
    _write_receipt(staged, result)
    return result


def _receipt(staged: Staged) -> Path:
    return Path(f"{staged.path}.audit.json")


def _write_receipt(staged: Staged, result: GateResult) -> None:
    path = _receipt(staged)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    unfinished.write_text(json.dumps({"digest": staged.digest, **result.as_json()}), encoding="utf-8")
    os.replace(unfinished, path)


# --- publish ---------------------------------------------------------------------------------------------------------


def publish(
    staged: Staged | Mapping[str, Any],
    ledger: PublishLedger,
    *,
    accepted_by: str | None = None,
    declared: Declarations | None = None,
) -> Published:
    """Make the staged rows the content of their days. Re-reads the audit's receipt: a FAIL is never published, an
    INCONCLUSIVE only where ``accepted_by`` says who accepted it. A day without rows is cleared and recorded as EMPTY.

    Raises:
        NotAudited: when no audit of exactly this content let it through.
        StagedFileDamaged: when the file is not the one that was staged.
        StoreConflict, SchemaChanged: when the table does not take the rows; nothing readable has changed then.
    """
    from include.adapters.ledger import Partition, PartitionStatus
    from include.adapters.offline_store import OfflineStore
    from include.adapters.online_store import OnlineStore

    staged = staged if isinstance(staged, Staged) else Staged.from_reference(staged)
    view = _declared(staged, declared)
    rows = _staged_rows(staged)
    _require_audit(staged, accepted_by)
    where = settings()
    interval = staged.interval

    replaced = OfflineStore(where.store).replace_partitions(view, interval, rows)
    crashpoint("features.publish.committed")

    before = {
        p.day: p for p in ledger.between(view.name, view.version, interval.days[0], interval.end.date().isoformat())
    }

    def written_in(day: str) -> int | None:
        """The table's version that wrote the day: an unchanged day keeps the one it was recorded with."""
        known = before.get(day)
        if day not in replaced.changed and known is not None and known.content_hash == staged.content[day]:
            return known.table_version
        if day not in replaced.changed and staged.rows[day] == 0:
            return None
        return replaced.version

    ledger.record(
        Partition(
            view=view.name,
            view_version=view.version,
            day=day,
            status=PartitionStatus.PUBLISHED if count else PartitionStatus.EMPTY,
            rows=count,
            content_hash=staged.content[day],
            code_hash=staged.code_hash,
            table_version=written_in(day),
            source_rows=staged.source[day].rows,
            source_watermark=_moment(staged.source[day].watermark),
            run_id=staged.run_id,
        )
        for day, count in staged.rows.items()
    )
    crashpoint("features.publish.recorded")
    return Published(
        view=view.name,
        view_version=view.version,
        table_version=replaced.version,
        published=[day for day, count in staged.rows.items() if count],
        empty=[day for day, count in staged.rows.items() if not count],
        changed=list(replaced.changed),
        online_rows=_push_online(OnlineStore(where.online_url), view, rows, staged),
    )


def _push_online(store: Any, view: FeatureView, rows: pa.Table, staged: Staged) -> int:
    """Offer what is still fresh at the interval's end: an older row would be answered as missing anyway."""
    import pyarrow as pa
    import pyarrow.compute as pc

    oldest = pa.scalar(staged.interval.end - view.ttl, pa.timestamp("us", tz="UTC"))
    fresh = rows.filter(pc.field("event_time") > oldest)
    return int(store.push(view, fresh, staged.run_id)) if fresh.num_rows else 0


def _require_audit(staged: Staged, accepted_by: str | None) -> None:
    try:
        receipt = json.loads(_receipt(staged).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        raise NotAudited(
            staged.view, staged.start, staged.end, "it was not audited; run its data_quality_gate"
        ) from None
    if receipt["digest"] != staged.digest:
        raise NotAudited(
            staged.view, staged.start, staged.end, "the audit judged other rows; run its data_quality_gate again"
        )
    verdict = Verdict(receipt["verdict"])
    if verdict is Verdict.PASS or staged.is_empty:
        return
    if verdict is Verdict.INCONCLUSIVE and accepted_by:
        return
    raise NotAudited(
        staged.view, staged.start, staged.end, f"its data_quality_gate says {verdict.value}: {receipt['reason']}"
    )


# --- shared ----------------------------------------------------------------------------------------------------------


def _declared(staged: Staged, declared: Declarations | None) -> FeatureView:
    view = (declared or declarations()).view(staged.view)
    if view.version != staged.view_version:
        raise StagedFileDamaged(
            staged.path,
            f"it was staged for version {staged.view_version}, and the view is now declared in version {view.version}",
        )
    return view


def _staged_rows(staged: Staged) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from include.adapters import offline_store

    try:
        rows = pq.read_table(staged.path)
    except (OSError, pa.ArrowException) as error:
        raise StagedFileDamaged(staged.path, " ".join(str(error).split()).rstrip(".")) from error
    parts = offline_store.split_by_day(rows)
    for day, expected in staged.content.items():
        held = offline_store.content_hash(parts.get(day, rows.schema.empty_table()))
        if held != expected:
            raise StagedFileDamaged(staged.path, f"the rows of {day} are not the ones that were staged")
    return rows


def _whole_days(interval: Interval) -> None:
    for moment in (interval.start, interval.end):
        if moment != midnight(moment):
            raise BadInterval(f"The interval {interval} is not made of whole UTC days; its partitions are days.")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else instant(text)
