"""``selftest`` and ``readiness``: do a model's gates stop what they are meant to stop, and what does its declaration
lack."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup

if TYPE_CHECKING:
    from include.config import ModelDeclaration
    from include.workflows.selftest.equal_models import LastHoldout


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

    model = declarations().model(args.model)
    report = readiness.report_on(model)
    equal = _equal_models(model)
    return Answer((*report.as_lines(), "", *equal.as_lines()), {**report.as_json(), "equal_model": equal.as_json()})


def _equal_models(model: ModelDeclaration) -> LastHoldout:
    """From the ledger, where there is one; a declaration can be read without."""
    from include.adapters.ledger import LedgerError, LedgerUnavailable
    from include.config.settings import settings
    from include.workflows import stores
    from include.workflows.selftest.equal_models import LastHoldout, from_last_holdout

    url, file = settings().ledger_url, "sqlite:///"
    if url.startswith(file) and not Path(url.removeprefix(file)).is_file():
        return LastHoldout(None, why_not="the project has no ledger yet")
    try:
        with stores.open_ledger() as ledger:
            return from_last_holdout(ledger, model)
    except (LedgerError, LedgerUnavailable) as error:
        return LastHoldout(None, why_not=str(error).rstrip("."))


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
