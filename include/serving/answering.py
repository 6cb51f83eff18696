"""One request from its rows to its reply: values looked up, scores, the journal, and only then the answer."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

from include.adapters.hot_features import FeaturesUnreachable, HotRow
from include.adapters.journal import JournalUnwritable
from include.domain.faults import crashpoint
from include.domain.journal.records import AnswerRecord, Record, ViewServed, Why
from include.domain.packed.reader import NotAnswerable, Packed
from include.domain.serving.requests import AskedRequest, AskedRow, NotAnswered
from include.domain.serving.route import ServedModel, ServedView
from include.serving.counters import AGE, AGES, Counters, bucket_of, labelled
from include.serving.models import LoadedModel
from include.serving.slow import AnswersLater


class LooksUp(Protocol):
    """Where values are looked up."""

    def row(self, view: str, version: int, keys: Sequence[Any]) -> HotRow | None: ...


class WritesDown(Protocol):
    """Where answers are written down."""

    def append(self, records: Sequence[Record]) -> None: ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row's answer."""

    score: float | list[float]
    predicted: str
    missing: Mapping[str, Why]
    """By view, why its values were missing."""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A whole request's answer, after it was written down."""

    request_id: str
    served: ServedModel
    predictions: list[Prediction]
    counted: bool
    """Whether it is in the journal."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one request beside its rows."""

    began: float
    """When it was taken in, by ``time.perf_counter``."""
    deadline_s: float
    """From then."""
    trace: str | None = None

    def in_time(self) -> None:
        """
        Raises:
            NotAnswered: when the deadline is over.
        """
        if self.left_s() < 0:
            raise self.late()

    def left_s(self) -> float:
        """Seconds until the deadline; below 0 when it is over."""
        return self.began + self.deadline_s - time.perf_counter()

    def late(self) -> NotAnswered:
        """What is said when the deadline is over."""
        return NotAnswered(504, f"there is no answer within {self.deadline_s * 1000:g} ms")


@dataclass(slots=True)
class _Row:
    features: dict[str, Any]
    keys: dict[str, Any]
    event_time: datetime | None
    given: Any
    views: dict[str, ViewServed]


@dataclass(frozen=True, slots=True)
class _Begun:
    """A request whose values are there, and whose scores are not."""

    request_id: str
    served: ServedModel
    at: datetime
    rows: list[_Row]
    terms: Terms


