"""``validate`` and ``doctor``: is what was declared, and this machine, in order."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from include.commands import EXIT_FAILED, Answer, Mistake, Verb
from include.commands.services import place_arguments, place_of

if TYPE_CHECKING:
    from include.config import Declarations

_NEEDED_GB = 3.0
_PACKAGES = ("apache-airflow", "mlflow", "great-expectations", "deltalake", "duckdb", "scikit-learn", "sqlalchemy")


def _validate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", help="a folder with models/ and features/; default the project's include/")


def _validate(args: argparse.Namespace) -> Answer:
    from include.config import read_declarations

    root = Path(args.folder) if args.folder else None
    if root is not None and not root.is_dir():
        raise Mistake(f"{root} is not a folder.")
    read = read_declarations(root)
    problems = [problem for broken in read.broken.values() for problem in broken.problems]
    good = f"{len(read.views)} feature views and {len(read.models)} models can be used"
    names = [*(f"view {name}" for name in sorted(read.views)), *(f"model {name}" for name in sorted(read.models))]
    if not names and not problems:
        where = root or "include/"
        raise Mistake(f"{where} declares nothing; expected are models/*/model.yaml and features/*/view.yaml.")
    blind = _cannot_judge(read, of_project=root is None)
    lines = [*problems, *(f"note: {line}" for line in blind), f"{good}: {', '.join(names) or 'none'}."]
    if problems:
        lines.append(f"{len(read.broken)} files are broken; only what they declare is left out.")
    data = {"views": sorted(read.views), "models": sorted(read.models), "problems": problems, "notes": blind}
    return Answer(tuple(lines), data, EXIT_FAILED if problems else 0)


def _cannot_judge(read: Declarations, *, of_project: bool) -> list[str]:
    """What the sensor of each model can never judge; in numbers of rows where the project's ledger knows its days."""
    from include.adapters.ledger import LedgerError, LedgerUnavailable
    from include.config.settings import settings
    from include.workflows import common
    from include.workflows.judgeable import never_judged, rows_a_day

    rows: dict[str, float | None] = {}
    url, file = settings().ledger_url, "sqlite:///"
    if of_project and not (url.startswith(file) and not Path(url.removeprefix(file)).is_file()):
        try:
            with common.open_ledger() as ledger:
                rows = {name: rows_a_day(ledger, read, model) for name, model in read.models.items()}
        except (LedgerError, LedgerUnavailable) as error:
            return [f"how many rows a day has is not known: {error}"]
    return [line for name in sorted(read.models) for line in never_judged(read.models[name], rows.get(name))]


def _doctor(args: argparse.Namespace) -> Answer:
    from include.adapters.processes import PortTaken, PortUse, check_ports
    from include.workflows.services import read_running

    place = place_of(args)
    found: list[tuple[str, bool, str]] = []
    python = ".".join(str(part) for part in sys.version_info[:3])
    found.append(("Python", (3, 11) <= sys.version_info[:2] <= (3, 13), f"{python}, needed are 3.11 to 3.13"))
    for package in _PACKAGES:
        try:
            found.append((package, True, version(package)))
        except PackageNotFoundError:
            found.append((package, False, "is not installed; run `make setup`"))
    found += _ways_of_telling()
    home = place.home
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 1e9
    found.append(("disk", free >= _NEEDED_GB, f"{free:.0f} GB free for {home}, needed are {_NEEDED_GB:g}"))
    found.append(
        ("home", os.access(there, os.W_OK), f"{home} can{'' if os.access(there, os.W_OK) else 'not'} be written")
    )
    running = read_running(home)
    if running:
        found.append(("services", True, f"run in process {running.pid}: {running.airflow_url}, {running.mlflow_url}"))
    else:
        uses = [
            PortUse(place.ports.airflow, "Airflow", "--airflow-port or SLIPWAY_AIRFLOW_PORT"),
            PortUse(place.ports.mlflow, "MLflow", "--mlflow-port or SLIPWAY_MLFLOW_PORT"),
        ]
        try:
            check_ports(place.host, uses)
            found.append(("ports", True, f"{place.ports.airflow} and {place.ports.mlflow} are free"))
        except PortTaken as error:
            found.append(("ports", False, str(error)))
    for tool, needed, use in (("make", True, "`make run`"), ("git", False, "the revision on each run page")):
        where = shutil.which(tool)
        found.append((tool, where is not None or not needed, where or f"is missing; it is used for {use}"))
    lines = [f"{'ok ' if well else 'BAD'} {name:<20} {text}" for name, well, text in found]
    data = {"checks": [{"name": name, "ok": well, "found": text} for name, well, text in found]}
    return Answer(tuple(lines), data, 0 if all(well for _, well, _ in found) else EXIT_FAILED)


def _ways_of_telling() -> list[tuple[str, bool, str]]:
    """Whether what the models declare under ``notify.via`` can be sent from here."""
    from include.config import declarations
    from include.config.types import PROVIDERS

    asked: dict[str, list[str]] = {}
    for name, model in sorted(declarations().models.items()):
        asked.setdefault(model.notify.via, []).append(name)
    found = []
    for way, names in asked.items():
        package = PROVIDERS.get(way)
        who = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        try:
            found.append((f"notify {way}", True, version(package) if package else f"used by {who}"))
        except PackageNotFoundError:
            text = f"{who} declares notify.via {way}; install {package}, or declare smtp or file"
            found.append((f"notify {way}", False, text))
    return found


VERBS = (
    Verb(
        "validate",
        "read every declaration and name what is wrong, with file and line",
        "slipway validate",
        _validate,
        _validate_arguments,
    ),
    Verb(
        "doctor", "check this machine: Python, packages, disk, ports, tools", "slipway doctor", _doctor, place_arguments
    ),
)
