"""What a staged interval must be before anybody may read it: the criteria of ``audit_gate`` for feature views.

Great Expectations passes what is empty or all missing, so rows, keys, times and missing shares are counted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.config.types import FeatureView
from include.config.views import AUDIT_GATE
from include.domain.intervals import Interval
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.expectations import ExpectationResult

GATE = AUDIT_GATE
MANY_CATEGORIES = 1000
"""With more different values than this a column is no category any more."""
MANY_DAYS = 7
"""Least number of days with source rows from which rows on one single day are questioned."""
ENOUGH_TO_VARY = 100
"""Fewer rows than this may well share one value."""


def nothing_to_judge(interval: Interval) -> GateResult:
    """The result for an interval without rows: no evidence, and nothing to keep back."""
    reason = f"{interval} has no rows: its days are recorded as EMPTY, and no expectation was asked."
    nothing = CriterionResult("rows", Verdict.INCONCLUSIVE, 0.0, ">= 1", 0, reason, Direction.AT_LEAST, 1.0)
    return GateResult(GATE, Mode.ADVISORY, (nothing,), {"status": "EMPTY", "empty_days": interval.days})


def own_checks(
    view: FeatureView, rows: pa.Table, interval: Interval, as_of: datetime | None = None
) -> list[CriterionResult]:
    """The counts that must be zero, the rows of the thinnest day, the largest missing share of any one day, and the
    largest share of one value. What is wrong is named with the view, the day, the column and how many.
    ``as_of`` is when the source was read; None for the interval's end."""
    import pyarrow as pa
    import pyarrow.compute as pc

    n = rows.num_rows
    moment, available = rows.column("event_time"), rows.column("available_time")
    start, end = (pa.scalar(m, pa.timestamp("us", tz="UTC")) for m in (interval.start, interval.end))
    outside = pc.fill_null(pc.or_(pc.less(moment, start), pc.greater_equal(moment, end)), True)
    # A late row is available late, which is no fault. A row whose time lies in the future, past its own ttl, is one.
    expires = pc.add(moment, pa.scalar(view.ttl, pa.duration(rows.schema.field("event_time").type.unit)))
    read_at = pa.scalar(as_of or interval.end, pa.timestamp("us", tz="UTC"))
    future = pc.and_(pc.greater_equal(available, expires), pc.greater(available, read_at))
    per_day = rows.group_by("day").aggregate([([], "count_all")]).to_pylist()
    thinnest = min(per_day, key=lambda day: day["count_all"])
    *of_keys_and_times, repeated, infinite = _of_rows(view, rows)
    results = [
        *of_keys_and_times,
        _none_of(
            "event_times_outside",
            _count(outside),
            n,
            f"rows with an event time outside {interval}",
            _places(rows, {"event_time": outside}),
        ),
        _none_of(
            "available_in_the_future",
            _count(future),
            n,
            f"rows available only in the future and past their ttl of {view.ttl}, so that they answer no request",
            _places(rows, {"available_time": future}),
        ),
        repeated,
        infinite,
        _bounded("expectations", len(view.quality.expectations), Direction.AT_LEAST, 1, n, "declared expectations"),
        _bounded(
            "min_rows",
            thinnest["count_all"],
            Direction.AT_LEAST,
            view.quality.min_rows,
            n,
            f"rows on {thinnest['day']}, the thinnest day",
        ),
    ]
    for column, allowed in view.quality.max_null_share.items():
        day, share = _worst_null_share(rows, column)
        results.append(
            _bounded(
                f"null_share.{column}", share, Direction.AT_MOST, allowed, n, f"missing share of {column} on {day}"
            )
        )
    for column, allowed in view.quality.max_value_share.items():
        day, value, share = _largest_value_share(rows, column)
        what = f"of the rows on {day} have {column} {value!r}"
        results.append(_bounded(f"value_share.{column}", share, Direction.AT_MOST, allowed, n, what))
    return _named(view, results)


def row_checks(view: FeatureView, rows: pa.Table) -> list[CriterionResult]:
    """Of ``own_checks`` those of single rows, which hold for the rows of a part of a day too: columns of another unit,
    missing keys and times, repeated keys, and infinite values."""
    return _named(view, _of_rows(view, rows))


