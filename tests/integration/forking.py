"""Children that die, stop and are continued on request, and start in milliseconds.

A helper process imports everything once and forks for each call, so that a sweep over fifty crash points does not
import MLflow a hundred times.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
KILLED = -signal.SIGKILL
STOPPED = "stopped"


class Forking:
    """The helper, as the test sees it. Ends with ``close``; its children die with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pids: list[int] = []
        self._helper = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            cwd=PROJECT,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}:{PROJECT / 'tests/support'}",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, call: str, *args: Any, **environment: str) -> int:
        """Call ``module:function`` in a child with this process's environment; its pid."""
        env = {k: v for k, v in os.environ.items() if k.startswith(("SLIPWAY_", "MLFLOW_", "FAULT_", "AWS_"))}
        told = {"start": call, "args": args, "env": env | environment, "folder": str(self.folder)}
        pid = int(self._ask(told))
        self.pids.append(pid)
        return pid

    def wait(self, pid: int) -> int | str:
        """Until the child ends, its exit code (negative: the signal), or until it stops, ``STOPPED``."""
        answer = self._ask({"wait": pid})
        return STOPPED if answer == STOPPED else int(answer)

    def run(self, call: str, *args: Any, **environment: str) -> int | str:
        return self.wait(self.start(call, *args, **environment))

    def resume(self, pid: int) -> int | str:
        os.kill(pid, signal.SIGCONT)
        return self.wait(pid)

    def said(self, pid: int) -> str:
        """What the child printed, the error it ended with at the end."""
        return (self.folder / f"{pid}.out").read_text(encoding="utf-8")

    def close(self) -> None:
        if self._helper.stdin is not None:
            self._helper.stdin.close()
        self._helper.wait(300)
        if self._helper.stdout is not None:
            self._helper.stdout.close()

    def _ask(self, told: Mapping[str, Any]) -> str:
        if self._helper.stdin is None or self._helper.stdout is None:
            raise RuntimeError("the helper has no pipes")
        self._helper.stdin.write(json.dumps(told, default=_moment) + "\n")
        self._helper.stdin.flush()
        answer = self._helper.stdout.readline()
        if not answer:
            raise RuntimeError(f"the helper died with {self._helper.wait(300)}")
        return str(json.loads(answer))


def _moment(value: Any) -> dict[str, str]:
    if isinstance(value, datetime):
        return {"moment": value.isoformat()}
    raise TypeError(f"{type(value)} cannot be sent to a child")


def _read(text: str) -> Any:
    return json.loads(text, object_hook=lambda o: datetime.fromisoformat(o["moment"]) if set(o) == {"moment"} else o)


# --- the helper ------------------------------------------------------------------------------------------------------


def _main() -> None:
    import deltalake  # noqa: F401 - imported once for all children
    import ledger_fixtures  # noqa: F401 - imported once for all children
    import mlflow.sklearn  # noqa: F401 - as above
    import skops.io  # noqa: F401 - as above
    from sklearn import ensemble, linear_model, pipeline  # noqa: F401 - as above

    from include.workflows import tasks  # noqa: F401 - as above

    for line in sys.stdin:
        told = _read(line)
        if "start" in told:
            pid = os.fork()
            if pid == 0:
                _child(told)
            answer: Any = pid
        else:
            _, status = os.waitpid(told["wait"], os.WUNTRACED)
            answer = STOPPED if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)
        print(json.dumps(answer), flush=True)


def _child(told: Mapping[str, Any]) -> None:
    import importlib
    import traceback

    from include.domain import faults

    os.close(0)
    out = os.open(Path(told["folder"]) / f"{os.getpid()}.out", os.O_CREAT | os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.update(told["env"])
    faults.read_environment()
    code = 1
    try:
        if "FAULT_TRACE" in os.environ:
            _trace_writes(Path(os.environ["FAULT_TRACE"]))
        module, _, name = told["start"].partition(":")
        getattr(importlib.import_module(module), name)(*told["args"])
        code = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test reads it
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _trace_writes(file: Path) -> None:
    """Note every write to the ledger, to MLflow and to disk beside the crash points that are passed."""
    import shutil

    import requests
    from sqlalchemy import Engine, event

    def note(what: str) -> None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"write {what}\n")

    @event.listens_for(Engine, "before_cursor_execute")
    def statement(_c: Any, _cursor: Any, sql: str, *_: Any) -> None:
        # An entry of the chain is the last statement before the commit of the row that it is about.
        is_entry = "INTO CHAIN" in sql.upper()[:40]
        if sql.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")) and not is_entry:
            note(" ".join(sql.split()[:3]))

    send = requests.Session.send

    def sent(self: requests.Session, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        if request.method != "GET" and "search" not in str(request.path_url):
            note(f"{request.method} {request.path_url}")
        return send(self, request, **how)

    requests.Session.send = sent  # type: ignore[method-assign]  # the tracer is what this process is for
    copy, replace = shutil.copyfile, Path.replace

    def copied(source: Any, target: Any, **how: Any) -> Any:
        note("copy of a file")
        return copy(source, target, **how)

    def replaced(self: Path, target: Any) -> Path:
        note("rename of a file")
        return replace(self, target)

    shutil.copyfile = copied
    Path.replace = replaced  # type: ignore[method-assign]  # as above


if __name__ == "__main__":
    _main()
