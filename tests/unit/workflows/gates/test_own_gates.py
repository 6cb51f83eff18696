"""A team's own gate: declared by an import path, it is a gate of the journey like every other, and fails closed."""

from __future__ import annotations

import json
import math
from math import nan

import numpy as np
import pandas as pd
import pytest
import yaml
from own_modules import own_module  # noqa: F401 - a fixture
from selftest_models import BINARY, declared, with_gates
from simulated_tables import a_table, policy, simulated

from include.commands import checks
from include.config import loader
from include.domain.gates import CriterionResult, Direction, Evidence, HeldOut, Mode, Verdict, against_bound, own_gate
from include.domain.metrics import Task
from include.domain.simulation.outcome import PolicyKind
from include.workflows import gates, tasks
from include.workflows.gates.gate import EVALUATE, REGISTER
from include.workflows.gates.run import outcome_of
from include.workflows.selftest import bench, readiness

ABSTAINS = """
    import numpy as np
    from include.domain.gates import Direction, against_bound

    def abstains(evidence, *, at_most, near=0.02):
        share = float(np.mean(np.abs(evidence.scores - 0.5) < near))
        return against_bound("undecided", share, Direction.AT_MOST, at_most, rows=evidence.count)

    def answers(evidence):
        share = float(np.isfinite(evidence.scores).mean())
        return [against_bound("answered", share, Direction.AT_LEAST, 1.0, rows=evidence.count)]
"""
OWN = [
    {"name": "abstain_gate", "path": "own_abstains.abstains", "params": {"at_most": 0.9}, "mode": "advisory"},
    {
        "name": "answers_gate",
        "path": "own_abstains.answers",
        "asks": "Does it answer every row?",
        "pure": True,
        "seeds": ["NaN on 1 % of rows"],
    },
    {"name": "late_gate", "path": "own_abstains.answers", "after": "register_challenger"},
]
OPTIONAL = ("leakage_gate", "slice_gate", "latency_gate", "signature_gate", "smoke_gate", "packed_gate")
BARE = with_gates(BINARY, **dict.fromkeys(OPTIONAL))


@pytest.fixture
def model(own_module, tmp_path):  # noqa: F811
    own_module("own_abstains", ABSTAINS)
    with declared(tmp_path, with_gates(BARE, own=OWN)) as known:
        yield known.model(BARE["name"])


def problems_of(tmp_path, *own):
    with pytest.raises(ValueError, match=r"gates\.own") as raised, declared(tmp_path, with_gates(BARE, own=list(own))):
        pass
    return str(raised.value)


# --- the declaration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": "abstain"}, "gates.own.0.name is 'abstain'; the name of a gate ends in _gate, such as abstain_gate."),
        ({"name": "slice_gate"}, "gates.own.0.name is 'slice_gate'; a gate of the project has this name"),
        ({"path": "no path"}, "gates.own.0.path is 'no path'"),
        ({"after": "train"}, "gates.own.0.after is 'train'"),
        ({"parms": {}}, "gates.own.0.parms is not a field"),
    ],
)
def test_what_is_wrong_with_its_declaration_is_one_line_with_file_and_line(tmp_path, changed, says):
    line = problems_of(tmp_path, {**OWN[0], **changed})
    assert says in line
    assert "model.yaml:" in line


def test_two_gates_of_one_name_are_refused(tmp_path):
    assert "gates.own has abstain_gate twice" in problems_of(tmp_path, OWN[0], OWN[0])


def test_every_name_of_the_project_s_gates_is_kept_for_them():
    from include.config.own_gates import RESERVED

    assert {gate.name for gate in gates.GATES if gate.name.endswith("_gate")} <= RESERVED


def test_a_tier_may_declare_one_for_every_model_of_it(own_module, tmp_path):  # noqa: F811
    own_module("own_abstains", ABSTAINS)
    with declared(tmp_path, BARE):
        (loader.ROOT / "models" / "tiers.yaml").write_text(
            yaml.safe_dump({"standard": {"gates": {"own": OWN[1:2]}}}), encoding="utf-8"
        )
        loader.declarations.cache_clear()
        assert "answers_gate" in gates.required(loader.declarations().model(BARE["name"]))


# --- every place that knows gates ------------------------------------------------------------------------------------


def test_the_dag_runs_it_after_its_step_and_asks_its_question(model):
    assert tasks.gates_after(model, EVALUATE) == ["threshold_gate", "champion_gate", "abstain_gate", "answers_gate"]
    assert tasks.gates_after(model, REGISTER) == ["late_gate"]
    assert tasks.asks(model, "answers_gate") == "Does it answer every row?"
    assert tasks.asks(model, "late_gate") == "What does own_abstains.answers say?"


