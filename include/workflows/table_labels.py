"""The labels of any two tables: the same class in every spelling, and drift of the labels where only they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from include.domain.drift.input_drift import Drift, judged_features
from include.domain.drift.profile import FeatureProfile, Kind, counted
from include.workflows.alike_values import flags_of, texts_of
from include.workflows.drift_columns import agree_on_numbers
from include.workflows.given_tables import BadTable, Table, some

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.workflows.table_performance import Limits, Roles


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
        if len(classes) != wanted or len(set(classes)) != wanted:
            raise BadTable(f"--classes is {', '.join(classes)}; it takes {wanted} names, each once.")
        named = {name: float(i) for i, name in enumerate(classes)}
        given = _positions(column, [named])
        if given is None:
            raise BadTable(_strange(column, classes, f"{', '.join(classes)} (--classes)"))
        return given
    if not several:
        flags = flags_of(column)
        if flags is not None:
            return flags.to_numpy(dtype=np.float64, na_value=np.nan)
    elif column.notna().any():
        found = _positions(column, _named(scores))
        if found is not None:
            return found
    if not pd.api.types.is_numeric_dtype(column.dtype):
        allowed = (
            f"the scores' names, {', '.join(scores)}; or name the classes in the scores' order with --classes"
            if several
            else "numbers, or yes and no, true and false, 0 and 1; or name two with --classes NO,YES"
        )
        raise BadTable(f"Label {column.name!r} holds {some(column.dropna())}; allowed are {allowed}.")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _named(scores: Sequence[str]) -> Sequence[dict[str, float]]:
    """How labels can name a score: as the whole name, or as what is left without the beginning all names share."""
    whole = {name: float(i) for i, name in enumerate(scores)}
    found = [whole]
    for end in range(len(scores[0]), 0, -1):
        start = scores[0][:end]
        if start[-1] in "_-. " and all(name.startswith(start) and len(name) > end for name in scores):
            found.append(whole | {name.removeprefix(start): code for name, code in whole.items()})
            break
    return found


def _positions(column: pd.Series[Any], named: Sequence[dict[str, float]]) -> np.ndarray[Any, Any] | None:
    """The positions of the labels by the first names that hold them all; None where none do."""
    import numpy as np

    texts = texts_of(column)
    for classes in named:
        known = texts.map(classes, na_action="ignore")
        if not (texts.notna() & known.isna()).any():
            return np.asarray(known.to_numpy(dtype=np.float64, na_value=np.nan))
    return None


def _strange(column: pd.Series[Any], classes: Sequence[str], allowed: str) -> str:
    texts = texts_of(column)
    strange = column[texts.notna() & ~texts.isin(list(classes))]
    return f"Label {column.name!r} holds {some(strange)}; allowed are {allowed}."


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
        cls, past: Table, now: Table, roles: Roles, limits: Limits, windows: np.ndarray[Any, Any] | None
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
        if "empty" in kinds or not kinds <= {kind.value for kind in Kind}:
            empty = past.path.name if past.kinds[name] == "empty" else now.path.name
            strange = sorted(kinds - {kind.value for kind in Kind} - {"empty"})
            lane.lacking = f"label {name!r} holds {strange[0]}" if strange else f"{empty} holds no value of {name!r}"
            return lane
        column = past.column(name)
        lane.flags = flags_of(column) is not None and flags_of(now.column(name)) is not None
        kind = Kind.BOOLEAN if lane.flags else Kind(past.kinds[name])
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

    def judged(self, rows: pd.DataFrame | None, alpha: float, *, calibrate: bool) -> Drift | None:
        """The drift of these rows' labels; rows without one are left out, as their labels may still come."""
        import pandas as pd

        if self.name is None:
            return None
        if self.reference is None or rows is None:
            why = self.lacking or "there are no rows"
            return Drift(None, f"Labels were not judged: {why}.", 0, 0.0, ())
        column = rows[self.name]
        values = pd.DataFrame({self.name: self._values(column[column.notna()])})
        current = counted((replace(self.reference, windows=()),), values)
        found = judged_features(
            (self.reference,),
            current,
            {self.name: 1.0},
            q=alpha,
            effect_at_least=self.limits.effect_at_least,
            min_rows=self.limits.min_rows,
            calibrate=calibrate,
        )
        return Drift(
            found[0].drifted, f"Labels: {found[0].reason}", len(values), float(found[0].drifted is True), found
        )
