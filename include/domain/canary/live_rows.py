"""One row of live traffic as it is counted for or against a canary. Where it comes from, a journal or a replay, is not
known here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What one model did with one row.

    Attributes:
        failed: it gave no finite score in time.
        us: how long it took, in microseconds, where the request had this row alone; None where it had more, because
            then the time is that of other rows too.
        score: a number, or one a class; None where it failed.
        predicted: what was decided; None where it failed, and for a regression.
    """

    failed: bool
    us: int | None = None
    score: float | tuple[float, ...] | None = None
    predicted: str | None = None

    def distance(self, other: ModelAnswer) -> float | None:
        """The largest difference between the scores; None where they cannot be compared.

        >>> ModelAnswer(False, score=0.25).distance(ModelAnswer(False, score=0.5))
        0.25
        >>> ModelAnswer(False, score=0.25).distance(ModelAnswer(True))
        """
        ours, theirs = _each(self.score), _each(other.score)
        if not ours or len(ours) != len(theirs):
            return None
        return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def _each(score: float | tuple[float, ...] | None) -> tuple[float, ...]:
    if score is None:
        return ()
    return score if isinstance(score, tuple) else (float(score),)


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One row that was asked while a rollout had a share.

    Attributes:
        asked_id: the row's identity; what is sent again has the same.
        unit: what it was drawn by; None where the caller named none, and then the champion answered.
        revision: of the route by which it was asked.
        share_ppm: the share by that route, in (0, 1,000,000] millionths.
        is_canary: whether it was drawn into the successor's share.
        canary: the successor's answer; None where it was not asked.
        champion: the champion's; None where it was not asked.
    """

    asked_id: str
    unit: str | None
    revision: int
    share_ppm: int
    is_canary: bool
    canary: ModelAnswer | None
    champion: ModelAnswer | None
