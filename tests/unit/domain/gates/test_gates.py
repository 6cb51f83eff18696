"""The gates: what passes, what fails, what nobody can tell, and in which words."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from math import inf, nan, nextafter

import numpy as np
import pytest
from scipy.stats import norm

from include.domain.attempts import Attempts
from include.domain.comparison import PairedComparison
from include.domain.gates import (
    BadEvidence,
    BadRule,
    Bound,
    ChampionRules,
    ComparisonRule,
    Direction,
    EarlierWindow,
    Evidence,
    FirstDeployment,
    GateResult,
    Mode,
    TrainingDataRules,
    TrainingDataSummary,
    Verdict,
    champion_gate,
    threshold_gate,
    training_data_gate,
)
from include.domain.gates.evidence import RowValues
from include.domain.gates.judged_comparison import judge_comparison
from include.domain.metrics import ShapesDiffer, Task, UnknownMetric, measure
from include.domain.own_metrics import of_values
from include.domain.verdicts import against_bound


def evidence(rows=4000, *, candidate=1.0, champion=1.0, baseline="prior", days=None, seed=1, noise=0.3):
    """Scores that separate the classes by so many standard deviations; ``champion`` may be None or "twin"."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.3).astype(float)
    shared = rng.standard_normal(rows)

    def score(separation):
        return norm.cdf(separation * y + shared * (1 - noise) + noise * rng.standard_normal(rows) - 1)

    ours = score(candidate)
    theirs = ours.copy() if champion == "twin" else None if champion is None else score(champion)
    naive = {"prior": np.full(rows, 0.3), "as good": score(candidate), None: None}[baseline]
    return Evidence(Task.BINARY, y, ours, theirs, naive, None if days is None else np.arange(rows) % days)


def with_nan(given, *, of, rows=40):
    spoiled = getattr(given, of).copy()
    spoiled[:rows] = nan
    return replace_part(given, of, spoiled)


def replace_part(given, name, value):
    parts = {n: getattr(given, n) for n in ("task", "y", "candidate", "champion", "baseline", "days")}
    return Evidence(**(parts | {name: value}))


def at_least(metric, bound):
    return Bound(metric, Direction.AT_LEAST, bound)


def at_most(metric, bound):
    return Bound(metric, Direction.AT_MOST, bound)


def thresholds(*bounds, on, min_rows=500):
    return threshold_gate(bounds, on, mode=Mode.BLOCKING, min_rows=min_rows)


def no_worse_by(margin, metric="roc_auc", **rules):
    rules = {"beat_baseline_on": "roc_auc"} | rules
    return ChampionRules((ComparisonRule(metric, margin),), **rules)


def better_by(margin, metric="roc_auc", **rules):
    return ChampionRules((ComparisonRule(metric, margin, superiority=True),), beat_baseline_on="roc_auc", **rules)


def judged(rules, on, *, has_champion=True, **kwargs):
    return champion_gate(rules, on, mode=Mode.BLOCKING, has_champion=has_champion, **kwargs)


def criterion(result: GateResult, name):
    return next(c for c in result.criteria if c.criterion == name)


# --- threshold_gate --------------------------------------------------------------------------------------------------

EXACT = 0.75  # the roc_auc of these four rows, ten times each
FOUR = Evidence(Task.BINARY, [0, 0, 1, 1] * 10, [0.1, 0.4, 0.35, 0.8] * 10)


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        pytest.param(at_least("roc_auc", EXACT), Verdict.PASS, id="on the bound"),
        pytest.param(at_least("roc_auc", nextafter(EXACT, 0)), Verdict.PASS, id="1 ulp better than the bound"),
        pytest.param(at_least("roc_auc", nextafter(EXACT, 1)), Verdict.FAIL, id="1 ulp worse than the bound"),
        pytest.param(at_most("roc_auc", EXACT), Verdict.PASS, id="on an upper bound"),
        pytest.param(at_most("roc_auc", nextafter(EXACT, 0)), Verdict.FAIL, id="1 ulp above an upper bound"),
    ],
)
def test_f050_a_bound_is_inclusive_to_the_last_bit(bound, expected):
    assert thresholds(bound, on=FOUR, min_rows=4).verdict is expected


@pytest.mark.parametrize("value", [nan, inf, -inf, None], ids=["nan", "inf", "-inf", "None"])
@pytest.mark.parametrize("direction", Direction)
def test_f051_a_value_that_is_no_number_is_no_evidence(value, direction):
    result = against_bound("log_loss", value, direction, 0.5, rows=1000)
    assert (result.verdict, result.measured) == (Verdict.INCONCLUSIVE, None)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier", "accuracy", "average_precision", "ece"])
