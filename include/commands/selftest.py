"""``selftest`` and ``readiness``: do a model's gates stop what they are meant to stop, and what does its declaration
lack."""

from __future__ import annotations

import argparse

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup


def _selftest_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="one model's name; default all declared models")
    parser.add_argument(
        "--made-rows",
        action="store_true",
        help="make rows from the declaration even where the store has real ones",
    )


def _selftest(args: argparse.Namespace) -> Answer:
    from include.commands.replay import Screen
    from include.config import declarations

    known = declarations()
    names = [known.model(args.model).name] if args.model else sorted(known.models)
    if not names:
        raise Mistake("No model can be used, so there is nothing to test; `slipway validate` says what is broken.")
    from include.domain.selftest import as_table
    from include.workflows.selftest import bench

    with Screen() as screen:
        found = [bench.run(name, stored=not args.made_rows, tell=screen.now) for name in names]
    lines = "\n\n".join(as_table(matrix) for matrix in found).splitlines()
    passed = all(matrix.passed for matrix in found)
    data = {"passed": passed, "models": [matrix.as_json() for matrix in found]}
    return Answer(tuple(lines), data, 0 if passed else EXIT_FAILED)


def _readiness_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="the model's name")


def _readiness(args: argparse.Namespace) -> Answer:
    from include.config import declarations
    from include.workflows.selftest import readiness

    report = readiness.report_on(declarations().model(args.model))
    return Answer(tuple(report.as_lines()), report.as_json())


VERBS = (
    Verb(
        "selftest",
        "prove that each gate stops a candidate made to fail it",
        "slipway selftest flight_delay",
        _selftest,
        _selftest_arguments,
        exit_codes="0 all stopped, 1 some passed, 64 bad input",
        group=VerbGroup.DECLARE,
    ),
    Verb(
        "readiness",
        "show what a model's declaration covers and lacks",
        "slipway readiness flight_delay",
        _readiness,
        _readiness_arguments,
        group=VerbGroup.DECLARE,
    ),
)
