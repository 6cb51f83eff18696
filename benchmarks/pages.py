"""How long the pages take with 200 models and 2,000 journeys in the ledger: `make bench B=pages`.

Every page is asked for through the application itself, without Airflow's auth manager, so that only Slipway's own work
is measured. The promise is 300 ms of server time for the slowest page. The bare library is the ledger's rows of the
models page read by SQLAlchemy and nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks._common import own_peak_mb, report

START = datetime(2013, 1, 1, tzinfo=UTC)
FEATURES = 30
PROMISE_MS = 300.0


def fill(url: str, models: int, journeys: int, days: int) -> None:
    """A ledger as a busy year leaves it, written in bulk."""
    from sqlalchemy import insert

    from include.adapters.ledger import Ledger, drift_report_id, tables
    from include.domain.journey import candidate_id
    from include.domain.verdicts import Direction, GateResult, Mode, against_bound

    criteria = tuple(
        against_bound(f"slice={i} brier", 0.1 + i / 1000, Direction.AT_MOST, 0.2, rows=5000, champion=0.12)
        for i in range(12)
    )
    gates = ("training_data_gate", "threshold_gate", "champion_gate", "slice_gate", "smoke_gate", "shadow_gate")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in tables.metadata.tables}
    for m in range(models):
        model = f"model_{m:03d}"
        for j in range(journeys // models):
            as_of = START + timedelta(days=30 * j)
            run_id, opened = f"run-{j}", as_of + timedelta(hours=1)
            key = candidate_id(model, as_of, run_id)
            last = j == journeys // models - 1
            rows["candidates"].append(
                {
                    "candidate_id": key,
                    "model": model,
                    "run_id": run_id,
                    "as_of": as_of,
                    "trigger_kind": "api",
                    "reason": "bench",
                    "requested_by": "bench",
                    "state": "champion" if last else "retired",
                    "live": False,
                    "artifact_digest": key,
                    "training_set_hash": "t",
                    "mlflow_run_id": f"m{j}",
                    "model_version": str(j + 1),
                    "outcome": f"Promoted as version {j + 1}.",
                    "opened_at": opened,
                }
            )
            for n, state in enumerate(("opened", "trained", "challenger", "shadowing", "champion"), 1):
                rows["candidate_transitions"].append(
                    {
                        "candidate_id": key,
                        "number": n,
                        "to_state": state,
                        "actor": "bench",
                        "reason": "bench",
                        "event": None,
                        "from_state": None,
                        "recorded_at": opened + timedelta(minutes=n),
                    }
                )
            for gate in gates:
                result = GateResult(gate, Mode.BLOCKING, criteria)
                rows["gate_results"].append(
                    {
                        "candidate_id": key,
                        "gate": gate,
                        "attempt": 1,
                        "mode": "blocking",
                        "verdict": "PASS",
                        "digest": key,
                        "run_id": run_id,
                        "evidence": result.as_json(),
                        "recorded_at": opened,
                    }
                )
            rows["deployment_history"].append(
                {
                    "model": model,
                    "revision": j + 1,
                    "kind": "promotion",
                    "to_candidate": key,
                    "digest": key,
                    "model_version": str(j + 1),
                    "effective_from": as_of,
                    "actor": "bench",
                    "reason": "bench",
                    "from_candidate": None,
                    "run_id": run_id,
                    "cleared_by": {},
                    "recorded_at": opened,
                }
            )
        rows["deployments"].append({"model": model, "revision": journeys // models, "candidate_id": key})
        for d in range(days):
            day = f"{START + timedelta(days=d):%Y-%m-%d}"
            report_id = drift_report_id(model, "1", day)
            rows["drift_reports"].append(
                {
                    "report_id": report_id,
                    "model": model,
                    "model_version": "1",
                    "day": day,
                    "run_id": f"d{d}",
                    "report": _report(day),
                    "recorded_at": START + timedelta(days=d),
                }
            )
            rows["retrain_decisions"].append(
                {
                    "report_id": report_id,
                    "model": model,
                    "day": day,
                    "action": "log",
                    "rule": "0 nothing",
                    "reason": "Nothing to do.",
                    "numbers": {},
                    "recorded_at": START + timedelta(days=d),
                }
            )
    with Ledger.open(url) as ledger, ledger.database.engine.connect() as connection:
        for table in tables.metadata.sorted_tables:
            if rows[table.name]:
                connection.execute(insert(table), rows[table.name])
        connection.exec_driver_sql("COMMIT")


def _report(day: str) -> dict[str, Any]:
    names = [f"feature_{i:02d}" for i in range(FEATURES)]
    features = [
        {
            "name": n,
            "drifted": False,
            "reason": f"{n} did not drift.",
            "effect": 0.1,
            "importance": 1.0,
            "missing_share": 0.0,
            "reference_missing_share": 0.0,
            "new_categories": [],
        }
        for n in names
    ]
    plot = {"kind": "numeric", "missing": [0, 0], "edges": list(range(11)), "reference": [9] * 12, "current": [8] * 12}
    realised = {"metric": "brier", "recent_risk": 0.15, "reference_risk": 0.15, "tolerance": 0.01, "reason": "In band."}
    return {
        "rows": 900,
        "flags": {"day": day, "realised": False},
        "realised": realised,
        "estimated": {"risk": 0.15, "void": False},
        "broken": [],
        "outside": [],
        "inputs": {"reason": "quiet", "features": features},
        "predictions": {"reason": "quiet"},
        "histograms": dict.fromkeys(names, plot),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.pages", description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--journeys", type=int, default=2000)
    parser.add_argument("--days", type=int, default=120, help="judged days of each model")
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'ledger.db'}"
        os.environ |= {"SLIPWAY_HOME": folder, "SLIPWAY_LEDGER_URL": url, "AIRFLOW_HOME": folder}
        os.environ.setdefault("AIRFLOW__API__SECRET_KEY", "bench")
        began = time.perf_counter()
        fill(url, args.models, args.journeys, args.days)
        print(f"A ledger of {args.models} models and {args.journeys} journeys: {time.perf_counter() - began:.0f} s.")
        return _measure(args.repeats, url)


def _measure(repeats: int, url: str) -> int:
    from include.config.settings import PROJECT

    sys.path.insert(0, str(PROJECT / "plugins"))
    client = _client()
    with_candidate = _newest_candidate(url)
    pages = {
        "models": "/slipway/",
        "model": "/slipway/models/model_007",
        "release": f"/slipway/candidates/{with_candidate}",
        "drift": "/slipway/drift/model_007-v1-20130201",
        "models as JSON": "/slipway/api/v1/models",
    }
    medians: dict[str, float] = {}
    for name, path in pages.items():

        def ask(path: str = path) -> None:
            answer = client.get(path, headers={"accept": "text/html"})
            if answer.status_code != 200:
                raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text[:300]}")

        first, began_cpu = _timed(ask), time.process_time()
        times = [_timed(ask) for _ in range(repeats)]
        cpu = (time.process_time() - began_cpu) * 1000 / repeats
        medians[name] = statistics.median(times)
        print(
            f"{name:<15} {medians[name]:7.1f} ms median, {max(times):7.1f} ms worst, {first:7.1f} ms the first time, "
            f"{cpu:7.1f} ms of processor each"
        )
    slowest = max(medians.values())
    bare = statistics.median(_timed(lambda: _bare(url)) for _ in range(repeats))
    shown = {name.replace(" ", "_"): round(value, 1) for name, value in medians.items()}
    report("pages", slowest, "ms", bare, own_peak_mb(), promised_ms=PROMISE_MS, **shown)
    return 0 if slowest <= PROMISE_MS else 1


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _client() -> Any:
    """The application with everybody an operator: Airflow's own check needs Airflow's database."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from slipway_airflow.pages import access, html_routes, rest_routes
    from slipway_airflow.pages.app import make_app

    class Somebody:
        def get_name(self) -> str:
            return "bench"

        def get_id(self) -> str:
            return "bench"

    app = make_app()
    app.dependency_overrides[access.signed_in] = Somebody
    doors: Any = html_routes
    doors.may_act = lambda *_: True
    for doors in (html_routes, rest_routes):
        doors.require_read = lambda *_: None
        doors.readable = lambda _, models: set(models)
    root = FastAPI()
    root.mount("/slipway", app)
    return TestClient(root)


def _newest_candidate(url: str) -> str:
    from include.adapters.ledger import Ledger

    with Ledger.open(url) as ledger:
        return ledger.overview.candidates("model_007", last=1)[0].candidate_id


def _bare(url: str) -> None:
    """The rows behind the models page and nothing else."""
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(
            text("SELECT h.* FROM deployment_history h JOIN deployments d USING (model, revision)")
        ).fetchall()
        connection.execute(
            text(
                "SELECT c.* FROM candidates c JOIN (SELECT model, max(opened_at) t FROM candidates GROUP BY model) n "
                "ON c.model = n.model AND c.opened_at = n.t"
            )
        ).fetchall()
        connection.execute(
            text(
                "SELECT r.* FROM retrain_decisions r JOIN (SELECT model, max(day) day FROM retrain_decisions "
                "GROUP BY model) n USING (model, day)"
            )
        ).fetchall()
    engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