def test_f051_one_nan_score_in_a_hundred_stops_every_metric(metric):
    result = thresholds(at_most(metric, 1.0), on=with_nan(evidence(), of="candidate"))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason == (
        f"{metric} could not be measured: 40 of 4,000 scores are missing or infinite; that is no evidence."
    )


def test_one_class_in_the_holdout_is_no_evidence_about_a_ranking():
    one_class = Evidence(Task.BINARY, np.ones(600), np.linspace(0, 1, 600))
    result = thresholds(at_least("roc_auc", 0.5), on=one_class)
    assert "all 600 labels are of one class (1)" in result.reason
    assert result.verdict is Verdict.INCONCLUSIVE


def test_too_few_rows_are_no_evidence_however_good_they_look():
    result = thresholds(at_least("roc_auc", 0.1), on=evidence(499))
    assert (result.verdict, result.criteria[0].rows) == (Verdict.INCONCLUSIVE, 499)
    assert result.criteria[0].measured is not None


def test_no_bounds_pass_nothing():
    assert thresholds(on=evidence()).verdict is Verdict.INCONCLUSIVE


def test_the_table_shows_champion_and_baseline_on_the_same_rows():
    on = evidence()
    line = thresholds(at_most("brier", 0.5), on=on).criteria[0]
    assert line.champion == measure(Task.BINARY, "brier", on.y, on.champion).value
    assert line.baseline == measure(Task.BINARY, "brier", on.y, on.baseline).value
    assert (line.bound, line.direction, line.allowed) == (0.5, Direction.AT_MOST, "<= 0.5")


def test_the_worst_bound_decides_and_gives_the_reason():
    result = thresholds(at_least("roc_auc", 0.6), at_most("brier", 0.01), on=evidence())
    assert result.verdict is Verdict.FAIL
    assert result.reason.startswith("brier 0.")
    assert "outside its bound <= 0.01" in result.reason


def test_a_metric_of_another_task_is_a_broken_declaration_and_no_verdict():
    with pytest.raises(UnknownMetric, match="no metric 'rmse' for a binary model"):
        thresholds(at_most("rmse", 1), on=evidence())


def test_evidence_of_different_rows_is_refused():
    with pytest.raises(ShapesDiffer, match=r"champion has shape \(2,\); it must be \(3,\)"):
        Evidence(Task.BINARY, [0, 1, 1], [0.1, 0.2, 0.3], champion=[0.1, 0.2])
    with pytest.raises(BadEvidence, match="days has 1 rows, the labels 3"):
        Evidence(Task.BINARY, [0, 1, 1], [0.1, 0.2, 0.3], days=["2013-06-01"])


def test_what_was_judged_on_cannot_be_changed_afterwards():
    with pytest.raises(FrozenInstanceError):
        evidence(5).y = np.zeros(5)


def test_a_slice_keeps_the_rows_together():
    on = evidence(days=5)
    part = on.where(on.days == 2)
    assert part.rows == 800
    assert (part.champion == on.champion[on.days == 2]).all()


def test_at_just_enough_rows_the_reason_is_why_nothing_was_measured():
    result = thresholds(at_least("roc_auc", 0.5), on=Evidence(Task.BINARY, np.ones(500), np.linspace(0, 1, 500)))
    assert "all 500 labels are of one class (1)" in result.reason


# --- champion_gate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [None, 14], ids=["independent rows", "days"])
@pytest.mark.parametrize(
    ("separation", "expected"),
    [
        pytest.param(1.0, Verdict.PASS, id="equal"),
        pytest.param(1.3, Verdict.PASS, id="better"),
        pytest.param(0.5, Verdict.FAIL, id="clearly worse than the margin"),
        pytest.param(0.93, Verdict.INCONCLUSIVE, id="about as much worse as the margin"),
    ],
)
def test_a_candidate_may_be_worse_by_less_than_the_margin_and_must_show_it(separation, expected, days):
    result = judged(no_worse_by(0.015), evidence(candidate=separation, days=days))
    assert criterion(result, "roc_auc").verdict is expected
    assert criterion(result, "baseline roc_auc").verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("separation", "expected"),
    [
        pytest.param(1.5, Verdict.PASS, id="shown to be better by more"),
        pytest.param(1.05, Verdict.INCONCLUSIVE, id="better by an amount within the noise"),
        pytest.param(0.9, Verdict.FAIL, id="worse"),
    ],
)
def test_f056_an_improvement_within_noise_is_inconclusive_where_superiority_is_asked(separation, expected):
    result = judged(better_by(0.01), evidence(candidate=separation))
    assert criterion(result, "roc_auc").verdict is expected
    assert result.verdict is expected


def test_f056_the_same_small_improvement_passes_where_no_worse_is_enough():
    assert judged(no_worse_by(0.01), evidence(candidate=1.05)).verdict is Verdict.PASS


