"""Rule 4 and rule 1 on real days: an estimate prepares a candidate that is held until labels show it; labels that stop
coming call a person; a champion whose reference is gone is refused."""

from __future__ import annotations

import json
import re
import tempfile
import threading
from pathlib import Path

import pytest
from feature_world import at
from invariants import check_invariants
from journey_world import MODEL, NOW, JourneyWorld, key
from mlflow_server import MlflowServer
from release_story import Story
from waiting import PATIENCE_S

from include.adapters.ledger import JourneyUnderWay, Ledger, RetrainAction
from include.adapters.registry import Registry, RegistryUnreachable, runs
from include.cli import main
from include.config import loader
from include.config.settings import settings
from include.domain.drift.report import DriftReport
from include.domain.errors import Refusal
from include.domain.journey import drift_run_id
from include.domain.verdicts import Verdict
from include.workflows import gates, stores, tasks
from include.workflows.drift import labels_behind_alarm, rule_inputs
from include.workflows.journey import estimate_hold, step
from include.workflows.journey.facts import ReferenceProfile

pytestmark = pytest.mark.slow

HARD = (0.5, 0.2)
"""Orders near which a trip is as likely late as not: rows of the kind the model knows, and harder to answer."""
DRIFT = {
    **MODEL["drift"],
    "performance": {
        "metric": "brier",
        "tolerance": 0.005,
        "alpha": 0.1,
        "min_rows": 100,
        "unit": "row",
        "window_days": 2,
    },
    "estimated": {"min_rows": 50, "run_length_days": 7},
    "retrain": {"cooldown_days": 2},
}
DECLARED = {
    "label": {**MODEL["label"], "delay": "72h"},
    "training": {**MODEL["training"], "window_days": 3, "holdout_days": 6},
    "drift": DRIFT,
    "shadow": {**MODEL["shadow"], "mode": "advisory"},
}


def watch(world: JourneyWorld, day: int) -> tuple[dict, dict]:
    report = tasks.measure_drift(world.model, key(day), f"drift-{day}")
    return dict(report), dict(tasks.decide(report))


def criterion_at(world: JourneyWorld, reference: dict, day: int, **performance: object):
    """What the labels that had matured at the start of ``day`` say of the candidate's alarm."""
    world.declare(
        world.model, **{**DECLARED, "drift": {**DRIFT, "performance": {**DRIFT["performance"], **performance}}}
    )
    try:
        with step.step_of(reference, "a look", live=False) as journey:
            window = journey.ledger.shadow.window(journey.candidate_id)
            alarm = estimate_hold.alarm_day(journey.ledger, journey.candidate)
            return labels_behind_alarm.labels_show_it(journey, window.champion_id, alarm, at(day))
    finally:
        world.declare(world.model, **DECLARED)


@pytest.fixture(scope="module")
def way(shared_world: JourneyWorld, mlflow_server: MlflowServer, tmp_path_factory) -> Story:
    """Three ordinary days, two of rows that are harder to answer, and the journey that these start; kept while it is in
    its shadow, when it was promoted, and after days whose labels do not come."""
    world = shared_world
    story = Story(world, mlflow_server, tmp_path_factory.mktemp("moments"))
    world.declare(world.model, **DECLARED)
    world.first_champion()
    seen = story.seen = {}
    for day in range(13, 18):
        if day < 16:
            world.score(day)
        else:
            world.next_day(day, orders=HARD)
        seen[day] = watch(world, day)
    decision = seen[17][1]
    reference = tasks.open_journey(
        world.model, decision["journey_run_id"], "operator_triggered", decision["conf"], NOW, None
    )
    assert world.to_shadow(reference)
    story.references["alarmed"] = dict(reference)
    story.keep("in shadow")
    for day in range(18, 22):
        world.next_day(day, orders=HARD)
        if day == 18:
            watch(world, day)
    assert world.judge("shadow_gate", reference)["passed"]
    tasks.promote(reference, NOW)
    assert tasks.close_journey(reference)["state"] == "champion"
    story.keep("promoted")
    for day in (22, 23, 24):
        world.next_day(day, labels=day != 22)
        watch(world, day)
    world.next_day(25)
    story.keep("without labels")
    return story


