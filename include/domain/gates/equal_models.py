"""How likely an equal candidate passes the gates, from the rows of the last holdout.

Two equal models with the observed variation between days are made of the last candidate and champion: days are drawn
with replacement, and on each drawn day it is a coin whose answers count as the candidate's. Then neither is better, and
their differences vary between days as those of the two did. Where the two are in truth far apart the coin makes the
days differ more than they do, so the probability errs to the low side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from include.domain.gap import Gap, Tolerated
from include.domain.gates.evidence import Evidence, RowValues
from include.domain.metrics import Floats
from include.domain.verdicts import GateResult, Verdict

ENOUGH = 0.8
"""The probability below which a declaration is called unlikely to let an equal model pass."""


@dataclass(frozen=True, slots=True)
class EqualModelPasses:
    """How often an equal model passes one gate, ``passed`` in [0, 1], on ``resamples`` of the holdout; and where that
    is below ``ENOUGH`` the criterion that stops it most, with what would help."""

    gate: str
    passed: float
    resamples: int
    stopped_by: str | None = None
    helps: str | None = None

    @property
    def line(self) -> str:
        said = f"{self.gate}: an equal model passes with a probability of about {self.passed:.0%}"
        if self.stopped_by is None:
            return f"{said}."
        return f"{said}, below {ENOUGH:.0%}. It is mostly stopped by {self.stopped_by}: {self.helps}."

    def as_json(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "passed": self.passed,
            "resamples": self.resamples,
            "stopped_by": self.stopped_by,
            "helps": self.helps,
        }


def equal_models(
    evidence: Evidence, columns: Mapping[str, ArrayLike], *, resamples: int, seed: int = 0
) -> Iterator[tuple[Evidence, dict[str, NDArray[Any]]]]:
    """Pairs of equal models on resampled days, with the rows' columns.

    Args:
        evidence: of the last candidate and champion, with days.
        columns: by name the ``(n,)`` values of the columns that slices are cut by.
        resamples: how many.
        seed: of the draws.

    Raises:
        ValueError: the evidence has no champion or no days.
    """
    theirs, days = evidence.champion, evidence.days
    if theirs is None or days is None:
        raise ValueError("equal models are made of a candidate and a champion on rows of days; one of these is missing")
    rng, count = np.random.default_rng(seed), int(days.max()) + 1 if len(days) else 0
    rows_of = [np.flatnonzero(days == day) for day in range(count)]
    values = {name: np.asarray(column) for name, column in columns.items()}
    for _ in range(resamples):
        drawn = rng.integers(0, count, count)
        rows = np.concatenate([rows_of[day] for day in drawn])
        sizes = [len(rows_of[day]) for day in drawn]
        swapped = np.repeat(rng.random(count) < 0.5, sizes)
        ours, other = _swapped(evidence.candidate, theirs, rows, swapped)
        business = {name: _values(row, rows, swapped) for name, row in evidence.values.items()}
        yield (
            Evidence(
                evidence.task,
                evidence.y[rows],
                ours,
                other,
                None if evidence.baseline is None else evidence.baseline[rows],
                np.repeat(np.arange(count), sizes),
                business,
            ).weighted(None if evidence.weight is None else evidence.weight[rows]),
            {name: column[rows] for name, column in values.items()},
        )


def _swapped(one: Floats, other: Floats, rows: NDArray[Any], swapped: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    first, second = one[rows], other[rows]
    mask = swapped if first.ndim == 1 else swapped[:, None]
    return np.where(mask, second, first), np.where(mask, first, second)


def _values(values: RowValues, rows: NDArray[Any], swapped: NDArray[np.bool_]) -> RowValues:
    baseline = None if values.baseline is None else values.baseline[rows]
    if values.champion is None:
        return RowValues(values.candidate[rows], None, baseline)
    return RowValues(*_swapped(values.candidate, values.champion, rows, swapped), baseline)


def passes_of(results: Sequence[GateResult]) -> EqualModelPasses:
    """What the results of one gate on such pairs say; at least one result."""
    gate, of = results[0].gate, len(results)
    passed = sum(result.verdict is Verdict.PASS for result in results) / of
    if passed >= ENOUGH:
        return EqualModelPasses(gate, passed, of)
    stops: dict[str, int] = {}
    for result in results:
        for criterion in result.criteria:
            if criterion.verdict is not Verdict.PASS:
                stops[criterion.criterion] = stops.get(criterion.criterion, 0) + 1
    worst = max(stops, key=lambda name: stops[name], default=None)
    if worst is None:
        return EqualModelPasses(gate, passed, of, "having no criterion", "declare one")
    return EqualModelPasses(gate, passed, of, worst, _help(results, worst))


def _help(results: Sequence[GateResult], name: str) -> str:
    """What would let an equal model pass the criterion with ``ENOUGH``."""
    lines = [c for result in results for c in result.criteria if c.criterion == name]
    highs = [c.high for c in lines if c.high is not None]
    margin = next((c.margin for c in lines if c.margin is not None), None)
    if margin is None or margin <= 0 or len(highs) < len(lines) / 2:
        return "more held-out rows or days, or a bound that equal models meet"
    wanted = float(np.quantile(highs, ENOUGH))
    noted = (result.notes.get("margins", {}).get(name, {}) for result in results)
    gap = next((Gap(each["gap"], each["to_perfect"]) for each in noted if each.get("gap") is not None), None)
    return f"more held-out days, or a margin of {Tolerated(float(f'{wanted:.2g}'), gap=gap)} instead of {margin:g}"
