"""Drift between any two tables: the domain's tests without Airflow, a declared model or a ledger.

The current table is judged as a whole, or piece by piece in its order. Piece by piece, the reference is split in the
same way, so that the usual variation between pieces is allowed for. All tests share the error rate ``q``: the chance of
any false alarm on a table without drift is at most the one asked for.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.domain.drift.blind_spots import Doubts
from include.domain.drift.input_drift import LEAST_WINDOWS, DriftRules, DriftVerdict, input_drift
from include.domain.drift.prediction_drift import prediction_drift
from include.domain.drift.profile import SCORE, FeatureProfile, Profile, counted, merged_feature, score_frame
from include.domain.drift.reference import OTHERS, build_profile, profile_scores
from include.domain.drift.report import histograms
from include.workflows.tables.alike_values import aligned
from include.workflows.tables.checks import check_present, times_of
from include.workflows.tables.drift_columns import compared
from include.workflows.tables.drift_found import TablesDrift
from include.workflows.tables.drift_piece import Piece
from include.workflows.tables.labels import LabelLane
from include.workflows.tables.performance import Lane, score_values, scores_of
from include.workflows.tables.reading import BadTable, Table, count_table
from include.workflows.tables.roles import ColumnRoles, Limits

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MAX_PIECES = 5000
MOST_ESTIMATED = 200_000
"""Rows whose loss a regressor estimates; of a longer table every k-th."""
_DURATIONS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def compare_files(
    reference: Path,
    current: Path,
    roles: ColumnRoles,
    limits: Limits | None = None,
    *,
    chunk: str | None = None,
    separator: str | None = None,
) -> TablesDrift:
    """Judge the current table against the reference.

    Args:
        reference: A parquet or CSV file of what is usual.
        current: The one to judge, with the same columns.
        roles: Which column is what.
        limits: What counts as drift.
        chunk: ``5000`` (rows) or a duration such as ``1d``, ``12h``: judge the current table in such pieces.
        separator: of CSV files, one character; None finds it out for each.

    Raises:
        BadTable: the one line says what is wrong.
    """
    past = Table(reference, option="--reference", separator=separator)
    # An empty window is no mistake of the caller; it is not judged.
    now = Table(current, option="--current", may_be_empty=chunk is None, separator=separator)
    return _Comparison(past, now, roles, limits or Limits(), _chunk(chunk, roles)).made(chunk)


def _chunk(text: str | None, roles: ColumnRoles) -> int | timedelta | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9})([mhdw]?)", text)
    if found is None or int(found[1]) == 0:
        raise BadTable(f"chunk is {text!r}; give a number of rows such as 5000, or a duration such as 12h, 1d or 1w.")
    if not found[2]:
        return int(found[1])
    if roles.time is None:
        raise BadTable(f"chunk is {text!r}, a duration; --time names the column with the time of each row.")
    return timedelta(**{_DURATIONS[found[2]]: int(found[1])})


class _Comparison:
    """The two tables, their common features, and what the reference gives."""

    def __init__(
        self, past: Table, now: Table, roles: ColumnRoles, limits: Limits, chunk: int | timedelta | None
    ) -> None:
        self.past, self.now, self.roles, self.limits, self.chunk = past, now, roles, limits, chunk
        self.remarks: list[str] = []
        self.blind: dict[str, str] = {}
        needed = [*roles.score, *([roles.time] if roles.time else [])]
        check_present([*needed, *([roles.label] if roles.label else [])], past.names, f" in {past.path}")
        check_present(needed, now.names, f" in {now.path}")
        if roles.label in roles.score:
            raise BadTable(f"Column {roles.label!r} is the label and a score too; name the column of the scores.")
        if roles.time is not None:
            for table in (past, now):
                if table.rows:
                    times_of(table.column(roles.time))
        taken = [*needed, *([roles.label] if roles.label else [])]
        self.columns = compared(past, now, taken, features=roles.features, ignore=roles.ignore)
        self.kinds = self.columns.kinds
        if not self.kinds and not roles.score and not self.columns.unjudged and roles.label is None:
            out = f" Left out: {', '.join(list(self.columns.left_out)[:10])}." if self.columns.left_out else ""
            raise BadTable(f"{past.path} has no column to compare besides the label and the time.{out}")

    def made(self, chunk: str | None) -> TablesDrift:
        # Split the reference only when the current table is split.
        if self.chunk is not None:
            self._check_pieces()
        windows = self._windows(self.past) if self.chunk is not None else None
        names = None if windows is None else self._piece_names(windows)
        profile = self._profile(names)
        self.labels = LabelLane.of(self.past, self.now, self.roles, self.limits, names)
        lane = Lane.of(
            self.past, self.now, self.roles, self.limits, {n: k.value for n, k in self.kinds.items()}, windows
        )
        if not self.now.rows:
            whole = _without_rows(profile)
            pieces = [self._piece("all rows", whole, profile, lane, None, 1)]
        elif self.chunk is None:
            whole = self._counted(profile)
            pieces = [self._piece("all rows", whole, profile, lane, self._now_for(lane), 1)]
        else:
            pieces, whole = self._pieces(profile, lane)
        return TablesDrift(
            reference=str(self.past.path),
            current=str(self.now.path),
            reference_rows=self.past.rows,
            rows=self.now.rows,
            pieces=tuple(pieces),
            remarks=(*self.columns.remarks, *self.remarks, *lane.remarks, *self._too_few(pieces)),
            histograms=histograms(profile, whole),
            chunk=chunk,
            left_out=self.columns.left_out,
            unjudged=self.columns.unjudged | self.blind,
        )

    def _too_few(self, pieces: list[Piece]) -> list[str]:
        """Why pieces were not judged, where it is that they are small; the way out with it."""
        least = self.limits.min_rows
        few = [piece for piece in pieces if piece.rows < least]
        if not few or self.chunk is None:
            return []
        sizes = sorted({piece.rows for piece in few})
        rows = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        ends = sum(piece.cut for piece in few)
        at_end = f" ({ends} of them cut short by an end of the table, and not asked for)" if ends else ""
        return [
            f"{len(few)} of {len(pieces)} pieces have {rows} rows{at_end}; at least {least} are judged: "
            "a larger --chunk, or --min-rows."
        ]

    # --- counting ----------------------------------------------------------------------------------------------------

    def _profile(self, windows: np.ndarray[Any, Any] | None) -> Profile:
        """The reference, a column at a time."""
        import pandas as pd

        features: list[FeatureProfile] = []
        for name, column in self.past.columns(list(self.kinds)):
            kind = self.kinds[name]
            frame = pd.DataFrame({name: aligned(column, kind)})
            features += build_profile(frame, {name: kind}, days=windows, bins=self.limits.bins).features
        scores: tuple[FeatureProfile, ...] = ()
        if self.roles.score:
            given = scores_of(self.past, self.roles.score)
            scores = profile_scores(given, days=windows, bins=self.limits.bins, classes=self._classes)
        return Profile(self.past.rows, tuple(features), scores)

    @property
    def _classes(self) -> tuple[str, ...]:
        names = self.roles.score if len(self.roles.score) > 1 else ()
        return tuple(name.removeprefix(f"{SCORE}_") for name in names)

    def _counted(self, profile: Profile) -> Profile:
        """The whole current table in the reference's bins, a span of a column at a time."""
        features = count_table(self.now, profile).features
        scores: tuple[FeatureProfile, ...] = ()
        if self.roles.score:
            scores = counted(profile.scores, score_frame(scores_of(self.now, self.roles.score), self._classes))
        return Profile(self.now.rows, features, scores)

    def _windows(self, table: Table) -> np.ndarray[Any, Any]:
        """Shape (rows,): the piece each row belongs to, as whole numbers that ascend with time."""
        import numpy as np

        if isinstance(self.chunk, int):
            return np.arange(table.rows) // self.chunk
        length = np.timedelta64(self.chunk or timedelta(days=1), "us")
        moments = times_of(table.column(str(self.roles.time))).astype("datetime64[us]")
        return np.asarray((moments - np.datetime64(0, "us")) // length)

    def _piece_names(self, windows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The name of each row's piece of the reference. The last, shorter piece is named apart: its size is not
        usual."""
        import numpy as np

        names = windows.astype(str).astype(object)
        if isinstance(self.chunk, int):
            names[len(names) // self.chunk * self.chunk :] = OTHERS
        pieces = len(np.unique(names[names != OTHERS]))
        if pieces < LEAST_WINDOWS:
            self.remarks.append(
                f"The reference makes {pieces} such pieces; from {LEAST_WINDOWS} on what is usual from one to the next "
                "is allowed for. Rows count as exchangeable."
            )
        return names

    def _check_pieces(self) -> None:
        import numpy as np

        for table in (self.now, self.past):
            pieces = len(np.unique(self._windows(table)))
            if pieces > MAX_PIECES:
                raise BadTable(
                    f"chunk makes {pieces:,} pieces of {table.path.name}; at most {MAX_PIECES:,} are judged. "
                    "Make it larger."
                )

    def _pieces(self, profile: Profile, lane: Lane) -> tuple[list[Piece], Profile]:
        import numpy as np

        windows = self._windows(self.now)
        numbers = np.unique(windows)
        order = np.argsort(windows, kind="stable")
        ends = np.cumsum(np.bincount(np.searchsorted(numbers, windows)))
        needed = {*self.kinds, *lane.columns, *self.labels.columns}
        frame = self._aligned(self.now.frame([name for name in self.now.names if name in needed]))
        pieces: list[Piece] = []
        whole = None
        for number, start, end in zip(numbers, (0, *ends[:-1]), ends, strict=True):
            rows = frame.iloc[order[start:end]]
            scores = None
            if self.roles.score:
                scores = counted(profile.scores, score_frame(score_values(rows, self.roles.score), self._classes))
            piece = Profile(len(rows), counted(profile.features, rows), scores or ())
            pieces.append(self._piece(self._name(number, len(rows)), piece, profile, lane, rows, len(numbers)))
            whole = piece if whole is None else _added(whole, piece)
        if whole is None:
            raise BadTable(f"{self.now.path} has no rows.")
        return self._cut(pieces), whole

    def _cut(self, pieces: list[Piece]) -> list[Piece]:
        """The pieces; a piece counts as cut when only it is too short, because the table begins or ends in it."""
        least = self.limits.min_rows
        if sorted(piece.rows for piece in pieces)[len(pieces) // 2] < least:
            return pieces
        ends = {len(pieces) - 1, *(() if isinstance(self.chunk, int) else (0,))}
        return [replace(piece, cut=at in ends and piece.rows < least) for at, piece in enumerate(pieces)]

    def _name(self, number: int, rows: int) -> str:
        import numpy as np

        if isinstance(self.chunk, int):
            return f"rows {number * self.chunk + 1:,} to {number * self.chunk + rows:,}"
        length = np.timedelta64(self.chunk or timedelta(days=1), "us")
        whole_days = length % np.timedelta64(1, "D") == np.timedelta64(0)
        return str((np.datetime64(0, "us") + number * length).astype(f"datetime64[{'D' if whole_days else 'm'}]"))

    # --- judging -----------------------------------------------------------------------------------------------------

    def _now_for(self, lane: Lane) -> pd.DataFrame | None:
        """The columns of the whole current table that performance is judged on; of a long one every k-th row."""
        needed = {*lane.columns, *self.labels.columns}
        if not needed:
            return None
        step = max(1, -(-self.now.rows // MOST_ESTIMATED)) if lane.needs_features else 1
        if step > 1:
            lane.remarks.append(f"Performance was judged on every {step}th row.")
        return self._aligned(self.now.every(step, [name for name in self.now.names if name in needed]))

    def _aligned(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The features in the form the reference's kinds compare."""
        import pandas as pd

        return pd.DataFrame(
            {n: aligned(c, self.kinds[n]) if n in self.kinds else c for n, c in frame.items() if isinstance(n, str)},
            index=frame.index,
        )

    def _piece(
        self, name: str, current: Profile, profile: Profile, lane: Lane, rows: pd.DataFrame | None, pieces: int
    ) -> Piece:
        limits = self.limits
        # All tests share the error rate, so that it holds for the whole comparison.
        parts = pieces * (1 + bool(self.roles.score) + self.labels.asked + 2 * (lane.metric is not None))
        calibrate = self.chunk is not None
        inputs, predictions = None, None
        if self.kinds:
            inputs = input_drift(
                profile,
                current,
                rules=DriftRules(
                    q=limits.q / parts,
                    effect_at_least=limits.effect_at_least,
                    share_at_least=limits.share_at_least,
                    min_rows=limits.min_rows,
                    calibrate=calibrate,
                ),
                doubts=Doubts(self.columns.doubtful, frozenset(self.columns.mixed)),
            )
            self.blind |= _blind(inputs)
        if self.roles.score:
            predictions = prediction_drift(
                profile,
                current,
                rules=DriftRules(
                    q=limits.q / parts,
                    effect_at_least=limits.effect_at_least,
                    min_rows=limits.min_rows,
                    calibrate=calibrate,
                ),
            )
        estimated, realised = lane.judged(rows, inputs, predictions, limits.q / parts)
        labels = self.labels.judged(rows, limits.q / parts, calibrate=calibrate)
        asked = [*(["inputs"] if self.kinds else []), *(["predictions"] if self.roles.score else [])]
        asked += ["labels"] if self.labels.asked else []
        asked += lane.asked
        return Piece(
            name,
            current.rows,
            inputs,
            predictions,
            estimated,
            realised,
            labels,
            asked=tuple(asked),
            lacking=lane.lacking,
        )


def _blind(inputs: DriftVerdict) -> dict[str, str]:
    """Why each column was not judged although it has enough rows, and the way out."""
    return {
        f.name: f"{f.reason.removeprefix(f'{f.name} was not judged: ').rstrip('.')}; --ignore leaves it out"
        for f in inputs.blind
    }


def _without_rows(like: Profile) -> Profile:
    import pandas as pd

    nothing = pd.DataFrame()
    return Profile(0, counted(like.features, nothing), counted(like.scores, nothing))


def _added(a: Profile, b: Profile) -> Profile:
    features, scores = (
        tuple(merged_feature(x, y) for x, y in zip(left, right, strict=True))
        for left, right in ((a.features, b.features), (a.scores, b.scores))
    )
    return replace(a, rows=a.rows + b.rows, features=features, scores=scores)
