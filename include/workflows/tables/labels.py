"""The labels of any two tables: the same class in every spelling, and drift of the labels where only they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from include.domain import classes as labels
from include.domain.drift.input_drift import DriftRules, DriftVerdict, judged_features
from include.domain.drift.profile import FeatureKind, FeatureProfile, counted
from include.workflows.tables.alike_values import flags_of
from include.workflows.tables.checks import some
from include.workflows.tables.drift_columns import agree_on_numbers
from include.workflows.tables.reading import BadTable, Table
from include.workflows.tables.roles import ColumnRoles, Limits

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def label_values(column: pd.Series[Any], scores: Sequence[str], classes: Sequence[str] = ()) -> np.ndarray[Any, Any]:
    """Shape (n,): the labels as floats, NaN where there is none; a class as its position among the classes.

    Args:
        scores: the columns of the scores; of several the labels are classes.
        classes: their names in the order of the scores, of one score the negative and the positive one. Empty takes
            the scores' names, without ``score_`` or what else they begin with; else numbers are positions.

    Raises:
        BadTable: when a label is none of them.
    """
    import numpy as np
    import pandas as pd

    several = len(scores) > 1
    if classes:
        wanted = len(scores) if several else 2
        if len(classes) != wanted or labels.conflict(classes) is not None:
            raise BadTable(f"--classes is {', '.join(classes)}; it takes {wanted} names, each once.")
        found, strange = labels.positions(classes, column)
        if strange:
            allowed = f"{', '.join(classes)} (--classes)"
            raise BadTable(f"Label {column.name!r} holds {_shown(strange)}; allowed are {allowed}.")
        return found
    if not several:
        flags = flags_of(column)
        if flags is not None:
            return flags.to_numpy(dtype=np.float64, na_value=np.nan)
    elif column.notna().any():
        names = labels.named_by(scores, column)
        if names is not None:
            return labels.positions(names, column)[0]
        strange = labels.positions(scores, column)[1]
        raise BadTable(
            f"Label {column.name!r} holds {_shown(strange)}; allowed are the scores' names, {', '.join(scores)}; or "
            "name the classes in the scores' order with --classes."
        )
    if not pd.api.types.is_numeric_dtype(column.dtype):
        allowed = "numbers, or yes and no, true and false, 0 and 1; or name two with --classes NO,YES"
        raise BadTable(f"Label {column.name!r} holds {some(column.dropna())}; allowed are {allowed}.")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _shown(strange: Sequence[labels.Strange]) -> str:
    """A few of the values, for a message."""
    return ", ".join(repr(s.value)[:40] for s in strange[:5]) + (" and others" if len(strange) > 5 else "")


class LabelLane:
    """Drift of the labels (two keys), where they are given without scores to judge by them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.name: str | None = None
        self.columns: set[str] = set()
        self.reference: FeatureProfile | None = None
        self.lacking = ""
        self.flags = False

    @property
    def asked(self) -> bool:
        return self.name is not None

    @classmethod
    def of(
        cls, past: Table, now: Table, roles: ColumnRoles, limits: Limits, windows: np.ndarray[Any, Any] | None
    ) -> LabelLane:
        """What ``past`` gives to judge the labels of ``now`` by.

        Args:
            windows: Shape (reference rows,): the window of each; None where the current table is judged as a whole.
        """
        import pandas as pd

        from include.domain.drift.reference import build_profile

        lane = cls(limits)
        if roles.label is None or roles.score:
            return lane
        lane.name = name = roles.label
        if name not in now.kinds:
            lane.lacking = f"{now.path.name} has no column {name!r}"
            return lane
        agree_on_numbers(past, now, [name])
        kinds = {past.kinds[name], now.kinds[name]}
        lane.columns = {name}
        if "empty" in kinds or not kinds <= {kind.value for kind in FeatureKind}:
            empty = past.path.name if past.kinds[name] == "empty" else now.path.name
            strange = sorted(kinds - {kind.value for kind in FeatureKind} - {"empty"})
            lane.lacking = f"label {name!r} holds {strange[0]}" if strange else f"{empty} holds no value of {name!r}"
            return lane
        column = past.column(name)
        lane.flags = flags_of(column) is not None and flags_of(now.column(name)) is not None
        kind = FeatureKind.BOOLEAN if lane.flags else FeatureKind(past.kinds[name])
        if not lane.flags and len(kinds) > 1:
            lane.lacking = f"label {name!r} is {past.kinds[name]} in the reference and {now.kinds[name]} now"
            return lane
        frame = pd.DataFrame({name: lane._values(column)})
        known = frame[name].notna().to_numpy()
        days = None if windows is None else windows[known]
        lane.reference = build_profile(frame[known], {name: kind}, days=days, bins=limits.bins).features[0]
        return lane

    def _values(self, column: pd.Series[Any]) -> pd.Series[Any]:
        found = flags_of(column) if self.flags else None
        return column if found is None else found

    def judged(self, rows: pd.DataFrame | None, alpha: float, *, calibrate: bool) -> DriftVerdict | None:
        """The drift of these rows' labels; rows without one are left out, as their labels may still come."""
        import pandas as pd

        if self.name is None:
            return None
        if self.reference is None or rows is None:
            why = self.lacking or "there are no rows"
            return DriftVerdict(None, f"Labels were not judged: {why}.", 0, 0.0, ())
        column = rows[self.name]
        values = pd.DataFrame({self.name: self._values(column[column.notna()])})
        current = counted((replace(self.reference, windows=()),), values)
        found = judged_features(
            (self.reference,),
            current,
            {self.name: 1.0},
            rules=DriftRules(
                q=alpha, effect_at_least=self.limits.effect_at_least, min_rows=self.limits.min_rows, calibrate=calibrate
            ),
        )
        return DriftVerdict(
            found[0].drifted, f"Labels: {found[0].reason}", len(values), float(found[0].drifted is True), found
        )
