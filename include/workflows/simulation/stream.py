"""The past, in memory: every row with its features, its label, and when that label was known.

A declared model's comes from the offline feature store by one point-in-time join over the whole range; slices of it are
what the Dags' own joins give day by day. That of a team without a declaration comes from a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration, declarations
from include.domain import classes, weights
from include.domain.drift.maturity import lacking_by_age
from include.domain.intervals import DAY, Interval
from include.domain.journey import training_windows
from include.workflows import stores
from include.workflows.journey.facts import JoinAvailability
from include.workflows.scoring import fitted_models, matured_labels, row_weights
from include.workflows.simulation import table_checks
from include.workflows.simulation.table_checks import BadStream as BadStream
from include.workflows.tables import checks, reading

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000
NEVER_US = 2**62
"""When a label is known that never is."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Rows in the order of their event time. Times are microseconds since 1970, UTC.

    Attributes:
        features: ``(n, features)``, as the pipeline reads them.
        kinds: of each feature, in order.
        y: ``(n,)`` labels, a class as its position; NaN without one.
        event_us: ``(n,)``.
        known_us: ``(n,)`` when the label was known; ``NEVER_US`` without one.
        classes: in the order of the outputs; None for regression.
        keys: the entity of each row; None where there is none.
        availability: as ``TrainingSet.availability``; None where it was not measured.
        weight: ``(n,)`` how much each row counts, 0 or more; None where all count the same.
    """

    features: pd.DataFrame
    kinds: Mapping[str, str]
    y: np.ndarray[Any, Any]
    event_us: np.ndarray[Any, Any]
    known_us: np.ndarray[Any, Any]
    classes: list[str] | None
    keys: pd.DataFrame | None = None
    availability: JoinAvailability | None = None
    weight: np.ndarray[Any, Any] | None = None

    @property
    def counts(self) -> np.ndarray[Any, Any]:
        """``(n,)``: whether a row has a label and counts at all."""
        import numpy as np

        labelled: np.ndarray[Any, Any] = np.isfinite(self.y)
        return labelled if self.weight is None else labelled & (self.weight > 0)

    def weighed(self, rows: np.ndarray[Any, Any] | slice) -> np.ndarray[Any, Any] | None:
        """How much the rows count; None where all count the same."""
        return None if self.weight is None else self.weight[rows]

    def shares(self, rows: np.ndarray[Any, Any] | slice) -> np.ndarray[Any, Any] | float:
        """What the loss of each of the rows is multiplied by in a sum: its weight, of mean 1 over all labelled rows."""
        import numpy as np

        if self.weight is None:
            return 1.0
        found: np.ndarray[Any, Any] = self.weight[rows] / self.weight[np.isfinite(self.y)].mean()
        return found

    @property
    def day(self) -> np.ndarray[Any, Any]:
        """``(n,)``: days since 1970."""
        days: np.ndarray[Any, Any] = self.event_us // DAY_US
        return days

    @property
    def begins(self) -> datetime:
        """The start of the day of its first row."""
        return EPOCH + int(self.event_us[0] // DAY_US) * DAY

    def at(self, moment: datetime) -> int:
        """The first row at or after the moment."""
        return int(self.event_us.searchsorted(microseconds(moment)))

    def rows(self, interval: Interval) -> slice:
        return slice(self.at(interval.start), self.at(interval.end))

    def matured(self, interval: Interval, as_of: datetime, delay: timedelta) -> np.ndarray[Any, Any]:
        """The rows of the interval whose label's window had closed at ``as_of``, and whose label was known then."""
        import numpy as np

        closed, known = self._labelled(interval, as_of, delay)
        rows: np.ndarray[Any, Any] = np.flatnonzero(closed & known) + self.at(interval.start)
        return rows

    def never_labelled(self, interval: Interval, as_of: datetime, delay: timedelta) -> int:
        """How many rows of the interval had no label at ``as_of`` though their label's window had closed."""
        closed, known = self._labelled(interval, as_of, delay)
        return int((closed & ~known).sum())

    def lacking_by_age(self, interval: Interval, as_of: datetime, delay: timedelta, ages: int) -> list[tuple[int, int]]:
        """For each age of 0 to ``ages`` days since its label window closed: the rows of the interval as old at
        ``as_of``, and those of them that had no label then."""
        import numpy as np

        inside = self.rows(interval)
        closes = (self.day[inside] + 1) * DAY_US + delay // timedelta(microseconds=1)
        came = np.where(np.isfinite(self.y[inside]), (self.known_us[inside] - closes) / DAY_US, np.inf)
        return lacking_by_age((microseconds(as_of) - closes) / DAY_US, came, ages)

    def keyed(self, rows: np.ndarray[Any, Any] | slice) -> pd.DataFrame | None:
        """Keys and ``event_time`` of the rows; None where there are no keys."""
        import pandas as pd

        if self.keys is None:
            return None
        return self.keys.iloc[rows].assign(event_time=pd.to_datetime(self.event_us[rows], unit="us", utc=True))

    def times(self, rows: np.ndarray[Any, Any]) -> pd.Series[Any]:
        """When each of the rows happened."""
        import pandas as pd

        return pd.Series(pd.to_datetime(self.event_us[rows], unit="us", utc=True))

    def _labelled(
        self, interval: Interval, as_of: datetime, delay: timedelta
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        import numpy as np

        inside, now = self.rows(interval), microseconds(as_of)
        closed = self.event_us[inside] <= now - delay // timedelta(microseconds=1)
        if self.weight is not None:
            closed = closed & (self.weight[inside] > 0)
        return closed, (self.known_us[inside] <= now) & np.isfinite(self.y[inside])


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def day_name(day: int) -> str:
    """``YYYY-MM-DD`` of a number of days since 1970."""
    return (EPOCH + int(day) * DAY).date().isoformat()


# --- from the store --------------------------------------------------------------------------------------------------


def first_needed(model: ModelDeclaration, start: datetime) -> datetime:
    """Where the training window of the first champion begins."""
    training = model.training
    windows = training_windows(start, training.window_days, training.holdout_days, model.label.delay)
    return windows.whole.start


def replayed_days(model: ModelDeclaration) -> int:
    """How many days before both training windows the champion gate judges; 0 when it declares none."""
    replay = model.gates.champion_gate.replay
    return replay.days if replay is not None else 0


def stored(
    model: ModelDeclaration, interval: Interval, first: datetime | None = None, replay_days: int | None = None
) -> Stream:
    """Everything a simulation of ``interval`` reads: from ``first`` on, by default from the first champion's training
    window on; and ``replay_days`` before it, by default those of the declaration's replay window.

    Labels are as the source knows them when those of ``interval``'s last row have matured.

    Raises:
        BadStream: when the store lacks days.
        TableMissing, BadLabels, SqlFailed, SourceUnreachable: as a training set's join.
    """
    from include.workflows.scoring import point_in_time_rows

    delay = model.label.delay
    whole = Interval(first or first_needed(model, interval.start), interval.end)
    _require_published(model, whole)
    # Missing days before mean the same to the gate as in a journey: too few rows.
    older = replayed_days(model) if replay_days is None else replay_days
    whole = Interval(whole.start - timedelta(days=older), whole.end)
    joined, availability = point_in_time_rows.joined(model, whole, interval.end)
    labels = matured_labels.matured_labels(model, whole, interval.end + delay)
    keys = declarations().view(model.entity.view).keys
    found, _ = matured_labels.label_of_each(model, joined, labels)
    return _stream(model, joined.to_pandas(), found.to_pandas(), keys, availability)


def _stream(
    model: ModelDeclaration,
    rows: pd.DataFrame,
    labels: pd.DataFrame,
    keys: list[str],
    availability: JoinAvailability | None,
) -> Stream:
    import numpy as np

    order = np.argsort(rows["event_time"].to_numpy(), kind="stable")
    rows, labels = rows.iloc[order].reset_index(drop=True), labels.iloc[order].reset_index(drop=True)
    label = labels["label"]
    if model.is_classifier:
        y = classes.positions(model.label.classes or [], label)[0]
    else:
        y = label.to_numpy(dtype=np.float64)
    known = _as_us(labels["available_time"])
    kinds = fitted_models.kinds_of(model)
    return Stream(
        features=estimators.as_input(rows, kinds),
        kinds=kinds,
        y=y,
        event_us=_as_us(rows["event_time"]),
        known_us=np.where(np.isfinite(y), known, NEVER_US),
        classes=model.label.classes,
        keys=rows[keys],
        availability=availability,
        weight=row_weights.in_table(model, rows, "the rows to simulate"),
    )


def _as_us(times: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Microseconds since 1970; a missing time is never."""
    import numpy as np

    values = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    found = values.astype("datetime64[us]").astype(np.int64)
    return np.where(np.isnat(values), NEVER_US, found)


def _require_published(model: ModelDeclaration, whole: Interval) -> None:
    with stores.open_ledger() as ledger:
        for use in model.views:
            view = declarations().view(use.view)
            asked = [day for day in whole.days if day >= view.calendar.starts.isoformat()]
            have = {p.day for p in ledger.partitions.between(view.name, view.version)}
            lacking = [day for day in asked if day not in have]
            early = len(whole.days) - len(asked)
            if early and view.name == model.entity.view:
                raise BadStream(
                    f"{view.name} starts on {view.calendar.starts}, and the first champion learns from "
                    f"{whole.start:%Y-%m-%d} on. Give a --from at least {early} days later, or a shorter "
                    "training window with --set training.window_days=..."
                )
            if lacking:
                last = (Interval.of_day(lacking[-1]).end).strftime("%Y-%m-%d")
                raise BadStream(
                    f"The store lacks {len(lacking)} of the {len(asked)} days of {view.name} that are needed, the "
                    f"first {lacking[0]}. Run the Dag features_{view.slug} with start {lacking[0]} and end {last} "
                    "(`slipway up`), or `slipway replay`, which publishes every view."
                )


# --- from a table ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a table is what. Without ``features`` all others are; ``weight`` is how much a row counts."""

    time: str
    label: str
    features: tuple[str, ...] = ()
    weight: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GivenStream:
    """A table's stream, before the delay of its labels is known. ``renamed`` are features whose names were no
    identifiers, ``remarks`` how the table was taken."""

    stream: Stream
    renamed: Mapping[str, str]
    remarks: tuple[str, ...] = ()

    def delayed(self, delay: timedelta) -> Stream:
        """The stream of which each label is known ``delay`` after its row."""
        import numpy as np

        s = self.stream
        known = np.where(np.isfinite(s.y), s.event_us + delay // timedelta(microseconds=1), NEVER_US)
        return Stream(s.features, s.kinds, s.y, s.event_us, known, s.classes, weight=s.weight)


def given(path: Path, columns: Columns, *, classifier: bool) -> GivenStream:
    """Read a parquet or CSV file.

    Columns that are no feature by what they hold (times, lists) or by what they are (an index, an identifier of every
    row) are left out with a remark where no features are named.

    Raises:
        BadTable, BadStream: the one line says what is wrong.
    """
    table = reading.Table(path, option="--data")
    weight = () if columns.weight is None else (columns.weight,)
    checks.check_present((columns.time, columns.label, *columns.features, *weight), table.names, f" in {path}")
    if columns.time == columns.label:
        raise BadStream(f"Column {columns.time!r} is named as time and as label; they are two columns.")
    twice = [name for name in (columns.time, columns.label) if name in columns.features]
    if twice:
        raise BadStream(f"Column {twice[0]!r} is named as a feature too; a label that is a feature predicts itself.")
    names = columns.features or tuple(n for n in table.names if n not in (columns.time, columns.label, columns.weight))
    kinds = {name: table.kinds[name] for name in names}
    left_out = {
        name: f"holds {kind} values"
        for name, kind in kinds.items()
        if kind not in (*table_checks.FEATURE_KINDS, "empty")
    }
    if columns.features and left_out:
        name = next(iter(left_out))
        raise BadStream(f"Column {name!r} {left_out[name]}, which are no feature; name those that are.")
    left_out |= {name: "holds no value at all" for name, kind in kinds.items() if kind == "empty"}
    if not columns.features:
        left_out |= {name: "is the index that pandas kept" for name in table.index if name in kinds}
    kinds = {name: kind for name, kind in kinds.items() if name not in left_out}
    label = table.as_written(columns.label) if classifier else table.column(columns.label)
    frame = table.frame([columns.time, *kinds])
    if not columns.features:
        named = {name: why for name in kinds if (why := table_checks.names_rows(frame[name], kinds[name])) is not None}
        left_out |= named
        kinds = {name: kind for name, kind in kinds.items() if name not in named}
    if not kinds:
        why = "".join(f"; {name!r} {reason}" for name, reason in list(left_out.items())[:3])
        raise BadStream(f"{path} has no features beside {columns.time!r} and {columns.label!r}{why}.")
    remarks = [*table.remarks([columns.time, *kinds]), *(f"Left out: {n}, which {why}." for n, why in left_out.items())]
    if not classifier:
        remarks += table.remarks([columns.label])
    frame[columns.label] = label
    if columns.weight is not None:
        frame[columns.weight] = table.column(columns.weight)
    found = from_frame(frame, columns, kinds, classifier=classifier)
    return replace(found, remarks=(*remarks, *found.remarks))


def from_frame(frame: pd.DataFrame, columns: Columns, kinds: Mapping[str, str], *, classifier: bool) -> GivenStream:
    """A table in memory; ``kinds`` are its features'."""
    import numpy as np

    moments = checks.times_of(frame[columns.time])
    table_checks.check_times(columns.time, moments)
    times = moments.astype("datetime64[us]").astype(np.int64)
    order = np.argsort(times, kind="stable")
    y, names, remarks = table_checks.labels_of(frame[columns.label], classifier)
    renamed = _identifiers(kinds)
    features = frame[list(kinds)].rename(columns=renamed).iloc[order].reset_index(drop=True)
    named = {renamed.get(name, name): kind for name, kind in kinds.items()}
    y, times = y[order], times[order]
    known = np.where(np.isfinite(y), times, NEVER_US)
    read = estimators.as_input(features, named)
    table_checks.check_numbers(read, {new: old for old, new in renamed.items()})
    weight = None
    if columns.weight is not None:
        weight = weights.checked(frame[columns.weight].to_numpy()[order], f"--weight {columns.weight!r}")
    stream = Stream(read, named, y, times, known, names, weight=weight)
    return GivenStream(stream, renamed, tuple(remarks))


def _identifiers(names: Iterable[str]) -> dict[str, str]:
    """New names for the features that a declaration could not name, none twice."""
    taken, renamed = set(names), dict[str, str]()
    for name in names:
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name):
            continue
        base = re.sub(r"\W", "_", name, flags=re.ASCII)[:50]
        new = base if re.match(r"[A-Za-z_]", base) else f"f_{base}"
        while new in taken:
            new += "_"
        taken.add(new)
        renamed[name] = new
    return renamed
