"""What each worker says of itself in a file of the run, and what all of them say together."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from include.adapters import files

ENDS = ".says"


def say(folder: Path, served: Mapping[str, Any], written_until: datetime) -> None:
    """This worker answers by these candidates, and everything before the time is written."""
    said = {"served": dict(served), "written_until": written_until.isoformat()}
    files.write_text(folder / f"{os.getpid()}{ENDS}", json.dumps(said))


@dataclass(slots=True)
class WorkersSaid:
    """What the workers that run say together."""

    served: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By model, each candidate that answers, and in how many workers."""
    written_until: datetime | None = None
    """Of the worker that is farthest behind; None before every one has said it."""
    running: int = 0
    """How many are ready."""


def told_by_workers(folder: Path) -> WorkersSaid:
    """Of the workers that are ready and run now; a file of one that is gone counts for nothing."""
    found, times = WorkersSaid(), list[datetime]()
    running = [file for file in sorted(folder.glob("*.ready")) if _runs(file.stem)]
    found.running = len(running)
    for ready in running:
        try:
            said = json.loads(ready.with_suffix(ENDS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        times.append(datetime.fromisoformat(said["written_until"]))
        for model, each in said["served"].items():
            _count(found.served.setdefault(model, []), each)
    if running and len(times) == len(running):
        found.written_until = min(times)
    return found


def _count(known: list[dict[str, Any]], served: Mapping[str, Any]) -> None:
    for each in known:
        if {key: value for key, value in each.items() if key != "workers"} == served:
            each["workers"] += 1
            return
    known.append({**served, "workers": 1})


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
