"""``why``: which rows a model's requests are answered by, and what keeps them from a value."""

from __future__ import annotations

import argparse

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup

MOST_ROWS = 50


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a declared model")
    parser.add_argument(
        "--as-of", required=True, metavar="WHEN", help="the moment of a training, UTC: its window is looked at"
    )
    parser.add_argument("--rows", type=int, default=5, metavar="N", help="requests shown for each view; default 5")


def _why(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.config import declarations
    from include.domain.intervals import BadInstant, instant
    from include.domain.journey import training_windows
    from include.workflows.scoring import nearest_rows

    if not 1 <= args.rows <= MOST_ROWS:
        raise Mistake(f"--rows is {args.rows}; give 1 to {MOST_ROWS}.")
    try:
        as_of = instant(args.as_of)
    except BadInstant as error:
        raise Mistake(f"--as-of: {error}") from None
    use_running_services()
    declared = declarations()
    model = declared.model(args.model)
    training = model.training
    window = training_windows(as_of, training.window_days, training.holdout_days, model.label.delay).train
    lines, data, unanswered = [f"{model.name} as of {as_of:%Y-%m-%d %H:%M}: the rows of {window}."], [], False
    for use in model.views:
        found = nearest_rows.near(model, declared.view(use.view), window, declared)
        answered = sum(each.outcome(found.ttl) == "answers" for each in found.nearest)
        looked = len(found.nearest)
        unanswered = unanswered or answered == 0
        lines += ["", f"{use.view}: {answered} of {looked} requests that were looked at are answered."]
        if answered < looked or not looked:
            lines.append(f"  Cause: {found.cause}.")
        shown = [each for each in found.nearest if each.outcome(found.ttl) != "answers"] or list(found.nearest)
        step = max(1, len(shown) // args.rows)
        for each in shown[::step][: args.rows]:
            keys = ", ".join(f"{key} {value!r}" for key, value in each.keys.items())
            lines.append(f"  {keys}, asked {_time(each.asked)}: {each.outcome(found.ttl)}")
            for side, row in (("before", each.before), ("after", each.after)):
                told = f"event {_time(row.event)}, available {_time(row.available)}" if row else "none"
                lines.append(f"      nearest {side:<6} {told}")
        data.append(
            {
                "view": use.view,
                "looked_at": looked,
                "answered": answered,
                "cause": found.cause if answered < looked or not looked else None,
                "nearest": [
                    {
                        "keys": each.keys,
                        "asked": each.asked,
                        "outcome": each.outcome(found.ttl),
                        **{
                            side: row and {"event": row.event, "available": row.available}
                            for side, row in (("before", each.before), ("after", each.after))
                        },
                    }
                    for each in found.nearest
                ],
            }
        )
    shown_as = {"model": model.name, "as_of": as_of, "start": window.start, "end": window.end, "views": data}
    return Answer(tuple(lines), shown_as, EXIT_FAILED if unanswered else 0)


def _time(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


VERBS = (
    Verb(
        "why",
        "show which rows of the views a model's rows are given, and why a value is missing",
        "slipway why flight_delay --as-of 2013-06-01",
        _why,
        _arguments,
        group=VerbGroup.ASK,
        exit_codes="0 each view answers some, 1 one answers none",
    ),
)
