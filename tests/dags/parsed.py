"""Parses Dag files in a process of its own, as Airflow's processor does, and hands back what they define as plain data.

Run as a script it prints that data; imported, ``parse`` runs it with an environment of choice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
HEAVY = (
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "mlflow",
    "great_expectations",
    "duckdb",
    "deltalake",
    "pyarrow",
    "matplotlib",
)


@dataclass(frozen=True)
class Parsed:
    """What one parse of all Dag files gave."""

    dags: dict[str, dict[str, Any]]
    errors: dict[str, str]
    heavy: list[str]

    def ids(self, prefix: str = "") -> set[str]:
        return {dag_id for dag_id in self.dags if dag_id.startswith(prefix)}


def parse(home: Path, declarations: Path | None = None, extra: Mapping[str, str] | None = None) -> Parsed:
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")]),
        "AIRFLOW__API__BASE_URL": "http://127.0.0.1:8080",
        **({"SLIPWAY_DECLARATIONS": str(declarations)} if declarations else {}),
        **(extra or {}),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__],
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(done.stderr[-3000:])
    return Parsed(**json.loads(done.stdout.splitlines()[-1]))


def _main() -> None:
    import importlib.util

    from airflow.sdk.definitions._internal.contextmanager import DagContext

    dags: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for file in sorted((PROJECT / "dags").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"parsed_{file.stem}", file)
        if spec is None or spec.loader is None:
            raise ImportError(str(file))
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        DagContext.current_autoregister_module_name = spec.name
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # noqa: BLE001 - as the Dag processor does: any error is this file's
            errors[file.name] = f"{type(error).__name__}: {error}"
    for dag, _module in DagContext.autoregistered_dags:
        timetable = dag.timetable
        dags[dag.dag_id] = {
            "timetable": type(timetable).__name__,
            "start": dag.start_date.isoformat() if dag.start_date else None,
            "end": dag.end_date.isoformat() if dag.end_date else None,
            "catchup": dag.catchup,
            "paused": dag.is_paused_upon_creation,
            "tags": sorted(dag.tags),
            "doc": bool(dag.doc_md),
            "owner": dag.owner,
            "owner_links": dag.owner_links,
            "run_types": sorted(str(t.value) for t in dag.allowed_run_types) if dag.allowed_run_types else None,
            "params": {name: dag.params.get_param(name).schema for name in dag.params},
            "tasks": {
                t.task_id: {
                    "kind": type(t).__name__,
                    "after": sorted(t.upstream_task_ids),
                    "teardown": t.is_teardown,
                    "setup": t.is_setup,
                    "outlets": [getattr(o, "name", str(o)) for o in t.outlets],
                    "retries": t.retries,
                    "delay_s": t.retry_delay.total_seconds(),
                    "max_delay_s": t.max_retry_delay.total_seconds() if t.max_retry_delay else None,
                    "backoff": float(t.retry_exponential_backoff),
                    "told_of": {
                        what: [type(c).__name__ for c in _listed(getattr(t, f"on_{what}_callback"))]
                        for what in ("failure", "success")
                    },
                    "asks": sorted(t.params) if hasattr(t, "chosen_options") or hasattr(t, "response_timeout") else [],
                    "limit_s": t.execution_timeout.total_seconds() if t.execution_timeout else None,
                }
                for t in dag.tasks
            },
            "listens_to": _names(getattr(timetable, "asset_condition", None)),
        }
    print(json.dumps({"dags": dags, "errors": errors, "heavy": [m for m in HEAVY if m in sys.modules]}))


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def _names(condition: Any) -> list[str]:
    if condition is None:
        return []
    return sorted(a.name for a in getattr(condition, "objects", [condition]))


if __name__ == "__main__":
    _main()
