"""The seeded bad candidates: what is wrong with each, and which of a model's declared gates are meant for it.

Light, because ``slipway readiness`` asks it of a declaration alone. The candidates themselves are made in
``candidates``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from include.config import ModelDeclaration
from include.domain.verdicts import GateResult, Verdict, worst

CALIBRATED = ("brier", "log_loss", "ece")
"""The metrics that a candidate cannot be good in with probabilities that are off."""
NAN_SHARE, ERROR_SHARE = 0.01, 0.005
SLOWER, LARGER = 10, 50


@dataclass(frozen=True, slots=True)
class Lacking:
    """Why a seed does not apply to a model. ``declare`` is what would be meant for it; None where nothing could be."""

    why: str
    declare: str | None = None


@dataclass(frozen=True, slots=True)
class Seed:
    """One way to be bad.

    Attributes:
        name: the defect in a few words.
        defect: the same as a clause.
        meant: gives the declared gates meant for it, or why there is none.
        shows_in: by gate, a pattern of the criteria it must show in; a gate that is left out may stop it by any.
        in_each: whether it must show in each of these, and not only in one.
    """

    name: str
    defect: str
    meant: Callable[[ModelDeclaration], tuple[str, ...] | Lacking]
    shows_in: Mapping[str, str] = field(default_factory=dict)
    in_each: bool = False

    def on_defect(self, result: GateResult) -> Verdict | None:
        """The verdict of the criteria it must show in; PASS where the gate has none of these, None for any."""
        pattern = self.shows_in.get(result.gate)
        if pattern is None:
            return None
        found = [c.verdict for c in result.criteria if re.search(pattern, c.criterion)]
        if not found:
            return Verdict.PASS
        return min(found, key=lambda verdict: verdict.badness) if self.in_each else worst(found)


def _always(*gates: str) -> Callable[[ModelDeclaration], tuple[str, ...] | Lacking]:
    return lambda model: gates


def _not_declared(gate: str) -> Lacking:
    return Lacking(f"no {gate} is declared", f"gates.{'leakage' if gate == 'leakage_gate' else gate}")


def _leak(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    declared = model.gates.leakage
    if declared is None:
        return _not_declared("leakage_gate")
    if set(model.features) <= set(declared.known_strong):
        return Lacking("every feature is named in leakage.known_strong, so none is judged", "gates.leakage")
    return ("leakage_gate",)


def _late(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    return ("leakage_gate",) if model.gates.leakage else _not_declared("leakage_gate")


def _nan(model: ModelDeclaration) -> tuple[str, ...]:
    seen_in_shadow = model.shadow.errors_at_most < NAN_SHARE
    return ("threshold_gate", "champion_gate", *(("shadow_gate",) if seen_in_shadow else ()))


def _error(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    if model.shadow.errors_at_most >= ERROR_SHARE:
        return Lacking(
            f"shadow.errors_at_most is {model.shadow.errors_at_most:g}, which tolerates it", "shadow.errors_at_most"
        )
    return ("shadow_gate",)


def _slice(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    declared = model.gates.slice_gate
    if declared is None:
        return _not_declared("slice_gate")
    if not (declared.by or declared.protected):
        return Lacking("slice_gate slices by no column", "gates.slice_gate.by")
    return ("slice_gate",)


def _group(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    declared = model.gates.slice_gate
    if model.task == "multiclass":
        return Lacking("groups of a multiclass model have no measure")
    if declared is None or not declared.fairness:
        return Lacking("no groups are declared", "gates.slice_gate.fairness")
    return ("slice_gate",)


def _calibration(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    if not model.is_classifier:
        return Lacking("a regression gives no probabilities")
    gates = calibration_gates(model)
    if not gates:
        names = ", ".join(CALIBRATED)
        return Lacking(f"no calibration criterion ({names}) is declared", "gates.threshold_gate.criteria")
    return gates[:1]


def calibration_gates(model: ModelDeclaration) -> tuple[str, ...]:
    """The gates that judge by a metric of calibration, the one that compares with the champion first."""
    gates = model.gates
    compared = any(c.metric in CALIBRATED for c in gates.champion_gate.comparisons)
    bounded = any(c.metric in CALIBRATED for c in gates.threshold_gate.criteria)
    return tuple(g for g, has in (("champion_gate", compared), ("threshold_gate", bounded)) if has)


def _slow(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    declared = model.gates.latency_gate
    if declared is None:
        return _not_declared("latency_gate")
    times = ("p50_ms_at_most", "p99_ms_at_most", "batch_ms_per_1k_at_most", "times_champion_at_most")
    if all(getattr(declared, name) is None for name in times):
        return Lacking("latency_gate bounds no time", "gates.latency_gate.times_champion_at_most")
    return ("latency_gate",)


def _large(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    declared = model.gates.latency_gate
    if declared is None:
        return _not_declared("latency_gate")
    if declared.model_mb_at_most is None and declared.size_times_champion_at_most is None:
        return Lacking("latency_gate bounds no size", "gates.latency_gate.size_times_champion_at_most")
    return ("latency_gate",)


def _column(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    declared = model.gates.signature_gate
    if declared is None:
        return _not_declared("signature_gate")
    if set(model.features) <= set(declared.may_drop):
        return Lacking("every column is named in signature_gate.may_drop", "gates.signature_gate.may_drop")
    return ("signature_gate",)


def _retyped(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    return ("signature_gate",) if model.gates.signature_gate else _not_declared("signature_gate")


def _classes(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    if not model.is_classifier:
        return Lacking("a regression has no classes")
    return ("signature_gate",) if model.gates.signature_gate else _not_declared("signature_gate")


def _tampered(model: ModelDeclaration) -> tuple[str, ...] | Lacking:
    return ("smoke_gate",) if model.gates.smoke_gate else _not_declared("smoke_gate")


_COMPARED = r"^(?!baseline )"
_FAIR = r"^(demographic_parity|equal_opportunity|equalized_odds|mean_prediction|group_loss) "
_OFF = rf"^(?!baseline ).*({'|'.join(CALIBRATED)})"

SEEDS: tuple[Seed, ...] = (
    Seed(
        "one label only",
        "all its training rows have the same label",
        _always("data_quality_gate"),
        {"data_quality_gate": "different labels"},
    ),
    Seed(
        "leaked label",
        "one of its features holds the label, in training and in the holdout",
        _leak,
        {"leakage_gate": "^one feature's"},
    ),
    Seed(
        "late feature",
        "one of its features was available only after the prediction was made",
        _late,
        {"leakage_gate": "^features from after the prediction"},
    ),
    Seed("labels shuffled", "it was fitted on labels that belong to other rows", _always("champion_gate")),
    Seed(
        "constant",
        "it answers every row with the mean label",
        _always("champion_gate"),
        {"champion_gate": "^baseline "},
    ),
    Seed("inverted", "it answers the opposite", _always("threshold_gate")),
    Seed(
        "worse than champion",
        "it is worse than the champion by three margins of each comparison, and no more",
        _always("champion_gate"),
        {"champion_gate": _COMPARED},
        in_each=True,
    ),
    Seed(
        "champion wired twice",
        "it is the champion itself",
        _always("champion_gate", "shadow_gate"),
        {"champion_gate": _COMPARED, "shadow_gate": "lowest$"},
    ),
    Seed("NaN on 1 % of rows", "it answers one row in a hundred with NaN", _nan, {"shadow_gate": "^errors and NaN"}),
    Seed("error on 0.5 % of rows", "it raises on one row in two hundred", _error, {"shadow_gate": "^errors and NaN"}),
    Seed("one slice ruined", "it is worse in one slice, by three margins", _slice, {"slice_gate": "="}),
    Seed("one group worse", "it decides against one group", _group, {"slice_gate": _FAIR}),
    Seed(
        "miscalibrated",
        "it ranks as well, and its probabilities are far too high",
        _calibration,
        {"champion_gate": _OFF, "threshold_gate": _OFF},
    ),
    Seed("10 times slower", "it takes ten times as long", _slow, {"latency_gate": "^(p50|p99|ms|batch)"}),
    Seed("50 times larger", "its file is fifty times as large", _large, {"latency_gate": "size"}),
    Seed("column dropped", "it lacks a column that callers send", _column, {"signature_gate": "columns dropped"}),
    Seed("column retyped", "it takes a column as another type", _retyped, {"signature_gate": "columns retyped"}),
    Seed(
        "column renamed",
        "it takes a column under another name",
        _column,
        {"signature_gate": "columns (renamed|dropped)"},
    ),
    Seed("classes swapped", "it gives its classes in another order", _classes, {"signature_gate": "class order"}),
    Seed("artifact tampered", "its registered file is not what was judged", _tampered, {"smoke_gate": "^load$"}),
)
"""In the order of the journey's gates."""
