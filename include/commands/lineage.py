"""``lineage``: what a prediction or a candidate came from, and what a day of a feature view went into."""

from __future__ import annotations

import argparse

from include.commands import Answer, Mistake, Verb, VerbGroup


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


VERBS = (
    Verb(
        "lineage",
        "show what a prediction came from, or what a day of a feature view went into",
        "slipway lineage origin_weather 2013-06-01",
        _lineage,
        _arguments,
        group=VerbGroup.ASK,
    ),
)