def gone_back(way: Story, moment: str) -> tuple[JourneyWorld, dict[int, tuple[dict, dict]], dict]:
    way.back_to(moment)
    return way.world, way.seen, way.references["alarmed"]


@pytest.fixture
def alarmed(way: Story) -> tuple[JourneyWorld, dict[int, tuple[dict, dict]], dict]:
    """The journey is in its shadow; what the sensor saw each day."""
    return gone_back(way, "in shadow")


@pytest.fixture
def promoted(way: Story) -> tuple[JourneyWorld, dict[int, tuple[dict, dict]], dict]:
    return gone_back(way, "promoted")


@pytest.fixture
def without_labels(way: Story) -> tuple[JourneyWorld, dict[int, tuple[dict, dict]], dict]:
    """Three days were judged since, and the 25th was scored; its labels and those of some days before do not come."""
    return gone_back(way, "without labels")


def test_rows_that_are_harder_to_answer_prepare_a_candidate_before_any_label_of_theirs_is_there(alarmed):
    _, seen, _ = alarmed
    assert [decision["action"] for _, decision in seen.values()] == ["log", "log", "log", "log", "retrain"]
    report, decision = seen[17]
    assert decision["rule"] == "4 estimated_out_of_band"
    assert (report["flags"]["estimated"], report["flags"]["realised"]) == (True, False)
    assert "not to be promoted before labels mature" in decision["reason"]
    assert "Estimated out of band: brier 0.2" in decision["reason"]


def test_every_report_is_on_the_champions_mlflow_run_once_with_pictures_where_it_starts_something(alarmed):
    world, _, _ = alarmed
    watch(world, 17)
    with Ledger.open(settings().ledger_url) as ledger:
        run = ledger.candidates.get(ledger.deployments.champion(world.model).to_candidate).facts.mlflow_run_id
    from mlflow import MlflowClient

    client = MlflowClient(settings().mlflow_url)
    # MLflow keeps the files of days that this story has not reached again.
    days = sorted(f.path for f in client.list_artifacts(run, "drift"))[:5]
    assert days == [f"drift/2024-03-{day}" for day in range(13, 18)]
    files = {
        day: sorted(f.path.rpartition("/")[2] for f in client.list_artifacts(run, day)) for day in (days[0], days[-1])
    }
    assert files == {days[0]: ["report.json"], days[-1]: ["performance.png", "report.json", "windows.png"]}
    with Ledger.open(settings().ledger_url) as ledger:
        kept = ledger.drift.reports(world.model, last=1)[0]
    with tempfile.TemporaryDirectory() as folder:
        logged = json.loads(Path(client.download_artifacts(run, f"{days[-1]}/report.json", folder)).read_text())
    assert (logged["decision"]["action"], logged["report"]) == ("retrain", kept.report)


@pytest.mark.parametrize("kept_elsewhere", [True, False])
def test_a_server_that_asks_for_a_name_or_keeps_its_files_elsewhere_is_spoken_to_by_its_client(
    alarmed, monkeypatch, kept_elsewhere
):
    world, _, _ = alarmed
    with Ledger.open(settings().ledger_url) as ledger:
        run = ledger.candidates.get(ledger.deployments.champion(world.model).to_candidate).facts.mlflow_run_id
    sent = []
    monkeypatch.setattr(Registry, "log_json", lambda self, run_id, data, path: sent.append((run_id, data, path)))
    if kept_elsewhere:
        monkeypatch.setattr(runs, "_SERVED_FILES", re.compile("nothing"))
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    Registry(settings().mlflow_url).put_json(run, {"a": 1}, "elsewhere.json")
    assert sent == [(run, {"a": 1}, "elsewhere.json")]


def test_a_run_that_is_gone_is_one_clear_line(alarmed):
    with pytest.raises(RegistryUnreachable, match="did not answer"):
        Registry(settings().mlflow_url).put_json("0" * 32, {}, "report.json")


