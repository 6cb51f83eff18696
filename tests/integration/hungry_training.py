"""Real steps in a process that may not have the memory, or write the bytes, that they ask for."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from include.adapters.ledger import LedgerUnavailable
from include.config import loader
from include.workflows import tasks

NEEDED_MB = 2048
SAID = 3
_fit = LogisticRegression.fit


def _hungry(self: LogisticRegression, *rows: Any, **how: Any) -> LogisticRegression:
    """Asks the system for two gigabytes, touches none of it, and fits."""
    held = np.zeros(NEEDED_MB << 20, dtype=np.uint8)
    fitted = _fit(self, *rows, **how)
    return fitted if held[0] == 0 else self


def _in_this_world() -> None:
    """The process that this one was forked from may have been started for another world."""
    loader.ROOT = Path(os.environ["SLIPWAY_DECLARATIONS"])
    loader.declarations.cache_clear()


def score_writing_at_most(model: str, day: str, run_id: str, most_bytes: int) -> None:
    """The score step, in a process whose files, its log too, may not become longer than that, as on a disk that is
    full. It exits with ``SAID`` after an error of one line that says so."""
    _in_this_world()
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
    try:
        tasks.score(model, day, run_id)
    except (LedgerUnavailable, OSError):
        os._exit(SAID)


def train_within(reference: Mapping[str, Any], spare_mb: int) -> None:
    """The train step, in a process that may have so much memory beyond what it has now, with a fit that needs more."""
    _in_this_world()
    LogisticRegression.fit = _hungry  # type: ignore[method-assign]  # this process ends with the step
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    most = pages * resource.getpagesize() + (spare_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    tasks.train(reference)
