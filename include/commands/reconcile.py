"""``reconcile``: compare MLflow with the ledger."""

from __future__ import annotations

import argparse
import getpass
from datetime import UTC, datetime

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", default=None, help="one model; default: every model the ledger has met")
    parser.add_argument(
        "--accept-ledger",
        action="store_true",
        help="take a ledger that lacks epochs for the truth: the newer one is gone for good; needs MODEL and --reason",
    )
    parser.add_argument("--reason", default=None, help="why the newer ledger's epochs are given up; it is kept")
    parser.add_argument("--by", default=None, metavar="NAME", help="who decides; default: the user of this shell")


def _reconcile(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.workflows import stores
    from include.workflows.release import reconcile

    use_running_services()
    if args.model is not None:
        with stores.open_ledger() as ledger:
            known = ledger.candidates.models()
        if args.model not in known:
            from include.config import declarations

            declarations().model(args.model)
    if args.accept_ledger:
        if args.model is None or not (args.reason or "").strip():
            raise Mistake("--accept-ledger gives up epochs of one model for good: name the MODEL and a --reason.")
        who = args.by or getpass.getuser()
        found = reconcile.accept_ledger(args.model, reason=args.reason, who=who, now=datetime.now(UTC))
    else:
        found = reconcile.reconcile(None if args.model is None else [args.model])
    needed = any(f.action is reconcile.AliasRepair.NEEDS_A_PERSON for f in found)
    lines = [f"{f.model}  {f.kind.value}  {f.action.value.replace('_', ' ')}: {f.message}" for f in found]
    lines = lines or ["The registry says what the ledger says."]
    data = {"findings": [f.as_json() for f in found], "needs_a_person": needed}
    return Answer(tuple(lines), data, EXIT_FAILED if needed else 0)


VERBS = (
    Verb(
        "reconcile",
        "compare MLflow's aliases and versions with the ledger",
        "slipway reconcile flight_delay --json",
        _reconcile,
        _arguments,
        exit_codes="1 when a person is needed",
        group=VerbGroup.KEEP,
    ),
)
