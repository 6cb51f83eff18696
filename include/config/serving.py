"""How a model is asked online: ``serving:`` of its declaration."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from include.config.base import Declared, Duration
from include.config.streaming import Promising, Short, never_fresh
from include.domain.intervals import spoken

LEAST_KEPT = timedelta(days=8)
_HEADER = re.compile(r"header:[A-Za-z0-9][A-Za-z0-9-]{0,63}")


def _with_milliseconds(value: object) -> object:
    text = value.strip() if isinstance(value, str) else ""
    if text.endswith("ms") and text[:-2].isdigit():
        return timedelta(milliseconds=int(text[:-2]))
    return value


class DeclaredServing(Declared):
    """Whether a model is asked online too, and what then happens where something is missing."""

    mode: Literal["batch", "online"] = "batch"
    """online: ``slipway serve`` answers for the champion; default batch, days are scored when they are over."""
    missing: dict[str, Literal["serve", "refuse"]] = Field(default_factory=dict)
    """By view, what is done with a row whose values of it are absent, past their ttl, or cannot be read: serve it with
    missing values, or refuse it; default serve, and refuse for the view of the entity."""
    deadline: Annotated[Short, BeforeValidator(_with_milliseconds)] = timedelta(milliseconds=50)
    """How long an answer may take before it is refused as late, for example 50ms; a caller may ask for less; default
    50ms."""
    on_journal_full: Literal["refuse", "serve_uncounted"] | None = None
    """What is done with a request whose answer cannot be written down: refuse it, or serve_uncounted, answer it and
    count it as not written; default refuse in the tier critical, else serve_uncounted."""
    durability: Literal["process", "power"] = "process"
    """What an answer survives before it is given: process, the end of every process of the service; a power cut costs
    the last 50ms. power, a power cut too: the reply waits for the disk, some milliseconds, and one wait is for all
    who ask meanwhile. Default process."""
    label_joins: Literal["first", "last", "each"] = "last"
    """Which answer a label judges where one entity was asked about several times for the same event: the first, the
    last, or each of them, counted as one of so many; default last. The others are in the log and in drift, and no label
    judges them."""
    collect_every: Short = timedelta(minutes=15)
    """How often what was answered of the open day is brought into the prediction log, for example 5m: a minute or more,
    and a part of an hour in whole minutes; default 15m."""
    keep: Duration = timedelta(days=30)
    """How long the journal's files are kept, for example 30d, at least 8d; older ones are removed every night, once
    every answer in them is in the prediction log; default 30d."""
    unit: str | None = None
    """What the candidate's share of traffic is drawn by, so that one unit always has the same arm: a key of the entity,
    or a header of the request such as ``header:X-User``; default the entity's first key. A request without it is the
    champion's."""
    omit: list[str] = Field(default_factory=list)
    """Features whose values the journal does not keep, for personal data; default none."""

    def when_full(self, tier: str) -> Literal["refuse", "serve_uncounted"]:
        """What holds in the tier where nothing is declared."""
        return self.on_journal_full or ("refuse" if tier == "critical" else "serve_uncounted")

    def policy(self, view: str, entity: str) -> Literal["serve", "refuse"]:
        """What is done where the view's values are missing."""
        return self.missing.get(view, "refuse" if view == entity else "serve")


def wrong_in_serving(serving: DeclaredServing, views: Collection[str], features: Collection[str]) -> str | None:
    """What the declaration says of views or features that the model does not read; None when all is well."""
    for view in serving.missing:
        if view not in views:
            return f"serving.missing names {view!r}, which the model does not read; it reads: {', '.join(views)}"
    for feature in serving.omit:
        if feature not in features:
            return f"serving.omit names {feature!r}, which is no feature of the model"
    if serving.unit is not None and serving.unit.startswith("header:") and not _HEADER.fullmatch(serving.unit):
        return f"serving.unit is {serving.unit!r}; a header is given as header:NAME, for example header:X-User"
    if serving.keep < LEAST_KEPT:
        days = serving.keep.days
        return f"serving.keep is {days}d; give at least 8d: late answers of the last seven days are looked for"
    minutes = serving.collect_every / timedelta(minutes=1)
    if minutes < 1 or 60 % minutes:
        return f"serving.collect_every is {spoken(serving.collect_every)}; give whole minutes that divide an hour: 15m"
    if serving.deadline <= timedelta(0):
        return "serving.deadline is 0; give some time, for example 50ms"
    return None


def unit_of(serving: DeclaredServing, keys: Sequence[str]) -> str:
    """What arms are chosen by, of an entity with these keys; empty where it has none and no header is declared."""
    return serving.unit or (keys[0] if keys else "")


def wrong_unit(serving: DeclaredServing, keys: Sequence[str]) -> str | None:
    """What is wrong with the unit of an entity with these keys; None when all is well."""
    if serving.unit is None or serving.unit.startswith("header:") or serving.unit in keys:
        return None
    return (
        f"serving.unit is {serving.unit!r}, which is no key of the entity; give one of them ({', '.join(keys)}), or "
        "a header such as header:X-User"
    )


def not_servable(serving: DeclaredServing, views: dict[str, Promising]) -> Iterator[tuple[str, str]]:
    """Each view that is asked online and cannot be fresh: its name, and why."""
    if serving.mode == "online":
        for name, view in views.items():
            why = never_fresh(view)
            if why is not None:
                yield name, why
