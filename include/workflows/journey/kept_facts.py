"""What the tasks of a journey left, for those who show it: what is missing or cannot be read is no error there."""

from __future__ import annotations

from include.config.settings import settings
from include.workflows.journey import fact_files
from include.workflows.journey.fact_files import F


class KeptFacts:
    """What the tasks of one journey left, as it is shown.

    Attributes:
        unread: a sentence for each file that is there and cannot be read: of another release, or damaged.
    """

    def __init__(self, candidate_id: str) -> None:
        self._folder = settings().artifacts / "journeys" / candidate_id
        self.unread: list[str] = []

    def of(self, kind: type[F]) -> F | None:
        """None when the task has not run, ran where this process cannot look, or left what cannot be read."""
        try:
            return fact_files.find(self._folder, kind)
        except fact_files.UnreadableFacts as error:
            self.unread.append(str(error))
            return None