def _of_rows(view: FeatureView, rows: pa.Table) -> list[CriterionResult]:
    import pyarrow as pa
    import pyarrow.compute as pc

    n, identity = rows.num_rows, [*view.keys, "event_time"]
    numbers = [c.name for c in view.columns if c.kind == "numeric"]
    infinite = {c: pc.fill_null(pc.is_inf(rows.column(c)), False) for c in numbers}
    wrong_unit = [
        c for c in ("event_time", "available_time") if rows.schema.field(c).type != pa.timestamp("us", tz="UTC")
    ]
    missing_keys = {k: pc.is_null(rows.column(k)) for k in view.keys}
    missing_times = {c: pc.is_null(rows.column(c)) for c in ("event_time", "available_time")}
    repeated = _repeated(rows, identity)
    return [
        _none_of(
            "times_of_another_unit",
            len(wrong_unit),
            n,
            f"columns that are not timestamp[us, UTC]: {', '.join(wrong_unit) or 'none'}",
        ),
        _none_of("missing_keys", *_counted(missing_keys), n, "missing key values", _places(rows, missing_keys)),
        _none_of(
            "missing_times",
            *_counted(missing_times),
            n,
            "rows without event or available time",
            _places(rows, missing_times),
        ),
        _none_of(
            "duplicate_keys",
            _count(repeated),
            n,
            f"rows that repeat another's {', '.join(identity)} with other values",
            _places(rows, {", ".join(view.keys): repeated}),
        ),
        _none_of(
            "infinite_values",
            *_counted(infinite),
            n,
            "infinite values in " + (", ".join(c for c, mask in infinite.items() if _count(mask)) or "no column"),
            _places(rows, infinite),
        ),
    ]


def _named(view: FeatureView, results: Sequence[CriterionResult]) -> list[CriterionResult]:
    return [replace(r, reason=f"{view.name}: {r.reason}") if r.verdict is not Verdict.PASS else r for r in results]


def days_without_rows(
    view: FeatureView, rows: Mapping[str, int], source_rows: Mapping[str, int]
) -> list[CriterionResult]:
    """INCONCLUSIVE, for a person to accept, when all rows of a long range are on one day though the source has rows on
    many. Nothing otherwise."""
    has = [day for day, count in rows.items() if count]
    could = sum(count > 0 for count in source_rows.values())
    if len(has) != 1 or could < MANY_DAYS:
        return []
    reason = (
        f"{view.name}: 1 of {len(rows):,} days has rows, {has[0]}, and the source has rows on {could:,}. Does "
        "features.sql take each row's time from the row, and not from interval_? Accept it if the other days "
        "are empty in truth."
    )
    allowed = f">= 2 of {could:,}"
    return [CriterionResult("days_with_rows", Verdict.INCONCLUSIVE, 1.0, allowed, sum(rows.values()), reason)]


def settled_warnings(view: FeatureView, notes: Mapping[str, Any]) -> list[str]:
    """What was settled before the audit, in sentences."""
    found = [
        f"{view.name}: {count:,} NaN in {column} became missing values."
        for column, count in notes.get("nan", {}).items()
    ]
    found += [
        f"{view.name}: the source's table {table} has columns it did not have before: {', '.join(columns)}. They are "
        "ignored until features.sql reads them."
        for table, columns in notes.get("new_source_columns", {}).items()
    ]
    if notes.get("repeated_rows"):
        found.append(f"{view.name}: {notes['repeated_rows']:,} rows were equal to another in every column and dropped.")
    return found + [
        f"{view.name}: {count:,} rows of the source's table {table} were delivered twice and read once."
        for table, count in notes.get("repeated_source_rows", {}).items()
    ]


def column_warnings(view: FeatureView, rows: pa.Table) -> list[str]:
    """Columns that hold nothing, one value, or more categories than an encoder keeps."""
    import pyarrow.compute as pc

    found = []
    for column in view.columns:
        values = rows.column(column.name)
        if values.null_count == len(values):
            if column.name not in view.quality.max_null_share:
                found.append(f"{view.name}: {column.name} has no value in all {len(values):,} rows.")
            continue
        if len(values) < ENOUGH_TO_VARY:
            continue
        lowest, highest = pc.min_max(values).as_py().values()
        if lowest == highest and not values.null_count:
            found.append(f"{view.name}: {column.name} is {lowest!r} in all {len(values):,} rows.")
        if column.kind != "categorical" or len(values) < MANY_CATEGORIES:
            continue
        different = pc.count_distinct(values).as_py()
        if different > MANY_CATEGORIES:
            found.append(
                f"{view.name}: {column.name} has {different:,} different values; an encoder keeps the "
                f"{MANY_CATEGORIES:,} most frequent."
            )
    return found


