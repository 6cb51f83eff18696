"""The seeded bad candidates themselves: each is the honest twin with one defect, in the place where a real candidate
would have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.adapters import estimators
from include.config.measured_by import metrics_of
from include.config.slice_gate import Fairness
from include.domain.gates import Availability, Evidence, Mode, slice_gate
from include.domain.gates.grouping import group
from include.domain.incident import Incident, Stage
from include.domain.metrics import Metric, Task, metric_of
from include.domain.weighted_metrics import measure_weighted
from include.domain.weights import effective_rows
from include.workflows.gates.shadow import ERROR_SHARE, NAN_SHARE
from include.workflows.scoring import fitted_models
from include.workflows.selftest import file_defects, live_defects
from include.workflows.selftest.candidates import Altered, Change, Scores, SeededCandidate
from include.workflows.selftest.file_defects import LITTLE
from include.workflows.selftest.world import World

MARGINS = 3.0
"""How many margins worse a candidate is that is meant to be stopped for being worse."""
Maker = Callable[[World, SeededCandidate, Path], SeededCandidate]
UNLUCKY = 0.9
"""The worth of a slice's rows, as a share of that of all rows, at least."""
SLICES = 40
"""Into how many slices the rows of one candidate are cut."""
# --- training rows ---------------------------------------------------------------------------------------------------


