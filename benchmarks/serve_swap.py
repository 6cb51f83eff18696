"""``make bench B=serve_swap``: clients keep their connections and ask without a pause, while the champion is promoted
and rolled back, workers are reloaded, and at the end the service is drained: how many requests were refused or reset,
and how long after its commit a change of the champion was the only one that answered.

One service of two workers with its keeper, as `slipway serve` starts it, and clients in processes of their own. Two
champions change places by rows of the ledger; the ledger is SQLite, or the Postgres of ``--ledger``.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks._common import own_peak_mb, report
from include.config.settings import PROJECT

CLIENTS = 3


def ask(port: int, ends: Any, told: Any) -> None:
    """One client: asks until it is told to end; what failed, how many were answered, and each change of revision."""
    from served_world import MODEL, ROW

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"features": ROW})
    failed: Counter[str] = Counter()
    answered, seen, first, backwards = 0, 0, {}, 0
    while True:
        try:
            connection.request("POST", f"/v1/models/{MODEL}/predict", body)
            reply = connection.getresponse()
            reply.read()
        except (OSError, http.client.HTTPException) as error:
            if ends.is_set() and isinstance(error, ConnectionRefusedError):
                break  # the service has ended, as it was told to
            failed[type(error).__name__] += 1
            connection.close()
            if ends.is_set():
                break
            continue
        if reply.status != 200:
            failed[str(reply.status)] += 1
            continue
        answered += 1
        revision = int(reply.headers["x-slipway-revision"])
        if revision > seen:
            seen = revision
            first[revision] = time.time()
        elif revision < seen:
            backwards += 1
    told.put((answered, dict(failed), first, backwards))


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=100.0, help="how long it is asked; default 100")
    parser.add_argument("--ledger", default="", help="the URL of an empty Postgres; default SQLite")
    args = parser.parse_args()
    sys.path.insert(0, str(PROJECT / "tests" / "support"))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT / "tests" / "support"), str(PROJECT)])
    from served_world import MODEL, enter, served_home

    from include.config.settings import settings
    from include.serving.supervisor import ServeOptions, Supervisor

    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        world = served_home(Path(folder))
        world.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
        if args.ledger:
            world.environment["SLIPWAY_LEDGER_URL"] = args.ledger
        enter(world)
        world.promote_another(1)
        supervisor = Supervisor(settings(), [MODEL], ServeOptions(port=0, workers=2, drain_s=10.0), lambda line: None)
        service = threading.Thread(target=supervisor.run)
        service.start()
        _until(lambda: supervisor.port > 0 and _ready(supervisor.port))
        ends, told = spawn.Event(), spawn.Queue()
        clients = [spawn.Process(target=ask, args=(supervisor.port, ends, told)) for _ in range(CLIENTS)]
        for each in clients:
            each.start()
        until, committed, reloads, seed = time.monotonic() + args.seconds, {}, 0, 2
        while time.monotonic() < until:
            world.promote_another(seed)
            seed += 1
            committed[_revision(world)] = time.time()
            time.sleep(2.0)
            world.roll_back()
            committed[_revision(world)] = time.time()
            time.sleep(2.0)
            if len(committed) % 6 == 0:
                supervisor.reload.set()
                reloads += 1
        ends.set()
        supervisor.stop.set()
        found = [told.get(timeout=120) for _ in clients]
        service.join(60)
        for each in clients:
            each.join(30)
    asked = sum(each[0] for each in found)
    failed: Counter[str] = Counter()
    for each in found:
        failed.update(each[1])
    rolled = [
        max(each[2][revision] for each in found) - at
        for revision, at in committed.items()
        if revision % 2 == 1 and revision > 1 and all(revision in each[2] for each in found)
    ]
    report(
        "serve_swap",
        quantile(rolled, 0.99) * 1000,
        "ms from a rollback's commit to the first answer by the former champion in every client, 99 of 100",
        1000.0 if args.ledger else 250.0,
        own_peak_mb(),
        requests=asked,
        refused_reset_or_failed=sum(failed.values()),
        failed=dict(failed),
        swaps=len(committed),
        reloads=reloads,
        answered_by_the_former_later=sum(each[3] for each in found),
        rollbacks=len(rolled),
        rollback_p50_ms=round(quantile(rolled, 0.5) * 1000, 1),
        rollback_max_ms=round(max(rolled) * 1000, 1),
    )


def _revision(world: Any) -> int:
    from served_world import MODEL

    with world.ledger() as ledger:
        head = ledger.deployments.champion(MODEL)
    return 0 if head is None else int(head.revision)


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _until(condition: Any) -> None:
    while not condition():
        time.sleep(0.05)


if __name__ == "__main__":
    main()