def test_a_registry_that_is_away_costs_the_page_and_not_the_decision(alarmed, monkeypatch, capsys):
    class Away:
        def put_json(self, *_: object) -> None:
            raise RegistryUnreachable("MLflow did not answer.")

    world, seen, _ = alarmed
    monkeypatch.setattr(stores, "registry", Away)
    decided = watch(world, 17)[1]
    assert {**decided, "remarks": []} == {**seen[17][1], "remarks": []}
    assert decided["remarks"][0].startswith("The report of 2024-03-17, which is in the ledger, on its MLflow run could")
    assert "Remark: The report of 2024-03-17" in capsys.readouterr().out


def test_an_estimate_that_shall_only_be_reported_starts_nothing(alarmed):
    world, _, _ = alarmed
    with Ledger.open(settings().ledger_url) as ledger:
        kept = ledger.drift.reports(world.model, last=1)[0]
        report = DriftReport.from_json(kept.report)
        world.declare(world.model, **{**DECLARED, "drift": {**DRIFT, "estimated": {"min_rows": 50, "acts": False}}})
        model = loader.declarations().model(world.model)
        flags = rule_inputs.situation(ledger, model, report, ledger.incidents.before(world.model, report.day)).flags
        world.declare(world.model, **DECLARED)
    assert report.flags.estimated is True
    assert {f.estimated for f in flags} == {None}


def test_the_candidate_is_held_until_the_labels_behind_the_alarm_show_it(alarmed):
    world, _, reference = alarmed
    for day in (18, 19, 20):
        world.next_day(day, orders=HARD)
        if day == 18:
            assert watch(world, day)[1]["rule"] == "6 in_flight"
            assert watch(world, day)[1]["conf"] == {}
        assert not tasks.shadow_wait_is_over(reference["candidate_id"])  # it has its rows and days from the 19th on
    world.next_day(21, orders=HARD)
    assert tasks.shadow_wait_is_over(reference["candidate_id"])

    early = criterion_at(world, reference, 19)
    assert early.verdict is Verdict.INCONCLUSIVE
    assert "the newest matured label is of 2024-03-15" in early.reason
    contradicted = criterion_at(world, reference, 22, tolerance=0.5)
    assert contradicted.verdict is Verdict.FAIL
    assert "labels contradict it. In band" in contradicted.reason
    unproven = criterion_at(world, reference, 22, tolerance=0.02, alpha=0.01)
    assert unproven.verdict is Verdict.INCONCLUSIVE
    assert "labels cannot tell yet. In band" in unproven.reason

    judged = world.judge("shadow_gate", reference)
    assert judged["passed"], judged["table"]
    assert labels_behind_alarm.CRITERION in judged["table"]
    with Ledger.open(settings().ledger_url) as ledger:
        kept = ledger.gates.latest(reference["candidate_id"])["shadow_gate"].result
    assert kept.mode.value == "blocking"  # though the declaration says advisory
    tasks.promote(reference, NOW)
    assert tasks.close_journey(reference)["state"] == "champion"
    check_invariants(world)


def test_f105_drift_that_finds_its_journey_under_way_is_one_of_its_causes_in_the_ledger_and_on_its_mlflow_run(
    promoted, capsys
):
    world, _, reference = promoted
    with Ledger.open(settings().ledger_url) as ledger:
        causes = ledger.explain(reference["candidate_id"]).causes
    assert [(c.request.run_id[-10:], c.state.value) for c in causes] == [
        ("2024-03-17", "opened"),
        ("2024-03-18", "shadowing"),
    ]
    assert causes[1].request.report_id.endswith("20240318")
    from mlflow import MlflowClient

    tags = MlflowClient(settings().mlflow_url).get_run(world.candidate(reference).facts.mlflow_run_id).data.tags
    assert tags["slipway.causes"] == f"drift by drift_{world.model} (2 requests)"
    assert main(["explain", reference["candidate_id"]]) == 0
    also = f"also asked by drift_{world.model} (drift) while it was shadowing, as of 2024-03-19, run drift__"
    assert also in capsys.readouterr().out
    assert main(["history", world.model]) == 0
    assert f"also asked for: drift by drift_{world.model}" in capsys.readouterr().out


