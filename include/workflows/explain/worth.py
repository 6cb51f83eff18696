"""What a promotion was worth: the realised loss with it, and what the former champion would have answered.

Both are asked about the same rows, those that were served since the promotion and whose labels have matured. The
former champion answers now what it would have answered then: the features are joined as of each row's prediction time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from include.adapters import estimators
from include.adapters.ledger import Candidate, Ledger
from include.config import ModelDeclaration, declarations
from include.config.measured_by import metrics_of
from include.domain.comparison import PairedComparison, PairedScores, compare
from include.domain.errors import Refusal
from include.domain.intervals import DAY, Interval, instant
from include.domain.metrics import Task
from include.domain.promotion import Epoch, EpochKind
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.evidence import champion_model, journey_rows
from include.workflows.journey.facts import TrainingSet
from include.workflows.journey.step import Journey
from include.workflows.scoring import training_sets
from include.workflows.scoring.row_values import row_values

LEAST_DAYS = 5
"""Fewer days say too little of how days differ."""


class NoPromotion(Refusal):
    """A model that was never promoted over another one, or not in the revision that is asked about."""


@dataclass(frozen=True, slots=True)
class Worth:
    """One promotion, judged afterwards.

    ``with_it`` and ``without`` are the metric of the promoted and of the former champion on the same rows. ``gain`` is
    how much better the promoted one is, ``gain_low`` and ``gain_high`` its one-sided bounds at 95 % each; all are in
    the metric's unit, and positive is better. ``better`` is True or False where the bounds say so, and None where they
    do not or where nothing was compared; ``reason`` says which.
    """

    model: str
    revision: int
    promoted: str
    former: str
    start: str
    end: str
    metric: str
    rows: int
    days: int
    with_it: float | None
    without: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    better: bool | None
    reason: str

    @property
    def sentence(self) -> str:
        return f"{self.model}, revision {self.revision}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def worth(model_name: str, *, revision: int | None = None, until: datetime | None = None) -> Worth:
    """What a promotion was worth on the rows since, whose labels have matured.

    Args:
        model_name: a declared model.
        revision: of the promotion; by default the newest one.
        until: midnight after the last day; by default the day after the newest drift report.

    Raises:
        NoPromotion: when there is none to judge.
    """
    model = declarations().model(model_name)
    with stores.open_ledger() as ledger:
        epoch, end = _promotion(ledger, model_name, revision)
        as_of = until if until is not None else _judged_until(ledger, model_name)
        former = ledger.candidates.get(str(epoch.from_candidate))
        interval = Interval(epoch.effective_from, max(min(as_of, end or as_of), epoch.effective_from))
        if interval.end <= interval.start:
            found: PairedComparison | str = "no day has been judged since"
        else:
            found = _compared(ledger, model, epoch, former, interval, as_of)
    return _worth(model, epoch, former, interval, found)


def _promotion(ledger: Ledger, model: str, revision: int | None) -> tuple[Epoch, datetime | None]:
    """The promotion, and when the next champion took over; None while its champion serves."""
    epochs = ledger.deployments.epochs(model)
    promotions = [e for e in epochs if e.kind is EpochKind.PROMOTION and e.from_candidate]
    chosen = [e for e in promotions if revision is None or e.revision == revision]
    if not chosen:
        known = ", ".join(str(e.revision) for e in promotions)
        which = f"no promotion of revision {revision}" if revision is not None else "no promotion"
        raise NoPromotion(
            f"{model} has {which}; {f'there are {known}' if known else 'no model has replaced another one yet'}. "
            f"`slipway history {model}` lists its champions."
        )
    later = [e.effective_from for e in epochs if e.revision > chosen[-1].revision]
    return chosen[-1], min(later, default=None)


def _judged_until(ledger: Ledger, model: str) -> datetime:
    reports = ledger.drift.reports(model, last=1)
    if not reports:
        raise NoPromotion(f"No day of {model} has been judged yet, so nothing says what a promotion was worth.")
    return instant(reports[-1].day) + DAY


def _compared(
    ledger: Ledger, model: ModelDeclaration, epoch: Epoch, former: Candidate, interval: Interval, as_of: datetime
) -> PairedComparison | str:
    """The comparison; or why there is none, in words."""
    journey = Journey(model, ledger.candidates.get(epoch.to_candidate), ledger)
    made = training_sets.build(model, interval, as_of)
    features, y, days = journey_rows.frames_of(journey, made)
    if len(y) == 0:
        return "no label of these days is known yet"
    try:
        answers = {
            candidate.candidate_id: _answers(journey, candidate, made, features)
            for candidate in (journey.candidate, former)
        }
    except champion_model.UNABLE as error:
        return f"the two can't be asked about the same rows: {error}".rstrip(".")
    kept = days.to_numpy()
    if (count := len(set(kept))) < LEAST_DAYS:
        return f"{count_of(count, 'matured day')} since then; at least {LEAST_DAYS} are needed"
    weight, name, task = journey_rows.weights_in(journey, made), compared_metric(model), Task(model.task)
    business = next((metric for metric in model.business_metrics if metric.name == name), None)
    if business is not None:
        known, task = journey_rows.known_rows(journey, made), Task.REGRESSION
        answers = {who: row_values(model, business, known, y, scores) for who, scores in answers.items()}
    paired = PairedScores(task, y, answers[epoch.to_candidate], answers[former.candidate_id], kept, weight)
    return compare(paired, metrics_of(model).get(name, name))


def _answers(journey: Journey, candidate: Candidate, made: TrainingSet, features: Any) -> Any:
    version, digest = candidate.facts.model_version, candidate.facts.artifact_digest
    if version is None or digest is None:
        raise ValueError(f"{candidate.candidate_id} was never registered")
    asked = champion_model.load(journey, candidate.candidate_id, int(version), digest)
    if asked.tables is not None:
        raise ValueError(f"{candidate.candidate_id} learned from other features than the declaration has now")
    return estimators.predict(asked.pipeline, features, classes=asked.model.class_count)


def compared_metric(model: ModelDeclaration) -> str:
    """The watched metric where the champion gate compares it, else the first that it compares."""
    names = [str(c.metric) for c in model.gates.champion_gate.comparisons]
    watched = str(model.drift.performance.metric)
    return watched if watched in names else names[0]


def _worth(
    model: ModelDeclaration, epoch: Epoch, former: Candidate, interval: Interval, found: PairedComparison | str
) -> Worth:
    name = compared_metric(model)
    known = found if isinstance(found, PairedComparison) else None
    low = high = gain = better = None
    if known is None or known.difference is None or known.low is None or known.high is None:
        why = known.reason if known is not None else str(found)
        reason = f"what it was worth is not judged: {why}."
    else:
        gain, low, high = -known.difference, -known.high, -known.low
        better = True if low > 0 else False if high < 0 else None
        reason = _said(name, known, gain, low, high)
    return Worth(
        model=model.name,
        revision=epoch.revision,
        promoted=epoch.to_candidate,
        former=former.candidate_id,
        start=interval.start.date().isoformat(),
        end=interval.end.date().isoformat(),
        metric=name,
        rows=known.rows if known else 0,
        days=(known.blocks or 0) if known else 0,
        with_it=known.candidate if known else None,
        without=known.champion if known else None,
        gain=gain,
        gain_low=low,
        gain_high=high,
        better=better,
        reason=reason,
    )


def _said(name: str, known: PairedComparison, gain: float, low: float, high: float) -> str:
    base = abs(known.champion) if known.champion else 0.0
    share = f", {abs(gain) / base:.1%}" if base else ""
    how = "better" if gain > 0 else "worse"
    shown = "" if low > 0 or high < 0 else " These days do not tell whether it was worth anything."
    return (
        f"{name} {known.candidate:.4g} with it and {known.champion:.4g} without on {known.about}: {how} by "
        f"{abs(gain):.4g}{share} (gain between {low:.4g} and {high:.4g}, each bound at 95 %).{shown}"
    )
