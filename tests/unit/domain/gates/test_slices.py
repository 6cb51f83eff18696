"""The slice gate: which slices are judged how, and what stops a candidate that is better only on average."""

from __future__ import annotations

import json
from math import nan

import numpy as np
import pandas as pd
import pytest

from include.domain.attempts import Attempts
from include.domain.gates import (
    BadEvidence,
    BadRule,
    Evidence,
    FairnessRule,
    FirstDeployment,
    Measure,
    Mode,
    SliceRules,
    Verdict,
    champion_gate,
    slice_gate,
)
from include.domain.gates.champion_rules import ChampionRules, ComparisonRule
from include.domain.gates.grouping import group
from include.domain.gates.slices import OTHERS
from include.domain.metrics import Task
from include.domain.own_metrics import whole
from include.domain.tables import as_markdown, as_table

ROWS = 12_000


def flights(rows=ROWS, *, noise=0.05, champion_noise=0.05, ruined=None, gain=0.0, seed=1, days=None):
    """Labels drawn from probabilities that both models know up to noise; on the ``ruined`` rows the candidate answers
    at random, elsewhere it is better by ``gain`` of the noise."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 3, rows)
    y = (rng.random(rows) < p).astype(float)
    ours = np.clip(p + noise * (1 - gain) * rng.standard_normal(rows), 0, 1)
    theirs = np.clip(p + champion_noise * rng.standard_normal(rows), 0, 1)
    if ruined is not None:
        ours[ruined] = rng.random(int(ruined.sum()))
    return Evidence(
        Task.BINARY, y, ours, theirs, np.full(rows, 0.25), None if days is None else rng.integers(0, days, rows)
    )


def carriers(rows=ROWS, *, shares=(0.7, 0.2, 0.07, 0.03), seed=2):
    return np.random.default_rng(seed).choice(list("ABCDEFGH")[: len(shares)], rows, p=shares)


def by_carrier(**changes):
    return SliceRules(
        **{"metric": "brier", "margin": 0.01, "floor": 0.05, "by": ("carrier",), "large_rows": 5000} | changes
    )


def judged(rules, on, columns, *, has_champion=True, **kwargs):
    return slice_gate(rules, on, columns, mode=Mode.BLOCKING, has_champion=has_champion, **kwargs)


def criterion(result, name):
    return next(c for c in result.criteria if c.criterion == name)


# --- what is stopped -------------------------------------------------------------------------------------------------


def test_two_equal_models_pass_on_every_slice():
    assert judged(by_carrier(), flights(), {"carrier": carriers()}).verdict is Verdict.PASS


def test_f055_a_candidate_better_overall_and_ruined_on_one_slice_is_stopped():
    carrier = carriers()
    evidence = flights(noise=0.2, champion_noise=0.2, gain=0.9, ruined=carrier == "C")
    overall = champion_gate(
        ChampionRules((ComparisonRule("brier", 0.005),), "brier"), evidence, mode=Mode.BLOCKING, has_champion=True
    )
    result = judged(by_carrier(), evidence, {"carrier": carrier})
    assert (overall.verdict, result.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert result.reason.startswith("carrier=C brier 0.3")
    assert "significantly worse (Holm over 3 slices)" in result.reason
    assert [c.criterion for c in result.criteria if c.verdict is Verdict.FAIL] == ["carrier=C brier"]


def test_a_ruined_large_slice_fails_by_its_own_margin():
    carrier = carriers()
    result = judged(by_carrier(), flights(ruined=carrier == "A"), {"carrier": carrier})
    found = criterion(result, "carrier=A brier")
    assert (found.verdict, found.margin, found.allowed) == (Verdict.FAIL, 0.01, "worse than champion by <= 0.01")


def test_the_ruined_slice_stands_above_those_that_passed():
    carrier = carriers()
    result = judged(by_carrier(), flights(ruined=carrier == "D"), {"carrier": carrier})
    assert result.criteria[0].criterion == "carrier=D brier"


def test_f051_a_nan_in_one_slice_is_no_evidence_about_that_slice():
    evidence, carrier = flights(), carriers()
    scores = evidence.candidate.copy()
    scores[np.flatnonzero(carrier == "C")[:3]] = nan
    spoiled = Evidence(Task.BINARY, evidence.y, scores, evidence.champion)
    result = judged(by_carrier(ask_under_support=False), spoiled, {"carrier": carrier})
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "of the candidate's scores, 3 of" in result.reason
    assert "carrier=C" in result.reason


def test_a_small_slice_beyond_the_floor_and_nearly_significant_is_for_a_person():
    carrier = np.repeat(["A", "B"], [ROWS - 300, 300])
    noisy = flights(ruined=carrier == "B")

    def found(floor, alpha):
        return criterion(judged(by_carrier(floor=floor, alpha=alpha), noisy, {"carrier": carrier}), "carrier=B brier")

    # Each alpha is above half of the one before, so one of them lies between the two levels.
    between = next(a for a in np.geomspace(1e-6, 1e-13, 40) if found(0.02, a).verdict is Verdict.INCONCLUSIVE)
    narrow = found(0.02, between)
    assert narrow.measured - narrow.champion > 0.02
    assert "more than the floor 0.02 (" in narrow.reason
    assert "), and nearly significant" in narrow.reason
    assert found(1.0, between).verdict is Verdict.PASS
    assert found(0.02, between * 4).verdict is Verdict.FAIL
    assert found(0.02, between / 10).verdict is Verdict.PASS


# --- tiers -----------------------------------------------------------------------------------------------------------


def test_large_slices_are_strict_and_small_ones_are_not():
    result = judged(by_carrier(), flights(), {"carrier": carriers()})
    assert criterion(result, "carrier=A brier").allowed == "worse than champion by <= 0.01"
    assert criterion(result, "carrier=B brier").allowed == "not sig. worse; worse by <= 0.05"
    assert result.notes["slices"] == {"strict": 1, "small": 3}


def test_a_protected_slice_is_strict_whatever_its_size():
    result = judged(by_carrier(by=(), protected=("carrier",)), flights(), {"carrier": carriers()})
    assert {c.allowed for c in result.criteria} == {"worse than champion by <= 0.01"}
    assert result.notes["slices"] == {"strict": 4, "small": 0}


def test_strict_slices_that_cannot_tell_are_inconclusive_where_small_ones_pass():
    evidence, carrier = flights(noise=0.3, champion_noise=0.3), carriers()
    strict = judged(by_carrier(protected=("carrier",), margin=0.002, pooled=False), evidence, {"carrier": carrier})
    small = judged(by_carrier(large_rows=10**6), evidence, {"carrier": carrier})
    assert (strict.verdict, small.verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)
    assert "rows would tell for an equal candidate" in strict.reason


def test_attempts_on_the_same_rows_narrow_the_strict_tier_only():
    evidence, carrier = flights(), carriers()
    once, tenth = (judged(by_carrier(), evidence, {"carrier": carrier}, attempts=Attempts(n)) for n in (1, 10))
    strict, small = "carrier=A brier", "carrier=B brier"
    assert criterion(tenth, strict).high > criterion(once, strict).high
    assert criterion(tenth, small).high == criterion(once, small).high


def test_holm_gives_the_next_slice_a_wider_level_once_one_is_found_worse():
    carrier = np.repeat(["A", "B"], ROWS // 2)
    evidence = flights(ruined=carrier == "B")
    result = judged(by_carrier(large_rows=10**6), evidence, {"carrier": carrier})
    alone = judged(by_carrier(large_rows=10**6), evidence.where(carrier != "B"), {"carrier": carrier[carrier != "B"]})
    # With B out of the way the other is tested as if it were all there is.
    assert criterion(result, "carrier=A brier").low == criterion(alone, "carrier=A brier").low


# --- pooled ----------------------------------------------------------------------------------------------------------


def strict_rules(**changes):
    return by_carrier(**{"by": (), "protected": ("carrier",), "margin": 0.002} | changes)


def test_a_strict_slice_is_judged_with_what_the_other_slices_show():
    evidence, carrier = flights(noise=0.3, champion_noise=0.3), carriers(shares=(0.2,) * 5)
    pooled, alone = (judged(strict_rules(pooled=p), evidence, {"carrier": carrier}) for p in (True, False))
    widths = [[c.high - (c.measured - c.champion) for c in result.criteria] for result in (pooled, alone)]
    assert np.median(widths[0]) < min(widths[1])
    assert "judged with what the 5 slices show together, is stopped nine times in ten" in pooled.criteria[0].reason


def test_two_slices_are_judged_alone():
    evidence, carrier = flights(), carriers(shares=(0.5, 0.5))
    pooled, alone = (judged(strict_rules(pooled=p), evidence, {"carrier": carrier}) for p in (True, False))
    assert [c.high for c in pooled.criteria] == [c.high for c in alone.criteria]
    assert "together" not in pooled.criteria[0].reason


def test_a_ruined_strict_slice_fails_although_the_others_are_fine():
    carrier = carriers(shares=(0.2,) * 5)
    result = judged(strict_rules(margin=0.01), flights(ruined=carrier == "C"), {"carrier": carrier})
    assert [c.criterion for c in result.criteria if c.verdict is Verdict.FAIL] == ["carrier=C brier"]


@pytest.mark.parametrize("days", [None, 14])
@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "log_loss"])
def test_slices_are_pooled_whatever_the_metric(metric, days):
    evidence, carrier = flights(days=days), carriers(shares=(0.25,) * 4)
    result = judged(strict_rules(metric=metric, margin=0.05), evidence, {"carrier": carrier})
    assert result.verdict is Verdict.PASS
    assert "show together" in result.reason


def test_calibration_is_not_pooled_because_few_rows_inflate_it():
    evidence, carrier = flights(), carriers(shares=(0.25,) * 4)
    result = judged(strict_rules(metric="ece", margin=0.2), evidence, {"carrier": carrier})
    assert "together" not in result.reason


# --- support ---------------------------------------------------------------------------------------------------------

THIN = {"shares": (0.95, 0.02, 0.016, 0.014)}


def test_where_so_declared_slices_under_the_support_are_inconclusive_and_named():
    result = judged(by_carrier(ask_under_support=True), flights(), {"carrier": carriers(**THIN)})
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason.startswith("3 slices of carrier have fewer than 300 rows, too few to judge: B (")


def test_unless_so_declared_they_are_reported_and_judged_together():
    carrier = carriers(**THIN)
    result = judged(by_carrier(), flights(), {"carrier": carrier})
    together = criterion(result, f"carrier={OTHERS} brier")
    assert (result.verdict, together.rows) == (Verdict.PASS, int((carrier != "A").sum()))
    assert result.notes["under_support"]["carrier"]["slices"] == 3


def test_a_candidate_that_ruins_every_thin_slice_is_stopped_by_all_of_them_together():
    carrier = carriers(**THIN)
    result = judged(by_carrier(ask_under_support=False), flights(ruined=carrier != "A"), {"carrier": carrier})
    assert result.verdict is Verdict.FAIL
    assert result.reason.startswith(f"carrier={OTHERS} brier")


def test_a_protected_slice_under_the_support_is_never_only_reported():
    rules = by_carrier(by=(), protected=("carrier",), ask_under_support=False)
    assert judged(rules, flights(), {"carrier": carriers(**THIN)}).verdict is Verdict.INCONCLUSIVE


def test_a_slice_of_one_class_is_too_thin_for_a_ranking():
    evidence, carrier = flights(), carriers()
    y = np.where(carrier == "C", 0.0, evidence.y)
    one_class = Evidence(Task.BINARY, y, evidence.candidate, evidence.champion)
    asked = judged(by_carrier(metric="roc_auc", ask_under_support=True), one_class, {"carrier": carrier})
    reported = judged(by_carrier(metric="roc_auc", ask_under_support=False), one_class, {"carrier": carrier})
    assert "carrier=C was not judged on its" in asked.reason
    assert "all" in reported.notes["under_support"]["carrier"]["thin"]["carrier=C"]
    assert reported.verdict is Verdict.PASS


def test_a_slice_that_is_too_thin_leaves_those_after_it_judged():
    evidence, carrier = flights(), carriers()
    one_class = Evidence(Task.BINARY, np.where(carrier == "C", 0.0, evidence.y), evidence.candidate, evidence.champion)
    found = judged(by_carrier(metric="roc_auc", ask_under_support=False), one_class, {"carrier": carrier})
    assert {c.criterion for c in found.criteria} == {f"carrier={name} roc_auc" for name in "ABD"}


def test_a_label_that_is_no_number_is_no_thin_slice():
    evidence, carrier = flights(), carriers()
    y = evidence.y.copy()
    y[np.flatnonzero(carrier == "C")[:3]] = nan
    spoiled = Evidence(Task.BINARY, y, evidence.candidate, evidence.champion)
    found = judged(by_carrier(ask_under_support=False), spoiled, {"carrier": carrier})
    assert criterion(found, "carrier=C brier").verdict is Verdict.INCONCLUSIVE
    assert found.verdict is Verdict.INCONCLUSIVE


@whole(better="lower")
def missed_by(labels, scores):
    """A team's own metric, which has no value where a score is above 1."""
    return nan if scores.max() > 1 else float(np.mean(np.abs(labels - scores)))


