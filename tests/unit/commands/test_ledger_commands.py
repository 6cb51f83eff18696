"""``slipway history``, ``explain`` and ``override`` as a person on call types them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from journey_world import MODEL

from include.cli import main
from include.domain.authority import Person
from include.domain.intervals import instant
from include.domain.verdicts import Verdict
from include.workflows import stores, tasks
from include.workflows.explain import lineage
from include.workflows.gates import overrides
from include.workflows.journey import fact_files
from include.workflows.journey.facts import RecipeRace
from include.workflows.journey.step import journey_folder

REASON = "The outage of 12 March explains it"


@pytest.fixture
def rejected(world):
    """A candidate that failed its bound, whose journey is closed."""
    bounds = [{"metric": "roc_auc", "at_least": 0.999}]
    gates = {**MODEL["gates"], "threshold_gate": {"min_rows": 100, "criteria": bounds}}
    world.declare(world.model, gates=gates)
    reference = world.references["r"]
    world.judge_offline(reference)
    tasks.close_journey(reference)
    return reference


@pytest.mark.moment("first champion")
def test_history_shows_champions_and_journeys(world, capsys):
    champion = world.candidate(world.references["r"])
    assert main(["history", world.model]) == 0
    shown = capsys.readouterr().out
    assert f"{world.model}: champion {champion.candidate_id} (version 1)" in shown
    assert "revision 1" in shown
    assert "bootstrap" in shown


def test_history_of_a_model_nobody_declared_is_one_line(world, capsys):
    assert main(["history", "nobody"]) == 64
    assert capsys.readouterr().err.startswith("slipway: There is no model 'nobody'; declared are: ")


@pytest.mark.moment("first champion")
def test_explain_shows_every_gates_table_and_the_way(world, capsys):
    champion = world.candidate(world.references["r"])
    assert main(["explain", champion.candidate_id]) == 0
    shown = capsys.readouterr().out
    for gate in ("training_data_gate", "threshold_gate", "champion_gate", "shadow_gate"):
        assert f"data verdict: PASS ({gate}, blocking)" in shown
    assert "opened" in shown.split("its way")[1]
    assert main(["explain", champion.candidate_id, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["candidate"]["state"], said["race"]) == ("champion", None)


@pytest.mark.moment("first champion")
def test_explain_and_lineage_say_which_recipe_won_and_on_what(world, capsys):
    champion = world.candidate(world.references["r"])
    won = RecipeRace("since_change", {"window": 0.2, "since_change": 0.1}, 700, 1400, "2021-05-30", "It won.", "brier")
    fact_files.write(journey_folder(champion.candidate_id), won)
    assert main(["explain", champion.candidate_id]) == 0
    assert "  It won. It learned from 1,400 rows." in capsys.readouterr().out.splitlines()
    assert main(["explain", champion.candidate_id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["race"]["losses"] == dict(won.losses)
    (raced,) = lineage.of_candidate(champion.candidate_id).find("race")
    assert (raced.text, raced.facts["winner"]) == ("It won. It learned from 1,400 rows.", "since_change")


class SignedIn:
    """Airflow with Slipway's pages, of which one route is asked, by the user admin."""

    def __enter__(self) -> SignedIn:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def slipway(self, path: str, doing: str, body: dict[str, Any]) -> dict[str, Any]:
        kind, candidate, what = path.split("/")
        assert (kind, what, doing) == ("candidates", "overrides", f"override {body['gate']}")
        by = Person("admin", operator=True).claiming(body["requested_by"])
        now = datetime.now(UTC)
        made = overrides.override(candidate, body["gate"], by, body["reason"], instant(body["expires"]), now)
        return {name: str(value) if isinstance(value, datetime) else value for name, value in asdict(made).items()}


@pytest.fixture
def signed_in(monkeypatch):
    from include.commands import airflow

    monkeypatch.setattr(airflow, "airflow_api", SignedIn)


def test_f179_an_override_without_anybody_signed_in_is_refused_and_says_the_way_out(rejected, capsys):
    capsys.readouterr()
    argv = ["override", rejected["candidate_id"], "threshold_gate", "--reason", REASON, "--expires", "2d"]
    assert main(argv) == 64
    assert "Run `slipway up`, or name another Airflow" in capsys.readouterr().err
    with stores.open_ledger() as ledger:
        assert ledger.gates.overrides(rejected["candidate_id"]) == []


@pytest.mark.usefixtures("signed_in")
def test_a_failed_gate_can_be_overridden_and_its_task_is_green_when_cleared(rejected, world, capsys):
    candidate = rejected["candidate_id"]
    assert main(["override", candidate, "threshold_gate", "--reason", REASON, "--expires", "30d", "--by", "ada"]) == 0
    assert "is overridden by admin (who says: ada) until" in capsys.readouterr().out
    again = world.open("r", 13)
    outcome = world.judge("threshold_gate", again)
    assert (outcome["verdict"], outcome["passed"]) == (Verdict.FAIL.value, True)
    assert (
        f"overridden by admin (who says: ada) until {outcome['table'].split('until ')[1].split(':')[0]}"
        in outcome["table"]
    )
    assert REASON in world.tags_of(rejected)["slipway.override.threshold_gate"]


@pytest.mark.parametrize(
    ("gate", "extra", "line"),
    [
        pytest.param(
            "threshold_gate", ["--reason", "short", "--expires", "2d"], "--reason is 'short'", id="short reason"
        ),
        pytest.param("threshold_gate", ["--reason", REASON, "--expires", "soon"], "--expires is 'soon'", id="no time"),
        pytest.param("threshold_gate", ["--reason", REASON, "--expires", "2001-01-01"], "which is past", id="past"),
        pytest.param("shadow_gate", ["--reason", REASON, "--expires", "2d"], "has not judged", id="gate not run"),
        pytest.param(
            "training_data_gate", ["--reason", REASON, "--expires", "2d"], "is PASS", id="nothing to override"
        ),
    ],
)
@pytest.mark.usefixtures("signed_in")
def test_an_override_that_makes_no_sense_is_refused_with_one_line(rejected, capsys, gate, extra, line):
    capsys.readouterr()
    assert main(["override", rejected["candidate_id"], gate, *extra]) == 64
    said = capsys.readouterr().err
    assert line in said
    assert len(said.strip().splitlines()) == 1
