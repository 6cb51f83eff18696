"""``lineage``: what a prediction or a candidate came from, and what a day of a feature view went into. ``worth``: what
a promotion brought."""

from __future__ import annotations

import argparse

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup

NOT_JUDGED = 2


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", help="a prediction id (CANDIDATE|REQUEST), a candidate id, or a feature view's name")
    parser.add_argument("day", nargs="?", help="with a feature view: the day, for example 2013-06-01")


def _lineage(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.config import declarations
    from include.workflows.explain import lineage

    use_running_services()
    declared = declarations()
    if args.day is not None:
        found = lineage.of_day(args.what, args.day)
    elif "|" in args.what:
        found = lineage.of_prediction(args.what)
    elif args.what in declared.views:
        raise Mistake(
            f"{args.what} is a feature view; say which day, for example: slipway lineage {args.what} 2013-06-01"
        )
    elif args.what in declared.models:
        raise Mistake(f"{args.what} is a model; `slipway history {args.what}` lists the candidates to ask about.")
    else:
        found = lineage.of_candidate(args.what)
    return Answer(tuple(found.lines()), found.as_json())


def _worth_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a declared model")
    parser.add_argument("--revision", type=int, metavar="N", help="of the promotion; default the newest")
    parser.add_argument("--until", metavar="DAY", help="day after the last; default the day after the newest report")


def _worth(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.domain.intervals import instant, midnight
    from include.workflows.explain.worth import worth

    use_running_services()
    until = midnight(instant(args.until)) if args.until else None
    found = worth(args.model, revision=args.revision, until=until)
    code = NOT_JUDGED if found.better is None else 0 if found.better else EXIT_FAILED
    return Answer((found.sentence,), found.as_json(), code)


VERBS = (
    Verb(
        "lineage",
        "show what a prediction came from, or what a day of a feature view went into",
        "slipway lineage origin_weather 2013-06-01",
        _lineage,
        _arguments,
        group=VerbGroup.ASK,
    ),
    Verb(
        "worth",
        "say what a promotion was worth: the loss with it, and what it would have been without",
        "slipway worth air_time --revision 2",
        _worth,
        _worth_arguments,
        group=VerbGroup.ASK,
        exit_codes="0 better with it, 1 worse with it, 2 not judged, or these days do not tell",
    ),
)
