"""Group fairness: Fairlearn's measures, the paired comparison with the champion, and the policy's own bounds."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
from fairlearn import metrics as reference
from sklearn.metrics import mean_absolute_error

from include.domain.gates import BadRule, Evidence, FairnessRule, Measure, Verdict, fairness
from include.domain.gates.fairness import fairness_criteria, gap_of
from include.domain.metrics import Task

ROWS = 6000


def loans(rows=ROWS, *, groups=3, apart=0.0, champion_apart=0.0, seed=1, days=None):
    """Scores of loans by group; ``apart`` adds to the first group's scores, and so to its positive decisions."""
    rng = np.random.default_rng(seed)
    member = rng.integers(0, groups, rows)
    p = rng.beta(2, 2, rows)
    y = (rng.random(rows) < p).astype(float)
    ours, theirs = (
        np.clip(p + by * (member == 0) + 0.05 * rng.standard_normal(rows), 0, 1) for by in (apart, champion_apart)
    )
    day = None if days is None else rng.integers(0, days, rows)
    return Evidence(Task.BINARY, y, ours, theirs, days=day), np.array(["asian", "black", "white", "other"])[member]


def parity(**changes):
    return FairnessRule(**{"groups": "race", "measure": Measure.DEMOGRAPHIC_PARITY, "margin": 0.1} | changes)


def judged(rule, evidence, column, *, has_champion=True, parts=1):
    return fairness_criteria(rule, evidence, column, alpha=0.05, parts=parts, has_champion=has_champion)


def by_name(criteria, name):
    return next(c for c in criteria if c.criterion == name)


# --- Fairlearn's numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.5, 0.7])
@pytest.mark.parametrize(
    ("measure", "difference", "ratio"),
    [
        (Measure.DEMOGRAPHIC_PARITY, reference.demographic_parity_difference, reference.demographic_parity_ratio),
        (Measure.EQUAL_OPPORTUNITY, reference.equal_opportunity_difference, reference.equal_opportunity_ratio),
        (Measure.EQUALIZED_ODDS, reference.equalized_odds_difference, reference.equalized_odds_ratio),
    ],
)
def test_gaps_and_ratios_of_decisions_equal_fairlearns(measure, difference, ratio, threshold):
    evidence, race = loans(apart=0.1, champion_apart=0.02)
    rule = parity(measure=measure, threshold=threshold, gap_at_most=1.0, ratio_at_least=0.0)
    criteria, notes = judged(rule, evidence, race)
    for who, scores in (("candidate", evidence.candidate), ("champion", evidence.champion)):
        decided = (scores > threshold).astype(int)
        assert notes[who]["gap"] == pytest.approx(difference(evidence.y, decided, sensitive_features=race), abs=1e-12)
        assert notes[who]["ratio"] == pytest.approx(ratio(evidence.y, decided, sensitive_features=race), abs=1e-12)
    assert by_name(criteria, rule.name).measured == notes["candidate"]["gap"]
    assert by_name(criteria, rule.name).champion == notes["champion"]["gap"]


@pytest.mark.parametrize(
    ("measure", "metric"),
    [(Measure.GROUP_LOSS, mean_absolute_error), (Measure.MEAN_PREDICTION, reference.mean_prediction)],
)
def test_gaps_of_a_regression_equal_fairlearns(measure, metric):
    rng = np.random.default_rng(2)
    sex = rng.choice(["F", "M"], ROWS)
    y = rng.normal(50, 10, ROWS)
    ours, theirs = y + rng.normal(0, np.where(sex == "F", 6, 4)), y + rng.normal(0, 4, ROWS)
    _, notes = judged(parity(groups="sex", measure=measure), Evidence(Task.REGRESSION, y, ours, theirs), sex)
    frame = reference.MetricFrame(metrics=metric, y_true=y, y_pred=ours, sensitive_features=sex)
    assert notes["candidate"]["gap"] == pytest.approx(frame.difference(), abs=1e-9)
    assert next(iter(notes["candidate"]["rates"].values())) == pytest.approx(frame.by_group.to_dict(), abs=1e-9)


