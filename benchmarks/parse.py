"""CPU of parsing all Dag files, beyond importing Airflow; and that no heavy library was loaded by it.

The limit is the same number of Dags and operators written by hand with Airflow alone, parsed in the same run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

from benchmarks._common import report
from include.workflows.services.environment import Place, environment, prepare_home

PROJECT = Path(__file__).resolve().parents[1]
TIMES = 5

BEGIN = """
import resource, sys, time, json
import airflow.sdk
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.triggers.base import BaseTrigger
before = set(sys.modules)
began = time.process_time()
"""
OURS = """
import importlib.util
for file in sorted(Path(DAGS).glob("*.py")):
    spec = importlib.util.spec_from_file_location("parsed_" + file.stem, file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""
BARE = """
from airflow.sdk import dag, task
for i in range(DAGS):
    @dag(dag_id=f"bare_{i}", schedule=None)
    def bare():
        @task
        def one(): ...
        before = one()
        for j in range(4):
            @task(task_id=f"t{j}")
            def next_one(x): ...
            before = next_one(before)
    bare()
"""
END = """
heavy = ("pandas", "sklearn", "mlflow", "great_expectations", "sqlalchemy")
heavy += ("numpy", "duckdb", "deltalake", "pyarrow", "scipy")
print(json.dumps({
    "cpu_s": time.process_time() - began,
    "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "heavy": [name for name in heavy if name in sys.modules and name not in before],
}))
"""


class Parsed(TypedDict):
    """What one process said about its parsing: seconds of CPU, memory, and the heavy libraries it loaded."""

    cpu_s: float
    rss_mb: float
    heavy: list[str]


def measured(work: str, setting: str, env: dict[str, str]) -> list[Parsed]:
    code = f"from pathlib import Path\nDAGS = {setting}\n{BEGIN}{work}{END}"
    runs: list[Parsed] = []
    for _ in range(TIMES):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], env=env, capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return runs


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        place = Place(Path(home))
        prepare_home(place)
        env = environment(place, os.environ)
        env["PYTHONPATH"] += f"{os.pathsep}{PROJECT / 'plugins'}"
        ours = measured(OURS, repr(str(PROJECT / "dags")), env)
        bare = measured(BARE, "14", env)
    heavy = sorted({name for run in ours for name in run["heavy"]})
    report(
        "parse",
        statistics.median(r["cpu_s"] for r in ours),
        "s of CPU beyond importing Airflow",
        statistics.median(r["cpu_s"] for r in bare),
        max(r["rss_mb"] for r in ours),
        promised=1.5,
        heavy_modules_loaded=heavy,
    )


if __name__ == "__main__":
    main()