def test_a_held_candidate_needs_its_shadow_gate_even_where_that_is_advisory(alarmed):
    model = loader.declarations().model(alarmed[0].model)
    assert "shadow_gate" not in gates.required(model)
    assert "shadow_gate" in gates.required(model, held=True)


def test_f104_days_that_were_scored_while_the_sensor_was_busy_are_all_judged_later(promoted):
    world, _, _ = promoted
    for day in (22, 23, 24):
        world.next_day(day, labels=day != 22)
    late_first = {day: watch(world, day) for day in (24, 22, 23)}
    assert all(report["report_id"].endswith(f"202403{day}") for day, (report, _) in late_first.items())
    assert late_first == {day: watch(world, day) for day in (24, 22, 23)}


def test_labels_that_stop_coming_call_a_person_and_retrain_nothing(without_labels):
    world, _, _ = without_labels
    _, decision = watch(world, 25)
    assert (decision["action"], decision["rule"]) == ("escalate", "1 data_broke")
    assert "Labels are overdue: 100.0% of 120 rows have no label though their label window closed" in decision["reason"]
    assert "in training 10.0%" in decision["reason"]


def test_f105_drift_schedule_and_api_at_once_train_once_for_all_three_and_the_others_are_told_by_whom(without_labels):
    world, _, _ = without_labels
    conf, own = {"as_of": at(25).isoformat(), "reason": "asked"}, drift_run_id(world.model, "2024-03-24")
    with Ledger.open(settings().ledger_url) as ledger:
        report = ledger.drift.report(world.model, "1", "2024-03-24", {}, run_id="drift-24")
        ledger.drift.decide(
            report.report_id, RetrainAction.RETRAIN, rule="7 drift", reason="r", numbers={}, journey_run_id=own
        )
    of_drift = {"requested_by": "drift", "trigger": "drift", "report_id": report.report_id}
    asked = {
        own: ("operator_triggered", {**conf, **of_drift}),
        "scheduled__2024-03-25": ("scheduled", None),
        "manual__api": ("manual", conf),
    }
    barrier, opened, refused = threading.Barrier(3), {}, {}

    def ask(run_id: str) -> None:
        barrier.wait()
        try:
            opened[run_id] = tasks.open_journey(world.model, run_id, *asked[run_id], at(25), "ada")
        except JourneyUnderWay as error:
            refused[run_id] = str(error)

    threads = [threading.Thread(target=ask, args=(run_id,)) for run_id in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(opened) == 1
    winner = next(iter(opened))
    assert set(refused) == set(asked) - {winner}
    assert all(opened[winner]["candidate_id"] in line for line in refused.values())
    assert all("recorded as one of its causes" in line for line in refused.values())
    with Ledger.open(settings().ledger_url) as ledger:
        causes = ledger.explain(opened[winner]["candidate_id"]).causes
    assert {c.request.run_id for c in causes} == set(asked)
    assert {c.request.trigger.value for c in causes} == {"drift", "schedule", "api"}
    tasks.close_journey(opened[winner])
    check_invariants(world)


def test_f107_a_reference_that_is_gone_is_fetched_again_or_refused_in_one_line(
    without_labels, mlflow_server: MlflowServer
):
    world, _, reference = without_labels
    file = step.journey_folder(reference["candidate_id"]) / ReferenceProfile.FILE
    kept = file.read_bytes()
    file.unlink()
    assert tasks.measure_drift(world.model, key(25), "again")["day"] == "2024-03-25"
    assert file.is_file()
    file.unlink()
    run = world.candidate(reference).facts.mlflow_run_id
    logged = [f for f in (mlflow_server.home / "artifacts").rglob(ReferenceProfile.FILE) if run in f.parts]
    assert logged
    for copy in logged:
        copy.unlink()
    with pytest.raises(Refusal) as refused:
        tasks.measure_drift(world.model, key(25), "again")
    assert f"The reference profile of champion {reference['candidate_id']} is gone" in str(refused.value)
    assert "\n" not in str(refused.value)
    file.write_bytes(kept)