# --- against the champion --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [None, 14], ids=["independent rows", "14 days"])
def test_one_group_treated_worse_than_under_the_champion_fails(days):
    criteria, _ = judged(parity(), *loans(apart=0.25, days=days))
    found = by_name(criteria, "demographic_parity race")
    assert found.verdict is Verdict.FAIL
    assert "for asian and" in found.reason
    assert found.low > 0.1


def test_an_equally_fair_candidate_passes():
    criteria, _ = judged(parity(), *loans(groups=2))
    assert [c.verdict for c in criteria] == [Verdict.PASS]


def test_a_champion_that_is_unfair_already_does_not_stop_an_equal_candidate():
    criteria, _ = judged(parity(), *loans(groups=2, apart=0.2, champion_apart=0.2))
    assert criteria[0].measured > 0.2
    assert criteria[0].verdict is Verdict.PASS


def test_a_candidate_that_closes_the_gap_passes():
    criteria, _ = judged(parity(), *loans(groups=2, apart=0.0, champion_apart=0.3))
    assert criteria[0].verdict is Verdict.PASS
    assert criteria[0].high < 0


def test_a_gap_that_turns_around_is_as_wide_as_it_was():
    criteria, _ = judged(parity(), *loans(rows=20_000, groups=2, apart=-0.15, champion_apart=0.15))
    assert criteria[0].verdict is Verdict.PASS


def test_two_groups_moved_apart_count_although_others_are_farther_apart():
    rng = np.random.default_rng(3)
    race = rng.choice(["asian", "black", "white"], 30_000)
    draw, y = rng.random(30_000), (rng.random(30_000) < 0.5).astype(float)
    champion = draw < np.select([race == "asian", race == "black"], [0.2, 0.5], 0.5)
    candidate = draw < np.select([race == "asian", race == "black"], [0.2, 0.3], 0.5)
    criteria, notes = judged(parity(), Evidence(Task.BINARY, y, candidate * 1.0, champion * 1.0), race)
    assert notes["candidate"]["gap"] == pytest.approx(notes["champion"]["gap"], abs=0.01)
    assert criteria[0].verdict is Verdict.FAIL
    assert "for white and 0.3" in criteria[0].reason


def test_few_rows_cannot_tell():
    criteria, _ = judged(parity(margin=0.02), *loans(rows=600, groups=2))
    assert criteria[0].verdict is Verdict.INCONCLUSIVE
    assert "these rows cannot tell" in criteria[0].reason


def test_attempts_on_the_same_rows_widen_the_bound():
    evidence, race = loans(groups=2)
    once, tenth = (judged(parity(), evidence, race, parts=n)[0][0] for n in (1, 10))
    assert tenth.high > once.high


# --- the policy's bounds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bound", "expected"), [(0.05, Verdict.FAIL), (0.9, Verdict.PASS)])
def test_the_policy_bounds_the_gap_whatever_the_champion_does(bound, expected):
    criteria, _ = judged(parity(gap_at_most=bound), *loans(groups=2, apart=0.2, champion_apart=0.2))
    assert by_name(criteria, "demographic_parity race gap").verdict is expected
    assert by_name(criteria, "demographic_parity race").verdict is Verdict.PASS


def test_the_ratio_decides_only_where_it_is_declared():
    evidence, race = loans(groups=2, apart=0.2, champion_apart=0.2)
    reported, notes = judged(parity(), evidence, race)
    decided, _ = judged(parity(ratio_at_least=0.8), evidence, race)
    assert notes["candidate"]["ratio"] < 0.8
    assert [c.verdict for c in reported] == [Verdict.PASS]
    assert by_name(decided, "demographic_parity race ratio").verdict is Verdict.FAIL


def test_a_ratio_over_nothing_is_no_evidence():
    evidence, race = loans(groups=2)
    nobody = Evidence(Task.BINARY, evidence.y, evidence.candidate * 0.4, evidence.champion)
    criteria, notes = judged(parity(ratio_at_least=0.8), nobody, race)
    assert notes["candidate"]["ratio"] is None
    assert by_name(criteria, "demographic_parity race ratio").verdict is Verdict.INCONCLUSIVE