def test_exactly_equal_to_the_margin_is_within_it_but_not_better_than_it():
    on = evidence()
    high = criterion(judged(no_worse_by(0.5), on), "roc_auc").high
    assert judged(no_worse_by(high), on).verdict is Verdict.PASS
    assert judged(no_worse_by(nextafter(high, 0)), on).verdict is Verdict.INCONCLUSIVE
    better = evidence(candidate=1.5)
    gained = -criterion(judged(no_worse_by(0.5), better), "roc_auc").high
    assert judged(better_by(gained), better).verdict is Verdict.INCONCLUSIVE
    assert judged(better_by(nextafter(gained, 0)), better).verdict is Verdict.PASS


def test_a_candidate_is_too_much_worse_where_the_whole_interval_is_beyond_the_margin_and_not_at_it():
    on = evidence(candidate=0.5)
    low = criterion(judged(no_worse_by(0.01), on), "roc_auc").low
    assert criterion(judged(no_worse_by(low), on), "roc_auc").verdict is Verdict.INCONCLUSIVE
    assert criterion(judged(no_worse_by(nextafter(low, 0)), on), "roc_auc").verdict is Verdict.FAIL


COMPARED = PairedComparison("brier", 0.15, 0.14, 0.01, -0.002, 0.022, 5000, None, 0.05, "paired rows")


def of_brier(margin, compared):
    return judge_comparison(ComparisonRule("brier", margin), compared, criterion="brier", min_rows=500)


@pytest.mark.parametrize("missing", ["difference", "low", "high"])
def test_a_comparison_that_lacks_one_of_its_numbers_is_no_evidence(missing):
    spoiled = replace(COMPARED, **{missing: None}, reason="a day is empty")
    result = of_brier(1.0, spoiled)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason == "brier could not be compared: a day is empty; that is no evidence."


RULES_OF_ALARM = ChampionRules((ComparisonRule("brier", 0.02),), beat_baseline_on="brier")


def replace_scores(evidence, candidate):
    return Evidence(Task.BINARY, evidence.y, candidate, evidence.champion, evidence.baseline, evidence.days)


def test_a_gain_is_shown_at_its_own_level_beside_the_margins_and_not_asked_for_before_the_drift():
    rules = RULES_OF_ALARM.gaining("brier")
    rng = np.random.default_rng(6)
    y = (rng.random(1400) < 0.4).astype(float)
    champion, candidate = (np.clip(0.4 + s * (y - 0.4) + 0.1 * rng.standard_normal(1400), 0, 1) for s in (0.2, 0.3))
    on = Evidence(Task.BINARY, y, candidate, champion, np.full(1400, 0.4), np.arange(1400) % 14)
    result = champion_gate(rules, on, mode=Mode.BLOCKING, has_champion=True, earlier=EarlierWindow(on))
    assert [c.criterion for c in result.criteria] == ["brier", "gain in brier", "replay brier", "baseline brier"]
    assert result.verdict is Verdict.PASS
    levels = {name: note["alpha"] for name, note in result.notes["comparisons"].items()}
    assert levels == {"brier": 0.05, "gain in brier": 0.1, "replay brier": 0.05, "baseline brier": 0.05}
    assert "each bound at 90 %" in next(c for c in result.criteria if c.criterion == "gain in brier").reason
    equal = replace_scores(on, champion + 1e-6)
    assert champion_gate(rules, equal, mode=Mode.BLOCKING, has_champion=True).verdict is not Verdict.PASS


def test_a_candidate_of_an_alarm_must_gain_on_the_watched_metric_and_lose_nothing_on_the_others():
    declared = ChampionRules(
        (ComparisonRule("roc_auc", 0.02), ComparisonRule("brier", 0.005)), beat_baseline_on="roc_auc"
    )
    gain = ComparisonRule("brier", 0.0, superiority=True, alpha=0.1)
    gaining = declared.gaining("brier")
    assert gaining.comparisons == (*declared.comparisons, gain)
    assert gain.criterion == "gain in brier"
    assert replace(gaining, comparisons=declared.comparisons) == declared
    assert declared.gaining("log_loss").comparisons[-1] == replace(gain, metric="roc_auc")
    assert replace(declared, gain_alpha=0.02).gaining("brier").comparisons[-1] == replace(gain, alpha=0.02)
    asked = ChampionRules((ComparisonRule("brier", 0.01, superiority=True),), beat_baseline_on="roc_auc")
    assert asked.gaining("brier") == asked
    assert declared.gaining("brier", dated=False).comparisons[-1] == replace(gain, measured=True)


