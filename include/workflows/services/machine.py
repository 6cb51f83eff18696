"""Is this machine in order: ``slipway doctor`` reports everything, ``slipway up`` checks it before it starts
anything."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from include.adapters.ports import PortTaken, PortUse, check_ports
from include.config import Declarations
from include.config.notify import WAYS
from include.config.settings import settings, what_is_wrong_with
from include.workflows.services.environment import Place

NEEDED_GB = 3.0
"""Free space below which the disk is called too full: a first start and a week of the example take about this."""
LEAST_GB = 0.2
"""Free space below which nothing can be started: not even the databases' journals have room."""
PACKAGES = ("apache-airflow", "mlflow", "great-expectations", "deltalake", "duckdb", "scikit-learn", "sqlalchemy")


@dataclass(frozen=True, slots=True)
class MachineCheck:
    """One thing that was checked."""

    name: str
    ok: bool
    found: str
    stops: bool = False
    """Whether the services cannot be started in this state."""


def checks(place: Place) -> list[MachineCheck]:
    """Everything that can be seen without starting anything, but for the ports."""
    return [_python(), *(_package(name) for name in PACKAGES), *ways_of_telling(), _links(place), *_disk(place)]


def ports(place: Place) -> MachineCheck:
    """Whether the services' ports are free."""
    try:
        check_ports(place.host, port_uses(place))
    except PortTaken as error:
        return MachineCheck("ports", False, str(error), stops=True)
    return MachineCheck("ports", True, f"{place.ports.airflow} and {place.ports.mlflow} are free")


def port_uses(place: Place) -> list[PortUse]:
    return [
        PortUse(place.ports.airflow, "Airflow", "--airflow-port or SLIPWAY_AIRFLOW_PORT"),
        PortUse(place.ports.mlflow, "MLflow", "--mlflow-port or SLIPWAY_MLFLOW_PORT"),
    ]


def ways_of_telling() -> list[MachineCheck]:
    """Whether what the models, the views and the operator's settings name can be sent from here."""
    from include.config import declarations
    from include.config.notify import PROVIDERS

    declared, chosen = declarations(), settings()
    asked: dict[str, list[str]] = {}
    for name, model in sorted(declared.models.items()):
        asked.setdefault(model.notify.via, []).append(name)
    for name, view in sorted(declared.views.items()):
        if view.notify.via != "file":
            asked.setdefault(view.notify.via, []).append(f"view {name}")
    found = []
    if chosen.operator_via not in WAYS:
        text = f"SLIPWAY_OPERATOR_VIA is {chosen.operator_via!r}; allowed are {', '.join(WAYS)}"
        found.append(MachineCheck("notify operator", False, text))
    elif chosen.operator_via != "file":
        asked.setdefault(chosen.operator_via, []).append("SLIPWAY_OPERATOR_VIA")
    found += _own_notifiers(declared)
    asked.pop("path", None)
    for way, names in asked.items():
        package = PROVIDERS.get(way)
        who = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        try:
            found.append(MachineCheck(f"notify {way}", True, version(package) if package else f"used by {who}"))
        except PackageNotFoundError:
            text = f"{who} declares notify.via {way}; install {package}, or declare smtp or file"
            found.append(MachineCheck(f"notify {way}", False, text))
    return found


def _own_notifiers(declared: Declarations) -> list[MachineCheck]:
    """Whether each function of a team's own that notifies people can be imported here."""
    from include.config.importing import BadPath

    found = []
    channels = {name: view.notify for name, view in declared.views.items()}
    for name, channel in sorted({**channels, **{name: m.notify for name, m in declared.models.items()}}.items()):
        if channel.via == "path":
            try:
                channel.function()
                found.append(MachineCheck(f"notify {name}", True, str(channel.path)))
            except BadPath as error:
                found.append(MachineCheck(f"notify {name}", False, str(error)))
    return found


def _python() -> MachineCheck:
    python = ".".join(str(part) for part in sys.version_info[:3])
    return MachineCheck(
        "Python", (3, 11) <= sys.version_info[:2] <= (3, 13), f"{python}, needed are 3.11 to 3.13", stops=True
    )


def _package(name: str) -> MachineCheck:
    try:
        return MachineCheck(name, True, version(name))
    except PackageNotFoundError:
        return MachineCheck(name, False, "is not installed; run `make setup`", stops=True)


def _links(place: Place) -> MachineCheck:
    url = settings().url if os.environ.get("SLIPWAY_URL") else place.airflow_url
    wrong = what_is_wrong_with(url)
    here = "" if os.environ.get("SLIPWAY_URL") else "; set SLIPWAY_URL where people read them on other machines"
    return MachineCheck("links", wrong is None, wrong or f"notices link to {url}{here}")


def _disk(place: Place) -> list[MachineCheck]:
    home = place.home
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 1e9
    # A nearly full disk is shown with decimals: "0 GB free" would say less.
    shown = f"{free:.0f}" if free >= 10 else f"{free:.2g}"
    full = f"{shown} GB free for {home}, needed are {NEEDED_GB:g}"
    return [
        MachineCheck("disk", free >= NEEDED_GB, full, stops=free < LEAST_GB),
        _writable(home, there),
    ]


def _writable(home: Path, there: Path) -> MachineCheck:
    can = there.is_dir() and os.access(there, os.W_OK)
    return MachineCheck("home", can, f"{home} can{'' if can else 'not'} be written", stops=True)
