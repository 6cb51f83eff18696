"""The replay window: days from before the drift, on which a candidate must not be worse than the champion either.

It is the days right before the earlier of the two training windows, so that neither model has learned from them
(docs/adr/0012 says what was tried instead). ``evaluate`` scores them by both models and keeps the scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from include.adapters import estimators, files
from include.domain.errors import Refusal
from include.domain.gates import Evidence, RowValues
from include.domain.intervals import Interval, instant
from include.domain.metrics import METRICS, Task
from include.domain.weighted_metrics import measure_weighted
from include.workflows.evidence import business, journey_rows
from include.workflows.evidence.champion_model import UNABLE, Opponent
from include.workflows.journey.facts import Evaluated, Metrics, Replayed, TrainingSets
from include.workflows.journey.step import Journey
from include.workflows.scoring import training_sets

if TYPE_CHECKING:
    import numpy as np

ROWS = "replay_window.parquet"
WEIGHT = "weight"
NO_ROWS = "there is no labelled row that old"


def score(journey: Journey, candidate: Any, champion_id: str, champion: Opponent | None) -> Replayed | None:
    """Score the window by both, each asked about what it learned from, and keep the scores; what was done, for the
    facts of ``evaluate``.

    ``champion`` is None where it could not be loaded. The reason is in ``missing``, which is None when
    nothing does. None when no window is declared."""
    declared = journey.model.gates.champion_gate.replay
    if declared is None:
        return None
    (journey.folder / ROWS).unlink(missing_ok=True)
    learned = {"candidate": journey.kept(TrainingSets).train}
    opponent = Journey(journey.model, journey.ledger.candidates.get(champion_id), journey.ledger)
    try:
        learned["champion"] = opponent.kept(TrainingSets).train
    except Refusal as refusal:
        return Replayed(champion_id, missing=f"which days the champion learned from is not known: {refusal}")
    window = before([instant(made.start) for made in learned.values()], declared.days)
    placed = Replayed(
        champion_id,
        window.start.isoformat(),
        window.end.isoformat(),
        learned={who: f"[{made.start[:10]}, {made.end[:10]})" for who, made in learned.items()},
    )
    if champion is None:
        return replace(placed, missing="the champion could not be loaded")
    made = training_sets.build(journey.model, window, journey.as_of, learned["candidate"].table_versions)
    features, y, days = journey_rows.frames_of(journey, made)
    if len(y) == 0:
        return replace(placed, missing=NO_ROWS, rows=0)
    weight = journey_rows.weights_in(journey, made)
    try:
        scores = {
            "candidate": estimators.predict(candidate, features, classes=journey.model.class_count),
            "champion": champion.scores(journey, made, features),
        }
    except UNABLE as error:
        return replace(placed, missing=f"its rows could not be scored: {error}", rows=len(y))
    values: dict[str, RowValues] = {}
    if journey.model.business_metrics:
        values = business.values_of(journey.model, journey_rows.known_rows(journey, made), y, scores)
    return replace(placed, rows=len(y), metrics=_kept(journey, _Kept(y, days, weight), scores, values))


def before(starts: Iterable[datetime], days: int) -> Interval:
    """The window right before the earliest of the training windows' starts."""
    earliest = min(starts)
    return Interval(earliest - timedelta(days=days), earliest)


class _Kept(NamedTuple):
    """The rows of a window: labels, days, and how much each counts where they have weights, ``(n,)`` each."""

    y: np.ndarray[Any, Any]
    days: Any
    weight: np.ndarray[Any, Any] | None


def _kept(
    journey: Journey,
    rows: _Kept,
    scores: Mapping[str, np.ndarray[Any, Any]],
    values: Mapping[str, RowValues],
) -> Metrics:
    """Keep the scores, and measure them."""
    import pandas as pd

    kept = {"y": rows.y, "day": rows.days.to_numpy(), **{who: list(answers) for who, answers in scores.items()}}
    if rows.weight is not None:
        kept[WEIGHT] = rows.weight
    kept |= business.as_columns(values)
    with files.whole(journey.folder / ROWS) as unfinished:
        pd.DataFrame(kept).to_parquet(unfinished)
    task = Task(journey.model.task)
    measured = {
        who: {name: measure_weighted(task, name, rows.y, s, rows.weight).value for name in METRICS[task]}
        for who, s in scores.items()
    }
    return {who: {name: value for name, value in found.items() if value is not None} for who, found in measured.items()}


def evidence_of(journey: Journey, replayed: Replayed | None) -> tuple[Evidence | None, str | None]:
    """The scores of the window, and why there are none although a window is declared; both None where none is.

    ``replayed`` is what ``score`` returned.
    """
    import numpy as np
    import pandas as pd

    if journey.model.gates.champion_gate.replay is None:
        return None, None
    if replayed is None:
        return None, "it was declared after the candidate was evaluated; clear the run from evaluate on"
    if replayed.missing is not None:
        return None, replayed.missing
    rows = pd.read_parquet(journey.folder / ROWS)
    candidate, champion = (np.array(rows[who].tolist(), dtype=float) for who in ("candidate", "champion"))
    task = Task(journey.model.task)
    values = business.kept_in(journey.model, rows)
    weight = rows[WEIGHT].to_numpy(dtype=float) if WEIGHT in rows else None
    found = Evidence(task, rows["y"].to_numpy(), candidate, champion, days=rows["day"].to_numpy(), values=values)
    return found.weighted(weight), None


def attempts(journey: Journey, replayed: Replayed, gate: str) -> int:
    """How many candidates were compared with this champion on this very window, this one included: each spends alpha.

    ``gate`` is the one that compares.
    """
    count = 1
    for other in journey.ledger.candidates.of(journey.model.name):
        if other.candidate_id == journey.candidate_id or other.opened_at >= journey.candidate.opened_at:
            continue
        if gate in journey.ledger.gates.latest(other.candidate_id):
            theirs = Journey(journey.model, other, journey.ledger).found(Evaluated)
            count += theirs is not None and theirs.replay is not None and theirs.replay.window == replayed.window
    return count
