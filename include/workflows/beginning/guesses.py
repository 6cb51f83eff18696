"""What a table's columns may mean, and how each answer was come by: what a person said, what the database declares, or
a guess from types, names and a sample. A guess is always called one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.config.problems import did_you_mean
from include.domain.errors import Refusal
from include.domain.wording import count_of

if TYPE_CHECKING:
    from include.adapters.source import FoundColumn, FoundTable

HAPPENED = ("happen", "occur", "event", "placed", "order", "created", "start", "began", "book", "visit", "sent", "made")
"""Words in the name of a time at which something happened."""
KNOWN = ("recorded", "ingest", "inserted", "loaded", "known", "published", "received", "arrived_in")
"""Words in the name of the time at which the source learned a row."""
ENDED = ("deliver", "clos", "end", "finish", "complet", "resolv", "return", "paid", "settle", "decided", "labe")
"""Words in the name of a time at which an outcome was known."""
CHANGED = ("updat", "modif", "chang", "last_", "edited")
FAR = ("birth", "expir", "due", "valid", "delet", "cancel")
"""Words in the name of a time that says nothing of when the row came to be."""
IDENTIFIER = re.compile(r"(^|_)(id|uuid|guid|key|no|nr|number)$|[a-z](Id|ID|Uuid|UUID|Key|No|Nr)$", re.ASCII)
OWN_NAMES = frozenset({"event_time", "available_time", "label", "day"})
"""Columns that Slipway itself makes."""
SAID = "as you say"
NOTES = "source.yaml"
NOTED = f"as {NOTES} says"
MANY_VALUES = 1000


class CannotBegin(Refusal, ValueError):
    """Something a declaration needs is not in the table, and was not said."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What was found for one question: the columns, and how it was come by."""

    columns: tuple[str, ...]
    how: str
    is_guess: bool = False

    @property
    def briefly(self) -> str:
        """How it was come by, without the options of a command."""
        return self.how.partition(";")[0]

    @property
    def column(self) -> str | None:
        return self.columns[0] if self.columns else None


@dataclass(frozen=True, slots=True)
class Features:
    """Which columns a view gives: by name their kind; those it only carries; and why others are left out."""

    kinds: dict[str, str]
    carried: tuple[str, ...]
    left_out: dict[str, str]


def column_of(table: FoundTable, name: str, option: str) -> FoundColumn:
    """The column that a person named.

    Raises:
        CannotBegin: when there is none, or it cannot be read.
    """
    found = table.column(name)
    if found is not None:
        return found
    if name in table.left_out:
        raise CannotBegin(f"{option} is {name!r}, which cannot be read: {table.left_out[name].rstrip('.')}.")
    has = [each.name for each in table.columns]
    folded = [each for each in has if each.lower() == name.lower()]
    near = f" Did you mean {folded[0]!r}?" if folded else did_you_mean(name, has)
    raise CannotBegin(f"{option} is {name!r}, and {table.name} has no such column; it has: {', '.join(has)}.{near}")


def key_of(table: FoundTable, said: Sequence[str] = (), noted: Sequence[str] = ()) -> Meaning:
    """The columns that name an entity.

    Raises:
        CannotBegin: when none is said, declared, or may be guessed.
    """
    if said:
        return Meaning(tuple(column_of(table, each, "--key").name for each in said), SAID)
    if noted and tuple(noted) != table.key:
        return Meaning(tuple(column_of(table, each, f"keys in {NOTES}").name for each in noted), NOTED)
    readable = [each for each in table.key if table.column(each) is not None]
    if table.key and len(readable) == len(table.key):
        return Meaning(table.key, "the table's primary key")
    unique = [
        each.name
        for each in table.columns
        if IDENTIFIER.search(each.name) and not each.missing and each.distinct == table.sampled and each.kind != "date"
    ]
    if unique and table.sampled:
        of = count_of(table.sampled, "row")
        return Meaning((unique[0],), f"guessed: its name, and another value in each of {of}; say --key otherwise", True)
    has = ", ".join(each.name for each in table.columns)
    raise CannotBegin(
        f"{table.name} declares no primary key, and no column looks like one; say which columns name a row: "
        f"--key COLUMN, of: {has}."
    )


def event_time_of(table: FoundTable, said: str | None = None, noted: str | None = None) -> Meaning:
    """The column that says when a row's event happened.

    Raises:
        CannotBegin: when there is no time, or the one that is said is none.
    """
    if said is not None:
        _require_time(table, column_of(table, said, "--event-time"), "--event-time")
        return Meaning((said,), SAID)
    if noted is not None:
        _require_time(table, column_of(table, noted, f"time in {NOTES}"), f"time in {NOTES}")
        return Meaning((noted,), NOTED)
    ranked = sorted(
        ((_as_event(each), -i, each.name) for i, each in enumerate(table.columns) if each.of_times), reverse=True
    )
    ranked = [each for each in ranked if each[0] > 0]
    if not ranked:
        has = ", ".join(f"{each.name} ({each.kind})" for each in table.columns)
        raise CannotBegin(
            f"{table.name} has no column of times, so none of its rows can be dated; it has: {has}. Join it in the SQL "
            "of a view that has one (docs/your-own-data.md, No natural time), or say --event-time."
        )
    others = [name for _, _, name in ranked[1:]]
    also = f"; others: {', '.join(others)}" if others else ""
    return Meaning((ranked[0][2],), f"guessed from its type and name{also}; say --event-time otherwise", True)


