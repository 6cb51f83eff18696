"""Which code this is: the released version, and the commit it runs from."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import PackageNotFoundError, version

from include.config.settings import PROJECT


def released() -> str:
    """The version that was installed; ``unknown`` where it was not installed at all."""
    try:
        return version("slipway")
    except PackageNotFoundError:
        return "unknown"


def git_revision() -> str | None:
    """The commit the code runs from: ``SLIPWAY_GIT_REVISION`` where an image carries it, else what git says; None
    without."""
    carried = os.environ.get("SLIPWAY_GIT_REVISION")
    if carried:
        return carried
    try:
        said = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None