class TestOfASliceWithTooFewDays:
    """Carrier C flew on two days only, which no metric can be compared on. That is thin, unless something is broken."""

    CARRIER = carriers()

    def found(self, metric="brier", *, has_champion=True, **spoiled):
        """Each of ``spoiled``, by what the answers are of, is the first score of carrier C."""
        flown = flights(days=14)
        scores = {name: getattr(flown, name).copy() for name in ("candidate", "champion", "baseline")}
        for name, score in spoiled.items():
            scores[name][np.flatnonzero(self.CARRIER == "C")[0]] = score
        days = np.where(self.CARRIER == "C", flown.days % 2, flown.days)
        evidence = Evidence(Task.BINARY, flown.y, *scores.values(), days)
        rules = by_carrier(metric=metric, margin=0.1, floor=0.2)
        return judged(rules, evidence, {"carrier": self.CARRIER}, has_champion=has_champion)

    @pytest.mark.parametrize("metric", ["brier", missed_by])
    def test_it_is_reported_and_the_others_are_judged(self, metric):
        result = self.found(metric)
        assert result.verdict is Verdict.PASS
        assert {c.criterion for c in result.criteria} == {f"carrier={name} {metric}" for name in "ABD"}
        assert "the rows are of 2 days" in result.notes["under_support"]["carrier"]["thin"]["carrier=C"]

    @pytest.mark.parametrize("who", ["candidate", "champion"])
    def test_where_a_team_s_own_metric_has_no_value_it_is_no_evidence(self, who):
        assert criterion(self.found(missed_by, **{who: 1.5}), f"carrier=C {missed_by}").verdict is Verdict.INCONCLUSIVE

    @pytest.mark.parametrize("who", ["candidate", "baseline"])
    def test_without_a_champion_its_value_on_the_baseline_counts(self, who):
        result = self.found(missed_by, has_champion=False, **{who: 1.5})
        assert criterion(result, f"carrier=C {missed_by}").verdict is Verdict.INCONCLUSIVE

    @pytest.mark.parametrize(("has_champion", "who"), [(True, "baseline"), (False, "champion")])
    def test_that_whoever_is_not_compared_with_has_none_changes_nothing(self, has_champion, who):
        result = self.found(missed_by, has_champion=has_champion, **{who: 1.5})
        assert "carrier=C" in result.notes["under_support"]["carrier"]["thin"]

    @pytest.mark.parametrize("metric", ["brier", missed_by])
    @pytest.mark.parametrize("who", ["candidate", "champion"])
    def test_a_score_that_is_no_number_is_no_thin_slice(self, metric, who):
        result = self.found(metric, **{who: nan})
        assert criterion(result, f"carrier=C {metric}").verdict is Verdict.INCONCLUSIVE


