"""``explain`` of one candidate in a ledger with 10,000 gate results; promised: under 50 ms.

The limit is the same rows fetched by bare SQL statements, without building
values from them, on the same database in the same run. Postgres is measured too where SLIPWAY_TEST_POSTGRES names one.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import create_engine, insert, make_url, select, text
from sqlalchemy.schema import CreateSchema, DropSchema

from benchmarks._common import own_peak_mb, report
from include.adapters.ledger import Facts, Ledger, PromotionRequest, tables
from include.domain.journey import Trigger
from include.domain.lifecycle import Event, JourneyRequest
from include.domain.verdicts import Direction, GateResult, Mode, against_bound

RESULTS = 10_000
GATES = (
    "training_data_gate",
    "leakage_gate",
    "threshold_gate",
    "champion_gate",
    "slice_gate",
    "latency_gate",
    "signature_gate",
    "smoke_gate",
    "shadow_gate",
    "approval",
)
CRITERIA = 12
MODELS = ("flight_delay", "air_time")
AS_OF = datetime(2013, 1, 1, tzinfo=UTC)
TIMES = 200
BARE = (
    "SELECT * FROM candidates WHERE candidate_id = :id",
    "SELECT * FROM deployment_history WHERE model = :model ORDER BY revision",
    "SELECT * FROM candidate_transitions WHERE candidate_id = :id ORDER BY number",
    "SELECT * FROM gate_results WHERE candidate_id = :id ORDER BY gate, attempt",
    "SELECT * FROM overrides WHERE candidate_id = :id ORDER BY number",
    "SELECT w.*, count(d.day) FROM shadow_windows w LEFT JOIN shadow_days d ON d.candidate_id = w.candidate_id "
    "AND d.number = w.number WHERE w.candidate_id = :id GROUP BY w.candidate_id, w.number",
)


def result(gate: str, seed: int) -> GateResult:
    """A gate's result of the size a real one has."""
    criteria = tuple(
        against_bound(
            f"criterion_{i}", 0.7 + (seed + i) % 97 / 1000, Direction.AT_LEAST, 0.65, rows=12_000, champion=0.7
        )
        for i in range(CRITERIA)
    )
    return GateResult(gate, Mode.BLOCKING, criteria, {"window": "[2013-05-01, 2013-05-31)"})


def fill(ledger: Ledger) -> list[str]:
    """Two champions whose every gate judged, through the ledger's own interface, and their rows again under other ids
    until the results are there; every candidate's id."""
    made = [one(ledger, model, n) for n, model in enumerate(MODELS)]
    with ledger.database.writing() as connection:
        rows = {
            table: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in (
                tables.candidates,
                tables.candidate_transitions,
                tables.gate_results,
                tables.deployment_history,
            )
        }
        for n in range(1, RESULTS // (len(GATES) * len(MODELS))):
            for table, found in rows.items():
                connection.execute(insert(table), [again(row, n) for row in found])
            made += [f"{candidate}-{n}" for candidate in made[: len(MODELS)]]
    return made


def again(row: dict[str, Any], n: int) -> dict[str, Any]:
    """The row of another candidate, which was promoted after the first and retired."""
    other = {name: f"{row[name]}-{n}" for name in ("candidate_id", "to_candidate", "run_id") if name in row}
    ended = {"state": "retired", "live": False} if "state" in row else {}
    later = {"revision": n + 1} if "revision" in row else {}
    return row | other | ended | later


def one(ledger: Ledger, model: str, n: int) -> str:
    request = JourneyRequest(model, f"run-{n}", AS_OF, Trigger.API, "a benchmark", "bench")
    candidate, digest = ledger.candidates.open(request).candidate_id, f"{n:064x}"
    facts = Facts(digest, digest, f"mlflow-{n}")
    ledger.candidates.advance(candidate, Event.TRAIN, actor="bench", reason="fitted", facts=facts)
    for gate in GATES:
        ledger.gates.record(candidate, result(gate, n), digest=digest, run_id=request.run_id)
    registered = Facts(model_version="1")
    ledger.candidates.advance(candidate, Event.REGISTER, actor="bench", reason="registered", facts=registered)
    ledger.deployments.promote(
        PromotionRequest(
            model,
            candidate,
            expected_revision=0,
            digest=digest,
            effective_from=AS_OF,
            actor="bench",
            reason="a benchmark",
            run_id=request.run_id,
        ),
        required_gates=GATES,
        now=AS_OF,
    )
    return candidate


def milliseconds(call: Callable[[str], object], ids: list[str]) -> list[float]:
    taken = []
    for n in range(TIMES):
        began = time.perf_counter()
        call(ids[n * 7919 % len(ids)])
        taken.append(1000 * (time.perf_counter() - began))
    return sorted(taken)


def measured(url: str) -> dict[str, float]:
    with Ledger.open(url) as ledger:
        began = time.perf_counter()
        ids = fill(ledger)
        filled = time.perf_counter() - began
        engine = ledger.database.engine

        def bare(candidate: str) -> None:
            with ledger.database.reading() as connection:
                for statement in BARE:
                    connection.execute(
                        text(statement), {"id": candidate, "model": candidate.partition("-")[0]}
                    ).fetchall()

        milliseconds(bare, ids[:10])
        ours, limit = milliseconds(ledger.explain, ids), milliseconds(bare, ids)
        engine.dispose()
    return {
        "explain_ms": statistics.median(ours),
        "explain_p99_ms": ours[int(0.99 * TIMES)],
        "bare_sql_ms": statistics.median(limit),
        "fill_s": filled,
    }


def on_postgres(url: str) -> dict[str, float]:
    schema, admin = f"bench_{uuid.uuid4().hex[:12]}", create_engine(url)
    with admin.begin() as connection:
        connection.execute(CreateSchema(schema))
    try:
        own = make_url(url).update_query_dict({"options": f"-csearch_path={schema}"})
        return measured(own.render_as_string(hide_password=False))
    finally:
        with admin.begin() as connection:
            connection.execute(DropSchema(schema, cascade=True))
        admin.dispose()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sqlite = measured(f"sqlite:///{folder}/ledger.db")
    more: dict[str, object] = {f"sqlite_{name}": round(value, 3) for name, value in sqlite.items()}
    postgres = os.environ.get("SLIPWAY_TEST_POSTGRES")
    if postgres:
        more |= {f"postgres_{name}": round(value, 3) for name, value in on_postgres(postgres).items()}
    else:
        print("SLIPWAY_TEST_POSTGRES is not set; only SQLite is measured.", file=sys.stderr)
    report(
        "ledger",
        sqlite["explain_ms"],
        "ms to explain a candidate among 10,000 gate results",
        sqlite["bare_sql_ms"],
        own_peak_mb(),
        promised=50,
        **json.loads(json.dumps(more)),
    )


if __name__ == "__main__":
    main()
