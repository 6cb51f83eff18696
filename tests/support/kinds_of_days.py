"""Days of the kinds that a bound over days must hold for."""

import numpy as np
from scipy import special

TIMES = 2000


def many_days(rng: np.random.Generator, count: int, lag: float, kind: str) -> np.ndarray:
    """``(TIMES, count)`` days with mean 0; of the kind "better" the long tail is on the side that is not bounded."""
    z = rng.standard_normal((TIMES, count))
    for i in range(1, count):
        z[:, i] = lag * z[:, i - 1] + np.sqrt(1 - lag * lag) * z[:, i]
    if kind in ("skewed", "better"):
        exponential = -np.log(special.ndtr(-z)) - 1
        return exponential if kind == "skewed" else -exponential
    if kind == "t3":
        return z / np.sqrt(rng.chisquare(3, z.shape))
    if kind == "weekly":
        return z + np.sin(2 * np.pi * (np.arange(count) + rng.integers(0, 7, (TIMES, 1))) / 7)
    return z
