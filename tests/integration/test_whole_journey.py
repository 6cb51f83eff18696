"""A candidate's whole way, task by task as its Dag calls them: first deployment, comparison, shadow, promotion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from invariants import check_invariants
from journey_world import NOW, JourneyWorld, at
from mlflow import MlflowClient

from include.adapters.ledger import JourneyUnderWay, Ledger, RequestChanged
from include.adapters.registry import CHALLENGER, CHAMPION
from include.config.revision import git_revision
from include.config.settings import settings
from include.domain.errors import Refusal
from include.domain.lifecycle import State
from include.workflows import tasks
from include.workflows.journey.step import JourneyIsOver


@dataclass
class Story:
    """Two champions of one model, one after the other."""

    world: JourneyWorld
    first: dict[str, Any]
    second: dict[str, Any]
    first_run_again: tuple[Any, Any]
    """Everything there was before and after the first journey was run a second time."""


def everything(world: JourneyWorld) -> dict[str, Any]:
    """What a rerun must not change. The end time of an MLflow run is set anew, which changes no content."""
    runs = [
        (
            run.info.run_id,
            run.info.status,
            run.data.params,
            run.data.metrics,
            run.data.tags,
            len(run.inputs.dataset_inputs),
        )
        for run in world.runs_in_mlflow()
    ]
    return {
        "ledger": world.rows_of_ledger(),
        "tables": world.table_versions(),
        "versions": world.versions_in_mlflow(),
        "runs": runs,
        "aliases": [world.registry.alias(world.model, alias) for alias in (CHAMPION, CHALLENGER)],
    }


def run_again(world: JourneyWorld, run_id: str, day: int, **conf: str) -> None:
    """Every task of the journey a second time, as clearing the whole run does."""
    reference = world.open(run_id, day, **conf)
    assert world.to_shadow(reference)
    assert world.to_the_end(reference)["state"] == "champion"


@pytest.fixture(scope="module")
def story(shared_world: JourneyWorld) -> Iterator[Story]:
    world = shared_world
    first = world.open("first", 13)
    assert world.to_shadow(first)
    world.to_the_end(first)
    before = everything(world)
    run_again(world, "first", 13)
    again = (before, everything(world))
    world.next_day(16)
    second = world.open("second", 17, issue="OPS-7")
    assert world.to_shadow(second)
    assert world.registry.alias(world.model, CHALLENGER) == 2
    for day in (17, 18):
        assert not tasks.shadow_wait_is_over(second["candidate_id"])
        world.next_day(day)
    assert tasks.shadow_wait_is_over(second["candidate_id"])
    world.to_the_end(second)
    yield Story(world, first, second, again)
    check_invariants(world)


def gates_of(reference: dict[str, Any]) -> dict[str, Any]:
    with Ledger.open(settings().ledger_url) as ledger:
        return ledger.gates.latest(reference["candidate_id"])


# --- the way to the top ----------------------------------------------------------------------------------------------


def test_a_first_deployment_is_judged_on_bounds_and_baseline_and_says_so(story):
    gates = gates_of(story.first)
    assert list(gates) == ["training_data_gate", "threshold_gate", "champion_gate", "shadow_gate"]
    assert {record.verdict.value for record in gates.values()} == {"PASS"}
    assert gates["champion_gate"].result.criteria[0].criterion == "first_deployment"
    assert gates["shadow_gate"].result.criteria[0].allowed == "policy baseline_only"


def test_a_second_candidate_is_compared_with_the_champion_on_the_same_rows(story):
    criteria = {c.criterion: c for c in gates_of(story.second)["champion_gate"].result.criteria}
    assert criteria["brier"].champion is not None
    assert {c.rows for c in criteria.values()} == {324}


def test_the_shadow_window_counted_two_days_and_the_promotion_is_effective_after_them(story):
    with Ledger.open(settings().ledger_url) as ledger:
        window = ledger.shadow.window(story.second["candidate_id"])
        epochs = ledger.deployments.epochs(story.world.model)
    assert [(d.day, d.rows, d.answered) for d in window.scored] == [("2024-03-17", 120, 120), ("2024-03-18", 120, 120)]
    assert [(e.revision, e.model_version, e.effective_from) for e in epochs] == [(1, "1", at(13)), (2, "2", at(19))]


def test_ledger_alias_and_tags_name_the_same_champion(story):
    world = story.world
    with Ledger.open(settings().ledger_url) as ledger:
        head = ledger.deployments.champion(world.model)
    client = MlflowClient(settings().mlflow_url, settings().mlflow_url)
    version = client.get_model_version_by_alias(world.model, CHAMPION)
    assert (version.version, version.tags["slipway.candidate"]) == (head.model_version, head.to_candidate)
    assert (version.tags["slipway.digest"], version.tags["slipway.revision"]) == (head.digest, "2")
    assert world.registry.alias(world.model, CHALLENGER) is None
    assert world.candidate(story.first).state is State.RETIRED
    assert world.candidate(story.second).state is State.CHAMPION


def test_the_run_page_holds_everything_about_a_candidate(story):
    candidate = story.world.candidate(story.second)
    client = MlflowClient(settings().mlflow_url, settings().mlflow_url)
    run = client.get_run(candidate.facts.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["estimator"] == "sklearn.linear_model.LogisticRegression"
    assert {"candidate_brier", "champion_brier", "baseline_brier"} <= set(run.data.metrics)
    expected = {
        "slipway.run_id": "second",
        "slipway.issue": "OPS-7",
        "slipway.reason": "a test asks",
        "slipway.requested_by": "ada",
        "slipway.digest": candidate.facts.artifact_digest,
        "slipway.state": "champion",
        "slipway.outcome": "Promoted as version 2.",
    }
    assert expected.items() <= run.data.tags.items()
    assert run.data.tags.get("mlflow.source.git.commit") == git_revision()
    for gate in ("training_data_gate", "threshold_gate", "champion_gate", "shadow_gate"):
        assert run.data.tags[f"slipway.gate.{gate}"].startswith("PASS: ")
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.digest == candidate.facts.training_set_hash[:36]
    assert '"delta_table_versions": {"station_level":' in dataset.source
    pages = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"curves", "evaluation.json", "reference_profile.json"} <= pages
    curves = {item.path.removeprefix("curves/") for item in client.list_artifacts(run.info.run_id, "curves")}
    assert curves == {"calibration.png", "curves.json", "precision_recall.png", "roc.png"}


def test_the_logged_model_is_skops_with_a_signature_and_an_example(story):
    from mlflow.models import get_model_info

    version = story.world.versions_in_mlflow()[1][1]
    info = get_model_info(version)
    assert info.flavors["sklearn"]["serialization_format"] == "skops"
    assert info.signature.inputs.input_names() == ["station", "order", "level", "mean_level_3h"]
    assert info.saved_input_example_info is not None


# --- run again -------------------------------------------------------------------------------------------------------


def test_a_first_deployment_run_again_changes_nothing(story):
    before, after = story.first_run_again
    for what, held in after.items():
        assert held == before[what], what


def test_a_whole_journey_run_again_changes_nothing(story):
    before = everything(story.world)
    run_again(story.world, "second", 17, issue="OPS-7")
    for what, held in everything(story.world).items():
        assert held == before[what], what


def test_a_journey_whose_candidate_was_replaced_since_does_not_run_again(story):
    reference = story.world.open("first", 13)
    with pytest.raises(JourneyIsOver, match=f"The journey of {reference['candidate_id']} is over: "):
        tasks.build_training_set(reference)


# --- stopped ---------------------------------------------------------------------------------------------------------


def test_a_candidate_below_a_bound_is_rejected_with_the_number_and_nothing_is_registered(world, capsys):
    gates = {"threshold_gate": {"min_rows": 100, "criteria": [{"metric": "roc_auc", "at_least": 0.999}]}}
    world.declare(world.model, gates={**gates, "champion_gate": {**CHAMPION_GATE}})
    reference = world.open("r", 13)
    world.train(reference)
    tasks.evaluate(reference)
    judged = world.judge("threshold_gate", reference)
    assert (judged["verdict"], judged["passed"]) == ("FAIL", False)
    # The last digits are the linear algebra library's, which has another kernel for each processor.
    assert re.match(r"roc_auc 0\.88\d* is outside its bound >= 0\.999 on 324 rows", judged["reason"])
    for part in ("criterion", "measured", "allowed", "rows", "champion", "verdict"):
        assert part in judged["table"]
    closed = tasks.close_journey(reference)
    assert closed["state"] == "rejected"
    assert closed["outcome"] == f"Rejected: threshold_gate: {judged['reason']}"
    assert world.versions_in_mlflow() == []
    assert [run.info.status for run in world.runs_in_mlflow()] == ["FAILED"]
    assert tasks.close_journey(reference) == closed
    check_invariants(world)


def test_a_superseded_journey_gives_way_and_its_later_steps_are_refused(world):
    first = world.open("first", 13)
    world.train(first)
    second = world.open("second", 14, supersede=True)
    assert world.candidate(first).state is State.SUPERSEDED
    with pytest.raises(JourneyIsOver, match=f"Superseded by {second['candidate_id']}: a test asks"):
        tasks.evaluate(first)
    assert tasks.close_journey(first)["outcome"] == f"Superseded by {second['candidate_id']}: a test asks"
    assert world.to_shadow(second)
    assert world.to_the_end(second)["state"] == "champion"
    assert world.registry.alias(world.model, CHAMPION) == 1
    check_invariants(world)


# --- requests that are refused ---------------------------------------------------------------------------------------

FIELDS = "as_of, reason, requested_by, issue, report_id, trigger, supersede"


@pytest.mark.parametrize(
    ("conf", "line"),
    [
        pytest.param(
            {"as_of": 20240317},
            "as_of is 20240317; it must be text with a date or time in ISO 8601, not a number.",
            id="wrong type",
        ),
        pytest.param(
            {"as_of": True},
            "as_of is True; it must be text with a date or time in ISO 8601, not a boolean.",
            id="true is no date",
        ),
        pytest.param(
            {"supersede": "yes"}, "supersede is 'yes'; it must be true or false, not text.", id="text for a flag"
        ),
        pytest.param({"reason": 7}, "reason is 7; it must be text, not a number.", id="a number for text"),
        pytest.param(
            {"as_of": "yesterday"},
            "as_of is 'yesterday'; write a date or time in ISO 8601, for example 2013-06-01 or 2013-06-01T06:00:00Z.",
            id="bad date",
        ),
        pytest.param(
            {"as_of": "2024-02-30"},
            "as_of is '2024-02-30'; write a date or time in ISO 8601, for example 2013-06-01 or 2013-06-01T06:00:00Z.",
            id="a day that does not exist",
        ),
        pytest.param(
            {"asof": "2024-03-13"},
            f"'asof' is '2024-03-13'; there is no such field; allowed are: {FIELDS}. Did you mean 'as_of'?",
            id="unknown key",
        ),
        pytest.param(
            {"as_of": "2025-01-01"},
            "as_of is '2025-01-01'; it is after the newest data; the latest allowed is 2024-03-16T00:00:00+00:00.",
            id="future date",
        ),
        pytest.param(
            {"trigger": "drfit"},
            "trigger is 'drfit'; allowed are: drift, schedule, api. Did you mean 'drift'?",
            id="unknown enum",
        ),
    ],
)
def test_f109_f110_a_bad_request_is_one_clear_line_and_opens_nothing(world, conf, line):
    sent = {"as_of": "2024-03-13", "reason": "a test asks", **conf}
    with pytest.raises(Refusal) as refused:
        tasks.open_journey(world.model, "r", "manual", sent, NOW, "ada")
    assert str(refused.value) == line
    with Ledger.open(settings().ledger_url) as ledger:
        assert ledger.candidates.of(world.model) == []


def test_a_model_nobody_declared_is_named_with_those_there_are(world):
    with pytest.raises(Refusal, match=f"There is no model 'trip_lat'; declared are: {world.model}"):
        tasks.open_journey("trip_lat", "r", "manual", {}, NOW, "ada")


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE candidates; --", "{{ var.value.key }}", "../../etc/passwd", "$(reboot)"]
)
def test_f111_text_that_looks_like_code_is_stored_as_it_came(world, text):
    reference = world.open("r", 13, reason=text, issue=text)
    assert (world.candidate(reference).request.reason, world.candidate(reference).request.issue) == (text, text)
    check_invariants(world)


def test_the_same_request_again_is_the_same_journey(world):
    first = world.open("r", 13)
    before = world.rows_of_ledger()
    assert world.open("r", 13) == first
    assert world.rows_of_ledger() == before


def test_another_request_under_a_used_run_id_is_refused(world):
    world.open("r", 13)
    with pytest.raises(RequestChanged) as refused:
        world.open("r", 13, reason="something else")
    assert str(refused.value) == (
        "Run r was opened with reason a test asks and now asks for something else; use a new run id for a new request."
    )


def test_while_a_journey_is_under_way_a_second_one_is_refused_with_its_name(world):
    first = world.open("first", 13)
    with pytest.raises(JourneyUnderWay) as refused:
        world.open("second", 14)
    assert str(refused.value) == (
        f"{world.model} has a journey under way: run first, candidate {first['candidate_id']}. "
        "This request is recorded as one of its causes. Wait until it has ended, or start a new run with "
        "supersede: true, which ends it."
    )
    check_invariants(world)


def test_a_model_without_a_published_day_has_nothing_to_learn_from(world):
    (settings().home / "ledger.db").unlink()
    with pytest.raises(Refusal) as refused:
        world.open("r", 13)
    assert str(refused.value) == (
        f"trip_plan has no published day, so {world.model} has nothing to learn from. "
        "Run features_trip_plan for a range first."
    )


CHAMPION_GATE = {"min_rows": 100, "comparisons": [{"metric": "brier", "margin": 0.05}], "beat_baseline_on": "brier"}
