"""``validate`` and ``doctor``: are the declarations, and this machine, in order."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from include.commands import EXIT_FAILED, EXIT_UNAVAILABLE, Answer, Mistake, Verb, VerbGroup
from include.commands.services import place_arguments, place_of
from include.domain.wording import count_of


def _validate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", help="a folder with models/ and features/; default the project's include/")
    parser.add_argument(
        "--offline", action="store_true", help="check only what needs no source; its SQL is not bound then"
    )


def _validate(args: argparse.Namespace) -> Answer:
    from include.workflows.validation import declared

    root = Path(args.folder) if args.folder else None
    if root is not None and not root.is_dir():
        raise Mistake(f"{root} is not a folder.")
    found = declared.validate(root, offline=args.offline)
    if found.is_empty:
        where = root or "include/"
        raise Mistake(f"{where} declares nothing; expected are models/*/model.yaml and features/*/view.yaml.")
    names = [*(f"view {name}" for name in found.views), *(f"model {name}" for name in found.models)]
    good = f"{count_of(len(found.views), 'feature view')} and {count_of(len(found.models), 'model')} can be used"
    lines = [*found.problems, *(f"note: {line}" for line in found.notes), f"{good}: {', '.join(names) or 'none'}."]
    if found.problems:
        lines.append(f"{count_of(found.broken, 'file')} cannot be used; only what they declare is left out.")
    if found.not_bound is not None:
        lines.append(f"Not checked: {found.not_bound}")
    data = {
        "views": list(found.views),
        "models": list(found.models),
        "problems": list(found.problems),
        "notes": list(found.notes),
        "not_checked": found.not_bound,
    }
    code = EXIT_FAILED if found.problems else EXIT_UNAVAILABLE if found.not_bound and not args.offline else 0
    return Answer(tuple(lines), data, code)


def _doctor(args: argparse.Namespace) -> Answer:
    from include.workflows.services import machine
    from include.workflows.services.supervisor import read_running

    place = place_of(args)
    found = machine.checks(place)
    running = read_running(place.home)
    if running:
        text = f"run in process {running.pid}: {running.airflow_url}, {running.mlflow_url}"
        found.append(machine.MachineCheck("services", True, text))
    else:
        found.append(machine.ports(place))
    for tool, needed, use in (("make", True, "`make run`"), ("git", False, "the revision on each run page")):
        where = shutil.which(tool)
        found.append(
            machine.MachineCheck(tool, where is not None or not needed, where or f"is missing; it is used for {use}")
        )
    lines = [f"{'ok ' if check.ok else 'BAD'} {check.name:<20} {check.found}" for check in found]
    data = {"checks": [{"name": check.name, "ok": check.ok, "found": check.found} for check in found]}
    return Answer(tuple(lines), data, 0 if all(check.ok for check in found) else EXIT_FAILED)


VERBS = (
    Verb(
        "validate",
        "read every declaration, bind its SQL to the source, and name what is wrong, with file and line",
        "slipway validate",
        _validate,
        _validate_arguments,
        group=VerbGroup.DECLARE,
        exit_codes="0 all can be used, 1 something is wrong, 69 the source did not answer and nothing else is wrong",
    ),
    Verb(
        "doctor",
        "check this machine: Python, packages, disk, ports, tools",
        "slipway doctor",
        _doctor,
        place_arguments,
        group=VerbGroup.START,
    ),
)
