"""The selftest's rule: what makes gates trusted, and how the matrix tells a person that they are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.domain.selftest import Cell, Matrix, Seeded, SeedOutcome, as_table
from include.domain.verdicts import CriterionResult, GateResult, Mode, Verdict
from include.workflows.selftest.seeds import Seed

PASS = Cell(Verdict.PASS, "it is within its bound")
FAIL = Cell(Verdict.FAIL, "it is far worse")
ASK = Cell(Verdict.INCONCLUSIVE, "nothing was compared")
SAME = replace(PASS, same=True)
GATES = {"threshold_gate": Mode.BLOCKING, "champion_gate": Mode.BLOCKING, "latency_gate": Mode.ADVISORY}
HONEST = dict.fromkeys(GATES, PASS)


def seeded(name: str = "inverted", meant: str = "threshold_gate", **cells: Cell) -> Seeded:
    given = {gate: cells.get(gate.removesuffix("_gate"), SAME) for gate in GATES}
    return Seeded(name, (meant,), cells=given)


COVERED = (
    seeded("inverted", "threshold_gate", threshold=FAIL),
    seeded("constant", "champion_gate", champion=FAIL),
    seeded("10 times slower", "latency_gate", latency=FAIL),
)


def matrix(*seeds: Seeded, honest: dict[str, Cell] | None = None, gates: dict[str, Mode] | None = None) -> Matrix:
    return Matrix("flights", "made rows", gates or GATES, honest or HONEST, seeds or COVERED)


def test_gates_that_stop_what_they_are_for_and_pass_the_honest_twin_are_trusted():
    assert matrix().problems == []
    assert [seed.outcome(GATES) for seed in COVERED] == [SeedOutcome.STOPPED, SeedOutcome.STOPPED, SeedOutcome.SEEN]


@pytest.mark.parametrize("cell", [FAIL, ASK], ids=["FAIL", "INCONCLUSIVE"])
def test_both_a_failure_and_a_question_to_a_person_stop_a_candidate(cell):
    assert seeded(threshold=cell).outcome(GATES) is SeedOutcome.STOPPED


def test_a_gate_that_lets_pass_what_it_is_meant_for_is_a_problem_whoever_else_stops_it():
    missed = seeded("inverted", "threshold_gate", threshold=PASS, champion=FAIL)
    found = matrix(missed, seeded("labels shuffled", "threshold_gate", threshold=FAIL), COVERED[1])
    assert missed.outcome(GATES) is SeedOutcome.MISSED
    assert found.problems == ["threshold_gate let 'inverted' pass: it is within its bound"]


def test_a_gate_that_stops_a_candidate_for_another_reason_than_its_defect_has_missed_it():
    other = replace(FAIL, on_defect=Verdict.PASS)
    found = matrix(seeded("constant", "champion_gate", champion=other), *COVERED)
    assert found.problems == ["champion_gate did not see what is wrong with 'constant', only this: it is far worse"]


def test_every_gate_meant_for_a_candidate_must_see_it():
    both = Seeded("champion wired twice", ("threshold_gate", "champion_gate"), cells={"threshold_gate": FAIL})
    assert both.missed_by() == ["champion_gate"]
    assert "champion_gate never judged 'champion wired twice', which it is meant for." in matrix(both).problems


def test_a_gate_that_was_given_nothing_of_the_defect_has_judged_nothing():
    nothing = seeded("inverted", "threshold_gate", threshold=replace(FAIL, same=True))
    assert nothing.outcome(GATES) is SeedOutcome.MISSED
    assert "threshold_gate was given nothing of 'inverted' to judge, which it is meant for." in matrix(nothing).problems


@pytest.mark.parametrize("stopped_by_chance", [SAME, FAIL], ids=["stops nothing", "stops what it is not meant for"])
def test_a_blocking_gate_that_stops_no_candidate_meant_for_it_is_itself_a_problem(stopped_by_chance):
    inverted = seeded("inverted", "threshold_gate", threshold=FAIL, champion=stopped_by_chance)
    assert matrix(inverted, COVERED[2]).problems == [
        "champion_gate is blocking, and stops no seeded candidate meant for it: nothing shows that it can fail."
    ]


def test_an_advisory_gate_needs_no_candidate_to_stop_but_must_see_those_it_is_meant_for():
    assert matrix(*COVERED[:2]).problems == []
    missed = seeded("10 times slower", "latency_gate", latency=PASS)
    assert matrix(*COVERED[:2], missed).problems == ["latency_gate let '10 times slower' pass: it is within its bound"]


@pytest.mark.parametrize("gate", GATES)
def test_the_honest_twin_must_pass_every_gate_advisory_ones_too(gate):
    found = matrix(honest={**HONEST, gate: ASK})
    assert found.problems == [f"{gate} is INCONCLUSIVE for the honest twin: nothing was compared"]


def test_a_gate_that_did_not_judge_the_honest_twin_proves_nothing():
    honest = {gate: cell for gate, cell in HONEST.items() if gate != "champion_gate"}
    assert matrix(honest=honest).problems == ["champion_gate did not judge the honest twin."]


def test_what_the_declaration_has_nothing_for_is_named_and_is_no_problem():
    found = matrix(*COVERED, Seeded("one group worse", why_not="no groups are declared"))
    assert found.problems == []
    assert "one group worse  no groups are declared" in as_table(found)


def test_a_candidate_nobody_is_meant_for_is_a_problem():
    assert matrix(*COVERED, Seeded("inverted", cells={"champion_gate": FAIL})).problems == [
        "No gate is meant for 'inverted'."
    ]


def test_the_matrix_reads_like_this():
    missed = seeded("miscalibrated", "champion_gate", champion=PASS, threshold=ASK)
    broke = Seeded("error", ("latency_gate",), cells={"latency_gate": FAIL}, broke="ValueError")
    shown = as_table(matrix(*COVERED[:2], missed, broke))
    assert shown == "\n".join(
        [
            "flights: made rows",
            "",
            "candidate      threshold  champion  latency  outcome",
            "-------------  ---------  --------  -------  -------",
            "honest twin    pass       pass      pass     passes",
            "inverted       FAIL*      ·         ·        stopped",
            "constant       ·          FAIL*     ·        stopped",
            "miscalibrated  ask        pass*     ·        missed",
            "error          -          -         FAIL*    seen",
            "",
            "* meant for it   ask: INCONCLUSIVE, a person decides   - not reached   "
            "· given what it was given of the honest twin",
            "champion_gate let 'miscalibrated' pass: it is within its bound",
            "selftest of flights: 1 thing wrong with the gates (2 of 4 bad candidates stopped, 1 only seen by advisory "
            "gates, 0 not applicable).",
        ]
    )


def test_machines_get_the_same():
    said = matrix().as_json()
    assert said["passed"]
    assert said["seeds"][0]["stopped_by"] == ["threshold_gate"]
    assert said["seeds"][0]["gates"]["champion_gate"]["same_as_honest_twin"]
    assert said["gates"]["latency_gate"] == "advisory"


@pytest.mark.parametrize(
    ("in_each", "expected"), [(False, Verdict.FAIL), (True, Verdict.PASS)], ids=["in one of them", "in each of them"]
)
def test_a_defect_may_have_to_show_in_each_line_of_its_kind(in_each, expected):
    lines = [("brier", Verdict.FAIL), ("log_loss", Verdict.PASS), ("baseline brier", Verdict.FAIL)]
    criteria = tuple(CriterionResult(name, verdict, 0.1, "<= 0.2", 10, "because") for name, verdict in lines)
    seed = Seed("worse than champion", "it is worse", in_each)
    assert seed.on_defect(GateResult("champion_gate", Mode.BLOCKING, criteria)) is expected


def test_a_gate_without_the_lines_that_a_defect_must_show_in_has_not_seen_it():
    seed = Seed("one slice ruined", "it is worse in one slice")
    other = CriterionResult("demographic_parity sex", Verdict.FAIL, 0.1, "<= 0", 10, "because")
    assert seed.on_defect(GateResult("slice_gate", Mode.BLOCKING, (other,))) is Verdict.PASS
    assert seed.on_defect(GateResult("smoke_gate", Mode.BLOCKING, (other,))) is None
