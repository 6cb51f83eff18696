"""What a model's declaration covers and what it lacks, from the declaration alone: nothing is run.

Every lack has a severity and a way out. None of them stops anything: a team may know better, and then says so by
leaving it as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from include.config import ModelDeclaration
from include.config.gates import ChampionGate
from include.config.settings import PROJECT
from include.domain.verdicts import Mode
from include.workflows.pages.words import RUNBOOK
from include.workflows.selftest import seeds

MIN_DAYS = 3
"""Held-out days below which no paired comparison is made (``include/domain/comparison.py``, ``MIN_BLOCKS``)."""
PLACEHOLDERS = {"", "-", "?", "todo", "tbd", "none", "nobody", "n/a", "owner", "someone"}


class Severity(Enum):
    """How much a lack matters."""

    HIGH = "high"
    """A known way to be bad reaches production unseen, or nobody is told."""
    MEDIUM = "medium"
    """A gate sees less than it could."""
    LOW = "low"
    """Worth a thought."""

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing the declaration does without. ``field`` is where it would stand."""

    severity: Severity
    field: str
    what: str
    way_out: str

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "severity": self.severity.value}


@dataclass(frozen=True, slots=True)
class Report:
    """What is declared: the gates and their modes, the seeded failures each is meant for, and what is lacking."""

    model: str
    tier: str
    gates: Mapping[str, Mode]
    covered: Mapping[str, tuple[str, ...]]
    """By seeded failure, the declared gates meant for it."""
    not_covered: Mapping[str, str]
    """By seeded failure, why no gate is meant for it."""
    lacks: tuple[Lack, ...]

    def stops(self, gate: str) -> list[str]:
        return [seed for seed, gates in self.covered.items() if gate in gates]

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "tier": self.tier,
            "gates": [{"gate": g, "mode": m.value, "meant_for": self.stops(g)} for g, m in self.gates.items()],
            "covered": {seed: list(gates) for seed, gates in self.covered.items()},
            "not_covered": dict(self.not_covered),
            "lacks": [lack.as_json() for lack in self.lacks],
        }

    def as_lines(self) -> list[str]:
        lines = [f"{self.model} ({self.tier})", ""]
        lines += _table(
            ("gate", "mode", "meant for"),
            [(g, m.value, ", ".join(self.stops(g)) or "-") for g, m in self.gates.items()],
        )
        if self.not_covered:
            lines += ["", *_table(("no gate is meant for", "because"), list(self.not_covered.items()))]
        lines.append("")
        if self.lacks:
            shown = [(lack.severity.value, lack.field, f"{lack.what} {lack.way_out}") for lack in self.lacks]
            lines += _table(("severity", "field", "what is lacking, and the way out"), shown)
        by = [f"{sum(lack.severity is s for lack in self.lacks)} {s.value}" for s in Severity]
        count = len(self.covered)
        lines += [
            "",
            f"{count} of {count + len(self.not_covered)} seeded failures are covered; lacking: {', '.join(by)}.",
        ]
        return [*lines, f"`slipway selftest {self.model}` shows whether the gates really stop them."]


def report_on(model: ModelDeclaration, project: Path = PROJECT) -> Report:
    """Everything there is to say of the model's declaration; ``project`` is where the runbook is looked for."""
    gates, covered, not_covered = model.gate_modes, dict[str, tuple[str, ...]](), dict[str, str]()
    for seed in seeds.SEEDS:
        meant = seed.meant(model)
        if isinstance(meant, seeds.Lacking):
            not_covered[seed.name] = meant.why
        else:
            covered[seed.name] = meant
    lacks = [*_gates(model, gates), *_policy(model), *_rows(model), *_people(model, gates, project)]
    lacks.sort(key=lambda lack: lack.severity.rank)
    return Report(model.name, model.tier, gates, covered, not_covered, tuple(lacks))


# --- what may be lacking ---------------------------------------------------------------------------------------------


def _gates(model: ModelDeclaration, modes: Mapping[str, Mode]) -> Iterator[Lack]:
    gates, high = model.gates, _more_where_critical(model, Severity.MEDIUM)
    optional = {
        "leakage_gate": ("leakage", Severity.HIGH, "A feature that holds the label makes every other gate pass."),
        "slice_gate": ("slice_gate", high, "A candidate may ruin one slice and pay for it with the average."),
        "signature_gate": ("signature_gate", high, "A dropped or renamed input column is found by the callers."),
        "smoke_gate": ("smoke_gate", high, "Whether the registered file loads and answers is found in shadow."),
        "latency_gate": ("latency_gate", Severity.MEDIUM, "A candidate may be ten times as slow or as large."),
    }
    for gate, (field, severity, why) in optional.items():
        if gate not in modes:
            yield Lack(severity, f"gates.{field}", f"There is no {gate}. {why}", f"Declare gates.{field}.")
    for gate, mode in modes.items():
        if mode is Mode.ADVISORY:
            field = "shadow.mode" if gate == "shadow_gate" else f"gates.{gate.replace('leakage_gate', 'leakage')}.mode"
            severity = Severity.LOW if gate == "latency_gate" else high
            yield Lack(severity, field, f"{gate} only advises: what it sees goes on.", "Set it to blocking.")
    if gates.slice_gate is not None:
        yield from _slices(model)
    if gates.latency_gate is not None:
        for seed, what in (("10 times slower", "time"), ("50 times larger", "size")):
            meant = next(s for s in seeds.SEEDS if s.name == seed).meant(model)
            if isinstance(meant, seeds.Lacking) and meant.declare:
                way_out = f"Declare {meant.declare}."
                yield Lack(Severity.MEDIUM, meant.declare, f"latency_gate bounds no {what}.", way_out)
        if gates.latency_gate.times_champion_at_most is None:
            field = "gates.latency_gate.times_champion_at_most"
            yield Lack(Severity.LOW, field, "A candidate may use up the whole budget at once.", f"Declare {field}.")
    if model.is_classifier and not seeds.calibration_gates(model):
        names = ", ".join(seeds.CALIBRATED)
        yield Lack(
            Severity.HIGH,
            "gates.champion_gate.comparisons",
            "No criterion sees probabilities that are off.",
            f"Compare or bound one of {names}.",
        )
    if gates.signature_gate is not None and gates.signature_gate.may_drop:
        named = ", ".join(gates.signature_gate.may_drop)
        yield Lack(
            Severity.LOW, "gates.signature_gate.may_drop", f"{named} may be dropped.", "Take out what need not be."
        )
    if model.shadow.errors_at_most > 0:
        yield Lack(
            Severity.MEDIUM,
            "shadow.errors_at_most",
            f"{model.shadow.errors_at_most:g} of the answers in shadow may be errors.",
            "Set it to 0.",
        )


