"""What a staged interval must be before anybody may read it: the criteria of ``data_quality_gate`` for feature views.

Great Expectations passes what is empty or all missing, so rows, keys, times and missing shares are counted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from include.config.types import FeatureView
from include.domain.intervals import Interval
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.expectations import ExpectationResult

GATE = "data_quality_gate"


def nothing_to_judge(interval: Interval) -> GateResult:
    """The result for an interval without rows: no evidence, and nothing to keep back."""
    reason = f"{interval} has no rows: its days are recorded as EMPTY, and no expectation was asked."
    nothing = CriterionResult("rows", Verdict.INCONCLUSIVE, 0.0, ">= 1", 0, reason, Direction.AT_LEAST, 1.0)
    return GateResult(GATE, Mode.ADVISORY, (nothing,), {"status": "EMPTY", "empty_days": interval.days})


def own_checks(view: FeatureView, rows: pa.Table, interval: Interval) -> list[CriterionResult]:
    """The counts that must be zero, the rows of the thinnest day, and the largest missing share of any one day."""
    import pyarrow as pa
    import pyarrow.compute as pc

    n = rows.num_rows
    moment = rows.column("event_time")
    start, end = (pa.scalar(m, pa.timestamp("us", tz="UTC")) for m in (interval.start, interval.end))
    outside = pc.fill_null(pc.or_(pc.less(moment, start), pc.greater_equal(moment, end)), True)
    identity = [*view.keys, "event_time"]
    distinct = rows.group_by(identity).aggregate([]).num_rows
    numbers = [c.name for c in view.columns if c.kind == "numeric"]
    infinite = {c: _count(pc.is_inf(rows.column(c))) for c in numbers}
    wrong_unit = [
        c for c in ("event_time", "available_time") if rows.schema.field(c).type != pa.timestamp("us", tz="UTC")
    ]
    per_day = rows.group_by("day").aggregate([([], "count_all")]).to_pylist()
    thinnest = min(per_day, key=lambda day: day["count_all"])
    results = [
        _none_of(
            "times_of_another_unit",
            len(wrong_unit),
            n,
            f"columns that are not timestamp[us, UTC]: {', '.join(wrong_unit) or 'none'}",
        ),
        _none_of("missing_keys", sum(rows.column(k).null_count for k in view.keys), n, "missing key values"),
        _none_of(
            "missing_times",
            moment.null_count + rows.column("available_time").null_count,
            n,
            "rows without event or available time",
        ),
        _none_of("event_times_outside", _count(outside), n, f"rows with an event time outside {interval}"),
        _none_of("duplicate_keys", n - distinct, n, f"rows that repeat another's {', '.join(identity)}"),
        _none_of(
            "infinite_values",
            sum(infinite.values()),
            n,
            "infinite values in " + (", ".join(c for c, k in infinite.items() if k) or "no column"),
        ),
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
    return results


def judge(
    view: FeatureView,
    own: Sequence[CriterionResult],
    found: Sequence[ExpectationResult],
    rows: int,
    *,
    empty_days: Sequence[str],
) -> GateResult:
    """The gate's result: a critical expectation decides, a warning is a note."""
    criteria, warnings = list(own), []
    for result in found:
        criterion = _of_expectation(view, result, rows)
        if result.severity == "critical":
            criteria.append(criterion)
        elif criterion.verdict is not Verdict.PASS:
            warnings.append(criterion.reason)
    notes: dict[str, Any] = {"status": "JUDGED", "rows": rows, "warnings": warnings, "empty_days": list(empty_days)}
    return GateResult(GATE, Mode.BLOCKING, tuple(criteria), notes)


def _of_expectation(view: FeatureView, found: ExpectationResult, rows: int) -> CriterionResult:
    from include.adapters.expectations import Outcome

    verdicts = {
        Outcome.MET: (Verdict.PASS, "is met"),
        Outcome.UNMET: (Verdict.FAIL, "is not met"),
        # It raised: that says nothing about the data, and what says nothing opens nothing.
        Outcome.BROKEN: (Verdict.INCONCLUSIVE, "could not be asked"),
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


def _none_of(criterion: str, count: int, rows: int, what: str) -> CriterionResult:
    return _bounded(criterion, count, Direction.AT_MOST, 0, rows, what)


def _bounded(criterion: str, value: float, direction: Direction, bound: float, rows: int, what: str) -> CriterionResult:
    judged = against_bound(criterion, value, direction, bound, rows=rows)
    return replace(judged, reason=f"{value:.4g} {what}; allowed {judged.allowed}.")


def _count(mask: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.fill_null(mask, False)).as_py() or 0)
