"""Whole journeys whose model is fitted again before it serves, on a ledger in a file."""

from __future__ import annotations

import pytest
from invariants import check_invariants
from journey_world import LENIENT, MODEL

from include.adapters.ledger import Ledger
from include.config.settings import settings
from include.domain.verdicts import Verdict
from include.workflows import tasks
from include.workflows.scoring import packed_files

pytestmark = pytest.mark.light


def test_a_refitted_champion_serves_is_followed_by_another_and_comes_back_by_a_rollback(world, capsys):
    gates = {**LENIENT, "smoke_gate": {}, "packed_gate": {"rows": 100, "hard_rows": 100}}
    world.declare(world.model, training={**MODEL["training"], "refit": "all"}, gates=gates)
    first = world.first_champion()
    assert first.facts.served_digest not in (None, first.facts.artifact_digest)
    world.next_day(16)
    second = world.open("second", 15)
    capsys.readouterr()
    assert world.to_shadow(second)
    assert (
        f"Champion {first.candidate_id} has learned from held-out rows, so its judged twin" in capsys.readouterr().out
    )
    for day in (17, 18, 19):
        if not tasks.shadow_wait_is_over(second["candidate_id"]):
            world.next_day(day)
    assert world.to_the_end(second)["state"] == "champion"
    done = tasks.roll_back(world.model, "back", {"reason": "It answers nonsense since noon."}, "ada")
    assert done["champion"] == first.candidate_id
    with Ledger.open(settings().ledger_url) as ledger:
        assert ledger.deployments.champion(world.model).digest == first.facts.served_digest
        held = ledger.gates.latest(first.candidate_id)["packed_gate"]
        assert (held.digest, held.verdict) == (first.facts.served_digest, Verdict.PASS), (
            "the file that serves is packed"
        )
        assert packed_files.served_form(ledger, first).digest == held.result.notes["digest"]
    world.next_day(20)
    check_invariants(world)
