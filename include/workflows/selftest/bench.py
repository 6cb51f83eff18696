"""The selftest: every gate of a model judges candidates that were made to fail it, and an honest one.

The judges are those of a journey: the registered gates (``gates``), ``scoring`` and ``smoke``. Files are written to a
folder that is removed afterwards: no ledger, no registry and no prediction log is touched.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.adapters import estimators
from include.config import ModelDeclaration, declarations
from include.domain.attempts import FIRST, Attempts
from include.domain.errors import Refusal
from include.domain.gates import (
    NO_EARLIER_WINDOW,
    Availability,
    EarlierWindow,
    Evidence,
    PackedEvidence,
    Signature,
    Split,
    Timing,
    TrainingDataSummary,
)
from include.domain.gates.anchor import NO_ANCHOR, AnchorEvidence
from include.domain.incident import Incident
from include.domain.metrics import Task
from include.domain.selftest import Cell, Matrix, Seeded
from include.domain.shadow import ShadowEvidence
from include.domain.verdicts import GateResult, Verdict
from include.workflows import gates
from include.workflows.evidence import (
    business,
    journey_rows,
    packed_form,
    probes,
    shadow_window,
    smoke_process,
    training_summary,
)
from include.workflows.evidence.canary_seen import CanarySeen
from include.workflows.gates.gate import Gate
from include.workflows.scoring import answer_rows, fitted_models
from include.workflows.scoring.request_ids import request_ids
from include.workflows.selftest import candidates, defects, live_defects, seeds
from include.workflows.selftest import world as worlds
from include.workflows.selftest.candidates import SeededCandidate
from include.workflows.selftest.world import Source, World

Tell = Callable[[str], None]


def run(model_name: str, *, stored: bool = True, tell: Tell = lambda line: None) -> Matrix:
    """The whole selftest of one model.

    Args:
        model_name: a declared model.
        stored: whether real feature rows of the offline store may be used.
        tell: called with each progress message.

    Raises:
        UnknownName: the model is not declared.
        EstimatorUnusable: the declared estimator cannot be fitted.
        Refusal: a gate of the model's own names a seed that does not exist.
    """
    model = declarations().model(model_name)
    unknown = seeds.unknown_seeds(model)
    if unknown:
        raise Refusal(unknown[0][1])
    estimators.build(fitted_models.spec_of(model))  # loads its library, whose threads could not be limited otherwise
    with tempfile.TemporaryDirectory(prefix="slipway-selftest-") as made, estimators.one_thread():
        tell(f"{model.name}: rows")
        source = worlds.rows_for(model, stored=stored)
        bench = _bench_of(model, source, Path(made), tell)
        honest = bench.cells(bench.twin)
        unproved = tuple(gate.name for gate in gates.declared(model) if gate.own and not gate.seeds)
        tried = tuple(_tried(bench, tell))
        return Matrix(model.name, source.sentence, gates.modes(model), honest, tried, unproved)


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
    """The world with the weakest signal in which the honest twin still passes; the last one when it passes in none."""
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


class NotReached(Exception):
    """A gate needs answers that ``evaluate`` refuses: a journey ends there, before the gate."""


class Bench:
    """Judges candidates of one world by every gate of its model. What the gates measured of the twin is kept."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.model = world, folder, world.model
        self.twin = candidates.honest(world, folder)
        self.champion_timing: Timing | None = None
        self._champion_scores = self._answers(world.champion, world.holdout.features)
        self._served = self._log(answer_rows.answers_of(self.model, world.champion, world.holdout.features))
        self._of_twin: dict[str, GateResult] = {}
        self._evaluated: dict[int, tuple[SeededCandidate, np.ndarray[Any, Any] | None, str | None]] = {}

    def complete(self, tell: Tell) -> None:
        """Take the times of the twin and the champion, where a gate asks for them."""
        if self.model.gates.latency_gate is not None and self.twin.artifact is not None:
            tell(f"{self.model.name}: times of champion and honest twin")
            timing, self.champion_timing = candidates.timed(
                self.world, self.twin.scorer, self.twin.artifact[0], self.folder, time.perf_counter
            )
            self.twin = replace(self.twin, timing=timing)

    def twin_can_pass(self) -> bool:
        """Whether the gates that judge answers pass the twin."""
        telling = [gate for gate in gates.declared(self.model) if gate.signal]
        return all(self._judge(gate, self.twin).verdict is Verdict.PASS for gate in telling)

    def cells(self, candidate: SeededCandidate, seed: seeds.Seed | None = None) -> dict[str, Cell]:
        """Each gate's verdict on it; a gate that a journey would not reach is left out. ``seed`` is its defect."""
        found = {}
        for gate in gates.declared(self.model):
            if not gate.looks_at:
                continue
            own = candidate is not self.twin
            if own and all(getattr(candidate, part) is getattr(self.twin, part) for part in gate.looks_at):
                result = self._judged_twin(gate)
                found[gate.name] = Cell(result.verdict, result.reason, same=True)
                continue
            try:
                result = self._judge(gate, candidate) if own else self._judged_twin(gate)
            except NotReached:
                continue
            on_defect = seed.on_defect(result) if seed else None
            found[gate.name] = Cell(result.verdict, result.reason, on_defect=on_defect)
        return found

    def evaluated(self, candidate: SeededCandidate) -> tuple[np.ndarray[Any, Any] | None, str | None]:
        """Its answers to the whole holdout, or what it raised, as ``evaluate`` asks it."""
        if id(candidate) not in self._evaluated:
            try:
                scores, broke = self._answers(candidate.scorer, candidate.held_out), None
            except Exception as error:  # noqa: BLE001 - a candidate may raise anything; it ends its journey there
                scores, broke = None, f"{type(error).__name__}: {error}"
            self._evaluated[id(candidate)] = (candidate, scores, broke)
        return self._evaluated[id(candidate)][1:]

    def _judged_twin(self, gate: Gate) -> GateResult:
        if gate.name not in self._of_twin:
            self._of_twin[gate.name] = self._judge(gate, self.twin)
        return self._of_twin[gate.name]

    def _judge(self, gate: Gate, candidate: SeededCandidate) -> GateResult:
        return gate.judge(self.model, SeededSubject(self, candidate))

    # --- what the gates are given ------------------------------------------------------------------------------------

    def asked(self, candidate: SeededCandidate, probes_asked: Mapping[str, pd.DataFrame]) -> smoke_process.Answered:
        """The twin and candidates with a file of their own are run in a fresh process; those that only change answers,
        here."""
        declared, kinds = self.model.gates.smoke_gate, fitted_models.kinds_of(self.model)
        classes = self.model.class_count
        own_file = candidate.scorer is self.world.twin
        if own_file and candidate.artifact is not None and declared is not None:
            file, digest = candidate.artifact
            timeout_s = declared.timeout_s
            return smoke_process.ask(file, digest, probes_asked, kinds=kinds, classes=classes, timeout_s=timeout_s)
        rows_asked = {name: estimators.as_input(rows, kinds) for name, rows in probes_asked.items()}
        answers = {n: smoke_process.answers_of(candidate.scorer, r, classes=classes) for n, r in rows_asked.items()}
        return smoke_process.Answered(
            None, {n: smoke_process.probe_of(n, probes_asked[n], a) for n, a in answers.items()}
        )

    def shadowed(self, candidate: SeededCandidate) -> ShadowEvidence:
        """The holdout's days beside the champion, as ``score_<model>`` scores them: one that raises loses its day."""
        rows, days = candidate.held_out, self.world.holdout.days
        try:
            shadow = self._log(answer_rows.answers_of(self.model, candidate.scorer, rows))
        except Exception:  # noqa: BLE001 - a candidate may raise anything; which days it loses is counted below
            order = np.argsort(days, kind="stable")
            each = [self._scored(candidate, rows[days == day]) for day in np.unique(days)]
            shadow = self._log(pd.concat(each, ignore_index=True), order)
        both, weight = self._served.index.intersection(shadow[shadow["error"].isna()].index), self.world.holdout.weight
        if weight is not None:
            weight = pd.Series(weight, self._served.index)[both].to_numpy()
        found = shadow_window.evidence_of(self.model, self._served, shadow, self._labels(), weight)
        known = self.known_rows(candidate).set_axis(self._served.index, axis=0)
        return business.in_shadow(self.model, found, lambda: known.loc[both])

    def _scored(self, candidate: SeededCandidate, rows: pd.DataFrame) -> pd.DataFrame:
        try:
            return answer_rows.answers_of(self.model, candidate.scorer, rows)
        except Exception as error:  # noqa: BLE001 - as in scoring: whatever it raises is an error of each of its rows
            return answer_rows.no_answers(self.model, rows, error)

    def evidence(self, candidate: SeededCandidate, *, anchor: bool = False) -> Evidence:
        """Its answers beside those of what serves, or of the anchor."""
        scores, broke = self.evaluated(candidate)
        if scores is None:
            raise NotReached(broke)
        world = self.world
        holdout = world.holdout
        crept = candidate.crept is not None and not anchor
        champion = self._answers(candidate.crept, candidate.held_out) if crept else self._champion_scores
        evidence = Evidence(Task(self.model.task), holdout.y, scores, champion, world.baseline, holdout.days)
        evidence = evidence.weighted(holdout.weight)
        if not self.model.business_metrics:
            return evidence
        return business.valued(self.model, self.known_rows(candidate), evidence)

    def known_rows(self, candidate: SeededCandidate) -> pd.DataFrame:
        """The candidate's held-out rows, with their keys and ``event_time``."""
        rows = self.world.holdout.rows
        known = [*declarations().view(self.model.entity.view).keys, "event_time"]
        return journey_rows.with_known(candidate.held_out, rows[[name for name in known if name in rows]])

    def _answers(self, scorer: Any, features: pd.DataFrame) -> np.ndarray[Any, Any]:
        return estimators.predict(scorer, features, classes=self.model.class_count)

    def live(self, scores: np.ndarray[Any, Any], pace: float) -> CanarySeen:
        """The holdout's rows as live traffic, through the steps of the canary."""
        champion = live_defects.answers(self._champion_scores, 1.0, 1)
        return live_defects.seen_of(self.model, champion, live_defects.answers(scores, pace, 2))

    def callers(self) -> Signature | None:
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


