"""Where a simulation says how far it is."""

from __future__ import annotations

from typing import Protocol


class SimulationProgress(Protocol):
    """Where a simulation says how far it is."""

    def begin(self, what: str, steps: int) -> None: ...
    def step(self) -> None: ...
    def note(self, text: str) -> None: ...


class Silent:
    """A screen that shows nothing."""

    def begin(self, what: str, steps: int) -> None:
        """Say nothing."""

    def step(self) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
