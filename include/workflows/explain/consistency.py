"""The consistency check: served requests compared with the offline store's values for them, one by one.

It uses the join that training uses. A difference is skew between training and serving, or a table that was corrected
since; the report distinguishes the two by reading the table's version at that time as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.adapters.ledger import Scoring
from include.adapters.offline_store import SERVED_PREFIX, TableMissing
from include.config import Declarations, ModelDeclaration, declarations
from include.domain.consistency import ConsistencyReport, FeatureConsistency, ViewAges, compare, merged
from include.domain.errors import Refusal
from include.domain.intervals import DAY, Interval, midnight
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.explain import online_rows
from include.workflows.scoring import as_trained, point_in_time_rows
from include.workflows.scoring.request_ids import SERVED, by_request

if TYPE_CHECKING:
    import pandas as pd

SHIFTS = tuple(timedelta(hours=h) for h in (1, -1, 2, -2, 3, 6, 12, 24, -24))
"""By how much a request's time is moved earlier (negative: later) to explain a difference."""
NO_TTL = timedelta(days=3650)
WEEK = 7 * DAY


class SkewFound(Refusal):
    """Served features that are not what the offline store gives."""

    def __init__(self, report: ConsistencyReport) -> None:
        found = " ".join(f.sentence for f in report.skewed[:3])
        more = f" And {len(report.skewed) - 3} more features." if len(report.skewed) > 3 else ""
        if report.unknown:
            more += f" {report.unknown:,} served requests have no row in the store any more."
        if report.unserved:
            more += f" {report.unserved:,} rows of the store were not served."
        super().__init__(
            f"{report.model} was served other features than the offline store gives, on "
            f"{count_of(report.days, 'day')} from {report.start} to {report.end}: {found}{more} "
            f"`slipway consistency {report.model} --from {report.start} --to {report.end}` shows every feature."
        )


class NothingServed(Refusal):
    """An interval without any served request whose features were kept."""

    def __init__(self, model: str, interval: Interval) -> None:
        super().__init__(
            f"No request of {model} was served in {interval} with its features kept, so nothing was compared. "
            f"Run score_{model} (collect_{model} where it is asked online) for those days, or choose others. Of days "
            "that an earlier version collected it is not kept which rows they were answered from; they are not "
            "compared."
        )


@dataclass(frozen=True, slots=True)
class _Day:
    requests: int
    unknown: int
    unserved: int
    early: int
    features: tuple[FeatureConsistency, ...]
    online: int = 0
    given: int = 0
    ages: tuple[ViewAges, ...] = ()


def check(model_name: str, interval: Interval) -> ConsistencyReport:
    """Compare every served request of the interval's days with its features recomputed as of its prediction time.

    Raises:
        NothingServed: when there is nothing to compare; that is no evidence of agreement.
        NotAskable: when a version of a view that was served from is not declared any more.
    """
    model, known = declarations().model(model_name), declarations()
    with stores.open_ledger() as ledger:
        scored = ledger.lineage.scorings(model_name, interval.days[0], interval.end.date().isoformat())
    days = [day for day in (_day(model, each, known) for each in scored if each.role == SERVED) if day is not None]
    if not sum(day.requests + day.unknown for day in days):
        raise NothingServed(model_name, interval)
    by_feature: dict[str, list[FeatureConsistency]] = {}
    for each in (feature for day in days for feature in day.features):
        by_feature.setdefault(each.feature, []).append(each)
    by_view: dict[str, ViewAges] = {}
    for ages in (view for day in days for view in day.ages):
        by_view[ages.view] = by_view[ages.view].with_more(ages) if ages.view in by_view else ages
    return ConsistencyReport(
        model=model_name,
        start=interval.days[0],
        end=interval.end.date().isoformat(),
        days=len(days),
        requests=sum(day.requests for day in days),
        unknown=sum(day.unknown for day in days),
        unserved=sum(day.unserved for day in days),
        early=sum(day.early for day in days),
        features=tuple(merged(parts) for parts in by_feature.values()),
        online=sum(day.online for day in days),
        given=sum(day.given for day in days),
        ages=tuple(by_view.values()),
    )


def week_before(model: ModelDeclaration, moment: datetime) -> Interval:
    """The seven whole days before ``moment`` that lie in the calendar of the model's requests."""
    calendar = declarations().view(model.entity.view).calendar
    end = midnight(moment)
    if calendar.ends is not None:
        end = min(end, Interval.of_day(calendar.ends).start)
    return Interval(max(end - WEEK, Interval.of_day(calendar.starts).start), end)