def known_of(table: FoundTable, event: str, said: str | None = None, noted: str | None = None) -> Meaning:
    """The column that says when the source knew a row; none is an answer, too."""
    if said is not None:
        _require_time(table, column_of(table, said, "--available-time"), "--available-time")
        return Meaning((said,), SAID)
    if noted is not None:
        _require_time(table, column_of(table, noted, f"known in {NOTES}"), f"known in {NOTES}")
        return Meaning((noted,), NOTED)
    named = [
        each.name
        for each in table.columns
        if each.of_times and each.name != event and not each.missing and _has(each.name, KNOWN)
    ]
    if named:
        return Meaning((named[0],), "guessed from its type and name; say --available-time otherwise", True)
    how = "guessed: no column says when a row was known, so the moment of its event; say --available-time otherwise"
    return Meaning((), how, True)


def label_known_of(table: FoundTable, event: str, said: str | None = None) -> Meaning:
    """The column that says when an outcome was known."""
    if said is not None:
        _require_time(table, column_of(table, said, "--label-known"), "--label-known")
        return Meaning((said,), SAID)
    for words in (ENDED, CHANGED, KNOWN):
        named = [e.name for e in table.columns if e.of_times and e.name != event and _has(e.name, words)]
        if named:
            return Meaning((named[0],), "guessed from its type and name; say --label-known otherwise", True)
    return Meaning((), "not known: no other time is in the table; taken as a day later, say --label-known", True)


def features_of(table: FoundTable, keys: Sequence[str], times: Sequence[str], without: Sequence[str]) -> Features:
    """Every column that a model can learn from as it is."""
    for name in without:
        column_of(table, name, "--without")
    kinds: dict[str, str] = {}
    carried: list[str] = []
    left_out = {name: f"it cannot be read: {why}" for name, why in table.left_out.items()}
    for each in table.columns:
        if each.name in keys or each.name in times:
            continue
        many = each.distinct > 50 and each.distinct > 0.5 * table.sampled
        if each.name in without:
            left_out[each.name] = SAID
        elif each.name in OWN_NAMES:
            left_out[each.name] = "Slipway makes a column of this name; give it another with AS"
        elif each.of_times and (each.declared_time or each.kind == "text"):
            left_out[each.name] = "a time; make a feature of how long it is from another one"
        elif IDENTIFIER.search(each.name):
            carried.append(each.name)
        elif each.kind == "text" and (many or each.distinct > MANY_VALUES):
            left_out[each.name] = f"text with {each.distinct:,} values in {count_of(table.sampled, 'row')}"
        elif each.distinct == 0 and table.sampled:
            left_out[each.name] = f"it has no value in {count_of(table.sampled, 'row')}"
        else:
            kinds[each.name] = {"text": "categorical", "boolean": "boolean"}.get(each.kind, "numeric")
    return Features(kinds, tuple(carried), left_out)


def times_of(table: FoundTable) -> list[FoundColumn]:
    """The columns that hold times, by type or by what is in them and their name."""
    return [each for each in table.columns if _as_event(each) > 0]


def changed_of(table: FoundTable) -> list[str]:
    """The times at which a row was changed: where there is one, its columns may hold what was not known before."""
    return [each.name for each in table.columns if each.of_times and _has(each.name, CHANGED)]


def _require_time(table: FoundTable, column: FoundColumn, option: str) -> None:
    if not column.of_times:
        times = ", ".join(each.name for each in times_of(table)) or "none"
        raise CannotBegin(f"{option} is {column.name!r}, which is {column.kind} and no time; times are: {times}.")


def _as_event(column: FoundColumn) -> int:
    """How much speaks for it as the time of the event; 0 for what is no time. A number needs the name of one."""
    if not column.of_times:
        return 0
    called = re.search(r"(_at|_on|_ts|time|date|day|stamp)$|[a-z](At|On|Ts)$|(Time|Date|Day)$", column.name) is not None
    if column.kind in ("integer", "number") and not (called or _has(column.name, HAPPENED)):
        return 0
    points = 10 + 3 * column.declared_time + 2 * called + 4 * _has(column.name, HAPPENED)
    points -= 6 * _has(column.name, KNOWN) + 6 * _has(column.name, ENDED) + 7 * _has(column.name, CHANGED)
    points -= 8 * _has(column.name, FAR) + 5 * (column.missing > 0) + (column.kind == "date")
    return max(points, 1)


def _has(name: str, words: Sequence[str]) -> bool:
    return any(word in name.lower() for word in words)
