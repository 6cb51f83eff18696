"""``make bench B=serve_http``: a prediction over HTTP, its features given, written to the journal; beside an
application of the same server that answers a constant, and ``mlflow models serve`` with the same pipeline.

One worker as its own process, and a client that asks one after the other, on the same machine: the processor time of
the worker for one request, and the client's wall times; how long it takes to be ready, what it has in its memory, the
longest time to refuse a request that cannot be answered, and the times beside connections that say nothing or half.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks._common import report
from benchmarks.packed import KINDS, PARAMS, made_rows
from include.adapters import estimators, packing
from include.adapters.packing.files import as_columns
from include.adapters.processes import cpu_s
from include.adapters.route_file import RouteWriter
from include.config.settings import PROJECT
from include.domain.serving.route import ServedFeature, ServedModel
from include.serving.worker import WorkerConfig

PREDICT = "/v1/models/bench/predict"
FLOOR = """
import asyncio, socket, sys, uvicorn, uvloop
async def app(scope, receive, send):
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
server = uvicorn.Server(uvicorn.Config(app, lifespan="off", access_log=False, log_level="warning"))
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(server.serve(sockets=[socket.socket(fileno=int(sys.argv[1]))]))
"""


def listening() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen(128)
    return made


BAD = (
    b"{",
    b"\xff",
    b'{"features": 7}',
    b"[" * 20_000,
    b'{"features": {"n0": 1e400}}',
    b'{"a": 1, "a": 2}',
)
"""Bodies that cannot be answered."""
HEAVY = ("pandas", "sklearn", "mlflow", "sqlalchemy")


@dataclass
class Measured:
    """One server and what was measured of it; times in milliseconds, in order."""

    ready_s: float
    ready_cpu_s: float
    used_us: float
    times: list[float]
    resident_mb: float
    heavy: list[str] = field(default_factory=list)
    beside_idle: list[float] = field(default_factory=list)
    idle: int = 0
    bad_max_ms: float = 0.0


def asked(connection: http.client.HTTPConnection, body: bytes, path: str) -> tuple[int, float]:
    """The status, and how long it took in milliseconds."""
    began = time.perf_counter()
    connection.request("POST", path, body, {"content-type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    return reply.status, (time.perf_counter() - began) * 1000


def times_of(connection: http.client.HTTPConnection, body: bytes, requests: int, path: str) -> list[float]:
    found = [asked(connection, body, path) for _ in range(requests)]
    wrong = sorted({status for status, _ in found} - {200})
    if wrong:
        raise SystemExit(f"The service said {wrong}.")
    return sorted(took for _, took in found)


def idle_beside(port: int, wanted: int) -> list[socket.socket]:
    """Connections of which most say nothing, and one of ten begins a request and never ends it, or is half closed."""
    made = []
    for number in range(wanted):
        each = socket.create_connection(("127.0.0.1", port))
        if number % 10 == 0:
            each.sendall(b"POST /v1/models/bench/predict HTTP/1.1\r\nhost: x\r\n")
            if number % 20 == 0:
                each.shutdown(socket.SHUT_WR)
        made.append(each)
    return made


def measured(
    argv: list[str], opened: socket.socket, body: bytes, requests: int, *, ours: int = 0, path: str = PREDICT
) -> Measured:
    """What a server takes; with ``ours``, also beside so many idle connections."""
    began = time.perf_counter()
    process = subprocess.Popen(argv, cwd=PROJECT, pass_fds=(opened.fileno(),), stdout=subprocess.DEVNULL)
    try:
        port = opened.getsockname()[1]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        asked(connection, body, path)
        ready_s, ready_cpu_s = time.perf_counter() - began, cpu_s(process.pid) or 0.0
        times_of(connection, body, min(requests, 200), path)
        before = cpu_s(process.pid) or 0.0
        times = times_of(connection, body, requests, path)
        used = ((cpu_s(process.pid) or 0.0) - before) / requests * 1e6
        status = Path(f"/proc/{process.pid}/status").read_text()
        resident = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        found = Measured(ready_s, ready_cpu_s, used, times, resident, [n for n in HEAVY if f"/{n}/" in mapped])
        if ours:
            found.bad_max_ms = max(asked(connection, each, path)[1] for each in BAD for _ in range(20))
            idle = idle_beside(port, ours)
            found.idle = len(idle)
            found.beside_idle = times_of(connection, body, requests, path)
            for each in idle:
                each.close()
        return found
    finally:
        process.terminate()
        process.wait(30)


def served_by_mlflow(pipeline: Any, frame: Any, requests: int, folder: Path) -> list[float]:
    """The wall times of ``mlflow models serve``, asked one after the other, in milliseconds in order."""
    import mlflow.sklearn

    mlflow.sklearn.save_model(pipeline, folder, serialization_format="cloudpickle")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["models", "serve", "-m", str(folder), "-p", str(port), "--env-manager", "local"]
    argv = [sys.executable, "-m", "mlflow", *command]
    beside = str(Path(sys.executable).parent)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PATH": f"{beside}:{os.environ.get('PATH', '')}"}
    server = subprocess.Popen(
        argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        until = time.monotonic() + 180
        while time.monotonic() < until:
            try:
                connection.request("GET", "/ping")
                connection.getresponse().read()
                break
            except OSError:
                connection.close()
                if server.poll() is not None:
                    raise SystemExit(f"`mlflow models serve` ended with {server.returncode}.") from None
                time.sleep(0.5)
        body = json.dumps({"dataframe_split": json.loads(frame.head(1).to_json(orient="split", index=False))}).encode()
        times_of(connection, body, 5, "/invocations")
        return times_of(connection, body, requests, "/invocations")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def at(times: list[float], share: float) -> float:
    return round(times[min(len(times) - 1, int(len(times) * share))], 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--idle", type=int, default=5_000, help="connections that say nothing; default 5,000")
    parser.add_argument("--no-mlflow", action="store_true", help="leave `mlflow models serve` out")
    args = parser.parse_args()
    requests = args.requests
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, args.idle + 500)), hard))
    frame = made_rows(20_000)
    label = (frame["n0"] + frame["n1"] * frame["n2"] + (frame["c0"] == "a") > 0.3).to_numpy().astype(int)
    spec = estimators.EstimatorSpec(
        "sklearn.ensemble.HistGradientBoostingClassifier", PARAMS, "ordinal", False, KINDS, seed=1
    )
    pipeline = estimators.fit(estimators.build(spec), frame, label)
    content = packing.written(packing.packed_arrays(pipeline, KINDS, learned=[0, 1], classes=2, example=frame.head(64)))
    row = {name: values[0] for name, values in as_columns(frame.head(1)).items()}
    body = json.dumps({"features": row}).encode()
    with tempfile.TemporaryDirectory() as folder:
        file, home = Path(folder) / "model.npz", Path(folder)
        file.write_bytes(content)
        served = ServedModel(
            model="bench",
            task="binary",
            classes=["no", "yes"],
            features=[ServedFeature(name, kind) for name, kind in KINDS.items()],
            views=[],
            candidate="c",
            digest="d",
            revision=1,
            route_revision=1,
            version=1,
            packed=str(file),
            packed_sha256=hashlib.sha256(content).hexdigest(),
            deadline_s=60.0,
        )
        RouteWriter(home / "route.bin").publish({"bench": served}, datetime.now(UTC))
        with listening() as opened:
            config = WorkerConfig(
                folder, folder, str(home / "route.bin"), "bench", "", ["bench"], opened.fileno(), drain_s=1.0
            )
            argv = [sys.executable, "-m", "include.serving.worker", msgspec.json.encode(config).decode()]
            ours = measured(argv, opened, body, requests, ours=args.idle)
        with listening() as opened:
            argv = [sys.executable, "-c", FLOOR, str(opened.fileno())]
            bare = measured(argv, opened, body, requests)
        by_mlflow = [] if args.no_mlflow else served_by_mlflow(pipeline, frame, min(requests, 300), home / "mlflow")
    if ours.heavy:
        raise SystemExit(f"A worker has {', '.join(ours.heavy)} in its memory.")
    report(
        "serve_http",
        ours.used_us,
        "us of the worker's processor for one prediction",
        bare.used_us,
        ours.resident_mb,
        requests=requests,
        p50_ms=at(ours.times, 0.5),
        p99_ms=at(ours.times, 0.99),
        bare_p50_ms=at(bare.times, 0.5),
        bare_p99_ms=at(bare.times, 0.99),
        **({"mlflow_p50_ms": at(by_mlflow, 0.5), "mlflow_p99_ms": at(by_mlflow, 0.99)} if by_mlflow else {}),
        ready_s=round(ours.ready_s, 2),
        ready_cpu_s=round(ours.ready_cpu_s, 2),
        ready_limit_s=2.0,
        memory_limit_mb=90,
        idle_connections=ours.idle,
        beside_idle_p99_ms=at(ours.beside_idle, 0.99),
        beside_idle_p99_limit_ms=round(at(ours.times, 0.99) * 1.2, 3),
        refused_max_ms=round(ours.bad_max_ms, 2),
        refused_limit_ms=10.0,
        load=round(os.getloadavg()[0], 1),
    )


if __name__ == "__main__":
    main()
