"""Times of candidate and champion, asked in turns on one machine."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from include.adapters import estimators
from include.domain.gates import Timing
from include.workflows import stores
from include.workflows.evidence import champion_model, journey_rows
from include.workflows.evidence.logged import champion_of, logged_of
from include.workflows.journey.facts import Evaluated, Timings, TrainingSets
from include.workflows.journey.step import Journey
from include.workflows.scoring import fitted_models

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS, BATCHES, WARM_UP = 1000, 20, 5


def timings_of(journey: Journey, repeats: int) -> tuple[Timing | None, Timing | None]:
    """Candidate and champion timed by this process. For a journey that is over its recorded times are used again.

    ``repeats`` is how many single rows are timed.
    """
    kept = None if journey.candidate.is_live else journey.found(Timings)
    if kept is None:
        kept = _timings(journey, repeats)
        journey.keep(kept)
    return kept.candidate, kept.champion


def _timings(journey: Journey, repeats: int) -> Timings:
    features, _, _ = journey_rows.frames(journey, "holdout")
    registry, digest = stores.registry(), str(journey.candidate.facts.serving_digest)
    timed = {"candidate": Asked(fitted_models.load_logged(registry, logged_of(journey), digest), features)}
    digests = {"candidate": digest}
    champion = champion_of(journey)
    if champion is not None:
        digests["champion"] = str(champion.facts.serving_digest)
        try:
            tables = journey.kept(Evaluated).champion_tables
            version = int(str(champion.facts.model_version))
            opponent = champion_model.load(journey, champion.candidate_id, version, digests["champion"], tables)
            asked = opponent.features(journey, journey.kept(TrainingSets).holdout, features)
            timed["champion"] = Asked(opponent.pipeline, asked)
        except champion_model.UNABLE as error:
            print(f"The champion {champion.candidate_id} was not timed: {error}")
    took = time_in_turns(timed, repeats, classes=journey.model.class_count)
    sized = {who: replace(each, model_bytes=float(fitted_models.size_of(digests[who]))) for who, each in took.items()}
    return Timings(sized.get("candidate"), sized.get("champion"))


class Asked(NamedTuple):
    """A pipeline, and its rows; several pipelines get the same rows, each with its own columns."""

    pipeline: Any
    features: pd.DataFrame


def time_in_turns(
    timed: Mapping[str, Asked],
    repeats: int,
    *,
    classes: int | None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Each model's times for single rows and for batches, asked in turns so that both meet the same machine. ``clock``
    gives seconds."""
    import numpy as np

    singles: dict[str, list[float]] = {who: [] for who in timed}
    batches: dict[str, list[float]] = {who: [] for who in timed}
    rows = {who: each.features for who, each in timed.items()}
    thousand = {who: f.iloc[np.arange(BATCH_ROWS) % len(f)] for who, f in rows.items()}
    for i in range(WARM_UP + repeats):
        # A stride that spreads the rows over all days.
        row = {who: f.iloc[[(i * 7919) % len(f)]] for who, f in rows.items()}
        for who in _in_turns(timed, i):
            took = _ms(timed[who].pipeline, row[who], classes, clock)
            if i >= WARM_UP:
                singles[who].append(took)
    for i in range(1 + BATCHES):
        for who in _in_turns(timed, i):
            took = _ms(timed[who].pipeline, thousand[who], classes, clock)
            if i:
                batches[who].append(took)
    machine = f"{platform.node()} {platform.machine()}"
    return {
        who: Timing(
            machine=machine,
            repeats=repeats,
            p50_ms=float(np.quantile(singles[who], 0.5)),
            p99_ms=float(np.quantile(singles[who], 0.99)),
            batch_ms_per_1k=float(np.median(batches[who])),
            batch_p90_ms_per_1k=float(np.quantile(batches[who], 0.9)),
        )
        for who in timed
    }


def _in_turns(timed: Mapping[str, Any], i: int) -> list[str]:
    """The two take turns in being first, so that neither always has warm caches."""
    return list(timed) if i % 2 else list(timed)[::-1]


def _ms(pipeline: Any, rows: pd.DataFrame, classes: int | None, clock: Callable[[], float]) -> float:
    started = clock()
    estimators.predict(pipeline, rows, classes=classes)
    return 1000 * (clock() - started)
