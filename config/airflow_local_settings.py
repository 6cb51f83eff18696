"""Imports the heavy libraries once, in the process that tasks are forked from.

Airflow imports this module in every one of its processes. The LocalExecutor forks each task from the scheduler, and a
Celery worker from its parent, so what those have imported, a task finds loaded: without it a task spends five seconds
importing before it does anything. The other processes (Dag parsing, API server, triggerer) stay light.

Only imports: no connection is opened, nothing is computed, so that no thread and no socket exists at the fork.
"""

import importlib
import os
import pkgutil
import sys
import threading
import time
import warnings
from typing import Any

__all__: list[str] = []  # Airflow would take over every name listed here as a setting of its own.

TASKS_ARE_FORKED_FROM = ({"scheduler"}, {"celery", "worker"})

MODULES = (
    # What a task uses.
    "pandas",
    "pyarrow.dataset",
    "sqlalchemy",
    "duckdb",
    "deltalake",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.compose",
    "mlflow",
    "mlflow.sklearn",
    "skops.io",
    "great_expectations",
    "matplotlib.figure",
    # What runs a task.
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.operators.hitl",
    "airflow.providers.standard.operators.trigger_dagrun",
    "slipway_airflow.warm",
)


def preload() -> None:
    """Import everything a task needs. What is missing is named, and costs the first task that needs it."""
    began = time.monotonic()
    missing = []
    plugins = os.environ.get("AIRFLOW__CORE__PLUGINS_FOLDER")
    if plugins and plugins not in sys.path:
        sys.path.append(plugins)  # Airflow does so too, but later
    with warnings.catch_warnings():
        # skops looks at every attribute of every module, Airflow's deprecated ones included.
        warnings.simplefilter("ignore")
        for name in [*MODULES, *project_modules()]:
            try:
                importlib.import_module(name)
            except ImportError as error:
                missing.append(f"{name} ({error})")
    threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    # Airflow sets up its logging later than this.
    print(
        f"Slipway: preloaded what tasks need in {time.monotonic() - began:.1f} s;",
        f"not found: {', '.join(missing) or 'none'}; other threads: {', '.join(threads) or 'none'}.",
        flush=True,
    )


def project_modules() -> list[str]:
    """Slipway's own code, as modules: only code, never a declaration, which every task reads anew."""
    found = []
    for package in ("include.config", "include.domain", "include.adapters", "include.workflows"):
        folder = importlib.import_module(package).__path__
        found += [module.name for module in pkgutil.walk_packages(folder, f"{package}.")]
    return [name for name in found if ".migrations" not in name]


def spare_the_disk() -> None:
    """On SQLite, Airflow's bookkeeping does not wait for the disk at each of its thousands of commits.

    In write-ahead mode that can lose the last moments before a power cut, never the database's consistency; a run that
    is then repeated changes nothing. Only Airflow's own file is meant: the ledger goes on waiting for the disk.
    """
    url = os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "")
    if not url.startswith("sqlite:///"):
        return
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    own = os.path.realpath(url.removeprefix("sqlite:///"))

    @event.listens_for(Engine, "connect")
    def relax(connection: Any, _record: object) -> None:
        if type(connection).__module__.partition(".")[0] not in ("sqlite3", "sqlalchemy"):
            return
        cursor = connection.cursor()
        cursor.execute("PRAGMA database_list")
        if own in {os.path.realpath(row[2]) for row in cursor.fetchall() if row[2]}:
            cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()


def tell_time_finely() -> None:
    """On SQLite, the scheduler's "now" has milliseconds; SQLite's own has whole seconds.

    A queued run starts once its time is at or before now. Against a clock of whole seconds it waits for the next one:
    half a second on average for each run, three times in a row for a day of features, scores and drift.
    """
    from sqlalchemy.ext.compiler import compiles
    from sqlalchemy.sql.functions import now

    @compiles(now, "sqlite")
    def fine(element: object, compiler: object, **kwargs: object) -> str:
        return "strftime('%Y-%m-%d %H:%M:%f', 'now')"


spare_the_disk()
if "scheduler" in sys.argv:
    tell_time_finely()
if any(words <= set(sys.argv) for words in TASKS_ARE_FORKED_FROM):
    preload()
