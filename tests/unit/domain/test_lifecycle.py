"""The lifecycle's table, what clears a candidate for promotion, and where a rollback leads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from include.domain import faults
from include.domain.faults import crashpoint
from include.domain.lifecycle import (
    LIVE,
    TAKEN,
    TRANSITIONS,
    Event,
    IllegalTransition,
    JourneyRequest,
    State,
    Trigger,
    advance,
    allowed_events,
)
from include.domain.promotion import (
    Clearance,
    Epoch,
    EpochKind,
    GateRecord,
    ObstacleKind,
    Override,
    Promotable,
    clearance,
    epoch_at,
    rollback_target,
    rolled_back,
    server_at,
)
from include.domain.verdicts import CriterionResult, GateResult, Mode, Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JUNE = datetime(2013, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_candidate_goes_from_open_to_champion_and_retires() -> None:
    states = [State.OPENED]
    for event in (
        Event.TRAIN,
        Event.REGISTER,
        Event.SHADOW,
        Event.PROMOTE,
        Event.RETIRE,
        Event.RESTORE,
        Event.ROLL_BACK,
    ):
        states.append(advance(states[-1], event))
    assert [s.value for s in states] == [
        "opened",
        "trained",
        "challenger",
        "shadowing",
        "champion",
        "retired",
        "champion",
        "rolled_back",
    ]


def test_every_event_has_a_line_in_both_tables() -> None:
    assert set(TRANSITIONS) == set(TAKEN) == set(Event)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_an_event_either_follows_the_table_or_was_taken_or_is_refused(state: State, event: Event) -> None:
    sources, target = TRANSITIONS[event]
    assert not sources & TAKEN[event]
    if state in TAKEN[event]:
        assert advance(state, event) is state
    elif state in sources:
        assert advance(state, event, closed_in=State.SHADOWING) is (target or State.SHADOWING)
    else:
        with pytest.raises(IllegalTransition):
            advance(state, event)


STEPS = {
    Event.TRAIN: State.TRAINED,
    Event.REFIT: State.CHALLENGER,
    Event.REGISTER: State.CHALLENGER,
    Event.SHADOW: State.SHADOWING,
}
"""A step and the first state in which running it again changes nothing."""
AFTER_SHADOW = (State.CHAMPION, State.RETIRED, State.ROLLED_BACK, State.UNCHANGED)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_is_run_again_changes_nothing_however_far_its_candidate_has_come(step: Event) -> None:
    came = [*dict.fromkeys(STEPS.values()), *AFTER_SHADOW]
    for state in came[came.index(STEPS[step]) :]:
        assert advance(state, step) is state


@pytest.mark.parametrize("state", sorted(set(State) - LIVE, key=lambda s: s.value))
def test_a_closed_candidate_never_becomes_champion_without_being_reopened_or_restored(state: State) -> None:
    if state is not State.CHAMPION:
        with pytest.raises(IllegalTransition):
            advance(state, Event.PROMOTE)


def test_a_candidate_that_is_out_stays_out() -> None:
    assert [s for s in State if not allowed_events(s)] == [State.ROLLED_BACK, State.UNCHANGED, State.SUPERSEDED]


def test_a_reopened_candidate_goes_on_where_it_was_closed() -> None:
    assert advance(State.REJECTED, Event.REOPEN, closed_in=State.SHADOWING) is State.SHADOWING
    assert advance(State.FAILED, Event.REOPEN) is State.OPENED
    assert advance(State.FAILED, Event.REOPEN, closed_in=State.CHAMPION) is State.OPENED


def test_a_refused_event_names_what_is_allowed() -> None:
    with pytest.raises(IllegalTransition) as refused:
        advance(State.REJECTED, Event.PROMOTE)
    assert str(refused.value) == "'promote' may not happen to a candidate that is rejected; allowed: reopen."
    with pytest.raises(IllegalTransition, match="allowed: nothing; this state is final"):
        advance(State.ROLLED_BACK, Event.REOPEN)


def test_a_candidate_is_named_by_model_as_of_day_in_utc_and_run() -> None:
    late = datetime(2013, 6, 1, 23, tzinfo=UTC).astimezone(tz=None)
    asked = JourneyRequest("air_time", "run-1", late, Trigger.API, "why", "ann")
    other = JourneyRequest("air_time", "run-2", late, Trigger.API, "why", "ann")
    assert asked.candidate_id.startswith("air_time-20130601-")
    assert asked.candidate_id != other.candidate_id


def asked(user: str | None) -> JourneyRequest:
    return JourneyRequest("air_time", "run-1", JUNE, Trigger.API, "why", "ann", user=user)


def test_a_request_is_recorded_under_the_name_that_the_platform_knows() -> None:
    assert asked("admin").actor == "admin"
    assert asked(None).actor == "ann"


def test_a_request_was_asked_by_whoever_is_signed_in_beside_the_name_they_gave() -> None:
    assert asked("admin").asked_by == "admin (who says: ann)"
    assert asked("ann").asked_by == asked(None).asked_by == "ann"


# --- clearance -------------------------------------------------------------------------------------------------------


def record(
    gate: str,
    verdict: Verdict = Verdict.PASS,
    *,
    attempt: int = 1,
    digest: str | None = "artifact",
    run_id: str = "run-1",
    mode: Mode = Mode.BLOCKING,
) -> GateRecord:
    criterion = CriterionResult("roc_auc", verdict, 0.7, ">= 0.65", 1000, f"roc_auc is {verdict.value}.")
    return GateRecord("c", gate, attempt, digest, run_id, NOW - 10 * DAY, GateResult(gate, mode, (criterion,)))


def override(gate: str, *, expires: timedelta = DAY, ended: bool = False) -> Override:
    return Override("c", gate, "ann", "known outlier", NOW + expires, NOW, NOW if ended else None)


def judge(
    *results: GateRecord,
    required: tuple[str, ...] = ("a", "b"),
    overrides: tuple[Override, ...] = (),
    max_age: timedelta | None = None,
) -> Clearance:
    return clearance(
        required,
        results,
        overrides,
        Promotable("artifact", "rows", "run-1"),
        now=NOW,
        max_age=max_age,
    )


def kinds(cleared: Clearance) -> list[tuple[str, ObstacleKind]]:
    return [(o.gate, o.kind) for o in cleared.obstacles]


def test_a_candidate_is_cleared_when_every_required_gate_passed_on_its_digest() -> None:
    cleared = judge(record("a"), record("b"))
    assert cleared.is_clear
    assert cleared.attempts == {"a": 1, "b": 1}


def test_a_gate_of_data_clears_by_the_training_sets_hash() -> None:
    assert judge(record("a", digest="rows"), record("b")).is_clear


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (record("b", Verdict.FAIL), ObstacleKind.FAIL),
        (record("b", Verdict.INCONCLUSIVE), ObstacleKind.INCONCLUSIVE),
        (record("b", digest="another"), ObstacleKind.OTHER_ARTIFACT),
        (record("b", digest=None), ObstacleKind.OTHER_ARTIFACT),
        (record("b", run_id="run-0"), ObstacleKind.OTHER_RUN),
    ],
)
def test_one_bad_gate_is_an_obstacle(bad: GateRecord, kind: ObstacleKind) -> None:
    cleared = judge(record("a"), bad)
    assert kinds(cleared) == [("b", kind)]
    assert "b " in cleared.why


def test_a_missing_gate_is_an_obstacle_that_no_override_excuses() -> None:
    assert kinds(judge(record("a"), overrides=(override("b"),))) == [("b", ObstacleKind.MISSING)]


def test_nothing_required_and_nothing_judged_clears_nothing() -> None:
    assert kinds(judge(required=())) == [("any", ObstacleKind.MISSING)]


def test_the_newest_attempt_counts() -> None:
    assert judge(record("a"), record("b", attempt=2), record("b", Verdict.FAIL)).is_clear
    assert kinds(judge(record("a"), record("b"), record("b", Verdict.FAIL, attempt=2))) == [("b", ObstacleKind.FAIL)]


def test_a_gate_that_recorded_itself_as_blocking_counts_even_when_it_is_not_required() -> None:
    assert kinds(judge(record("a"), record("b"), record("c", Verdict.FAIL))) == [("c", ObstacleKind.FAIL)]
    assert judge(record("a"), record("b"), record("c", Verdict.FAIL, mode=Mode.ADVISORY)).is_clear


def test_a_required_gate_must_pass_even_when_it_recorded_itself_as_advisory() -> None:
    assert kinds(judge(record("a"), record("b", Verdict.FAIL, mode=Mode.ADVISORY))) == [("b", ObstacleKind.FAIL)]


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_a_live_override_excuses_a_verdict_and_is_named(verdict: Verdict) -> None:
    cleared = judge(record("a"), record("b", verdict), overrides=(override("b"),))
    assert cleared.is_clear
    assert cleared.overridden == {"b": override("b")}


def test_an_override_of_another_gate_excuses_nothing() -> None:
    assert kinds(judge(record("a"), record("b", Verdict.FAIL), overrides=(override("a"),))) == [
        ("b", ObstacleKind.FAIL)
    ]


def test_an_override_does_not_excuse_a_gate_that_saw_another_artifact() -> None:
    bad = record("b", Verdict.FAIL, digest="another")
    assert kinds(judge(record("a"), bad, overrides=(override("b"),))) == [("b", ObstacleKind.OTHER_ARTIFACT)]


def test_an_override_holds_until_but_not_at_its_expiry() -> None:
    bad = record("b", Verdict.FAIL)
    at_expiry = judge(record("a"), bad, overrides=(override("b", expires=timedelta(0)),))
    assert kinds(at_expiry) == [("b", ObstacleKind.OVERRIDE_EXPIRED)]
    assert judge(record("a"), bad, overrides=(override("b", expires=timedelta(microseconds=1)),)).is_clear


def test_a_withdrawn_override_excuses_nothing() -> None:
    bad = record("b", Verdict.FAIL)
    assert kinds(judge(record("a"), bad, overrides=(override("b", ended=True),))) == [("b", ObstacleKind.FAIL)]


def test_f058_a_result_older_than_allowed_is_an_obstacle() -> None:
    assert judge(record("a"), record("b"), max_age=10 * DAY).is_clear
    assert kinds(judge(record("a"), max_age=9 * DAY, required=("a",))) == [("a", ObstacleKind.STALE)]


@pytest.mark.parametrize(
    ("bad", "judged"),
    [
        pytest.param(record("b", Verdict.FAIL), True, id="it failed"),
        pytest.param(record("b", Verdict.INCONCLUSIVE), True, id="it could not tell"),
        pytest.param(record("c"), False, id="it is only missing"),
        pytest.param(record("b", Verdict.FAIL, digest="another"), False, id="it saw something else"),
        pytest.param(record("b", Verdict.FAIL, run_id="run-0"), False, id="in another run"),
    ],
)
def test_a_candidate_was_judged_where_a_gate_saw_it_and_did_not_let_it_pass(bad: GateRecord, judged: bool) -> None:
    cleared = judge(record("a"), bad)
    assert cleared.was_judged is judged
    assert not cleared.is_clear


def test_an_expired_override_was_a_judgement_too_and_says_whose_it_was() -> None:
    past = (override("b", expires=-2 * DAY), override("b", expires=-DAY), override("b", expires=DAY, ended=True))
    cleared = judge(record("a"), record("b", Verdict.FAIL), overrides=past)
    assert cleared.was_judged
    assert cleared.why == f"b is FAIL and the override by ann expired at {(NOW - DAY).isoformat()}."


def test_a_candidate_that_is_cleared_has_no_obstacles_and_was_not_turned_down() -> None:
    cleared = judge(record("a"), record("b"))
    assert (cleared.why, cleared.was_judged) == ("Nothing blocks it.", False)


def test_where_nothing_was_trained_nothing_is_about_it() -> None:
    cleared = clearance(["a"], [record("a"), record("b", digest=None)], [], Promotable(None), now=NOW)
    assert [o.message for o in cleared.obstacles] == [
        "a judged artifact, and not a trained artifact; run it again.",
        "b judged an artifact it did not name, and not a trained artifact; run it again.",
    ]


def test_results_of_any_run_and_any_age_count_where_neither_is_asked_for() -> None:
    assert clearance(["a"], [record("a", run_id="run-0")], [], Promotable("artifact"), now=NOW + 9999 * DAY).is_clear


@pytest.mark.parametrize(
    ("gate", "saw", "served", "clear"),
    [
        pytest.param("smoke_gate", "served", "served", True, id="a gate of files saw the refitted file"),
        pytest.param("smoke_gate", "artifact", "served", False, id="it saw the twin, which does not serve"),
        pytest.param("smoke_gate", "rows", "served", False, id="it saw rows"),
        pytest.param("champion_gate", "artifact", "served", True, id="a gate of the recipe saw the twin"),
        pytest.param("champion_gate", "served", "served", False, id="it saw the file, which knows the held-out rows"),
        pytest.param("training_data_gate", "rows", "served", True, id="a gate of data saw the training set"),
        pytest.param("smoke_gate", "artifact", None, True, id="what was judged serves itself"),
        pytest.param("champion_gate", "artifact", None, True, id="and is the recipe too"),
    ],
)
def test_where_a_model_is_refitted_gates_of_files_judge_what_serves_and_the_others_its_twin(
    gate: str, saw: str, served: str | None, clear: bool
) -> None:
    about = Promotable("artifact", "rows", "run-1", served)
    found = clearance([gate], [record(gate, digest=saw)], [], about, now=NOW)
    assert kinds(found) == ([] if clear else [(gate, ObstacleKind.OTHER_ARTIFACT)])


# --- history ---------------------------------------------------------------------------------------------------------


def history(*changes: str) -> list[Epoch]:
    """``"A"`` promotes A; ``"<A"`` rolls back to A."""
    made: list[Epoch] = []
    for revision, change in enumerate(changes, start=1):
        kind = EpochKind.ROLLBACK if change[0] == "<" else EpochKind.PROMOTION
        before = made[-1].to_candidate if made else None
        made.append(
            Epoch(
                model="m",
                revision=revision,
                kind=kind,
                from_candidate=before,
                to_candidate=change.lstrip("<"),
                model_version=None,
                digest=change,
                effective_from=JUNE + revision * DAY,
                actor="a",
                reason="r",
                run_id=f"run-{revision}",
                cleared_by={},
                recorded_at=NOW,
            )
        )
    return made


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ((), None),
        (("A",), None),
        (("A", "B"), "A"),
        (("A", "B", "C"), "B"),
        (("A", "B", "C", "<B"), "A"),
        (("A", "B", "<A"), None),
        (("A", "B", "<A", "C"), "A"),
        (("A", "B", "C", "<B", "D", "<B"), "A"),
    ],
)
def test_a_rollback_leads_to_the_previous_good_champion(changes: tuple[str, ...], target: str | None) -> None:
    assert rollback_target(history(*changes)) == target


def test_a_rollback_passes_over_what_does_not_load() -> None:
    assert rollback_target(history("A", "B", "C"), unusable=["B"]) == "A"
    assert rollback_target(history("A", "B"), unusable=["A"]) is None


def test_the_champion_of_a_time_is_the_newest_revision_effective_by_then() -> None:
    epochs = history("A", "B")
    found = [epoch_at(epochs, JUNE + n * DAY) for n in (0, 1, 2, 3)]
    assert [e and e.to_candidate for e in found] == [None, "A", "B", "B"]


def test_who_decided_is_said_with_the_name_they_gave() -> None:
    assert replace(history("A")[0], actor="admin", claimed="ada").decider == "admin (who says: ada)"
    assert replace(override("a"), who="admin", claimed="ada").decider == "admin (who says: ada)"
    assert (history("A")[0].decider, override("a").decider) == ("a", "ann")


@pytest.mark.parametrize(
    ("changes", "day", "server"),
    [
        pytest.param(("A", "B"), 0, None, id="before the first"),
        pytest.param(("A", "B"), 1, "A", id="the champion of that day"),
        pytest.param(("A", "B"), 5, "B", id="the newest"),
        pytest.param(("A", "B", "<A"), 2, "A", id="a champion that was taken out answers nothing more"),
        pytest.param(("A", "B", "C", "<B", "<A"), 3, "A", id="nor does the one that came back and was taken out too"),
        pytest.param(("A", "B", "<A", "C"), 2, "A", id="and its successor answers from its own day on"),
        pytest.param(("A", "B", "<A", "C"), 4, "C", id="from that day"),
    ],
)
def test_rows_of_a_day_are_scored_by_its_champion_or_by_who_replaced_it_in_a_rollback(
    changes: tuple[str, ...], day: int, server: str | None
) -> None:
    found = server_at(history(*changes), JUNE + day * DAY)
    assert (found and found.to_candidate) == server


def test_only_a_rollback_takes_a_champion_out() -> None:
    assert rolled_back(history("A", "B", "C", "<B", "<A")) == {"C", "B"}
    assert rolled_back(history("A", "B")) == frozenset()


# --- crash points ----------------------------------------------------------------------------------------------------

PASS_THREE = "from include.domain.faults import crashpoint\nfor n in range(3): print(n, flush=True); crashpoint('here')"


@pytest.mark.parametrize(("asked", "passed"), [("here", 1), ("here:2", 2), ("elsewhere", 3)])
def test_a_crash_point_kills_the_process_at_the_asked_passing(asked: str, passed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PASS_THREE], env=os.environ | {"FAULT_CRASH": asked}, capture_output=True
    )
    assert done.returncode == (0 if asked == "elsewhere" else -signal.SIGKILL)
    assert len(done.stdout.split()) == passed


def test_a_crash_point_waits_as_long_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("FAULT_PAUSE", "here:0.05")
        faults.read_environment()
    start = time.monotonic()
    crashpoint("elsewhere")
    assert time.monotonic() - start < 0.05
    crashpoint("here")
    assert time.monotonic() - start >= 0.05
    faults.read_environment()
    start = time.monotonic()
    crashpoint("here")
    assert time.monotonic() - start < 0.05, "nothing asks for it any more"
