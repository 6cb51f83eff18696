"""By-products: pictures, curves, pages and figures that no step waits for.

One of them that fails costs itself and a remark. Evidence (scores, reports, profiles, model files) is no by-product:
nothing that a gate or the drift sensor reads is made here.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from include.workflows.journey.facts import Remarks
from include.workflows.journey.step import Journey

T = TypeVar("T")
_LONGEST = 300


class ByProducts:
    """Those of one step, and what became of them."""

    def __init__(self) -> None:
        self.remarks: list[str] = []

    def attempt(self, what: str, make: Callable[[], T]) -> T | None:
        """Make it; None and a remark when that raises anything.

        Args:
            what: as the start of a sentence: ``The curves``.
            make: makes it. A store that it writes to may be away.
        """
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - drawing and foreign stores may raise anything, no step waits
            said = " ".join(str(error).split())[:_LONGEST] or "no reason given"
            remark = f"{what} could not be made ({type(error).__name__}: {said.rstrip('.')}). Nothing waits for it."
            print(f"Remark: {remark}")
            traceback.print_exc()
            self.remarks.append(remark)
            return None

    def keep(self, journey: Journey, step: str) -> None:
        """Remember the remarks beside what the step kept; a step that runs again replaces its own."""
        found = journey.found(Remarks)
        kept = found.by_step if found else {}
        others = {name: said for name, said in kept.items() if name != step}
        if self.remarks or len(others) < len(kept):
            journey.keep(Remarks({**others, **({step: tuple(self.remarks)} if self.remarks else {})}))
