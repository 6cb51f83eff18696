"""Who serves: one value that the keeper publishes and every worker reads."""

from __future__ import annotations

from collections.abc import Mapping
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
    durability: Literal["process", "power"] = "process"
    """What an answer survives before it is said: the end of its process, or a power cut too."""
    unit: str = ""
    """What a request's arm is chosen by: a key of the entity, or ``header:NAME``; empty where nothing is."""


class CanaryArm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate beside a champion. The keeper has loaded it and held it against what the champion takes; one that is
    not in the route is not asked."""

    served: ServedModel
    """The candidate, with the revisions of the route that it is in."""
    number: int
    """Which rollout of the candidate."""
    salt: str
    share_ppm: int
    """Declared, in millionths of the units; ``share_at`` says what is in force."""
    lease_s: float
    until_s: float
    """When the lease is over, in seconds of the machine's clock that counts from its start and through its sleep."""
    boot: str
    """Which start of the machine that was."""
    renewed_at: datetime | None = None
    """When the lease was renewed last, as the ledger has it."""
    one_s: float = 0.0
    """How long its packed form took for one row where it was checked, in seconds."""
    more_s: float = 0.0
    """The same for each further row of a request."""
    ended: str = ""
    """Why this host takes no more part in this rollout, whatever the ledger says; empty while it does. A later
    publication does not take it back."""

    @property
    def is_of(self) -> tuple[str, int]:
        """The candidate and the number of its rollout."""
        return self.served.candidate, self.number

    def share_at(self, boot: str, now_s: float) -> int:
        """The share in force in millionths: none where the lease is over, or is of another start of the machine.

        A lease that ends later than one lease from now is none either: that clock did not write it.
        """
        in_time = self.boot == boot and now_s < self.until_s <= now_s + self.lease_s
        return self.share_ppm if in_time and not self.ended else 0


class Route(msgspec.Struct, frozen=True):
    """Every model that is served, as of one moment."""

    number: int
    """Grows with every publication."""
    published_at: datetime
    models: dict[str, ServedModel]
    arms: dict[str, CanaryArm] = {}
    """By model, the candidate beside its champion."""


def unlike(champion: ServedModel, candidate: ServedModel) -> str | None:
    """Why a candidate's answers are not such as the champion's, or a request that is valid for the champion might not
    be for it; None when it may answer beside it."""
    if candidate.task != champion.task:
        return f"its task is {candidate.task}, and the champion's is {champion.task}"
    if candidate.classes != champion.classes:
        return f"its classes are {', '.join(candidate.classes)}, and the champion's {', '.join(champion.classes)}"
    kinds = {each.name: each.kind for each in champion.features}
    for each in candidate.features:
        if kinds.get(each.name, each.kind) != each.kind:
            return f"its feature {each.name} is {each.kind}, and the champion's {kinds[each.name]}"
    return None


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


def following(
    now: Route, models: dict[str, ServedModel], at: datetime, arms: Mapping[str, CanaryArm] | None = None
) -> Route:
    """The route after ``now`` that serves ``models``, and ``arms`` beside them.

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
    beside = {name: as_ended(arm, now.arms.get(name)) for name, arm in (arms or {}).items() if name in models}
    return Route(now.number + 1, at, models, beside)


def as_ended(arm: CanaryArm, held: CanaryArm | None) -> CanaryArm:
    """The arm, ended where this host has ended that rollout."""
    if held is not None and held.ended and held.is_of == arm.is_of:
        return msgspec.structs.replace(arm, ended=held.ended)
    return arm


def without_share(now: Route, model: str, number: int, why: str, at: datetime) -> Route | None:
    """The route after ``now`` in which the model's canary has no share on this host for the rest of its rollout; None
    where that rollout is not in it, or has ended already.

    >>> without_share(NO_ROUTE, "wind", 1, "a test", NO_ROUTE.published_at) is None
    True
    """
    arm = now.arms.get(model)
    if arm is None or arm.number != number or arm.ended:
        return None
    ended = msgspec.structs.replace(arm, ended=why or "it was ended here")
    return Route(now.number + 1, at, now.models, {**now.arms, model: ended})
