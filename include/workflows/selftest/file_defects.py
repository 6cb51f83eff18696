"""The defects of a candidate's file: how long it takes, how large it is, which columns it takes, and that it is another
than the one that was judged."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.adapters import estimators, packing
from include.domain.gates.latency import MB
from include.workflows.evidence import packed_form
from include.workflows.scoring import fitted_models, packed_files
from include.workflows.selftest.candidates import SeededCandidate, Slow, signature_of, timed
from include.workflows.selftest.seeds import LARGER, SLOWER
from include.workflows.selftest.world import World

LITTLE = 3000
"""Training rows of a candidate whose answers do not matter."""


def slow(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    """Ten times the twin's own time; where only a budget is declared, ten times that."""
    gate, own = world.model.gates.latency_gate, twin.timing
    if gate is None or twin.artifact is None or own is None:
        raise ValueError("latency_gate is not declared")  # its seed does not apply then
    beside = gate.times_champion_at_most is not None and gate.times_champion_at_most <= SLOWER / 2

    def further_s(rows: int) -> float:
        budgets = [gate.p50_ms_at_most, gate.p99_ms_at_most] if rows == 1 else [gate.batch_ms_per_1k_at_most]
        known = [b for b in budgets if b is not None]
        least_ms = 0.0 if beside or not known else SLOWER * max(known)
        measured_ms = (own.p50_ms if rows == 1 else own.batch_ms_per_1k) or 0.0
        return max((SLOWER - 1) * measured_ms, least_ms) / 1000

    slow = Slow(world.twin, further_s)
    timing, _ = timed(world, slow, twin.artifact[0], folder, slow.clock)
    return replace(twin, timing=timing)


def large(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    """Fifty times its own size; where only a budget is declared, fifty times that. The file is one of holes."""
    gate = world.model.gates.latency_gate
    if gate is None or twin.artifact is None or twin.timing is None:
        raise ValueError("latency_gate is not declared")  # its seed does not apply then
    size = LARGER * twin.artifact[0].stat().st_size
    beside = gate.size_times_champion_at_most is not None and gate.size_times_champion_at_most <= LARGER / 2
    if not beside and gate.model_mb_at_most is not None:
        size = max(size, int(LARGER * gate.model_mb_at_most * MB))
    file = folder / "large.skops"
    with file.open("wb") as opened:
        opened.truncate(size)
    return replace(twin, timing=replace(twin.timing, model_bytes=float(file.stat().st_size)))


def dropped(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    gone = _column_of_callers(world)
    return _taking(world, twin, lambda rows: rows.drop(columns=gone), {gone: None})


def renamed(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    old = _column_of_callers(world)
    return _taking(world, twin, lambda rows: rows.rename(columns={old: f"{old}_v2"}), {old: f"{old}_v2"})


def _column_of_callers(world: World) -> str:
    gate = world.model.gates.signature_gate
    allowed = set(gate.may_drop) if gate else set()
    return next(f for f in reversed(world.model.features) if f not in allowed)


def retyped(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    kinds = fitted_models.kinds_of(world.model)
    name = next((f for f, kind in kinds.items() if kind == "numeric"), world.model.features[0])
    to_number = kinds[name] == "categorical"

    def retype(values: pd.Series[Any]) -> pd.Series[Any]:
        if to_number:
            return pd.Series(pd.factorize(values)[0], values.index, dtype=float)
        return values.round(1).astype(str).astype(object)

    changed = {name: "numeric" if to_number else "categorical"}
    return _taking(world, twin, lambda rows: rows.assign(**{name: retype(rows[name])}), {}, changed)


def _taking(
    world: World,
    twin: SeededCandidate,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    names: Mapping[str, str | None],
    kinds: Mapping[str, str] | None = None,
) -> SeededCandidate:
    """A candidate fitted on other columns; its signature is what such a model really has."""
    declared = fitted_models.spec_of(world.model)
    taken = {names.get(f, f): (kinds or {}).get(f, kind) for f, kind in declared.kinds.items()}
    spec = replace(declared, kinds={f: kind for f, kind in taken.items() if f is not None})
    rows = change(twin.features.iloc[:LITTLE])
    pipeline = estimators.fit(estimators.build(spec), rows, twin.label[:LITTLE])
    classes = world.model.label.classes
    return replace(twin, signature=signature_of(world.model, pipeline, rows, classes))


def tampered(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    if twin.artifact is None:
        raise ValueError("smoke_gate is not declared")  # its seed does not apply then
    file, digest = folder / "tampered.skops", twin.artifact[1]
    shutil.copyfile(twin.artifact[0], file)
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        byte = opened.read(1)
        opened.seek(-1, 1)
        opened.write(bytes([byte[0] ^ 0xFF]))
    return replace(twin, artifact=(file, digest))


def off_by_a_unit(world: World, twin: SeededCandidate, folder: Path) -> SeededCandidate:
    """Its trees divide one unit in the last place lower, which real rows hardly ever show; a linear model adds as
    much."""
    if twin.packed is None:
        raise ValueError("packed_gate is not declared")  # its seed does not apply then
    if twin.packed.why_not is not None:
        return replace(twin)
    model = packed_files.opened(twin.packed.content)
    name = "threshold" if "threshold" in model.arrays else "intercept"
    moved = {**model.arrays, name: np.nextafter(model.arrays[name], -np.inf)}
    return replace(twin, packed=packed_form.Packing(packing.written(moved)))
