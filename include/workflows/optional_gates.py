"""The gates a model may declare beside its bounds and its champion: each one's evidence, and the domain's judgement.

What is measured here is measured on this journey's own sets, model file and machine; nothing is taken on trust from
the step that made it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.adapters.ledger import Candidate
from include.adapters.registry import VersionMissing
from include.config import declarations
from include.config.gates import LatencyGate, Leakage, SignatureGate, SliceGate, SmokeGate
from include.domain.errors import Refusal
from include.domain.gates import (
    Availability,
    InputColumn,
    Signature,
    SmokeEvidence,
    Timing,
    latency_gate,
    leakage_gate,
    signature_gate,
    slice_gate,
    smoke_gate,
    split_of,
)
from include.domain.metrics import Task
from include.domain.verdicts import GateResult
from include.workflows import common, evaluation, gate_rules, models, smoke, training, training_set
from include.workflows.common import Journey

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TIMINGS = "timings.json"
BATCH_ROWS, BATCHES, WARM_UP = 1000, 7, 5
UNSEEN = "(a category nobody ever saw)"


def leakage(journey: Journey, declared: Leakage) -> GateResult:
    """The training set: each feature alone, the available times as they were joined, and the split."""
    sets = journey.kept(training.SETS)
    features, label, _ = training.frames(journey, "train")
    keys = declarations().view(journey.model.entity.view).keys
    rows = {which: training_set.read(sets[which]).select([*keys, "event_time"]).to_pandas() for which in sets}
    return leakage_gate(
        gate_rules.leakage(declared),
        Task(journey.model.task),
        label,
        {str(name): features[name] for name in features.columns},
        _availability(sets["train"].get("availability")),
        split_of(rows["train"], rows["holdout"], keys),
        mode=declared.mode,
    )


def _availability(measured: Mapping[str, Any] | None) -> Availability | None:
    if measured is None:
        return None
    by_most = {name: timedelta(seconds=seconds) for name, seconds in measured["by_most_s"].items()}
    return Availability(int(measured["rows"]), dict(measured["late"]), by_most)


def slices(journey: Journey, declared: SliceGate) -> GateResult:
    """The rows that ``champion_gate`` judges, cut by the columns that ``evaluate`` kept beside the scores."""
    rules = gate_rules.slices(declared, journey.model.gates.champion_gate)
    return slice_gate(
        rules,
        evaluation.evidence_of(journey),
        evaluation.slice_columns(journey, gate_rules.columns_of(rules)),
        mode=declared.mode,
        has_champion=journey.kept(evaluation.FACTS)["champion_revision"] > 0,
        attempts=evaluation.attempts_on_holdout(journey),
    )


# --- latency_gate ----------------------------------------------------------------------------------------------------


def latency(journey: Journey, declared: LatencyGate) -> GateResult:
    """Both models timed in turns by this process. A journey that is over is judged by the times it was judged by."""
    file = journey.folder / TIMINGS
    if journey.candidate.is_live or not file.is_file():
        journey.keep(TIMINGS, _timings(journey, declared.repeats))
    kept = journey.kept(TIMINGS)
    candidate, champion = (Timing(**kept[who]) if kept[who] else None for who in ("candidate", "champion"))
    return latency_gate(
        gate_rules.latency(declared),
        candidate,
        champion,
        mode=declared.mode,
        has_champion=journey.kept(evaluation.FACTS)["champion_revision"] > 0,
    )


def _timings(journey: Journey, repeats: int) -> dict[str, Any]:
    import numpy as np

    features, _, _ = training.frames(journey, "holdout")
    registry, digest = common.registry(), str(journey.candidate.facts.artifact_digest)
    timed = {"candidate": (models.load_logged(registry, _logged(journey), digest), digest)}
    champion = _champion(journey)
    if champion is not None:
        facts = champion.facts
        try:
            pipeline = models.load(registry, champion.model, int(str(facts.model_version)), str(facts.artifact_digest))
            timed["champion"] = (pipeline, str(facts.artifact_digest))
        except (estimators.ModelFileRefused, VersionMissing) as error:
            print(f"The champion {champion.candidate_id} was not timed: {error}")
    classifier = journey.model.is_classifier
    singles: dict[str, list[float]] = {who: [] for who in timed}
    batches: dict[str, list[float]] = {who: [] for who in timed}
    thousand = features.iloc[np.arange(BATCH_ROWS) % len(features)]
    for i in range(WARM_UP + repeats):
        row = features.iloc[[(i * 7919) % len(features)]]  # a stride that spreads the rows over all days
        for who in _in_turns(timed, i):
            took = _ms(timed[who][0], row, classifier)
            if i >= WARM_UP:
                singles[who].append(took)
    for i in range(1 + BATCHES):
        for who in _in_turns(timed, i):
            took = _ms(timed[who][0], thousand, classifier)
            if i:
                batches[who].append(took)
    machine = f"{platform.node()} {platform.machine()}"
    found: dict[str, Any] = {"candidate": None, "champion": None}
    for who, (_, of) in timed.items():
        found[who] = asdict(
            Timing(
                machine=machine,
                repeats=repeats,
                p50_ms=float(np.quantile(singles[who], 0.5)),
                p99_ms=float(np.quantile(singles[who], 0.99)),
                batch_ms_per_1k=float(np.median(batches[who])),
                model_bytes=float(models.size_of(of)),
            )
        )
    return found


def _in_turns(timed: Mapping[str, Any], i: int) -> list[str]:
    """Each is asked first every other time, so that neither always finds the caches warm."""
    return list(timed) if i % 2 else list(timed)[::-1]


def _ms(pipeline: Any, rows: pd.DataFrame, classifier: bool) -> float:
    started = time.perf_counter()
    estimators.predict(pipeline, rows, classifier=classifier)
    return 1000 * (time.perf_counter() - started)


# --- signature_gate --------------------------------------------------------------------------------------------------


def signature(journey: Journey, declared: SignatureGate) -> GateResult:
    """The candidate's logged signature against the champion's; for a first deployment, against the declaration."""
    registry, champion = common.registry(), _champion(journey)
    candidate = registry.signature(_logged(journey))
    if champion is None:
        callers = _declared_signature(journey, candidate)
    else:
        callers = registry.signature(registry.source(champion.model, int(str(champion.facts.model_version))))
    return signature_gate(gate_rules.signature(declared), callers, candidate, mode=declared.mode)


def _declared_signature(journey: Journey, candidate: Signature | None) -> Signature | None:
    """What the declaration promises callers. It says nothing about the answer's number type, so that is taken as is."""
    if candidate is None:
        return None
    kinds = models.kinds_of(journey.model)
    inputs = tuple(InputColumn(f, "string" if kind == "categorical" else "double") for f, kind in kinds.items())
    classes = tuple(journey.model.label.classes or ()) if journey.model.is_classifier else None
    return Signature(inputs, candidate.output, classes)


