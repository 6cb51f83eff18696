"""The whole group of offline gates on a large holdout, beyond what the models themselves take to predict.

100,000 held-out rows, 15 features, 40 slices, two groups for fairness, 2,000 bootstrap resamples, and a replay window
of as many rows: every gate a journey runs after its training set is built, by the functions that the Dags call. The
fresh process of ``smoke_gate`` is started for real; ``latency_gate`` times single rows and batches, which is the
models' own predicting and counted as such.

``value`` is what the gates take beyond that. ``limit`` is the same statistics by the bare libraries in the same run:
the metrics, the single features' areas and the paired bootstrap over days, by scikit-learn and NumPy.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import brier_score_loss, roc_auc_score

from benchmarks._common import own_peak_mb, report
from include.adapters import estimators, model_files
from include.domain.gates import (
    Availability,
    Bound,
    ChampionRules,
    ComparisonRule,
    EarlierWindow,
    Evidence,
    FairnessRule,
    InputColumn,
    LatencyRules,
    LeakageRules,
    Measure,
    Signature,
    SignatureRules,
    SliceRules,
    SmokeEvidence,
    SmokeRules,
    champion_gate,
    latency_gate,
    leakage_gate,
    signature_gate,
    slice_gate,
    smoke_gate,
    split_of,
    threshold_gate,
)
from include.domain.metrics import Task
from include.domain.verdicts import Direction, GateResult, Mode
from include.workflows.evidence import smoke_process
from include.workflows.evidence.timings import Asked, time_in_turns

ROWS, FEATURES, DAYS, SLICES, RESAMPLES = 100_000, 15, 14, 40, 2000
CATEGORIES = 2
NAMES = [f"x{i}" for i in range(FEATURES)]
KINDS = {name: "categorical" if i < CATEGORIES else "numeric" for i, name in enumerate(NAMES)}
AT_MOST_S, AT_MOST_MB = 5.0, 1000.0


def rows(seed: int) -> tuple[pd.DataFrame, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Features, labels and days: 20 and 20 categories, thirteen numbers, days that differ."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.standard_normal(ROWS) for name in NAMES})
    for name in NAMES[:CATEGORIES]:
        frame[name] = np.array([f"c{i:02d}" for i in range(SLICES // CATEGORIES)], dtype=object)[
            rng.integers(0, SLICES // CATEGORIES, ROWS)
        ]
    day = np.sort(rng.integers(0, DAYS, ROWS))
    score = frame["x2"] + 0.5 * frame["x3"] + 0.3 * rng.standard_normal(DAYS)[day]
    y = (rng.random(ROWS) < 1 / (1 + np.exp(1 - score))).astype(np.int64)
    return frame, y, day


def fitted(seed: int, train: tuple[pd.DataFrame, np.ndarray[Any, Any], Any], iterations: int) -> Any:
    path = "sklearn.ensemble.HistGradientBoostingClassifier"
    spec = estimators.EstimatorSpec(path, {"max_iter": iterations}, "ordinal", False, KINDS, seed)
    return estimators.fit(estimators.build(spec), estimators.as_input(train[0], KINDS), train[1])


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    found = work()
    return found, time.perf_counter() - started


def bare(y: np.ndarray[Any, Any], scores: list[np.ndarray[Any, Any]], frame: pd.DataFrame, day: Any) -> None:
    """The same figures without a project: metrics, areas of single features, and a paired bootstrap of days."""
    for score in scores:
        roc_auc_score(y, score)
        brier_score_loss(y, score)
    for name in NAMES[CATEGORIES:]:
        roc_auc_score(y, frame[name])
    difference = (y - scores[0]) ** 2 - (y - scores[1]) ** 2
    codes = [pd.factorize(frame[name])[0] for name in NAMES[:CATEGORIES]]
    groups = [np.ones(ROWS, dtype=bool), *(c == i for c in codes for i in range(SLICES // CATEGORIES))]
    rng = np.random.default_rng(0)
    for chosen in groups:
        sums = np.bincount(day[chosen], difference[chosen], DAYS)
        sizes = np.bincount(day[chosen], minlength=DAYS)
        drawn = rng.multinomial(DAYS, np.full(DAYS, 1 / DAYS), RESAMPLES)
        np.quantile((drawn @ sums) / (drawn @ sizes), 0.95)


def main() -> None:
    train, held_out, earlier = rows(1), rows(2), rows(3)
    candidate, champion = fitted(1, train, 120), fitted(2, train, 100)
    pipelines = {"candidate": candidate, "champion": champion}
    features, y, day = estimators.as_input(held_out[0], KINDS), held_out[1], held_out[2]
    before = estimators.as_input(earlier[0], KINDS)

    def predict(frame: pd.DataFrame) -> list[np.ndarray[Any, Any]]:
        return [estimators.predict(p, frame, classes=2) for p in pipelines.values()]

    ours, predicting_s = timed(lambda: [*predict(features), np.full(ROWS, train[1].mean())])
    on_replay, replay_s = timed(lambda: predict(before))

    took: dict[str, float] = {}
    results: list[GateResult] = []

    def gate(name: str, work: Callable[[], GateResult]) -> None:
        result, took[name] = timed(work)
        results.append(result)

    started, cpu = time.perf_counter(), time.process_time()
    of_candidate, of_champion, naive = ours
    evidence = Evidence(Task.BINARY, y, of_candidate, of_champion, naive, day)
    old_candidate, old_champion = on_replay
    replay = Evidence(Task.BINARY, earlier[1], old_candidate, old_champion, days=earlier[2])
    keys = pd.DataFrame({"key": np.arange(ROWS), "event_time": pd.Timestamp("2024-01-01", tz="UTC")})
    later = keys.assign(event_time=pd.Timestamp("2024-02-01", tz="UTC"))
    gate("leakage_gate", lambda: _leakage(train, keys, later))
    bounds = [
        Bound("roc_auc", Direction.AT_LEAST, 0.6),
        Bound("brier", Direction.AT_MOST, 0.25),
        Bound("log_loss", Direction.AT_MOST, 0.7),
        Bound("ece", Direction.AT_MOST, 0.05),
    ]
    gate("threshold_gate", lambda: threshold_gate(bounds, evidence, mode=Mode.BLOCKING, min_rows=500))
    comparisons = tuple(ComparisonRule(name, 0.01) for name in ("brier", "log_loss", "roc_auc", "average_precision"))
    against = ChampionRules(comparisons, "brier", resamples=RESAMPLES)
    gate(
        "champion_gate",
        lambda: champion_gate(against, evidence, mode=Mode.BLOCKING, has_champion=True, earlier=EarlierWindow(replay)),
    )
    fairness = FairnessRule(NAMES[1], Measure.EQUALIZED_ODDS, 0.1, gap_at_most=0.9)
    sliced = SliceRules("brier", 0.02, 0.05, by=(NAMES[0],), protected=(NAMES[1],), fairness=(fairness,))
    columns = {name: held_out[0][name] for name in NAMES[:CATEGORIES]}
    gate("slice_gate", lambda: slice_gate(sliced, evidence, columns, mode=Mode.BLOCKING, has_champion=True))
    signature = Signature(tuple(InputColumn(n, "double") for n in NAMES), "double", ("no", "yes"))
    gate("signature_gate", lambda: signature_gate(SignatureRules(), signature, signature, mode=Mode.BLOCKING))
    cpu_before = time.process_time()
    asked = {who: Asked(pipeline, features) for who, pipeline in pipelines.items()}
    timings, timing_s = timed(lambda: time_in_turns(asked, 200, classes=2))
    cpu += time.process_time() - cpu_before
    gate(
        "latency_gate",
        lambda: latency_gate(
            LatencyRules(p50_ms_at_most=500, batch_ms_per_1k_at_most=5000, times_champion_at_most=20),
            timings["candidate"],
            timings["champion"],
            mode=Mode.BLOCKING,
            has_champion=True,
        ),
    )
    gate("smoke_gate", lambda: _smoke(candidate, features, ours[0]))
    gates_s, cpu_s = time.perf_counter() - started - timing_s, time.process_time() - cpu

    _, bare_s = timed(lambda: bare(y, ours[:2], held_out[0], day))
    verdicts = {result.gate: result.verdict.value for result in results}
    peak = own_peak_mb()
    report(
        "gates",
        gates_s,
        "s beyond the models' own predicting",
        bare_s,
        peak,
        predicting_s=round(predicting_s + replay_s, 3),
        timing_s=round(timing_s, 3),
        cpu_s=round(cpu_s, 3),
        smoke_process_cpu_s=round(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]), 3),
        seconds={name: round(s, 3) for name, s in took.items()},
        verdicts=verdicts,
        target_s=AT_MOST_S,
        met=gates_s <= AT_MOST_S and peak <= AT_MOST_MB,
    )


def _leakage(train: Any, keys: pd.DataFrame, later: pd.DataFrame) -> GateResult:
    frame, y, _ = train
    split = split_of(keys, later, ["key"])
    seen = Availability(ROWS, dict.fromkeys(NAMES, 0))
    features = {name: frame[name] for name in NAMES}
    return leakage_gate(LeakageRules(), Task.BINARY, y, features, seen, split)


def _smoke(pipeline: Any, features: pd.DataFrame, expected: np.ndarray[Any, Any]) -> GateResult:
    real = features.iloc[:200].reset_index(drop=True)
    probes = {
        "real rows": real,
        "missing values": real.assign(**dict.fromkeys(NAMES[CATEGORIES:], np.nan)),
        "unseen categories": real.assign(**dict.fromkeys(NAMES[:CATEGORIES], "never seen")),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.skops"
        model_files.untrusted_free(pipeline, file)
        said = smoke_process.ask(file, model_files.digest(file), probes, kinds=KINDS, classes=2, timeout_s=120)
    others = tuple(probe for name, probe in said.probes.items() if name != "real rows")
    seen = SmokeEvidence(Task.BINARY, said.load_error, said.probes.get("real rows"), expected[:200], others)
    return smoke_gate(SmokeRules(), seen, mode=Mode.BLOCKING)


if __name__ == "__main__":
    main()