def test_f022_a_column_of_a_million_values_gives_one_line_not_a_million():
    rows = 20_000
    result = judged(by_carrier(ask_under_support=True), flights(rows), {"carrier": np.arange(rows).astype(str)})
    assert (result.verdict, len(result.criteria)) == (Verdict.INCONCLUSIVE, 1)
    assert result.reason.endswith("and 19,995 more.")
    assert len(json.dumps(result.as_json())) < 2000


# --- nothing to judge ------------------------------------------------------------------------------------------------


def test_no_slices_declared_pass_nothing():
    assert judged(by_carrier(by=()), flights(), {}).verdict is Verdict.INCONCLUSIVE


def test_a_declared_column_that_the_rows_lack_is_inconclusive():
    result = judged(by_carrier(by=("carrier", "race")), flights(), {"carrier": carriers()})
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason == "The rows have no column 'race', so none of its slices was judged."


def test_no_rows_pass_nothing():
    empty = Evidence(Task.BINARY, [], [], [])
    assert judged(by_carrier(), empty, {"carrier": []}).verdict is Verdict.INCONCLUSIVE


def test_f053_a_champion_that_could_not_answer_is_inconclusive_on_every_slice():
    evidence = flights()
    silent = Evidence(Task.BINARY, evidence.y, evidence.candidate, None, evidence.baseline)
    result = judged(by_carrier(), silent, {"carrier": carriers()})
    assert {c.verdict for c in result.criteria} == {Verdict.INCONCLUSIVE}