def _day(model: ModelDeclaration, scored: Scoring, known: Declarations) -> _Day | None:
    kept = stores.offline_store().read_served(model.name, scored.feature_set, scored.day)
    if kept is None:
        return None
    if "asked_id" in kept.column_names:  # asked online at any time, and not at the time of the batch
        if not online_rows.says_ages(kept):
            return None
        day = online_rows.compared(model, scored, kept, known)
        return _Day(day.requests, day.unknown, 0, 0, day.features, day.requests, day.given, day.ages)
    rows = kept.to_pandas()
    names = [c for c in rows.columns if c.startswith(SERVED_PREFIX)]
    model = as_trained.as_scored(model, scored, [c.removeprefix(SERVED_PREFIX) for c in names])
    served = by_request(model, rows)[names].rename(columns=lambda name: name.removeprefix(SERVED_PREFIX))
    features = {f: use.view for use in model.views for f in use.features}
    interval = Interval.of_day(scored.day)
    again = _recomputed(model, interval, known)
    # A row whose last run ahead was missed was answered from older values, which is no skew. It is counted.
    due = point_in_time_rows.asked_at(model, known, kept.column("event_time")).to_pandas()
    early = served.index[(rows["prediction_time"] < due).to_numpy()] if model.score is not None else served.index[:0]
    served, again = served.drop(early), again.drop(early, errors="ignore")
    found = compare(served, again, features)
    if any(f.differing for f in found):
        # Only now, and only for what differs: each explanation is a join of its own.
        differing = {f.feature: f.view for f in found if f.differing}
        explained = {f.feature: f for f in compare(served, again, differing, dict(_others(model, scored, known)))}
        found = tuple(explained.get(f.feature, f) for f in found)
    return _Day(
        requests=len(served.index.intersection(again.index)),
        unknown=len(served.index.difference(again.index)),
        unserved=len(again.index.difference(served.index)),
        early=len(early),
        features=found,
    )


def _others(model: ModelDeclaration, scored: Scoring, known: Declarations) -> Iterator[tuple[str, pd.DataFrame]]:
    """Recomputations that would explain a difference, the likeliest first."""
    interval = Interval.of_day(scored.day)
    read = {each.view: each.table_version for each in scored.sources}
    then = {use.view: read[use.name] for use in model.views if use.name in read}
    try:
        was = _recomputed(model, interval, known, versions=then)
        yield "the table was corrected since: it is the value of the version that was served from", was
    except TableMissing:
        pass  # the version was vacuumed away; then this explanation cannot be tried
    for shift in SHIFTS:
        hours = abs(shift) // timedelta(hours=1)
        when = "earlier: a shifted clock or a stale row" if shift > timedelta(0) else "later: a shifted clock"
        yield f"it is the value of {hours} h {when}", _recomputed(model, interval, known, shift=shift)
    endless = {n: v.model_copy(update={"ttl": NO_TTL}) for n, v in known.views.items()}
    yield "a row past its ttl was served: a stale row", _recomputed(model, interval, replace(known, views=endless))


def _recomputed(
    model: ModelDeclaration,
    interval: Interval,
    known: Declarations,
    *,
    versions: dict[str, int] | None = None,
    shift: timedelta = timedelta(0),
) -> pd.DataFrame:
    """The features of the interval's requests, indexed by request; ``shift`` asks each that much earlier."""
    entity = model.entity.model_copy(update={"lead": model.entity.lead + shift})
    asked = model.model_copy(update={"entity": entity})
    given = point_in_time_rows.features_for(
        asked, interval, interval.end + 2 * DAY, versions, declared=known, hold=False
    )
    rows = given.to_pandas()
    features: pd.DataFrame = by_request(model, rows)[model.features]
    return features


def report_lines(report: ConsistencyReport) -> list[str]:
    """The report as fixed-width text: one line a feature, differences with their cause and examples below."""
    verdict = "consistent" if report.is_consistent else "NOT consistent"
    span = f"{report.start} to {report.end}"
    lines = [
        f"{report.model} {span}: {report.requests:,} requests on {count_of(report.days, 'day')}, {verdict}.",
        f"{'feature':<28} {'view':<20} {'matches':>9} {'differ':>7} {'missing':>8} {'extra':>6}",
    ]
    for f in report.features:
        counts = f"{f.matches:>9,} {f.mismatches:>7,} {f.missing:>8,} {f.extra:>6,}"
        lines.append(f"{f.feature:<28} {f.view:<20} {counts}")
        if f.differing:
            lines.append(f"    {f.sentence}")
            lines += [f"    {e.request_id}: served {e.served!r}, the store gives {e.recomputed!r}" for e in f.examples]
    if report.unknown:
        lines.append(f"{report.unknown:,} served requests have no row in the store any more.")
    if report.unserved:
        lines.append(f"{report.unserved:,} rows of the store were not served.")
    if report.online:
        lines.append(
            f"{report.online:,} of them were asked online, each compared with the row that it was answered from."
        )
        lines += [f"    {each.sentence}" for each in report.ages]
    if report.given:
        lines.append(f"{report.given:,} online rows had all their values from the caller, and are not compared.")
    if report.early:
        lines.append(
            f"{report.early:,} requests were answered ahead at an earlier run than their last, and are not compared."
        )
    return lines


def checked(model_name: str, interval: Interval) -> dict[str, Any]:
    """What the Dag's task does: check, print the table, and end red where features were skewed.

    Raises:
        SkewFound: naming the features, how many values, and the cause where one explains them.
        NothingServed: as ``check``.
    """
    report = check(model_name, interval)
    print("\n".join(report_lines(report)))
    if not report.is_consistent:
        raise SkewFound(report)
    return {"model": model_name, "days": report.days, "requests": report.requests, "features": len(report.features)}


def week_checked(model_name: str, moment: datetime) -> dict[str, Any]:
    """The week before a scheduled run; ``skipped`` says so where nothing was served in it."""
    try:
        return {"skipped": None, **checked(model_name, week_before(declarations().model(model_name), moment))}
    except NothingServed as nothing:
        return {"skipped": str(nothing)}
