"""``repair``: compare every store with the ledger, and restore in one what the ledger promised."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup


def _arguments(parser: argparse.ArgumentParser) -> None:
    from include.workflows.pairs import CHECKS

    can = "; ".join(f"{check.name} {check.repairs}" for check in CHECKS if check.repairs)
    parser.add_argument(
        "pair",
        nargs="?",
        choices=[check.name for check in CHECKS],
        help=f"the store to repair; without it every pair is compared and nothing is repaired. {can}",
    )
    parser.add_argument("name", nargs="?", help="one view or model; default: all")
    parser.add_argument("--check", action="store_true", help="say what differs and repair nothing")


def _repair(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.workflows import pairs
    from include.workflows.pairs import PairState

    use_running_services()
    now = datetime.now(UTC)
    if args.pair is None or args.check:
        found = pairs.compare(now, None if args.pair is None else [args.pair])
        if args.name is not None:
            found = [f for f in found if f.about.split()[0] == args.name or f.state is PairState.NOT_COMPARED]
    else:
        check = pairs.check_named(args.pair)
        if check.repairs is None:
            raise Mistake(
                f"{check.title}: no program can repair this pair; `slipway repair {check.name} --check` says what "
                "differs."
            )
        found = check.repair(now, args.name)
    lines = [finding.line for finding in found] or ["Nothing to compare."]
    wrong = any(finding.state is not PairState.AGREES for finding in found)
    repairable = sorted({f.pair for f in found if f.state is PairState.DIFFERS and pairs.check_named(f.pair).may_help})
    if args.pair is None or args.check:
        lines += [f"To repair: slipway repair {name}" for name in repairable]
    return Answer(tuple(lines), {"findings": [f.as_json() for f in found], "agrees": not wrong}, wrong * EXIT_FAILED)


VERBS = (
    Verb(
        "repair",
        "compare every store with the ledger, or repair one",
        "slipway repair                 what differs, and nothing is changed\n"
        "  slipway repair online --check  the same, of one pair\n"
        "  slipway repair online origin_weather",
        _repair,
        _arguments,
        exit_codes="1 while something differs or does not answer",
        group=VerbGroup.KEEP,
    ),
)