def _slices(model: ModelDeclaration) -> Iterator[Lack]:
    gate = model.gates.slice_gate
    if gate is None:
        return
    if not (gate.by or gate.protected):
        yield Lack(Severity.HIGH, "gates.slice_gate.by", "slice_gate slices by no column.", "Name at least one.")
    if not gate.protected:
        severity = _more_where_critical(model, Severity.LOW)
        yield Lack(severity, "gates.slice_gate.protected", "No slice is strict whatever its size.", "Name its column.")
    if not gate.fairness and model.task != "multiclass":
        yield Lack(
            _more_where_critical(model, Severity.LOW),
            "gates.slice_gate.fairness",
            "Nothing compares how groups are treated.",
            "Declare a measure on their column, if the model decides about people.",
        )


def _policy(model: ModelDeclaration) -> Iterator[Lack]:
    champion, tier = model.gates.champion_gate, model.tier
    if not any(getattr(champion, name) for name in ChampionGate.model_fields if name.startswith("replay")):
        yield Lack(
            _more_where_critical(model, Severity.LOW),
            "gates.champion_gate.replay",
            "There is no replay window: a candidate fitted to a passing event is judged on that event only.",
            "Declare one, where this version has it.",
        )
    if model.promotion.approval == "never" and tier == "critical":
        yield Lack(
            Severity.HIGH,
            "promotion.approval",
            "The tier is critical, and nobody approves a promotion.",
            "Set it to always.",
        )
    if champion.first_deployment == "baseline_only" and tier == "critical":
        yield Lack(
            Severity.MEDIUM,
            "gates.champion_gate.first_deployment",
            "The tier is critical, and its first deployment asks nobody.",
            "Set it to ask.",
        )
    if model.shadow.min_days < 2:
        yield Lack(
            Severity.MEDIUM,
            "shadow.min_days",
            "A shadow window of one day sees one kind of day.",
            "Set it to 7 or more.",
        )
    if model.training.schedule is None:
        yield Lack(
            Severity.LOW,
            "training.schedule",
            "Only drift or a person starts a retrain.",
            "Declare a cron, if age matters.",
        )


def _rows(model: ModelDeclaration) -> Iterator[Lack]:
    if model.label.delay <= timedelta(0):
        yield Lack(
            Severity.HIGH,
            "label.delay",
            "There is no label delay: a row counts as labelled at the moment it happens.",
            "Say how long a label may take to be known.",
        )
    if model.training.holdout_days < MIN_DAYS:
        yield Lack(
            Severity.HIGH,
            "training.holdout_days",
            f"{model.training.holdout_days} held-out days cannot show how much days differ: every comparison is "
            "INCONCLUSIVE.",
            f"Set it to {MIN_DAYS} or more; two weeks is usual.",
        )
    elif model.training.holdout_days < 7:
        yield Lack(
            Severity.LOW,
            "training.holdout_days",
            f"{model.training.holdout_days} held-out days miss some days of the week.",
            "Set it to 7 or more.",
        )


def _people(model: ModelDeclaration, modes: Mapping[str, Mode], project: Path) -> Iterator[Lack]:
    for role, who in model.owners.model_dump().items():
        if str(who).strip().lower() in PLACEHOLDERS:
            yield Lack(Severity.HIGH, f"owners.{role}", f"The owner is {who!r}: nobody is told.", "Name one.")
    for gate in modes:
        page = RUNBOOK.format(gate=gate)
        if not (project / page).is_file():
            yield Lack(Severity.MEDIUM, page, f"A red {gate} links to a page that is not there.", "Write it.")


def _more_where_critical(model: ModelDeclaration, otherwise: Severity) -> Severity:
    if model.tier == "critical":
        return Severity.HIGH
    return Severity.LOW if model.tier == "experimental" else otherwise


# --- text ------------------------------------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of text; the last one is not filled up."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head) - 1)]
    rule = tuple("-" * w for w in (*widths, len(head[-1])))
    return [
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in (head, rule, *rows)
    ]
