"""The nightly comparison of many models with MLflow: one of them never ends the night for the others."""

from __future__ import annotations

import pytest
from journey_world import NOW
from ledger_fixtures import request
from light_world import LightWorld

from include.adapters.registry import RegistryUnreachable
from include.domain.lifecycle import Event
from include.workflows import pairs, stores
from include.workflows.pairs import PairState
from include.workflows.release import reconcile
from include.workflows.release.reconcile import AliasFault

MODELS = [f"model_{number:03}" for number in range(40)]


@pytest.fixture
def many(world: LightWorld, monkeypatch: pytest.MonkeyPatch):
    """Counts the models that MLflow is asked about, and raises what a test sets for one."""
    with stores.open_ledger() as ledger:
        for name in MODELS:
            opened = ledger.candidates.open(request(f"run-{name}", model=name))
            ledger.candidates.close(opened.candidate_id, Event.FAIL, outcome="Ended by the test.", actor="test")
    asked: list[str] = []
    stops: dict[str, Exception] = {}
    real = world.registry.registered

    def registered(model: str):
        if model not in asked:
            asked.append(model)
        if model in stops:
            raise stops[model]
        return real(model)

    monkeypatch.setattr(world.registry, "registered", registered)
    return asked, stops


def test_f195_an_mlflow_that_hangs_is_asked_about_one_model_and_every_other_is_not_compared(many):
    asked, stops = many
    stops[MODELS[0]] = RegistryUnreachable("MLflow did not answer within 20 s.")
    found = reconcile.reconcile(MODELS)
    assert asked == [MODELS[0]]
    assert {f.kind for f in found} == {AliasFault.UNREACHABLE}
    assert [f.model for f in found] == MODELS
    assert found[-1].message == f"MLflow did not answer about {MODELS[0]}, so it was not asked about {MODELS[-1]}."
    with pytest.raises(RegistryUnreachable, match="within 20 s"):
        reconcile.reconciled(MODELS)
    stops.clear()


def test_f195_an_error_about_one_model_is_named_and_the_others_are_compared(many):
    asked, stops = many
    stops[MODELS[7]] = KeyError("aliases")
    found = reconcile.reconcile(MODELS)
    assert asked == MODELS
    assert [(f.model, f.kind, f.message) for f in found] == [
        (MODELS[7], AliasFault.NOT_COMPARED, "KeyError: 'aliases'")
    ]
    with pytest.raises(reconcile.NeedsAPerson, match="model_007: KeyError"):
        reconcile.reconciled(MODELS)
    told = pairs.check_named("registry").compare(NOW)
    assert (MODELS[7], PairState.NOT_COMPARED) in {(f.about, f.state) for f in told}
    stops.clear()
