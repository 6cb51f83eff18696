"""Gate results, shadow windows, partitions, drift reports, and what a person is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from ledger_fixtures import AS_OF, MODEL, an_incident_step, challenger, champion, judged, promote, request, trained
from rollout_world import opened

from include.adapters.ledger import (
    BadValue,
    Candidate,
    IncidentSteps,
    Ledger,
    NoShadowWindow,
    Partition,
    PartitionStatus,
    RetrainAction,
    ShadowDay,
    ShadowWindow,
    StopKind,
    TrainingRecord,
    drift_report_id,
)
from include.domain.lifecycle import Event, IllegalTransition, State
from include.domain.verdicts import GateResult, Mode, Verdict

DAY = timedelta(days=1)
PARTITION = Partition(
    view="departures",
    view_version=1,
    day="2013-06-01",
    status=PartitionStatus.PUBLISHED,
    rows=950,
    content_hash="sha256:rows",
    code_hash="sha256:code",
    table_version=4,
    source_rows=960,
    source_watermark=datetime(2013, 6, 2, 3, tzinfo=UTC),
    run_id="features-1",
)


def everything_once(ledger: Ledger) -> Candidate:
    """One row in every table."""
    ledger.partitions.record([PARTITION])
    report = ledger.drift.report(MODEL, "1", "2013-06-01", {"share": 0.4}, run_id="drift-1")
    seen = ledger.incidents.before(MODEL, "2013-06-01")
    ledger.drift.decide(
        report.report_id,
        RetrainAction.RETRAIN,
        rule="realised performance",
        reason="Brier 0.19 is above 0.17",
        numbers={"brier": 0.19},
        journey_run_id="run-1",
        incidents=IncidentSteps(seen, [an_incident_step()], AS_OF),
    )
    first = challenger(ledger, "run-1")
    shadow(ledger, first)
    ledger.shadow.record_day(first.candidate_id, "2013-06-01", rows=900, answered=900)
    promote(ledger, first)
    ledger.claims.claim(MODEL, "2013-06-01", run_id="score-1")
    ledger.stops.record(first.candidate_id, "promote", StopKind.ERROR, "the registry was away")
    opened(ledger, challenger(ledger, "run-2"))
    return ledger.candidates.get(first.candidate_id)


def shadow(
    ledger: Ledger, candidate: Candidate, *, champion_id: str | None = None, opened_from: datetime = AS_OF
) -> ShadowWindow:
    return ledger.shadow.open(
        candidate.candidate_id,
        champion_id=champion_id,
        opened_from=opened_from,
        min_rows=1500,
        min_days=2,
        actor="journey",
    )


# --- gates -----------------------------------------------------------------------------------------------------------


def test_a_gate_result_comes_back_with_all_its_evidence(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    digest = first.facts.artifact_digest
    for verdict in Verdict:
        result = judged(f"gate_{verdict.name.lower()}", verdict, mode=Mode.ADVISORY)
        record = ledger.gates.record(first.candidate_id, result, digest=digest, run_id="run-1")
        assert (record.result, record.attempt, record.verdict, record.mode) == (result, 1, verdict, Mode.ADVISORY)
        assert ledger.gates.latest(first.candidate_id)[result.gate] == record


def test_every_attempt_of_a_gate_is_kept_and_the_newest_counts(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    for verdict in (Verdict.FAIL, Verdict.FAIL, Verdict.PASS):
        ledger.gates.record(
            first.candidate_id, judged(verdict=verdict), digest=first.facts.artifact_digest, run_id="run-1"
        )
    (standing,) = ledger.explain(first.candidate_id).gates
    assert (standing.newest.verdict, standing.attempts) == (Verdict.PASS, 2)


def test_gates_are_told_in_the_order_they_judged(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    for gate in ("threshold_gate", "champion_gate", "slice_gate", "threshold_gate"):
        ledger.gates.record(first.candidate_id, judged(gate), digest=None, run_id=f"run-{gate}")
    assert list(ledger.gates.latest(first.candidate_id)) == ["threshold_gate", "champion_gate", "slice_gate"]


def test_who_was_judged_on_which_days_is_known_without_their_evidence(ledger: Ledger) -> None:
    first, week = challenger(ledger, "run-1"), timedelta(days=7)
    for number, candidate in enumerate((first, trained(ledger, "run-other", model="other"))):
        digest = candidate.facts.artifact_digest
        ledger.gates.record(candidate.candidate_id, judged("champion_gate"), digest=digest, run_id=candidate.run_id)
        for part, start in (("train", AS_OF - 5 * week), ("holdout", AS_OF - week)):
            made = TrainingRecord(candidate.candidate_id, part, "c", "l", start, start + week, AS_OF, 1, ())
            ledger.lineage.record_training_set(replace(made, rows=number))
    promote(ledger, first)
    second = trained(ledger, "run-2")
    holdout = TrainingRecord(second.candidate_id, "holdout", "c", "l", AS_OF, AS_OF + week, AS_OF, 1, ())
    ledger.lineage.record_training_set(holdout)
    assert [j.candidate.candidate_id for j in ledger.gates.judged_on(MODEL, "champion_gate", "holdout")] == [
        first.candidate_id
    ]
    for _ in range(2):
        ledger.gates.record(second.candidate_id, judged("champion_gate", Verdict.FAIL), digest=None, run_id="run-2")
    found = ledger.gates.judged_on(MODEL, "champion_gate", "holdout")
    assert [(j.candidate.candidate_id, j.start, j.end, j.champion) for j in found] == [
        (first.candidate_id, AS_OF - week, AS_OF, None),
        (second.candidate_id, AS_OF, AS_OF + week, first.candidate_id),
    ]
    assert ledger.gates.judged_on(MODEL, "another_gate", "holdout") == []


def test_f051_evidence_with_a_nan_in_its_notes_is_refused(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    result = GateResult("threshold_gate", Mode.BLOCKING, judged().criteria, {"gain": float("nan")})
    with pytest.raises(BadValue, match="NaN and infinity are stored as null"):
        ledger.gates.record(first.candidate_id, result, digest=None, run_id="run-1")


# --- shadow windows --------------------------------------------------------------------------------------------------


def test_a_window_is_full_with_enough_rows_and_enough_days(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    assert not shadow(ledger, first).is_full
    one = ledger.shadow.record_day(first.candidate_id, "2013-06-01", rows=2000, answered=1990)
    assert (one.rows, one.answered, one.days, one.is_full) == (2000, 1990, 1, False)
    assert ledger.shadow.record_day(first.candidate_id, "2013-06-02", rows=10, answered=10).is_full
    assert ledger.candidates.get(first.candidate_id).state is State.SHADOWING


def test_f082_a_day_scored_again_is_not_counted_twice(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    shadow(ledger, first)
    for rows in (900, 900, 905):
        window = ledger.shadow.record_day(first.candidate_id, "2013-06-01T00:00:00", rows=rows, answered=rows)
    assert window.scored == (ShadowDay("2013-06-01", 905, 905),)


def test_f079_a_day_without_rows_does_not_fill_a_window(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    shadow(ledger, first)
    ledger.shadow.record_day(first.candidate_id, "2013-06-01", rows=5000, answered=5000)
    window = ledger.shadow.record_day(first.candidate_id, "2013-06-02", rows=0, answered=0)
    assert (window.days, window.is_full) == (1, False)


def test_a_day_before_the_window_does_not_count(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    shadow(ledger, first)
    assert ledger.shadow.record_day(first.candidate_id, "2013-05-31", rows=9, answered=9).scored == ()


def test_a_closed_window_keeps_what_its_gate_judged(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    shadow(ledger, first)
    ledger.shadow.record_day(first.candidate_id, "2013-06-01", rows=900, answered=900)
    closed = ledger.shadow.close(first.candidate_id, closed_at=AS_OF + DAY)
    assert ledger.shadow.close(first.candidate_id, closed_at=AS_OF + 9 * DAY) == closed
    assert ledger.shadow.record_day(first.candidate_id, "2013-06-01", rows=1, answered=1) == closed


def test_f081_a_window_starts_anew_when_the_champion_changes(ledger: Ledger) -> None:
    old = champion(ledger, "run-1")
    second = challenger(ledger, "run-2")
    assert shadow(ledger, second, champion_id=old.candidate_id) == shadow(ledger, second, champion_id=old.candidate_id)
    ledger.shadow.record_day(second.candidate_id, "2013-06-01", rows=900, answered=900)
    anew = shadow(ledger, second, champion_id=None, opened_from=AS_OF + 2 * DAY)
    assert (anew.number, anew.scored, anew.opened_from) == (2, (), AS_OF + 2 * DAY)
    before, _now = ledger.explain(second.candidate_id).windows
    assert (before.closed_at, before.rows) == (AS_OF + 2 * DAY, 900)


def test_a_day_scored_again_goes_to_the_challengers_of_that_day(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    shadow(ledger, first)

    def covering() -> list[list[str]]:
        days = ("2013-05-31", "2013-06-01", "2013-06-02")
        return [[w.candidate_id for w in ledger.shadow.covering(MODEL, day)] for day in days]

    mine = [first.candidate_id]
    assert covering() == [[], mine, mine]
    ledger.shadow.close(first.candidate_id, closed_at=AS_OF + DAY)
    assert covering() == [[], mine, []]


def test_the_open_window_of_a_closed_journey_takes_no_more_rows(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    shadow(ledger, first)
    ledger.candidates.close(first.candidate_id, Event.FAIL, outcome="Broken.", actor="journey")
    assert ledger.shadow.covering(MODEL, "2013-06-02") == []


def test_only_a_challenger_goes_into_shadow(ledger: Ledger) -> None:
    first = trained(ledger, "run-1")
    with pytest.raises(IllegalTransition, match="'shadow' may not happen to a candidate that is trained"):
        shadow(ledger, first)
    assert ledger.shadow.window(first.candidate_id) is None
    with pytest.raises(NoShadowWindow, match="open one first"):
        ledger.shadow.record_day(first.candidate_id, "2013-06-01", rows=1, answered=1)


def test_more_answers_than_rows_are_refused(ledger: Ledger) -> None:
    first = challenger(ledger, "run-1")
    shadow(ledger, first)
    with pytest.raises(BadValue, match="must be between 0 and 5"):
        ledger.shadow.record_day(first.candidate_id, "2013-06-01", rows=5, answered=6)


# --- partitions ------------------------------------------------------------------------------------------------------


def test_f001_publishing_the_same_partition_again_changes_nothing(ledger: Ledger) -> None:
    (first,) = ledger.partitions.record([PARTITION])
    (again,) = ledger.partitions.record([replace(PARTITION, run_id="features-2")])
    assert again == first == ledger.partitions.get("departures", 1, "2013-06-01")
    assert ledger.partitions.history("departures", 1, "2013-06-01") == [first]


def test_f005_a_changed_partition_replaces_the_current_one_and_keeps_the_old_in_the_history(ledger: Ledger) -> None:
    (first,) = ledger.partitions.record([PARTITION])
    (second,) = ledger.partitions.record(
        [replace(PARTITION, content_hash="sha256:late rows", table_version=5, rows=951)]
    )
    assert ledger.partitions.get("departures", 1, "2013-06-01") == second
    assert ledger.partitions.history("departures", 1, "2013-06-01") == [first, second]


def test_a_range_of_partitions_is_half_open_and_in_order(ledger: Ledger) -> None:
    days = ["2013-06-03", "2013-06-01", "2013-06-02"]
    ledger.partitions.record([replace(PARTITION, day=day) for day in days] + [replace(PARTITION, view_version=2)])
    assert [p.day for p in ledger.partitions.between("departures", 1, "2013-06-01", "2013-06-03")] == sorted(days)[:2]
    assert len(ledger.partitions.between("departures", 1)) == 3


def test_f008_an_empty_day_is_recorded_as_empty(ledger: Ledger) -> None:
    empty = replace(
        PARTITION, status=PartitionStatus.EMPTY, rows=0, source_rows=0, table_version=None, source_watermark=None
    )
    assert ledger.partitions.record([empty]) == [ledger.partitions.get("departures", 1, "2013-06-01")]
    with pytest.raises(BadValue, match="EMPTY means 0 rows"):
        ledger.partitions.record([replace(PARTITION, status=PartitionStatus.EMPTY)])


def test_a_bulk_publish_is_all_or_none(ledger: Ledger) -> None:
    with pytest.raises(BadValue, match="time zone"):
        ledger.partitions.record(
            [PARTITION, replace(PARTITION, day="2013-06-02", source_watermark=datetime(2013, 6, 2))]  # noqa: DTZ001 - the fault
        )
    assert ledger.partitions.between("departures", 1) == []


def test_f013_a_time_in_another_zone_comes_back_as_the_same_moment_in_utc(ledger: Ledger) -> None:
    local = datetime(2013, 6, 2, 5, tzinfo=timezone(timedelta(hours=2)))
    ledger.partitions.record([replace(PARTITION, source_watermark=local)])
    found = ledger.partitions.get("departures", 1, "2013-06-01")
    assert found is not None
    assert found.source_watermark is not None
    assert (found.source_watermark, found.source_watermark.tzinfo) == (local, UTC)


# --- drift -----------------------------------------------------------------------------------------------------------


def decide(ledger: Ledger, report_id: str, action: RetrainAction, journey: str | None = None) -> object:
    return ledger.drift.decide(
        report_id, action, rule="5", reason="out of band", numbers={"k": 2}, journey_run_id=journey
    )


def test_the_first_decision_about_a_report_stands(ledger: Ledger) -> None:
    report = ledger.drift.report(MODEL, "1", "2013-06-07", {"share": 0.4}, run_id="drift-1")
    assert report.report_id == "flight_delay-v1-20130607"
    first = decide(ledger, report.report_id, RetrainAction.RETRAIN, "drift__flight_delay-v1-20130607")
    assert decide(ledger, report.report_id, RetrainAction.RETRAIN, "drift__flight_delay-v1-20130607") == first
    assert decide(ledger, report.report_id, RetrainAction.SUPPRESS) == first
    assert ledger.drift.decisions(MODEL) == [first]


def test_a_report_may_be_measured_again_until_a_decision_rests_on_it(ledger: Ledger) -> None:
    ledger.drift.report(MODEL, "1", "2013-06-07", {"share": 0.4}, run_id="drift-1")
    second = ledger.drift.report(MODEL, "1", "2013-06-07", {"share": 0.5}, run_id="drift-1")
    decide(ledger, second.report_id, RetrainAction.LOG)
    assert ledger.drift.report(MODEL, "1", "2013-06-07", {"share": 0.9}, run_id="drift-2") == second
    assert ledger.drift.get(second.report_id) == second


def test_reports_and_decisions_are_found_by_day(ledger: Ledger) -> None:
    for day in range(1, 8):
        report = ledger.drift.report(MODEL, "1", f"2013-06-0{day}", {"day": day}, run_id=f"drift-{day}")
        decide(ledger, report.report_id, RetrainAction.LOG)
    assert [r.report["day"] for r in ledger.drift.reports(MODEL, last=3)] == [5, 6, 7]
    assert [r.report["day"] for r in ledger.drift.reports(MODEL, last=2, before="2013-06-05")] == [3, 4]
    assert [d.day for d in ledger.drift.decisions(MODEL, since="2013-06-05", before="2013-06-07")] == [
        "2013-06-05",
        "2013-06-06",
    ]
    assert ledger.drift.reports("air_time", last=3) == []


def test_a_retrain_names_its_journey_and_nothing_else_does(ledger: Ledger) -> None:
    report = ledger.drift.report(MODEL, "1", "2013-06-07", {}, run_id="drift-1")
    for action, journey in ((RetrainAction.RETRAIN, None), (RetrainAction.LOG, "run-1")):
        with pytest.raises(BadValue, match="when retraining, and only then"):
            decide(ledger, report.report_id, action, journey)
    with pytest.raises(BadValue, match="no drift report"):
        decide(ledger, drift_report_id(MODEL, "1", "2013-06-08"), RetrainAction.LOG)


# --- for a person ----------------------------------------------------------------------------------------------------


def test_a_candidate_is_explained_from_its_report_to_its_promotion(ledger: Ledger) -> None:
    report = ledger.drift.report(MODEL, "1", "2013-06-07", {"share": 0.4}, run_id="drift-1")
    decision = decide(ledger, report.report_id, RetrainAction.RETRAIN, "run-1")
    ledger.candidates.open(request("run-1", report_id=report.report_id))
    candidate_id = ledger.candidates.of(MODEL)[0].candidate_id
    ledger.candidates.close(candidate_id, Event.REJECT, outcome="training_data_gate failed.", actor="journey")
    told = ledger.explain(candidate_id)
    assert (told.report, told.decision) == (report, decision)
    assert [(t.event, t.to_state) for t in told.transitions] == [(None, State.OPENED), (Event.REJECT, State.REJECTED)]
    assert told.candidate.outcome == "training_data_gate failed."


def test_a_models_history_tells_its_champions_and_journeys(ledger: Ledger) -> None:
    first, second = champion(ledger, "run-1"), champion(ledger, "run-2")
    told = ledger.history(MODEL)
    assert [e.to_candidate for e in told.epochs] == [first.candidate_id, second.candidate_id]
    assert told.champion == told.epochs[-1]
    assert [c.candidate_id for c in told.candidates] == [first.candidate_id, second.candidate_id]
    assert ledger.candidates.models() == [MODEL]
    assert ledger.history("nobody").champion is None
