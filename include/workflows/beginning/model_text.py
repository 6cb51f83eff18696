"""The texts of a model's declaration that ``slipway new model --from-view`` fills in."""

from __future__ import annotations

from collections.abc import Callable

MODEL = """\
# {name}: a declaration to start from. Every line can stay, and every line should be checked. `slipway validate` names
# what is wrong, with file and line.
name: {name}
description: What {label} will be of a row of {view}, asked at its event time.
task: {task}
tier: experimental # or standard, critical: what the gates ask for by default
owners: {{model: {owner}, data: {owner}, on_call: {owner}}}

entity:
  view: {view} # each row of this view is one question
  lead: 0m # how long before the row's event time it is asked; its features must be known by then

label:
  name: outcome
  delay: {delay} # after this a label's window is closed; {delay_how}
{classes}  source:
    - {{table: {table}, time: {time}{known}}}

views:
  - {{view: {view}, features: {features}}}

estimator: # any scikit-learn estimator, by its import path
  path: {estimator}
  params: {{max_iter: 100, learning_rate: 0.1, max_leaf_nodes: 15, early_stopping: false}}

training:
  window_days: {learned}
  holdout_days: {held_out} # the newest matured days, kept out of training: the gates judge on them
  min_rows: {learn_rows} # half of what so many days of the table have

gates:
  threshold_gate: # absolute bounds, inclusive: what is useful to you
    min_rows: {gate_rows}
    criteria:
      - {threshold}
  champion_gate: # not worse than the champion by more than the margin, and better than looking at nothing
    min_rows: {gate_rows}
    comparisons:
      - {{metric: {metric}, margin: 5%}} # of how much better than the baseline the champion is
    beat_baseline_on: {metric}

shadow: # a candidate answers beside the champion before anybody is served by it
  min_rows: {shadow_rows}
  min_days: 3
  max_days: {max_days}
  disagreement: {disagreement}
  p99_delta_at_most: {p99}

drift:
  inputs: {{min_rows: {day_rows}}}
  predictions: {{min_rows: {day_rows}}}
  performance:
    metric: {metric}
    tolerance: 10% # of how much better than the baseline the champion was
    min_rows: {watch_rows}

promotion:
  approval: never # what passes every gate is promoted; always asks a person each time
"""

LABEL = """\
-- One row for each entity whose outcome is known: its keys, the label, when it happened, and when that was known.
--
-- event_time is that of the entity's own row: a label belongs to the question of the same keys and the same moment.
-- available_time, from when on the outcome was known: {known_how}.
SELECT
    {keys},
    {label} AS label,
    {event} AS event_time,
    {known} AS available_time
FROM {table}
-- What has no outcome yet has no row here.
WHERE {conditions}
"""


def _binary(classes: int, scale: float) -> dict[str, str]:
    return {
        "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
        "threshold": "{metric: roc_auc, at_least: 0.55}",
        "metric": "brier",
        "disagreement": "[0.0001, 0.3]",
        "p99": "0.8",
    }


def _multiclass(classes: int, scale: float) -> dict[str, str]:
    return {
        **_binary(classes, scale),
        "threshold": f"{{metric: accuracy, at_least: {1 / classes:.2g}}}",
        "metric": "log_loss",
    }


def _regression(classes: int, scale: float) -> dict[str, str]:
    return {
        "estimator": "sklearn.ensemble.HistGradientBoostingRegressor",
        "threshold": f"{{metric: mae, at_most: {scale:.3g}}} # the label's standard deviation",
        "metric": "mae",
        "disagreement": f"[{scale / 10000:.3g}, {scale:.3g}] # in the label's unit",
        "p99": f"{3 * scale:.3g}",
    }


BY_TASK: dict[str, Callable[[int, float], dict[str, str]]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "regression": _regression,
}
"""What depends on the task, from the number of classes and the label's standard deviation."""
