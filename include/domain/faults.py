"""Crash points: named places between two writes where a test may kill or pause the process.

They stand in production code because a crash between two writes is what must be proven harmless. Unset, a crash point
costs two look-ups in the environment. ``FAULT_CRASH=name`` or ``name:nth`` kills the process (SIGKILL, so nothing is
cleaned up) the first or the n-th time the point is passed; ``FAULT_PAUSE=name:seconds`` waits there, to interleave two
processes.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

_passed: Counter[str] = Counter()


def crashpoint(name: str) -> None:
    """Die or wait here if the environment asks for it. ``name`` is ``part.operation.place``."""
    crash = os.environ.get("FAULT_CRASH")
    if crash:
        wanted, _, nth = crash.partition(":")
        if wanted == name:
            _passed[name] += 1
            if _passed[name] == int(nth or 1):
                os.kill(os.getpid(), signal.SIGKILL)
    pause = os.environ.get("FAULT_PAUSE")
    if pause:
        wanted, _, seconds = pause.partition(":")
        if wanted == name:
            time.sleep(float(seconds))
