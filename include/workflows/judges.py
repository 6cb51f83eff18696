"""One function for each gate: what is declared and what was found, to a verdict.

The journey's gates and the selftest call the same ones, so that what the selftest proves is what a journey runs. They
read nothing: no ledger, no registry, no store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration
from include.config.gates import (
    ChampionGate,
    LatencyGate,
    Leakage,
    SignatureGate,
    SliceGate,
    SmokeGate,
    ThresholdGate,
)
from include.domain.gates import (
    Availability,
    Evidence,
    InputColumn,
    Signature,
    SmokeEvidence,
    Split,
    Timing,
    TrainingDataRules,
    TrainingDataSummary,
    champion_gate,
    latency_gate,
    leakage_gate,
    signature_gate,
    slice_gate,
    smoke_gate,
    threshold_gate,
    training_data_gate,
)
from include.domain.metrics import Task
from include.domain.verdicts import GateResult
from include.workflows import gate_rules, models

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

UNSEEN_PROBE = "unseen categories"


def data_quality(
    model: ModelDeclaration,
    features: pd.DataFrame,
    label: np.ndarray[Any, Any],
    *,
    holdout_rows: int,
    classes: Mapping[str, int],
    split: Split | None = None,
    missing_labels: int = 0,
    duplicate_rows: int = 0,
) -> GateResult:
    """``data_quality_gate`` of a journey. ``classes`` counts the training rows of each class; empty for regression.

    ``split`` says how the training rows lie beside the held-out ones; None where there are none to compare with.
    """
    import numpy as np

    numbers = features.select_dtypes("number")
    summary = TrainingDataSummary(
        rows=len(features),
        holdout_rows=holdout_rows,
        distinct_labels=len(np.unique(label)),
        classes=classes,
        null_shares={str(name): float(share) for name, share in features.isna().mean().items()},
        infinite={str(name): int(count) for name, count in np.isinf(numbers).sum().items() if count},
        constant=tuple(str(c) for c in features.columns if features[c].nunique() == 1),
        missing_labels=missing_labels,
        duplicate_rows=duplicate_rows,
        judged_on_too=split.shared_rows if split else 0,
        ends_before_holdout=split is None or split.train_ends < split.holdout_starts,
    )
    rules = TrainingDataRules(min_rows=model.training.min_rows, min_holdout_rows=model.gates.threshold_gate.min_rows)
    return training_data_gate(rules, summary)


def leakage(
    declared: Leakage,
    task: Task,
    features: pd.DataFrame,
    label: np.ndarray[Any, Any],
    availability: Availability | None,
    split: Split | None,
) -> GateResult:
    by_name = {str(name): features[name] for name in features.columns}
    return leakage_gate(gate_rules.leakage(declared), task, label, by_name, availability, split, mode=declared.mode)


def threshold(declared: ThresholdGate, evidence: Evidence) -> GateResult:
    return threshold_gate(gate_rules.bounds(declared), evidence, mode=declared.mode, min_rows=declared.min_rows)


def champion(
    declared: ChampionGate, evidence: Evidence, *, has_champion: bool, attempts: int = 1, **replayed: Any
) -> GateResult:
    """``replayed`` is what :func:`champion_gate` takes of the replay window."""
    rules = gate_rules.champion(declared)
    return champion_gate(rules, evidence, mode=declared.mode, has_champion=has_champion, attempts=attempts, **replayed)


def slices(
    declared: SliceGate,
    beside: ChampionGate,
    evidence: Evidence,
    columns: Mapping[str, pd.Series[Any]],
    *,
    has_champion: bool,
    attempts: int = 1,
) -> GateResult:
    """``columns`` may hold more than the gate reads."""
    rules = gate_rules.slices(declared, beside)
    read = {name: columns[name] for name in gate_rules.columns_of(rules) if name in columns}
    return slice_gate(rules, evidence, read, mode=declared.mode, has_champion=has_champion, attempts=attempts)


def latency(
    declared: LatencyGate, candidate: Timing | None, champion: Timing | None, *, has_champion: bool
) -> GateResult:
    return latency_gate(
        gate_rules.latency(declared), candidate, champion, mode=declared.mode, has_champion=has_champion
    )


def signature(declared: SignatureGate, callers: Signature | None, candidate: Signature | None) -> GateResult:
    return signature_gate(gate_rules.signature(declared), callers, candidate, mode=declared.mode)


def promised_signature(model: ModelDeclaration, candidate: Signature | None) -> Signature | None:
    """What the declaration promises callers. It says nothing about the answer's number type, so that is taken as is."""
    if candidate is None:
        return None
    kinds = models.kinds_of(model)
    inputs = tuple(InputColumn(f, "string" if kind == "categorical" else "double") for f, kind in kinds.items())
    return Signature(inputs, candidate.output, tuple(model.label.classes or ()) if model.is_classifier else None)


def smoke(declared: SmokeGate, evidence: SmokeEvidence, *, has_categories: bool) -> GateResult:
    """Without categorical features nobody can send an unseen category, and none is asked for."""
    rules = gate_rules.smoke(declared)
    if not has_categories:
        rules = replace(rules, probes=tuple(p for p in rules.probes if p != UNSEEN_PROBE))
    return smoke_gate(rules, evidence, mode=declared.mode)