def test_it_is_demanded_on_its_own_side_of_registering_where_it_blocks(model):
    assert [name for name in gates.required(model) if name not in gates.later_than_registering(model)][-1] == (
        "answers_gate"
    )
    assert gates.later_than_registering(model) & {"answers_gate", "late_gate"} == {"late_gate"}
    assert "abstain_gate" not in gates.required(model)


def test_another_model_does_not_know_it(model):
    assert gates.named("abstain_gate", model) is not None
    assert gates.named("abstain_gate", None) is None


def test_the_release_page_shows_it_in_its_phase(model):
    assert gates.of_station(EVALUATE, model)[-2:] == ("abstain_gate", "answers_gate")
    assert gates.of_station(REGISTER, model) == ("smoke_gate", "packed_gate", "late_gate")


def test_a_red_one_leads_to_a_page_that_is_there(model):
    gate = gates.named("abstain_gate", model)
    failed = own_gate("abstain_gate", Mode.BLOCKING, lambda: None, path="a.b", rows=3)
    assert outcome_of(failed, {}, page=gate.runbook)["table"].endswith("docs/runbook/own_gate.md")


def test_readiness_names_the_seeds_it_stops_and_the_one_that_stops_none(model):
    report = readiness.report_on(model)
    assert report.stops("answers_gate") == ["NaN on 1 % of rows"]
    lacks = {lack.field: lack.what for lack in report.lacks}
    assert lacks["gates.own.0.seeds"].startswith("abstain_gate is meant for no seeded candidate")
    assert "gates.own.1.seeds" not in lacks
    assert not any("answers_gate links" in what for what in lacks.values())


def test_the_selftest_holds_it_to_its_seeds_and_says_of_one_without_that_nothing_proves_it(model):
    from include.domain.selftest import as_table

    found = bench.run(model.name)
    assert found.problems == []
    assert found.honest["answers_gate"].verdict is Verdict.PASS
    seeded = next(seed for seed in found.seeds if seed.name == "NaN on 1 % of rows")
    assert "answers_gate" in seeded.meant
    assert seeded.cells["answers_gate"].verdict is Verdict.FAIL
    assert found.unproved == ("abstain_gate", "late_gate")
    assert "abstain_gate is your own, and declares no seed: nothing proves that it can fail." in as_table(found)


def test_the_simulation_asks_a_pure_one_and_names_the_others(own_module):  # noqa: F811
    own_module("own_abstains", ABSTAINS)
    found = simulated(a_table(60, turns_on=30), f"gates.own={json.dumps(OWN)}")
    judged = [j.verdicts for j in policy(found, PolicyKind.DECLARED).journeys if "champion_gate" in j.verdicts]
    assert judged
    assert all(verdicts["answers_gate"] == "PASS" for verdicts in judged)
    assert not any("abstain_gate" in verdicts for verdicts in judged)
    assert "gates.own does not say that they are pure: abstain_gate, late_gate." in " ".join(found.remarks)


def test_validate_names_what_cannot_be_imported_with_file_line_and_field(model, capsys):
    from include.cli import main

    file = model.file
    text = yaml.safe_load(file.read_text(encoding="utf-8"))
    text["gates"]["own"][0]["path"] = "own_abstains.abstain"
    text["gates"]["own"][1]["seeds"] = ["NaN on 1 % of row"]
    text["gates"]["own"][2]["params"] = {"more": 1}
    file.write_text(yaml.safe_dump(text), encoding="utf-8")
    assert main(["validate", "--offline", str(loader.ROOT)]) == checks.EXIT_FAILED
    said = capsys.readouterr().out
    lines = file.read_text(encoding="utf-8").splitlines()
    at = lines.index("    path: own_abstains.abstain") + 1
    assert f"model.yaml:{at}: gates.own.0.path 'own_abstains.abstain' cannot be imported" in said
    assert "gates.own.1.seeds has 'NaN on 1 % of row'" in said
    assert "Did you mean 'NaN on 1 % of rows'?" in said
    assert "gates.own.2.path 'own_abstains.answers' would be called with (evidence, more=...)" in said
    assert "1 file cannot be used" in said


# --- it fails closed -------------------------------------------------------------------------------------------------

GOOD = against_bound("share", 0.2, Direction.AT_MOST, 0.5, rows=100)


def judged(answer):
    return own_gate("abstain_gate", Mode.BLOCKING, answer, path="ours.abstains", rows=100)


def raising(error):
    def raise_it():
        raise error

    return raise_it


def breaks_off():
    yield GOOD
    raise KeyError("distance")