def test_f052_a_first_candidate_must_not_be_worse_than_the_baseline_on_any_slice():
    carrier = carriers()
    good = judged(by_carrier(), flights(), {"carrier": carrier}, has_champion=False)
    bad = judged(by_carrier(), flights(ruined=carrier == "B"), {"carrier": carrier}, has_champion=False)
    assert (good.verdict, bad.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert "against the baseline's" in bad.reason


def test_f052_a_first_candidate_waits_for_a_person_where_so_declared():
    rules = by_carrier(first_deployment=FirstDeployment.ASK)
    result = judged(rules, flights(), {"carrier": carriers()}, has_champion=False)
    assert (result.verdict, result.criteria[0].criterion) == (Verdict.INCONCLUSIVE, "first_deployment")


def test_a_column_of_other_rows_is_broken_machinery():
    with pytest.raises(BadEvidence, match="column 'carrier' has 5 rows, the labels 12000"):
        judged(by_carrier(), flights(), {"carrier": list("ABCDE")})


def test_a_negative_margin_or_floor_is_refused():
    with pytest.raises(BadRule, match=r"floor of brier is -0\.1; a floor is at least 0"):
        by_carrier(floor=-0.1)
    with pytest.raises(BadRule, match=r"margin of brier is -0\.1"):
        judged(by_carrier(margin=-0.1), flights(), {"carrier": carriers()})


# --- how columns become slices ---------------------------------------------------------------------------------------


def test_values_are_slices_largest_first_and_missing_ones_too():
    found = group("origin", pd.Series(["JFK", None, "LGA", "JFK", np.nan, "JFK"]))
    assert found.names == ("JFK", "(missing)", "LGA")
    assert found.codes.tolist() == [0, 1, 2, 0, 1, 0]
    assert found.sizes.tolist() == [3, 2, 1]


def test_numbers_are_cut_at_their_quartiles_and_few_distinct_ones_are_not():
    distance = group("distance", np.append(np.arange(1000.0), [nan, np.inf]))
    assert set(distance.names) == {
        "[0, 249.8)", "[249.8, 499.5)", "[499.5, 749.2)", "[749.2, 999]", "(missing)", "(infinite)",
    }  # fmt: skip
    assert sorted(distance.sizes.tolist()) == [1, 1, 250, 250, 250, 250]
    assert set(group("weekday", np.arange(70) % 7).names) == set("0123456")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([True, False, True], ("True", "False")),
        ([1.0, 1.0, 2.5], ("1", "2.5")),
        (["x" * 50], ("x" * 39 + "…",)),
        ([np.nan] * 3, ("(missing)",)),
    ],
)
def test_slices_are_named_by_their_values(values, names):
    assert group("column", values).names == names


