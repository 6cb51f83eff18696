"""``predictions``: what was answered to the rows of a day, and when."""

from __future__ import annotations

import argparse

from include.commands import Answer, Mistake, Verb, VerbGroup


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a declared model that answers ahead (score in its model.yaml)")
    parser.add_argument("day", help="the UTC day of the rows' events, for example 2013-06-03")
    parser.add_argument("--key", help="one row by its entity's key: every answer it was given, the last first known")
    parser.add_argument("--rows", type=int, default=20, metavar="N", help="how many rows; default 20")


def _predictions(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.domain.intervals import BadInstant
    from include.workflows.explain import answers

    if args.rows < 1:
        raise Mistake(f"--rows is {args.rows}; give 1 or more.")
    try:
        day = answers.day_of(args.day)
    except BadInstant as error:
        raise Mistake(f"DAY: {error}") from None
    use_running_services()
    found = answers.of_day(args.model, day, args.key)
    shown = found if args.key is not None else found[: args.rows]
    lines = [f"{each.sentence}{' *' if args.key is not None and each.counts else ''}" for each in shown]
    left = len(found) - len(shown)
    lines += [f"and {left:,} more; --rows shows more of them."] if left else []
    lines += ["* is the answer that counts."] if args.key is not None else []
    return Answer(tuple(lines), {"model": args.model, "day": day, "answers": [each.as_json() for each in shown]})


VERBS = (
    Verb(
        "predictions",
        "show what was answered to the rows of a day, when, and by which version",
        "slipway predictions flight_delay 2013-06-03 --rows 5",
        _predictions,
        _arguments,
        group=VerbGroup.ASK,
    ),
)
