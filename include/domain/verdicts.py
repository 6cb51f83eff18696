"""Verdicts and the evidence behind them. Worst wins, and what is not known is never a pass (docs/design.md, rule 1)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class Verdict(Enum):
    """The outcome of a gate or of one criterion, best first."""

    PASS = "PASS"
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"

    @property
    def badness(self) -> int:
        """Its place in the order above, from 0."""
        return tuple(Verdict).index(self)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of the verdicts; INCONCLUSIVE when there is none, because nothing was judged.

    >>> worst([Verdict.PASS, Verdict.INCONCLUSIVE]), worst([])
    (<Verdict.INCONCLUSIVE: 'INCONCLUSIVE'>, <Verdict.INCONCLUSIVE: 'INCONCLUSIVE'>)
    """
    return max(verdicts, key=lambda v: v.badness, default=Verdict.INCONCLUSIVE)


class Mode(Enum):
    """Whether a gate stops the journey or only reports."""

    BLOCKING = "blocking"
    ADVISORY = "advisory"


class Direction(Enum):
    """Which side of the bound is good."""

    AT_LEAST = "at_least"
    AT_MOST = "at_most"


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """One line of a gate's table.

    ``measured``, ``champion``, ``baseline`` and the interval are None when they could not be measured; NaN is stored as
    None, since a NaN is no measurement. ``allowed`` is the rule in words, for example ``>= 0.65`` or
    ``upper bound of (candidate - champion) <= 0.005``.
    """

    criterion: str
    verdict: Verdict
    measured: float | None
    allowed: str
    rows: int
    reason: str
    direction: Direction | None = None
    bound: float | None = None
    margin: float | None = None
    low: float | None = None
    high: float | None = None
    champion: float | None = None
    baseline: float | None = None

    def as_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["verdict"] = self.verdict.value
        data["direction"] = self.direction.value if self.direction else None
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CriterionResult:
        values = dict(data)
        values["verdict"] = Verdict(values["verdict"])
        values["direction"] = Direction(values["direction"]) if values.get("direction") else None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate says about one candidate, with every criterion it judged. ``notes`` is small JSON for the
    report."""

    gate: str
    mode: Mode
    criteria: tuple[CriterionResult, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        return worst(c.verdict for c in self.criteria)

    @property
    def reason(self) -> str:
        """The sentence that explains the verdict: the reason of the first of the worst criteria."""
        if not self.criteria:
            return f"{self.gate} judged nothing: it has no criteria, so it cannot pass."
        return max(self.criteria, key=lambda c: c.verdict.badness).reason

    def as_json(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "mode": self.mode.value,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "criteria": [c.as_json() for c in self.criteria],
            "notes": dict(self.notes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GateResult:
        return cls(
            gate=data["gate"],
            mode=Mode(data["mode"]),
            criteria=tuple(CriterionResult.from_json(c) for c in data["criteria"]),
            notes=data.get("notes", {}),
        )


def known(value: float | None) -> float | None:
    """The value, or None when it is None, NaN or infinite: those are no measurements."""
    return None if value is None or not math.isfinite(value) else float(value)


def against_bound(  # noqa: PLR0913 - each is a field of the result, whose form the ledger keeps
    criterion: str,
    value: float | None,
    direction: Direction,
    bound: float,
    *,
    rows: int,
    min_rows: int = 1,
    champion: float | None = None,
    baseline: float | None = None,
) -> CriterionResult:
    """Judge one measured value against an absolute bound. The bound is inclusive.

    Too few rows, None, NaN and infinity are INCONCLUSIVE.

    >>> against_bound("roc_auc", 0.8, Direction.AT_LEAST, 0.8, rows=100).verdict
    <Verdict.PASS: 'PASS'>
    """
    measured = known(value)
    sign = ">=" if direction is Direction.AT_LEAST else "<="
    allowed = f"{sign} {bound:g}"
    if rows < min_rows:
        verdict, reason = (
            Verdict.INCONCLUSIVE,
            f"{criterion} was measured on {rows:,} rows; at least {min_rows:,} are needed.",
        )
    elif measured is None:
        verdict, reason = Verdict.INCONCLUSIVE, f"{criterion} could not be measured ({value}); that is no evidence."
    else:
        good = measured >= bound if direction is Direction.AT_LEAST else measured <= bound
        verdict = Verdict.PASS if good else Verdict.FAIL
        shown = f"{measured:,.0f}" if measured.is_integer() and abs(measured) < 1e15 else f"{measured:.4g}"
        reason = f"{criterion} {shown} is {'within' if good else 'outside'} its bound {allowed} on {rows:,} rows."
    return CriterionResult(
        criterion=criterion,
        verdict=verdict,
        measured=measured,
        allowed=allowed,
        rows=rows,
        reason=reason,
        direction=direction,
        bound=bound,
        champion=known(champion),
        baseline=known(baseline),
    )
