"""The shadow window: opened by the journey, filled and closed by the scoring of days, judged by its gate.

Everything in it is data time. The scoring Dag closes the window at the end of the day that filled it, so that a slow or
stopped scheduler neither lengthens nor shortens what the gate judges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from include.adapters.ledger import ShadowWindow
from include.config import ModelDeclaration
from include.domain import classes
from include.domain.intervals import Interval, midnight
from include.domain.metrics import Task
from include.domain.shadow import ShadowEvidence
from include.domain.verdicts import CriterionResult, Verdict
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.drift import labels_behind_alarm
from include.workflows.evidence import business, disagreement
from include.workflows.journey import estimate_hold, step
from include.workflows.journey.by_products import ByProducts
from include.workflows.journey.facts import JourneyReference
from include.workflows.journey.step import Journey
from include.workflows.lineage import promised
from include.workflows.scoring import matured_labels, row_weights, served_features
from include.workflows.scoring.request_ids import SERVED, by_row, is_judged, request_ids, scores_in

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Shadowed(NamedTuple):
    """What a shadow window saw."""

    evidence: ShadowEvidence | None
    instead: CriterionResult | None
    """The sentence when there is no closed window to judge; None when there is one."""
    labels: CriterionResult | None
    """Whether matured labels confirm the estimate's alarm; None for a candidate that no estimate asked for."""


def open_window(reference: JourneyReference) -> dict[str, Any]:
    """Open the candidate's window beside the champion, from the first day that no scoring has claimed; or say
    where it is.

    When the champion has changed since it was opened the window starts again, because its rows compared another pair.
    """
    with step.step_of(reference, "shadow_window") as journey:
        ledger, model = journey.ledger, journey.model
        head = ledger.deployments.champion(model.name)
        if head is None or head.to_candidate == journey.candidate_id:
            return {
                "closed": True,
                "sentence": "There is no champion whose traffic the candidate could shadow: a first deployment.",
            }
        window = ledger.shadow.open(
            journey.candidate_id,
            champion_id=head.to_candidate,
            opened_from=max(midnight(journey.as_of), head.effective_from),
            min_rows=model.shadow.min_rows,
            min_days=model.shadow.min_days,
            actor="shadow_window",
        )
        return {"closed": window.closed_at is not None, "sentence": _sentence(window, model)}


def _sentence(window: ShadowWindow, model: ModelDeclaration) -> str:
    so_far = f"{window.answered:,} of {window.min_rows:,} rows on {window.days} of {count_of(window.min_days, 'day')}"
    if window.closed_at is not None:
        return (
            f"The shadow window {window.opened_from:%Y-%m-%d} to {window.closed_at:%Y-%m-%d} is closed with {so_far}."
        )
    since, longest = f"{window.opened_from:%Y-%m-%d}", model.shadow.max_days
    return f"In shadow beside {window.champion_id} from {since} on: {so_far}; it ends after {count_of(longest, 'day')}."


def wait_is_over(candidate_id: str) -> bool:
    """Whether the window is closed, its champion was replaced, or the candidate is no longer in flight."""
    with stores.open_ledger() as ledger:
        candidate = ledger.candidates.get(candidate_id)
        window = ledger.shadow.window(candidate_id)
        head = ledger.deployments.champion(candidate.model)
        replaced = window is not None and head is not None and head.to_candidate != window.champion_id
        return not candidate.is_live or window is None or window.closed_at is not None or replaced


def window_seen(journey: Journey) -> Shadowed:
    """What the prediction log holds of the window, challenger against the champion's own answers."""
    window = journey.ledger.shadow.window(journey.candidate_id)
    if window is None:
        return Shadowed(None, _first_deployment(journey), None)
    if window.closed_at is None:
        reason = f"The shadow window is still open. {_sentence(window, journey.model)}"
        still = CriterionResult("window", Verdict.INCONCLUSIVE, None, "closed", window.rows, reason)
        return Shadowed(None, still, None)
    alarm = estimate_hold.alarm_day(journey.ledger, journey.candidate)
    evidence = _evidence(journey, window)
    if alarm is None:
        return Shadowed(evidence, None, None)
    return Shadowed(
        evidence, None, labels_behind_alarm.labels_show_it(journey, window.champion_id, alarm, window.closed_at)
    )


