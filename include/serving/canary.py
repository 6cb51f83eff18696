"""A candidate beside the champion in one worker: whose unit is in its share, and what it says to those rows.

The caller pays nothing for it. Whatever the candidate does, the champion's answer is there first; a candidate that
fails or is late is answered for by the champion, and its failure is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from include.domain.canary.units import place, unit_text, within
from include.domain.packed.reader import Packed
from include.domain.serving.requests import AskedRequest, AskedRow
from include.domain.serving.route import CanaryArm, ServedModel
from include.serving.counters import Counters, bucket_of, labelled
from include.serving.slow import AnswersLater

RESERVE = 0.1
"""Which part of a deadline is left for writing down and replying when a candidate's process is waited for."""
MOST_RESERVED_S = 0.02
GRACE_S = 0.1
"""How much later than the deadline an answer may be said that is there already because a candidate was not waited for:
on a machine that is too busy the caller has not to pay for the candidate either."""
NEWEST = 0.05
"""The weight of the newest measurement of a candidate's time."""
MOST_UNITS = 100_000
"""so many units of one share a worker distinguishes; those that come later are not counted as units."""
_HEADER = "header:"
_PLACES = float(1 << 64)
_LAST = 1.0 - 2.0**-53


@dataclass(frozen=True, slots=True)
class LoadedArm:
    """A candidate of the route, ready to answer."""

    arm: CanaryArm
    form: Packed | AnswersLater
    common: frozenset[str]
    """Features that it takes from where the champion takes them, so both are given one value."""

    @property
    def served(self) -> ServedModel:
        return self.arm.served

    @property
    def looks_up_alike(self) -> bool:
        """Whether it takes nothing from elsewhere."""
        return all(each.name in self.common for each in self.served.features)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The arm that one row's unit belongs to; without a unit the champion's."""

    unit: str | None = None
    bucket: float | None = None
    in_canary: bool = False


NOT_DRAWN = Drawn()


@dataclass(frozen=True, slots=True)
class Draw:
    """The rows of one request, drawn by the share that was in force when it was taken in."""

    canary: LoadedArm
    share_ppm: int
    rows: list[Drawn]

    @property
    def asked(self) -> list[int]:
        """Which rows the candidate is asked."""
        return [i for i, row in enumerate(self.rows) if row.in_canary]


def common_inputs(champion: ServedModel, candidate: ServedModel) -> frozenset[str]:
    """The features that both take from the same version of the same view."""
    ours, theirs = _sources(candidate), _sources(champion)
    return frozenset(name for name, where in ours.items() if theirs.get(name) == where)


def _sources(served: ServedModel) -> dict[str, tuple[str, int, str]]:
    kinds = {each.name: each.kind for each in served.features}
    return {
        name: (view.name.partition("@")[0], view.version, kinds[name])
        for view in served.views
        for name in view.features
        if name in kinds
    }


def drawn(canary: LoadedArm, share_ppm: int, unit: str, asked: AskedRequest, header: str | None) -> Draw:
    """The arm of each row, by its unit: a key of its entity, or the request's header."""
    by_header = unit.startswith(_HEADER)
    one = _drawn(canary.arm.salt, share_ppm, header, hidden=True) if by_header else NOT_DRAWN
    rows = [one if by_header else _drawn(canary.arm.salt, share_ppm, _key(row, unit)) for row in asked.rows]
    return Draw(canary, share_ppm, rows)


def _key(row: AskedRow, unit: str) -> Any:
    return row.keys[unit] if unit in row.keys else row.features.get(unit)


def _drawn(salt: str, share_ppm: int, value: Any, *, hidden: bool = False) -> Drawn:
    """``hidden``: the value is a person's perhaps, and its place is written down in its stead."""
    unit = unit_text(value)
    if unit is None:
        return NOT_DRAWN
    at = place(salt, unit)
    return Drawn(f"{at:016x}" if hidden else unit, min(at / _PLACES, _LAST), within(at, share_ppm))


def who_answers(arm: CanaryArm, share_ppm: int, unit: str) -> Drawn:
    """As a request of the unit would be drawn under the share."""
    return _drawn(arm.salt, share_ppm, unit)


@dataclass(slots=True)
class CandidateTimes:
    """How long one packed candidate takes in this worker, so that no one waits for what would be late.

    Attributes:
        one_s: for one row, in seconds.
        more_s: for each further row of the same request.
    """

    one_s: float = 0.0
    more_s: float = 0.0

    def of(self, rows: int) -> float:
        """What so many rows usually take."""
        return self.one_s + (rows - 1) * self.more_s

    def took(self, seconds: float, rows: int) -> None:
        """Take one measurement in."""
        if rows == 1:
            self.one_s += (seconds - self.one_s) * NEWEST
        else:
            self.more_s += (max(0.0, seconds - self.one_s) / (rows - 1) - self.more_s) * NEWEST


def late(seconds: float, deadline_s: float) -> str:
    """The failure of a candidate that would have been late if it had been asked alone."""
    return f"it answers after {seconds * 1000:.3g} ms, and {deadline_s * 1000:g} ms are the deadline"


def reserved(deadline_s: float) -> float:
    """How much of the deadline is left for what follows a candidate's answer, in seconds."""
    return min(MOST_RESERVED_S, deadline_s * RESERVE)


@dataclass(slots=True)
class ArmCounts:
    """Counts rows, units, failures and times by arm. Units are distinguished by their places, once for each share."""

    counters: Counters
    _share: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    _units: dict[str, set[float]] = field(default_factory=dict)

    def rows(self, draw: Draw, seconds: float, failed: Sequence[str]) -> None:
        """Count one request.

        Args:
            draw: its rows.
            seconds: how long it took until it was written down.
            failed: by row, whose failure it was: ``canary``, ``champion``, ``both``, ``not asked`` or none, empty.
        """
        model, arm = draw.canary.served.model, draw.canary.arm
        of = {"model": model, "candidate": arm.served.candidate, "number": arm.number, "share_ppm": draw.share_ppm}
        units = self._known(model, (*arm.is_of, draw.share_ppm))
        add = self.counters.add
        for row, failure in zip(draw.rows, failed, strict=True):
            if row.bucket is None:
                add(labelled("slipway_unit_missing_total", model=model))
                continue
            name = "canary" if row.in_canary else "champion"
            add(labelled("slipway_arm_rows_total", **of, arm=name))
            if row.bucket not in units and len(units) < MOST_UNITS:
                units.add(row.bucket)
                add(labelled("slipway_arm_units_total", **of, arm=name))
            if failure == "not asked":
                add(labelled("slipway_canary_not_asked_total", model=model, number=arm.number))
            elif failure:
                add(labelled("slipway_arm_failures_total", **of, arm=name, of=failure))
        for name in {"canary" if row.in_canary else "champion" for row in draw.rows}:
            labels = {"model": model, "arm": name}
            add(labelled("slipway_arm_seconds_bucket", **labels, le=bucket_of(seconds)))
            add(labelled("slipway_arm_seconds_sum", **labels), seconds)
            add(labelled("slipway_arm_seconds_count", **labels))

    def _known(self, model: str, share: tuple[str, int, int]) -> set[float]:
        if self._share.get(model) != share:
            self._share[model], self._units[model] = share, set()
        return self._units[model]
