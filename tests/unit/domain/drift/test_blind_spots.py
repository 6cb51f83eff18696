"""What the drift test cannot see into is not judged, and infinite values are seen as what they are."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domain.data_incident import after_findings
from include.domain.decision import decide
from include.domain.drift.blind_spots import Doubts
from include.domain.drift.distances import compare
from include.domain.drift.input_drift import NO_DOUBTS, DriftRules, DriftVerdict, input_drift
from include.domain.drift.prediction_drift import prediction_drift
from include.domain.drift.profile import FeatureKind, Profile, count_window, merged_feature, without
from include.domain.drift.reference import build_profile, profile_scores
from include.domain.drift.report import DriftMeasurements, DriftReport, Flags, ScoredDay, drift_report
from include.domain.intervals import Interval
from include.domain.losses import DayLoss
from include.domain.performance import realised_performance
from include.domain.risk_bounds import Band
from include.domain.situation import Situation

DAY = "2013-06-15"


def profiles(past, now, kinds):
    reference = build_profile(pd.DataFrame(past), kinds)
    return reference, count_window(reference, pd.DataFrame(now))


def judged(past, now, kinds, *, importances=None, doubts=NO_DOUBTS, **rules):
    return input_drift(*profiles(past, now, kinds), DriftRules(**rules), importances=importances, doubts=doubts)


def one(past, now, kind, **options):
    return judged({"x": past}, {"x": now}, {"x": kind}, **options).features[0]


def of(rng, count, rows):
    return [f"v{i}" for i in rng.integers(0, count, rows)]


# --- rare values ------------------------------------------------------------------------------------------------------


def test_a_column_of_5_000_values_in_each_window_is_not_judged_and_says_why():
    rng = np.random.default_rng(1)
    found = one(of(rng, 5000, 40_000), of(rng, 5000, 20_000), FeatureKind.CATEGORICAL)
    assert found.drifted is None
    assert found.reason == (
        "x was not judged: it has 2,000 or more different values, and 100% of the rows one that is too rare to compare."
    )


def rare_in(share, rows=10_000):
    """One common value, and in this share of the rows values that are too rare to be compared one by one."""
    rare = int(share * rows)
    return ["a"] * (rows - rare) + [f"v{i % (rare // 2)}" for i in range(rare)]


@pytest.mark.parametrize(
    ("share", "mixed", "drifted"),
    [
        pytest.param(0.5, False, False, id="half of the rows is the bound"),
        pytest.param(0.51, False, None, id="more than half"),
        pytest.param(0.3, False, False, id="fewer"),
        pytest.param(0.3, True, None, id="of numbers and texts more than a tenth"),
        pytest.param(0.05, True, False, id="of numbers and texts fewer"),
    ],
)
def test_a_feature_is_not_judged_where_too_many_rows_are_pooled(share, mixed, drifted):
    doubts = Doubts(mixed=frozenset({"x"} if mixed else ()))
    found = one(rare_in(share), rare_in(share), FeatureKind.CATEGORICAL, doubts=doubts)
    assert found.drifted is drifted


def test_drift_that_shows_among_rare_values_stays_found():
    rng = np.random.default_rng(2)
    assert one(of(rng, 1500, 40_000), [f"w{i}" for i in range(5000)], FeatureKind.CATEGORICAL).drifted is True


@settings(max_examples=60, deadline=None)
@given(
    rare=st.floats(0, 1),
    values=st.integers(1, 3000),
    rows=st.integers(400, 4000),
    seed=st.integers(0, 2**31),
)
def test_a_feature_is_quiet_only_if_at_least_half_of_its_rows_were_compared_one_by_one(rare, values, rows, seed):
    rng = np.random.default_rng(seed)

    def column(n):
        return np.where(rng.random(n) < rare, rng.integers(0, values, n).astype(str), rng.choice(["a", "b", "c"], n))

    past, now = column(2 * rows), column(rows)
    if one(past, now, FeatureKind.CATEGORICAL).drifted is False:
        shares = pd.Series([*past, *now]).value_counts(normalize=True)
        assert shares[shares >= 0.01].sum() >= 0.5


def test_texts_that_differ_after_their_200th_character_are_different_values():
    past = ["x" * 250 + str(i % 2) for i in range(2000)]
    assert one(past, ["x" * 250 + "0"] * 1000, FeatureKind.CATEGORICAL).drifted is True
    assert one(past, past[:1000], FeatureKind.CATEGORICAL).drifted is False


def test_a_class_among_hundreds_is_not_called_quiet():
    rng, names = np.random.default_rng(3), [f"c{i}" for i in range(150)]
    past, now = (rng.dirichlet(np.ones(150), n) for n in (6000, 3000))
    reference = Profile(6000, (), profile_scores(past, classes=names))
    found = prediction_drift(reference, count_window(reference, pd.DataFrame(index=range(3000)), now))
    assert found.drifted is None
    assert found.reason.startswith("Predictions were not judged as a whole: predicted_class was not judged")


@pytest.mark.parametrize(("values", "rows"), [(3000, 8000), (3000, 40_000), (20_000, 8000), (2500, 100_000)])
def test_values_that_a_cut_reference_does_not_name_are_not_called_new(values, rows):
    rng = np.random.default_rng(values)
    found = one(of(rng, values, rows), of(rng, values, 4000), FeatureKind.CATEGORICAL)
    assert found.unseen_share < 0.02
    assert found.new_categories == ()


def test_values_that_a_cut_reference_cannot_hold_are_called_new():
    rng = np.random.default_rng(12)
    assert one(of(rng, 2500, 100_000), [f"new{i}" for i in range(4000)], FeatureKind.CATEGORICAL).unseen_share > 0.7


# --- the whole --------------------------------------------------------------------------------------------------------


def half_blind(rng, moved=0.0):
    past = {"wind": rng.normal(size=8000), "tail": of(rng, 3000, 8000)}
    now = {"wind": rng.normal(moved, size=4000), "tail": of(rng, 3000, 4000)}
    return past, now, {"wind": FeatureKind.NUMERIC, "tail": FeatureKind.CATEGORICAL}


@pytest.mark.parametrize(
    ("weight", "moved", "drifted"),
    [
        pytest.param(0.1, 0.0, False, id="too light to make a difference"),
        pytest.param(0.3, 0.0, None, id="heavy enough to be the drift"),
        pytest.param(0.3, 1.0, True, id="what was judged drifted enough"),
        pytest.param(0.9, 1.0, True, id="and of what was judged all did"),
    ],
)
def test_the_whole_is_unknown_where_what_was_not_judged_could_decide_it(weight, moved, drifted):
    weights = {"wind": 1 - weight, "tail": weight}
    found = judged(*half_blind(np.random.default_rng(4), moved), importances=weights)
    assert found.drifted is drifted
    assert found.reason.endswith("; 1 was not judged (tail).")


def test_a_whole_of_nothing_but_rare_values_was_not_judged():
    rng = np.random.default_rng(5)
    found = one(of(rng, 3000, 8000), of(rng, 3000, 4000), FeatureKind.CATEGORICAL)
    whole = judged({"x": of(rng, 3000, 8000)}, {"x": of(rng, 3000, 4000)}, {"x": FeatureKind.CATEGORICAL})
    assert (found.drifted, whole.drifted, whole.share) == (None, None, 0.0)
    assert whole.reason == "Inputs were not judged: none of 1 features could be (x)."


def test_a_doubt_of_the_caller_takes_quiet_away_and_never_drift():
    rng = np.random.default_rng(6)
    doubts = Doubts(why={"x": "is text in the reference"})
    still, moved = rng.normal(size=4000), rng.normal(1, size=4000)
    quiet = one(rng.normal(size=8000), still, FeatureKind.NUMERIC, doubts=doubts)
    assert (quiet.drifted, quiet.reason) == (None, "x was not judged: it is text in the reference.")
    assert one(rng.normal(size=8000), moved, FeatureKind.NUMERIC, doubts=doubts).drifted is True


def report_of(past, now, kinds, **options):
    reference, current = profiles(past, now, kinds)
    losses = [DayLoss(f"2013-05-{d:02d}", 900, 126.0, 40.0) for d in range(1, 21)]
    realised = realised_performance(losses[:14], losses[14:], band=Band(metric="brier", tolerance=0.01))
    scores = np.random.default_rng(0).random(4000)
    answers = Profile(4000, (), profile_scores(scores))
    answered = prediction_drift(answers, count_window(answers, pd.DataFrame(index=range(4000)), scores))
    inputs = input_drift(reference, current, **options)
    measured = DriftMeasurements(inputs, answered, realised)
    return drift_report(ScoredDay("delay", "delay-1", DAY), reference, current, measured)


def decided(report):
    now = Interval.of_day(DAY).end
    situation = Situation(now=now, flags=(report.flags,), unjudged=report.unjudged, broken=report.broken)
    scored = ScoredDay(report.model, report.version, report.day)
    return decide(replace(situation, data=after_findings(None, scored, report.broken, situation.watch("broken"))))


def test_the_report_and_the_decision_name_what_was_not_judged():
    report = report_of(*half_blind(np.random.default_rng(7)), importances={"wind": 0.9, "tail": 0.1})
    assert report.sentences[-1].startswith("tail was not judged: it has 2,000 or more different values")
    made = decided(report)
    assert made.reason.startswith("Nothing to do: no change seen (not judged: tail), and ")
    assert made.numbers["unjudged"] == ["tail"]
    unknown = decided(report_of(*half_blind(np.random.default_rng(7)), importances={"wind": 0.5, "tail": 0.5}))
    assert "no change seen (not judged: inputs and tail)" in unknown.reason


def test_a_day_of_too_few_rows_is_not_called_a_day_without_drift():
    made = decide(Situation(now=Interval.of_day(DAY).end, flags=(Flags(DAY, None, None, None, None),)))
    assert made.reason.startswith("Not judged: neither inputs nor predictions nor performance.")
    quiet = decide(Situation(now=Interval.of_day(DAY).end, flags=(Flags(DAY, False, False, False, False),)))
    assert quiet.reason.startswith("Nothing to do: no change, and ")


# --- infinite values --------------------------------------------------------------------------------------------------

SIGNS = [pytest.param(np.inf, id="+inf"), pytest.param(-np.inf, id="-inf")]


def with_share(rng, share, odd, rows):
    return np.where(rng.random(rows) < share, odd, rng.normal(size=rows))


@pytest.mark.parametrize("sign", SIGNS)
def test_a_share_of_infinite_values_that_moved_is_drift(sign):
    rng = np.random.default_rng(8)
    found = one(with_share(rng, 0.05, sign, 8000), with_share(rng, 0.15, sign, 4000), FeatureKind.NUMERIC)
    assert found.drifted is True
    assert (found.reference_infinite_share, found.infinite_share) == (
        pytest.approx(0.05, abs=0.01),
        pytest.approx(0.15, abs=0.02),
    )
    same = one(with_share(rng, 0.05, sign, 8000), with_share(rng, 0.05, sign, 4000), FeatureKind.NUMERIC)
    assert (same.drifted, same.outside_share) == (False, pytest.approx(0, abs=0.01))


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("other", [1e9, -1e9, "the other sign"])
def test_infinite_values_that_become_large_or_change_their_sign_are_drift(sign, other):
    rng = np.random.default_rng(9)
    now = with_share(rng, 0.1, -sign if isinstance(other, str) else other, 4000)
    assert one(with_share(rng, 0.1, sign, 8000), now, FeatureKind.NUMERIC).drifted is True


@pytest.mark.parametrize("sign", SIGNS)
def test_a_jump_of_infinite_values_is_broken_data_as_a_jump_of_missing_ones_is(sign):
    rng = np.random.default_rng(10)
    report = report_of(
        {"x": with_share(rng, 0.1, sign, 8000)}, {"x": with_share(rng, 0.5, sign, 4000)}, {"x": FeatureKind.NUMERIC}
    )
    (finding,) = report.broken
    assert (finding.check, finding.measured) == ("infinite", pytest.approx(0.4, abs=0.03))
    assert "x is infinite in 5" in finding.reason
    assert decided(report).name == "data_broke"
    usual = report_of(
        {"x": with_share(rng, 0.5, sign, 8000)}, {"x": with_share(rng, 0.5, sign, 4000)}, {"x": FeatureKind.NUMERIC}
    )
    assert (usual.broken, usual.outside) == ((), ())


@settings(deadline=None)
@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, 7.5, 1e300, -1e300, np.inf, -np.inf, np.nan]), max_size=60))
def test_every_row_is_in_one_bin_and_days_of_infinite_values_add_up(values):
    reference = build_profile(pd.DataFrame({"x": [1.0, 2.0, np.inf, 3.0]}), {"x": FeatureKind.NUMERIC})
    whole = count_window(reference, pd.DataFrame({"x": np.array(values, dtype=float)})).features[0]
    cut = len(values) // 3
    first, second = (
        count_window(reference, pd.DataFrame({"x": np.array(part, dtype=float)})).features[0]
        for part in (values[:cut], values[cut:])
    )
    assert whole.rows == len(values)
    assert whole.infinite == (values.count(-np.inf), values.count(np.inf))
    assert merged_feature(first, second) == whole
    assert without(whole, first) == second


def test_a_reference_from_before_infinite_values_were_counted_apart_is_read_as_if_they_had_been():
    now = build_profile(pd.DataFrame({"x": [1.0, 2.0, 3.0, np.inf, np.inf, -np.inf]}), {"x": FeatureKind.NUMERIC})
    then = json.loads(json.dumps(now.as_json()))
    (feature,) = then["features"]
    low, high = feature.pop("infinite")
    feature["counts"][0] += low
    feature["counts"][-1] += high
    assert Profile.from_json(then) == now == Profile.from_json(now.as_json())


def test_a_report_from_before_infinite_values_were_counted_is_still_read():
    report = report_of(*half_blind(np.random.default_rng(11)))
    kept = report.as_json()
    for feature in kept["inputs"]["features"]:
        del feature["infinite_share"], feature["reference_infinite_share"]
    assert DriftReport.from_json(kept) == report
    assert isinstance(DriftVerdict.from_json(kept["inputs"]), DriftVerdict)


# --- what does not change ---------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), min_size=1, max_size=30))
def test_bins_without_a_row_change_nothing_that_is_measured(rows):
    past, now = (np.array(side, dtype=np.float64) for side in zip(*rows, strict=True))
    assert compare(np.append(past, [0.0, 0.0]), np.append(now, [0.0, 0.0])) == compare(past, now)
