"""The selftest: every gate of a model judges candidates that were made to fail it, and an honest one.

What judges is what judges in a journey (``judges``, ``gate_rules``, the domain's gates, ``scoring`` and ``smoke``).
What is written is written to a folder that is gone afterwards: no ledger, no registry and no prediction log is touched.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.adapters import estimators
from include.config import ModelDeclaration, declarations
from include.domain.gates import Evidence, Signature, Timing
from include.domain.metrics import Task
from include.domain.selftest import Cell, Matrix, Seeded
from include.domain.shadow import shadow_gate
from include.domain.verdicts import GateResult, Verdict
from include.workflows import judges, models, optional_gates, scoring, shadowing, smoke
from include.workflows.requests import request_ids
from include.workflows.selftest import candidates, defects, seeds
from include.workflows.selftest import world as worlds
from include.workflows.selftest.candidates import Candidate
from include.workflows.selftest.world import Source, World

Tell = Callable[[str], None]
LOOKED_AT: Mapping[str, tuple[str, ...]] = {
    "data_quality_gate": ("features", "label"),
    "leakage_gate": ("features", "label", "availability", "split"),
    "threshold_gate": ("scorer", "held_out"),
    "champion_gate": ("scorer", "held_out"),
    "slice_gate": ("scorer", "held_out"),
    "latency_gate": ("timing",),
    "signature_gate": ("signature",),
    "smoke_gate": ("artifact", "scorer", "held_out"),
    "shadow_gate": ("scorer", "held_out"),
}
"""Which parts of a candidate each gate looks at. One that finds all of them the honest twin's says nothing new."""
AFTER_EVALUATE = ("threshold_gate", "champion_gate", "slice_gate")
"""The gates that are not reached when ``evaluate`` raises."""


def run(model_name: str, *, stored: bool = True, tell: Tell = lambda line: None) -> Matrix:
    """The whole selftest of one model.

    Args:
        model_name: a declared model.
        stored: whether real feature rows of the offline store may be used.
        tell: is told what is going on now.

    Raises:
        UnknownName: nobody declared the model.
        EstimatorUnusable: the declared estimator cannot be fitted.
    """
    model = declarations().model(model_name)
    estimators.build(models.spec_of(model))  # loads its library, whose threads could not be limited otherwise
    with tempfile.TemporaryDirectory(prefix="slipway-selftest-") as made, estimators.one_thread():
        tell(f"{model.name}: rows")
        source = worlds.rows_for(model, stored=stored)
        bench = _bench_of(model, source, Path(made), tell)
        honest = bench.cells(bench.twin)
        return Matrix(model.name, source.sentence, model.gate_modes, honest, tuple(_tried(bench, tell)))


def _tried(bench: Bench, tell: Tell) -> Iterator[Seeded]:
    for seed in seeds.SEEDS:
        meant = seed.meant(bench.model)
        if isinstance(meant, seeds.Lacking):
            yield Seeded(seed.name, why_not=meant.why)
        else:
            tell(f"{bench.model.name}: {seed.name}")
            bad = defects.MAKERS[seed.name](bench.world, bench.twin, bench.folder)
            yield Seeded(seed.name, meant, cells=bench.cells(bad, seed), broke=bench.evaluated(bad)[1])


def _bench_of(model: ModelDeclaration, source: Source, folder: Path, tell: Tell) -> Bench:
    """The world whose labels the features tell least of, of those in which the honest twin can pass; else the last."""
    bench = None
    for strength in worlds.STRENGTHS:
        tell(f"{model.name}: champion and honest twin")
        bench = Bench(worlds.world_of(model, source, strength), folder)
        if bench.twin_can_pass():
            break
    if bench is None:
        raise ValueError("there are no strengths to try")
    bench.complete(tell)
    return bench


