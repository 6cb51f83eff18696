"""``latency_gate``: is the candidate quick and small enough, by itself and beside the champion?

Only times taken on the same machine can be compared, so those of another machine are no evidence. The multiple of the
champion's time is asked of the median and of the batch, and not of the 99th percentile: of a few hundred single rows
that is two or three rows, and depends more on the machine's other work than on the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from include.domain.timing import Timing
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound, known

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class LatencyRules:
    """Bounds as in the declaration; None is not judged. ``repeats`` is the fewest single rows timed."""

    p50_ms_at_most: float | None = None
    p99_ms_at_most: float | None = None
    batch_ms_per_1k_at_most: float | None = None
    model_mb_at_most: float | None = None
    times_champion_at_most: float | None = None
    size_times_champion_at_most: float | None = None
    repeats: int = 200
    batch_p90_ms_per_1k_at_most: float | None = None


def latency_gate(
    rules: LatencyRules, candidate: Timing | None, champion: Timing | None, *, mode: Mode, has_champion: bool
) -> GateResult:
    """Judge the candidate's times and size.

    Args:
        rules: what was declared.
        candidate: its times; None when they could not be taken, which is INCONCLUSIVE.
        champion: the champion's, taken next to the candidate's; None when there is none or it could not be loaded.
        mode: blocking or advisory.
        has_champion: whether the model has a champion. Without one the multiples cannot be judged; where nothing
            else is declared, that is INCONCLUSIVE.
    """
    ours = candidate or Timing("unknown", 0)
    criteria = [*_against_budget(rules, ours, champion), *_against_champion(rules, ours, champion, has_champion)]
    if not criteria:
        criteria.append(_nothing_to_judge(ours.repeats))
    notes: dict[str, Any] = {"machine": ours.machine, "candidate": _shown(ours)}
    if champion is not None:
        notes["champion"] = _shown(champion)
    return GateResult("latency_gate", mode, tuple(criteria), notes)


def _against_budget(rules: LatencyRules, ours: Timing, champion: Timing | None) -> Iterator[CriterionResult]:
    comparable = champion if champion is not None and champion.machine == ours.machine else None
    for name, part, bound in (
        ("p50 of one row in ms", "p50_ms", rules.p50_ms_at_most),
        ("p99 of one row in ms", "p99_ms", rules.p99_ms_at_most),
        ("ms per 1,000 rows", "batch_ms_per_1k", rules.batch_ms_per_1k_at_most),
        ("p90 of 1,000 rows in ms", "batch_p90_ms_per_1k", rules.batch_p90_ms_per_1k_at_most),
        ("model size in MB", "model_bytes", rules.model_mb_at_most),
    ):
        if bound is None:
            continue
        shown = comparable if part != "model_bytes" else champion
        value, theirs = _positive(getattr(ours, part)), _positive(getattr(shown, part)) if shown else None
        if part == "model_bytes":
            value, theirs = _in_mb(value), _in_mb(theirs)
        yield against_bound(
            name,
            value,
            Direction.AT_MOST,
            bound,
            rows=ours.repeats,
            min_rows=_enough(rules, part),
            champion=theirs,
        )


def _against_champion(
    rules: LatencyRules, ours: Timing, champion: Timing | None, has_champion: bool
) -> Iterator[CriterionResult]:
    if not has_champion:
        return
    for name, part, bound in (
        ("p50 / champion's", "p50_ms", rules.times_champion_at_most),
        ("batch / champion's", "batch_ms_per_1k", rules.times_champion_at_most),
        ("size / champion's", "model_bytes", rules.size_times_champion_at_most),
    ):
        if bound is None:
            continue
        is_time = part != "model_bytes"
        value, theirs = _positive(getattr(ours, part)), _positive(getattr(champion, part)) if champion else None
        why = None
        if theirs is None:
            why = "the champion was not measured"
        elif value is None:
            why = "the candidate was not measured"
        elif is_time and champion is not None and champion.machine != ours.machine:
            why = f"the candidate was timed on {ours.machine}, the champion on {champion.machine}"
        times = value / theirs if why is None and value is not None and theirs is not None else None
        enough = _enough(rules, part)
        result = against_bound(name, times, Direction.AT_MOST, bound, rows=ours.repeats, min_rows=enough, champion=1.0)
        if why is not None:
            result = replace(result, reason=f"{name} could not be measured: {why}; that is no evidence.", champion=None)
        elif result.verdict is Verdict.FAIL:
            result = replace(result, reason=f"{name} is {times:.3g}: more than {bound:g} times the champion's.")
        yield result


def _enough(rules: LatencyRules, part: str) -> int:
    """The fewest timed rows that show this part; a size needs none."""
    return rules.repeats if part in ("p50_ms", "p99_ms") else 1 if part.startswith("batch_") else 0


def _nothing_to_judge(rows: int) -> CriterionResult:
    return CriterionResult(
        criterion="budget",
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed="a declared bound",
        rows=rows,
        reason="There is no champion to be measured beside and no budget is declared, so nothing was judged.",
    )


def _positive(value: float | None) -> float | None:
    """A time or size, or None: what is not above zero was not measured."""
    number = known(value)
    return number if number is not None and number > 0 else None


def _in_mb(value: float | None) -> float | None:
    return None if value is None else value / MB


def _shown(timing: Timing) -> dict[str, Any]:
    parts = ("p50_ms", "p99_ms", "batch_ms_per_1k", "batch_p90_ms_per_1k", "model_bytes")
    return {"repeats": timing.repeats, **{part: _positive(getattr(timing, part)) for part in parts}}