@pytest.mark.parametrize(
    ("difference", "verdict", "so"),
    [
        pytest.param(-0.001, Verdict.PASS, "so it is measured better.", id="better"),
        pytest.param(0.0, Verdict.FAIL, "so it is not measured better.", id="equal"),
        pytest.param(0.001, Verdict.FAIL, "so it is not measured better.", id="worse"),
    ],
)
def test_where_the_change_has_no_date_a_gain_is_measured_and_the_margins_alone_have_a_bound(difference, verdict, so):
    rule = ComparisonRule("brier", 0.0, superiority=True, alpha=0.1, measured=True)
    compared = replace(COMPARED, difference=difference)
    result = judge_comparison(rule, compared, criterion="gain in brier", min_rows=500)
    assert (result.verdict, result.allowed) == (verdict, "measured better than champion")
    assert so in result.reason
    margin = judge_comparison(ComparisonRule("brier", 0.005), compared, criterion="brier", min_rows=500)
    assert margin.verdict is Verdict.INCONCLUSIVE
    assert judge_comparison(rule, compared, criterion="x", min_rows=5001).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("high", "verdict", "says"),
    [
        (-0.011, Verdict.PASS, "so it is better by more than 0.01."),
        (0.0, Verdict.INCONCLUSIVE, "so these rows cannot tell whether it is better by more than 0.01."),
    ],
)
def test_where_superiority_is_asked_the_reason_says_by_how_much(high, verdict, says):
    rule = ComparisonRule("brier", 0.01, superiority=True)
    compared = replace(COMPARED, difference=-0.02, low=-0.05, high=high)
    result = judge_comparison(rule, compared, criterion="brier", min_rows=500)
    assert result.verdict is verdict
    assert result.reason.endswith(says)


@pytest.mark.parametrize(
    ("compared", "says"),
    [
        pytest.param(COMPARED, "worse by 0.01 (from 0.002 better to 0.022 worse, each bound at 95 %)", id="worse"),
        pytest.param(
            replace(COMPARED, difference=-0.01, low=-0.03, high=0.01, alpha=0.025),
            "better by 0.01 (from 0.03 better to 0.01 worse, each bound at 97.5 %)",
            id="better, and alpha shared by two",
        ),
        pytest.param(
            replace(COMPARED, difference=0.0, low=-0.1, high=0.1),
            "worse by 0 (from 0.1 better to 0.1 worse, each bound at 95 %)",
            id="equal",
        ),
    ],
)
def test_the_difference_is_said_with_its_bounds_and_their_level(compared, says):
    start = f"brier 0.15 against the champion's 0.14 on 5,000 rows: {says}, "
    assert of_brier(0.005, compared).reason.startswith(start)


def test_the_reason_is_a_sentence_with_the_numbers_and_says_how_many_rows_would_do():
    result = judged(no_worse_by(0.002), evidence(days=14))
    line = criterion(result, "roc_auc")
    assert line.verdict is Verdict.INCONCLUSIVE
    for part in (f"{line.measured:.4g}", f"{line.champion:.4g}", "4,000 rows of 14 days", f"{line.high:.4g}", "95 %"):
        assert part in line.reason
    enough = result.notes["comparisons"]["roc_auc"]["sufficient_rows"]
    assert f"about {enough:,} rows would tell for an equal candidate" in line.reason
    assert (line.allowed, line.margin, line.bound) == ("worse than champion by <= 0.002", 0.002, 0.002)


@pytest.mark.parametrize("of", ["candidate", "champion", "baseline"])
def test_f051_a_nan_in_anybodys_scores_is_no_evidence(of):
    result = judged(no_worse_by(0.5), with_nan(evidence(), of=of))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert f"of the {of}'s scores, 40 of 4,000 scores are missing or infinite" in result.reason


def test_f052_the_first_candidate_is_judged_on_its_baseline_and_the_record_says_so():
    result = judged(no_worse_by(0.01), evidence(champion=None), has_champion=False)
    assert result.verdict is Verdict.PASS
    record = criterion(result, "first_deployment")
    assert (record.verdict, record.allowed) == (Verdict.PASS, "baseline_only")
    assert "no champion to compare with" in record.reason
    assert record.reason.endswith("so the bounds and the naive baseline decide.")


def test_f052_a_model_may_ask_a_person_about_its_first_candidate():
    rules = no_worse_by(0.01, first_deployment=FirstDeployment.ASK)
    result = judged(rules, evidence(champion=None), has_champion=False)
    assert (result.verdict, criterion(result, "first_deployment").allowed) == (Verdict.INCONCLUSIVE, "ask")
    assert criterion(result, "first_deployment").reason.endswith("so a person decides.")


def test_f053_a_champion_that_gave_no_scores_is_never_taken_for_a_first_deployment():
    result = judged(no_worse_by(0.01), evidence(champion=None), has_champion=True)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "there are no scores of the champion" in result.reason


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        pytest.param(evidence(candidate=-0.1), Verdict.FAIL, id="a little worse than the prior"),
        pytest.param(evidence(candidate=-0.5), Verdict.FAIL, id="inverted"),
        pytest.param(evidence(baseline=None), Verdict.INCONCLUSIVE, id="no baseline"),
        pytest.param(evidence(), Verdict.PASS, id="better"),
        pytest.param(evidence(600, candidate=0.1), Verdict.INCONCLUSIVE, id="better by less than the noise"),
    ],
)
def test_a_naive_baseline_must_be_beaten_beyond_doubt(on, expected):
    line = criterion(judged(no_worse_by(0.5), on), "baseline roc_auc")
    assert line.verdict is expected


