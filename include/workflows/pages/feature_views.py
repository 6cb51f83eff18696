"""The pages of feature views: what is published, how fresh it is, what keeps it back, and who waits for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from include.adapters.ledger import Outage, Partition, PublishedDays, Scope
from include.config import Declarations, FeatureView, ModelDeclaration
from include.config.declared import UnknownName
from include.domain.wording import count_of
from include.workflows.alerts.freshness import STALE
from include.workflows.features import data_docs
from include.workflows.pages import sources

SHOWN_DAYS = 60


@dataclass(frozen=True, slots=True)
class Freshness:
    """Up to which day something is published, against the day up to which it could be."""

    newest: str | None
    days_late: int | None
    """How many days are missing up to that; None where nothing was published."""
    words: str


@dataclass(frozen=True, slots=True)
class ViewRow:
    """One view among all."""

    ref: str
    """As models call it."""
    owner: str
    description: str
    published: PublishedDays | None
    """None before the first day."""
    freshness: Freshness
    wrong: tuple[str, ...]
    """What keeps it back, a sentence each: a step that failed with its reason, and what is overdue."""
    waiting: tuple[tuple[str, str], ...]
    """The models that wait because of it, each with a sentence."""
    read_by: tuple[str, ...]
    """The models that read it."""

    @property
    def tone(self) -> str:
        """``bad`` where a step of it failed or is overdue, ``waits`` where a model waits for it, ``good`` where its
        days are there, and empty before the first."""
        if self.wrong:
            return "bad"
        if self.waiting:
            return "waits"
        return "good" if self.published is not None and self.freshness.days_late == 0 else ""


@dataclass(frozen=True, slots=True)
class ViewPage:
    """The page of one view."""

    row: ViewRow
    declared: FeatureView
    days: tuple[Partition, ...]
    """The newest, oldest first."""
    expectations: tuple[str, ...]
    """What is expected of its rows, in words."""
    documents: tuple[data_docs.Page, ...]
    """The pages of Great Expectations about audits that found something."""


def views(now: datetime, allowed: Collection[str] | None = None) -> tuple[ViewRow, ...]:
    """Every declared view, those with something wrong first; of the ``allowed`` names where they are given."""
    declared = sources.declared_now()
    with sources.open_ledger() as ledger:
        published, outages = ledger.overview.published(), ledger.outages.open()
    rows = [
        _row(view, declared, published, outages, now)
        for view in declared.views.values()
        if allowed is None or view.name in allowed
    ]
    order = ("bad", "waits", "", "good")
    return tuple(sorted(rows, key=lambda row: (order.index(row.tone), row.ref)))


def view(name: str, now: datetime) -> ViewPage:
    """The page of one view.

    Raises:
        UnknownName: when it is not declared.
    """
    declared = sources.declared_now()
    found = next((each for each in declared.views.values() if name in (each.ref, each.name)), None)
    if found is None:
        raise UnknownName("feature view", name, sorted(each.ref for each in declared.views.values()))
    with sources.open_ledger() as ledger:
        published, outages = ledger.overview.published(), ledger.outages.open()
        held = published.get((found.name, found.version))
        first = None if held is None else date.fromisoformat(held.newest) - timedelta(days=SHOWN_DAYS - 1)
        days = ledger.partitions.between(found.name, found.version, first, None) if first is not None else []
    return ViewPage(
        row=_row(found, declared, published, outages, now),
        declared=found,
        days=tuple(days),
        expectations=tuple(_expected(found)),
        documents=tuple(data_docs.pages([found.name])),
    )


def freshness_of(view: FeatureView, newest: str | None, furthest: str | None, now: datetime) -> Freshness:
    """How late a view is, in words.

    A calendar that goes on is held against yesterday, of which the day is over; one that has ended, as in a replay of
    history, against the newest day of any view, for its own last day may not have come yet.

    Args:
        newest: its newest published day.
        furthest: the newest published day of any view.
    """
    if newest is None:
        return Freshness(None, None, "nothing is published yet")
    calendar, day = view.calendar, date.fromisoformat(newest)
    if calendar.ends is not None and day >= calendar.ends - timedelta(days=1):
        return Freshness(newest, 0, "complete, to the end of its calendar")
    goes_on = calendar.ends is None or now.date() < calendar.ends
    due = now.astimezone(UTC).date() - timedelta(days=1) if goes_on else date.fromisoformat(furthest or newest)
    late = max((due - day).days, 0)
    if late == 0:
        return Freshness(newest, 0, "up to date")
    return Freshness(newest, late, f"{count_of(late, 'day')} {'late' if goes_on else 'behind the other views'}")


def of_model(
    own: ModelDeclaration, declared: Declarations, newest: Mapping[tuple[str, int], str], now: datetime
) -> Freshness:
    """How late the view is that keeps a model back most. Nothing is published while one of its views has no day."""
    read = [view for use in own.views if (view := declared.version(use.name, use.version)) is not None]
    furthest = _furthest(read, newest)
    found = [freshness_of(view, newest.get((view.name, view.version)), furthest, now) for view in read]
    missing = next((each for each in found if each.newest is None), None)
    return missing or max(found, key=lambda each: (each.days_late or 0, each.words), default=Freshness(None, None, ""))


def _furthest(views: Iterable[FeatureView], newest: Mapping[tuple[str, int], str]) -> str | None:
    """The newest day of any of the views, of one that is known ahead by that much less; None before the first."""
    ends = [
        date.fromisoformat(newest[key]) - timedelta(days=view.ahead.days)
        for view in views
        if (key := (view.name, view.version)) in newest
    ]
    return max(ends).isoformat() if ends else None


def _row(
    view: FeatureView,
    declared: Declarations,
    published: Mapping[tuple[str, int], PublishedDays],
    outages: Iterable[Outage],
    now: datetime,
) -> ViewRow:
    own = published.get((view.name, view.version))
    furthest = _furthest(declared.views.values(), {key: each.newest for key, each in published.items()})
    key = (view.name, view.version)
    readers = [m for m in declared.models.values() if key in [(use.name, use.version) for use in m.views]]
    return ViewRow(
        ref=view.ref,
        owner=view.owner,
        description=view.description,
        published=own,
        freshness=freshness_of(view, own.newest if own else None, furthest, now),
        wrong=tuple(_wrong(view, outages)),
        waiting=tuple(w for m in readers if (w := _waits(m, view, published))),
        read_by=tuple(sorted(m.name for m in readers)),
    )


def _wrong(view: FeatureView, outages: Iterable[Outage]) -> Iterable[str]:
    for each in outages:
        if each.scope is Scope.VIEW and each.subject in (view.ref, view.name):
            more = f" ({count_of(len(each.items), 'day')})" if len(each.items) > 1 else ""
            late = "Late: " if each.kind == STALE else ""
            yield f"{late}{each.sentence}{more}"


def _waits(
    model: ModelDeclaration, view: FeatureView, published: Mapping[tuple[str, int], PublishedDays]
) -> tuple[str, str] | None:
    """The model with why it waits, where every other view that it reads is further than this one."""
    read = {(use.name, use.version) for use in model.views}
    others = [published.get(key) for key in read - {(view.name, view.version)}]
    own = published.get((view.name, view.version))
    ends = [each.newest for each in others if each is not None]
    if not ends or len(ends) < len(others):
        return None
    reached, here = min(ends), own.newest if own is not None else None
    if here is None:
        return model.name, f"waits for its first day; every other view that it reads goes to {reached}"
    late = (date.fromisoformat(reached) - date.fromisoformat(here)).days
    if late <= 0:
        return None
    return model.name, f"lacks {count_of(late, 'day')} of it: every other view that it reads goes to {reached}"


_PHRASES: Mapping[str, str] = {
    "expect_column_values_to_be_in_set": "is one of {value_set}",
    "expect_column_values_to_be_between": "is between {min_value} and {max_value}",
    "expect_column_values_to_not_be_null": "is never missing",
    "expect_column_values_to_be_unique": "is never there twice",
    "expect_column_value_lengths_to_equal": "has {value} characters",
    "expect_column_value_lengths_to_be_between": "has between {min_value} and {max_value} characters",
    "expect_column_mean_to_be_between": "has a mean between {min_value} and {max_value}",
}
"""The usual expectations in words; another is shown by its name with its arguments."""


def _expected(view: FeatureView) -> Iterable[str]:
    yield f"At least {count_of(view.quality.min_rows, 'row')} on each day."
    for column, share in view.quality.max_null_share.items():
        at_most = f"missing in at most {100 * share:g} % of a day's rows" if share else "never missing"
        yield f"{column} is {at_most}."
    for column, share in view.quality.max_value_share.items():
        yield f"No value of {column} is in more than {100 * share:g} % of a day's rows."
    for each in view.quality.expectations:
        yield f"{_in_words(each.expectation, each.kwargs)}{'' if each.severity == 'critical' else ', or it warns'}."


def _in_words(expectation: str, arguments: Mapping[str, Any]) -> str:
    """
    >>> _in_words("expect_column_values_to_be_between", {"column": "weekday", "min_value": 0, "max_value": 6})
    'weekday is between 0 and 6'
    >>> _in_words("expect_table_row_count_to_be_between", {"min_value": 3})
    'expect table row count to be between (min_value 3)'
    """
    told = {name: ", ".join(map(str, v)) if isinstance(v, (list, tuple)) else v for name, v in arguments.items()}
    open_ended = {"min_value": "any value", "max_value": "any value", **told}
    phrase, column = _PHRASES.get(expectation), told.get("column")
    if phrase is not None and column is not None:
        try:
            return f"{column} {phrase.format(**open_ended)}"
        except KeyError:
            pass
    rest = ", ".join(f"{name} {value}" for name, value in told.items() if name != "column")
    name = expectation.replace("_", " ")
    return " ".join(part for part in (name, f"of {column}" if column else "", f"({rest})" if rest else "") if part)


__all__ = ["Freshness", "ViewPage", "ViewRow", "freshness_of", "of_model", "view", "views"]
