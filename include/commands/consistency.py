"""``consistency``: were requests answered from the features that the offline store gives for them?"""

from __future__ import annotations

import argparse

from include.commands import EXIT_FAILED, Answer, Verb, VerbGroup


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="the model's name")
    parser.add_argument("--from", dest="start", required=True, metavar="DAY", help="the first scored day to check")
    parser.add_argument("--to", dest="end", required=True, metavar="DAY", help="the day after the last")


def _consistency(args: argparse.Namespace) -> Answer:
    from include.domain.intervals import Interval
    from include.workflows.explain import consistency

    report = consistency.check(args.model, Interval.between(args.start, args.end))
    code = 0 if report.is_consistent else EXIT_FAILED
    return Answer(tuple(consistency.report_lines(report)), report.as_json(), code)


VERBS = (
    Verb(
        "consistency",
        "compare served features with the offline store, value by value",
        "slipway consistency flight_delay --from 2013-06-01 --to 2013-06-08",
        _consistency,
        _arguments,
        group=VerbGroup.KEEP,
    ),
)
