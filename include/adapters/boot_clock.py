"""The machine's clock that counts from its start, through its sleep, and is not set by anybody: for leases.

It is the same for all processes of a machine, and begins again when that starts again; ``boot_id`` tells the starts
apart.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path


def boot_seconds() -> float:
    """Seconds since the machine started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def boot_id() -> str:
    """Which start of the machine this is; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
