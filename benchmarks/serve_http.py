"""``make bench B=serve_http``: a prediction over HTTP, its features given, written to the journal; beside an
application of the same server that answers a constant.

One worker as its own process, and a client that asks one after the other, on the same machine: the processor time of
the worker for one request, and the client's wall times.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

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


def measured(argv: list[str], opened: socket.socket, body: bytes, requests: int) -> tuple[float, list[float], float]:
    """Processor time a request in microseconds, the wall times in milliseconds in order, and the resident MB."""
    process = subprocess.Popen(argv, cwd=PROJECT, pass_fds=(opened.fileno(),))
    try:
        connection = http.client.HTTPConnection("127.0.0.1", opened.getsockname()[1], timeout=120)
        times: list[float] = []
        before = 0.0
        for number in range(requests + 200):
            if number == 200:
                before = cpu_s(process.pid) or 0.0
            began = time.perf_counter()
            connection.request("POST", "/v1/models/bench/predict", body)
            reply = connection.getresponse()
            reply.read()
            times.append((time.perf_counter() - began) * 1000)
            if reply.status != 200:
                raise SystemExit(f"The service said {reply.status}.")
        used = ((cpu_s(process.pid) or 0.0) - before) / requests * 1e6
        status = Path(f"/proc/{process.pid}/status").read_text()
        resident = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
        return used, sorted(times[200:]), resident
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5_000)
    requests = parser.parse_args().requests
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
            ours, times, resident = measured(argv, opened, body, requests)
        with listening() as opened:
            argv = [sys.executable, "-c", FLOOR, str(opened.fileno())]
            bare, bare_times, _ = measured(argv, opened, body, requests)
    report(
        "serve_http",
        ours,
        "us of the worker's processor for one prediction",
        bare,
        resident,
        requests=requests,
        p50_ms=round(times[len(times) // 2], 3),
        p99_ms=round(times[len(times) * 99 // 100], 3),
        bare_p50_ms=round(bare_times[len(bare_times) // 2], 3),
        bare_p99_ms=round(bare_times[len(bare_times) * 99 // 100], 3),
    )


if __name__ == "__main__":
    main()
