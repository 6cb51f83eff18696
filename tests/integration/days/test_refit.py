"""What is judged is the recipe's twin; what serves is the same recipe fitted on all matured rows. Both are checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from journey_world import MODEL, NOW
from light_world import GATES_OF_A_REFIT, REFIT_TRAINING, LightWorld

from include.adapters import estimators
from include.adapters.ledger import DigestMismatch, PromotionRequest, TwinMismatch
from include.adapters.registry import REFITTED
from include.config import loader
from include.domain.errors import Refusal
from include.domain.gate_names import FILE_GATES
from include.domain.promotion import Promotable
from include.domain.recipes import Recipe
from include.workflows import gates, stores, tasks
from include.workflows.evidence import race
from include.workflows.explain import lineage
from include.workflows.gates.gate import REGISTER
from include.workflows.journey import fact_files
from include.workflows.journey.facts import Refitted
from include.workflows.journey.step import journey_folder
from include.workflows.scoring import fitted_models


@pytest.fixture
def refitting(world: LightWorld) -> LightWorld:
    """The world whose candidate is measured and whose model is fitted again before it serves."""
    world.declare(world.model, training=REFIT_TRAINING, gates=GATES_OF_A_REFIT)
    return world


def head(world: LightWorld):
    with stores.open_ledger() as ledger:
        return ledger.deployments.champion(world.model)


# --- what is declared ------------------------------------------------------------------------------------------------


@pytest.mark.moment("evaluated")
def test_left_out_nothing_is_fitted_again_and_every_gate_stays_where_it_was(world):
    model = loader.declarations().model(world.model)
    assert model.training.refit == "no"
    assert not tasks.refits(model)
    assert gates.of(model) == gates.GATES


@pytest.mark.moment("evaluated")
def test_a_bare_no_of_yaml_is_no_and_anything_else_is_refused(world):
    world.declare(world.model, training={**MODEL["training"], "refit": False})
    assert not tasks.refits(loader.declarations().model(world.model))
    world.declare(world.model, training={**MODEL["training"], "refit": "some"})
    (said,) = map(str, loader.declarations().broken.values())
    assert "training.refit" in said
    assert "\n" not in said


@pytest.mark.moment("evaluated")
def test_the_gates_of_the_file_come_after_the_file(refitting):
    model = loader.declarations().model(refitting.model)
    after = {gate.name: gate.after for gate in gates.of(model)}
    assert {name for name, step in after.items() if step == REGISTER} == {
        "leakage_gate",
        "latency_gate",
        "signature_gate",
        "smoke_gate",
        "packed_gate",
    }
    assert gates.later_than_registering(model) <= FILE_GATES
    assert (after["threshold_gate"], after["champion_gate"]) == ("evaluate", "evaluate")


# --- the way to promotion --------------------------------------------------------------------------------------------


@pytest.mark.moment("evaluated")
def test_the_served_file_learned_from_the_held_out_rows_and_the_judged_one_did_not(refitting):
    reference = refitting.references["r"]
    done = tasks.refit(reference)
    known = refitting.candidate(reference).facts
    assert known.artifact_digest == done["twin"] != done["digest"] == known.served_digest == known.serving_digest
    told = fact_files.read(journey_folder(reference["candidate_id"]), Refitted)
    # As of the 13th with labels after a day: the judged one learned up to the 8th, the served one up to the 11th.
    assert (told.recipe, told.rows, told.first_day, told.last_day) == ("window", 6 * 108, "2024-03-06", "2024-03-11")


@pytest.mark.moment("refitted in shadow")
def test_the_journey_ends_with_the_served_file_as_champion(world):
    reference = world.references["r"]
    known = world.candidate(reference).facts
    with stores.open_ledger() as ledger:
        saw = {gate: record.digest for gate, record in ledger.gates.latest(reference["candidate_id"]).items()}
    assert {gate for gate, digest in saw.items() if digest == known.served_digest} == {
        "leakage_gate",
        "latency_gate",
        "smoke_gate",
        "shadow_gate",
    } & set(saw)
    assert saw["champion_gate"] == known.artifact_digest
    assert tasks.promote(reference, NOW)["revision"] == 1
    tasks.close_journey(reference)
    assert head(world).digest == known.served_digest
    tags = world.registry.models[world.model].versions[1].tags
    assert (tags["slipway.digest"], tags["slipway.twin_digest"]) == (known.served_digest, known.artifact_digest)
    (model,) = lineage.of_candidate(reference["candidate_id"]).find("model")
    assert (model.facts["served_digest"], model.facts["artifact_digest"]) == (
        known.served_digest,
        known.artifact_digest,
    )
    assert f"artifact {known.served_digest[:12]}, its judged twin {known.artifact_digest[:12]}" in model.text


@pytest.mark.moment("evaluated")
def test_each_step_again_gives_the_same_two_digests(refitting):
    reference = refitting.references["r"]
    first = tasks.refit(reference)
    assert tasks.refit(reference) == first
    tasks.train(reference)
    tasks.evaluate(reference)
    assert tasks.refit(reference) == first
    for gate in ("training_data_gate", "threshold_gate", "champion_gate"):
        assert refitting.judge(gate, reference)["passed"]
    tasks.register_challenger(reference, NOW)
    assert tasks.refit(reference) == first, "cleared when it is registered already"
    run = refitting.registry.runs[str(refitting.candidate(reference).facts.mlflow_run_id)]
    assert len(run.models) == 2, "one twin, one served file"


@pytest.mark.moment("evaluated")
def test_a_refit_that_broke_off_after_the_model_was_logged_goes_on_with_that_model(refitting, monkeypatch):
    reference = refitting.references["r"]

    def breaks(run: str, tags: dict) -> None:
        raise ConnectionError("MLflow is gone")

    with monkeypatch.context() as patch:
        patch.setattr(refitting.registry, "tag", breaks)
        with pytest.raises(ConnectionError):
            tasks.refit(reference)
    assert refitting.candidate(reference).facts.served_digest is None
    run = refitting.registry.runs[str(refitting.candidate(reference).facts.mlflow_run_id)]
    logged = list(run.models)
    assert tasks.refit(reference)["model_uri"] == logged[1]
    assert run.models == logged


@pytest.mark.moment("evaluated")
def test_two_fits_of_the_same_rows_answer_alike(refitting):
    reference = refitting.references["r"]
    served = fitted_models.load_logged(refitting.registry, *_served(refitting, reference, tasks.refit(reference)))
    run = refitting.registry.runs[str(refitting.candidate(reference).facts.mlflow_run_id)]
    run.models = run.models[:1]
    again = fitted_models.load_logged(refitting.registry, *_served(refitting, reference, tasks.refit(reference)))
    assert served is not again
    assert np.array_equal(served.steps[-1][1].coef_, again.steps[-1][1].coef_)


def _served(world: LightWorld, reference: dict, done: dict) -> tuple[str, str]:
    return done["model_uri"], done["digest"]


# --- what stops it ---------------------------------------------------------------------------------------------------


@pytest.mark.moment("evaluated")
def test_a_candidate_that_was_not_fitted_again_is_neither_registered_nor_promoted(refitting):
    reference = refitting.references["r"]
    for gate in ("training_data_gate", "threshold_gate", "champion_gate"):
        assert refitting.judge(gate, reference)["passed"]
    with pytest.raises(Refusal, match=r"was not fitted again on all matured rows.*Clear the run from refit on\.$"):
        tasks.register_challenger(reference, NOW)
    assert refitting.versions_in_mlflow() == []


@pytest.mark.moment("refitted in shadow")
def test_a_served_file_that_was_replaced_is_not_promoted(world):
    reference = world.references["r"]
    with world.registry.fetched(world.model, 1) as file:
        kept = file.read_bytes()
    world.registry.replace_file(world.model, 1, kept[:-1] + b"x")
    with pytest.raises(DigestMismatch, match="but the registry holds"):
        tasks.promote(reference, NOW)
    assert head(world) is None
    world.registry.replace_file(world.model, 1, kept)
    assert tasks.promote(reference, NOW)["revision"] == 1


@pytest.mark.moment("refitted in shadow")
def test_a_twin_that_was_replaced_or_is_gone_stops_the_promotion(world):
    reference = world.references["r"]
    run = world.registry.runs[str(world.candidate(reference).facts.mlflow_run_id)]
    twin = next(uri for uri in run.models if REFITTED not in world.registry.logged[uri].tags)
    kept = world.registry.logged[twin]
    name = next(name for name in kept.files if name.endswith(".skops"))
    other = {**kept.files, name: kept.files[name][:-1] + b"x"}
    world.registry.logged[twin] = replace(kept, files=other)
    with pytest.raises(TwinMismatch, match=r"was judged by the twin \w+ of what is to serve, but there is \w+"):
        tasks.promote(reference, NOW)
    run.models.remove(twin)
    with pytest.raises(Refusal, match="has lost the twin that was judged"):
        tasks.promote(reference, NOW)
    assert head(world) is None


@pytest.mark.moment("refitted in shadow")
def test_the_ledger_asks_for_the_twin_of_a_refitted_file_and_refuses_one_where_there_is_none(world):
    reference = world.references["r"]
    known = world.candidate(reference).facts
    asked = PromotionRequest(
        world.model, reference["candidate_id"], 0, known.served_digest, NOW, "t", "a test asks", "r"
    )
    with stores.open_ledger() as ledger:
        for wrong in (None, known.served_digest, "0" * 64):
            with pytest.raises(TwinMismatch):
                ledger.deployments.promote(replace(asked, twin_digest=wrong), required_gates=["champion_gate"], now=NOW)
        with pytest.raises(DigestMismatch):
            ledger.deployments.promote(replace(asked, digest=known.artifact_digest), required_gates=[], now=NOW)


def test_a_gate_of_the_file_that_saw_the_twin_does_not_count():
    both = Promotable("twin", "rows", served_digest="served")
    assert both.digests("smoke_gate") == {"served"}
    assert both.digests("champion_gate") == {"twin", "rows"}
    assert Promotable("one", "rows").digests("smoke_gate") == {"one", "rows"}


# --- which rows ------------------------------------------------------------------------------------------------------

DAYS = np.repeat([f"2021-01-{d:02d}" for d in range(1, 21)], 10)


@pytest.mark.parametrize(
    ("recipe", "first"),
    [
        (Recipe.WINDOW, "2021-01-06"),
        (Recipe.RECENT_WEIGHTED, "2021-01-06"),
        (Recipe.SINCE_CHANGE, "2021-01-11"),
        (Recipe.EXPANDING, "2021-01-01"),
    ],
)
def test_a_recipe_learns_again_from_its_own_rows_up_to_the_newest_matured_day(recipe, first):
    rows = race.LearnedRows(None, np.zeros(len(DAYS)), DAYS, "2021-01-11", "2021-01-06")
    chosen = DAYS[race.refit_rows(rows, recipe)]
    assert (chosen[0], chosen[-1]) == (first, "2021-01-20")


def test_weights_reach_the_estimator_of_the_refit(monkeypatch):
    seen = {}
    monkeypatch.setattr(estimators, "fit", lambda pipeline, features, label, weights: seen.update(weights=weights))
    import pandas as pd

    rows = race.LearnedRows(pd.DataFrame({"x": DAYS}), np.zeros(len(DAYS)), DAYS)
    race.refitted(loader.declarations().model("flight_delay"), lambda: None, rows, Recipe.RECENT_WEIGHTED)
    assert seen["weights"][-1] == 1.0
    assert seen["weights"][0] == pytest.approx(0.5 ** (19 / 30))
