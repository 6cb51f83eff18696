"""The registry is the one list of gates: what is declared there alone is found in every place that knows gates.

A gate of a kind nobody has written, declared through the registry only, is looked for in the Dag, on both sides of
registering and promoting, on the release page, in the selftest, in the simulation, in readiness and in the Dag's page.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selftest_models import BINARY, declared, with_gates
from simulated_tables import a_table, policy, simulated

from include.config.settings import PROJECT
from include.domain.simulation.outcome import PolicyKind
from include.domain.verdicts import CriterionResult, GateResult, Mode, Verdict
from include.workflows import gates, tasks
from include.workflows.gates.gate import BUILD, EVALUATE, REGISTER, SHADOW, STATIONS, Gate, SeedFor, Severity
from include.workflows.selftest import bench, readiness, seeds


def coverage_of(model: Any, subject: Any) -> GateResult:
    """Passes a candidate that answers every held-out row with a number."""
    import numpy as np

    evidence = subject.scored()
    share = float(np.isfinite(evidence.candidate).mean())
    verdict = Verdict.PASS if share >= 1 else Verdict.FAIL
    criterion = CriterionResult("answered", verdict, share, ">= 1", evidence.rows, f"{share:.1%} of the rows answered.")
    return GateResult("coverage_gate", Mode.BLOCKING, (criterion,))


COVERAGE = Gate(
    name="coverage_gate",
    after=EVALUATE,
    asks="Does it answer every row?",
    field="gates.coverage_gate",
    mode=lambda model: Mode.BLOCKING,
    judge=coverage_of,
    looks_at=("scorer", "held_out"),
    seeds=(SeedFor("NaN on 1 % of rows", "^answered"),),
)
LATER = replace(COVERAGE, name="registered_coverage_gate", after=REGISTER, replayable=False)


@pytest.fixture
def registered(monkeypatch):
    """Both, in the registry and nowhere else."""
    shadow = next(i for i, gate in enumerate(gates.GATES) if gate.after == SHADOW)
    monkeypatch.setattr(gates, "GATES", (*gates.GATES[:shadow], COVERAGE, LATER, *gates.GATES[shadow:]))


@pytest.fixture
def model(registered, tmp_path):
    with declared(tmp_path, BINARY) as known:
        yield known.model(BINARY["name"])


def test_the_dag_runs_it_after_its_step(model):
    assert "coverage_gate" in tasks.gates_after(model, EVALUATE)
    assert tasks.gates_after(model, REGISTER) == ["smoke_gate", "packed_gate", "registered_coverage_gate"]


def test_it_is_demanded_on_its_own_side_of_registering(model):
    later = gates.later_than_registering(model)
    assert "coverage_gate" not in later
    assert "registered_coverage_gate" in later
    assert {"coverage_gate", "registered_coverage_gate"} <= set(gates.required(model))


def test_the_release_page_shows_it_in_its_phase_with_its_question(model):
    assert "coverage_gate" in gates.of_station(EVALUATE, model)
    assert "registered_coverage_gate" in gates.of_station(REGISTER, model)
    assert gates.asks("coverage_gate", model) == "Does it answer every row?"


def test_the_selftest_judges_every_candidate_by_it_and_counts_what_it_stops(registered, tmp_path):
    optional = ("leakage_gate", "slice_gate", "latency_gate", "signature_gate", "smoke_gate", "packed_gate")
    bare = with_gates(BINARY, **dict.fromkeys(optional))
    with declared(tmp_path, bare):
        found = bench.run(bare["name"])
    assert found.problems == []
    assert found.honest["coverage_gate"].verdict is Verdict.PASS
    seeded = next(seed for seed in found.seeds if seed.name == "NaN on 1 % of rows")
    assert seeded.cells["coverage_gate"].verdict is Verdict.FAIL
    assert seeded.cells["coverage_gate"].on_defect is Verdict.FAIL


def test_the_simulation_asks_it_and_names_the_one_it_cannot_ask(registered):
    found = simulated(a_table(60, turns_on=30))
    assert {g.gate for g in found.first_gates} >= {"coverage_gate", "threshold_gate"}
    assert all(
        "coverage_gate" in j.verdicts
        for j in policy(found, PolicyKind.DECLARED).journeys
        if "champion_gate" in j.verdicts
    )
    remarks = " ".join(found.remarks)
    assert "registered_coverage_gate" in remarks
    assert " coverage_gate" not in remarks


def test_readiness_lists_it_with_the_seeds_it_is_meant_for(model):
    report = readiness.report_on(model)
    assert report.gates["coverage_gate"] is Mode.BLOCKING
    assert report.stops("coverage_gate") == ["NaN on 1 % of rows"]
    page = "docs/runbook/coverage_gate.md"
    assert [lack.severity for lack in report.lacks if lack.field == page] == [Severity.MEDIUM]


def test_the_dag_s_own_documentation_names_it(model, monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "plugins"))
    from slipway_airflow import docs

    assert "coverage_gate (blocking)" in docs.of_model("Why.", model)


def test_every_gate_follows_a_station_and_the_gates_are_in_the_order_of_the_stations():
    steps = [station.step for station in STATIONS]
    assert [steps.index(gate.after) for gate in gates.GATES] == sorted(steps.index(gate.after) for gate in gates.GATES)
    assert len({gate.name for gate in gates.GATES}) == len(gates.GATES)
    assert gates.GATES[0].after == BUILD


def test_every_gate_that_measures_is_proved_by_a_seed_that_exists():
    known = {seed.name for seed in seeds.SEEDS}
    for gate in gates.GATES:
        assert {meant.seed for meant in gate.seeds} <= known
        assert bool(gate.seeds) == bool(gate.looks_at), f"{gate.name} measures a candidate, and no seed can fail it"
    assert {seed for seed in known if not any(m.seed == seed for g in gates.GATES for m in g.seeds)} == set()


# --- no list of gates is kept by hand --------------------------------------------------------------------------------

OWN_FILES = {
    "include/domain/gate_names.py": "the names that gates had before, and which of them judge the file that serves",
    "include/config/old_keys.py": "the names that keys had before",
    "include/config/own_gates.py": "keeps them from being taken by a gate of a team's own",
    "include/domain/shadow.py": "its own rule",
    "include/config/views.py": "the audit of a view, which is no gate of a journey",
    "include/workflows/simulation/settings.py": "writes a declaration",
    "include/workflows/tables/default_gates.py": "writes the gates of a file of predictions",
}
"""Product files beside ``gates/`` and ``domain/gates/`` that may hold a gate's name as a whole string."""


def names_in(file: Path) -> set[str]:
    code = file.read_text(encoding="utf-8")
    known = {gate.name for gate in gates.GATES if gate.looks_at}
    if not any(name in code for name in known):
        return set()
    return {
        node.value
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known
    }


def test_no_gate_s_name_is_written_outside_its_own_file():
    found: dict[str, set[str]] = {}
    for folder in ("include", "plugins", "dags"):
        for file in sorted((PROJECT / folder).rglob("*.py")):
            where = file.relative_to(PROJECT).as_posix()
            own = where.startswith(("include/workflows/gates/", "include/domain/gates/")) or where in OWN_FILES
            if names := names_in(file):
                if own and (len(names) == 1 or where in OWN_FILES or where.endswith("domain/gates/__init__.py")):
                    continue
                found[where] = names
    assert found == {}


def test_the_search_for_names_finds_one(tmp_path):
    (tmp_path / "hand_kept.py").write_text('AFTER = ("slice_gate",)\n', encoding="utf-8")
    assert names_in(tmp_path / "hand_kept.py") == {"slice_gate"}