class Answerer:
    """Answers requests, by one thread: one after the other where the model answers at once."""

    def __init__(self, lookup: LooksUp, journal: WritesDown, counters: Counters, now: Callable[[], datetime]) -> None:
        self._lookup, self._journal, self._counters, self._now = lookup, journal, counters, now
        self._last: datetime | None = None
        self._open: list[datetime] = []
        """When those were taken in that wait for a pipeline."""

    def answer(self, asked: AskedRequest, model: LoadedModel, terms: Terms) -> AnsweredRequest:
        """The answer of a packed model, written down.

        Raises:
            NotAnswered: when a view's policy refuses it, the model does not answer its rows, the deadline is over, or
                it cannot be written down and that is refused.
        """
        begun = self._begun(asked, model, terms)
        before = time.perf_counter()
        scores = _packed_scores(cast(Packed, model.form), [row.features for row in begun.rows])
        return self._ended(begun, scores, round((time.perf_counter() - before) * 1e6))

    async def answer_slowly(self, asked: AskedRequest, model: LoadedModel, terms: Terms) -> AnsweredRequest:
        """The answer of a model whose pipeline answers, written down; other requests go on meanwhile.

        Raises:
            NotAnswered: as ``answer``.
        """
        begun = self._begun(asked, model, terms)
        self._open.append(begun.at)
        try:
            before = time.perf_counter()
            left = terms.deadline_s - (before - terms.began)
            scores = await cast(AnswersLater, model.form).scores([row.features for row in begun.rows], left)
            return self._ended(begun, scores, round((time.perf_counter() - before) * 1e6))
        finally:
            self._open.remove(begun.at)

    def written_until(self, now: datetime) -> datetime:
        """The time before which every answer is written: now, or when the oldest began that is under way."""
        return min([now, *self._open])

    def _begun(self, asked: AskedRequest, model: LoadedModel, terms: Terms) -> _Begun:
        served, at = model.served, self._prediction_time()
        rows = [self._looked_up(row, served, at) for row in asked.rows]
        crashpoint("serve.looked_up")
        terms.in_time()
        return _Begun(asked.request_id or secrets.token_hex(16), served, at, rows, terms)

    def _ended(self, begun: _Begun, scores: list[Any], us_model: int) -> AnsweredRequest:
        served, rows, terms, request_id = begun.served, begun.rows, begun.terms, begun.request_id
        _finite(scores)
        crashpoint("serve.scored")
        terms.in_time()
        predictions = [
            Prediction(score, _predicted(score, served), {n: v.missing for n, v in row.views.items() if v.missing})
            for score, row in zip(scores, rows, strict=True)
        ]
        us_total = round((time.perf_counter() - terms.began) * 1e6)
        records = [
            AnswerRecord(
                asked_id=f"{request_id}#{i}" if len(rows) > 1 else request_id,
                request_id=request_id,
                model=served.model,
                prediction_time=begun.at,
                candidate=served.candidate,
                digest=served.digest,
                revision=served.revision,
                route_revision=served.route_revision,
                by=served.by,
                keys=row.keys,
                event_time=row.event_time,
                row=i,
                rows=len(rows),
                score=made.score,
                predicted=made.predicted,
                us_total=us_total,
                us_model=us_model,
                features=_kept(row.features, served.omit),
                omitted=served.omit,
                given=row.given,
                views=row.views,
                trace=terms.trace,
            )
            for i, (row, made) in enumerate(zip(rows, predictions, strict=True))
        ]
        counted = self._written(records, served)
        crashpoint("serve.journaled")
        self._count(rows, served)
        return AnsweredRequest(request_id, served, predictions, counted)

    def _prediction_time(self) -> datetime:
        """The one reading of the clock; it never goes back in this process."""
        at = self._now()
        if self._last is not None and at < self._last:
            at = self._last
        self._last = at
        return at

    def _written(self, records: Sequence[Record], served: ServedModel) -> bool:
        try:
            self._journal.append(records)
            return True
        except JournalUnwritable as error:
            self._counters.add(labelled("slipway_journal_failed_total", model=served.model), len(records))
            if served.on_journal_full == "refuse":
                raise NotAnswered(503, "the answer cannot be written down, so it is not given") from error
            return False

    def _count(self, rows: list[_Row], served: ServedModel) -> None:
        self._counters.add(labelled("slipway_rows_total", model=served.model), len(rows))
        for row in rows:
            for view, how in row.views.items():
                if how.missing:
                    name = labelled("slipway_missing_total", model=served.model, view=view, why=how.missing)
                    self._counters.add(name)
                elif how.age_s is not None and how.age_s >= 0:
                    le = bucket_of(how.age_s, AGES)
                    self._counters.add(labelled(f"{AGE}_bucket", model=served.model, view=view, le=le))
                    self._counters.add(labelled(f"{AGE}_sum", model=served.model, view=view), how.age_s)
                    self._counters.add(labelled(f"{AGE}_count", model=served.model, view=view))

    # --- features ----------------------------------------------------------------------------------------------------

    def _looked_up(self, row: AskedRow, served: ServedModel, at: datetime) -> _Row:
        names = [each.name for each in served.features]
        lacking = {name for name in names if name not in row.features}
        if not lacking:
            return _Row({name: row.features[name] for name in names}, dict(row.keys), row.event_time, "all", {})
        found, event_time = dict(row.features), row.event_time
        # A feature of the entity may be the key of another view.
        known = {**row.features, **row.keys}
        views: dict[str, ViewServed] = {}
        for view in served.views:
            wanted = [name for name in view.features if name in lacking]
            if not wanted and not (view.is_entity and _lacks_keys(served, known)):
                continue
            values, how = self._of_view(view, known, at)
            views[view.name] = how
            if how.missing is not None and view.missing == "refuse" and wanted:
                raise NotAnswered(
                    422,
                    f"the values of {view.name} are {how.missing}, and the model is not asked without them",
                    [{"view": view.name, "problem": how.missing, "age_s": how.age_s}],
                )
            found.update({name: values.get(name) for name in wanted})
            if view.is_entity:
                event_time = event_time or how.event_time
                for name, value in values.items():
                    known.setdefault(name, value)
        entity = served.views[0].keys if served.views else []
        features = {each.name: _of_kind(found.get(each.name), each.kind) for each in served.features}
        keys = {name: known[name] for name in entity if name in known}
        return _Row(features, keys, event_time, [name for name in names if name not in lacking], views)

    def _of_view(
        self, view: ServedView, known: Mapping[str, Any], at: datetime
    ) -> tuple[Mapping[str, Any], ViewServed]:
        """The view's values, none where they may not be used, and how they came."""
        keys = [known.get(name) for name in view.keys]
        if any(key is None for key in keys):
            return {}, ViewServed(view.version, missing="absent")
        try:
            row = self._lookup.row(view.name.partition("@")[0], view.version, keys)
        except FeaturesUnreachable:
            return {}, ViewServed(view.version, missing="unreachable")
        if row is None:
            return {}, ViewServed(view.version, missing="absent")
        age = (at - row.event_time).total_seconds()
        why: Why | None = None
        if row.available_time > at or (row.event_time > at and not view.is_entity):
            why = "future"
        elif row.event_time <= at - timedelta(seconds=view.ttl_s):
            why = "stale"
        return ({} if why else row.features), ViewServed(view.version, row.event_time, round(age, 3), why, row.run_id)


def _lacks_keys(served: ServedModel, known: Mapping[str, Any]) -> bool:
    return any(key not in known for view in served.views for key in view.keys)


def _kept(features: dict[str, Any], omit: list[str]) -> dict[str, Any]:
    return {name: value for name, value in features.items() if name not in omit} if omit else features


def _of_kind(value: Any, kind: str) -> Any:
    """A stored value as the model takes it."""
    if value is None:
        return None
    if kind == "categorical":
        return value if isinstance(value, str) else str(value)
    return bool(value) if kind == "boolean" else float(value)


def _packed_scores(packed: Packed, rows: list[dict[str, Any]]) -> list[Any]:
    try:
        if len(rows) == 1:
            one = packed.one(rows[0])
            return [one if isinstance(one, float) else one.tolist()]
        found: list[Any] = packed.many({name: [row[name] for row in rows] for name in packed.features}).tolist()
        return found
    except NotAnswerable as error:
        raise NotAnswered(422, f"the model does not answer this: {error}") from None


def _finite(scores: list[Any]) -> None:
    for i, score in enumerate(scores):
        if not all(map(math.isfinite, score if isinstance(score, list) else [score])):
            raise NotAnswered(422, f"the model's answer to row {i} is no finite number")


def _predicted(score: Any, served: ServedModel) -> str:
    """As the batch log has it: the likelier class, or the value."""
    if served.task == "binary":
        return served.classes[int(score > 0.5)]
    if served.task == "multiclass":
        return served.classes[max(range(len(score)), key=score.__getitem__)]
    return f"{score:.6g}"
