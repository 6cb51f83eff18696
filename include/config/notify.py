"""Who is notified of what, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from include.config import importing
from include.config.base import Declared
from include.config.importing import ImportPath

Role = Literal["model", "data", "on_call", "nobody"]
"""Which of the model's owners is notified; ``nobody`` sends no notice."""
Way = Literal["file", "smtp", "slack", "path"]
WAYS: tuple[Way, ...] = ("file", "smtp", "slack")
"""The ways that need no further field; those that the operator's setting may name."""

PROVIDERS = {"smtp": "apache-airflow-providers-smtp", "slack": "apache-airflow-providers-slack"}
"""The package each way of notifying people needs; ``file`` needs none."""


class Channel(Declared):
    """How people are notified."""

    via: Way = "file"
    """file: a line in ``notices.jsonl`` of Slipway's home and in the task's log. smtp and slack: through Airflow's
    notifier of that provider, with the owner's address or channel. path: by a function of your own; default file."""
    conn_id: str | None = None
    """The Airflow connection of smtp or slack; default the provider's own."""
    path: ImportPath | None = None
    """The import path of a function (message, **params) that notifies people; or an entry point of slipway.notifiers.
    Only with via: path."""
    params: dict[str, Any] = Field(default_factory=dict)
    """The function's keyword arguments; default none."""

    @model_validator(mode="after")
    def _path_where_it_is_used(self) -> Channel:
        if self.via == "path" and self.path is None:
            raise ValueError("path is missing; via is path, so say which function notifies people")
        if self.via != "path" and (self.path is not None or self.params):
            given = "path" if self.path is not None else "params"
            raise ValueError(f"{given} is given, and via is {self.via}; give via: path with it")
        return self

    def function(self) -> Callable[..., Any]:
        """The function that notifies people, where ``via`` is path; imported now.

        Raises:
            NoModule, NoSuchName, WrongShape: when it cannot be used.
        """
        return importing.function(str(self.path), "notify.path", importing.NOTIFIER, self.params)


class Owners(Declared):
    """Who is notified of what. Values are names or addresses."""

    model: str
    """Who owns the model: notified of promotions, and of journeys that housekeeping had to close."""
    data: str
    """Who owns the data that the model reads."""
    on_call: str
    """Who is notified when somebody must act."""


class Notify(Channel):
    """Who is notified when something happens to the model, and how. Each event is reported once."""

    gate_failed: Role = "on_call"
    """A gate failed; default on_call."""
    waiting: Role = "on_call"
    """A gate or an approval waits for a person."""
    escalated: Role = "on_call"
    """The drift sensor asks for a person."""
    late: Role = "on_call"
    """A journey takes longer than the model's ``journey_within``."""
    stranded: Role = "model"
    """Housekeeping closed a journey whose run was deleted, or ended without closing it."""
    rolled_back: Role = "on_call"
    """The champion was rolled back; default on_call."""
    canary: Role = "on_call"
    """A candidate's share of live traffic was taken away: by the guard of a service, or because it was not renewed;
    default on_call."""
    incident: Role = "on_call"
    """The model's loss left its band and stayed out, or is still out and not acknowledged; default on_call."""
    remind_after_days: Annotated[int, Field(ge=0)] = 7
    """Judged days from one notice about an open incident to the next; 0 sends no reminder; default 7."""
    promoted: Role = "model"
    """A candidate became champion; default model."""
    failed: Role = "on_call"
    """A step of one of the model's Dags failed for good, other than by a gate's verdict; and when it works again."""
    stale: Role = "on_call"
    """Something is missing for longer than ``freshness`` allows; and when it has come."""