# --- no evidence -----------------------------------------------------------------------------------------------------


def test_a_group_too_small_to_measure_is_inconclusive_and_named():
    evidence, race = loans()
    race = np.where(np.arange(ROWS) < 40, "inuit", race)
    criteria, notes = judged(parity(), evidence, race)
    assert criteria[0].verdict is Verdict.INCONCLUSIVE
    assert "fewer than 100 rows: inuit (40)" in criteria[0].reason
    assert notes["under_support"] == {"inuit": 40}


def test_where_so_declared_it_is_left_out_and_named():
    evidence, race = loans(groups=2)
    race = np.where(np.arange(ROWS) < 40, "inuit", race)
    criteria, notes = judged(parity(ask_under_support=False), evidence, race)
    assert criteria[0].verdict is Verdict.PASS
    assert (notes["under_support"], "inuit" in notes["candidate"]["rates"]["selection rate"]) == ({"inuit": 40}, False)


def test_a_true_positive_rate_needs_enough_positives_in_each_group():
    evidence, race = loans(groups=2)
    y = np.where((race == "black") & (np.cumsum(race == "black") > 60), 0.0, evidence.y)
    criteria, _ = judged(
        parity(measure=Measure.EQUAL_OPPORTUNITY), Evidence(Task.BINARY, y, evidence.candidate, evidence.champion), race
    )
    assert criteria[0].verdict is Verdict.INCONCLUSIVE
    assert "black" in criteria[0].reason


@pytest.mark.parametrize("of", ["y", "candidate", "champion"])
def test_f051_a_nan_is_no_evidence(of):
    evidence, race = loans(groups=2)
    parts = {name: getattr(evidence, name).copy() for name in ("y", "candidate", "champion")}
    parts[of][:7] = nan
    criteria, _ = judged(parity(gap_at_most=1.0), Evidence(Task.BINARY, **parts), race)
    assert [c.verdict for c in criteria] == [Verdict.INCONCLUSIVE]
    assert "7 of" in criteria[0].reason


def test_one_group_has_no_gap():
    criteria, _ = judged(parity(), loans()[0], np.full(ROWS, "everybody"))
    assert "only 1 of the groups of race can be measured" in criteria[0].reason


def test_a_missing_column_is_no_evidence():
    criteria, _ = judged(parity(), loans()[0], None)
    assert criteria[0].verdict is Verdict.INCONCLUSIVE
    assert "no column 'race'" in criteria[0].reason


def test_two_days_cannot_show_how_much_days_differ():
    criteria, _ = judged(parity(), *loans(groups=2, days=2))
    assert "at least 3 are needed to see how much days differ" in criteria[0].reason


def test_f052_without_a_champion_only_the_policy_is_judged_and_no_policy_passes_nothing():
    evidence, race = loans(groups=2)
    alone = Evidence(Task.BINARY, evidence.y, evidence.candidate)
    bounded, _ = judged(parity(gap_at_most=0.5), alone, race, has_champion=False)
    unbounded, _ = judged(parity(), alone, race, has_champion=False)
    assert [c.verdict for c in bounded] == [Verdict.PASS]
    assert [c.verdict for c in unbounded] == [Verdict.INCONCLUSIVE]


def test_f053_a_champion_that_could_not_answer_is_not_taken_for_none():
    evidence, race = loans(groups=2)
    silent = Evidence(Task.BINARY, evidence.y, evidence.candidate)
    criteria, _ = judged(parity(gap_at_most=0.5), silent, race)
    assert by_name(criteria, "demographic_parity race").verdict is Verdict.INCONCLUSIVE


def test_a_measure_of_another_task_is_refused():
    with pytest.raises(BadRule, match="group_loss of race is declared; it measures the groups of a regression model"):
        judged(parity(measure=Measure.GROUP_LOSS), *loans())


def test_a_ratio_of_means_is_refused():
    with pytest.raises(BadRule, match="only shares have a ratio bound"):
        parity(measure=Measure.MEAN_PREDICTION, ratio_at_least=0.8)


# --- at the bounds themselves ----------------------------------------------------------------------------------------


