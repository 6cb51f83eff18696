"""A person on the host takes a candidate's share away: as the guard would, without ledger and Airflow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from include.adapters.route_file import RouteWriter
from include.domain.canary.breaker import Breaker
from include.serving.breakers import GUARD_FOLDER, GuardFiles


def pinned(home: Path, model: str, who: str, why: str) -> Breaker | None:
    """The champion answers every unit of this host, until a person resumes the rollout; None where no candidate has a
    place beside it, or it is out already."""
    file = home / "serve" / "route.bin"
    if not file.exists():
        return None
    writer = RouteWriter(file)
    arm = writer.current().arms.get(model)
    if arm is None or arm.ended:
        return None
    now = datetime.now(UTC)
    made = Breaker(
        model=model,
        candidate=arm.served.candidate,
        number=arm.number,
        kind="hold",
        reason=f"{who} on this host: {why}",
        route_revision=arm.served.route_revision,
        instance=f"by hand, {now:%Y-%m-%dT%H:%M:%S}",
        at=now,
    )
    GuardFiles(home / "serve" / GUARD_FOLDER).keep(made)
    writer.end_share(model, arm.number, made.reason, now)
    return made
