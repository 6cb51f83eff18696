"""Comparing served features with recomputed ones: each kind of difference, and the causes that are named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.domain.consistency import ConsistencyReport, compare, merged

RNG = np.random.default_rng(4)
IDS = [f"r{k:03d}" for k in range(200)]
FEATURES = {"level": "station_level", "station": "trip_plan", "open": "trip_plan"}


def store() -> pd.DataFrame:
    """What the offline store gives: a number with gaps, a category with gaps, a boolean."""
    level = RNG.normal(50, 20, len(IDS))
    level[::17] = np.nan
    station = pd.Series(["north", "south", None, "süd"] * 50, dtype=object)
    return pd.DataFrame({"level": level, "station": station.to_numpy(), "open": [True, False] * 100}, index=IDS)


def only(served: pd.DataFrame, again: pd.DataFrame, name: str, **others: pd.DataFrame):
    found = {f.feature: f for f in compare(served, again, FEATURES, others)}
    return found[name]


def test_the_same_values_match_missing_ones_too_whatever_the_order_of_the_rows():
    again = store()
    for f in compare(again.sample(frac=1, random_state=1), again, FEATURES):
        assert (f.rows, f.matches, f.differing, f.cause) == (200, 200, 0, None)


def test_each_kind_of_difference_is_counted_on_its_own_and_shown():
    again = store()
    served = again.copy()
    served.loc["r001", "level"] += 3.0
    served.loc["r002", "level"] = np.nan
    served.loc["r000", "level"] = 7.0
    served.loc["r003", "station"] = "north"
    served.loc["r005", "open"] = True
    level = only(served, again, "level")
    assert (level.mismatches, level.missing, level.extra, level.matches) == (1, 1, 1, 197)
    assert level.largest == pytest.approx(3.0)
    assert [(e.request_id, e.served is None, e.recomputed is None) for e in level.examples] == [
        ("r000", False, True),
        ("r001", False, False),
        ("r002", True, False),
    ]
    assert only(served, again, "station").examples[0].served == "north"
    assert only(served, again, "open").mismatches == 1
    assert "1 differ, 1 were not served, 1 should not have been, by up to 3" in level.sentence


@pytest.mark.parametrize("digits", [0, 1, 2, 4])
def test_a_different_rounding_is_named_with_its_digits(digits):
    again = store()
    served = again.assign(level=again["level"].round(digits))
    assert only(served, again, "level").cause == f"the served value is rounded to {digits} decimal places"


def test_a_number_held_in_32_bits_is_named():
    again = store()
    served = again.assign(level=again["level"].astype(np.float32).astype(float))
    assert only(served, again, "level").cause == "the served value was held in 32 bits"


def test_the_first_recomputation_that_explains_every_difference_is_the_cause():
    again, hour, day = store(), store(), store()
    served = hour.assign(station=again["station"], open=again["open"])
    others = {"of 24 h earlier": day, "of 1 h earlier": hour, "of another 1 h": hour}
    found = {f.feature: f for f in compare(served, again, FEATURES, others)}
    assert found["level"].cause == "of 1 h earlier"
    assert found["station"].cause is None


def test_a_cause_that_leaves_one_difference_unexplained_is_no_cause():
    again = store()
    served = again.assign(level=again["level"].round(1))
    served.loc["r001", "level"] = -1.0
    assert only(served, again, "level").cause is None


def test_days_are_merged_and_keep_a_cause_only_where_all_agree():
    again = store()
    rounded = only(again.assign(level=again["level"].round(1)), again, "level")
    same = only(again, again, "level")
    shifted = only(again.assign(level=again["level"] + 1), again, "level")
    both = merged([rounded, same])
    assert (both.rows, both.cause) == (400, rounded.cause)
    assert merged([rounded, shifted]).cause is None


def test_nothing_compared_is_not_consistent():
    nothing = ConsistencyReport("m", "2024-03-01", "2024-03-02", 0, 0, 0, 0, ())
    assert not nothing.is_consistent
