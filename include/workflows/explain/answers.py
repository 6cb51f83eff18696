"""What was answered to a model's rows, and when: one row's way from its first answer to the one that counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from include.adapters.ledger import Ledger
from include.config import ModelDeclaration, declarations
from include.domain.ahead import AFTERWARDS, AHEAD
from include.domain.errors import Refusal
from include.domain.intervals import DAY, Interval, instant, midnight
from include.workflows import stores
from include.workflows.scoring.ahead import answer_times
from include.workflows.scoring.request_ids import ALSO_SERVED, SERVED


class NothingAnswered(Refusal, LookupError):
    """A row, or a day, without any answer."""


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """One answer to one row."""

    key: str
    event_time: datetime
    answered_at: datetime
    how: str
    """``ahead`` where it was given in time, ``afterwards`` where the closing of the day filled it, ``open`` where the
    row's day is not closed."""
    candidate_id: str
    model_version: str
    revision: int
    score: float | None
    predicted: str | None
    counts: bool
    """Whether it is the answer that counts, or will be if no other comes."""

    @property
    def sentence(self) -> str:
        """For people: who was answered when, and by whom."""
        when = f"{self.event_time:%Y-%m-%d %H:%M}"
        said = "no answer" if self.score is None else f"score {self.score:.3g} ({self.predicted})"
        if self.how == AFTERWARDS:
            return (
                f"{self.key}, at {when}: not answered in time; filled by version {self.model_version} once its day "
                f"was over, {said}"
            )
        return (
            f"{self.key}, at {when}: answered {self.answered_at:%Y-%m-%d %H:%M} by version {self.model_version}, {said}"
        )

    def as_json(self) -> dict[str, Any]:
        times = {"event_time": self.event_time.isoformat(), "answered_at": self.answered_at.isoformat()}
        return {**asdict(self), **times}


def of_day(model_name: str, day: str, key: str | None = None) -> list[RowAnswer]:
    """Of each row of the day the answer that counts, in the order of the events; with ``key``, all answers of that row.

    Raises:
        NotAhead: when the model does not answer ahead.
        NothingAnswered: when there are none.
    """
    model = declarations().model(model_name)
    answer_times(model)
    found = _given(model, Interval.of_day(day))
    counted = _logged(model, Interval.of_day(day))
    if counted:
        ids = {(each.key, each.event_time, each.answered_at, each.candidate_id) for each in counted}
        others = [each for each in found if (each.key, each.event_time, each.answered_at, each.candidate_id) not in ids]
        found = [*others, *counted]
    found = [each for each in found if each.key == key] if key is not None else [each for each in found if each.counts]
    if not found:
        which = f"{key} of {day}" if key is not None else day
        raise NothingAnswered(
            f"No answer of {model_name} to {which} is there. Its runs are those of ahead_{model_name}, and "
            f"score_{model_name} for the day."
        )
    return sorted(found, key=lambda each: (each.event_time, each.key, each.answered_at))


def example(ledger: Ledger, model: ModelDeclaration) -> str | None:
    """The newest scored day in a sentence, with one row that was answered ahead; None where no day has any."""
    days = [scored.day for scored in ledger.lineage.scorings(model.name) if scored.role == SERVED]
    if model.score is None or not days:
        return None
    rows = [each for each in _logged(model, Interval.of_day(max(days))) if each.counts]
    ahead = [each for each in rows if each.how == AHEAD]
    if not ahead:
        return None
    shown = min(ahead, key=lambda each: abs(each.event_time - midnight(each.event_time) - DAY / 2))
    lacks = len(rows) - len(ahead)
    rest = f", {lacks:,} were filled afterwards" if lacks else ""
    return f"{model.name} {max(days)}: {len(ahead):,} rows were answered before their event{rest}. {shown.sentence}."


def _given(model: ModelDeclaration, interval: Interval) -> list[RowAnswer]:
    """What was answered ahead; the last of each row counts as long as the day is not closed."""
    early = interval.start if model.score is None else interval.start - model.score.ahead
    table = stores.ahead_tables().read(model.name, interval, early)
    if table is None:
        return []
    rows = [row for row in table.to_pylist() if row["role"] == SERVED]
    closed = bool(_logged(model, interval))
    last = {row["request_id"]: row["answered_at"] for row in rows}
    return [
        _answer(model, row, AHEAD if closed else "open", not closed and last[row["request_id"]] == row["answered_at"])
        for row in rows
    ]


def _logged(model: ModelDeclaration, interval: Interval) -> list[RowAnswer]:
    table = stores.offline_store().read_predictions(model.name, interval)
    rows = [] if table is None else table.to_pylist()
    return [
        _answer(model, row, row["answered"], row["role"] == SERVED)
        for row in rows
        if row["role"] in (SERVED, ALSO_SERVED) and row.get("answered")
    ]


def _answer(model: ModelDeclaration, row: dict[str, Any], how: str, counts: bool) -> RowAnswer:
    keys = declarations().view(model.entity.view).keys
    return RowAnswer(
        key="|".join(str(row[name]) for name in keys),
        event_time=row["event_time"],
        answered_at=row["answered_at"],
        how=how,
        candidate_id=row["candidate_id"],
        model_version=row["model_version"],
        revision=int(row["revision"]),
        score=row["score"],
        predicted=row["predicted"],
        counts=counts,
    )


def day_of(text: str) -> str:
    """The UTC day that a person means.

    Raises:
        BadInstant: when it is none.
    """
    return midnight(instant(text)).date().isoformat()
