"""``make bench B=serve_rollback``: how long the old arm still answers after the ledger has taken traffic away from it:
after a candidate's share was set to 0, and after the champion was rolled back; beside the bare look at the ledger.

One service of two workers with its keeper, as `slipway serve` starts it, and clients in processes of their own that
keep their connections. Counted is every answer, from the moment of the commit to the moment at which a client has the
last one by the old arm. The floor is a process that only looks whether the ledger has changed, as the keeper does.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._common import own_peak_mb, report
from benchmarks.serve_swap import _ready, _until, quantile
from include.config.settings import PROJECT

CLIENTS = 3
PAUSE_S = 0.01
"""Between two questions of one client."""
PROMISED_S = 0.25


def ask(port: int, number: int, begin: Any, ends: Any, told: Any) -> None:
    """One client: asks until it is told to end; what failed, and of each answer when it was there and by whom."""
    from served_world import MODEL, ROW

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    failed: Counter[str] = Counter()
    answers: list[tuple[float, str]] = []
    asked = 0
    begin.wait()
    while not ends.is_set():
        asked += 1
        body = json.dumps({"features": ROW, "keys": {"trip_id": f"{number}-{asked % 500}"}})
        try:
            connection.request("POST", f"/v1/models/{MODEL}/predict", body)
            reply = connection.getresponse()
            said = json.loads(reply.read())
        except (OSError, http.client.HTTPException) as error:
            failed[type(error).__name__] += 1
            connection.close()
            continue
        if reply.status != 200:
            failed[str(reply.status)] += 1
            continue
        answers.append((time.time(), f"{said['served_by']} {said['revision']}"))
        time.sleep(PAUSE_S)
    told.put((asked, dict(failed), answers))


def look(url: str, begin: Any, ends: Any, told: Any) -> None:
    """The floor: only looks whether the ledger has changed; when it saw a change."""
    from include.serving.changes import Changes
    from include.serving.keeper import LOOK_S

    changes, seen = Changes(url), []
    source = changes._source
    begin.wait()
    while not ends.is_set() and source is not None:
        if source.changed():
            seen.append(time.time())
        time.sleep(LOOK_S)
    changes.close()
    told.put(seen)


@contextmanager
def commits() -> Iterator[list[float]]:
    """When a transaction was told to commit, of every one in this process."""
    import sqlalchemy

    times: list[float] = []

    def note(_: Any) -> None:
        times.append(time.time())

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", note)
    try:
        yield times
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "commit", note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=60, help="how often each of the two is done; default 60")
    parser.add_argument("--ledger", default="", help="the URL of an empty Postgres; default SQLite")
    args = parser.parse_args()
    sys.path.insert(0, str(PROJECT / "tests" / "support"))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT / "tests" / "support"), str(PROJECT)])
    from ledger_fixtures import challenger
    from rollout_world import opened
    from served_world import MODEL, enter, served_home

    from include.config.settings import settings
    from include.serving.supervisor import ServeOptions, Supervisor

    spawn = multiprocessing.get_context("spawn")
    ended: dict[str, list[tuple[float, str]]] = {"share": [], "rollback": []}
    with tempfile.TemporaryDirectory() as folder:
        world = served_home(Path(folder))
        world.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
        if args.ledger:
            world.environment["SLIPWAY_LEDGER_URL"] = args.ledger
        enter(world)
        world.promote_another(1)
        supervisor = Supervisor(settings(), [MODEL], ServeOptions(port=0, workers=2, drain_s=10.0), lambda line: None)
        service = threading.Thread(target=supervisor.run, daemon=True)
        service.start()
        _until(lambda: supervisor.port > 0 and _ready(supervisor.port))
        ends, told, seen, begin = spawn.Event(), spawn.Queue(), spawn.Queue(), spawn.Barrier(CLIENTS + 2)
        clients = [spawn.Process(target=ask, args=(supervisor.port, n, begin, ends, told)) for n in range(CLIENTS)]
        looker = spawn.Process(target=look, args=(settings().ledger_url, begin, ends, seen))
        for each in (*clients, looker):
            each.start()
        begin.wait(300)
        digest = world.model_file(2)
        with world.ledger() as ledger:
            candidate = challenger(ledger, "run-2", digest=digest, model=MODEL)
            opened(ledger, candidate, plan=_half())
        for number in range(args.times):
            _until(lambda: _share(supervisor.port) > 0)
            time.sleep(0.3)
            at = _held(world, candidate.candidate_id, number)
            ended["share"].append((at, f"{candidate.candidate_id} 1"))
            time.sleep(0.6)
            _resumed(world, candidate.candidate_id, number)
        _tripped(world, candidate.candidate_id)
        for number in range(args.times):
            world.promote_another(100 + number)
            with world.ledger() as ledger:
                head = ledger.deployments.champion(MODEL)
            former = "" if head is None else f"{head.to_candidate} {head.revision}"
            while _serves(supervisor.port) != former:
                time.sleep(0.05)
            time.sleep(0.3)
            with commits() as times:
                world.roll_back()
            ended["rollback"].append((times[-1], former))
            time.sleep(0.6)
        ends.set()
        found = [told.get(timeout=300) for _ in clients]
        looked = seen.get(timeout=60)
        supervisor.stop.set()
        service.join(60)
        for each in (*clients, looker):
            each.join(30)
    answers = sorted(one for each in found for one in each[2])
    failed: Counter[str] = Counter()
    for each in found:
        failed.update(each[1])
    later = {what: [_lasts(answers, at, old) for at, old in of] for what, of in ended.items()}
    floor = [min((t - at for t in looked if t >= at), default=float("nan")) for of in ended.values() for at, _ in of]
    both = later["share"] + later["rollback"]
    report(
        "serve_rollback",
        quantile(both, 0.99) * 1000,
        "ms from the commit to the last answer by the old arm that any client got, 99 of 100",
        1000.0 if args.ledger else PROMISED_S * 1000,
        own_peak_mb(),
        requests=sum(each[0] for each in found),
        lost=sum(failed.values()),
        failed=dict(failed),
        answered_by_the_old_arm_after_250_ms=sum(_after(answers, at, old) for of in ended.values() for at, old in of),
        share_to_0=_figures(later["share"]),
        rollback=_figures(later["rollback"]),
        bare_look_at_the_ledger=_figures(floor),
        load=round(os.getloadavg()[0], 1),
    )


def _half() -> Any:
    from datetime import timedelta

    from include.domain.canary.plan import CanaryPlan, CanaryStep
    from include.domain.canary.wires import Wire

    hour = timedelta(hours=1)
    return CanaryPlan((CanaryStep(500_000, 500, hour, 24 * hour),), 0.005, Wire(5, 20), 0.05)


def _held(world: Any, candidate: str, number: int) -> float:
    from rollout_world import said

    from include.domain.canary.rollout import RolloutEvent

    with world.ledger() as ledger, commits() as times:
        ledger.rollouts.lower(candidate, 1, RolloutEvent.HOLD, said(f"hold {number}"))
    return times[-1]


def _tripped(world: Any, candidate: str) -> None:
    """Its rollout is over, and its journey with it."""
    from rollout_world import said

    from include.domain.canary.rollout import RolloutEvent

    with world.ledger() as ledger:
        ledger.rollouts.lower(candidate, 1, RolloutEvent.TRIP, said("trip"))


def _resumed(world: Any, candidate: str, number: int) -> None:
    from rollout_world import said

    from include.domain.authority import OPERATORS, Person

    by = Person("ada", frozenset({"op"}), operator=True)
    with world.ledger() as ledger:
        ledger.rollouts.resume(candidate, 1, by=by, approvers=OPERATORS, said=said(f"resume {number}"))


def _lasts(answers: list[tuple[float, str]], at: float, old: str) -> float:
    """From the commit to the last answer by the old arm before that answers again; 0 where none came."""
    times = [t for t, who in answers if who == old and at <= t <= at + 0.6]
    return max(times) - at if times else 0.0


def _after(answers: list[tuple[float, str]], at: float, old: str) -> int:
    return sum(who == old and at + PROMISED_S < t <= at + 0.6 for t, who in answers)


def _figures(times: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(quantile(times, 0.5) * 1000, 1),
        "p99_ms": round(quantile(times, 0.99) * 1000, 1),
        "max_ms": round(max(times) * 1000, 1),
        "times": len(times),
    }


def _share(port: int) -> int:
    return int(_status(port).get("canary", {}).get("share_ppm", 0))


def _serves(port: int) -> str:
    said = _status(port)
    return f"{said.get('candidate')} {said.get('revision')}"


def _status(port: int) -> dict[str, Any]:
    from served_world import MODEL

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v1/status")
        found: dict[str, Any] = json.loads(connection.getresponse().read())["served"].get(MODEL, {})
        return found
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()


if __name__ == "__main__":
    main()
