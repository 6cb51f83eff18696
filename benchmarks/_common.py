"""What every benchmark shares: memory of a process tree, and the one JSON line at the end."""

from __future__ import annotations

import json
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MB = 1024 * 1024


def report(name: str, value: float, unit: str, limit: float, peak_rss_mb: float, **more: Any) -> None:
    """Print the line. ``limit`` is the same work done by the bare library in this run; ``ratio`` is value over it."""
    line = {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "limit": round(limit, 3),
        "ratio": round(value / limit, 3),
    }
    print(json.dumps({**line, "peak_rss_mb": round(peak_rss_mb), **more}))


def own_peak_mb() -> float:
    """The largest resident set this process has had.

    From /proc where there is one: ``getrusage`` gives a started process what its parent had at that moment.
    """
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Peak:
    """The largest memory a process tree has had, in megabytes; shared pages count once (PSS)."""

    def __init__(self) -> None:
        self.mb = 0.0


@contextmanager
def peak_of_tree(every_s: float = 1.0) -> Iterator[Peak]:
    """Sample this process and everything it started."""
    peak, over = Peak(), threading.Event()

    def sample() -> None:
        while not over.wait(every_s):
            peak.mb = max(peak.mb, sum(map(_pss, _tree(os.getpid()))) / MB)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, [])
    return found


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0
