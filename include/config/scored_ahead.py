"""Answers before the event: ``score:`` of a model whose rows are known ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from include.config.base import Declared, Duration
from include.config.streaming import Promising
from include.domain.ahead import AnswerTimes, times_for, wrong_every
from include.domain.intervals import DAY, spoken


class DeclaredScore(Declared):
    """How batch scoring answers rows before their event. Left out, a day is answered once it is over."""

    ahead: Duration
    """How far before its event time a row is answered for the first time, for example 7d; at least the entity's lead
    and ``every``, and at most what the entity's view has as ``ahead``."""
    every: Duration = timedelta(hours=1)
    """How often the rows that are known are answered again, until each one's prediction time: minutes that divide an
    hour or hours that divide a day, for example 30m or 1h; a row's prediction time is the last such time that lies
    ``lead`` or more before its event, in training too; default 1h."""


def times_of(score: DeclaredScore, views: Iterable[Promising]) -> AnswerTimes:
    """When the model's rows are answered: ``every``, as soon after it as the views' promises allow."""
    return times_for(score.every, [view.delay for view in views if not view.ahead])


def wrong_in_score(score: DeclaredScore, lead: timedelta, mode: str) -> str | None:
    """What the declaration says that cannot be; None when all is well. It begins with the field."""
    if mode == "online":
        return (
            "score is declared and serving.mode is online: a model that is asked online answers when it is asked; "
            "leave out one of the two"
        )
    why = wrong_every(score.every)
    if why is not None:
        return f"score.every is {spoken(score.every)}; {why}"
    if score.ahead < lead + score.every:
        return (
            f"score.ahead is {spoken(score.ahead)}, and entity.lead is {spoken(lead)} and score.every "
            f"{spoken(score.every)}: rows would be due before they are ever answered; give "
            f"{spoken(lead + score.every)} or more"
        )
    return None


def not_known_ahead(score: DeclaredScore, name: str, view: Promising) -> str | None:
    """Why the entity's view cannot give the rows so early, in one sentence with the way out; None where it can."""
    if not view.ahead:
        return (
            f"score.ahead is {spoken(score.ahead)}, and the rows of view {name} are not known before their event; "
            "declare ahead and stream in its view.yaml where they are (a timetable, orders with a date), or leave "
            "score out: a day is then answered once it is over"
        )
    if view.ahead < score.ahead:
        return (
            f"score.ahead is {spoken(score.ahead)}, and view {name} has its rows {spoken(view.ahead)} ahead; give "
            f"{spoken(view.ahead)} or less"
        )
    return None


def finer_than(score: DeclaredScore, views: Mapping[str, Promising]) -> Iterator[str]:
    """A sentence for each view whose rows come less often than they are asked for: most answers repeat the one
    before."""
    for name, view in views.items():
        grid = DAY if view.stream is None else view.stream.grid
        if not view.ahead and score.every < grid:
            yield (
                f"score.every is {spoken(score.every)}, and view {name} has new rows every {spoken(grid)}: between "
                "them rows are answered again from the same values of it"
            )