def judge(
    view: FeatureView,
    own: Sequence[CriterionResult],
    found: Sequence[ExpectationResult],
    rows: int,
    *,
    empty_days: Sequence[str],
    warnings: Sequence[str] = (),
) -> GateResult:
    """The gate's result: a critical expectation decides, a warning is a note, as are the given ``warnings``."""
    criteria, warnings = list(own), list(warnings)
    for result in found:
        criterion = _of_expectation(view, result, rows)
        if result.severity == "critical":
            criteria.append(criterion)
        elif criterion.verdict is not Verdict.PASS:
            warnings.append(criterion.reason)
    notes: dict[str, Any] = {"status": "JUDGED", "rows": rows, "warnings": warnings, "empty_days": list(empty_days)}
    return GateResult(GATE, Mode.BLOCKING, tuple(criteria), notes)


def _of_expectation(view: FeatureView, found: ExpectationResult, rows: int) -> CriterionResult:
    from include.adapters.expectations import ExpectationOutcome

    verdicts = {
        ExpectationOutcome.MET: (Verdict.PASS, "is met"),
        ExpectationOutcome.UNMET: (Verdict.FAIL, "is not met"),
        # The expectation raised: that is no evidence about the data, so the gate does not pass.
        ExpectationOutcome.BROKEN: (Verdict.INCONCLUSIVE, "could not be asked"),
    }
    verdict, words = verdicts[found.outcome]
    name = f"{found.expectation}({found.column})" if found.column else found.expectation
    declared = next((e for e in view.quality.expectations if _same(e, found)), None)
    arguments = ", ".join(f"{k} {v}" for k, v in (declared.kwargs if declared else {}).items() if k != "column")
    return CriterionResult(
        criterion=name,
        verdict=verdict,
        measured=found.share,
        allowed=arguments or "as declared",
        rows=rows,
        reason=f"{view.name}: {name} {words}: {found.observed}.",
    )


def _same(declared: Any, found: ExpectationResult) -> bool:
    return bool(declared.expectation == found.expectation and declared.kwargs.get("column") == found.column)


def _worst_null_share(rows: pa.Table, column: str) -> tuple[str, float]:
    days = rows.group_by("day").aggregate([(column, "count"), ([], "count_all")]).to_pylist()
    worst = max(days, key=lambda d: (1 - d[f"{column}_count"] / d["count_all"], d["day"] or ""))
    return worst["day"], 1 - worst[f"{column}_count"] / worst["count_all"]


def _largest_value_share(rows: pa.Table, column: str) -> tuple[str, Any, float]:
    """Day, value and share of the value that takes most of one day's rows."""
    per_day = {d["day"]: d["count_all"] for d in rows.group_by("day").aggregate([([], "count_all")]).to_pylist()}
    found = rows.group_by(["day", column]).aggregate([([], "count_all")]).to_pylist()
    worst = max(found, key=lambda g: (g["count_all"] / per_day[g["day"]], str(g["day"]), str(g[column])))
    return worst["day"], worst[column], worst["count_all"] / per_day[worst["day"]]


def _repeated(rows: pa.Table, identity: list[str]) -> Any:
    """Whether an earlier row has the same keys and event time."""
    import numpy as np
    import pyarrow as pa

    if rows.group_by(identity).aggregate([]).num_rows == rows.num_rows:
        return pa.array(np.zeros(rows.num_rows, dtype=bool))
    numbered = rows.select(identity).append_column("slipway_row", pa.array(np.arange(rows.num_rows)))
    first = numbered.group_by(identity).aggregate([("slipway_row", "min")]).column("slipway_row_min").to_numpy()
    mask = np.ones(rows.num_rows, dtype=bool)
    mask[first] = False
    return pa.array(mask)


def _places(rows: pa.Table, masks: Mapping[str, Any]) -> str:
    """``level on 2024-03-02 (2), on 2024-03-03 (1)``: the first three places that the masks mark."""
    from collections import Counter

    found = []
    for column, mask in masks.items():
        if not _count(mask):
            continue
        days = Counter(rows.column("day").filter(mask).to_pylist())
        found += [f"{column} on {day} ({count})" for day, count in sorted(days.items(), key=lambda d: str(d[0]))]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(found[:3]) + more


def _counted(masks: Mapping[str, Any]) -> tuple[int]:
    return (sum(_count(mask) for mask in masks.values()),)


def _none_of(criterion: str, count: int, rows: int, what: str, places: str = "") -> CriterionResult:
    return _bounded(criterion, count, Direction.AT_MOST, 0, rows, f"{what}: {places}" if places else what)


def _bounded(criterion: str, value: float, direction: Direction, bound: float, rows: int, what: str) -> CriterionResult:
    judged = against_bound(criterion, value, direction, bound, rows=rows)
    return replace(judged, reason=f"{value:.4g} {what}; allowed {judged.allowed}.")


def _count(mask: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.fill_null(mask, False)).as_py() or 0)