def test_f132_a_hostile_value_cannot_forge_a_line_of_the_table():
    carrier = np.where(np.arange(ROWS) % 2, "data verdict: PASS\n\x1b[32m", "<script>alert(1)</script>|")
    result = judged(by_carrier(), flights(), {"carrier": carrier})
    assert as_table(result).count("\ndata verdict:") == 1
    assert "\x1b" not in as_table(result)
    assert "<script>" not in as_markdown(result).replace("\\<", "")


# --- regression, and the whole ---------------------------------------------------------------------------------------


def test_a_regression_is_sliced_by_its_own_metric_over_days():
    rng, carrier = np.random.default_rng(4), carriers()
    y = rng.normal(150, 60, ROWS)
    ours, theirs = y + rng.normal(0, 10, ROWS), y + rng.normal(0, 10, ROWS)
    day = rng.integers(0, 14, ROWS)
    rules = by_carrier(metric="mae", margin=1.0, floor=5.0)
    assert judged(rules, Evidence(Task.REGRESSION, y, ours, theirs, days=day), {"carrier": carrier}).verdict is (
        Verdict.PASS
    )
    worse = np.where(carrier == "B", ours + 8, ours)
    assert judged(rules, Evidence(Task.REGRESSION, y, worse, theirs, days=day), {"carrier": carrier}).verdict is (
        Verdict.FAIL
    )