def _one_label(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    return replace(twin, label=np.full_like(twin.label, twin.label[0]))


def _leaked(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    declared = world.model.gates.leakage_gate
    judged = [f for f in world.model.features if f not in (declared.known_strong if declared else ())]
    kinds = fitted_models.kinds_of(world.model)
    leak = next((f for f in judged if kinds[f] == "numeric"), judged[0])

    def leaking(features: pd.DataFrame, y: np.ndarray[Any, Any]) -> pd.DataFrame:
        values = [f"label-{v}" for v in y] if kinds[leak] == "categorical" else y.astype(float)
        return features.assign(**{leak: pd.Series(values, index=features.index)})

    features = leaking(twin.features, twin.label)
    scorer = world.fitted(features.iloc[:LITTLE], twin.label[:LITTLE])
    return replace(twin, features=features, scorer=scorer, held_out=leaking(twin.held_out, world.holdout.y))


def _late(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    feature = world.model.features[-1]
    rows = len(twin.features)
    late = {**dict.fromkeys(world.model.features, 0), feature: rows}
    return replace(twin, availability=Availability(rows, late, {feature: timedelta(hours=1)}))


def _shuffled(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    label = np.random.default_rng(world.seed).permutation(twin.label)
    return replace(twin, label=label, scorer=world.fitted(twin.features, label))


# --- answers ---------------------------------------------------------------------------------------------------------


def _constant(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    if world.model.task == "multiclass":
        mean: Any = np.bincount(world.train.y, minlength=len(world.model.label.classes or [])) / len(world.train.y)
    else:
        mean = float(world.train.y.mean())
    return _altered(world, twin, lambda scores, rows: np.full_like(scores, 1.0) * mean)


def _inverted(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    return _altered(world, twin, lambda scores, rows: _opposite(world, scores))


def _worse(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    return _altered(world, twin, _off_by(world, twin, MARGINS))


def _off_by(world: World, twin: SeededCandidate, margins: float) -> Change:
    """What makes the twin worse than the champion by so many margins in each comparison."""
    everywhere = np.ones(len(twin.held_out), dtype=bool)
    rules = world.model.gates.champion_gate.rules(metrics_of(world.model)).on(_honest(world, twin)).comparisons
    weight = max(_weight_for(world, rule.metric, margins * rule.margin, everywhere) for rule in rules)
    return lambda scores, rows: _mixed(world, scores, weight)


def _ineffective(dated: bool) -> Maker:
    """Half a margin worse than the champion: a schedule's candidate of this kind may pass, an alarm's may not."""

    def made(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
        alarm = Incident(
            opened_on="2000-01-02",
            version="the champion",
            metric=world.model.drift.performance.metric,
            anchor=0.0,
            band=0.0,
            changed_on="2000-01-01",
            stage=Stage.OPEN,
            serving="the champion",
            dated=dated,
        )
        return replace(_altered(world, twin, _off_by(world, twin, 0.5)), alarm=alarm)

    return made


def _creeping(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    """What serves is two and a half margins worse than the champion before it, and the candidate three."""
    serves = Altered(world.twin, world.model, _off_by(world, twin, MARGINS - 0.5))
    return replace(_worse(world, twin, folder), crept=serves)


def _champion(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    return replace(twin, scorer=world.champion)


def _nan(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    hit = _some_rows(world, NAN_SHARE)

    def change(scores: Scores, rows: pd.DataFrame) -> Scores:
        scores[hit(rows)] = np.nan
        return scores

    return _altered(world, twin, change)


def _error(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    hit = _some_rows(world, ERROR_SHARE)

    def change(scores: Scores, rows: pd.DataFrame) -> Scores:
        if hit(rows).any():
            raise ValueError("a row that this candidate cannot answer (seeded)")
        return scores

    return _altered(world, twin, change)


def _slice(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    """The smallest slice that is judged on its own, so that it shows least in the whole."""
    gates = world.model.gates
    if gates.slice_gate is None:
        raise ValueError("slice_gate is not declared")  # its seed does not apply then
    rules = gates.slice_gate.rules(gates.champion_gate, own=metrics_of(world.model)).on(_honest(world, twin))
    column, values = rules.columns[0], twin.held_out[rules.columns[0]]
    groups = group(column, values)
    supported = [i for i, size in enumerate(groups.sizes) if size * _worth(world) >= rules.min_rows] or [0]
    chosen = groups.rows_of(supported[-1])
    weight = _weight_for(world, rules.metric, MARGINS * max(rules.margin, rules.floor), chosen)
    inside = _members(values[chosen])

    def change(scores: Scores, rows: pd.DataFrame) -> Scores:
        mask = inside(rows[column])
        scores[mask] = _mixed(world, scores[mask], weight)
        return scores

    return _altered(world, twin, change)


def _among_forty(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    """Its rows are cut into forty slices that have nothing to do with their features, or as many as have the support.
    In the first it is worse by three margins, or three times what the gate's own reason says is stopped nine times in
    ten of slices that scatter like the honest twin's: being worse makes it scatter more."""
    gates = world.model.gates
    if gates.slice_gate is None:
        raise ValueError("slice_gate is not declared")  # its seed does not apply then
    honest = _honest(world, twin)
    rules = gates.slice_gate.rules(gates.champion_gate, own=metrics_of(world.model)).on(honest)
    marks, rows = _marks(twin.held_out), len(twin.held_out)
    size = rows // max(min(SLICES, int(rows * _worth(world)) // rules.min_rows), 1)
    first = np.sort(marks)[size - 1]
    place = np.empty(rows, dtype=int)
    place[np.argsort(marks, kind="stable")] = np.arange(rows)
    names = [f"made {min(at // size, rows // size - 1):02d}" for at in place]
    made = {rules.columns[0]: pd.Series(names, index=twin.held_out.index)}

    own = isinstance(rules.metric, Metric) and rules.metric.of_values
    said = {} if own else slice_gate(rules, honest, made, mode=Mode.BLOCKING, has_champion=True).notes["stopped_from"]
    stopped_from = said.get(f"{rules.columns[0]}=made 00 {rules.metric}", 0.0)
    target = MARGINS * max(rules.margin, rules.floor, stopped_from)
    weight = _weight_for(world, rules.metric, target, marks <= first)

    def change(scores: Scores, asked_rows: pd.DataFrame) -> Scores:
        mask = _marks(asked_rows) <= first
        scores[mask] = _mixed(world, scores[mask], weight)
        return scores

    return replace(_altered(world, twin, change), slices=made)


def _group(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    gate = world.model.gates.slice_gate
    rule = gate.fairness[0] if gate else None
    if rule is None:
        raise ValueError("no fairness rule is declared")  # its seed does not apply then
    values = twin.held_out[rule.groups]
    groups = group(rule.groups, values)
    scores = estimators.predict(world.champion, twin.held_out, classes=world.model.class_count)
    decided = scores > rule.threshold if world.model.is_classifier else scores
    supported = [i for i, size in enumerate(groups.sizes) if size * _worth(world) >= rule.min_group_rows] or [0]
    lowest = min(supported, key=lambda i: float(decided[groups.rows_of(i)].mean()))
    worse, inside = _worse_for_a_group(world, rule, scores), _members(values[groups.rows_of(lowest)])

    def change(found: Scores, rows: pd.DataFrame) -> Scores:
        mask = inside(rows[rule.groups])
        found[mask] = worse(found[mask])
        return found

    return _altered(world, twin, change)


def _worse_for_a_group(world: World, rule: Fairness, scores: Scores) -> Callable[[Scores], Scores]:
    """A classifier decides against the whole group; a regression is off for it, by much more than is tolerated."""
    if world.model.is_classifier:
        return lambda found: found * rule.threshold
    off = 4 * max(rule.margin, rule.gap_at_most or 0.0) + 2 * float(np.std(scores))
    return lambda found: found - off


def _miscalibrated(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    """The fourth root of every probability: in the same order, and far too high."""

    def change(scores: Scores, rows: pd.DataFrame) -> Scores:
        high = np.sqrt(np.sqrt(scores))
        return high if scores.ndim == 1 else np.asarray(high / high.sum(axis=1, keepdims=True))

    return _altered(world, twin, change)


# --- classes ---------------------------------------------------------------------------------------------------------


def _swapped(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    classes = list(reversed(world.model.label.classes or []))
    signature = None
    if twin.signature is not None:
        signature = replace(twin.signature, classes=tuple(classes))
    return replace(_altered(world, twin, lambda scores, rows: _opposite(world, scores)), signature=signature)


MAKERS: dict[str, Maker] = {
    "one label only": _one_label,
    "leaked label": _leaked,
    "late feature": _late,
    "labels shuffled": _shuffled,
    "constant": _constant,
    "inverted": _inverted,
    "worse than champion": _worse,
    "learned nothing of the change": _ineffective(dated=True),
    "promotion that cures nothing": _ineffective(dated=False),
    "creeping series": _creeping,
    "champion wired twice": _champion,
    "NaN on 1 % of rows": _nan,
    "error on 0.5 % of rows": _error,
    "one slice ruined": _slice,
    "one of forty slices": _among_forty,
    "one group worse": _group,
    "miscalibrated": _miscalibrated,
    "10 times slower": file_defects.slow,
    "50 times larger": file_defects.large,
    "column dropped": file_defects.dropped,
    "column retyped": file_defects.retyped,
    "column renamed": file_defects.renamed,
    "classes swapped": _swapped,
    "artifact tampered": file_defects.tampered,
    "packed form off by a unit": file_defects.off_by_a_unit,
    "error on 5 % of rows": live_defects.failing,
    "10 times slower live": live_defects.slow,
    "one feature swapped": live_defects.misfed,
    "one slice inverted": live_defects.inverted_slice,
}
"""By the seed's name, what makes it of the world, the honest twin and a folder for files."""


# --- shared ----------------------------------------------------------------------------------------------------------


def _altered(world: World, twin: SeededCandidate, change: Change) -> SeededCandidate:
    return replace(twin, scorer=Altered(world.twin, world.model, change))


def _opposite(world: World, scores: Scores) -> Scores:
    if world.model.task == "regression":
        return 2 * float(world.train.y.mean()) - scores
    return 1 - scores if scores.ndim == 1 else np.ascontiguousarray(scores[:, ::-1])


def _honest(world: World, twin: SeededCandidate) -> Evidence:
    """The twin, the champion and the baseline on the holdout."""
    asked = {"classes": world.model.class_count}
    ours, theirs = (estimators.predict(p, twin.held_out, **asked) for p in (world.twin, world.champion))
    holdout = world.holdout
    found = Evidence(Task(world.model.task), holdout.y, ours, theirs, world.baseline, holdout.days)
    return found.weighted(holdout.weight)


def _worth(world: World) -> float:
    """How many rows of equal weight a held-out row is worth, at least, in a slice of them; 1 without weights."""
    weight = world.holdout.weight
    return 1.0 if weight is None else UNLUCKY * effective_rows(weight) / len(weight)


def _mixed(world: World, scores: Scores, weight: float) -> Scores:
    return (1 - weight) * scores + weight * _opposite(world, scores)


def _weight_for(world: World, metric: str | Metric, target: float, rows: NDArray[np.bool_]) -> float:
    """How much of the opposite to mix in, from 0 to 1, so that the twin is worse than the champion by ``target`` on
    these rows of the holdout. Without a margin a twentieth of the champion's own value is the target. Always 1 for a
    business metric, whose values need more than scores."""
    if isinstance(metric, Metric) and metric.of_values:
        return 1.0
    task, features, y = Task(world.model.task), world.holdout.features, world.holdout.y[rows].astype(float)
    counts = None if world.holdout.weight is None else world.holdout.weight[rows]
    ours, theirs = (
        estimators.predict(pipeline, features, classes=world.model.class_count)[rows]
        for pipeline in (world.twin, world.champion)
    )
    sign, other = metric_of(task, metric).worse_sign, measure_weighted(task, metric, y, theirs, counts).value
    if other is None:
        return 1.0
    wanted = target if target > 0 else 0.05 * abs(other)
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        value = measure_weighted(task, metric, y, _mixed(world, ours, middle), counts).value
        reached = value is not None and sign * (value - other) >= wanted
        low, high = (low, middle) if reached else (middle, high)
    return high


def _some_rows(world: World, share: float) -> Callable[[pd.DataFrame], NDArray[np.bool_]]:
    """Which rows of a frame are among the held-out rows that were drawn; the same rows for every candidate."""
    marks = _marks(world.holdout.features)
    last = np.sort(marks)[max(int(np.ceil(share * len(marks))) - 1, 0)]
    return lambda rows: _marks(rows) <= last


def _marks(rows: pd.DataFrame) -> NDArray[np.uint64]:
    return np.asarray(pd.util.hash_pandas_object(rows, index=False), dtype=np.uint64)


def _members(chosen: pd.Series[Any]) -> Callable[[pd.Series[Any]], NDArray[np.bool_]]:
    """Which values are in the group that these rows of the holdout are: one of its values, or within its band."""
    if pd.api.types.is_numeric_dtype(chosen.dtype):
        low, high, missing = chosen.min(), chosen.max(), bool(chosen.isna().all())
        return lambda values: np.asarray(values.isna() if missing else values.between(low, high), dtype=bool)
    own = set(chosen.dropna())
    return lambda values: np.asarray(values.isin(own) | (values.isna() & bool(chosen.isna().any())), dtype=bool)