def _first_deployment(journey: Journey) -> CriterionResult:
    """Without a champion there is no traffic to shadow; the declared first-deployment policy is used instead, and is
    recorded."""
    head = journey.ledger.deployments.champion(journey.model.name)
    # Its own promotion does not count, so that a journey that runs again finds the same champion.
    has_champion = head is not None and head.to_candidate != journey.candidate_id
    policy = journey.model.gates.champion_gate.first_deployment
    ask = policy == "ask" or has_champion
    reason = (
        "There is a champion but the candidate has no shadow window; clear shadow_window."
        if has_champion
        else f"First deployment: no champion whose traffic could be shadowed; the declared policy is {policy}."
    )
    return CriterionResult(
        "first_deployment", Verdict.INCONCLUSIVE if ask else Verdict.PASS, None, f"policy {policy}", 0, reason
    )


def _evidence(journey: Journey, window: ShadowWindow) -> ShadowEvidence:
    import numpy as np

    model = journey.model
    interval = Interval(window.opened_from, window.closed_at or window.opened_from)
    log = promised.predictions(journey.ledger, model.name, interval)
    rows = log.to_pandas() if log is not None else None
    if rows is None or rows.empty:
        return ShadowEvidence(Task(model.task), 0, 0, np.empty(0), np.empty(0), np.empty(0, dtype=str))
    rows = by_row(model, rows)
    served = rows[(rows["candidate_id"] == window.champion_id) & (rows["role"] == SERVED)]
    served = served[served["error"].isna()]
    shadow = rows[rows["candidate_id"] == journey.candidate_id]
    both = served.index.intersection(shadow[shadow["error"].isna()].index)
    made = ByProducts()
    made.attempt(
        "The rows on which both disagree most",
        lambda: disagreement.keep(journey, served.loc[both], shadow.loc[both]),
    )
    made.keep(journey, "shadow_window")
    labels = matured_labels.matured_labels(model, interval, interval.end).to_pandas()
    requests = served.loc[both, "request_id"].tolist()
    weight = row_weights.of_answers(model, interval, requests, f"the rows in shadow of {interval}")
    found = evidence_of(model, served, shadow, labels, weight)
    return business.in_shadow(
        model,
        found,
        lambda: served_features.known_of(journey.ledger, model, interval, str(window.champion_id), both),
    )


def evidence_of(
    model: ModelDeclaration,
    served: pd.DataFrame,
    shadow: pd.DataFrame,
    labels: pd.DataFrame,
    weight: np.ndarray[Any, Any] | None = None,
) -> ShadowEvidence:
    """What a window's log says: the champion's answers and the challenger's, as ``by_row`` gives them or by request,
    and matured labels; ``weight`` of the rows that both answered, in the champion's order, 0 or more."""
    both = served.index.intersection(shadow[shadow["error"].isna()].index)
    return ShadowEvidence(
        task=Task(model.task),
        asked=len(served),
        errors=int(shadow["error"].notna().sum()),
        champion=scores_in(model, served.loc[both]),
        challenger=scores_in(model, shadow.loc[both]),
        days=served.loc[both, "event_time"].dt.strftime("%Y-%m-%d").to_numpy(dtype=str),
        y=_counted(_labels(model, served.loc[both], labels), weight),
        weight=weight,
    )


def _counted(y: Any, weight: np.ndarray[Any, Any] | None) -> Any:
    """The labels without those of rows that count nothing."""
    import numpy as np

    return y if y is None or weight is None else np.where(weight > 0, y, np.nan)


def _labels(model: ModelDeclaration, rows: pd.DataFrame, labels: pd.DataFrame) -> Any:
    """The matured label of each row, NaN where there is none yet, or where it judges another answer to the same
    request; None where there is none at all."""
    import numpy as np
    import pandas as pd

    if labels.empty:
        return None
    requests = pd.Index(rows["request_id"]) if "request_id" in rows else rows.index
    written = labels["label"]
    values = classes.positions(model.label.classes or [], written)[0] if model.is_classifier else written.astype(float)
    known = dict(zip(request_ids(model, labels), values, strict=True))
    found = requests.map(known).to_numpy(dtype=float)
    return np.where(is_judged(model, rows), found, np.nan) if "request_id" in rows else found
