"""A series of candidates that alarms asked for, each a little worse than the last, does not creep beyond the margin.

Each must gain on the champion at ``gain_alpha``, and is then stopped by the anchor only where it is shown to be worse.
"""

import numpy as np
import pytest
from scipy import stats

from include.domain.day_means import DaySpread
from include.domain.gates import ChampionRules

SERIES, MARGIN, STEP, JOURNEYS = 500, 1.0, 0.4, 26
GAIN_ALPHA = ChampionRules((), "mae").gain_alpha


def bounds(mean: float, z: np.ndarray, alpha: float) -> tuple[float, float]:
    """Of a difference with this mean, where days differ by 1.2 margins: the gate's lower and upper bound."""
    seen = mean + 1.2 * z
    spread, at = DaySpread.of(seen - seen.mean()), float(seen.mean())
    if spread.why_too_few is not None:
        return -np.inf, np.inf
    return at - spread.half(alpha, upper=False), at + spread.half(alpha, upper=True)


def fortnight(rng: np.random.Generator, lag: float) -> np.ndarray:
    z = rng.standard_normal(14)
    for i in range(1, 14):
        z[i] = lag * z[i - 1] + np.sqrt(1 - lag * lag) * z[i]
    return z


def last_level(rng: np.random.Generator, lag: float) -> float:
    """How many margins worse than the first champion the last of a series is."""
    level = anchor = 0.0
    tried: int | None = None
    for _ in range(JOURNEYS):
        z, other = fortnight(rng, lag), fortnight(rng, lag)
        within, gain = bounds(STEP, z, 0.05)[1] <= MARGIN, bounds(STEP, z, GAIN_ALPHA)[1] < 0
        passes, moves = within and gain, bounds(STEP, z, 0.05)[1] < 0
        if tried is not None:
            tried += 1
            mean = level + STEP - anchor
            low, high = bounds(mean, 0.5 * z + np.sqrt(0.75) * other, 0.05 / tried)
            passes, moves = passes and low <= MARGIN, high < 0
        if passes:
            level += STEP
            anchor, tried = (level, None) if moves else (anchor, tried or 0)
    return level


@pytest.mark.slow
@pytest.mark.parametrize(("lag", "promised"), [(0.2, 0.05), (0.5, 0.1)])
def test_the_last_of_twenty_six_is_beyond_the_margin_of_the_first_no_more_often_than_promised(lag, promised):
    rng = np.random.default_rng([65, int(10 * lag)])
    beyond = sum(last_level(rng, lag) > MARGIN for _ in range(SERIES))
    assert beyond <= stats.binom.ppf(0.995, SERIES, promised) < stats.binom.ppf(0.05, SERIES, 2 * promised)
