"""A gate of a team's own: its evidence, and how its answer becomes a verdict.

The function is a team's, the verdict is not: whatever it returns or raises, nothing passes without a criterion that was
measured and passed. An answer that is no criterion is INCONCLUSIVE, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from include.domain.gates.evidence import Evidence
from include.domain.metrics import Floats, Ints
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict

MOST_CRITERIA = 1_000
ANSWER = "answer"
"""The criterion that says why there is no verdict."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What a team's own gate judges on: the held-out rows, newer than both training windows, scored by candidate,
    champion and baseline.

    All parts are of the same ``n`` rows in the same order, and none can be written to.

    Attributes:
        model: the model's name.
        task: ``binary``, ``multiclass`` or ``regression``.
        classes: the class labels in the order of the outputs; empty for a regression.
        rows: what is known of each row: its features, and in a journey its keys and ``event_time``.
        labels: ``(n,)``: 0 or 1, a class's position, or the value; NaN is a missing one.
        scores: the candidate's: ``(n,)`` probabilities of the last of two classes, ``(n, classes)`` of more, or values.
        champion: the champion's scores of the same rows; None where there is no champion, or it could not answer.
        baseline: the naive baseline's; None where there is none.
        days: ``(n,)``: a number for each day, in order; rows of one day are not independent. None where days are not
            known.
        weights: ``(n,)``: how much each row counts, above 0, as in every other gate; None where all count the same.
    """

    model: str
    task: str
    classes: tuple[str, ...]
    rows: pd.DataFrame
    labels: Floats
    scores: Floats
    champion: Floats | None
    baseline: Floats | None
    days: Ints | None
    weights: Floats | None = None

    @classmethod
    def of(cls, model: str, classes: Iterable[str], evidence: Evidence, rows: pd.DataFrame) -> HeldOut:
        """The evidence of the other gates, as copies that cannot be written to."""
        many = (evidence.y, evidence.candidate, evidence.champion, evidence.baseline, evidence.days, evidence.weight)
        labels, scores, champion, baseline, days, weights = (_sealed(values) for values in many)
        own = rows.reset_index(drop=True)
        return cls(model, evidence.task.value, tuple(classes), own, labels, scores, champion, baseline, days, weights)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.labels)


def _sealed(values: Any) -> Any:
    if values is None:
        return None
    copy = np.array(values)
    copy.flags.writeable = False
    return copy


def own_gate(name: str, mode: Mode, asked: Callable[[], object], *, path: str, rows: int) -> GateResult:
    """The verdict that follows from the answer of a team's function.

    Args:
        name: the gate's.
        mode: blocking or advisory.
        asked: calls the function.
        path: how it is declared, for the reasons.
        rows: how many held-out rows there were.
    """
    try:
        # A generator runs while it is read, and what a criterion holds may be anything: so both belong in here.
        criteria = tuple(_checked(one, path) for one in _several(asked(), path))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a team's function may raise anything: that is no verdict
        said = (str(error).strip().splitlines() or ["no reason given"])[0]
        what = said if isinstance(error, _NoAnswer) else f"{path} raised {type(error).__name__}: {said}"
        return GateResult(name, mode, (_unjudged(what, rows),), {"path": path})
    return GateResult(name, mode, criteria, {"path": path})


class _NoAnswer(ValueError):
    """What the function returned is not criteria."""


def _several(returned: object, path: str) -> list[CriterionResult]:
    way = "return one or more criteria, which include.domain.gates.against_bound makes"
    if isinstance(returned, CriterionResult):
        return [returned]
    if not isinstance(returned, list | tuple | Iterator):
        raise _NoAnswer(f"{path} returned {_described(returned)}; {way}")
    several = list(islice(returned, MOST_CRITERIA + 1))
    if not several:
        raise _NoAnswer(f"{path} returned no criteria; {way}")
    if len(several) > MOST_CRITERIA:
        raise _NoAnswer(f"{path} returned more than {MOST_CRITERIA:,} criteria; {way}")
    strange = next((one for one in several if not isinstance(one, CriterionResult)), None)
    if strange is not None or None in several:
        raise _NoAnswer(f"{path} returned {_described(strange)} among its criteria; {way}")
    return several


def _described(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"


def _checked(one: CriterionResult, path: str) -> CriterionResult:
    """The criterion with numbers that are numbers; a PASS that its own numbers do not show is INCONCLUSIVE."""
    plain = replace(
        one,
        criterion=str(one.criterion) or ANSWER,
        allowed=str(one.allowed),
        reason=str(one.reason) or f"{path} gave no reason.",
        rows=_whole(one.rows),
        measured=_number(one.measured),
        bound=_number(one.bound),
        margin=_number(one.margin),
        low=_number(one.low),
        high=_number(one.high),
        champion=_number(one.champion),
        baseline=_number(one.baseline),
    )
    why = _why_not(one, plain)
    if why is None:
        return plain
    direction = plain.direction if isinstance(plain.direction, Direction) else None
    reason = f"{plain.criterion} is no evidence: {why}."
    return replace(plain, verdict=Verdict.INCONCLUSIVE, direction=direction, reason=reason)


def _why_not(given: CriterionResult, plain: CriterionResult) -> str | None:
    """Why the criterion's own verdict cannot count, as a clause; None when it can."""
    if not isinstance(given.verdict, Verdict):
        return f"its verdict is {given.verdict!r}, which is none"
    if given.direction is not None and not isinstance(given.direction, Direction):
        return f"its direction is {given.direction!r}, which is none"
    if given.verdict is not Verdict.PASS:
        return None
    if plain.measured is None:
        return f"it says PASS and measured {given.measured!r}"
    if plain.rows < 1:
        return "it says PASS on no rows"
    if given.bound is not None and plain.bound is None:
        return f"it says PASS, and its bound is {given.bound!r}"
    if plain.direction is None or plain.bound is None:
        return None
    at_least = plain.direction is Direction.AT_LEAST
    # A comparison is judged by the end of its interval, as in champion_gate.
    end = plain.low if at_least else plain.high
    compared = plain.measured if plain.margin is None or end is None else end
    good = compared >= plain.bound if at_least else compared <= plain.bound
    return None if good else f"it says PASS, and {compared:g} is outside its bound {plain.bound:g}"


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _whole(value: object) -> int:
    number = _number(value)
    return max(int(number), 0) if number is not None else 0


def _unjudged(why: str, rows: int) -> CriterionResult:
    return CriterionResult(
        criterion=ANSWER,
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed="criteria",
        rows=rows,
        reason=f"Nothing was judged: {why.rstrip('.')}.",
    )