class Bench:
    """Judges candidates of one world by every gate of its model. What the gates measured of the twin is kept."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.model = world, folder, world.model
        self.twin = candidates.honest(world, folder)
        self._champion_timing: Timing | None = None
        self._champion_scores = self._answers(world.champion, world.holdout.features)
        self._served = self._log(scoring.answers_of(self.model, world.champion, world.holdout.features))
        self._of_twin: dict[str, GateResult] = {}
        self._evaluated: dict[int, tuple[Candidate, np.ndarray[Any, Any] | None, str | None]] = {}

    def complete(self, tell: Tell) -> None:
        """Take the times of the twin and the champion, where a gate asks for them."""
        if self.model.gates.latency_gate is not None and self.twin.artifact is not None:
            tell(f"{self.model.name}: times of champion and honest twin")
            timing, self._champion_timing = candidates.timed(
                self.world, self.twin.scorer, self.twin.artifact[0], self.folder, time.perf_counter
            )
            self.twin = replace(self.twin, timing=timing)

    def twin_can_pass(self) -> bool:
        """Whether the gates that look at answers pass the twin."""
        gates = [g for g in self.model.gate_modes if g in (*AFTER_EVALUATE, "shadow_gate", "leakage_gate")]
        return all(self._judge(gate, self.twin).verdict is Verdict.PASS for gate in gates)

    def cells(self, candidate: Candidate, seed: seeds.Seed | None = None) -> dict[str, Cell]:
        """What each gate says of it; a gate that a journey would not reach is left out. ``seed`` is its defect."""
        found = {}
        for gate in self.model.gate_modes:
            own = candidate is not self.twin
            if own and all(getattr(candidate, part) is getattr(self.twin, part) for part in LOOKED_AT[gate]):
                result = self._judged_twin(gate)
                found[gate] = Cell(result.verdict, result.reason, same=True)
            elif gate not in AFTER_EVALUATE or self.evaluated(candidate)[1] is None:
                result = self._judge(gate, candidate) if own else self._judged_twin(gate)
                found[gate] = Cell(result.verdict, result.reason, on_defect=seed.on_defect(result) if seed else None)
        return found

    def evaluated(self, candidate: Candidate) -> tuple[np.ndarray[Any, Any] | None, str | None]:
        """Its answers to the whole holdout, or what it raised, as ``evaluate`` asks it."""
        if id(candidate) not in self._evaluated:
            try:
                scores, broke = self._answers(candidate.scorer, candidate.held_out), None
            except Exception as error:  # noqa: BLE001 - a candidate may raise anything; it ends its journey there
                scores, broke = None, f"{type(error).__name__}: {error}"
            self._evaluated[id(candidate)] = (candidate, scores, broke)
        return self._evaluated[id(candidate)][1:]

    def _judged_twin(self, gate: str) -> GateResult:
        if gate not in self._of_twin:
            self._of_twin[gate] = self._judge(gate, self.twin)
        return self._of_twin[gate]

    def _judge(self, gate: str, candidate: Candidate) -> GateResult:
        judge: Callable[[Candidate], GateResult] = getattr(self, f"_{gate}")
        return judge(candidate)

    # --- the gates, each as its journey runs it ----------------------------------------------------------------------

    def _data_quality_gate(self, candidate: Candidate) -> GateResult:
        classes = {}
        if self.model.is_classifier:
            counts = np.bincount(candidate.label, minlength=len(self.model.label.classes or []))
            classes = {name: int(n) for name, n in zip(self.model.label.classes or [], counts, strict=True)}
        held_out = len(self.world.holdout.y)
        return judges.data_quality(
            self.model, candidate.features, candidate.label, holdout_rows=held_out, classes=classes
        )

    def _leakage_gate(self, candidate: Candidate) -> GateResult:
        return judges.leakage(
            _declared(self.model.gates.leakage),
            Task(self.model.task),
            candidate.features,
            candidate.label,
            candidate.availability,
            candidate.split,
        )

    def _threshold_gate(self, candidate: Candidate) -> GateResult:
        return judges.threshold(self.model.gates.threshold_gate, self._evidence(candidate))

    def _champion_gate(self, candidate: Candidate) -> GateResult:
        return judges.champion(self.model.gates.champion_gate, self._evidence(candidate), has_champion=True)

    def _slice_gate(self, candidate: Candidate) -> GateResult:
        columns = {str(name): candidate.held_out[name] for name in candidate.held_out.columns}
        gates = self.model.gates
        return judges.slices(
            _declared(gates.slice_gate), gates.champion_gate, self._evidence(candidate), columns, has_champion=True
        )

    def _latency_gate(self, candidate: Candidate) -> GateResult:
        declared = _declared(self.model.gates.latency_gate)
        return judges.latency(declared, candidate.timing, self._champion_timing, has_champion=True)

    def _signature_gate(self, candidate: Candidate) -> GateResult:
        return judges.signature(_declared(self.model.gates.signature_gate), self._callers(), candidate.signature)

    def _smoke_gate(self, candidate: Candidate) -> GateResult:
        """The twin and what has a file of its own are asked in a fresh process; what only answers otherwise, here."""
        declared, kinds = _declared(self.model.gates.smoke_gate), models.kinds_of(self.model)
        scores = self.evaluated(candidate)[0]
        chosen = optional_gates.rows_to_ask(len(candidate.held_out), declared.rows)
        probes = optional_gates.probes_of(candidate.held_out.iloc[chosen].reset_index(drop=True), kinds)
        own_file = candidate.scorer is self.world.twin
        if own_file and candidate.artifact is not None:
            file, digest = candidate.artifact
            classifier, timeout_s = self.model.is_classifier, declared.timeout_s
            said = smoke.ask(file, digest, probes, kinds=kinds, classifier=classifier, timeout_s=timeout_s)
        else:
            classifier = self.model.is_classifier
            asked = {name: estimators.as_input(rows, kinds) for name, rows in probes.items()}
            answers = {n: smoke.answers_of(candidate.scorer, r, classifier=classifier) for n, r in asked.items()}
            said = smoke.Answered(None, {n: smoke.probe_of(n, probes[n], a) for n, a in answers.items()})
        evidence = optional_gates.smoke_evidence(self.model, said, None if scores is None else scores[chosen])
        return judges.smoke(declared, evidence, has_categories=judges.UNSEEN_PROBE in probes)

    def _shadow_gate(self, candidate: Candidate) -> GateResult:
        """The holdout's days beside the champion, as ``score_<model>`` scores them: one that raises loses its day."""
        rows, days = candidate.held_out, self.world.holdout.days
        try:
            shadow = self._log(scoring.answers_of(self.model, candidate.scorer, rows))
        except Exception:  # noqa: BLE001 - a candidate may raise anything; which days it loses is looked at below
            order = np.argsort(days, kind="stable")
            each = [self._scored(candidate, rows[days == day]) for day in np.unique(days)]
            shadow = self._log(pd.concat(each, ignore_index=True), order)
        evidence = shadowing.evidence_of(self.model, self._served, shadow, self._labels())
        return shadow_gate(shadowing.rules_of(self.model), evidence, mode=self.model.shadow.mode)

    def _scored(self, candidate: Candidate, rows: pd.DataFrame) -> pd.DataFrame:
        try:
            return scoring.answers_of(self.model, candidate.scorer, rows)
        except Exception as error:  # noqa: BLE001 - as in scoring: whatever it raises is an error of each of its rows
            return scoring.no_answers(self.model, rows, error)

    # --- what they are given -----------------------------------------------------------------------------------------

    def _evidence(self, candidate: Candidate) -> Evidence:
        scores, broke = self.evaluated(candidate)
        if scores is None:
            raise ValueError(f"evaluate raised, so no gate after it is reached: {broke}")
        world = self.world
        holdout = world.holdout
        return Evidence(Task(self.model.task), holdout.y, scores, self._champion_scores, world.baseline, holdout.days)

    def _answers(self, scorer: Any, features: pd.DataFrame) -> np.ndarray[Any, Any]:
        return estimators.predict(scorer, features, classifier=self.model.is_classifier)

    def _callers(self) -> Signature | None:
        world = self.world
        return candidates.signature_of(self.model, world.champion, world.train.features, self.model.label.classes)

    def _log(self, answers: pd.DataFrame, order: np.ndarray[Any, Any] | None = None) -> pd.DataFrame:
        """The answers as the prediction log holds them, by request."""
        rows = self.world.holdout.rows if order is None else self.world.holdout.rows.iloc[order]
        times = rows["event_time"].to_numpy()
        return answers.assign(event_time=pd.to_datetime(times, utc=True)).set_index(
            pd.Index(request_ids(self.model, rows))
        )

    def _labels(self) -> pd.DataFrame:
        rows, y = self.world.holdout.rows, self.world.holdout.y
        classes = self.model.label.classes or []
        keys = declarations().view(self.model.entity.view).keys
        return rows[[*keys, "event_time"]].assign(label=[classes[i] for i in y] if self.model.is_classifier else y)


def _declared(gate: Any) -> Any:
    if gate is None:
        raise ValueError("the gate is not declared")
    return gate
