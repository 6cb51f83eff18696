"""``slipway new view --from-table``: a feature view whose rows are those of one table, each with its own time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.adapters import files
from include.config import loader
from include.config.settings import settings
from include.config.types import is_name
from include.domain.wording import count_of
from include.workflows.beginning import guesses, source_file
from include.workflows.beginning.guesses import CannotBegin, Features, Meaning
from include.workflows.beginning.yaml_words import as_text, listed

if TYPE_CHECKING:
    from include.adapters.source import FoundTable

VIEW = """\
# {name}: the rows of {table}, one for one. Written from the table as it is now; check every line, above all what is
# called a guess. `slipway validate` names what is wrong, with file and line.
name: {name}
description: One row for each row of {table}.
owner: {owner}
version: 1 # raise it when features.sql or what is below changes once a model has learned from it
calendar: {{starts: {starts}}} # the first UTC day with rows; add `ends:` where nothing more comes
keys: {keys} # {key_how}
ttl: 2d # how old a row may be when it is asked about
columns: # every feature, with its kind: numeric, categorical or boolean
{columns}
{carries}source:
  # time says which day a row belongs to, known when the source learned it.
  - {{table: {table}, time: {time}{known}}}
quality:
  min_rows: 1 # of a day; a day without any is recorded as empty
{nulls}  expectations: # of Great Expectations; add what must always hold
    - expectation: expect_column_values_to_not_be_null
      kwargs: {{column: {key}}}
"""

SQL = """\
-- One row for each row of {table}: its keys, what a model may learn from, and its two times.
--
-- event_time, when it happened: {time_how}.
-- available_time, from when on it was known: {known_how}.
-- Take out every column that is filled in, or changed, after available_time: a model would learn from it what it cannot
-- know when it is asked.{suspects}
SELECT
    {selected},
    {alias}.{time} AS event_time,
    {alias}.{known} AS available_time
FROM {table_quoted}{as_alias}
CROSS JOIN interval_
-- The interval bounds which rows are given, of a day or of a year; each row keeps its own times.
WHERE {alias}.{time} >= interval_.start AND {alias}.{time} < interval_."end"
"""


@dataclass(frozen=True, slots=True)
class NewView:
    """What was written, and how each part of it was come by."""

    name: str
    folder: Path
    table: FoundTable
    key: Meaning
    time: Meaning
    known: Meaning
    features: Features

    def lines(self) -> tuple[str, ...]:
        dates = self.table.column(str(self.time.column))
        span = "" if dates is None or dates.first is None else f", {dates.first:%Y-%m-%d} to {dates.last:%Y-%m-%d}"
        rows = "not counted" if self.table.rows is None else count_of(self.table.rows, "row")
        event = f"`{self.time.column}`"
        known = f"`{self.known.column}`" if self.known.column else event
        out = [f"  left out: {name} ({why})" for name, why in self.features.left_out.items()]
        carried = [f"  carried, for joins: {', '.join(self.features.carried)}"] if self.features.carried else []
        notes = []
        if dates is not None and dates.zoned is False:
            notes.append(
                f"  {event} has no zone and is taken as UTC; convert it in a database view if it is local time"
            )
        if dates is not None and dates.kind == "date":
            notes.append(f"  {event} is a day without a time of day: each row counts as known from 00:00 UTC of it")
        suspects = [e for e in self.table.columns if e.name in self.features.kinds and e.missing > 0]
        if suspects:
            shown = ", ".join(f"{e.name} ({e.missing:.0%} missing)" for e in suspects)
            notes.append(f"  not always filled in: {shown}; what is filled in after the event must not be a feature")
        changed = guesses.changed_of(self.table)
        if changed:
            notes.append(f"  `{changed[0]}` says that rows change: a column may hold what was not known at its event")
        return (
            f"Wrote {self.folder / 'view.yaml'} and features.sql: {self.table.name}, {rows}{span}.",
            f"  key: {', '.join(f'`{each}`' for each in self.key.columns)} ({self.key.how})",
            f"  event time: {event} ({self.time.how})",
            f"  available time: {known} ({self.known.how})",
            *notes,
            f"  features: {', '.join(f'{name} {kind}' for name, kind in self.features.kinds.items())}",
            *carried,
            *out,
            "Next: take out of features.sql and view.yaml what is filled in later than the available time, then "
            f"`slipway new model NAME --from-view {self.name} --label COLUMN`.",
        )

    def as_json(self) -> dict[str, Any]:
        def told(meaning: Meaning) -> dict[str, Any]:
            return {"columns": list(meaning.columns), "how": meaning.how, "guess": meaning.is_guess}

        return {
            "view": self.name,
            "folder": str(self.folder),
            "table": self.table.name,
            "rows": self.table.rows,
            "key": told(self.key),
            "event_time": told(self.time),
            "available_time": told(self.known),
            "features": self.features.kinds,
            "carries": list(self.features.carried),
            "left_out": self.features.left_out,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person said about a view."""

    name: str
    table: str
    owner: str = "somebody"
    keys: Sequence[str] = ()
    event_time: str | None = None
    available_time: str | None = None
    without: Sequence[str] = ()
    starts: str | None = None