@pytest.mark.parametrize(
    "answer",
    [lambda: GOOD, lambda: [GOOD], lambda: (GOOD,), lambda: iter([GOOD])],
    ids=["one", "list", "tuple", "iter"],
)
def test_a_measured_criterion_that_passed_passes(answer):
    assert judged(answer).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (raising(ZeroDivisionError("division by zero")), "ours.abstains raised ZeroDivisionError: division by zero"),
        (raising(SystemExit(0)), "ours.abstains raised SystemExit: 0"),
        (breaks_off, "ours.abstains raised KeyError: 'distance'"),
        (lambda: None, "returned nothing"),
        (lambda: True, "returned bool 'True'"),
        (lambda: Verdict.PASS, "returned Verdict"),
        (lambda: {"share": 0.1}, "returned dict"),
        (list, "returned no criteria"),
        (lambda: [GOOD, True], "returned bool 'True' among its criteria"),
        (lambda: [GOOD, None], "returned nothing among its criteria"),
        (lambda: iter(lambda: GOOD, 0), "returned more than 1,000 criteria"),
    ],
)
def test_what_is_no_criterion_is_inconclusive_and_says_why(answer, says):
    result = judged(answer)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert says in result.reason
    assert "\n" not in result.reason


def criterion(**changed):
    fields = {
        "criterion": "share",
        "verdict": Verdict.PASS,
        "measured": 0.2,
        "allowed": "<= 0.5",
        "rows": 100,
        "reason": "It is so.",
        "direction": Direction.AT_MOST,
        "bound": 0.5,
    }
    return CriterionResult(**{**fields, **changed})


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"measured": math.nan}, "it says PASS and measured nan"),
        ({"measured": None}, "it says PASS and measured None"),
        ({"measured": "0.2 or so"}, "it says PASS and measured '0.2 or so'"),
        ({"measured": math.inf, "direction": Direction.AT_LEAST}, "it says PASS and measured inf"),
        ({"rows": 0}, "it says PASS on no rows"),
        ({"rows": math.nan}, "it says PASS on no rows"),
        ({"measured": 0.6}, "it says PASS, and 0.6 is outside its bound 0.5"),
        ({"measured": 0.4, "direction": Direction.AT_LEAST}, "outside its bound"),
        ({"margin": 0.1, "high": 0.7}, "it says PASS, and 0.7 is outside its bound 0.5"),
        ({"bound": math.nan}, "its bound is nan"),
        ({"verdict": "PASS"}, "its verdict is 'PASS', which is none"),
        ({"direction": "at_most"}, "its direction is 'at_most', which is none"),
        ({"margin": 0.1, "direction": Direction.AT_LEAST, "measured": 0.6, "low": 0.4}, "0.4 is outside its bound 0.5"),
        ({"measured": 10**400}, "it says PASS and measured 1000"),
        ({"rows": 10**400}, "it says PASS on no rows"),
        ({"rows": -1}, "it says PASS on no rows"),
    ],
)
def test_a_pass_that_its_own_numbers_do_not_show_is_inconclusive(changed, says):
    result = judged(lambda: [GOOD, criterion(**changed)])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert says in result.reason
    json.dumps(result.as_json(), allow_nan=False)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"rows": 1}, id="one row"),
        pytest.param({"measured": 0.5}, id="at the highest value allowed"),
        pytest.param({"measured": 0.5, "direction": Direction.AT_LEAST}, id="at the lowest value allowed"),
        pytest.param({"measured": 0, "bound": 0}, id="nothing, where nothing is allowed"),
        pytest.param({"direction": None, "bound": None}, id="without a bound"),
        pytest.param({"measured": 0.6, "direction": None}, id="without a direction"),
        pytest.param({"measured": 0.6, "bound": None}, id="without a bound, whatever its direction"),
        pytest.param({"high": 0.7}, id="an interval, and no margin: its value is judged"),
        pytest.param({"margin": 0.1}, id="a margin, and no interval: its value is judged"),
        pytest.param({"margin": 0.1, "measured": 0.6, "high": 0.5}, id="with a margin, the end of its interval"),
        pytest.param(
            {"margin": 0.1, "direction": Direction.AT_LEAST, "measured": 0.4, "low": 0.5, "high": 0.3},
            id="the low end, where it must be at least its bound",
        ),
    ],
)
def test_a_pass_that_its_own_numbers_show_stays_one_with_its_reason(changed):
    (one,) = judged(lambda: criterion(**changed)).criteria
    assert (one.verdict, one.reason) == (Verdict.PASS, "It is so.")