def test_a_candidate_that_is_not_even_measured_better_fails_though_it_may_be_better_by_chance():
    on = evidence(2000, candidate=0.98)
    line = criterion(judged(no_worse_by(0.5), replace_part(on, "baseline", on.champion)), "baseline roc_auc")
    assert line.low < 0 < line.baseline - line.measured < line.high
    assert (line.verdict, line.bound, line.margin) == (Verdict.FAIL, 0, 0)


def noisy_days(*, candidate, champion, baseline, seed=3):
    """A regression on 10 days of 30 rows: each model's mean error, around which days scatter."""
    rng = np.random.default_rng(seed)
    days = np.repeat(np.arange(10), 30)
    hard = rng.normal(size=10)[days]
    wrong = {
        name: mean + spread * hard + rng.normal(scale=0.1, size=300)
        for name, (mean, spread) in {"candidate": candidate, "champion": champion, "baseline": baseline}.items()
    }
    return Evidence(Task.REGRESSION, np.zeros(300), wrong["candidate"], wrong["champion"], wrong["baseline"], days)


ON_DAYS = ChampionRules((ComparisonRule("mae", 0.05),), beat_baseline_on="mae", min_rows=100)


@pytest.mark.parametrize(
    ("champion", "baseline", "expected"),
    [
        pytest.param((9.0, 0.0), (5.3, 1.0), Verdict.PASS, id="better than the champion, measured better than naive"),
        pytest.param((9.0, 0.0), (4.7, 1.0), Verdict.FAIL, id="better than the champion, measured worse than naive"),
        pytest.param((5.0, 0.0), (5.3, 1.0), Verdict.INCONCLUSIVE, id="as good as the champion"),
    ],
)
def test_what_is_shown_to_be_better_than_the_champion_need_only_be_measured_better_than_the_baseline(
    champion, baseline, expected
):
    result = judged(ON_DAYS, noisy_days(candidate=(5.0, 0.0), champion=champion, baseline=baseline))
    line = criterion(result, "baseline mae")
    assert line.low < 0 < line.high, "these days cannot tell whether the baseline is beaten"
    assert line.verdict is expected


def test_a_candidate_that_is_the_baseline_is_never_measured_better_than_it():
    on = noisy_days(candidate=(5.0, 0.0), champion=(9.0, 0.0), baseline=(5.0, 0.0))
    same = Evidence(on.task, on.y, on.candidate, on.champion, on.candidate, on.days)
    assert criterion(judged(ON_DAYS, same), "baseline mae").verdict is Verdict.FAIL


def test_a_first_deployment_must_beat_the_baseline_beyond_doubt():
    on = noisy_days(candidate=(5.0, 0.0), champion=(9.0, 0.0), baseline=(5.3, 1.0))
    assert criterion(judged(ON_DAYS, on, has_champion=False), "baseline mae").verdict is Verdict.INCONCLUSIVE


def test_the_baseline_is_beaten_on_as_many_rows_as_are_declared():
    assert criterion(judged(no_worse_by(0.9), evidence(500)), "baseline roc_auc").verdict is Verdict.PASS
    assert criterion(judged(no_worse_by(0.9), evidence(499)), "baseline roc_auc").verdict is Verdict.INCONCLUSIVE


def test_the_values_of_a_business_metric_are_cut_with_their_rows_and_stand_for_the_scores():
    worth = of_values("worth", "higher")
    on = evidence(6).with_values({"worth": RowValues(np.arange(6.0), np.arange(6.0) * 2)})
    seen = on.where(on.y == on.y[0]).seen_by(worth)
    assert seen.task is Task.REGRESSION
    assert seen.candidate.tolist() == np.arange(6.0)[on.y == on.y[0]].tolist()
    assert seen.champion.tolist() == (2 * seen.candidate).tolist()
    assert seen.baseline is None


def test_where_nobody_worked_the_values_out_there_are_none_and_that_is_no_evidence():
    on = evidence(1000)
    assert np.isnan(on.seen_by(of_values("worth", "higher")).candidate).all()
    assert on.seen_by("roc_auc") is on


def test_a_constant_candidate_is_no_better_than_the_prior():
    constant = replace_part(evidence(), "candidate", np.full(4000, 0.3))
    result = judged(no_worse_by(0.9), constant)
    assert result.verdict is Verdict.FAIL
    assert "no better than a model that ignores its inputs" in result.reason


