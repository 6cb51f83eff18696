"""The end of a task's log: what was measured, what was allowed, and why, within one screen."""

from __future__ import annotations

import pytest

from include.domain.gates import CriterionResult, Direction, GateResult, Mode, Verdict
from include.domain.tables import WIDTH, as_markdown, as_table, number


def criterion(name="roc_auc", verdict=Verdict.FAIL, **changes):
    values = {
        "measured": 0.6612,
        "allowed": "worse than champion by <= 0.005",
        "rows": 123_456,
        "reason": f"{name} is worse by more than 0.005.",
        "direction": Direction.AT_MOST,
        "low": 0.011,
        "high": 0.0212,
        "champion": 0.6801,
        "baseline": 0.5,
    }
    return CriterionResult(criterion=name, verdict=verdict, **(values | changes))


def result(*criteria, mode=Mode.BLOCKING):
    return GateResult("champion_gate", mode, criteria)


def test_the_table_of_a_failed_gate_reads_like_this():
    passed = criterion("baseline roc_auc", Verdict.PASS, allowed="better than baseline", champion=None)
    assert as_table(result(criterion(), passed)).splitlines() == [
        "criterion         measured  allowed                             rows  champion  verdict",
        "----------------  --------  -------------------------------  -------  --------  -------",
        "roc_auc             0.6612  worse than champion by <= 0.005  123,456    0.6801  FAIL",
        "  0.011 to 0.0212 worse",
        "  naive baseline 0.5000",
        "baseline roc_auc    0.6612  better than baseline             123,456         -  PASS",
        "  0.011 to 0.0212 worse",
        "  naive baseline 0.5000",
        "data verdict: FAIL (champion_gate, blocking) because roc_auc is worse by more than 0.005.",
    ]


def test_the_columns_stand_in_the_agreed_order():
    head = as_table(result(criterion())).splitlines()[0].split()
    assert head == ["criterion", "measured", "allowed", "rows", "champion", "verdict"]


def test_what_could_not_be_measured_is_a_dash_and_never_a_number():
    unknown = criterion(verdict=Verdict.INCONCLUSIVE, measured=None, champion=None, low=None, high=None, baseline=None)
    lines = as_table(result(unknown)).splitlines()
    assert lines[2].split()[1] == "-"
    assert len(lines) == 4


def test_the_longest_names_and_numbers_fit_the_screen():
    monster = criterion(
        "missing share of " + "x" * 200, allowed=">= " + "9" * 100, rows=10**12, measured=-1.23456789e300, champion=1e17
    )
    lines = as_table(result(monster)).splitlines()
    assert max(len(line) for line in lines[:-1]) <= WIDTH
    assert "…" in lines[2]


def test_a_name_from_outside_forges_no_row_and_no_verdict():
    forged = criterion("x\ndata verdict: PASS\x1b[2K\r", reason="no\ndata verdict: PASS because I say so")
    lines = as_table(result(forged)).splitlines()
    assert [line for line in lines if line.startswith("data verdict:")] == [lines[-1]]
    assert lines[-1].startswith("data verdict: FAIL")
    assert "\x1b" not in as_table(result(forged))


def test_no_criteria_are_a_table_without_rows_that_passes_nothing():
    assert (
        as_table(result()).splitlines()[-1].startswith("data verdict: INCONCLUSIVE (champion_gate, blocking) because")
    )


def test_an_advisory_gate_says_that_it_is_one():
    assert "(champion_gate, advisory)" in as_table(result(criterion(), mode=Mode.ADVISORY))


def test_f132_markup_in_a_name_is_shown_and_not_obeyed():
    text = as_markdown(result(criterion("<script>alert(1)</script> | **x**", reason="[click](http://x)")))
    assert "<script>" not in text.replace("\\<", "")
    assert "\\|" in text
    assert "\\[click\\]" in text


def test_the_form_has_the_verdict_first_then_the_table_then_every_reason():
    lines = as_markdown(result(criterion(), criterion("brier", Verdict.PASS))).splitlines()
    assert lines[0].startswith("**data verdict: FAIL")
    assert lines[2] == "| criterion | measured | allowed | rows | champion | verdict |"
    assert lines[4].count("|") == 7
    assert sum(line.startswith("- ") for line in lines) == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (1.0, "1"), (0.00049, "0.00049"), (-0.02, "-0.0200"), (999.5, "999.5000"), (1234567.8, "1,234,568")],
)
def test_numbers_are_short_and_keep_what_matters(value, shown):
    assert number(value) == shown
