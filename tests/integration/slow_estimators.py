"""Estimators that misbehave, for declarations of tests: ``estimator: {path: slow_estimators.HangsWithChildren}``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin


class HangsWithChildren(ClassifierMixin, BaseEstimator):
    """A fit that starts two processes and waits for them for ever; ``pids`` is where it writes theirs."""

    def __init__(self, pids: str = "") -> None:
        self.pids = pids

    def fit(self, features: Any, label: Any) -> HangsWithChildren:
        sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
        children = [subprocess.Popen(sleeps) for _ in range(2)]
        Path(self.pids).write_text(" ".join(str(child.pid) for child in children), encoding="utf-8")
        while True:
            time.sleep(0.05)
