"""``new``: writes a declaration to start from, which is valid unchanged and says what to change."""

from __future__ import annotations

import argparse
from pathlib import Path

from include.adapters import files
from include.commands import Answer, Mistake, Verb, VerbGroup

MODEL = """\
# {name}: a declaration to start from. Every line can stay, and every line should be checked. `slipway validate` names
# what is wrong, with file and line.
name: {name}
description: What is predicted, for whom, and when it is asked.
task: binary # or multiclass, regression
tier: experimental # or standard, critical
owners:
  model: {owner}
  data: {owner}
  on_call: {owner}

entity:
  view: {view} # each row of this view is one request
  lead: 1h # how long before the row's event time the prediction is asked for

label:
  name: outcome
  delay: 24h # only then a label counts as matured
  classes: ["no", "yes"] # in the order of the estimator's outputs; leave out for a regression
  source:
    - {{table: {table}, time: {time}, known: {known}}}

views:
  - view: {view}
    version: {version}
    features: [{features}]

estimator:
  path: sklearn.ensemble.HistGradientBoostingClassifier
  params: {{max_iter: 100, early_stopping: false}}

training:
  window_days: 60
  holdout_days: 14 # the newest matured days, kept out of training: the gates judge on them
  min_rows: 5000

gates:
  threshold_gate: # absolute bounds, inclusive
    min_rows: 1000
    criteria:
      - {{metric: roc_auc, at_least: 0.6}}
  champion_gate: # not worse than the champion by more than the margin, and better than looking at nothing
    min_rows: 1000
    comparisons:
      - {{metric: brier, margin: 5%}} # of how much better than the baseline the champion is; or 0.005
    beat_baseline_on: brier
  signature_gate: {{}}
  smoke_gate: {{}}

shadow: # answers the champion's traffic before anybody is served
  min_rows: 1000
  min_days: 3
  max_days: 10
  disagreement: [0.001, 0.3]
  p99_delta_at_most: 0.8

drift:
  performance:
    metric: brier
    tolerance: 10% # of how much better than the baseline the champion was; or a number as 0.01

promotion:
  approval: always # a person approves each promotion; `never` once you trust the gates
"""

LABEL = """\
-- One row for each entity whose outcome is known: its keys, the label, when it happened, and when that was known.
-- What never gets an outcome has no row here.
SELECT
    {keys},
    'no' AS label,
    {time} AS event_time,
    {known} AS available_time
FROM {table}
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=["model"], help="what to declare")
    parser.add_argument("name", help="its name: lower-case letters, digits and _")
    parser.add_argument("--view", help="the feature view whose rows are predicted; default the first that is declared")
    parser.add_argument("--owner", default="somebody", help="who answers for it; default a placeholder")
    parser.add_argument("--folder", help="a folder with models/ and features/; default the project's include/")


def _new(args: argparse.Namespace) -> Answer:
    from include.config import loader
    from include.config.types import is_name

    root = Path(args.folder) if args.folder else loader.ROOT
    if not is_name(args.name):
        raise Mistake(
            f"{args.name!r} is no name for a model; it is a lower-case letter, then at most 62 of a-z, 0-9 and _."
        )
    folder = root / "models" / args.name
    if folder.exists():
        raise Mistake(f"{folder} is there already; choose another name, or edit what it has.")
    declared = loader.read_declarations(root)
    if not declared.views:
        raise Mistake(f"{root} declares no feature view yet, and a model reads at least one: declare that first.")
    view = declared.view(args.view or next(iter(declared.views)))
    source = next((s for s in view.source if s.time and s.known), None)
    if source is None:
        raise Mistake(f"{view.name} reads no table with both time and known, so no label can be dated; choose another.")
    folder.mkdir(parents=True)
    words = {
        "name": args.name,
        "owner": args.owner,
        "view": view.name,
        "version": view.version,
        "features": ", ".join(view.features),
        "table": source.table,
        "time": source.time,
        "known": source.known,
        "keys": ",\n    ".join(view.keys),
    }
    files.write_text(folder / "model.yaml", MODEL.format(**words))
    files.write_text(folder / "label.sql", LABEL.format(**words))
    lines = (
        f"Wrote {folder / 'model.yaml'} and label.sql.",
        "Next: write the label's query, check every line of the declaration, then `slipway validate`.",
    )
    return Answer(lines, {"model": args.name, "folder": str(folder)})


VERBS = (
    Verb(
        "new",
        "write a model's declaration to start from",
        "slipway new model late_baggage --owner baggage-team",
        _new,
        _arguments,
        group=VerbGroup.DECLARE,
    ),
)