def test_a_bound_of_just_the_margin_is_within_it():
    """Of three groups the interval does not depend on the margin."""
    evidence, race = loans(apart=0.25)

    def verdict(margin):
        return judged(parity(margin=margin), evidence, race)[0][0].verdict

    found = judged(parity(), evidence, race)[0][0]
    assert verdict(found.high) is Verdict.PASS
    assert verdict(np.nextafter(found.high, 0)) is Verdict.INCONCLUSIVE
    assert verdict(found.low) is Verdict.INCONCLUSIVE
    assert verdict(np.nextafter(found.low, 0)) is Verdict.FAIL


@pytest.mark.parametrize(("margin", "allowed"), [(0.0, True), (-0.01, False), (nan, False)])
def test_a_margin_is_nothing_or_more(margin, allowed):
    if allowed:
        assert parity(margin=margin).margin == margin
    else:
        with pytest.raises(BadRule, match="a margin is at least 0, in the measure's unit"):
            parity(margin=margin)


def few(*sizes: int, score: float = 0.6):
    """Groups of such sizes, all decided alike, half of each positive."""
    race = np.repeat([f"g{n}" for n in range(len(sizes))], sizes)
    y = (np.arange(len(race)) % 2).astype(float)
    return Evidence(Task.BINARY, y, np.full(len(race), score), np.full(len(race), score)), race


def test_a_group_of_a_hundred_rows_is_measured_and_one_of_ninety_nine_is_not():
    _, notes = judged(parity(), *few(300, 100, 99))
    assert notes["under_support"] == {"g2": 99}


@pytest.mark.parametrize(
    ("thin", "named"),
    [
        (5, "g2 (40), g3 (40), g4 (40), g5 (40), g6 (40); that is no evidence."),
        (6, "g2 (40), g3 (40), g4 (40), g5 (40), g6 (40) and others; that is no evidence."),
    ],
)
def test_five_groups_too_small_to_measure_are_named(thin, named):
    criteria, notes = judged(parity(), *few(300, 200, *[40] * thin))
    assert criteria[0].reason.endswith(named)
    assert len(notes["under_support"]) == thin


def test_all_groups_are_counted_and_the_supported_ones_shown():
    _, notes = judged(parity(ask_under_support=False), *few(300, 200, 40))
    assert notes["groups"] == {"g0": 300, "g1": 200, "g2": 40}
    assert notes["candidate"] == {"gap": 0, "ratio": 1, "rates": {"selection rate": {"g0": 1.0, "g1": 1.0}}}


@pytest.mark.parametrize(("threshold", "rate"), [(0.6, 0.0), (0.59, 1.0)])
def test_a_score_of_just_the_threshold_is_no_positive_decision(threshold, rate):
    _, notes = judged(parity(threshold=threshold), *few(300, 200))
    assert notes["candidate"]["rates"]["selection rate"] == {"g0": rate, "g1": rate}


@pytest.mark.parametrize(("moved", "rate"), [(0, "false positive rate"), (1, "true positive rate")])
def test_of_two_rates_the_one_that_may_be_farthest_apart_decides(moved, rate):
    rng = np.random.default_rng(4)
    race, y = np.repeat(["a", "b"], 3000), np.tile([0.0, 1.0], 3000)
    theirs = (rng.random(6000) < 0.5).astype(float)
    ours = np.where((race == "a") & (y == moved) & (rng.random(6000) < 0.8), 1.0, theirs)
    criteria, notes = judged(parity(measure=Measure.EQUALIZED_ODDS), Evidence(Task.BINARY, y, ours, theirs), race)
    assert criteria[0].verdict is Verdict.FAIL
    assert f"The {rate} is 0.9" in criteria[0].reason
    assert notes["candidate"]["gap"] > notes["champion"]["gap"] + 0.3


