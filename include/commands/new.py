"""``new``: writes a project, and declarations to start from, which are valid unchanged and say what to change."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
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
    parser.add_argument("kind", choices=["model", "project", "source", "view"], help="what to begin")
    parser.add_argument("name", help="view, model: its name, of a-z, 0-9 and _; project: a folder; source: a URL")
    parser.add_argument("--owner", default="somebody", help="who answers for it; default a placeholder")
    parser.add_argument("--folder", help="a folder with models/ and features/; default the project's")
    one = parser.add_argument_group("view")
    one.add_argument("--from-table", metavar="TABLE", help="the table whose rows it gives")
    one.add_argument(
        "--key", action="append", metavar="COLUMN", help="names a row; given again for each; default guessed"
    )
    one.add_argument("--event-time", metavar="COLUMN", help="when a row's event happened; default guessed")
    one.add_argument("--available-time", metavar="COLUMN", help="when a row was known; default guessed")
    one.add_argument("--without", action="append", metavar="COLUMN", help="no feature; given again for each")
    one.add_argument("--starts", metavar="DAY", help="the first day with rows; default the table's")
    one = parser.add_argument_group("model")
    one.add_argument(
        "--from-view", metavar="VIEW", help="a view of a table; windows and numbers of rows fit that table"
    )
    one.add_argument("--label", metavar="COLUMN", help="with --from-view: the column of its table that is predicted")
    one.add_argument("--label-known", metavar="COLUMN", help="with --from-view: when it was known; default guessed")
    one.add_argument(
        "--task", choices=["binary", "multiclass", "regression"], help="with --from-view: default by the label's values"
    )
    one.add_argument("--view", help="without --from-view: whose rows are predicted; default the first that is declared")
    one = parser.add_argument_group("source")
    one.add_argument("--table", action="append", metavar="TABLE", help="look at this one only; given again for each")


def _new(args: argparse.Namespace) -> Answer:
    _only_its_own(args)
    return {"project": _project, "source": _source, "view": _view, "model": _model}[args.kind](args)


OF_KIND = {
    "view": ("from_table", "key", "event_time", "available_time", "without", "starts"),
    "model": ("from_view", "label", "label_known", "task", "view"),
    "source": ("table",),
}


def _only_its_own(args: argparse.Namespace) -> None:
    for kind, options in OF_KIND.items():
        given = [name for name in options if getattr(args, name) is not None]
        if kind != args.kind and given:
            option = given[0].replace("_", "-")
            raise Mistake(
                f"--{option} is of `slipway new {kind}`, and this is `slipway new {args.kind}`; leave it out."
            )
    if args.kind == "model" and args.from_view is None:
        given = [name for name in ("label", "label_known", "task") if getattr(args, name) is not None]
        if given:
            raise Mistake(f"--{given[0].replace('_', '-')} needs --from-view VIEW beside it.")
    if args.kind == "model" and args.from_view is not None and args.view is not None:
        raise Mistake("--view and --from-view are both given; say one: --from-view looks at the table.")
    if args.kind == "project" and args.folder is not None:
        raise Mistake("--folder is not of `slipway new project`, whose folder is its name; leave it out.")


def _project(args: argparse.Namespace) -> Answer:
    from include.workflows.beginning import project

    written = project.write_project(Path(args.name))
    return Answer(
        (
            f"Wrote {written[0].parent} with features/, models/ and {project.ENVIRONMENT}.",
            f"Next, in each shell that works with it: `. {written[0]}`",
            "Then `slipway new source URL`, for example postgresql+psycopg://user:password@host/database.",
        ),
        {"project": str(written[0].parent), "environment": str(written[0])},
    )


def _source(args: argparse.Namespace) -> Answer:
    from include.workflows.beginning import project

    told = project.look_at(args.name, args.table or ())
    file = project.write_source(args.name, told, Path(args.folder) if args.folder else None)
    lines = [line for each in told for line in each.lines()]
    lines.append(f"Wrote {file}: what is guessed is called so; correct it there, or by options of `slipway new view`.")
    hidden = project.hidden_by_shell(args.name)
    if hidden is not None:
        lines.append(f"SLIPWAY_SOURCE_URL of this shell is {hidden} and comes first: unset it.")
    lines.append("Next: `slipway new view NAME --from-table TABLE`.")
    return Answer(tuple(lines), {"file": str(file), "tables": [each.as_json() for each in told], "hidden_by": hidden})


def _view(args: argparse.Namespace) -> Answer:
    from include.workflows.beginning.view import Wanted, write_view

    if args.from_table is None:
        raise Mistake("`slipway new view` needs --from-table TABLE; `slipway new source URL` lists the tables.")
    wanted = Wanted(
        args.name,
        args.from_table,
        args.owner,
        tuple(args.key or ()),
        args.event_time,
        args.available_time,
        tuple(args.without or ()),
        args.starts,
    )
    with _answering():
        made = write_view(wanted, Path(args.folder) if args.folder else None)
    return Answer(made.lines(), made.as_json())


def _from_view(args: argparse.Namespace) -> Answer:
    from include.workflows.beginning.model import WantedModel, write_model

    wanted = WantedModel(args.name, args.from_view, args.label, args.owner, args.task, args.label_known)
    with _answering():
        made = write_model(wanted, Path(args.folder) if args.folder else None)
    return Answer(made.lines(), made.as_json())


@contextmanager
def _answering() -> Iterator[None]:
    """A source that does not answer, as one line about its address."""
    from include.adapters.source import SourceUnreachable
    from include.domain.errors import Unavailable

    try:
        yield
    except SourceUnreachable as error:
        raise Unavailable(
            f"The source cannot be read: {error.reason.rstrip('.')}. `slipway new source URL` names one."
        ) from None


def _model(args: argparse.Namespace) -> Answer:
    if args.from_view is not None:
        return _from_view(args)
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
        "write a project, or a view's or a model's declaration to start from",
        "slipway new view orders --from-table orders --event-time placed_at",
        _new,
        _arguments,
        group=VerbGroup.DECLARE,
    ),
)
