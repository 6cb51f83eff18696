"""What was answered live, held against a batch scoring of the same rows: is what was judged what was served?

The batch answers are made now, by the same champion, from the views' tables as of each row's prediction time. A
difference is a value that was not yet online when it was asked for, or one that was corrected since.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.adapters.ledger import Ledger, Scoring
from include.adapters.offline_store import SERVED_PREFIX
from include.config import ModelDeclaration, declarations
from include.config.measured_by import metrics_of
from include.domain import classes
from include.domain.comparison import PairedComparison, PairedScores, compare
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.metrics import Task
from include.workflows import stores
from include.workflows.explain.worth import compared_metric
from include.workflows.lineage import promised
from include.workflows.scoring import as_trained, fitted_models, matured_labels, point_in_time_rows, row_weights
from include.workflows.scoring.request_ids import (
    ALSO_SERVED,
    SERVED,
    by_request,
    by_row,
    is_judged,
    scores_in,
    was_online,
)

if TYPE_CHECKING:
    import pandas as pd


class NothingLive(Refusal):
    """An interval in which nothing was answered online."""


@dataclass(frozen=True, slots=True)
class LiveAgainstBatch:
    """The served answers of collected days beside batch answers to the same rows.

    ``live`` and ``batch`` are the metric on rows with labels; ``difference`` is live minus batch, with bounds at 95 %
    each, days resampled as blocks. ``same`` says whether 0 lies between the bounds; None where that is not judged.
    """

    model: str
    start: str
    end: str
    metric: str
    rows: int
    """Served answers of these days."""
    compared: int
    """Those that batch answers too."""
    equal: int
    """Those of them whose two scores are the same number."""
    labelled: int
    live: float | None
    batch: float | None
    difference: float | None
    low: float | None
    high: float | None
    same: bool | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def against_batch(model_name: str, interval: Interval) -> LiveAgainstBatch:
    """Hold the interval's collected days against batch, on the labels that were known at its end.

    Raises:
        NothingLive: when there is none.
    """
    import pandas as pd

    model = declarations().model(model_name)
    if model.task == "multiclass":
        raise NothingLive(f"{model.name} has several classes; only one number an answer is held against batch.")
    with stores.open_ledger() as ledger:
        made = ledger.lineage.scorings(model_name, interval.days[0], interval.end.date())
        served = [_day(ledger, model, each, interval.end) for each in made if each.role == SERVED]
    parts = [each for each in served if each is not None]
    if not parts:
        raise NothingLive(f"Nothing of {model_name} was collected in {interval}, so there is nothing to hold.")
    rows = pd.concat(parts)
    both = rows[rows["batch"].notna()]
    known = both[both["y"].notna() & both["judged"]]
    name = compared_metric(model)
    found: PairedComparison | None = None
    if len(known):
        paired = PairedScores(
            Task(model.task),
            known["y"].to_numpy(dtype=float),
            known["live"].to_numpy(dtype=float),
            known["batch"].to_numpy(dtype=float),
            known["day"].to_numpy(dtype=str),
            row_weights.of_answers(model, interval, known["request_id"].tolist(), f"the answers of {interval}"),
        )
        found = compare(paired, metrics_of(model).get(name, name))
    low, high = (None, None) if found is None else (found.low, found.high)
    same = None if low is None or high is None else low <= 0.0 <= high
    if found is not None and found.difference == 0.0 and (both["live"] == both["batch"]).all():
        same, low, high = True, 0.0, 0.0
    return LiveAgainstBatch(
        model=model_name,
        start=interval.days[0],
        end=interval.end.date().isoformat(),
        metric=name,
        rows=len(rows),
        compared=len(both),
        equal=int((both["live"] == both["batch"]).sum()),
        labelled=len(known),
        live=None if found is None else found.candidate,
        batch=None if found is None else found.champion,
        difference=None if found is None else found.difference,
        low=low,
        high=high,
        same=same,
        reason="no row has a label yet" if found is None else found.reason or "",
    )


def logged_ids(model_name: str, days: Collection[str]) -> set[str]:
    """The ids of every answer of the days that the prediction log has, whoever of the champions gave it."""
    found: set[str] = set()
    with stores.open_ledger() as ledger:
        for day in days:
            log = promised.predictions(ledger, model_name, Interval.of_day(day))
            if log is not None and "asked_id" in log.column_names:
                rows = log.select(["asked_id", "role"]).to_pylist()
                found |= {row["asked_id"] for row in rows if row["role"] in (SERVED, ALSO_SERVED)}
    return found


def _day(ledger: Ledger, model: ModelDeclaration, scored: Scoring, as_of: datetime) -> pd.DataFrame | None:
    """The day's served answers with those of batch and their labels; None of a day that was scored in batch."""
    interval = Interval.of_day(scored.day)
    log = promised.predictions(ledger, model.name, interval, scored.candidate_id)
    rows = None if log is None else log.to_pandas()
    if rows is None or not was_online(rows):
        return None
    rows = by_row(model, rows[rows["role"] == SERVED])
    rows = rows[rows["error"].isna()]
    kept = stores.offline_store().read_served(model.name, scored.feature_set, scored.day)
    held = [] if kept is None else kept.column_names
    names = [name.removeprefix(SERVED_PREFIX) for name in held if name.startswith(SERVED_PREFIX)]
    asked = as_trained.as_scored(model, scored, names)
    given = point_in_time_rows.features_for(asked, interval, interval.end).to_pandas()
    facts = ledger.candidates.get(scored.candidate_id).facts
    pipeline = fitted_models.load(
        stores.registry(), model.name, int(str(facts.model_version)), str(facts.serving_digest)
    )
    features = estimators.as_input(given, fitted_models.kinds_of(asked))
    scores = estimators.predict(pipeline, features, classes=model.class_count)
    batch = dict(zip(by_request(model, given).index, scores, strict=True))
    found = rows[["request_id"]].assign(
        day=scored.day,
        live=scores_in(model, rows),
        batch=rows["request_id"].map(batch).astype(float),
        judged=is_judged(model, rows),
    )
    return found.assign(y=found["request_id"].map(_labels(model, interval, as_of)).astype(float))


def _labels(model: ModelDeclaration, interval: Interval, as_of: datetime) -> dict[str, float]:
    """By request, the labels of the interval's events that were known at ``as_of``."""
    labels = matured_labels.matured_labels(model, interval, as_of).to_pandas()
    if labels.empty:
        return {}
    written = labels["label"]
    values = classes.positions(model.label.classes or [], written)[0] if model.is_classifier else written.astype(float)
    return dict(zip(by_request(model, labels).index, values, strict=True))