def test_a_day_that_holds_all_rows_of_a_group_gives_no_evidence():
    evidence, race = loans(groups=2, days=14)
    evidence = Evidence(
        Task.BINARY, evidence.y, evidence.candidate, evidence.champion, days=np.where(race == "asian", 3, evidence.days)
    )
    (found,) = judged(parity(), evidence, race)[0]
    assert (found.verdict, found.measured is None) == (Verdict.INCONCLUSIVE, False)
    assert "leaving out one day leaves a group without rows" in found.reason


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (Evidence(Task.BINARY, np.empty(0), np.empty(0), np.empty(0)), "there are no rows"),
        (Evidence(Task.BINARY, np.array([0.0, 2]), np.zeros(2), np.zeros(2)), "some labels are neither 0 nor 1"),
    ],
)
def test_rows_that_cannot_be_used_are_no_evidence(evidence, why):
    (found,), notes = judged(parity(), evidence, np.full(evidence.rows, "a"))
    assert (found.verdict, found.measured, notes) == (Verdict.INCONCLUSIVE, None, {})
    assert found.reason == f"demographic_parity race could not be judged: {why}; that is no evidence."


def test_labels_of_a_regression_may_be_any_number():
    rng = np.random.default_rng(7)
    y = rng.normal(5, 2, 4000)
    on = Evidence(Task.REGRESSION, y, y + rng.normal(size=4000), y + rng.normal(size=4000))
    rule = FairnessRule("race", Measure.GROUP_LOSS, 0.2)
    (found,), _ = judged(rule, on, np.tile(["a", "b"], 2000))
    assert found.verdict is Verdict.PASS


def test_the_bounds_of_the_policy_show_the_champions_figures_beside_them():
    evidence, race = loans(groups=2, apart=0.2, champion_apart=0.1)
    rule = parity(gap_at_most=0.5, ratio_at_least=0.1)
    criteria, notes = judged(rule, evidence, race)
    assert by_name(criteria, f"{rule.name} gap").champion == notes["champion"]["gap"]
    assert by_name(criteria, f"{rule.name} ratio").champion == notes["champion"]["ratio"]
    alone = Evidence(Task.BINARY, evidence.y, evidence.candidate)
    assert [c.champion for c in judged(rule, alone, race, has_champion=False)[0]] == [None, None]


def test_before_a_champion_serves_its_scores_are_not_compared_with():
    criteria, notes = judged(parity(gap_at_most=0.5), *loans(groups=2), has_champion=False)
    assert [c.criterion for c in criteria] == ["demographic_parity race gap"]
    assert "champion" not in notes


def test_groups_that_are_alike_have_a_gap_of_nothing_in_the_first_of_their_rates():
    alike = gap_of({"selection rate": np.array([0.4, 0.4]), "other": np.array([0.1, 0.1])}, [0, 1])
    assert (alike.gap, alike.rate, alike.ratio) == (0.0, "selection rate", 1.0)
    wider = gap_of({"selection rate": np.array([0.4, 0.3]), "other": np.array([0.1, 0.9])}, [0, 1])
    assert (wider.gap, wider.rate, wider.high, wider.low) == (pytest.approx(0.8), "other", 1, 0)


def test_a_group_is_measured_where_the_rarer_of_two_rates_has_the_rows():
    evidence, race = few(300, 300)
    y = np.where(race == "g1", (np.arange(600) % 300 < 99), evidence.y == 1).astype(float)
    odds = parity(measure=Measure.EQUALIZED_ODDS)
    _, notes = judged(odds, Evidence(Task.BINARY, y, evidence.candidate, evidence.champion), race)
    assert notes["under_support"] == {"g1": 99}


def test_three_days_show_how_much_days_differ():
    criteria, _ = judged(parity(), *loans(groups=2, days=3))
    assert "could not be judged" not in criteria[0].reason


@pytest.mark.parametrize(("rows", "blocks"), [(20, 20), (4000, 50)])
def test_rows_without_days_are_held_apart_in_fifty_groups_at_most(rows, blocks):
    assert fairness._blocks(loans(rows)[0]).count == blocks


def test_what_is_not_said_about_fairness_is_the_usual():
    rule = FairnessRule("race", Measure.DEMOGRAPHIC_PARITY, 0.1)
    assert (rule.threshold, rule.min_rows, rule.ask_under_support) == (0.5, 100, True)
    assert (rule.gap_at_most, rule.ratio_at_least) == (None, None)