def test_a_candidate_fitted_to_a_passing_event_is_stopped_by_the_window_before_it():
    now, before = evidence(candidate=1.4), evidence(candidate=0.4, seed=9)
    assert judged(no_worse_by(0.01), now).verdict is Verdict.PASS
    result = judged(no_worse_by(0.01), now, earlier=EarlierWindow(before))
    assert criterion(result, "roc_auc").verdict is Verdict.PASS
    assert criterion(result, "replay roc_auc").verdict is Verdict.FAIL
    assert result.verdict is Verdict.FAIL


def test_before_the_drift_a_superior_candidate_need_only_be_no_worse():
    now, before = evidence(candidate=1.5), evidence(candidate=1.0, seed=9)
    assert judged(better_by(0.01), now, earlier=EarlierWindow(before)).verdict is Verdict.PASS


def test_too_few_rows_before_the_drift_are_no_evidence():
    result = judged(
        no_worse_by(0.01), evidence(candidate=1.4), earlier=EarlierWindow(evidence(candidate=1.4, rows=100, seed=9))
    )
    assert criterion(result, "roc_auc").verdict is Verdict.PASS
    assert criterion(result, "replay roc_auc").verdict is Verdict.INCONCLUSIVE


def test_each_candidate_judged_on_the_same_replay_window_spends_alpha():
    now, before = evidence(candidate=1.4), evidence(candidate=1.2, seed=9)
    result = judged(no_worse_by(0.01), now, earlier=EarlierWindow(before, attempts=5))
    assert result.notes["comparisons"]["roc_auc"]["alpha"] == 0.05
    assert result.notes["comparisons"]["replay roc_auc"]["alpha"] == 0.01


def test_a_declared_replay_window_that_could_not_be_scored_is_no_evidence():
    result = judged(
        no_worse_by(0.01), evidence(candidate=1.4), earlier=EarlierWindow(missing="there is no labelled row that old")
    )
    assert result.verdict is Verdict.INCONCLUSIVE
    assert criterion(result, "replay window").reason == (
        "The window before the drift was not compared: there is no labelled row that old; that is no evidence."
    )


def test_a_window_that_was_not_scored_has_no_rows():
    result = judged(no_worse_by(0.01), evidence(candidate=1.4), earlier=EarlierWindow(missing="it is gone"))
    assert criterion(result, "replay window").rows == 0


def test_the_same_model_wired_twice_is_compared_with_nothing():
    result = judged(no_worse_by(0.5), evidence(champion="twin"))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "same score on all 4,000 rows" in result.reason


def test_a_recalibrated_candidate_with_the_same_ranking_is_no_worse_in_ranking():
    on = evidence(champion="twin")
    assert judged(no_worse_by(0.001), replace_part(on, "candidate", on.candidate**2)).verdict is Verdict.PASS


def test_too_few_rows_are_inconclusive():
    result = judged(no_worse_by(0.5, min_rows=5000), evidence())
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason == "roc_auc was compared on 4,000 rows; at least 5,000 are needed."


def test_where_no_number_is_declared_five_hundred_rows_are_enough_and_no_fewer():
    assert criterion(judged(no_worse_by(0.9), evidence(500)), "roc_auc").verdict is Verdict.PASS
    assert criterion(judged(no_worse_by(0.9), evidence(499)), "roc_auc").verdict is Verdict.INCONCLUSIVE


def test_where_nobody_counted_the_candidates_of_a_window_this_one_is_the_first_and_nothing_is_drawn_again():
    notes = judged(no_worse_by(0.5), evidence(), earlier=EarlierWindow(evidence(seed=9))).notes
    assert (notes["attempts"], notes["replay"]) == (1, {"attempts": 1, "rows": 4000})
    assert all("bootstrap_high" not in note for note in notes["comparisons"].values())


def test_without_a_declared_comparison_nothing_passes():
    assert judged(ChampionRules((), "roc_auc"), evidence()).verdict is Verdict.INCONCLUSIVE


def test_a_holdout_that_judged_others_before_asks_for_more():
    on = evidence()
    margin = criterion(judged(no_worse_by(0.5), on), "roc_auc").high
    assert judged(no_worse_by(margin), on).verdict is Verdict.PASS
    again = judged(no_worse_by(margin), on, attempts=Attempts(3))
    assert again.verdict is Verdict.INCONCLUSIVE
    assert "each bound at 99.79 %" in again.reason
    assert "attempt 3 on days that overlap" in again.reason
    budget = again.notes["budget"]
    assert (budget["alpha"], budget["spent"], budget["left"]) == pytest.approx((0.05 / 24, 0.05 * 7 / 6, 0.05 / 12))