# --- smoke_gate ------------------------------------------------------------------------------------------------------


def smoked(journey: Journey, declared: SmokeGate) -> GateResult:
    """The registered version's file, fetched and asked in a fresh process, beside what ``evaluate`` saw."""
    facts, model = journey.candidate.facts, journey.model
    if facts.model_version is None:
        raise Refusal(
            f"{journey.candidate_id} is not registered, so there is no artifact to try. "
            "Clear the run from register_challenger on."
        )
    kinds = models.kinds_of(model)
    has_categories = "categorical" in kinds.values()
    rules = gate_rules.smoke(declared)
    if not has_categories:
        rules = replace(rules, probes=tuple(p for p in rules.probes if p != "unseen categories"))
    real, expected = _rows_to_ask(journey, declared.rows)
    probes = {"real rows": real, "missing values": _with_missing(real)}
    if has_categories:
        probes["unseen categories"] = real.assign(**{f: UNSEEN for f, kind in kinds.items() if kind == "categorical"})
    with common.registry().fetched(model.name, int(facts.model_version)) as file:
        said = smoke.ask(
            file,
            str(facts.artifact_digest),
            probes,
            kinds=kinds,
            classifier=model.is_classifier,
            timeout_s=declared.timeout_s,
        )
    evidence = SmokeEvidence(
        task=Task(model.task),
        load_error=said.load_error,
        real=said.probes.get("real rows"),
        expected=expected,
        others=tuple(probe for name, probe in said.probes.items() if name != "real rows"),
    )
    return smoke_gate(rules, evidence, mode=declared.mode)


def _rows_to_ask(journey: Journey, count: int) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Held-out rows spread over the whole holdout, and the scores ``evaluate`` saw of them."""
    import numpy as np

    features, _, _ = training.frames(journey, "holdout")
    chosen = np.unique(np.linspace(0, len(features) - 1, min(count, len(features))).astype(int))
    return features.iloc[chosen].reset_index(drop=True), evaluation.evidence_of(journey).candidate[chosen]


def _with_missing(real: pd.DataFrame) -> pd.DataFrame:
    """A row without any value, then for each feature a held-out row without that one."""
    import numpy as np

    rows = real.iloc[np.arange(1 + real.shape[1]) % len(real)].reset_index(drop=True)
    rows.iloc[0, :] = np.nan
    for i in range(real.shape[1]):
        rows.iloc[1 + i, i] = np.nan
    return rows


# --- shared ----------------------------------------------------------------------------------------------------------


def _champion(journey: Journey) -> Candidate | None:
    """The champion the candidate is compared with, as ``evaluate`` found it; None for a first deployment."""
    champion_id = journey.kept(evaluation.FACTS)["champion_id"]
    return journey.ledger.candidates.get(champion_id) if champion_id else None


def _logged(journey: Journey) -> str:
    """The address of the candidate's logged model."""
    run = str(journey.candidate.facts.mlflow_run_id)
    logged = common.registry().logged_model(run)
    if logged is None:
        raise VersionMissing(f"MLflow run {run} of {journey.candidate_id} has no model. Clear the run from train on.")
    return logged
