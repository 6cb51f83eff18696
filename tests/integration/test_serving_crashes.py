"""A worker that is killed between any two lines of a request: what its client received is in the journal."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import msgspec
import pytest
from app_world import FEATURES, AppWorld, new_app_world, packed_bytes  # noqa: F401 - fixtures
from swept import PASSED
from waiting import eventually

from include.adapters.boot_clock import boot_seconds
from include.adapters.journal import JournalReader
from include.config.settings import PROJECT
from include.domain.journal.records import AnswerRecord, OutcomeRecord
from include.serving.worker import WorkerConfig

LAST = 4
"""The request in which the worker dies."""


@pytest.mark.parametrize("point", sorted(name for name in PASSED["serve"] if name.startswith("serve.")))
def test_f137_a_worker_killed_at_each_crash_point_loses_nothing_that_it_acknowledged(
    new_app_world: Callable[..., AppWorld],  # noqa: F811
    point: str,
) -> None:
    world = new_app_world()
    world.lease_now = boot_seconds()
    world.publish_canary(999_999)  # both models answer each row
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        folder = str(world.folder)
        config = WorkerConfig(
            folder, folder, f"{folder}/route.bin", "here", "", ["trip_late"], listening.fileno(), drain_s=1.0
        )
        worker = subprocess.Popen(
            [sys.executable, "-m", "include.serving.worker", msgspec.json.encode(config).decode()],
            cwd=PROJECT,
            env={**os.environ, "FAULT_CRASH": f"{point}:{LAST}"},
            pass_fds=(listening.fileno(),),
        )
        acknowledged, connection = [], http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=120)
        try:
            for number in range(LAST + 1):
                body = json.dumps(
                    {"features": FEATURES, "keys": {"trip_id": f"t-{number}"}, "request_id": f"r{number}"}
                )
                connection.request("POST", "/v1/models/trip_late/predict", body)
                reply = connection.getresponse()
                said = json.loads(reply.read())
                assert (reply.status, said["served_by"]) == (200, "c9"), said
                acknowledged.append(said["request_id"])
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
            code = worker.wait(60)
    assert code == -signal.SIGKILL
    reader = JournalReader(world.folder / "journal")
    answers = [e.record for e in reader.all() if isinstance(e.record, AnswerRecord)]
    assert all(each.beside is not None and each.beside.candidate == "c1" for each in answers)
    written = [each.asked_id for each in answers]
    assert len(acknowledged) >= LAST - 1
    assert set(acknowledged) <= set(written)
    assert len(written) == len(set(written)) <= len(acknowledged) + 1
    assert (reader.damage.torn, reader.damage.changed) == (0, 0)


@pytest.mark.parametrize("point", sorted(PASSED["tell outcomes"]))
def test_f137_a_worker_killed_while_outcomes_are_told_loses_none_that_it_acknowledged(
    new_app_world: Callable[..., AppWorld],  # noqa: F811
    point: str,
) -> None:
    world, acknowledged = new_app_world(), list[str]()
    worker = RunningWorker(world, crashes=f"{point}:{LAST}")
    connection = http.client.HTTPConnection("127.0.0.1", worker.socket.getsockname()[1], timeout=120)
    try:
        for number in range(LAST + 1):
            body = json.dumps({"request_id": f"r{number}", "value": "late"})
            connection.request("POST", "/v1/models/trip_late/outcomes", body)
            reply = connection.getresponse()
            assert (reply.status, json.loads(reply.read())["outcomes"]) == (200, 1)
            acknowledged.append(f"r{number}")
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
        assert worker.process.wait(60) == -signal.SIGKILL
        worker.end()
    told = [e.record for e in JournalReader(world.folder / "journal-outcomes").all()]
    written = {each.request_id for each in told if isinstance(each, OutcomeRecord)}
    assert len(acknowledged) >= LAST - 1
    assert set(acknowledged) <= written


class RunningWorker:
    """A worker process on a port of its own."""

    def __init__(self, world: AppWorld, crashes: str = "", **config: object) -> None:
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(1024)
        folder = str(world.folder)
        told = WorkerConfig(
            folder,
            folder,
            f"{folder}/route.bin",
            "here",
            "",
            ["trip_late"],
            self.socket.fileno(),
            drain_s=1.0,
            **config,
        )
        argv = [sys.executable, "-m", "include.serving.worker", msgspec.json.encode(told).decode()]
        self.process = subprocess.Popen(
            argv, cwd=PROJECT, pass_fds=(self.socket.fileno(),), env={**os.environ, "FAULT_CRASH": crashes}
        )

    def connected(self) -> socket.socket:
        made = socket.create_connection(self.socket.getsockname())
        made.settimeout(120)
        return made

    def asked(self) -> int:
        """The status of one whole request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.socket.getsockname()[1], timeout=120)
        try:
            connection.request("POST", "/v1/models/trip_late/predict", json.dumps({"features": FEATURES}))
            return connection.getresponse().status
        finally:
            connection.close()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self.socket.close()


SLOW = b"POST /v1/models/trip_late/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"


def test_f117_f168_bodies_that_never_come_end_in_408_and_free_their_places(
    new_app_world: Callable[..., AppWorld],  # noqa: F811
) -> None:
    worker = RunningWorker(new_app_world(), in_flight=4, body_s=2.0)
    idle: list[socket.socket] = []
    try:
        assert worker.asked() == 200
        idle = [worker.connected() for _ in range(300)]
        slow = [worker.connected() for _ in range(4)]
        for each in slow:
            each.sendall(SLOW)
        eventually(lambda: worker.asked() == 429, every_s=0.01)
        replies = [each.recv(4096) for each in slow]
        assert [reply.split(b" ", 2)[1] for reply in replies] == [b"408"] * 4
        assert all(b"connection: close" in reply for reply in replies)
        assert worker.asked() == 200
        half = worker.connected()
        half.sendall(SLOW)
        half.shutdown(socket.SHUT_WR)
        assert worker.asked() == 200, "a half closed connection holds nobody"
        for each in (*slow, half):
            each.close()
    finally:
        for each in idle:
            each.close()
        worker.end()
