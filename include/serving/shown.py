"""What a worker shows of itself and of the whole service: who answers, and which share of a candidate is in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from include.serving.canary import LoadedArm, who_answers
from include.serving.counters import by_arm, labelled

if TYPE_CHECKING:
    from include.serving.answering import Answerer
    from include.serving.models import LoadedModel, Models

PPM = 1_000_000


class ShownWorker(Protocol):
    """A worker's application, as far as it is shown."""

    models: Models
    answerer: Answerer
    draining: bool


class View:
    """What a worker shows of the whole service, beyond its own requests."""

    version = "1"

    def declared(self) -> list[str]:
        """The models that are to be served."""
        return []

    def status(self, app: ShownWorker) -> dict[str, Any]:
        """``/v1/status``."""
        return {"served": served_now(app)}

    def metrics(self, app: ShownWorker) -> str:
        """``/metrics``."""
        return ""


def served_now(app: ShownWorker) -> dict[str, Any]:
    """By model, who answers in this worker, and the candidate beside it with the share in force."""
    return {
        name: {
            "candidate": each.served.candidate,
            "digest": each.served.digest,
            "revision": each.served.revision,
            "route_revision": each.served.route_revision,
            "by": each.served.by,
            **({"why": each.served.why_pipeline} if each.served.why_pipeline else {}),
            **({} if each.canary is None else {"canary": _canary(app.answerer, each.canary)}),
        }
        for name, each in app.models.current().items()
    }


def _canary(answerer: Answerer, canary: LoadedArm) -> dict[str, Any]:
    arm, share = canary.arm, answerer.share(canary)
    return {
        "candidate": arm.served.candidate,
        "digest": arm.served.digest,
        "number": arm.number,
        "by": arm.served.by,
        "declared_ppm": arm.share_ppm,
        "share_ppm": share,
        **({"why": why_no_share(answerer, canary)} if share != arm.share_ppm else {}),
    }


def why_no_share(answerer: Answerer, canary: LoadedArm) -> str:
    """Why the declared share is not in force in this worker, in a sentence."""
    arm = canary.arm
    if arm.ended:
        return f"This host has ended it: {arm.ended}"
    if answerer.unwritten:
        return "Answers cannot be written down, so the candidate is not asked."
    return f"Its lease of {arm.lease_s:g} s is over, and was not renewed."


def drawn_now(answerer: Answerer, loaded: LoadedModel, unit: str) -> dict[str, Any]:
    """Who would answer a unit now."""
    served, canary = loaded.served, loaded.canary
    said: dict[str, Any] = {"model": served.model, "unit": unit, "unit_is": served.unit or None}
    if canary is None:
        return {**said, "arm": "champion", "served_by": served.candidate, "number": None, "share_ppm": 0}
    share = answerer.share(canary)
    row = who_answers(canary.arm, share, unit)
    by = canary.served if row.in_canary else served
    return {
        **said,
        "arm": "canary" if row.in_canary else "champion",
        "served_by": by.candidate,
        "bucket": row.bucket,
        "number": canary.arm.number,
        "share_ppm": share,
    }


def shares(app: ShownWorker, counted: Mapping[str, float]) -> dict[str, Any]:
    """By model with a candidate, its declared share and the one that was observed since that was declared: of units,
    each once, and of rows; and what was counted of each arm."""
    arms, found = by_arm(counted), dict[str, Any]()
    for name, each in app.models.current().items():
        if each.canary is not None:
            arm = each.canary.arm
            of = arms.get((name, arm.served.candidate, arm.number, arm.share_ppm), {})
            found[name] = {
                **_canary(app.answerer, each.canary),
                "observed": {what: part_of(of.get(what, {})) for what in ("units", "rows")},
                "units": of.get("units", {}),
                "rows": of.get("rows", {}),
                "failures": of.get("failures", {}),
            }
    return found


def part_of(counts: Mapping[str, int]) -> float | None:
    """The canary's part of both arms; None where nothing was counted."""
    total = sum(counts.values())
    return counts.get("canary", 0) / total if total else None


def share_gauges(app: ShownWorker, counted: Mapping[str, float]) -> dict[str, float]:
    """The shares for Prometheus."""
    gauges: dict[str, float] = {}
    for name, said in shares(app, counted).items():
        gauges[labelled("slipway_share_declared", model=name)] = said["declared_ppm"] / PPM
        gauges[labelled("slipway_share_in_force", model=name)] = said["share_ppm"] / PPM
        for what, part in said["observed"].items():
            if part is not None:
                gauges[labelled("slipway_share_observed", model=name, by=what)] = part
    return gauges
