"""Feature views: rows computed once and read by both training and serving, as frozen types.

Every field has one sentence with its unit, its default and what leaving it out means.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, SerializerFunctionWrapHandler, model_serializer, model_validator

from include.config.base import Column, Declared, Duration, Name, Share
from include.config.cron import Cron, times_a_day
from include.config.freshness import ViewFreshness
from include.config.notify import Channel
from include.config.streaming import DeclaredStream, Short, wrong_in_freshness

ViewRef = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}(@v[1-9][0-9]{0,5})?$")]
"""A view by its name, or an older version of it that is kept beside it: ``carrier_record@v1``."""


TableName = Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}$")]
"""A table by its name, with or without its schema."""


def slug(ref: str) -> str:
    """A view's reference as part of the id of a Dag or an asset.

    >>> slug("carrier_record@v1")
    'carrier_record_v1'
    """
    return ref.replace("@", "_")


AUDIT_GATE = "audit_gate"
"""The task that audits a view's staged rows before anyone can read them."""


class SourceTable(Declared):
    """One table of the source system that a view or a label reads."""

    table: TableName
    """The table's name in the source system, with its schema where it needs one; its rows are registered for the SQL
    under the same name (``FROM "sales.orders"``)."""
    time: Column | None = None
    """The column that says which interval a row belongs to; without it the whole table is read (a reference table)."""
    known: Column | None = None
    """The column that says when the source learned the row; rows known after the as-of time are not read."""
    lookback: Duration = timedelta(0)
    """How far before the interval rows are read too, for example 7d for a trailing window; default none."""
    lookahead: Duration = timedelta(0)
    """How far after the interval rows are read too (a schedule published ahead); ``known`` still bounds them; default
    none."""
    columns: Annotated[list[Column], Field(min_length=1)] | None = None
    """The columns that are read, beside ``time`` and ``known``; default all whose type can be read."""

    @model_serializer(mode="wrap")
    def _as_before(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without ``columns`` where none are declared: a definition that never named them keeps its hash."""
        given: dict[str, Any] = dumped(self)
        return given if self.columns is not None else {k: v for k, v in given.items() if k != "columns"}


class FeatureColumn(Declared):
    """One feature: its name and what kind of value it holds."""

    name: Column
    """The column's name, as the SQL gives it."""
    kind: Literal["numeric", "categorical", "boolean"] = "numeric"
    """How it is compared, encoded and watched for drift; default numeric."""


class Expectation(Declared):
    """One Great Expectations expectation on a staged partition."""

    expectation: Annotated[str, Field(pattern=r"^expect_[a-z_]+$")]
    """The expectation's name in snake case, for example expect_column_values_to_be_between."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Its arguments, as in Great Expectations' gallery; default none."""
    severity: Literal["critical", "warning"] = "critical"
    """critical stops the publish, warning is only reported; default critical."""


class Quality(Declared):
    """What a staged partition must be before anybody may read it."""

    min_rows: Annotated[int, Field(ge=0)] = 1
    """Fewest rows of one day that may be published; an empty day is recorded as EMPTY; default 1."""
    max_null_share: dict[Column, Share] = Field(default_factory=dict)
    """Largest share of missing values per column, checked by Slipway itself; columns left out are not bounded."""
    max_value_share: dict[Column, Share] = Field(default_factory=dict)
    """Largest share of a day's rows that one value of the column may have, so that a source that sends too many rows is
    named and stopped; columns left out are not bounded."""
    expectations: Annotated[list[Expectation], Field(min_length=1)]
    """At least one expectation: a suite without any would pass everything."""


class Calendar(Declared):
    """Which days the source has, and when each is materialized."""

    starts: date
    """The first UTC day the source has."""
    ends: date | None = None
    """The UTC day from which on the source has nothing more: nothing is scheduled after it; default open."""
    cron: Cron = "0 0 * * *"
    """The cron, in UTC, that makes one partition a day; default midnight."""

    @model_validator(mode="after")
    def _ordered(self) -> Calendar:
        if self.ends is not None and self.ends <= self.starts:
            raise ValueError("ends must be after starts")
        times = times_a_day(self.cron)
        if times > 1:
            raise ValueError(
                f'cron is {self.cron!r}, which fires {times} times a day; a partition is a day, so write "0 0 * * *"'
            )
        return self


class Recheck(Declared):
    """Where a run checks for source rows that came late, or were changed, after their day was published."""

    days: Annotated[int, Field(ge=0, le=31)] = 2
    """How many days before the run's own are checked again; 0 for none; default 2."""
    by: Literal["digest", "watermark"] = "digest"
    """digest reads the days' source rows and compares hashes, which also finds a row changed in place; watermark
    compares their number and the newest time known, which is one grouped query; default digest."""


class FeatureView(Declared):
    """``include/features/<view>/view.yaml``: rows computed once and read by both training and serving."""

    name: Name
    """The view's name, and that of its folder: small letters, digits and ``_``."""
    description: str
    """One or two sentences for people: what a row says."""
    owner: str
    """Who is asked when the view is wrong, and notified when it cannot be published: a name or an address."""
    version: Annotated[int, Field(ge=1)] = 1
    """Raised when the definition changes; each version has its own table; default 1."""
    calendar: Calendar
    """When there is something to materialize."""
    keys: Annotated[list[Column], Field(min_length=1)]
    """The join key columns."""
    ttl: Duration
    """How old a row's event time may be at prediction time before it counts as missing."""
    delay: Short = timedelta(0)
    """The promise that a row can be read within this time after its event, for example 30s; training uses no row sooner
    (with ``ahead``, counted from when the SQL says it was available); default none."""
    ahead: Duration = timedelta(0)
    """How far before their event time rows are published online, for views whose rows are known before they happen,
    such as a timetable; default not before."""
    stream: DeclaredStream | None = None
    """How rows come online before their day is over; left out, a day is pushed when it is published."""
    columns: Annotated[list[FeatureColumn], Field(min_length=1)]
    """The features, in the order the SQL gives them."""
    carries: list[Column] = Field(default_factory=list)
    """Further columns the SQL gives that are no features, such as the join keys of other views; default none."""
    source: Annotated[list[SourceTable], Field(min_length=1)]
    """The source tables that features.sql reads."""
    recheck: Recheck = Recheck()
    """Which earlier days a run checks again, and how."""
    quality: Quality
    notify: Channel = Channel()
    """How the owner is notified when the view is not published."""
    freshness: ViewFreshness = ViewFreshness()
    """After what time the owner is notified that nothing is published."""

    _folder: Path = PrivateAttr(default=Path())
    _is_kept: bool = PrivateAttr(default=False)

    @property
    def ref(self) -> str:
        """What models call this version: the view's name, or ``name@v1`` for an older version kept beside it."""
        return f"{self.name}@v{self.version}" if self._is_kept else self.name

    @property
    def slug(self) -> str:
        """The reference as part of the id of a Dag or an asset."""
        return slug(self.ref)

    @property
    def file(self) -> Path:
        """Where it is declared."""
        return self._folder / "view.yaml"

    @property
    def sql(self) -> str:
        """The text of features.sql."""
        return (self._folder / "features.sql").read_text(encoding="utf-8")

    @property
    def features(self) -> list[str]:
        return [c.name for c in self.columns]

    @model_validator(mode="after")
    def _can_be_fresh(self) -> FeatureView:
        wrong = next(wrong_in_freshness(self), None)
        if wrong is not None:
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _no_column_twice(self) -> FeatureView:
        names = [*self.keys, *self.features, *self.carries, "event_time", "available_time"]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(
                f"column {twice[0]!r} is declared twice; each key, feature and carried column needs its own name"
            )
        bounds = {"max_null_share": self.quality.max_null_share, "max_value_share": self.quality.max_value_share}
        for field, shares in bounds.items():
            strange = sorted(set(shares) - set(names))
            if strange:
                raise ValueError(
                    f"quality.{field} bounds {strange[0]!r}, which is no column; they are: {', '.join(names)}"
                )
        return self
