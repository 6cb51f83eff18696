"""``slipway rollout`` as a person on call types it: three states in its exit code, and one line for a mistake."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime

import guard_world
import pytest
from guard_world import GuardWorld
from ledger_fixtures import MODEL, an_operator
from rollout_world import beside_a_champion, finished, opened, said

from include.adapters.ledger import InstanceRecord, Ledger, RolloutRecord
from include.cli import main
from include.commands import airflow
from include.config.settings import settings
from include.domain.authority import OPERATORS, MayNotDecide, Person
from include.domain.canary.rollout import RolloutEvent, RolloutStage
from include.domain.canary.units import place, within
from include.serving.rollout_keeper import RolloutKeeper
from include.workflows.pages import rollouts
from include.workflows.release import rollout_acts

REASON = "Support sees odd answers"
SEEN = {
    "step": 0,
    "share_ppm": 10_000,
    "share_observed": 0.0098,
    "rows": 120,
    "rows_needed": 500,
    "canary": [1, 110],
    "champion": [9, 11_000],
    "evidence": {"failures": {"measured": 1.83, "limit": 1 / 0.009}, "mismatch": {"measured": 0.2, "limit": 1_000.0}},
}


class Posts:
    """Stands in for Slipway's REST: remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict]] = []

    def slipway(self, path: str, doing: str, body: dict) -> dict:
        self.sent.append((path, body))
        return {"sentence": "It is held."}


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Posts:
    found = Posts()

    @contextmanager
    def api():
        yield found

    monkeypatch.setattr(airflow, "airflow_api", api)
    return found


@pytest.fixture
def rollout(ledger: Ledger) -> RolloutRecord:
    return opened(ledger, beside_a_champion(ledger))


def lower(ledger: Ledger, rollout: RolloutRecord, event: RolloutEvent) -> None:
    ledger.rollouts.lower(rollout.candidate_id, 1, event, said("a test", "5 of 20 failed"))


def test_a_model_without_a_rollout_is_0(ledger, capsys):
    assert main(["rollout", "status", MODEL]) == 0
    assert capsys.readouterr().out == f"No candidate of {MODEL} ever had a share of live traffic.\n"


