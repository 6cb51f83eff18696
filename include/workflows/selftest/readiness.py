"""What a model's declaration covers and what it lacks, from the declaration alone: nothing is run.

Every lack has a severity and a way out. None of them stops anything: a team may know better, and then says so by
leaving it as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from include.config import ModelDeclaration
from include.config.settings import PROJECT
from include.domain.verdicts import Mode
from include.workflows import gates
from include.workflows.gates.gate import Lack, Lacking, Severity
from include.workflows.selftest import seeds

MIN_DAYS = 3
"""Held-out days below which no paired comparison is made (``include/domain/comparison.py``, ``MIN_BLOCKS``)."""
PLACEHOLDERS = {"", "-", "?", "todo", "tbd", "none", "nobody", "n/a", "owner", "someone"}


@dataclass(frozen=True, slots=True)
class ReadinessReport:
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


def report_on(model: ModelDeclaration, project: Path = PROJECT) -> ReadinessReport:
    """Every finding about the model's declaration; ``project`` is the folder in which the runbook is found."""
    modes, covered, not_covered = gates.modes(model), dict[str, tuple[str, ...]](), dict[str, str]()
    for seed in seeds.SEEDS:
        meant = seed.meant(model)
        if isinstance(meant, Lacking):
            not_covered[seed.name] = meant.why
        else:
            covered[seed.name] = meant
    lacks = [*_gates(model), *_policy(model), *_rows(model), *_people(model, project)]
    lacks.sort(key=lambda lack: lack.severity.rank)
    return ReadinessReport(model.name, model.tier, modes, covered, not_covered, tuple(lacks))


# --- what may be lacking ---------------------------------------------------------------------------------------------


def _gates(model: ModelDeclaration) -> Iterator[Lack]:
    for gate in gates.of(model):
        mode = gate.mode(model)
        absent = gate.absence(model) if mode is None and gate.absence is not None else None
        if absent is not None:
            severity, why = absent
            yield Lack(severity, gate.field, f"There is no {gate.name}. {why}", f"Declare {gate.field}.")
        if mode is Mode.ADVISORY and (lacking := gate.advisory(model)) is not None:
            what = f"{gate.name} only advises: a bad candidate goes on."
            yield Lack(lacking, f"{gate.field}.mode", what, "Set it to blocking.")
        yield from gate.lacks(model)


def _policy(model: ModelDeclaration) -> Iterator[Lack]:
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


def _people(model: ModelDeclaration, project: Path) -> Iterator[Lack]:
    for role, who in model.owners.model_dump().items():
        if str(who).strip().lower() in PLACEHOLDERS:
            yield Lack(Severity.HIGH, f"owners.{role}", f"The owner is {who!r}: no one is notified.", "Name one.")
    for gate in gates.declared(model):
        page = gate.runbook
        if gate.looks_at and not (project / page).is_file():
            yield Lack(Severity.MEDIUM, page, f"A red {gate.name} links to a page that is not there.", "Write it.")


# --- text ------------------------------------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of text; the last one is not filled up."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head) - 1)]
    rule = tuple("-" * w for w in (*widths, len(head[-1])))
    return [
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in (head, rule, *rows)
    ]