def write_view(wanted: Wanted, root: Path | None = None) -> NewView:
    """Look at the table, and write ``features/<name>/``.

    Raises:
        CannotBegin: naming what is not there, or must be said. TableVanished, SourceUnreachable: as ``source``.
    """
    from include.adapters import source

    root = root or loader.ROOT
    if not is_name(wanted.name):
        raise CannotBegin(
            f"{wanted.name!r} is no name for a view; it is a lower-case letter, then at most 62 of a-z, 0-9 and _."
        )
    _require_day(wanted.starts)
    folder = root / "features" / wanted.name
    if folder.exists():
        raise CannotBegin(f"{folder} is there already; choose another name, or edit what it has.")
    found = source.found_table(settings().source_url, wanted.table)
    noted = source_file.read(root).get(found.name)
    key = guesses.key_of(found, wanted.keys, noted.checked("keys") if noted else ())
    time = guesses.event_time_of(found, wanted.event_time, noted.one("time") if noted else None)
    known = guesses.known_of(found, str(time.column), wanted.available_time, noted.one("known") if noted else None)
    times = [*time.columns, *known.columns]
    features = guesses.features_of(found, key.columns, times, wanted.without)
    if not features.kinds:
        left = "; ".join(f"{name}: {why}" for name, why in features.left_out.items())
        raise CannotBegin(f"{found.name} has no column that could be a feature beside its keys and times. {left}")
    view = NewView(wanted.name, folder, found, key, time, known, features)
    texts = {"view.yaml": _view_yaml(view, wanted), "features.sql": _features_sql(view)}
    for name, text in texts.items():
        files.write_text(folder / name, text)
    return view


def _require_day(said: str | None) -> None:
    if said is None:
        return
    try:
        date.fromisoformat(said)
    except ValueError:
        raise CannotBegin(f"--starts is {said!r}; it must be a UTC day such as 2024-01-31.") from None


def _view_yaml(view: NewView, wanted: Wanted) -> str:
    dates = view.table.column(str(view.time.column))
    first = None if dates is None else dates.first
    if wanted.starts is None and first is None:
        raise CannotBegin(
            f"The first time in {view.table.name}.{view.time.column} is not known: the table is empty, or it took more "
            "than 20 s to say it. Say --starts DAY."
        )
    starts = wanted.starts or f"{first:%Y-%m-%d}"
    columns = [f"  - {{name: {as_text(name)}, kind: {kind}}}" for name, kind in view.features.kinds.items()]
    sampled = {each.name: each.missing for each in view.table.columns}
    nulls = [
        f"    {as_text(name)}: {min(1.0, sampled[name] + 0.5):.2g} # {sampled[name]:.0%} of the sample"
        for name in view.features.kinds
        if 0 < sampled[name] < 0.5
    ]
    carried = f"carries: {listed(view.features.carried)} # no features: for joins to other views\n"
    return VIEW.format(
        name=view.name,
        table=view.table.name,
        owner=as_text(wanted.owner),
        starts=starts,
        keys=listed(view.key.columns),
        key=as_text(str(view.key.column)),
        key_how=view.key.briefly,
        columns="\n".join(columns),
        carries=carried if view.features.carried else "",
        time=as_text(str(view.time.column)),
        known=f", known: {as_text(view.known.column)}" if view.known.column else "",
        nulls="  max_null_share: # the largest share without a value, of a day\n" + "\n".join(nulls) + "\n"
        if nulls
        else "",
    )


def _features_sql(view: NewView) -> str:
    from include.adapters.sql_engine import quoted

    alias = quoted(view.table.name.rpartition(".")[2])
    names = [*view.key.columns, *view.features.kinds, *view.features.carried]
    empty = [each.name for each in view.table.columns if each.name in view.features.kinds and each.missing > 0]
    suspects = f"\n-- Not always filled in, so look at these first: {', '.join(empty)}." if empty else ""
    known = view.known.column or str(view.time.column)
    return SQL.format(
        table=view.table.name,
        table_quoted=quoted(view.table.name),
        as_alias=f" AS {alias}" if "." in view.table.name else "",
        alias=alias,
        selected=",\n    ".join(f"{alias}.{quoted(name)}" for name in names),
        time=quoted(str(view.time.column)),
        time_how=f"{view.time.column}, {view.time.briefly}",
        known=quoted(known),
        known_how=f"{known}, {view.known.briefly}",
        suspects=suspects,
    )
