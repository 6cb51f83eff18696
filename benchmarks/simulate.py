"""``slipway simulate`` on 45,000 rows x 7 features, daily decisions, histogram gradient boosting, all yardsticks.

The limit is its own fits and predicts alone: each is recorded, and asked of scikit-learn again in the same process.
The predicts of permutation importance are not among them; they count as Slipway's own time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from benchmarks._common import own_peak_mb, report
from include.adapters import estimators
from include.workflows.simulation.run import range_of, simulate
from include.workflows.simulation.settings import TableModel, declared_for, variants
from include.workflows.simulation.stream import Columns, from_frame
from include.workflows.simulation.yardsticks import Yardsticks

ROWS, FEATURES, ROWS_A_DAY = 45_000, 7, 48
ESTIMATOR = "sklearn.ensemble.HistGradientBoostingClassifier"


def a_stream() -> pd.DataFrame:
    """Half-hourly rows of two and a half years, whose concept turns slowly and once at a stroke."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((ROWS, FEATURES))
    at = np.arange(ROWS) / ROWS
    turned = np.where(at < 0.6, 1.0, -0.5)
    slope = 1.4 * turned * x[:, 0] + np.cos(4 * at) * x[:, 1] + 0.6 * x[:, 2] * x[:, 3]
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(FEATURES)])
    frame["t"] = pd.Timestamp("2021-01-01") + pd.to_timedelta(np.arange(ROWS) * 86_400 // ROWS_A_DAY, unit="s")
    frame["y"] = (rng.random(ROWS) < 1 / (1 + np.exp(-slope))).astype(int)
    return frame


class Recorder:
    """Wraps ``estimators.fit`` and ``estimators.predict``, and can repeat their calls of the library."""

    def __init__(self) -> None:
        self.again: list[tuple[int, Callable[[], Any]]] = []
        """Each call's rows, and the call."""
        self.fits = self.predicts = 0
        self._fit, self._predict = estimators.fit, estimators.predict

    def fit(self, pipeline: Any, features: pd.DataFrame, label: Any, weights: Any = None) -> Any:
        unfitted = clone(pipeline)
        self.fits += 1
        self.again.append((estimators.SMALL, lambda: self._fit(unfitted, features, label, weights)))
        return self._fit(pipeline, features, label, weights)

    def predict(self, pipeline: Any, features: pd.DataFrame, *, classes: int | None) -> Any:
        self.predicts += 1
        self.again.append((len(features), lambda: pipeline.predict_proba(features)))
        return self._predict(pipeline, features, classes=classes)

    def alone(self) -> tuple[float, float]:
        """Seconds by the clock and of CPU of every recorded call; threads as Slipway has them, set once for all."""
        clock, cpu = time.perf_counter(), time.process_time()
        for small in (True, False):
            with threadpool_limits(limits=1, user_api="openmp") if small else nullcontext():
                for rows, call in self.again:
                    if (rows < estimators.SMALL) is small:
                        call()
        return time.perf_counter() - clock, time.process_time() - cpu


def main() -> None:
    frame = a_stream()
    kinds = {f"x{i}": "numeric" for i in range(FEATURES)}
    recorder = Recorder()
    estimators.fit, estimators.predict = recorder.fit, recorder.predict
    clock, cpu = time.perf_counter(), time.process_time()
    past = from_frame(frame, Columns("t", "y"), kinds, classifier=True)
    model = declared_for(TableModel(ESTIMATOR, {}, "y", timedelta(days=7)), past.stream)
    stream = past.delayed(model.label.delay)
    interval = range_of(stream, model, None, None)
    found = simulate("stream", variants(model, [], None), lambda _: stream, interval, yardsticks=Yardsticks(price=5.0))
    took, used = time.perf_counter() - clock, time.process_time() - cpu
    limit, limit_cpu = recorder.alone()
    decided = found.policies[0]
    print(
        f"{len(interval.days)} days, {recorder.fits} fits, {recorder.predicts} predicts; declared: "
        f"{decided.retrains} retrains, {decided.promotions} promoted, {dict(decided.actions)}",
        file=sys.stderr,
    )
    report(
        "simulate",
        took,
        "s",
        limit,
        own_peak_mb(),
        cpu_s=round(used, 2),
        limit_cpu_s=round(limit_cpu, 2),
        cpu_ratio=round(used / limit_cpu, 3),
        days=len(interval.days),
        fits=recorder.fits,
        cores=os.cpu_count(),
    )


if __name__ == "__main__":
    main()
