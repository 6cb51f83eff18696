"""Labels of the rows of a canary's share: both models' answers to the same rows, compared on whole days of labels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.adapters import sql_engine
from include.config import ModelDeclaration, declarations
from include.config.canary import DeclaredCanaryBusiness
from include.config.measured_by import metrics_of
from include.domain import classes
from include.domain.intervals import Interval, midnight
from include.domain.journal.collected import moment_of
from include.domain.journal.records import AnswerRecord
from include.domain.verdicts import CriterionResult, Verdict
from include.workflows.scoring import collected_rows, matured_labels, row_weights
from include.workflows.scoring.request_ids import by_request, is_judged
from include.workflows.scoring.row_values import row_values

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.domain.gates.canary_labels import MaturedRows
    from include.domain.gates.evidence import RowValues

NOTES = "matured"
_DAY = timedelta(days=1)


def judged(
    model: ModelDeclaration, records: Sequence[AnswerRecord], newest: datetime | None
) -> tuple[CriterionResult | None, dict[str, Any]]:
    """What labels say of the candidate, and the comparison for the report; None where nothing is to be judged.

    Args:
        model: what is declared; without ``canary.business`` nothing is compared.
        records: rows of the canary's share that both models answered.
        newest: the latest prediction time seen, by the clock of the data; None for none.
    """
    declared = None if model.canary is None else model.canary.business
    if model.canary is None or declared is None:
        return None, {}
    if declared.depends_on_decision:
        why = "Its label depends on the answer that was given, so both models are not compared on the same rows."
        return _a_person(model, declared, why)
    found, notes = _compared(model, declared, records, newest)
    notes = {NOTES: {**notes, "verdict": found.verdict.value, "reason": found.reason}}
    if model.canary.waits_for_labels(model.label.delay) or found.verdict is not Verdict.INCONCLUSIVE:
        return found, notes
    if declared.wait == "matured":
        why = (
            f"Labels take {model.delay_days} days and a comparison three days of them, longer than the whole canary; "
            "they are compared after the promotion."
        )
        asked, _ = _a_person(model, declared, why)
        return asked, notes
    return None, notes


def _a_person(
    model: ModelDeclaration, declared: DeclaredCanaryBusiness, why: str
) -> tuple[CriterionResult | None, dict[str, Any]]:
    """In the tier critical a person decides on what no label can say; elsewhere it is reported."""
    notes = {NOTES: {"verdict": Verdict.INCONCLUSIVE.value, "reason": why}}
    if model.tier != "critical":
        return None, notes
    reason = f"{why} The tier is critical, so a person decides."
    return CriterionResult(f"matured {declared.metric}", Verdict.INCONCLUSIVE, None, "compared", 0, reason), notes


def _compared(
    model: ModelDeclaration, declared: DeclaredCanaryBusiness, records: Sequence[AnswerRecord], newest: datetime | None
) -> tuple[CriterionResult, dict[str, Any]]:
    from include.domain.gates.canary_labels import judge_labels

    rule = declared.rule(metrics_of(model))
    try:
        rows = labelled(model, records, newest, str(rule.metric))
    except sql_engine.SqlFailed as error:
        why = f"{rule.metric} was not measured on matured labels: {str(error).rstrip('.')}."
        return CriterionResult(f"matured {rule.metric}", Verdict.INCONCLUSIVE, None, "measured", 0, why), {}
    return judge_labels(rule, rows, alpha=declared.alpha, min_rows=declared.min_rows)


def labelled(
    model: ModelDeclaration, records: Sequence[AnswerRecord], newest: datetime | None, metric: str
) -> MaturedRows:
    """The rows whose labels are known, of days whose labels have all had their time at ``newest``.

    Raises:
        SqlFailed: when the SQL of a business metric does not run on them.
    """
    import numpy as np

    from include.domain.gates.canary_labels import MaturedRows
    from include.domain.metrics import Task

    until = None if newest is None else midnight(newest - model.label.delay)
    mature = [r for r in records if until is not None and moment_of(r) < until]
    width = model.class_count if model.task == "multiclass" else None
    none = np.empty((0, width) if width else 0)
    if not mature or newest is None:
        return MaturedRows(Task(model.task), np.empty(0), none, none, np.empty(0, dtype=str))
    days = sorted({moment_of(r).date().isoformat() for r in mature})
    interval = Interval.between(days[0], (moment_of(max(mature, key=moment_of)) + _DAY).date().isoformat())
    asked = collected_rows.asked_one_by_one(model, mature, collected_rows.key_types(model, interval)).to_pandas()
    asked["y"] = asked["request_id"].map(_labels(model, interval, newest)).astype(float)
    known = (asked["y"].notna() & is_judged(model, asked)).to_numpy()
    chosen = [r for r, is_known in zip(mature, known, strict=True) if is_known]
    asked = asked[known].reset_index(drop=True)
    weight = row_weights.of_answers(model, interval, asked["request_id"].tolist(), f"the canary's rows of {interval}")
    canary, champion = _scores(chosen, "canary", width), _scores(chosen, "champion", width)
    y = asked["y"].to_numpy(dtype=float)
    return MaturedRows(
        task=Task(model.task),
        y=y,
        canary=canary,
        champion=champion,
        days=asked["event_time"].dt.strftime("%Y-%m-%d").to_numpy(dtype=str),
        values=_values(model, metric, chosen, asked, (y, canary, champion)),
        weight=weight,
    )


def _values(
    model: ModelDeclaration, name: str, records: Sequence[AnswerRecord], asked: pd.DataFrame, answers: tuple[Any, ...]
) -> RowValues | None:
    import pandas as pd

    from include.domain.gates.evidence import RowValues

    metric = next((each for each in model.business_metrics if each.name == name), None)
    if metric is None or not records:
        return None
    y, canary, champion = answers
    known = pd.DataFrame([r.features for r in records], columns=model.features)
    keys = [each for each in (*declarations().view(model.entity.view).keys, "event_time") if each not in known]
    known = pd.concat([known, asked[keys]], axis=1)
    return RowValues(*(row_values(model, metric, known, y, each) for each in (canary, champion)))


def _scores(records: Sequence[AnswerRecord], role: str, width: int | None) -> np.ndarray[Any, Any]:
    """What the one in that role answered, the caller or beside: ``(n,)`` or ``(n, k)``."""
    import numpy as np

    found = [r.score if r.role == role else (r.beside and r.beside.score) for r in records]
    return np.array(found, dtype=float).reshape((len(records), width) if width else len(records))


def _labels(model: ModelDeclaration, interval: Interval, as_of: datetime) -> dict[str, float]:
    """By request, the labels that were known at ``as_of``; a class as its position."""
    labels = matured_labels.matured_labels(model, interval, as_of).to_pandas()
    if labels.empty:
        return {}
    written = labels["label"]
    values = classes.positions(model.label.classes or [], written)[0] if model.is_classifier else written.astype(float)
    return dict(zip(by_request(model, labels).index, values, strict=True))