class SeededSubject:
    """A seeded candidate as the gates ask about it."""

    has_champion = True

    def __init__(self, bench: Bench, candidate: SeededCandidate) -> None:
        self.bench, self.candidate, self.model = bench, candidate, bench.model

    def training_data(self) -> TrainingDataSummary:
        candidate, classes = self.candidate, dict[str, int]()
        if self.model.is_classifier:
            names = self.model.label.classes or []
            counts = np.bincount(candidate.label, minlength=len(names))
            classes = {name: int(n) for name, n in zip(names, counts, strict=True)}
        world = self.bench.world
        worth = training_summary.worth_of(world.train.weight, world.holdout.weight)
        return training_summary.counted(
            candidate.features,
            candidate.label,
            holdout_rows=len(world.holdout.y),
            classes=classes,
            flaws=training_summary.RowFlaws(worth=worth),
        )

    def learned(self) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
        return self.candidate.features, self.candidate.label

    def availability(self) -> Availability | None:
        return self.candidate.availability

    def split(self) -> Split | None:
        return self.candidate.split

    def scored(self) -> Evidence:
        return self.bench.evidence(self.candidate)

    def columns(self, names: Iterable[str]) -> Mapping[str, pd.Series[Any]]:
        held_out = self.candidate.held_out
        return {name: held_out[name] for name in names if name in held_out} | dict(self.candidate.slices)

    def held_out(self) -> pd.DataFrame:
        return self.bench.known_rows(self.candidate)

    def new_support(self) -> str | None:
        return None

    def attempts(self) -> Attempts:
        return FIRST

    def incident(self) -> Incident | None:
        return self.candidate.alarm

    def earlier_window(self) -> EarlierWindow:
        return NO_EARLIER_WINDOW

    def anchor(self) -> AnchorEvidence:
        if self.candidate.crept is None:
            return NO_ANCHOR
        return AnchorEvidence("the champion before", self.bench.evidence(self.candidate, anchor=True))

    def timings(self) -> tuple[Timing | None, Timing | None]:
        return self.candidate.timing, self.bench.champion_timing

    def signatures(self) -> tuple[Signature | None, Signature | None]:
        return self.bench.callers(), self.candidate.signature

    def smoked(self) -> probes.Smoked:
        declared, candidate = self.model.gates.smoke_gate, self.candidate
        scores = self.bench.evaluated(candidate)[0]
        chosen = probes.rows_to_ask(len(candidate.held_out), declared.rows if declared else 0)
        rows = candidate.held_out.iloc[chosen].reset_index(drop=True)
        asked = probes.probes_of(rows, fitted_models.kinds_of(self.model))
        said = self.bench.asked(candidate, asked)
        evidence = probes.smoke_evidence(self.model, said, None if scores is None else scores[chosen])
        return probes.Smoked(evidence, probes.UNSEEN_PROBE in asked)

    def packed(self) -> PackedEvidence:
        """Its packed form beside the twin's pipeline: a candidate whose defect is elsewhere has the twin's form too."""
        declared, made = self.model.gates.packed_gate, self.candidate.packed
        if declared is None or made is None:
            raise LookupError("packed_gate is not declared")
        held_out = self.bench.world.holdout.features
        return packed_form.held(self.model, declared, self.bench.world.twin, made, held_out)

    def shadowed(self) -> shadow_window.Shadowed:
        return shadow_window.Shadowed(self.bench.shadowed(self.candidate), None, None)

    def canary(self) -> CanarySeen:
        scores = self.bench.evaluated(self.candidate)[0]
        if scores is None:
            raise NotReached("it answers no live row")
        return self.bench.live(scores, self.candidate.pace or 1.0)

    def said(self) -> Mapping[str, str]:
        return {}
