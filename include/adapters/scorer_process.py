"""A model's process as it is asked for answers: with a time limit for each, and started again when it ended."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

_PROJECT = Path(__file__).resolve().parents[2]
LOAD_S = 120.0
"""How long the process may take until its model is loaded."""


class ScorerDied(Exception):
    """The process ended, or was ended because it took too long: the message says which. The next call starts one."""


class Scorer:
    """One model's process. Used by one thread."""

    def __init__(self, config: Mapping[str, Any], command: Sequence[str] | None = None, load_s: float = LOAD_S) -> None:
        """
        Args:
            config: as ``shadow_child.main`` takes it.
            command: starts the process; left out, ``shadow_child``. The config is its last argument.
            load_s: how long it may take to load its model, in seconds.
        """
        usual = (sys.executable, "-m", "include.workflows.scoring.shadow_child")
        self._command = [*(command or usual), json.dumps(dict(config))]
        self._load_s = load_s
        self._process: subprocess.Popen[bytes] | None = None
        self.started = 0
        """How often its process was started."""

    def ask(self, rows: Sequence[Mapping[str, Any]], alone: Sequence[int], within_s: float) -> Mapping[str, Any]:
        """The answers to the rows: ``scores`` and ``errors``, as many as rows, and in ``answers`` the microseconds of
        those at the positions ``alone``.

        Raises:
            ScorerDied: when it ended, could not load its model, or took longer than ``within_s`` seconds.
        """
        process = self._running()
        line = msgspec.json.encode({"rows": list(rows), "alone": list(alone)}) + b"\n"
        said = self._exchange(process, line, within_s)
        lists = [said.get(name) for name in ("scores", "errors", "answers")]
        if not all(isinstance(each, list) and len(each) == len(rows) for each in lists):
            self.end()
            raise ScorerDied("it answered in a form that was not asked for")
        return said

    def end(self) -> None:
        """End the process, if there is one, with all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def processor_s(self) -> float:
        """The processor time that its process has taken so far, in seconds; 0 where there is none, or no /proc."""
        stat = Path(f"/proc/{self._process.pid}/stat") if self._process is not None else None
        if stat is None or not stat.is_file():
            return 0.0
        fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.end()
        quiet = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = process = subprocess.Popen(
            self._command,
            cwd=_PROJECT,
            env=quiet,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        self.started += 1
        told = self._exchange(process, b"", self._load_s)
        if "error" in told:
            self.end()
            raise ScorerDied(f"its file cannot be loaded: {told['error']}")
        return process

    def _exchange(self, process: subprocess.Popen[bytes], line: bytes, within_s: float) -> Mapping[str, Any]:
        """Send a line, and read one; neither waits longer than the time that is left."""
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process has no pipes")
        into, out = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(into, False)
        ends, got = time.monotonic() + within_s, bytearray()
        with selectors.DefaultSelector() as waiting:
            waiting.register(out, selectors.EVENT_READ)
            if line:
                waiting.register(into, selectors.EVENT_WRITE)
            while not got.endswith(b"\n"):
                left = ends - time.monotonic()
                ready = waiting.select(left) if left > 0 else []
                if not ready:
                    self.end()
                    raise ScorerDied(f"it had not answered after {within_s:g} s")
                for key, _ in ready:
                    if key.fd == into:
                        line = self._sent(into, line)
                        if not line:
                            waiting.unregister(into)
                        continue
                    data = os.read(out, 1_000_000)
                    if not data:
                        raise ScorerDied(self._why_ended(process))
                    got += data
        try:
            said = msgspec.json.decode(got)
        except ValueError:  # a DecodeError is one
            said = None
        if not isinstance(said, dict):
            self.end()
            raise ScorerDied("it answered in a form that was not asked for")
        return said

    def _sent(self, into: int, line: bytes) -> bytes:
        """What is left of the line. A pipe that is closed is told by the end of the output."""
        try:
            return line[os.write(into, line) :]
        except BlockingIOError:
            return line
        except BrokenPipeError:
            return b""

    def _why_ended(self, process: subprocess.Popen[bytes]) -> str:
        try:
            code = process.wait(1)
        except subprocess.TimeoutExpired:
            code = None
        self.end()
        if code is None:
            return "it closed its output"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return "it took more memory than it may" if code == 75 else f"its process ended with {code}"
