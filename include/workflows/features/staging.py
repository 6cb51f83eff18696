"""Feature views: write, audit, publish. Readers never see a row that was not audited.

``materialize`` computes an interval and stages it in a file; ``audit`` judges the file; ``publish`` (see
``publishing``) makes it the content of its days. Each is keyed by
its arguments: repeated, or run twice at once, it leaves the same state.

``stage`` is what a run does: it materializes its interval, and every earlier day whose source rows changed since it was
published. Those corrections are audited and published beside the interval, each on its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from include.adapters import files
from include.config.declared import Declarations
from include.config.loader import declarations
from include.config.settings import settings
from include.config.types import FeatureView
from include.domain.faults import crashpoint
from include.domain.intervals import BadInterval, Interval, instant, midnight
from include.domain.verdicts import GateResult, Verdict
from include.workflows.features import range_check, source_days, staged_file, view_rows
from include.workflows.features.publishing import Published as Published
from include.workflows.features.publishing import publish as publish
from include.workflows.features.redo import DefinitionChanged as DefinitionChanged
from include.workflows.features.redo import require_one_definition
from include.workflows.features.staged import Staged, declared_view, file_of, new_source_columns, write_receipt
from include.workflows.features.view_rows import ViewRowsWrong as ViewRowsWrong
from include.workflows.journey.by_products import ByProducts
from include.workflows.lineage import tables_touched

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters import sql_engine


class StageLedger(source_days.KnownPartitions, Protocol):
    """What staging needs of the ledger: its ``partitions``."""

    def definitions(self, view: str, view_version: int) -> dict[str, int]: ...


# --- write -----------------------------------------------------------------------------------------------------------


def stage(
    view_name: str,
    interval: Interval,
    run_id: str,
    known: StageLedger,
    *,
    as_of: datetime | None = None,
    look_again: bool = True,
    declared: Declarations | None = None,
) -> Staged:
    """What a run stages: its interval, and the earlier days whose source rows changed since they were published.

    Args:
        as_of: the moment as of which the source is read; None for the interval's end, or later where the days were
            read as of later before.
        look_again: whether earlier days are checked (``recheck`` in view.yaml says which).

    Raises:
        DefinitionChanged: when published days of this version were made by another definition, and the run is not of
            all of them, or somebody learned from them.
        RangeDiffers: when features.sql gives a day other rows within a range than alone.
        As ``materialize``.
    """
    view = (declared or declarations()).view(view_name)
    _whole_days(interval)
    code_hash = definition(view)
    if require_one_definition(view, code_hash, interval, known):
        print(f"{view.name}: its definition changed, and its days are computed again.")
    moment = as_of or source_days.as_of_for(view, interval, known)
    read = source_days.read(view, interval, moment)
    tables_touched.reads(tables_touched.source_tables(view.source))
    own = _staged(view, interval, moment, run_id, code_hash, read, compare=True)
    if not look_again:
        return own
    stale = source_days.stale_before(view, interval, moment, known, read.tables)
    corrections = []
    for each in stale:
        if each.day in own.rows:
            continue
        print(f"{view.name} {each.day} is staged again: {each.reason}.")
        day = Interval.of_day(each.day)
        again = _staged(view, day, moment, run_id, code_hash, source_days.read(view, day, moment))
        corrections.append(replace(again, reason=each.reason))
    return replace(own, corrections=tuple(corrections))


def materialize(
    view_name: str, interval: Interval, as_of: datetime, run_id: str, *, declared: Declarations | None = None
) -> Staged:
    """Extract the interval and its look-back as known at ``as_of``, run features.sql, and stage the rows.

    Raises:
        UnknownName: for a view that is not declared. BadInterval: when the interval is not made of whole days.
        SourceUnreachable, TableVanished, ColumnVanished, ColumnUnreadable: when the source does not give what is
        declared; nothing is staged. SqlFailed, ViewRowsWrong: when the SQL does not run, or gives something else than
        declared.
    """
    view = (declared or declarations()).view(view_name)
    _whole_days(interval)
    return _staged(view, interval, as_of, run_id, definition(view), source_days.read(view, interval, as_of))


def definition(view: FeatureView) -> str:
    """The semantic hash of features.sql together with the fields of view.yaml that shape its rows.

    White space, comments, owner, schedule and quality may change without changing a row.

    Raises:
        SqlFailed: when features.sql cannot be parsed.
    """
    from include.adapters import sql_engine

    structure = view.model_dump(mode="json", include={"name", "version", "keys", "columns", "carries", "source"})
    # What they promise is in each row's available time; a definition without a promise keeps its hash.
    promised = {"delay": view.delay, "ahead": view.ahead}
    structure |= {name: length.total_seconds() for name, length in promised.items() if length}
    return sql_engine.semantic_hash(view.sql, structure, what=_what(view), file=_sql_file(view))


def computed(view: FeatureView, interval: Interval, read: source_days.SourceRead) -> view_rows.ViewRows:
    """What features.sql gives for the interval, in the declared columns and types, with its day, in a fixed order."""
    return rows_of(view, interval, read.tables)


def rows_of(
    view: FeatureView,
    interval: Interval,
    tables: Mapping[str, pa.Table],
    databases: sql_engine.OpenDatabases | None = None,
) -> view_rows.ViewRows:
    """``computed`` from the source rows themselves, in one of the open ``databases`` where there are any."""
    from include.adapters import source, sql_engine

    left_out = {table: source.left_out(rows) for table, rows in tables.items()}
    file = _sql_file(view)
    what = _what(view)
    given = sql_engine.run_sql(view.sql, tables, interval, what=what, file=file, left_out=left_out, databases=databases)
    return view_rows.settled(view, given)


def _staged(
    view: FeatureView,
    interval: Interval,
    as_of: datetime,
    run_id: str,
    code_hash: str,
    read: source_days.SourceRead,
    *,
    compare: bool = False,
) -> Staged:
    from include.adapters import offline_store

    made = computed(view, interval, read)
    rows = made.rows
    if compare:

        def alone(tables: Mapping[str, pa.Table], day: Interval) -> pa.Table:
            return computed(view, day, replace(read, tables=dict(tables))).rows

        range_check.require_alike(view, interval, read.tables, rows, alone)
    parts = offline_store.split_by_day(rows)
    # A row dated outside the interval has a day of its own: it is staged too, so that the audit can say so.
    days = sorted({*interval.days, *(day for day in parts if day is not None)})
    empty = offline_store.content_hash(rows.schema.empty_table())
    key = hashlib.sha256(f"{run_id}|{as_of.isoformat()}|{code_hash}".encode()).hexdigest()[:12]
    folder = settings().artifacts / "staging" / view.name / f"v{view.version}"
    path = folder / f"{interval.start:%Y%m%d}-{interval.end:%Y%m%d}-{key}.parquet"
    with files.whole(path) as unfinished, ThreadPoolExecutor(1) as beside:
        hashed = beside.submit(offline_store.content_hashes, parts)
        staged_file.write(unfinished, rows, [part.num_rows for part in parts.values()])
        hashes = hashed.result()
        crashpoint("features.materialize.written")
    columns = {table: each.column_names for table, each in read.tables.items()}
    added = new_source_columns(view, columns)
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
        content={day: hashes.get(day, empty) for day in days},
        source=read.days,
        notes=_settled_notes(made, read) | ({"new_source_columns": added} if added else {}),
        source_columns=columns,
    )


def _settled_notes(made: view_rows.ViewRows, read: source_days.SourceRead) -> dict[str, Any]:
    notes = {"nan": made.nan, "repeated_rows": made.repeated, "repeated_source_rows": read.repeated}
    return {name: count for name, count in notes.items() if count}


def _what(view: FeatureView) -> str:
    return f"Feature view {view.name!r}"


def _sql_file(view: FeatureView) -> str:
    kept = f"v{view.version}/" if view.ref != view.name else ""
    return f"features/{view.name}/{kept}features.sql"


# --- audit -----------------------------------------------------------------------------------------------------------


def audit(staged: Staged | Mapping[str, Any], *, declared: Declarations | None = None) -> GateResult:
    """Judge a staged interval: our own checks first, since Great Expectations passes what is empty, then its
    expectations. Corrections are judged one by one; the run's own interval alone decides the result, and what became of
    them is in its notes.

    The gate blocks, and its verdict is written beside the staged file: ``publish`` reads it there and not from a task's
    colour. An interval without any row is no evidence: INCONCLUSIVE, but advisory, since there is no row to hold back.

    Raises:
        StagedFileDamaged: when the file is not the one that was staged.
        ExpectationUnusable: when a declared expectation does not exist or does not take its arguments.
    """
    staged = staged if isinstance(staged, Staged) else Staged.from_reference(staged)
    own = _audited(staged, declared)
    told = [_told(each, _audited(each, declared)) for each in staged.corrections]
    return replace(own, notes={**own.notes, "corrections": told}) if told else own


def _told(correction: Staged, result: GateResult) -> dict[str, Any]:
    day = correction.interval.days[0]
    passed = result.verdict is Verdict.PASS or correction.is_empty
    print(f"{correction.view} {day} again, because {correction.reason}: {result.verdict.value}.")
    return {"day": day, "because": correction.reason, "verdict": result.verdict.value, "published": passed}


def _audited(staged: Staged, declared: Declarations | None) -> GateResult:
    from include.adapters import expectations
    from include.workflows.features import audit as view_audit
    from include.workflows.features import data_docs

    view = declared_view(staged, declared)
    rows = file_of(staged).table()
    if staged.is_empty:
        result = view_audit.nothing_to_judge(staged.interval)
    else:
        made = ByProducts()

        def document(rendered: Callable[[], str] | None) -> None:
            made.attempt(
                "The page of Great Expectations",
                lambda: data_docs.keep(view.name, staged.interval, staged.run_id, rendered() if rendered else None),
            )

        own = view_audit.own_checks(view, rows, staged.interval, instant(staged.as_of))
        own += view_audit.days_without_rows(view, staged.rows, {day: each.rows for day, each in staged.source.items()})
        found = expectations.validate(
            rows.drop_columns(["day"]).to_pandas(),
            view.quality.expectations,
            f"features/{view.name}/view.yaml",
            document=document,
        )
        result = view_audit.judge(
            view,
            own,
            found,
            rows.num_rows,
            empty_days=[d for d, n in staged.rows.items() if n == 0],
            warnings=view_audit.settled_warnings(view, staged.notes)
            + view_audit.column_warnings(view, rows)
            + made.remarks,
        )
    write_receipt(staged, result)
    return result


# --- shared ----------------------------------------------------------------------------------------------------------


def _whole_days(interval: Interval) -> None:
    for moment in (interval.start, interval.end):
        if moment != midnight(moment):
            raise BadInterval(f"The interval {interval} is not made of whole UTC days; its partitions are days.")
