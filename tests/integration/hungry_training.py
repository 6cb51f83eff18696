"""The real train step in a process that may not have the memory it asks for."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from include.config import loader
from include.workflows import tasks

NEEDED_MB = 2048
_fit = LogisticRegression.fit


def _hungry(self: LogisticRegression, *rows: Any, **how: Any) -> LogisticRegression:
    """Asks the system for two gigabytes, touches none of it, and fits."""
    held = np.zeros(NEEDED_MB << 20, dtype=np.uint8)
    fitted = _fit(self, *rows, **how)
    return fitted if held[0] == 0 else self


def train_within(reference: Mapping[str, Any], spare_mb: int) -> None:
    """The train step, in a process that may have so much memory beyond what it has now, with a fit that needs more."""
    # The process that this one was forked from may have been started for another world.
    loader.ROOT = Path(os.environ["SLIPWAY_DECLARATIONS"])
    loader.declarations.cache_clear()
    LogisticRegression.fit = _hungry  # type: ignore[method-assign]  # this process ends with the step
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    most = pages * resource.getpagesize() + (spare_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    tasks.train(reference)
