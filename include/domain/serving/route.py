"""Who serves: one value that the keeper publishes and every worker reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

Policy = Literal["serve", "refuse"]


class ServedView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One view that a model reads."""

    name: str
    version: int
    keys: list[str]
    features: list[str]
    """Those that the model takes from it."""
    ttl_s: float
    is_entity: bool = False
    missing: Policy = "serve"
    """What is done with a row whose values of this view are absent, stale, of the future or cannot be read."""


class ServedFeature(msgspec.Struct, frozen=True):
    """One input of a model."""

    name: str
    kind: str
    """``numeric``, ``categorical`` or ``boolean``."""


class ServedModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model and its champion: all that a worker needs to answer for it."""

    model: str
    task: str
    """``binary``, ``multiclass`` or ``regression``."""
    classes: list[str]
    features: list[ServedFeature]
    views: list[ServedView]
    """That of the entity first."""
    candidate: str
    digest: str
    revision: int
    route_revision: int
    version: int
    """Of the registered model."""
    packed: str
    """The path of its packed file; empty where its pipeline answers."""
    packed_sha256: str
    deadline_s: float = 0.05
    on_journal_full: Literal["refuse", "serve_uncounted"] = "serve_uncounted"
    omit: list[str] = []
    """Features that the journal does not keep."""
    by: Literal["packed", "pipeline"] = "packed"
    """In which form it answers."""
    pipeline: str = ""
    """The path of its pipeline's file, whose sha256 is ``digest``, where that answers."""
    why_pipeline: str = ""
    """Why its packed form does not answer, in a sentence."""


class Route(msgspec.Struct, frozen=True):
    """Every model that is served, as of one moment."""

    number: int
    """Grows with every publication."""
    published_at: datetime
    models: dict[str, ServedModel]


class RouteBehind(Exception):
    """A route that is older than the one in force: it is not published."""


NO_ROUTE = Route(0, datetime(1970, 1, 1, tzinfo=UTC), {})

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Route)


def route_bytes(route: Route) -> bytes:
    return _encoder.encode(route)


def route_of(data: bytes) -> Route:
    """
    Raises:
        ValueError: for bytes that are no route.
    """
    return _decoder.decode(data)


def following(now: Route, models: dict[str, ServedModel], at: datetime) -> Route:
    """The route after ``now`` that serves ``models``.

    Raises:
        RouteBehind: when a model would go back to an earlier revision: the ledger was restored from an older copy, or
            this keeper slept while another one published.
    """
    for name, served in models.items():
        held = now.models.get(name)
        if held is not None and served.route_revision < held.route_revision:
            raise RouteBehind(
                f"{name} is served by route revision {held.route_revision}, and {served.route_revision} is older"
            )
    return Route(now.number + 1, at, models)