def test_a_candidate_with_its_share_is_0_and_without_a_service_nothing_is_known_of_it(ledger, rollout, capsys):
    assert main(["rollout", "status", MODEL]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{rollout.candidate_id} answers 1 % of the units, step 1 of 2, for ")
    for line in (
        "steps     1 %, 10 %; 1 % of equal candidates would be rolled back",
        "time      at least 1h, at most 1d",
        "lease     1",
        "No service has said that it serves this candidate; nothing is known of what it does.",
        "open    journey: its gates passed",
    ):
        assert line in shown


def test_what_each_service_sees_is_shown_against_its_limits(ledger, rollout, capsys):
    canary = {"candidate": rollout.candidate_id, "number": 1, "share_ppm": 10_000}
    models = {MODEL: {"canary": canary, "guard": {**canary, **SEEN}}}
    ledger.instances.say(InstanceRecord("here-8100", "here", datetime.now(UTC), models))
    stopped = {**canary, "share_ppm": 0, "ended": "5 of 20 failed"}
    ledger.instances.say(InstanceRecord("there-8100", "there", datetime.now(UTC), {MODEL: {"canary": stopped}}))
    other = {**canary, "candidate": "another"}
    ledger.instances.say(InstanceRecord("old-8100", "old", datetime.now(UTC), {MODEL: {"canary": other}}))
    assert main(["rollout", "status", MODEL]) == 0
    shown = capsys.readouterr().out
    for line in (
        "here-8100\n  share     1 % declared, 0.98 % observed\n",
        "  rows      120 of 500 on this host, 380 left\n",
        "  failed    1 of 110 units, the champion's 9 of 11,000\n",
        "  failures  evidence 1.83, ends the share from 111 on\n",
        "  slow      not judged: fewer than 1,000 answers of the champion were timed\n",
        "there-8100\n  no share here: 5 of 20 failed\n  its guard has counted nothing yet\n",
    ):
        assert line in shown
    assert "old-8100" not in shown
    assert main(["rollout", "status", MODEL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["stage"], found["share_ppm"], found["hosts"][0]["seen"]["rows"]) == ("running", 10_000, 120)
    assert 0 < found["lease_left_s"] <= 120


@pytest.mark.parametrize(("event", "code", "words"), [(RolloutEvent.HOLD, 2, "held by"), (RolloutEvent.TRIP, 1, "out")])
def test_held_is_2_and_out_is_1(ledger, rollout, capsys, event, code, words):
    lower(ledger, rollout, event)
    assert main(["rollout", "status", MODEL]) == code
    shown = capsys.readouterr().out.splitlines()[0]
    assert words in shown
    assert "5 of 20 failed" in shown


def test_one_that_has_passed_every_step_is_0_and_one_that_expired_is_2(ledger, rollout, capsys):
    finished(ledger, rollout)
    assert main(["rollout", "status", MODEL]) == 0
    assert "has passed every step, and may be promoted." in capsys.readouterr().out


def test_who_answers_a_unit_follows_from_its_place(ledger, rollout, capsys):
    units = [f"u{n}" for n in range(500)]
    inside = next(u for u in units if within(place(rollout.salt, u), 10_000))
    outside = next(u for u in units if not within(place(rollout.salt, u), 10_000))
    for unit, who in ((inside, "canary"), (outside, "champion")):
        assert main(["rollout", "status", MODEL, "--unit", unit]) == 0
        assert f"unit {unit}: the {who} answers; its place is" in capsys.readouterr().out


def test_acts_go_through_airflow_with_the_reason(ledger, posts, capsys):
    for action in ("hold", "resume", "abort"):
        assert main(["rollout", action, MODEL, "--reason", REASON, "--by", "team"]) == 0
    body = {"reason": REASON, "requested_by": "team"}
    assert posts.sent == [(f"models/{MODEL}/rollout/{action}", body) for action in ("hold", "resume", "abort")]
    assert capsys.readouterr().out == "It is held.\n" * 3


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["status", "nothing"], "There is no model 'nothing'"),
        (["hold", MODEL], "--reason is missing; say why, in 10 to 500 characters"),
        (["abort", MODEL, "--reason", "short"], "--reason"),
        (["status", MODEL, "--reason", REASON], "--reason is not for `rollout status`"),
        (["hold", MODEL, "--unit", "7", "--reason", REASON], "--unit is not for `rollout hold`"),
        (["pin", MODEL, "--reason", REASON], "No candidate of flight_delay has a share on this host"),
        (["raise", MODEL, "--reason", REASON], "invalid choice: 'raise'"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(ledger, posts, capsys, words, shown):
    assert main(["rollout", *words]) == 64
    assert shown in capsys.readouterr().err
    assert posts.sent == []


def test_pin_keeps_the_champion_on_this_host_without_ledger_and_airflow(ledger, capsys, monkeypatch):
    monkeypatch.setattr(guard_world, "MODEL", MODEL)
    candidate = beside_a_champion(ledger)
    rollout = opened(ledger, candidate)
    monkeypatch.setattr(guard_world, "CANDIDATE", rollout.candidate_id)
    world = GuardWorld(settings().home)
    world.publish(share=10_000)
    assert world.share() == 10_000
    assert main(["rollout", "pin", MODEL, "--reason", REASON, "--by", "ada"]) == 0
    assert "has no share on this host any more: the champion answers." in capsys.readouterr().out
    assert world.share() == 0
    assert ledger.rollouts.of(rollout.candidate_id)[0].state.stage is RolloutStage.RUNNING, "it was not asked"
    RolloutKeeper(world.files, world.writer, "here-8100").tell(ledger)
    found = ledger.rollouts.of(rollout.candidate_id)[0]
    assert (found.state.stage, found.events[-1].reason) == (RolloutStage.HELD, f"ada on this host: {REASON}")


class TestWhatAPersonSays:
    def test_whoever_may_see_that_less_happens_may_hold_and_only_an_approver_resumes_or_aborts(self, ledger, rollout):
        somebody, ada = Person("otto"), an_operator("ada")
        assert rollout_acts.act(MODEL, "hold", somebody, REASON).state.stage is RolloutStage.HELD
        for action in ("resume", "abort"):
            with pytest.raises(MayNotDecide):
                rollout_acts.act(MODEL, action, somebody, REASON)
        assert rollout_acts.act(MODEL, "resume", ada, REASON).state.share_ppm == 10_000
        found = rollout_acts.act(MODEL, "abort", ada, REASON)
        assert [(e.event.value, e.actor) for e in found.events] == [
            ("open", "journey"),
            ("hold", "otto"),
            ("resume", "ada"),
            ("abort", "ada"),
        ]

    def test_asked_twice_it_is_done_once_and_no_one_raises_by_hand(self, ledger, rollout):
        for _ in range(2):
            rollout_acts.act(MODEL, "hold", Person("otto"), REASON)
        assert len(ledger.rollouts.of(rollout.candidate_id)[0].events) == 2
        with pytest.raises(ValueError, match="a share grows by a judged step alone"):
            rollout_acts.act(MODEL, "raise", an_operator("ada"), REASON)
        assert OPERATORS.are_the_operators

    def test_the_view_says_what_a_person_needs(self, ledger, rollout):
        view = rollouts.rollout(MODEL)
        assert view.takes_traffic
        assert rollouts.as_json(view)["at_most_s"] == 86_400