def test_a_retry_says_what_it_costs_only_where_that_decides():
    on, retry = evidence(), {"attempts": Attempts(3)}
    says = "attempt 3 on days that overlap"
    assert says in criterion(judged(no_worse_by(0.001), on, **retry), "roc_auc").reason
    assert says not in criterion(judged(no_worse_by(0.5), on, **retry), "roc_auc").reason, "passed all the same"
    no_champion = replace_part(on, "champion", None)
    assert says not in criterion(judged(no_worse_by(0.001), no_champion, **retry), "roc_auc").reason, "not compared"
    replayed = judged(no_worse_by(0.001), on, **retry, earlier=EarlierWindow(on))
    assert says not in criterion(replayed, "replay roc_auc").reason, (
        "the days before the drift have attempts of their own"
    )


def test_every_comparison_must_pass():
    both = ChampionRules((ComparisonRule("roc_auc", 0.01), ComparisonRule("brier", 0.005)), "roc_auc")
    on = evidence(candidate=1.2)
    overconfident = replace_part(on, "candidate", on.candidate**0.25)
    result = judged(both, overconfident)
    assert [c.verdict for c in result.criteria[:2]] == [Verdict.PASS, Verdict.FAIL]
    assert result.verdict is Verdict.FAIL


def test_the_bootstrap_is_reported_beside_the_bound_that_decides():
    note = judged(no_worse_by(0.02, resamples=500), evidence(days=14)).notes["comparisons"]["roc_auc"]
    assert note["difference"] < note["bootstrap_high"] < note["high"] * 1.5
    assert note["method"].startswith("jackknife over 14 days, EWC with ")


def test_a_gate_result_survives_its_journey_through_json():
    result = judged(no_worse_by(0.02, resamples=300), evidence(days=7))
    assert GateResult.from_json(result.as_json()) == result


@pytest.mark.parametrize("superiority", [False, True])
def test_a_margin_of_nothing_is_a_margin(superiority):
    rule = ComparisonRule("roc_auc", 0.0, superiority)
    assert (rule.margin, rule.limit) == (0.0, 0.0)
    assert ComparisonRule("roc_auc", 0.01).limit == 0.01
    assert ComparisonRule("roc_auc", 0.01, superiority=True).limit == -0.01


@pytest.mark.parametrize("margin", [-0.01, nan, inf])
def test_a_margin_that_is_no_tolerance_is_refused(margin):
    with pytest.raises(BadRule, match="a margin is at least 0"):
        ComparisonRule("roc_auc", margin)


def test_a_regression_is_compared_too():
    rng = np.random.default_rng(2)
    y = rng.normal(150, 60, 3000)
    on = Evidence(
        Task.REGRESSION,
        y,
        y + rng.normal(0, 12, 3000),
        y + rng.normal(0, 12, 3000),
        np.full(3000, y.mean()),
        np.arange(3000) % 14,
    )
    rules = ChampionRules((ComparisonRule("mae", 1.0), ComparisonRule("rmse", 1.0)), "mae")
    assert judged(rules, on).verdict is Verdict.PASS


# --- training_data_gate ----------------------------------------------------------------------------------------------

SOUND = TrainingDataSummary(
    rows=20_000, holdout_rows=5_000, distinct_labels=2, null_shares={"hour": 0.0, "wind_gust": 0.8}
)
RULES = TrainingDataRules(min_rows=1000, min_holdout_rows=500, max_null_share={"hour": 0.05})


def learnable(**changes):
    return training_data_gate(RULES, replace(SOUND, **changes))


def test_a_sound_training_set_passes():
    assert learnable().verdict is Verdict.PASS


def test_f031_a_single_class_fails_before_anything_is_fitted():
    result = learnable(distinct_labels=1, classes={"late": 20_000})
    assert result.verdict is Verdict.FAIL
    assert result.reason.startswith("Single class: all 20,000 training rows have the same label")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        pytest.param({"rows": 5}, "rows", id="five rows"),
        pytest.param(
            {"rows": 1000, "null_shares": {f"f{i}": 0.0 for i in range(1001)} | {"hour": 0}},
            "rows per feature",
            id="fewer rows than features",
        ),
        pytest.param({"holdout_rows": 499}, "holdout rows", id="too few to be judged on"),
    ],
)
def test_f032_too_few_rows_to_learn_from_fail(changes, name):
    result = learnable(**changes)
    assert criterion(result, name).verdict is Verdict.FAIL
    assert result.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"infinite": {"hour": 3, "wind_gust": 0}}, "Infinite values in hour (3)", id="infinity"),
        pytest.param({"null_shares": {"hour": 0.0, "wind_gust": 1.0}}, "No value at all in wind_gust", id="all null"),
        pytest.param(
            {"null_shares": {"hour": 0.0, "wind_gust": nan}}, "No value at all in wind_gust", id="share of nan"
        ),
        pytest.param({"null_shares": {"hour": 0.06}}, "missing share of hour 0.06 is outside", id="above its bound"),
        pytest.param({"missing_labels": 2}, "missing labels 2 is outside its bound <= 0", id="labels missing"),
        pytest.param({"duplicate_rows": 7}, "duplicate rows 7 is outside its bound <= 0", id="duplicates"),
        pytest.param({"distinct_labels": 0}, "There are no training labels", id="no labels"),
        pytest.param(
            {"judged_on_too": 12},
            "12 of 5,000 held-out rows were to be learned from, too.",
            id="f034 rows on both sides",
        ),
        pytest.param(
            {"ends_before_holdout": False}, "The newest training row is not older than", id="f034 days on both sides"
        ),
    ],
)
def test_data_that_must_not_be_learned_from_fails_and_names_the_cause(changes, reason):
    result = learnable(**changes)
    assert result.verdict is Verdict.FAIL
    assert result.reason.startswith(reason)


