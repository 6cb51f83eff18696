"""``slipway readiness``: how likely an equal model passes, from the model's own last holdout."""

from __future__ import annotations

import pytest

from include.config import declarations
from include.workflows import stores
from include.workflows.selftest.equal_models import from_last_holdout


def found(world, resamples=20):
    with stores.open_ledger() as ledger:
        return from_last_holdout(ledger, declarations().model(world.model), resamples=resamples)


def test_before_a_candidate_met_a_champion_nothing_is_known(world):
    said = found(world)
    assert said.gates == ()
    assert said.as_lines() == [
        "How likely an equal model passes is not known: no candidate has been compared with a champion yet."
    ]


@pytest.mark.moment("second in shadow")
def test_afterwards_each_offline_gate_has_its_probability(world):
    said = found(world)
    assert said.candidate_id == world.references["second"]["candidate_id"]
    assert [gate.gate for gate in said.gates] == ["threshold_gate", "champion_gate"]
    assert all(0 <= gate.passed <= 1 and gate.resamples == 20 for gate in said.gates)
    assert said.as_lines()[0] == f"From the holdout of {said.candidate_id}:"
    assert found(world) == said
