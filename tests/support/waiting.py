"""How tests wait: for a condition, never for a time, and so long that a busy machine is not taken for a broken one.

A limit is there to end a test that would wait for ever. It is no claim about speed: claims about speed are made by
benchmarks, and by the tests that compare a duration with the one the code promises.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE_S = 300.0
"""How long a test waits for what comes within seconds on a quiet machine."""


def eventually(condition: Callable[[], Found], patience_s: float = PATIENCE_S, *, every_s: float = 0.1) -> Found:
    """What ``condition`` gives once it gives something true.

    Raises:
        AssertionError: when ``patience_s`` have passed and it still does not.
    """
    until = time.monotonic() + patience_s
    while not (found := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"not so after {patience_s:g} s")
        time.sleep(every_s)
    return found
