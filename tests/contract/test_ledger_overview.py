"""What the pages read across models, on both databases."""

from __future__ import annotations

from ledger_fixtures import MODEL, challenger, champion, judged, promote, request, trained

from include.adapters.ledger import Ledger, Partition, PartitionStatus, RetrainAction
from include.domain.verdicts import Verdict


def report(effect: float) -> dict:
    return {
        "flags": {"day": "2013-06-01", "realised": True},
        "realised": {"metric": "brier", "recent_risk": 0.2},
        "estimated": {"risk": 0.21, "void": False},
        "inputs": {
            "features": [
                {"name": "temp", "effect": effect, "drifted": False, "reason": "temp did not drift."},
                {"name": "tail", "effect": 0.0, "drifted": None, "reason": "tail was not judged."},
            ]
        },
        "histograms": {"temp": {"reference": [1] * 1000}},
    }


def test_a_model_stands_where_its_newest_journey_and_decision_say(ledger: Ledger):
    first = champion(ledger, "one")
    waiting = trained(ledger, "two")
    digest = waiting.facts.artifact_digest
    ledger.gates.record(waiting.candidate_id, judged(verdict=Verdict.INCONCLUSIVE), digest=digest, run_id="two")
    ledger.candidates.open(request("other", model="air_time"))
    for day, action in (("2013-06-01", RetrainAction.LOG), ("2013-06-02", RetrainAction.ESCALATE)):
        made = ledger.drift.report(MODEL, "1", day, report(0.1), run_id=f"drift-{day}")
        ledger.drift.decide(made.report_id, action, rule="1 data_broke", reason="broken", numbers={})
    air_time, flight_delay = ledger.overview.standings()
    assert (air_time.model, air_time.champion, air_time.waits_at, air_time.journeys) == ("air_time", None, None, 1)
    assert flight_delay.champion.to_candidate == first.candidate_id
    assert flight_delay.live.candidate_id == flight_delay.last.candidate_id == waiting.candidate_id
    assert flight_delay.waits_at == "threshold_gate"
    assert (flight_delay.decision.day, flight_delay.decision.action) == ("2013-06-02", RetrainAction.ESCALATE)
    assert flight_delay.journeys == 2
    assert ledger.overview.standings(MODEL) == [flight_delay]
    assert ledger.overview.standings("nobody") == []


def test_a_gate_judged_again_no_longer_waits(ledger: Ledger):
    candidate = trained(ledger, "one")
    digest = candidate.facts.artifact_digest
    for verdict in (Verdict.INCONCLUSIVE, Verdict.PASS):
        ledger.gates.record(candidate.candidate_id, judged(verdict=verdict), digest=digest, run_id="one")
    (standing,) = ledger.overview.standings()
    assert standing.waits_at is None
    assert ledger.overview.verdicts([candidate.candidate_id]) == {candidate.candidate_id: {"threshold_gate": "PASS"}}


def test_recent_risks_are_of_each_model_s_own_newest_days_oldest_first(ledger: Ledger):
    judged_on = {MODEL: ("2013-05-01", "2013-06-01", "2013-06-03"), "air_time": ("2013-04-30", "2013-05-01")}
    for model, days in judged_on.items():
        for number, day in enumerate(days):
            flags = {"flags": {"realised": number == 1}, "realised": {"metric": "brier", "recent_risk": number / 10}}
            ledger.drift.report(model, "1", day, report(0.1) | flags, run_id=f"drift-{model}-{day}")
    found = ledger.drift.recent_risks(days=3)
    assert {model: [(each.day, each.risk, each.out_of_band) for each in risks] for model, risks in found.items()} == {
        MODEL: [("2013-06-01", 0.1, None), ("2013-06-03", 0.2, False)],
        "air_time": [("2013-04-30", 0.0, None), ("2013-05-01", 0.1, True)],
    }
    assert ledger.drift.recent_risks(days=3, model=MODEL) == {MODEL: found[MODEL]}
    assert ledger.drift.recent_risks(days=3, model="nobody") == {}


def test_days_come_oldest_first_with_what_was_decided_and_without_histograms(ledger: Ledger):
    for number, day in enumerate(("2013-06-01", "2013-06-02", "2013-06-03")):
        made = ledger.drift.report(MODEL, "1", day, report(float(number)), run_id=f"drift-{day}")
        if number < 2:
            ledger.drift.decide(made.report_id, RetrainAction.LOG, rule="0 quiet", reason="quiet", numbers={})
    days = ledger.overview.drift_days(MODEL, last=2)
    assert [(d.day, d.effects, d.action) for d in days] == [
        ("2013-06-02", {"temp": 1.0}, "log"),
        ("2013-06-03", {"temp": 2.0}, None),
    ]
    assert days[0].unjudged == {"tail": "tail was not judged."}
    assert days[0].flags["realised"] is True
    assert days[0].realised["recent_risk"] == 0.2
    assert days[0].estimated == {"risk": 0.21, "void": False}
    assert ledger.overview.report_of_run(MODEL, "drift-2013-06-02") == days[0].report_id
    assert ledger.overview.report_of_run(MODEL, "no-such-run") is None


def test_journeys_come_newest_first_and_views_with_their_newest_day(ledger: Ledger):
    champion(ledger, "one")
    promote(ledger, challenger(ledger, "two"), days=1)
    found = ledger.overview.candidates(MODEL, last=5)
    assert [c.run_id for c in found] == ["two", "one"]
    assert [c.run_id for c in ledger.overview.candidates(MODEL, last=1)] == ["two"]
    for day in ("2013-06-02", "2013-06-01"):
        ledger.partitions.record(
            [Partition("flights", 1, day, PartitionStatus.PUBLISHED, 5, "h", "c", 1, 5, None, "run")]
        )
    assert ledger.overview.newest_days() == {("flights", 1): "2013-06-02"}
