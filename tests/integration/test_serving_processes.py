"""The online service as it runs: a supervisor, a keeper and two workers as processes of their own, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from served_world import MODEL, ROW, ServedWorld, served_home
from waiting import eventually

from include.adapters.journal import JournalReader
from include.adapters.processes import members
from include.config import loader
from include.config.settings import settings
from include.domain.journal.records import AnswerRecord
from include.serving.supervisor import CannotServe, ServeOptions, ServePortTaken, Supervisor

GONE = {"ConnectionResetError", "RemoteDisconnected", "BrokenPipeError", "ConnectionAbortedError", "IncompleteRead"}
"""What a client sees of a process that was killed."""


@dataclass
class Client(threading.Thread):
    """Asks one after the other over one connection until it is told to stop."""

    port: int
    number: int
    ended: threading.Event = field(default_factory=threading.Event)
    acknowledged: list[str] = field(default_factory=list)
    revisions: list[int] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    cut_off: int = 0
    """How often a connection that had been answered before was closed without an answer."""

    def __post_init__(self) -> None:
        threading.Thread.__init__(self, daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        count, let_in = 0, False
        while not self.ended.is_set():
            count += 1
            request_id = f"client-{id(self)}-{count}"
            try:
                connection.request(
                    "POST", f"/v1/models/{MODEL}/predict", json.dumps({"features": ROW, "request_id": request_id})
                )
                reply = connection.getresponse()
                said = json.loads(reply.read())
            except (OSError, http.client.HTTPException) as error:
                self.failed[type(error).__name__] += 1
                self.cut_off += let_in
                connection.close()
                let_in = False
                continue
            let_in = not reply.will_close
            if reply.status != 200:
                self.failed[str(reply.status)] += 1
                continue
            assert reply.headers["x-slipway-revision"] == str(said["revision"])
            self.acknowledged.append(request_id)
            self.revisions.append(said["revision"])
        connection.close()


@dataclass
class Running:
    world: ServedWorld
    supervisor: Supervisor
    thread: threading.Thread
    failure: list[BaseException]

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.supervisor.port, timeout=30)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def clients(self, count: int = 2) -> list[Client]:
        made = [Client(self.supervisor.port, number) for number in range(count)]
        for each in made:
            each.start()
        eventually(lambda: all(len(each.acknowledged) > 5 for each in made))
        return made

    def end(self, clients: list[Client]) -> None:
        for each in clients:
            each.ended.set()
        for each in clients:
            each.join(60)

    def journaled(self) -> list[str]:
        entries = JournalReader(settings().home / "journal").all()
        return [e.record.asked_id for e in entries if isinstance(e.record, AnswerRecord)]


def run(supervisor: Supervisor, failure: list[BaseException]) -> None:
    try:
        supervisor.run()
    except Exception as error:  # noqa: BLE001 - the test looks at it
        failure.append(error)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        world = served_home(tmp_path_factory.mktemp("served"))
        for name, value in world.environment.items():
            patch.setenv(name, value)
        for name in ("SLIPWAY_LEDGER_URL", "SLIPWAY_ONLINE_URL", "SLIPWAY_STORE"):
            patch.delenv(name, raising=False)
        # There is no MLflow in this world: what it serves is on this machine.
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setattr(loader, "ROOT", Path(world.environment["SLIPWAY_DECLARATIONS"]))
        loader.declarations.cache_clear()
        world.promote_another(1)
        supervisor = Supervisor(settings(), [MODEL], ServeOptions(port=0, workers=2), lambda line: None)
        failure: list[BaseException] = []
        thread = threading.Thread(target=run, args=(supervisor, failure), daemon=True)
        thread.start()
        made = Running(world, supervisor, thread, failure)
        eventually(lambda: bool(failure) or (supervisor.port > 0 and made.get("/readyz")[0] == 200))
        assert failure == []
        yield made
        supervisor.stop.set()
        thread.join(60)
        loader.declarations.cache_clear()


def test_f115_f116_a_promotion_and_a_rollback_while_clients_ask_fail_no_request(running):
    clients = running.clients()
    before = max(clients[0].revisions)
    running.world.promote_another(2)
    eventually(lambda: all(each.revisions[-1] == before + 1 for each in clients))
    running.world.roll_back()
    eventually(lambda: all(each.revisions[-1] == before + 2 for each in clients))
    running.end(clients)
    assert [each.failed for each in clients] == [Counter(), Counter()]
    for each in clients:
        assert sorted(each.revisions) == each.revisions, "no later answer by the former champion"


def test_a_champion_that_has_no_packed_form_is_answered_by_its_pipeline_without_a_failed_request(running):
    clients = running.clients()
    before = max(clients[0].revisions)
    running.world.promote_another(3, "sklearn.naive_bayes.GaussianNB")
    eventually(lambda: all(each.revisions[-1] == before + 1 for each in clients))
    slow = f'slipway_by_pipeline{{model="{MODEL}"}} 1'
    eventually(lambda: slow in running.get("/metrics")[1].decode())
    eventually(lambda: json.loads(running.get("/v1/status")[1])["served"][MODEL]["by"] == "pipeline")
    running.supervisor.reload.set()
    old = {child.pid for child in running.supervisor._workers}
    eventually(lambda: not old & {child.pid for child in running.supervisor._workers})
    running.world.roll_back()
    eventually(lambda: all(each.revisions[-1] == before + 2 for each in clients))
    running.end(clients)
    assert [each.failed for each in clients] == [Counter(), Counter()]


def test_f167_a_reload_while_clients_ask_refuses_and_resets_nothing(running):
    clients = running.clients()
    old = {child.pid for child in running.supervisor._workers}
    running.supervisor.reload.set()
    eventually(lambda: not old & {child.pid for child in running.supervisor._workers})
    eventually(lambda: not members(old))
    running.end(clients)
    assert [each.failed for each in clients] == [Counter(), Counter()]


def test_f137_f170_what_was_acknowledged_before_kill_9_of_a_worker_is_in_the_journal(running):
    clients = running.clients()
    counted = _requests(running)
    victim = running.supervisor._workers[0].pid
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in {child.pid for child in running.supervisor._workers})
    eventually(lambda: running.get("/readyz")[0] == 200)
    running.end(clients)
    written = set(running.journaled())
    acknowledged = {each for client in clients for each in client.acknowledged}
    assert len(acknowledged) > 10
    assert acknowledged <= written
    assert set().union(*(each.failed for each in clients)) <= GONE
    assert _requests(running) >= counted


def test_f138_without_its_keeper_the_service_answers_and_gets_another(running):
    clients = running.clients(1)
    keeper = running.supervisor._keeper
    assert keeper is not None
    os.kill(keeper.pid, signal.SIGKILL)
    eventually(lambda: running.supervisor._keeper is not keeper)
    running.end(clients)
    assert clients[0].failed == Counter()


def test_mlflow_s_own_scoring_client_and_httpx_get_the_same_score(running):
    import httpx
    import pandas as pd
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    url = f"http://127.0.0.1:{running.supervisor.port}"
    ours = httpx.post(f"{url}/v1/models/{MODEL}/predict", json={"features": ROW}, timeout=60).json()
    client = ScoringServerClient("127.0.0.1", running.supervisor.port)
    client.ping()
    found = client.invoke(pd.DataFrame([ROW, ROW])).get_predictions()
    assert found.iloc[:, 0].tolist() == [ours["predictions"][0]["score"]] * 2


def test_a_home_is_served_once_and_never_to_everybody_without_a_token(running):
    with pytest.raises(ServePortTaken, match=r"serves .* already"):
        Supervisor(settings(), [MODEL], ServeOptions(port=0), lambda line: None).run()
    with pytest.raises(CannotServe, match="there is no token"):
        Supervisor(settings(), [MODEL], ServeOptions(host="0.0.0.0", port=0), lambda line: None).run()


def test_f118_the_end_under_load_answers_what_was_begun_and_leaves_no_process(running):
    clients = running.clients()
    children = {child.pid for child in running.supervisor._workers}
    running.supervisor.stop.set()
    running.thread.join(60)
    running.end(clients)
    assert running.failure == []
    assert members(children) == set()
    # Once it is closed nobody is let in any more, also who waited at the door; nothing that was begun is lost.
    assert set().union(*(each.failed for each in clients)) <= {"ConnectionRefusedError", "ConnectionResetError"}
    assert [each.cut_off for each in clients] == [0, 0]
    assert {each for client in clients for each in client.acknowledged} <= set(running.journaled())


def _requests(running: Running) -> float:
    lines = running.get("/metrics")[1].decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("slipway_requests_total"))
