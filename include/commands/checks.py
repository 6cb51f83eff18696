"""``validate`` and ``doctor``: is what was declared, and this machine, in order."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from include.commands import EXIT_FAILED, Answer, Mistake, Verb
from include.commands.services import place_arguments, place_of

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
    lines = [*problems, f"{good}: {', '.join(names) or 'none'}."]
    if problems:
        lines.append(f"{len(read.broken)} files are broken; only what they declare is left out.")
    data = {"views": sorted(read.views), "models": sorted(read.models), "problems": problems}
    return Answer(tuple(lines), data, EXIT_FAILED if problems else 0)


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