def test_what_is_shown_of_a_criterion_is_text_and_numbers():
    given = criterion(
        criterion="", allowed=0.5, reason="", rows=12.9, low=np.float32(0.5), champion="0.25", baseline=nan
    )
    (one,) = judged(lambda: given).criteria
    assert (one.criterion, one.allowed, one.reason) == ("answer", "0.5", "ours.abstains gave no reason.")
    assert (one.rows, one.low, one.champion, one.baseline) == (12, 0.5, 0.25, None)


@pytest.mark.parametrize("rows", [0, -1, "many", None, nan])
def test_rows_that_are_no_count_are_none(rows):
    (one,) = judged(lambda: criterion(verdict=Verdict.FAIL, rows=rows)).criteria
    assert one.rows == 0


@pytest.mark.parametrize("direction", [Direction.AT_MOST, Direction.AT_LEAST, None])
def test_a_criterion_that_is_no_evidence_keeps_its_direction(direction):
    (one,) = judged(lambda: criterion(measured=nan, direction=direction)).criteria
    assert (one.verdict, one.direction) == (Verdict.INCONCLUSIVE, direction)


def test_a_thousand_criteria_are_judged_and_one_more_is_too_many():
    assert len(judged(lambda: [GOOD] * 1000).criteria) == 1000
    assert "more than 1,000 criteria" in judged(lambda: [GOOD] * 1001).reason
    drawn = []
    judged(lambda: (drawn.append(GOOD) or GOOD for _ in range(5000)))
    assert len(drawn) == 1001, "a generator is read no further than it must be"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("first line\nsecond line\nthird line"), "raised ValueError: first line."),
        (ValueError(""), "raised ValueError: no reason given."),
    ],
)
def test_of_what_it_raised_the_first_line_is_told(error, says):
    (one,) = judged(raising(error)).criteria
    assert one.reason == f"Nothing was judged: ours.abstains {says}"
    assert (one.criterion, one.measured, one.allowed, one.rows) == ("answer", None, "criteria", 100)


def test_a_criterion_that_cannot_even_be_read_is_inconclusive():
    class Unreadable:
        def __str__(self):
            raise RuntimeError("no text")

    result = judged(lambda: criterion(allowed=Unreadable()))
    assert (result.verdict, result.reason) == (
        Verdict.INCONCLUSIVE,
        "Nothing was judged: ours.abstains raised RuntimeError: no text.",
    )


def test_of_what_is_no_criterion_forty_characters_are_told():
    assert f"returned str {'x' * 40!r}; return" in judged(lambda: "x" * 41).reason


def test_a_fail_stays_one_whatever_it_measured():
    assert judged(lambda: criterion(verdict=Verdict.FAIL, measured=math.nan)).verdict is Verdict.FAIL


# --- what it is given ------------------------------------------------------------------------------------------------


def test_the_evidence_is_of_the_same_rows_and_cannot_be_written_to():
    evidence = Evidence(Task.BINARY, [0, 1, 1], [0.1, 0.9, 0.8], None, [0.5, 0.5, 0.5], ["b", "a", "a"])
    rows = pd.DataFrame({"distance": [1.0, 2.0, 3.0]}, index=[7, 8, 9])
    held_out = HeldOut.of("flights", ["on time", "late"], evidence, rows)
    assert (held_out.task, held_out.classes, held_out.count, held_out.champion) == (
        "binary",
        ("on time", "late"),
        3,
        None,
    )
    assert held_out.days.tolist() == [1, 0, 0]
    assert (list(held_out.rows.index), list(held_out.rows)) == ([0, 1, 2], ["distance"])
    with pytest.raises(ValueError, match="read-only"):
        held_out.scores[0] = 1.0
    held_out.rows.loc[0, "distance"] = -1.0
    assert rows["distance"].tolist() == [1.0, 2.0, 3.0]
    assert np.array_equal(evidence.candidate, [0.1, 0.9, 0.8])


def test_it_gets_the_weights_that_every_other_gate_counts_by():
    rows, evidence = pd.DataFrame({"distance": [1.0, 2.0]}), Evidence(Task.BINARY, [0, 1], [0.1, 0.9])
    weights = np.array([0.5, 4.0])
    held_out = HeldOut.of("flights", ["on time", "late"], evidence.weighted(weights), rows)
    assert held_out.weights.tolist() == [0.5, 4.0]
    with pytest.raises(ValueError, match="read-only"):
        held_out.weights[0] = 1.0
    assert HeldOut.of("flights", ["on time", "late"], evidence, rows).weights is None


def test_a_broken_import_at_judging_is_a_refusal_and_no_verdict(model, own_module):  # noqa: F811
    from include.config.importing import NoSuchName

    own_module("own_abstains", "def something_else(evidence): ...\n")
    with pytest.raises(NoSuchName, match=r"gates\.own\.0\.path"):
        model.gates.own[0].function(0)
