"""How long a model takes, as one machine measured it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """What one model took on one machine; None where it was not measured.

    Attributes:
        machine: identifies the machine, such as host and processor.
        repeats: how many single rows were timed.
        p50_ms: median time of a single row.
        p99_ms: 99th percentile of the same.
        batch_ms_per_1k: median time of a thousand rows asked together.
        model_bytes: size of the registered file.
        batch_p90_ms_per_1k: 90th percentile of the batches' times.
    """

    machine: str
    repeats: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    batch_ms_per_1k: float | None = None
    model_bytes: float | None = None
    batch_p90_ms_per_1k: float | None = None
