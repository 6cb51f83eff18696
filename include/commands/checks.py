"""``validate`` and ``doctor``: are the declarations, and this machine, in order."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup
from include.commands.services import place_arguments, place_of
from include.domain.wording import count_of

if TYPE_CHECKING:
    from include.config import Declarations


def _validate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", help="a folder with models/ and features/; default the project's include/")


def _validate(args: argparse.Namespace) -> Answer:
    from include.config import BadDeclaration, read_declarations
    from include.config.loader import trusted_types

    root = Path(args.folder) if args.folder else None
    if root is not None and not root.is_dir():
        raise Mistake(f"{root} is not a folder.")
    read = read_declarations(root)
    problems = [problem for broken in read.broken.values() for problem in broken.problems]
    unbuildable = _cannot_be_built(read)
    problems += [line for lines in unbuildable.values() for line in lines]
    problems += _of_views(read)
    try:
        trusted_types(root / "models" if root else None)
    except BadDeclaration as error:
        problems += error.problems
    usable = [name for name in sorted(read.models) if name not in unbuildable]
    good = f"{len(read.views)} feature views and {len(usable)} models can be used"
    names = [*(f"view {name}" for name in sorted(read.views)), *(f"model {name}" for name in usable)]
    if not names and not problems:
        where = root or "include/"
        raise Mistake(f"{where} declares nothing; expected are models/*/model.yaml and features/*/view.yaml.")
    notes = [*_former_keys(root), *_not_fresh(read), *_cannot_judge(read, of_project=root is None)]
    lines = [*problems, *(f"note: {line}" for line in notes), f"{good}: {', '.join(names) or 'none'}."]
    if problems:
        broken_files = len(read.broken) + len(unbuildable)
        lines.append(f"{count_of(broken_files, 'file')} cannot be used; only what they declare is left out.")
    data = {"views": sorted(read.views), "models": usable, "problems": problems, "notes": notes}
    return Answer(tuple(lines), data, EXIT_FAILED if problems else 0)


def _of_views(read: Declarations) -> list[str]:
    """A line for each thing that a view names and that cannot be imported."""
    from include.config.loader import line_of
    from include.config.own_paths import wrong_in_view

    return [
        f"{line_of(view.file, where)}: {line}"
        for _, view in sorted(read.views.items())
        for where, line in wrong_in_view(view)
    ]


def _not_fresh(read: Declarations) -> list[str]:
    """A line for each view whose rows would be missing for most readers of the online store."""
    from include.config.loader import line_of
    from include.config.streaming import never_fresh

    return [
        f"{line_of(view.file, ('ttl',))}: {why}."
        for _, view in sorted(read.views.items())
        if (why := never_fresh(view)) is not None
    ]


def _cannot_be_built(read: Declarations) -> dict[str, list[str]]:
    """By model, a line for each thing it names that cannot be imported, made, or loaded again; only models with such
    lines."""
    from include.config.loader import line_of
    from include.config.own_paths import wrong_in
    from include.workflows.evidence.business import wrong_in as wrong_sql
    from include.workflows.scoring.fitted_models import cannot_be_built
    from include.workflows.selftest.seeds import unknown_seeds

    found: dict[str, list[str]] = {}
    for name, model in sorted(read.models.items()):
        known = {use.view: {c.name: c.kind for c in read.views[use.view].columns} for use in model.views}
        kinds = {feature: known[use.view][feature] for use in model.views for feature in use.features}
        spine = read.views[model.entity.view]
        wrong = [*wrong_in(model), *unknown_seeds(model), *wrong_sql(model, [*spine.keys, "event_time", *kinds])]
        unmade = cannot_be_built(model, kinds)
        if unmade is not None:
            wrong.append((tuple(int(part) if part.isdigit() else part for part in unmade[0].split(".")), unmade[1]))
        if wrong:
            found[name] = [f"{line_of(model.file, where)}: {line}" for where, line in wrong]
    return found


def _former_keys(root: Path | None) -> list[str]:
    """A line for each key of a declaration that has another name now; the former one is read, too."""
    from include.config import BadDeclaration, loader, old_keys

    folder = (root or loader.ROOT) / "models"
    found = []
    for file in (*folder.glob("tiers.yaml"), *sorted(folder.glob("*/model.yaml"))):
        try:
            data = loader.mapping_in(file)
        except BadDeclaration:
            continue  # what is wrong with it is among the problems
        tiers = data if file.name == "tiers.yaml" else {}
        for where, block in [((), data), *(((tier,), given) for tier, given in tiers.items())]:
            gates = block.get("gates") if isinstance(block, dict) else None
            for old, now in old_keys.FORMER.items():
                if isinstance(gates, dict) and old in gates:
                    place = (*where, "gates", old)
                    path = ".".join(place)
                    found.append(f"{loader.line_of(file, place)}: {path} is called {now} now; it is read all the same.")
    return found


def _cannot_judge(read: Declarations, *, of_project: bool) -> list[str]:
    """The parts of each model's sensor that can never judge, with numbers of rows when the project's ledger has its
    days."""
    from include.adapters.ledger import LedgerError, LedgerUnavailable
    from include.config.settings import settings
    from include.workflows import stores
    from include.workflows.drift.can_judge import never_judged, rows_a_day
    from include.workflows.gates.shadow import labels_too_late

    rows: dict[str, float | None] = {}
    url, file = settings().ledger_url, "sqlite:///"
    if of_project and not (url.startswith(file) and not Path(url.removeprefix(file)).is_file()):
        try:
            with stores.open_ledger() as ledger:
                rows = {name: rows_a_day(ledger, read, model) for name, model in read.models.items()}
        except (LedgerError, LedgerUnavailable) as error:
            return [f"how many rows a day has is not known: {error}"]
    late = {name: labels_too_late(model) for name, model in read.models.items()}
    return [
        line
        for name, model in sorted(read.models.items())
        for line in (*never_judged(model, rows.get(name)), *([f"{name}: {late[name]}"] if late[name] else []))
    ]


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
        "read every declaration and name what is wrong, with file and line",
        "slipway validate",
        _validate,
        _validate_arguments,
        group=VerbGroup.DECLARE,
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