def test_a_bound_on_a_feature_nobody_measured_is_inconclusive():
    assert learnable(null_shares={"wind_gust": 0.8}).verdict is Verdict.INCONCLUSIVE


def test_a_constant_feature_warns_and_blocks_nothing():
    result = learnable(constant=("year",))
    assert result.verdict is Verdict.PASS
    assert result.notes["warnings"] == ["year has one value in all 20,000 rows: it teaches nothing."]


def test_an_empty_training_set_fails_and_is_not_merely_unknown():
    empty = TrainingDataSummary(0, 0, 0, null_shares={"hour": nan})
    result = training_data_gate(TrainingDataRules(min_rows=1), empty)
    assert {c.criterion for c in result.criteria if c.verdict is Verdict.FAIL} == {
        *("rows", "rows per feature", "holdout rows", "different labels", "empty features"),
    }
    assert {c.verdict for c in result.criteria} == {Verdict.FAIL, Verdict.PASS}


def test_one_row_of_each_label_for_each_feature_and_one_to_judge_on_are_enough_where_no_more_is_asked_for():
    least = TrainingDataSummary(2, 1, 2, null_shares={"hour": 0.0, "wind_gust": 0.0})
    assert training_data_gate(TrainingDataRules(min_rows=2), least).verdict is Verdict.PASS
    assert training_data_gate(TrainingDataRules(min_rows=2), replace(least, holdout_rows=0)).verdict is Verdict.FAIL


def test_a_row_is_enough_for_one_feature_or_none():
    for shares in ({"hour": 0.0}, {}):
        result = training_data_gate(TrainingDataRules(min_rows=1), TrainingDataSummary(1, 1, 2, null_shares=shares))
        assert criterion(result, "rows per feature").measured == 1


def test_what_nobody_counted_in_a_training_set_is_none():
    result = learnable()
    for name in ("missing labels", "duplicate rows", "training rows in the holdout", "infinite values"):
        line = criterion(result, name)
        assert (line.verdict, line.measured, line.bound) == (Verdict.PASS, 0, 0)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"judged_on_too": 1}, "training rows in the holdout"),
        ({"infinite": {"hour": 1}}, "infinite values"),
        ({"missing_labels": 1}, "missing labels"),
        ({"duplicate_rows": 1}, "duplicate rows"),
    ],
)
def test_a_single_bad_row_is_too_many(changes, name):
    assert criterion(learnable(**changes), name).verdict is Verdict.FAIL


def test_only_features_with_infinite_values_are_named():
    result = learnable(infinite={"wind_gust": 0, "hour": 3, "temp": 1})
    assert criterion(result, "infinite values").reason.startswith("Infinite values in hour (3), temp (1);")


def test_how_many_labels_there_are_is_said_with_the_classes_that_have_none():
    line = criterion(learnable(classes={"late": 9, "early": 11, "lost": 0}), "different labels")
    assert line.reason == (
        "The 20,000 training rows have 2 different labels. None is of class lost, which gets the probability 0."
    )
    assert (line.verdict, line.bound) == (Verdict.PASS, 2)


def test_a_row_of_weighted_evidence_is_worth_its_part_of_an_equal_one():
    assert evidence(5).worth == 1.0
    # Kish: (1 + 1 + 2) ** 2 / (1 + 1 + 4) = 8 / 3 of three rows.
    assert evidence(3).weighted(np.array([1.0, 1.0, 2.0])).worth == pytest.approx(8 / 9)
    assert evidence(0).weighted(np.zeros(0)).worth == 1.0


def test_a_slice_keeps_the_baseline_of_its_rows():
    on = replace_part(evidence(4), "baseline", np.array([0.1, 0.2, 0.3, 0.4]))
    part = on.where(np.array([False, True, False, True]))
    assert part.baseline.tolist() == [0.2, 0.4]
    assert replace_part(on, "baseline", None).where(np.ones(4, dtype=bool)).baseline is None
