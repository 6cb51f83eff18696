"""Crash points: named places between two writes where a test may kill or hold the process.

They are in production code because a crash between two writes is what must be proven harmless. The environment is read
once, when this module is: unset, a crash point costs a look at one name. Whoever changes the environment of a process
that runs says so with ``read_environment``.

``FAULT_CRASH=name`` or ``name:nth`` kills the process (SIGKILL, so nothing is cleaned up) the first or the n-th time
the point is passed. ``FAULT_PAUSE=name:seconds`` waits there; ``FAULT_PAUSE=name`` stops the process there, the first
time, until it gets SIGCONT, so that two processes can be interleaved without a clock. ``FAULT_TRACE=file``
appends the name of every point that is passed, so that a sweep finds them all by itself.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

_passed: Counter[str] = Counter()
_stopped_at: Counter[str] = Counter()
_asked: Mapping[str, str] = {}


def read_environment() -> None:
    """Take what the environment asks for from now on."""
    global _asked
    _asked = {name: os.environ[name] for name in ("FAULT_TRACE", "FAULT_CRASH", "FAULT_PAUSE") if os.environ.get(name)}


def crashpoint(name: str) -> None:
    """Die or wait here if the environment asks for it. ``name`` is ``part.operation.place``."""
    if _asked:
        _reached(name)


def _reached(name: str) -> None:
    trace = _asked.get("FAULT_TRACE")
    if trace:
        with Path(trace).open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")
    wanted, _, nth = _asked.get("FAULT_CRASH", "").partition(":")
    if wanted == name:
        _passed[name] += 1
        if _passed[name] == int(nth or 1):
            os.kill(os.getpid(), signal.SIGKILL)
    wanted, _, seconds = _asked.get("FAULT_PAUSE", "").partition(":")
    if wanted == name and seconds:
        time.sleep(float(seconds))
    elif wanted == name and not _stopped_at[name]:
        _stopped_at[name] += 1
        os.kill(os.getpid(), signal.SIGSTOP)


read_environment()
