"""What a page or a message advises is possible in the state in which it is said: each way out is followed here."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ledger_fixtures import MODEL, NOW, an_operator, champion, judged, request, trained

from include.adapters.ledger import JourneyUnderWay, Ledger, OverrideRequest, OverrideStands
from include.domain.authority import OPERATORS
from include.domain.lifecycle import Event, IllegalTransition, State
from include.domain.verdicts import Verdict
from include.workflows.pages import release
from include.workflows.release import stranded

GATE = "threshold_gate"


def stopped(ledger: Ledger, run_id: str, verdict: Verdict = Verdict.FAIL):
    """A journey whose gate did not pass, and which was closed for it."""
    candidate = trained(ledger, run_id)
    says(ledger, candidate, GATE, verdict)
    ledger.candidates.close(candidate.candidate_id, Event.REJECT, outcome="Rejected: it.", actor="close_journey")
    return ledger.candidates.get(candidate.candidate_id)


def says(ledger: Ledger, candidate, gate: str, verdict: Verdict) -> None:
    digest, run_id = candidate.facts.artifact_digest, candidate.run_id
    ledger.gates.record(candidate.candidate_id, judged(gate, verdict), digest=digest, run_id=run_id)


def shown(ledger: Ledger, candidate) -> release.ReleaseView:
    return release.view_of(ledger, candidate.candidate_id, NOW)


def buttons(view: release.ReleaseView) -> list[tuple[str, str | None]]:
    return [(button.name, button.gate) for button in view.actions]


# --- a journey beside another -----------------------------------------------------------------------------------------


def test_a_new_request_beside_a_journey_may_supersede_it(ledger: Ledger) -> None:
    first = ledger.candidates.open(request("first"))
    with pytest.raises(JourneyUnderWay, match="start a new run with supersede: true, which ends it"):
        ledger.candidates.open(request("second"))
    second = ledger.candidates.open(request("third"), supersede=True, by=an_operator("otto"))
    assert (second.is_live, ledger.candidates.get(first.candidate_id).state) == (True, State.SUPERSEDED)


@pytest.mark.parametrize("how", ["clear", "reopen"])
def test_a_run_that_was_cleared_beside_a_journey_is_told_what_it_can_do(ledger: Ledger, how: str) -> None:
    ended = stopped(ledger, "ended")
    other = ledger.candidates.open(request("other"))
    # What the run was asked for cannot be changed: it is opened with the very same request.
    again = {
        "clear": lambda: ledger.candidates.open(request("ended")),
        "reopen": lambda: ledger.candidates.reopen(ended.candidate_id, actor="ada", reason="again"),
    }[how]
    with pytest.raises(JourneyUnderWay) as refused:
        again()
    assert str(refused.value).endswith(
        f"{ended.candidate_id} stays as it ended. Wait until the other has ended and clear this run again, or start a "
        "new run with supersede: true, which ends the other."
    )
    ledger.candidates.close(other.candidate_id, Event.FAIL, outcome="It ended.", actor="close_journey")
    assert ledger.candidates.open(request("ended")).is_live


def test_beside_a_journey_the_page_of_an_ended_one_offers_nothing_that_would_be_refused(ledger: Ledger) -> None:
    ended = stopped(ledger, "ended")
    assert buttons(shown(ledger, ended)) == [("override", GATE), ("clear", GATE)]
    other = ledger.candidates.open(request("other"))
    view = shown(ledger, ended)
    assert view.actions == ()
    assert view.next_steps[-1] == (
        f"{other.candidate_id} is under way; only when that journey has ended can this one be judged again."
    )
    ledger.candidates.close(other.candidate_id, Event.FAIL, outcome="It ended.", actor="close_journey")
    assert buttons(shown(ledger, ended)) == [("override", GATE), ("clear", GATE)]


# --- ends that are for good -------------------------------------------------------------------------------------------


def test_of_a_run_that_is_gone_nothing_is_said_to_be_cleared(ledger: Ledger, monkeypatch, ledger_url) -> None:
    monkeypatch.setenv("SLIPWAY_LEDGER_URL", ledger_url)
    candidate = trained(ledger, "deleted")
    stranded.end_stranded(lambda dag_id, run_id: stranded.RunIs.GONE)
    view = shown(ledger, ledger.candidates.get(candidate.candidate_id))
    assert view.candidate.state is State.FAILED
    assert view.next_steps[-1] == "Its run is gone from Airflow, so it cannot go on. Start a new retrain."
    assert view.actions == ()


def test_a_superseded_journey_is_not_told_to_be_overridden(ledger: Ledger) -> None:
    candidate = trained(ledger, "first")
    says(ledger, candidate, GATE, Verdict.FAIL)
    other = ledger.candidates.open(request("second"), supersede=True, by=an_operator("otto"))
    ledger.candidates.close(other.candidate_id, Event.FAIL, outcome="It ended.", actor="close_journey")
    view = shown(ledger, candidate)
    assert not any("override" in step for step in view.next_steps)
    assert view.actions == ()
    with pytest.raises(IllegalTransition):
        ledger.candidates.reopen(candidate.candidate_id, actor="ada", reason="again")


def test_a_second_override_is_told_when_one_can_be_given(ledger: Ledger) -> None:
    candidate = stopped(ledger, "first")

    def override(days: int, now) -> None:
        ledger.gates.override(
            OverrideRequest(candidate.candidate_id, GATE, "The outage explains it", NOW + timedelta(days=days)),
            by=an_operator("ada"),
            approvers=OPERATORS,
            now=now,
            requester_may=True,
        )

    override(2, NOW)
    with pytest.raises(OverrideStands, match="a longer one can be given when it has ended"):
        override(5, NOW)
    override(5, NOW + timedelta(days=2, seconds=1))


# --- laps -------------------------------------------------------------------------------------------------------------


def test_a_verdict_of_an_earlier_lap_is_not_shown_as_this_ones(ledger: Ledger) -> None:
    candidate = stopped(ledger, "r")
    says(ledger, candidate, "champion_gate", Verdict.PASS)
    ledger.candidates.open(request("r"))
    view = shown(ledger, candidate)
    assert (view.headline, view.tone) == ("Under way again", "quiet")
    assert view.sentence == (
        "In an earlier lap it was stopped by Threshold gate (FAIL); it judges again before promotion."
    )
    assert {g.gate: g.earlier for g in view.gates} == {GATE: True, "champion_gate": True}
    assert buttons(view) == [("reject", None)]
    says(ledger, candidate, GATE, Verdict.PASS)
    again = shown(ledger, candidate)
    assert {g.gate: g.earlier for g in again.gates} == {GATE: False, "champion_gate": True}
    assert again.headline == "Under way"


def test_the_same_evidence_in_a_later_lap_is_a_later_look(ledger: Ledger) -> None:
    candidate = stopped(ledger, "r")
    before = ledger.gates.latest(candidate.candidate_id)[GATE]
    ledger.candidates.open(request("r"))
    for _ in range(2):
        says(ledger, candidate, GATE, Verdict.FAIL)
    after = ledger.gates.latest(candidate.candidate_id)[GATE]
    assert (before.attempt, before.lap, after.attempt, after.lap) == (1, 1, 2, 2)
    assert after.recorded_at >= before.recorded_at
    assert shown(ledger, candidate).headline == "Stopped at threshold gate: FAIL"


def test_evidence_that_is_too_old_is_young_again_after_the_run_was_cleared_and_judged(ledger: Ledger) -> None:
    """What promotion advises: "judged the candidate 40 days ago, over the limit of 30 days; run it again"."""
    candidate = trained(ledger, "r")
    says(ledger, candidate, GATE, Verdict.PASS)
    first = ledger.gates.latest(candidate.candidate_id)[GATE].recorded_at
    limit, late = timedelta(days=30), first + timedelta(days=40)
    old = ledger.gates.clearance(candidate.candidate_id, [GATE], now=late, max_age=limit)
    assert "run it again" in old.why
    ledger.candidates.close(candidate.candidate_id, Event.REJECT, outcome="Too old.", actor="close_journey")
    ledger.candidates.open(request("r"))
    says(ledger, candidate, GATE, Verdict.PASS)
    newest = ledger.gates.latest(candidate.candidate_id)[GATE]
    assert newest.recorded_at > first
    assert ledger.gates.clearance(candidate.candidate_id, [GATE], now=first + limit, max_age=limit).is_clear


def test_a_gate_that_ended_an_earlier_lap_is_not_named_for_the_end_of_this_one(ledger: Ledger) -> None:
    candidate = stopped(ledger, "r")
    ledger.candidates.open(request("r"))
    outcome = "Failed at train: the source did not answer."
    ledger.candidates.close(candidate.candidate_id, Event.FAIL, outcome=outcome, actor="close_journey")
    view = shown(ledger, candidate)
    assert (view.headline, view.sentence) == ("Broken before a verdict", outcome)
    assert view.next_steps[-1].startswith("The red task's log says what broke.")


# --- a champion -------------------------------------------------------------------------------------------------------


def test_a_champion_without_one_before_it_is_not_told_to_be_rolled_back(ledger: Ledger) -> None:
    first = champion(ledger, "first")
    view = shown(ledger, first)
    assert buttons(view) == []
    assert "no champion before it" in view.next_steps[0]
    assert ledger.deployments.champion(MODEL) is not None
