"""The service of docker-compose's profile `serve`: its command in its environment answers without a container too.

Only what a container gives is put in the place of what this machine has: addresses, the home, a free port.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from databases import empty_postgres
from served_world import MODEL, ROW, served_home
from waiting import PATIENCE_S, eventually

from include.adapters.journal import JournalReader
from include.config import loader
from include.config.settings import PROJECT
from include.domain.journal.records import AnswerRecord
from include.serving import tokens

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text("utf-8"))["services"]
SERVE = SERVICES["serve"]
HOME = SERVE["environment"]["SLIPWAY_HOME"]


def filled_in(text: str) -> str:
    """With each variable's default, or a word where one is required."""
    return re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)?\}", lambda found: found[1] or "of-a-test", text)


def mounted(name: str) -> str:
    """The volume in which the home of a service lies."""
    volumes = [each.split(":") for each in SERVICES[name]["volumes"]]
    (found,) = [volume for volume, where, *_ in volumes if where == HOME]
    return str(found)


def test_the_port_is_one_in_the_command_the_publication_and_the_health_check():
    (told,) = [each for each in SERVE["command"] if each.startswith("--port=")]
    port = told.removeprefix("--port=")
    assert [each.rpartition(":")[2] for each in SERVE["ports"]] == [port]
    assert f"127.0.0.1:{port}/livez" in SERVE["healthcheck"]["test"][-1]


def test_whoever_reads_the_journal_has_the_volume_in_which_the_service_writes_it():
    assert mounted("shadow") == mounted("worker") == mounted("serve")


def test_what_was_begun_has_longer_to_end_than_the_service_takes_by_itself():
    drain_s, of_its_children_s = 5.0, 5.0  # its own defaults
    assert float(SERVE["stop_grace_period"].removesuffix("s")) > 2 * (drain_s + of_its_children_s)


@pytest.mark.postgres
def test_its_command_in_its_environment_answers_whoever_has_a_token_and_ends_in_order(tmp_path, monkeypatch):
    world = served_home(tmp_path)
    with empty_postgres() as url, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        told = {name: filled_in(str(value)) for name, value in SERVE["environment"].items()}
        here = {**told, **world.environment, "SLIPWAY_LEDGER_URL": url, "SLIPWAY_ONLINE_URL": url}
        here["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
        for name in ("SLIPWAY_LEDGER_URL", "SLIPWAY_ONLINE_URL", "SLIPWAY_HOME", "SLIPWAY_DECLARATIONS"):
            monkeypatch.setenv(name, here[name])
        monkeypatch.delenv("SLIPWAY_STORE", raising=False)
        monkeypatch.setattr(loader, "ROOT", Path(world.environment["SLIPWAY_DECLARATIONS"]))
        loader.declarations.cache_clear()
        candidate = world.promote_another(1)
        token = tokens.add(tokens.file_in(world.home), "shop", ["predict:*"])
        free.close()
        argv = [filled_in(each).replace("8100", port) for each in SERVE["command"]]
        path = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        process = subprocess.Popen([sys.executable, *argv[1:]], cwd=PROJECT, env={**path, **here})
        try:
            eventually(lambda: process.poll() is not None or is_healthy(port))
            eventually(lambda: status_of(port, "/readyz") == 200)
            assert status_of(port, f"/v1/models/{MODEL}/predict", {"features": ROW}) == 401
            request = asked(port, f"/v1/models/{MODEL}/predict", {"features": ROW}, token)
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
                assert json.load(reply)["served_by"] == candidate
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        records = [entry.record for entry in JournalReader(world.home / "journal").all()]
        assert [each.candidate for each in records if isinstance(each, AnswerRecord)] == [candidate]
    loader.declarations.cache_clear()


def is_healthy(port: str) -> bool:
    """What the health check of the compose file says."""
    _, _, *argv = SERVE["healthcheck"]["test"]
    argv = [each.replace("8100", port) for each in argv]
    return subprocess.run([sys.executable, *argv], capture_output=True, check=False).returncode == 0


def asked(port: str, path: str, body: Any = None, token: str = "") -> urllib.request.Request:
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)


def status_of(port: str, path: str, body: Any = None) -> int:
    try:
        with urllib.request.urlopen(asked(port, path, body), timeout=PATIENCE_S) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