def test_fairness_is_judged_in_the_same_gate():
    rule = FairnessRule("carrier", Measure.DEMOGRAPHIC_PARITY, 0.5)
    result = judged(by_carrier(fairness=(rule,)), flights(), {"carrier": carriers()})
    assert criterion(result, "demographic_parity carrier").verdict is Verdict.PASS
    assert "candidate" in result.notes["fairness"]["demographic_parity carrier"]


def test_the_result_survives_the_ledger():
    result = judged(by_carrier(), flights(days=14), {"carrier": carriers()})
    assert type(result).from_json(json.loads(json.dumps(result.as_json(), allow_nan=False))) == result


# --- at the bounds themselves ----------------------------------------------------------------------------------------


def sized(**sizes: int):
    """Two equal models on slices of just these sizes."""
    return flights(sum(sizes.values())), {"carrier": np.repeat(list(sizes), list(sizes.values()))}


def test_a_slice_of_just_large_rows_is_strict_and_one_of_just_the_support_is_judged():
    result = judged(by_carrier(), *sized(A=5000, B=4999, C=300))
    assert result.notes["slices"] == {"strict": 1, "small": 2}
    assert result.notes["under_support"] == {}


@pytest.mark.parametrize(("rest", "small"), [(1, 2), (0, 1)], ids=["as many as the support", "one less"])
def test_slices_under_the_support_are_judged_where_they_reach_it_together_and_never_strictly(rest, small):
    sizes = {"A": 5000, "B": 300, "C": 299} | ({"D": rest} if rest else {})
    result = judged(by_carrier(large_rows=300), *sized(**sizes))
    assert result.notes["slices"] == {"strict": 2, "small": small - 1}
    assert (f"carrier={OTHERS} brier" in [c.criterion for c in result.criteria]) is bool(rest)


def test_of_those_too_small_five_are_named_ten_are_kept_and_the_smallest_is_measured():
    five = judged(by_carrier(ask_under_support=True), *sized(A=5000, B=14, C=13, D=12, E=11, F=10))
    found = criterion(five, "carrier support")
    assert (found.measured, found.rows, found.bound) == (10.0, 60, 300.0)
    assert found.reason.endswith("too few to judge: B (14), C (13), D (12), E (11), F (10).")
    eleven = judged(by_carrier(ask_under_support=True), *sized(A=5000, **{f"T{n}": 50 - n for n in range(11)}))
    assert criterion(eleven, "carrier support").reason.endswith(
        "T0 (50), T1 (49), T2 (48), T3 (47), T4 (46) and 6 more."
    )
    assert list(eleven.notes["under_support"]["carrier"]["largest"]) == [f"T{n}" for n in range(10)]


def test_a_column_that_is_missing_leaves_the_others_judged():
    evidence, columns = sized(A=5000, B=500)
    result = judged(by_carrier(by=("absent", "carrier")), evidence, columns)
    assert {c.criterion for c in result.criteria} == {"absent slices", "carrier=A brier", "carrier=B brier"}


def test_what_is_not_said_about_slices_is_the_usual():
    rules = SliceRules("brier", 0.01, 0.0)
    assert (rules.alpha, rules.large_rows, rules.min_rows) == (0.05, 5000, 300)
    assert (rules.ask_under_support, rules.pooled, rules.floor) == (False, True, 0.0)
